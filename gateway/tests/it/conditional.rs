//! Conditional interactions outside of bundles.

use reqwest::Method;
use serde_json::json;

use crate::site::{Answer, JSON, Site, TYPE};

fn identified(value: &str) -> serde_json::Value {
    json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": value}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_clients_with_one_condition_make_one_resource() {
    let site = Site::start().await;
    let sends = (0..64).map(|_| {
        let request = site.request(Method::POST, "/Patient").header(TYPE, JSON);
        Answer::of(
            request
                .header("if-none-exist", "identifier=urn:mrn|7")
                .body(identified("7").to_string()),
        )
    });

    let answers = futures::future::join_all(sends).await;

    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let found = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((created, found), (1, 63));
    let ids: std::collections::HashSet<_> =
        answers.iter().map(|answer| answer.json()["id"].clone().to_string()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_matches_are_a_failed_precondition() {
    let site = Site::start().await;
    site.create(&identified("7")).await;
    site.create(&identified("7")).await;

    let request = site.request(Method::POST, "/Patient").header(TYPE, JSON);
    let request = request.header("if-none-exist", "identifier=urn:mrn|7");
    Answer::of(request.body(identified("7").to_string())).await.expect(412);
    site.put("/Patient?identifier=urn:mrn|7", &identified("7")).await.expect(412);
    site.delete("/Patient?identifier=urn:mrn|7").await.expect(412);

    assert_eq!(site.count("Patient").await, 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_update_makes_changes_and_a_conditional_delete_removes() {
    let site = Site::start().await;
    let path = "/Patient?identifier=urn:mrn|7";

    let made = site.put(path, &identified("7")).await.expect(201).json();
    let mut changed = identified("7");
    changed["active"] = json!(true);
    let changed = site.put(path, &changed).await.expect(200).json();
    site.delete(path).await.expect(204);
    site.delete(path).await.expect(204);

    assert_eq!(made["id"], changed["id"]);
    assert_eq!(changed["meta"]["versionId"], "2");
    assert_eq!(site.count("Patient").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn if_none_match_any_only_creates() {
    let site = Site::start().await;
    let mut body = identified("7");
    body["id"] = json!("p7");
    let send = || {
        let request = site.request(Method::PUT, "/Patient/p7").header(TYPE, JSON);
        Answer::of(request.header("if-none-match", "*").body(body.to_string()))
    };

    send().await.expect(201);
    send().await.expect(412);
    site.stop().await;
}
