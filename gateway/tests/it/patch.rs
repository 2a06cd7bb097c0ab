//! PATCH over HTTP: its three forms, preconditions, races, bundles.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, JSON, Site, TYPE, patient};

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";

async fn patch(site: &Site, path: &str, media: &str, body: &Value) -> Answer {
    Answer::of(site.request(Method::PATCH, path).header(TYPE, media).body(body.to_string())).await
}

fn fhirpath(operation: &[(&str, Value)]) -> Value {
    let part = |(name, value): &(&str, Value)| {
        let mut part = value.clone();
        part["name"] = json!(name);
        part
    };
    let parts: Vec<Value> = operation.iter().map(part).collect();
    json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]})
}

fn replace(path: &str, value: Value) -> Value {
    fhirpath(&[
        ("type", json!({"valueCode": "replace"})),
        ("path", json!({"valueString": path})),
        ("value", value),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_patch_makes_the_next_version() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);

    let add = json!([{"op": "add", "path": "/active", "value": true}]);
    let first = patch(&site, &path, JSON_PATCH, &add).await.expect(200);
    let second =
        patch(&site, &path, MERGE_PATCH, &json!({"gender": "female", "active": null})).await;
    let renamed = replace("Patient.name[0].family", json!({"valueString": "Byron"}));
    let third = patch(&site, &path, JSON, &renamed).await.expect(200);

    assert_eq!((first.header("etag"), &first.json()["active"]), ("W/\"2\"", &json!(true)));
    assert!(first.header("location").ends_with("/_history/2"));
    let second = second.expect(200).json();
    assert_eq!((second.get("active"), &second["gender"]), (None, &json!("female")));
    assert_eq!(third.json()["name"][0]["family"], "Byron");
    assert_eq!(third.bytes, site.get(&path).await.expect(200).bytes);
    let history = site.get(&format!("{path}/_history")).await.expect(200).json();
    assert_eq!(history["total"], 4);
    let found = site.count("Patient?family=Byron&gender=female").await;
    assert_eq!(found, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_json_is_a_patch_by_its_form_and_other_media_are_refused() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);

    let merged =
        patch(&site, &path, "application/json", &json!({"active": true})).await.expect(200);
    let listed = json!([{"op": "test", "path": "/active", "value": true}, {"op": "remove", "path": "/active"}]);
    let listed = patch(&site, &path, "application/json; charset=utf-8", &listed).await.expect(200);

    assert_eq!(merged.json()["active"], true);
    assert!(listed.json().get("active").is_none());
    for media in ["text/plain", "application/octet-stream", "application/json-patch"] {
        let refused = patch(&site, &path, media, &json!({})).await.expect(415);
        assert!(refused.header("accept-patch").contains(JSON_PATCH), "{media}");
    }
    let partial = patch(&site, &path, JSON, &json!({"resourceType": "Patient"})).await.expect(400);
    assert_eq!(partial.issue(), ("invalid".into(), "resourceType".into()));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decimals_survive_a_patch_byte_for_byte() {
    let site = Site::start().await;
    let body = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.10,"unit":"kg"}}"#;
    let request = site.request(Method::POST, "/Observation").header(TYPE, JSON).body(body);
    let path = format!(
        "/Observation/{}",
        Answer::of(request).await.expect(201).json()["id"].as_str().unwrap()
    );

    let request = site.request(Method::PATCH, &path).header(TYPE, JSON_PATCH);
    let patch = r#"[{"op":"test","path":"/valueQuantity/value","value":1.1},{"op":"add","path":"/component","value":[{"code":{"text":"y"},"valueQuantity":{"value":2.50}}]}]"#;
    let patched = Answer::of(request.body(patch)).await.expect(200).text_all();

    assert!(patched.contains(r#""value":1.10,"#), "{patched}");
    assert!(patched.contains(r#""value":2.50}"#), "{patched}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_that_does_not_fit_leaves_no_trace() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);
    let refused = async |media, body: Value, status: u16| {
        let answer = patch(&site, &path, media, &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        answer.issue()
    };

    refused(JSON_PATCH, json!([{"op": "remove", "path": "/active"}]), 422).await;
    refused(JSON_PATCH, json!([{"op": "test", "path": "/name/0/family", "value": "Eve"}]), 422)
        .await;
    refused(JSON_PATCH, json!([{"op": "add"}]), 400).await;
    refused(JSON_PATCH, json!({"op": "add"}), 400).await;
    refused(JSON_PATCH, json!([{"op": "replace", "path": "/id", "value": "other"}]), 422).await;
    // What comes out is read as strictly as what is sent.
    let at = refused(MERGE_PATCH, json!({"gender": "lady"}), 422).await.1;
    assert_eq!(at, "Patient.gender");
    let at = refused(MERGE_PATCH, json!({"colour": "red"}), 422).await.1;
    assert_eq!(at, "Patient.colour");
    let at = refused(JSON, replace("Patient.gender", json!({"valueCode": "female"})), 422).await.1;
    assert_eq!(at, "Parameters.parameter[0]");

    let history = site.get(&format!("{path}/_history")).await.json();
    assert_eq!(history["total"], 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preconditions_absence_and_deletion_are_told_apart() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);
    let active = json!({"active": true});
    let sent = async |path: &str, if_match: &str| {
        let request = site.request(Method::PATCH, path).header(TYPE, MERGE_PATCH);
        Answer::of(request.header("if-match", if_match).body(active.to_string())).await
    };

    sent(&path, "W/\"2\"").await.expect(412);
    sent(&path, "W/\"3\", \"1\"").await.expect(200);
    sent(&path, "1").await.expect(412);
    sent("/Patient/none", "*").await.expect(404);
    patch(&site, "/Patient/none", MERGE_PATCH, &active).await.expect(404);
    let unchanged = sent(&path, "*").await.expect(200);
    assert_eq!(unchanged.header("etag"), "W/\"2\"");
    site.delete(&path).await.expect(204);
    patch(&site, &path, MERGE_PATCH, &active).await.expect(410);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_patch_needs_exactly_one_match() {
    let site = Site::start().await;
    let named = |value: &str| json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": value}]});
    site.create(&named("7")).await;
    let active = json!([{"op": "add", "path": "/active", "value": true}]);

    let one = patch(&site, "/Patient?identifier=urn:mrn|7", JSON_PATCH, &active).await.expect(200);
    patch(&site, "/Patient?identifier=urn:mrn|8", JSON_PATCH, &active).await.expect(404);
    patch(&site, "/Patient", JSON_PATCH, &active).await.expect(405);
    site.create(&named("7")).await;
    let several = patch(&site, "/Patient?identifier=urn:mrn|7", JSON_PATCH, &active).await;

    assert_eq!(one.json()["active"], true);
    several.expect(412);
    assert_eq!(site.count("Patient?active=true").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_that_race_are_each_applied_to_the_newest_version() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);
    let one = |at: usize| {
        let value = json!({"system": "urn:n", "value": at.to_string()});
        add_identifier(value)
    };

    let bodies: Vec<Value> = (0..24).map(one).collect();
    let sends = bodies.iter().map(|body| patch(&site, &path, JSON, body));
    let answers = futures::future::join_all(sends).await;

    assert!(answers.iter().all(|answer| answer.status == 200));
    let last = site.get(&path).await.json();
    assert_eq!(last["identifier"].as_array().unwrap().len(), 24);
    assert_eq!(last["meta"]["versionId"], "25");
    site.stop().await;
}

fn add_identifier(value: Value) -> Value {
    fhirpath(&[
        ("type", json!({"valueCode": "add"})),
        ("path", json!({"valueString": "Patient"})),
        ("name", json!({"valueString": "identifier"})),
        ("value", json!({"valueIdentifier": value})),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_patch_by_parameters_and_by_binary_and_name_what_they_make() {
    let site = Site::start().await;
    let observation = site
        .create(
            &json!({"resourceType": "Observation", "status": "preliminary", "code": {"text": "x"}}),
        )
        .await;
    let other = site.create(&patient("Ada")).await;
    let subject = fhirpath(&[
        ("type", json!({"valueCode": "add"})),
        ("path", json!({"valueString": "Observation"})),
        ("name", json!({"valueString": "subject"})),
        (
            "value",
            json!({"valueReference": {"reference": "urn:uuid:7b8a1a30-0000-4000-8000-000000000001"}}),
        ),
    ]);
    let active = r#"[{"op":"add","path":"/active","value":true}]"#;
    let binary = json!({"resourceType": "Binary", "contentType": JSON_PATCH, "data": STANDARD.encode(active)});
    let bundle = |kind: &str| {
        json!({"resourceType": "Bundle", "type": kind, "entry": [
            {"fullUrl": "urn:uuid:7b8a1a30-0000-4000-8000-000000000001", "resource": patient("Eve"), "request": {"method": "POST", "url": "Patient"}},
            {"resource": subject, "request": {"method": "PATCH", "url": observation}},
            {"resource": binary, "request": {"method": "PATCH", "url": other, "ifMatch": "W/\"1\""}},
        ]})
    };

    let done = site.post("", &bundle("transaction")).await.expect(200).json();

    let statuses: Vec<&str> = done["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["response"]["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["201 Created", "200 OK", "200 OK"]);
    let made = done["entry"][0]["response"]["location"].as_str().unwrap();
    let made =
        made.strip_prefix(&format!("{}/", site.base)).unwrap().split("/_history").next().unwrap();
    let patched = site.get(&format!("/{observation}")).await.json();
    assert_eq!(patched["subject"]["reference"], made);
    assert_eq!(site.get(&format!("/{other}")).await.json()["active"], true);
    // The second time nothing fits any more, and nothing is written.
    let refused = site.post("", &bundle("transaction")).await;
    assert!(refused.status == 412 || refused.status == 422, "{}", refused.text());
    assert_eq!(site.count("Patient").await, 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_stays_within_what_the_caller_may_write() {
    let site = Site::start().await;
    let ada = site.create(&patient("Ada")).await;
    let bob = site.create(&patient("Bob")).await;
    let of = |who: &str| json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": who}});
    let (own, foreign) = (site.create(&of(&ada)).await, site.create(&of(&bob)).await);
    let limited = site.limited_token(ada.strip_prefix("Patient/").unwrap());
    let sent = async |token: &str, path: &str, body: Value| {
        let request = site.request_as(token, Method::PATCH, &format!("/{path}"));
        Answer::of(request.header(TYPE, MERGE_PATCH).body(body.to_string())).await
    };

    sent(&limited, &own, json!({"status": "amended"})).await.expect(200);
    sent(&limited, &foreign, json!({"status": "amended"})).await.expect(404);
    sent(&limited, &own, json!({"subject": {"reference": bob}})).await.expect(403);
    let patient = site.token_of(Role::Patient, ada.strip_prefix("Patient/"));
    sent(&patient, &own, json!({"status": "amended"})).await.expect(403);

    assert_eq!(site.get(&format!("/{own}")).await.json()["meta"]["versionId"], "2");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_told_added_and_deleted() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);
    let labels = |code: &str| {
        json!({"resourceType": "Parameters", "parameter": [
            {"name": "meta", "valueMeta": {"tag": [{"system": "urn:t", "code": code}]}},
        ]})
    };
    let meta = |answer: Answer| answer.expect(200).json()["parameter"][0]["valueMeta"].clone();

    let added = meta(site.post(&format!("{path}/$meta-add"), &labels("a")).await);
    let again = meta(site.post(&format!("{path}/$meta-add"), &labels("a")).await);
    let told = meta(site.get(&format!("{path}/$meta")).await);

    assert_eq!(added["tag"], json!([{"system": "urn:t", "code": "a"}]));
    assert_eq!((&added["versionId"], &again["versionId"]), (&json!("2"), &json!("2")));
    assert_eq!(told, again);
    assert_eq!(site.count("Patient?_tag=urn:t|a").await, 1);
    let deleted = meta(site.post(&format!("{path}/$meta-delete"), &labels("a")).await);
    assert!(deleted.get("tag").is_none());
    assert_eq!(site.count("Patient?_tag=urn:t|a").await, 0);
    for bad in [json!({"resourceType": "Parameters"}), json!({"resourceType": "Patient"})] {
        site.post(&format!("{path}/$meta-add"), &bad).await.expect(400);
    }
    site.get(&format!("{path}/$meta-add")).await.expect(405);
    site.get("/Patient/none/$meta").await.expect(404);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_brings_no_conditional_reference() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);
    let place = ("invalid".to_owned(), "Patient.managingOrganization.reference".to_owned());

    for asked in ["Organization?", "Organization?_=3", "Organization?identifier=urn:o|1"] {
        let asked = json!({"reference": asked});
        let add = json!([{"op": "add", "path": "/managingOrganization", "value": asked}]);
        let merge = json!({"managingOrganization": asked});
        for (media, body) in [(JSON_PATCH, add), (MERGE_PATCH, merge)] {
            let refused = patch(&site, &path, media, &body).await.expect(400);
            assert_eq!(refused.issue(), place, "{media}: {asked}");
        }
    }
    assert_eq!(site.get(&path).await.expect(200).json()["meta"]["versionId"], "1");
    site.stop().await;
}
