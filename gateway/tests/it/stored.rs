//! What is stored: every type but Parameters, which has "no RESTful end-point" (FHIR R4 parameters.html).

use policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bundle::bundle;
use crate::site::{Answer, JSON, Site, TYPE};

fn parameters() -> Value {
    json!({"resourceType": "Parameters", "id": "p", "parameter": [{"name": "a", "valueString": "b"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_have_no_place_of_their_own() {
    let site = Site::start().await;
    let operator = site.token_of(Role::Operator, None);
    let places = [
        (Method::POST, "/Parameters"),
        (Method::GET, "/Parameters"),
        (Method::GET, "/Parameters?_id=p"),
        (Method::POST, "/Parameters/_search"),
        (Method::PUT, "/Parameters/p"),
        (Method::GET, "/Parameters/p"),
        (Method::PATCH, "/Parameters/p"),
        (Method::DELETE, "/Parameters/p"),
        (Method::DELETE, "/Parameters?_id=p"),
        (Method::GET, "/Parameters/p/_history"),
        (Method::GET, "/Parameters/p/_history/1"),
        (Method::GET, "/Parameters/p/_history/1/$receipt"),
        (Method::GET, "/Parameters/_history"),
        (Method::GET, "/Parameters/$meta"),
        (Method::GET, "/Parameters/p/$meta"),
        (Method::GET, "/Patient/p/Parameters"),
    ];

    for (method, path) in places {
        let request = site.request(method.clone(), path);
        let request = match (path, &method) {
            (_, &Method::GET) => request,
            ("/Parameters/_search", _) => request.header(TYPE, "application/x-www-form-urlencoded"),
            (_, &Method::PATCH) => request.header(TYPE, "application/json-patch+json").body("[]"),
            _ => request.header(TYPE, JSON).body(parameters().to_string()),
        };
        let refused = Answer::of(request).await.expect(404);
        assert_eq!(refused.issue().0, "not-found", "{path}");
        assert!(refused.text().contains("Parameters is not stored"), "{path}: {}", refused.text());
    }
    let explained = site.get_as(&operator, "/Parameters/$explain").await.expect(404);
    assert!(explained.text().contains("Parameters is not stored"));
    let everything = site.get("?_type=Patient,Parameters").await.expect(400);
    assert!(everything.text().contains("Parameters is not stored"), "{}", everything.text());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_refused_in_every_entry_and_leave_no_trace() {
    let site = Site::start().await;
    let entries = vec![
        json!({"resource": parameters(), "request": {"method": "POST", "url": "Parameters"}}),
        json!({"resource": parameters(), "request": {"method": "PUT", "url": "Parameters/p"}}),
        json!({"resource": parameters(), "request": {"method": "PUT", "url": "Parameters?_id=p"}}),
        json!({"request": {"method": "DELETE", "url": "Parameters/p"}}),
        json!({"request": {"method": "DELETE", "url": "Parameters?_id=p"}}),
        json!({"request": {"method": "GET", "url": "Parameters/p"}}),
        json!({"request": {"method": "GET", "url": "Parameters?_id=p"}}),
        json!({"request": {"method": "GET", "url": "Parameters/p/_history"}}),
    ];

    let answered = site.post("", &bundle("batch", entries.clone())).await.expect(200).json();

    for (at, sent) in entries.into_iter().enumerate() {
        let response = &answered["entry"][at]["response"];
        assert!(response["status"].as_str().unwrap().starts_with('4'), "{sent}: {response}");
        let why = response["outcome"]["issue"][0]["diagnostics"].as_str().unwrap();
        assert!(why.contains("Parameters is not stored"), "{sent}: {why}");
        let alone = site.post("", &bundle("transaction", vec![sent.clone()])).await;
        assert!((400..500).contains(&alone.status), "{sent}: {}", alone.status);
        assert!(alone.text().contains("Parameters is not stored"), "{sent}: {}", alone.text());
    }
    let history = site.get("/_history").await.expect(200).json();
    assert!(history.get("entry").is_none(), "{history}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_contained_validated_and_part_of_a_stored_bundle() {
    let site = Site::start().await;
    let holder = json!({"resourceType": "Basic", "code": {"text": "c"}, "contained": [parameters()],
        "extension": [{"url": "http://e.example/x", "valueReference": {"reference": "#p"}}]});
    let collection = json!({"resourceType": "Bundle", "type": "collection",
        "entry": [{"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "resource": parameters()}]});

    site.create(&holder).await;
    site.create(&collection).await;

    let outcome = site.post("/Parameters/$validate", &parameters()).await.expect(200).json();
    let errors = outcome["issue"].as_array().unwrap().iter();
    assert_eq!(errors.filter(|issue| issue["severity"] == "error").count(), 0, "{outcome}");
    let bad = json!({"resourceType": "Parameters", "parameter": [{"valueString": "no name"}]});
    let outcome = site.post("/Parameters/$validate", &bad).await.expect(200).json();
    assert_eq!(outcome["issue"][0]["expression"][0], "Parameters.parameter[0].name", "{outcome}");
    let statement = site.get("/metadata").await.expect(200).json();
    let types = statement["rest"][0]["resource"].as_array().unwrap();
    assert!(types.iter().all(|one| one["type"] != "Parameters"));
    assert!(types.iter().any(|one| one["type"] == "OperationOutcome"));
    site.stop().await;
}
