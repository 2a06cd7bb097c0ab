//! One resource through its life.

use gateway::config::Config;
use reqwest::Method;
use serde_json::json;

use crate::site::{Answer, JSON, Site, TYPE, patient};

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_lives_through_create_read_update_delete_and_history() {
    let site = Site::start().await;

    let created = site.post("/Patient", &patient("Ada")).await.expect(201);
    let key = format!("/Patient/{}", created.json()["id"].as_str().unwrap());
    assert_eq!(created.header("etag"), "W/\"1\"");
    assert_eq!(created.header("location"), format!("{}{key}/_history/1", site.base));
    assert!(!created.header("last-modified").is_empty());
    assert_eq!(created.header("content-type"), "application/fhir+json; charset=utf-8");

    let read = site.get(&key).await.expect(200);
    assert_eq!(read.bytes, created.bytes);
    assert_eq!(read.header("etag"), "W/\"1\"");

    let mut changed = created.json();
    changed["active"] = json!(true);
    let updated = site.put(&key, &changed).await.expect(200);
    assert_eq!(updated.json()["meta"]["versionId"], "2");

    site.delete(&key).await.expect(204);
    site.get(&key).await.expect(410);
    let first = site.get(&format!("{key}/_history/1")).await.expect(200);
    assert_eq!(first.bytes, created.bytes);
    site.get(&format!("{key}/_history/3")).await.expect(410);

    let history = site.get(&format!("{key}/_history")).await.expect(200).json();
    assert_eq!(history["total"], 3);
    let methods: Vec<_> = history["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["request"]["method"].clone())
        .collect();
    assert_eq!(methods, ["DELETE", "PUT", "POST"]);

    let revived = site.put(&key, &changed).await.expect(201);
    assert_eq!(revived.json()["meta"]["versionId"], "4");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decimals_and_unknown_order_are_kept_byte_for_byte() {
    let site = Site::start().await;
    let body = r#"{"status":"final","resourceType":"Observation","code":{"text":"x"},
        "valueQuantity":{"value":1.10},"component":[{"code":{"text":"y"},"valueQuantity":{"value":1E5}}]}"#;

    let request = site.request(Method::POST, "/Observation").header(TYPE, JSON).body(body);
    let created = Answer::of(request).await.expect(201);

    let text = String::from_utf8(created.bytes.clone()).unwrap();
    assert!(text.contains("\"value\":1.10}"), "{text}");
    assert!(text.contains("\"value\":1E5}"), "{text}");
    assert!(text.starts_with("{\"status\":\"final\","), "{text}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_if_match_is_refused_and_leaves_no_trace() {
    let site = Site::start().await;
    let key = site.create(&patient("Ada")).await;
    let path = format!("/{key}");
    let mut body = site.get(&path).await.json();
    body["active"] = json!(true);
    site.put(&path, &body).await.expect(200);
    body["active"] = json!(false);

    let request = site.request(Method::PUT, &path).header(TYPE, JSON).header("if-match", "W/\"1\"");
    let refused = Answer::of(request.body(body.to_string())).await.expect(412);

    assert_eq!(refused.issue().0, "conflict");
    let history = site.get(&format!("{path}/_history")).await.json();
    assert_eq!(history["total"], 2);
    let bare = site.request(Method::PUT, &path).header(TYPE, JSON).header("if-match", "2");
    Answer::of(bare.body(body.to_string())).await.expect(200);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_copy_is_answered_with_304_by_weak_strong_and_bare_tag() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);

    for tag in ["W/\"1\"", "\"1\"", "1"] {
        let request = site.request(Method::GET, &path).header("if-none-match", tag);
        let answer = Answer::of(request).await.expect(304);
        assert!(answer.bytes.is_empty());
    }
    let request = site.request(Method::GET, &path).header("if-none-match", "W/\"2\"");
    Answer::of(request).await.expect(200);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prefer_decides_what_a_write_answers() {
    let site = Site::start().await;
    let send = |prefer: &'static str| {
        let request = site.request(Method::POST, "/Patient").header(TYPE, JSON);
        request.header("prefer", prefer).body(patient("Ada").to_string())
    };

    let minimal = Answer::of(send("return=minimal")).await.expect(201);
    let outcome = Answer::of(send("return=OperationOutcome")).await.expect(201);
    let whole = Answer::of(send("return=representation, handling=strict")).await.expect(201);

    let plain = Answer::of(send("respond-async")).await.expect(201);

    let applied = |answer: &Answer| answer.headers.get("preference-applied").cloned();
    assert_eq!(minimal.header("preference-applied"), "return=minimal");
    assert_eq!(outcome.header("preference-applied"), "return=OperationOutcome");
    assert_eq!(whole.header("preference-applied"), "return=representation");
    assert_eq!(applied(&plain), None, "it is not done, so it is not told");
    assert!(minimal.bytes.is_empty());
    assert!(minimal.header("location").contains("/_history/1"));
    assert_eq!(outcome.json()["resourceType"], "OperationOutcome");
    assert_eq!(whole.json()["resourceType"], "Patient");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_tells_what_get_would_without_a_body() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);

    for place in [
        path.clone(),
        format!("{path}/_history/1"),
        format!("{path}/_history"),
        "/Patient/_history".into(),
        "/_history".into(),
        "/Patient?family=ada".into(),
        "/metadata".into(),
        format!("{path}?_format=xml"),
    ] {
        let got = site.get(&place).await.expect(200);
        let head = Answer::of(site.request(Method::HEAD, &place)).await.expect(200);

        for name in ["etag", "last-modified", "content-type"] {
            assert_eq!(head.header(name), got.header(name), "{place}");
        }
        assert_eq!(head.header("content-length"), got.bytes.len().to_string(), "{place}");
        assert!(head.bytes.is_empty());
    }
    let hidden = Answer::of(site.request(Method::HEAD, "/Patient/none")).await.expect(404);
    assert!(hidden.bytes.is_empty());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_survives_a_restart() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);
    let before = site.get(&path).await.expect(200).bytes;
    let folder = site.stop().await;
    let kept = folder.path().to_path_buf();

    let site = Site::start_with(|config| config.data_dir = kept).await;

    assert_eq!(site.get(&path).await.expect(200).bytes, before);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_r4_alias_links_to_itself() {
    let site = Site::start().await;
    let url = format!("{}/fhir/R4/Patient", site.root);

    let request =
        site.request(Method::POST, &url).header(TYPE, JSON).body(patient("Ada").to_string());
    let created = Answer::of(request).await.expect(201);

    assert!(created.header("location").starts_with(&url));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_writers_of_one_resource_all_succeed_in_turn() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);
    let body = site.get(&path).await.json();
    let bodies: Vec<_> = (0..64)
        .map(|n| {
            let mut body = body.clone();
            body["name"][0]["text"] = json!(n.to_string());
            body
        })
        .collect();

    let answers = futures::future::join_all(bodies.iter().map(|body| site.put(&path, body))).await;

    assert!(answers.iter().all(|answer| answer.status == 200));
    let last = site.get(&path).await.json();
    assert_eq!(last["meta"]["versionId"], "65");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_resource_goes_through_the_object_store_byte_for_byte() {
    let site = Site::start().await;
    let body = json!({
        "resourceType": "Binary", "contentType": "application/octet-stream",
        "data": "QUJD".repeat(200_000),
    });

    let created = site.post("/Binary", &body).await.expect(201);
    let key = format!("/Binary/{}?_format=json", created.json()["id"].as_str().unwrap());
    let read = site.get(&key).await.expect(200);
    let mut changed = created.json();
    changed["language"] = json!("en");
    let updated = site.put(key.split('?').next().unwrap(), &changed).await.expect(200);

    assert_eq!(read.bytes, created.bytes);
    assert_eq!(site.get(&key).await.expect(200).bytes, updated.bytes);
    let folder = site.stop().await;
    let stored = std::fs::metadata(folder.path().join("registry.sqlite")).unwrap().len();
    assert!(stored < 800_000, "{stored} bytes in the database");
    let report =
        gateway::fsck::check(&Config::in_folder(folder.path()), gateway::fsck::Options::default())
            .await
            .unwrap();
    assert_eq!((report.versions_good, report.problems.len()), (2, 0));
}
