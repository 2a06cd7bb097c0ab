//! Updates that change nothing make no version.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bundle::{bundle, entry};
use crate::site::{Answer, JSON, Site, TYPE};

fn ada(note: &str) -> Value {
    json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "Ada", "text": note}]})
}

async fn versions(site: &Site) -> u64 {
    site.get("/Patient/p1/_history").await.expect(200).json()["total"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_again_answers_200_with_the_current_version() {
    let site = Site::start().await;
    let first = site.put("/Patient/p1", &ada("x")).await.expect(201);

    let again = site.put("/Patient/p1", &ada("x")).await.expect(200);
    let served = site.put("/Patient/p1", &first.json()).await.expect(200);
    let reordered =
        r#"{ "name":[{"text":"x", "family":"\u0041da"}],"resourceType":"Patient","id":"p1"}"#;
    let reordered =
        Answer::of(site.request(Method::PUT, "/Patient/p1").header(TYPE, JSON).body(reordered));
    let reordered = reordered.await.expect(200);

    for answer in [&again, &served, &reordered] {
        assert_eq!(answer.header("etag"), "W/\"1\"");
        assert_eq!(answer.header("last-modified"), first.header("last-modified"));
        assert_eq!(answer.bytes, first.bytes, "the stored bytes, not those sent");
    }
    assert_eq!(versions(&site).await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anything_else_makes_a_version() {
    let site = Site::start().await;
    site.put("/Patient/p1", &ada("x")).await.expect(201);

    let mut tagged = ada("x");
    tagged["meta"] = json!({"tag": [{"code": "t"}]});
    site.put("/Patient/p1", &tagged).await.expect(200);
    site.put("/Patient/p1", &ada("y")).await.expect(200);
    site.delete("/Patient/p1").await.expect(204);
    let back = site.put("/Patient/p1", &ada("y")).await.expect(201);

    assert_eq!(back.header("etag"), "W/\"5\"");
    assert_eq!(versions(&site).await, 5);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preconditions_come_before_the_comparison() {
    let site = Site::start().await;
    site.put("/Patient/p1", &ada("x")).await.expect(201);
    let send = |name: &str, value: &str| {
        let request = site.request(Method::PUT, "/Patient/p1").header(TYPE, JSON);
        Answer::of(request.header(name, value).body(ada("x").to_string()))
    };

    send("if-match", "W/\"2\"").await.expect(412);
    send("if-none-match", "*").await.expect(412);
    send("if-match", "W/\"1\"").await.expect(200);

    assert_eq!(versions(&site).await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_transaction_only_what_changes_makes_a_version() {
    let site = Site::start().await;
    site.put("/Patient/p1", &ada("x")).await.expect(201);
    let basic = |subject: &str| json!({"resourceType": "Basic", "id": "b1", "code": {"text": "x"}, "subject": {"reference": subject}});
    let send = async |subject: &str| {
        let posted = bundle(
            "transaction",
            vec![
                entry(
                    "PUT",
                    "Patient/p1",
                    Some("urn:uuid:4a5ef4d2-6a9c-4b7c-8f67-1dd0e1e1a0f1"),
                    ada("x"),
                ),
                entry("PUT", "Basic/b1", None, basic(subject)),
            ],
        );
        let answer = site.post("", &posted).await.expect(200).json();
        let tag = |at: usize| answer["entry"][at]["response"]["etag"].as_str().unwrap().to_owned();
        (tag(0), tag(1))
    };

    let by_urn = "urn:uuid:4a5ef4d2-6a9c-4b7c-8f67-1dd0e1e1a0f1";
    let tags = |a: &str, b: &str| (format!("W/\"{a}\""), format!("W/\"{b}\""));
    assert_eq!(send(by_urn).await, tags("1", "1"));
    assert_eq!(send("Patient/p1").await, tags("1", "1"), "the same once references are rewritten");
    assert_eq!(send("Patient/p2").await, tags("1", "2"));
    // A reference to a version names the one that the transaction makes, so it makes one.
    assert_eq!(send(&format!("{by_urn}/_history/1")).await, tags("2", "3"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_racing_equal_updates_each_sees_one_version() {
    let site = Site::start().await;
    site.put("/Patient/p1", &ada("x")).await.expect(201);

    let changed = ada("y");
    let sends = (0..32).map(|_| site.put("/Patient/p1", &changed));
    let answers = futures::future::join_all(sends).await;

    for answer in &answers {
        assert_eq!((answer.status, answer.header("etag")), (200, "W/\"2\""), "{}", answer.text());
    }
    assert_eq!(versions(&site).await, 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_changes_nothing_is_recorded_as_an_access() {
    let site = Site::start().await;
    site.put("/Patient/p1", &ada("x")).await.expect(201);
    let auditor = site.token_of(policy::Role::Auditor, None);
    let updates = async || {
        let events = site.get_as(&auditor, "/AuditEvent?patient=Patient/p1").await.expect(200);
        let events = events.json()["entry"].as_array().unwrap().clone();
        let of_update =
            |entry: &&Value| entry["resource"]["subtype"][0]["code"].as_str() == Some("update");
        events.iter().filter(of_update).count()
    };
    assert_eq!(updates().await, 1);

    site.put("/Patient/p1", &ada("x")).await.expect(200);

    assert_eq!(updates().await, 2);
    site.stop().await;
}
