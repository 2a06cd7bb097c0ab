//! Preconditions of single interactions and of entries: each is heeded or refused, none is left out.
//!
//! Expected values: RFC 9110 §13.1 (what each means) and §13.2.2 (which goes first); FHIR R4 http.html.

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use crate::bundle::{bundle, entry};
use crate::site::{Answer, JSON, Site, TYPE};

fn identified(value: &str) -> Value {
    json!({"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:mrn", "value": value}]})
}

async fn send(
    site: &Site,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Answer {
    let media = if method == Method::PATCH { "application/merge-patch+json" } else { JSON };
    let request = site.request(method, path).header(TYPE, media);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Answer::of(if body.is_null() { request } else { request.body(body.to_string()) }).await
}

/// `issue[0].location[0]`.
fn place(answer: &Answer) -> String {
    answer.json()["issue"][0]["location"][0].as_str().unwrap_or_default().to_owned()
}

const NOW_GONE: (&str, &str) = ("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT");
const LATER: (&str, &str) = ("if-unmodified-since", "Fri, 01 Jan 2100 00:00:00 GMT");

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_refused_when_its_precondition_does_not_hold_and_leaves_no_trace() {
    let site = Site::start().await;
    site.put("/Patient/p", &identified("1")).await.expect(201);
    let by_criteria = "/Patient?identifier=urn:mrn|1";
    let merge = json!({"active": true});

    for (header, named) in [
        (("if-none-match", "W/\"1\""), "http.If-None-Match"),
        (("if-none-match", "\"7\", 1"), "http.If-None-Match"),
        (("if-none-match", "*"), "http.If-None-Match"),
        (("if-match", "W/\"7\""), "http.If-Match"),
        (NOW_GONE, "http.If-Unmodified-Since"),
    ] {
        for path in ["/Patient/p", by_criteria] {
            for (method, body) in [
                (Method::PUT, &identified("2")),
                (Method::PATCH, &merge),
                (Method::DELETE, &Value::Null),
            ] {
                let refused = send(&site, method.clone(), path, &[header], body).await;
                let refused = refused.expect(412);
                assert_eq!(place(&refused), named, "{method} {path} {header:?}");
            }
        }
    }

    let stored = site.get("/Patient/p").await.expect(200);
    assert_eq!(stored.header("etag"), "W/\"1\"");
    assert_eq!(stored.json()["identifier"][0]["value"], "1");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_done_when_its_preconditions_hold() {
    let site = Site::start().await;
    let put = async |value: &str, headers: &[(&str, &str)]| {
        send(&site, Method::PUT, "/Patient/p", headers, &identified(value)).await
    };

    put("1", &[("if-none-match", "W/\"1\""), LATER]).await.expect(201);
    put("2", &[("if-none-match", "W/\"7\", W/\"8\"")]).await.expect(200);
    put("3", &[LATER]).await.expect(200);
    // The time does not count beside a tag (RFC 9110 §13.1.4), and several lines are one list (§5.3).
    put("4", &[("if-match", "W/\"3\""), NOW_GONE]).await.expect(200);
    put("5", &[("if-match", "W/\"3\""), ("if-match", "W/\"4\"")]).await.expect(200);
    let unreadable = ("if-unmodified-since", "2020");
    put("5", &[("if-match", "W/\"4\""), unreadable]).await.expect(412);
    put("6", &[("if-match", "W/\"5\""), unreadable]).await.expect(200);
    let merge = json!({"active": true});
    let patch = send(&site, Method::PATCH, "/Patient/p", &[LATER], &merge).await.expect(200);
    assert_eq!(patch.header("etag"), "W/\"7\"");
    let by_criteria = "/Patient?identifier=urn:mrn|new";
    let new =
        json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "new"}]});
    let only_new = [("if-none-match", "*")];
    send(&site, Method::PUT, by_criteria, &only_new, &new).await.expect(201);
    send(&site, Method::PUT, by_criteria, &only_new, &new).await.expect(412);
    send(&site, Method::DELETE, "/Patient/p", &[("if-none-match", "W/\"5\"")], &Value::Null)
        .await
        .expect(204);
    // What was deleted is not there, whatever its last version is.
    put("8", &[("if-match", "*")]).await.expect(412);
    put("8", &[("if-none-match", "*")]).await.expect(201);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_another_version_than_expected_is_refused() {
    let site = Site::start().await;
    site.put("/Patient/p", &identified("1")).await.expect(201);
    site.put("/Patient/p", &identified("2")).await.expect(200);
    let get = async |path: &str, header: (&str, &str)| {
        send(&site, Method::GET, path, &[header], &Value::Null).await
    };

    for path in ["/Patient/p", "/Patient/p/_history/2"] {
        let refused = get(path, ("if-match", "W/\"999\"")).await.expect(412);
        assert_eq!(place(&refused), "http.If-Match");
        get(path, NOW_GONE).await.expect(412);
        get(path, ("if-match", "W/\"2\"")).await.expect(200);
        get(path, ("if-match", "*")).await.expect(200);
        let both = [("if-match", "*"), ("if-unmodified-since", "2020")];
        send(&site, Method::GET, path, &both, &Value::Null).await.expect(200);
        get(path, LATER).await.expect(200);
    }
    get("/Patient/p/_history/1", ("if-match", "W/\"2\"")).await.expect(412);
    get("/Patient/absent", ("if-match", "*")).await.expect(404);
    let raw =
        json!({"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": "YQ=="});
    site.put("/Binary/b", &raw).await.expect(201);
    let content = site.request(Method::GET, "/Binary/b").header("accept", "text/plain");
    Answer::of(content.header("if-match", "W/\"2\"")).await.expect(412);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_content_of_a_binary_heeds_every_precondition() {
    let site = Site::start().await;
    let put = async |content: &'static str, header: (&str, &str)| {
        let request = site.request(Method::PUT, "/Binary/b").header(TYPE, "text/plain");
        Answer::of(request.header(header.0, header.1).body(content)).await
    };

    put("a", ("if-match", "W/\"1\"")).await.expect(412);
    put("a", ("if-none-match", "*")).await.expect(201);
    put("b", ("if-none-match", "*")).await.expect(412);
    put("b", ("if-none-match", "W/\"1\"")).await.expect(412);
    put("b", NOW_GONE).await.expect(412);
    put("b", ("if-match", "W/\"1\", W/\"2\"")).await.expect(200);
    put("c", LATER).await.expect(200);

    assert_eq!(site.get("/Binary/b").await.expect(200).header("etag"), "W/\"3\"");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_precondition_that_says_nothing_here_or_cannot_be_read_is_refused_by_its_name() {
    let site = Site::start().await;
    site.put("/Patient/p", &identified("1")).await.expect(201);
    let modified = ("if-modified-since", LATER.1);
    let body = identified("2");
    let none = Value::Null;

    for (method, path, header, body, named) in [
        (Method::PUT, "/Patient/p", modified, &body, "If-Modified-Since"),
        (Method::PATCH, "/Patient/p", modified, &body, "If-Modified-Since"),
        (Method::DELETE, "/Patient/p", modified, &none, "If-Modified-Since"),
        (Method::DELETE, "/Patient/p", ("if-none-exist", "_id=1"), &none, "If-None-Exist"),
        (Method::PUT, "/Patient/p", ("if-none-exist", "_id=1"), &body, "If-None-Exist"),
        (Method::POST, "/Patient", ("if-match", "*"), &body, "If-Match"),
        (Method::POST, "/Patient", ("if-none-match", "*"), &body, "If-None-Match"),
        (Method::POST, "", ("if-match", "*"), &body, "If-Match"),
        (Method::GET, "/Patient?active=true", ("if-match", "*"), &none, "If-Match"),
        (Method::GET, "/Patient/p/_history", LATER, &none, "If-Unmodified-Since"),
        (Method::GET, "/metadata", ("if-match", "*"), &none, "If-Match"),
        (Method::POST, "/Patient/p/$meta", ("if-match", "*"), &none, "If-Match"),
        (Method::PUT, "/Patient/p", ("if-none-match", "abc"), &body, "If-None-Match"),
        (Method::PUT, "/Patient/p", ("if-match", "W/2"), &body, "If-Match"),
        (Method::GET, "/Patient/p", ("if-match", "W/2"), &none, "If-Match"),
        (Method::PUT, "/Patient/p", ("if-unmodified-since", "2020"), &body, "If-Unmodified-Since"),
    ] {
        let refused = send(&site, method.clone(), path, &[header], body).await.expect(400);
        assert_eq!(place(&refused), format!("http.{named}"), "{method} {path}");
    }

    // To send a copy once more is always right.
    send(&site, Method::GET, "/Patient?active=true", &[("if-none-match", "W/\"1\"")], &none)
        .await
        .expect(200);
    assert_eq!(site.get("/Patient/p").await.header("etag"), "W/\"1\"");
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_heed_if_match_and_if_none_match_and_name_what_did_not_hold() {
    let site = Site::start().await;
    site.put("/Patient/p", &identified("1")).await.expect(201);
    let with = |mut entry: Value, name: &str, value: &str| {
        entry["request"][name] = json!(value);
        entry
    };
    let patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "active"}, {"name": "value", "valueBoolean": true}]}]});
    let put = || entry("PUT", "Patient/p", None, identified("2"));
    let delete = || json!({"request": {"method": "DELETE", "url": "Patient/p"}});
    let patched = || entry("PATCH", "Patient?identifier=urn:mrn|1", None, patch.clone());

    for (refused, member) in [
        (with(put(), "ifNoneMatch", "W/\"1\""), "ifNoneMatch"),
        (with(put(), "ifMatch", "W/\"2\""), "ifMatch"),
        (with(delete(), "ifNoneMatch", "*"), "ifNoneMatch"),
        (with(patched(), "ifNoneMatch", "1"), "ifNoneMatch"),
    ] {
        for kind in ["transaction", "batch"] {
            let answer = site.post("", &bundle(kind, vec![refused.clone()])).await;
            let expected = format!("Bundle.entry[0].request.{member}");
            if kind == "transaction" {
                assert_eq!(answer.expect(412).issue().1, expected, "{refused}");
                continue;
            }
            let response = answer.expect(200).json()["entry"][0]["response"].clone();
            assert_eq!(response["status"], "412 Precondition Failed");
            assert_eq!(response["outcome"]["issue"][0]["expression"][0], *expected);
        }
    }
    assert_eq!(site.get("/Patient/p").await.header("etag"), "W/\"1\"");
    let good = with(with(put(), "ifNoneMatch", "W/\"9\""), "ifMatch", "W/\"1\"");
    site.post("", &bundle("transaction", vec![good])).await.expect(200);
    assert_eq!(site.get("/Patient/p").await.header("etag"), "W/\"2\"");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_precondition_that_is_no_text_is_refused_by_its_name_and_nothing_is_done() {
    let site = Site::start().await;
    site.put("/Patient/p", &identified("1")).await.expect(201);
    let body = identified("2").to_string();
    let tag = b"W/\"1\xFF\"".as_slice();

    for (method, path, header, value) in [
        (Method::GET, "/Patient/p", "If-None-Match", tag),
        (Method::GET, "/Patient/p", "If-Match", tag),
        (Method::GET, "/Patient/p/_history/1", "If-None-Match", tag),
        (Method::GET, "/Patient?active=true", "If-None-Match", tag),
        (Method::GET, "/Patient/p/_history", "If-None-Match", tag),
        (Method::GET, "/metadata", "If-None-Match", tag),
        (Method::PUT, "/Patient/p", "If-Match", tag),
        (Method::PUT, "/Patient/p", "If-None-Match", tag),
        (Method::PUT, "/Patient?identifier=urn:mrn|1", "If-Match", tag),
        (Method::DELETE, "/Patient/p", "If-Match", tag),
        (Method::POST, "/Patient", "If-None-Exist", "name=Müller".as_bytes()),
    ] {
        let value = HeaderValue::from_bytes(value).unwrap();
        let request = site.request(method.clone(), path).header(header, value).header(TYPE, JSON);
        let request = if method == Method::GET { request } else { request.body(body.clone()) };
        let refused = Answer::of(request).await.expect(400);
        assert_eq!(place(&refused), format!("http.{header}"), "{method} {path}");
        assert!(!refused.text().contains("ller"), "{}", refused.text());
    }

    // A list of criteria is not one of them.
    let twice = site.request(Method::POST, "/Patient").header("if-none-exist", "_id=p");
    let twice = twice.header("if-none-exist", "_id=q").header(TYPE, JSON).body(body.clone());
    assert_eq!(place(&Answer::of(twice).await.expect(400)), "http.If-None-Exist");
    // A time that cannot be read asks for a copy (RFC 9110 §13.1.3).
    let since = HeaderValue::from_bytes(b"2026\xFF").unwrap();
    let copy = site.request(Method::GET, "/Patient/p").header("if-modified-since", since);
    Answer::of(copy).await.expect(200);
    assert_eq!(site.get("/Patient/p").await.header("etag"), "W/\"1\"");
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}
