//! Conditional interactions outside of bundles.

use reqwest::Method;
use serde_json::json;

use crate::site::{Answer, JSON, Site, TYPE};

pub(crate) fn identified(value: &str) -> serde_json::Value {
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

#[tokio::test(flavor = "multi_thread")]
async fn several_matches_are_deleted_together_where_that_is_configured() {
    let site = Site::start_with(|config| config.search.delete_matches_max = 3).await;
    for _ in 0..3 {
        site.create(&identified("7")).await;
    }
    let kept = site.create(&identified("8")).await;

    let statement = site.get("/metadata").await.expect(200).json();
    let deleted = site.delete("/Patient?identifier=urn:mrn|7").await.expect(200);

    assert_eq!(statement["rest"][0]["resource"][0]["conditionalDelete"], "multiple");
    assert_eq!(deleted.issue().0, "informational");
    assert_eq!(site.count("Patient").await, 1);
    site.get(&format!("/{kept}")).await.expect(200);
    site.delete("/Patient?identifier=urn:mrn|7&_format=json").await.expect(204);
    for _ in 0..4 {
        site.create(&identified("9")).await;
    }
    site.delete("/Patient?identifier=urn:mrn|9").await.expect(412);
    for bad in ["_count=2", "_sort=_id", "identifier=urn:mrn|9&_count=1", "colour=red"] {
        site.delete(&format!("/Patient?{bad}")).await.expect(400);
    }
    assert_eq!(site.count("Patient").await, 5);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_delete_as_many_matches_as_a_request_of_its_own() {
    let site = Site::start_with(|config| config.search.delete_matches_max = 3).await;
    let make = async |value: &str, count: usize| {
        for _ in 0..count {
            site.create(&identified(value)).await;
        }
    };
    let delete = |value: &str| json!({"request": {"method": "DELETE", "url": format!("Patient?identifier=urn:mrn|{value}")}});
    let bundle = |kind: &str, entries: Vec<serde_json::Value>| json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    let create =
        json!({"resource": identified("new"), "request": {"method": "POST", "url": "Patient"}});
    let statuses = |answer: &serde_json::Value| -> Vec<String> {
        let entries = answer["entry"].as_array().unwrap().iter();
        entries.map(|entry| entry["response"]["status"].as_str().unwrap().to_owned()).collect()
    };

    make("7", 3).await;
    make("8", 1).await;
    let batch = bundle("batch", vec![delete("7"), delete("8"), delete("none")]);
    let answer = site.post("", &batch).await.expect(200).json();
    assert_eq!(statuses(&answer), ["200 OK", "204 No Content", "204 No Content"]);
    let told = &answer["entry"][0]["response"]["outcome"]["issue"][0]["diagnostics"];
    assert_eq!(told, "3 resources were deleted");
    assert_eq!(site.count("Patient").await, 0);

    make("7", 3).await;
    make("8", 2).await;
    let both =
        bundle("transaction", vec![create.clone(), delete("7"), create.clone(), delete("8")]);
    let answer = site.post("", &both).await.expect(200).json();
    assert_eq!(statuses(&answer), ["201 Created", "200 OK", "201 Created", "200 OK"]);
    assert_eq!(site.count("Patient").await, 2);
    assert_eq!(site.count("Patient?identifier=urn:mrn|new").await, 2);

    // More than are allowed, or one twice: the whole transaction is refused.
    make("9", 4).await;
    make("7", 2).await;
    let refused =
        site.post("", &bundle("transaction", vec![create.clone(), delete("7"), delete("9")])).await;
    assert_eq!(refused.expect(412).issue().1, "Bundle.entry[2]");
    site.post("", &bundle("transaction", vec![delete("7"), delete("7")])).await.expect(400);
    let answer = site.post("", &bundle("batch", vec![delete("9"), delete("7")])).await.expect(200);
    assert_eq!(statuses(&answer.json()), ["412 Precondition Failed", "200 OK"]);
    assert_eq!(site.count("Patient").await, 6);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_holds_for_every_write_and_any_tag_of_a_list() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&identified("7")).await);
    let body = site.get(&path).await.json();
    let sent = async |method: Method, path: &str, tag: &str| {
        let request = site.request(method, path).header(TYPE, JSON).header("if-match", tag);
        Answer::of(request.body(body.to_string())).await
    };

    sent(Method::PUT, &path, "W/\"9\"").await.expect(412);
    sent(Method::PUT, &path, "W/\"9\", \"1\"").await.expect(200);
    sent(Method::PUT, &path, "*").await.expect(200);
    sent(Method::PUT, &path, "nonsense").await.expect(400);
    let absent = "/Patient/absent";
    for tag in ["*", "W/\"1\""] {
        let mut other = body.clone();
        other["id"] = json!("absent");
        let request = site.request(Method::PUT, absent).header(TYPE, JSON).header("if-match", tag);
        let refused = Answer::of(request.body(other.to_string())).await.expect(412);
        assert_eq!(refused.issue().0, "conflict");
        sent(Method::DELETE, absent, tag).await.expect(412);
        let path = "/Patient?identifier=urn:mrn|none";
        let request = site.request(Method::PUT, path).header(TYPE, JSON).header("if-match", tag);
        Answer::of(request.body(identified("none").to_string())).await.expect(412);
    }
    sent(Method::DELETE, &path, "9").await.expect(412);
    sent(Method::DELETE, &path, "9, *").await.expect(400);
    sent(Method::DELETE, &path, "*").await.expect(204);
    sent(Method::DELETE, &path, "*").await.expect(412);
    assert_eq!(site.count("Patient").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_conditional_on_tag_or_time_and_the_tag_wins() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&identified("7")).await);
    let modified = site.get(&path).await.header("last-modified").to_owned();
    let read = async |headers: &[(&str, &str)]| {
        let request = site.request(Method::GET, &path);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::of(request).await.status
    };

    assert_eq!(read(&[("if-modified-since", &modified)]).await, 304);
    assert_eq!(read(&[("if-modified-since", "Sat, 01 Jan 2000 00:00:00 GMT")]).await, 200);
    assert_eq!(read(&[("if-modified-since", "yesterday")]).await, 200);
    assert_eq!(read(&[("if-none-match", "*")]).await, 304);
    assert_eq!(read(&[("if-none-match", "\"5\", W/\"1\"")]).await, 304);
    assert_eq!(read(&[("if-none-match", "W/\"2\""), ("if-modified-since", &modified)]).await, 200);
    let fresh = site.request(Method::GET, &path).header("if-none-match", "1");
    let fresh = Answer::of(fresh).await.expect(304);
    assert_eq!(
        (fresh.header("etag"), fresh.header("last-modified")),
        ("W/\"1\"", modified.as_str())
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_says_what_it_did_to_who_prefers_an_outcome() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&identified("7")).await);
    let delete = async || {
        let request = site.request(Method::DELETE, &path);
        Answer::of(request.header("prefer", "return=OperationOutcome")).await.expect(200)
    };

    let first = delete().await;
    let second = delete().await;

    assert_eq!((first.header("etag"), second.header("etag")), ("W/\"2\"", ""));
    assert_eq!(first.header("preference-applied"), "return=OperationOutcome");
    assert_eq!(first.issue().0, "informational");
    let other = site.request(Method::DELETE, &path).header("prefer", "return=representation");
    let other = Answer::of(other).await.expect(204);
    assert_eq!(other.header("preference-applied"), "", "there is no resource to answer with");
    assert_eq!(second.json()["issue"][0]["diagnostics"], "there was nothing to delete");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn criteria_in_the_url_of_a_create_are_heeded_as_those_of_the_header() {
    let site = Site::start().await;
    let path = "/Patient?identifier=urn:mrn|7&_pretty=false";

    let made = site.post(path, &identified("7")).await.expect(201).json();
    let found = site.post(path, &identified("7")).await.expect(200).json();

    assert_eq!(found["id"], made["id"]);
    site.post("/Patient?nonsense=1", &identified("8")).await.expect(400);
    let both = site.request(Method::POST, path).header(TYPE, JSON);
    let both = both.header("if-none-exist", "identifier=urn:mrn|7");
    Answer::of(both.body(identified("7").to_string())).await.expect(400);
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}
