//! Binary: content in and out as it is.

use reqwest::Method;
use serde_json::json;

use crate::site::{Answer, JSON, Site, TYPE, patient};

const PDF: &str = "application/pdf";

async fn read(site: &Site, path: &str, accept: &str) -> Answer {
    Answer::of(site.request(Method::GET, path).header("accept", accept)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn content_goes_in_and_comes_out_byte_for_byte() {
    let site = Site::start().await;
    let patient = site.create(&patient("Ada")).await;
    for size in [0, 1, 2, 3, 1_000, 300_000, 2_000_000_usize] {
        let content: Vec<u8> = (0..size).map(|at| (at * 7 % 251) as u8).collect();
        let request = site.request(Method::POST, "/Binary").header(TYPE, PDF);
        let made =
            Answer::of(request.header("x-security-context", &patient).body(content.clone())).await;
        let resource = made.expect(201).json();
        let path = format!("/Binary/{}", resource["id"].as_str().unwrap());

        let raw = read(&site, &path, "*/*").await.expect(200);

        assert_eq!(raw.bytes, content, "{size} bytes");
        assert_eq!((raw.header("content-type"), raw.header("etag")), (PDF, "W/\"1\""));
        assert_eq!(raw.header("x-security-context"), patient);
        assert_eq!(raw.header("x-content-type-options"), "nosniff");
        assert_eq!(resource["securityContext"]["reference"], patient.as_str());
        let wrapped = read(&site, &path, JSON).await.expect(200);
        assert_eq!(wrapped.json()["contentType"], PDF);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fhir_media_type_means_the_resource_any_other_the_content() {
    let site = Site::start().await;
    let body = json!({"resourceType": "Binary", "id": "b", "contentType": "text/plain; charset=utf-8", "data": "aGVsbG8="});
    site.put("/Binary/b", &body).await.expect(201);

    for accept in ["text/plain", "*/*", "text/html, */*;q=0.5", "image/png"] {
        let raw = read(&site, "/Binary/b", accept).await.expect(200);
        assert_eq!(
            (raw.text().as_str(), raw.header("content-type")),
            ("hello", "text/plain; charset=utf-8")
        );
    }
    for accept in [JSON, "application/json", "application/fhir+json;q=0.9, */*;q=0.1"] {
        assert_eq!(read(&site, "/Binary/b", accept).await.expect(200).json()["data"], "aGVsbG8=");
    }
    let formatted = read(&site, "/Binary/b?_format=json", "*/*").await.expect(200);
    assert_eq!(formatted.json()["resourceType"], "Binary");
    let put = site.request(Method::PUT, "/Binary/b").header(TYPE, "text/csv").body("a,b");
    let put = Answer::of(put).await.expect(200).json();
    assert_eq!(
        (&put["id"], &put["contentType"], &put["meta"]["versionId"]),
        (&json!("b"), &json!("text/csv"), &json!("2"))
    );
    assert_eq!(read(&site, "/Binary/b/_history/1", "*/*").await.expect(200).text(), "hello");
    let fresh =
        site.request(Method::GET, "/Binary/b").header("accept", "*/*").header("if-none-match", "2");
    Answer::of(fresh).await.expect(304);
    let head = Answer::of(site.request(Method::HEAD, "/Binary/b").header("accept", "*/*"))
        .await
        .expect(200);
    assert_eq!((head.header("content-type"), head.header("content-length")), ("text/csv", "3"));
    // Other types are not content.
    let wrong = site.request(Method::POST, "/Patient").header(TYPE, "text/csv").body("a,b");
    Answer::of(wrong).await.expect(415);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_beyond_the_limit_is_refused_and_hidden_content_is_absent() {
    let site = Site::start_with(|config| config.server.body_bytes_max = 100_000).await;
    let send = async |bytes: usize| {
        let request = site.request(Method::POST, "/Binary").header(TYPE, PDF);
        Answer::of(request.header("x-security-context", "Patient/ada").body(vec![7; bytes])).await
    };

    let made = send(71_928).await.expect(201).json();
    send(71_929).await.expect(413);

    let path = format!("/Binary/{}", made["id"].as_str().unwrap());
    let bob = site.token_of(policy::Role::Patient, Some("bob"));
    let hidden =
        Answer::of(site.request_as(&bob, Method::GET, &path).header("accept", "*/*")).await;
    assert_eq!(hidden.expect(404).issue().0, "not-found");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_content_stays_whose_the_old_was_until_it_says_otherwise() {
    let site = Site::start().await;
    site.put("/Patient/ada", &json!({"resourceType": "Patient", "id": "ada"})).await.expect(201);
    let put = async |context: Option<&str>, content: &'static str| {
        let mut request = site.request(Method::PUT, "/Binary/b").header(TYPE, "text/plain");
        if let Some(context) = context {
            request = request.header("x-security-context", context);
        }
        Answer::of(request.body(content)).await
    };
    let reader = site.token_of(policy::Role::Patient, Some("ada"));

    let owned = format!("{}/fhir/R4/Patient/ada", site.root);
    put(Some(&owned), "one").await.expect(201);
    let kept = put(None, "two").await.expect(200).json();

    assert_eq!(kept["securityContext"]["reference"], owned.as_str());
    let seen = Answer::of(site.request_as(&reader, Method::GET, "/Binary/b")).await.expect(200);
    assert_eq!(seen.text(), "two");
    let request = site.request(Method::PUT, "/Binary/b").header(TYPE, "text/plain");
    Answer::of(request.header("if-match", "W/\"1\"").body("late")).await.expect(412);
    // Only a word of its own takes it away.
    let freed = put(Some(""), "three").await.expect(200).json();
    assert!(freed["securityContext"].is_null(), "{freed}");
    Answer::of(site.request_as(&reader, Method::GET, "/Binary/b")).await.expect(404);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_security_context_that_is_no_reference_is_refused() {
    let site = Site::start().await;
    for context in ["foo", "#p", "Patient?identifier=1", "urn:uuid:x", "Foo/1", "Patient/"] {
        let request = site.request(Method::POST, "/Binary").header(TYPE, PDF);
        let request = request.header("x-security-context", context).body("x");
        let refused = Answer::of(request).await.expect(400);
        assert_eq!(
            (refused.issue().0, refused.json()["issue"][0]["location"][0].clone()),
            ("invalid".into(), "http.X-Security-Context".into()),
            "{context}"
        );
    }
    let request = site.request(Method::PUT, "/Binary?_id=b").header(TYPE, PDF).body("x");
    Answer::of(request).await.expect(400);
    assert_eq!(site.count("Binary").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_sent_at_once_by_many_never_loses_its_patient() {
    let site = Site::start().await;
    let request = site.request(Method::PUT, "/Binary/b").header(TYPE, PDF);
    Answer::of(request.header("x-security-context", "Patient/ada").body("x")).await.expect(201);

    let sends = (0..8).map(|at| {
        let request = site.request(Method::PUT, "/Binary/b").header(TYPE, PDF);
        Answer::of(request.body(at.to_string()))
    });
    let answers = futures::future::join_all(sends).await;

    let stored = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(stored > 0, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    let last = read(&site, "/Binary/b", JSON).await.expect(200).json();
    assert_eq!(last["securityContext"]["reference"], "Patient/ada");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_new_for_many_at_once_is_refused_by_no_header_that_was_not_sent() {
    let site = Site::start().await;
    let later = ("if-unmodified-since", "Fri, 01 Jan 2100 00:00:00 GMT");

    for round in 0..4 {
        let path = format!("/Binary/b{round}");
        let sends = (0..6).map(|at| {
            let request = site.request(Method::PUT, &path).header(TYPE, PDF);
            Answer::of(request.header(later.0, later.1).body(at.to_string()))
        });
        for answer in futures::future::join_all(sends).await {
            assert!([200, 201].contains(&answer.status), "{} {}", answer.status, answer.text());
        }
    }
    site.stop().await;
}
