//! What goes with time: answers for repeated messages, and objects that nobody needs.

use std::time::Duration;

use gateway::upkeep::{ORPHAN_AGE, expire, sweep};
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, Site};

const MESSAGE: &str = "MSH|^~\\&|ADT1|NORTH|SEALWAY|NORTH|20260301101500+0000||ADT^A01^ADT_A01|M1|P|2.5.1\r\
    EVN|A01|20260301101500+0000\rPID|1||R1^^^NORTH^MR||Rich^Ruth^Ann||19600102|F\r\
    PV1|1|I|WARD^1^A|||||||||||||||||V77^^^NORTH^VN\r";

async fn send(site: &Site) -> String {
    let request = site.request(Method::POST, &format!("{}/hl7v2", site.root));
    let answer =
        Answer::of(request.header("content-type", "application/hl7-v2").body(MESSAGE)).await;
    assert!(answer.text().contains("MSA|AA|M1"), "{}", answer.text());
    answer.text_all()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_repeated_message_is_kept_for_its_days_and_no_longer() {
    let site = Site::start_with(|config| config.mllp.repeats_days = 30).await;
    let sent = gateway::clock::now().micros();
    let day = 24 * 3600 * 1_000_000;
    let first = send(&site).await;

    expire(&site.app, sent + 29 * day).await.unwrap();
    assert_eq!(send(&site).await, first);
    assert!(site.app.store.upkeep().oldest_answer().await.unwrap().is_some());

    expire(&site.app, sent + 31 * day).await.unwrap();
    assert_eq!(site.app.store.upkeep().oldest_answer().await.unwrap(), None);
    // Applied anew it says what is stored already.
    assert_ne!(send(&site).await, first);
    assert_eq!(site.count("Patient").await, 1);
    let found = site.get("/Patient").await.expect(200).json();
    assert_eq!(found["entry"][0]["resource"]["meta"]["versionId"], "1", "{found}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_days_answers_are_kept_for_ever() {
    let site = Site::start_with(|config| config.mllp.repeats_days = 0).await;
    let first = send(&site).await;

    expire(&site.app, i64::MAX).await.unwrap();

    assert_eq!(send(&site).await, first);
    site.stop().await;
}

fn large(text: &str) -> Value {
    json!({
        "resourceType": "Binary", "id": "large", "contentType": "text/plain",
        "data": text.repeat(100_000),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn orphaned_objects_go_and_those_of_every_version_stay() {
    let site = Site::start().await;
    site.put("/Binary/large", &large("QUJD")).await.expect(201);
    site.put("/Binary/large", &large("REVG")).await.expect(200);
    site.delete("/Binary/large").await.expect(204);
    let objects = site.app.config.data_dir.join("objects");
    let orphan = objects.join("00").join("0".repeat(32));
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    std::fs::write(&orphan, b"left by a crash").unwrap();

    assert_eq!(sweep(&site.app, ORPHAN_AGE).await.unwrap(), 0, "it is too young to tell");
    assert!(orphan.exists());
    assert_eq!(sweep(&site.app, Duration::ZERO).await.unwrap(), 1);

    assert!(!orphan.exists());
    for version in [1, 2] {
        site.get(&format!("/Binary/large/_history/{version}")).await.expect(200);
    }
    assert_eq!(sweep(&site.app, Duration::ZERO).await.unwrap(), 0);
    site.stop().await;
}
