//! A Subscription is never taken for one that notifies (FHIR R4 subscription.html: `requested` asks the server to notify,
//! and `active` says that it does).

use reqwest::Method;
use serde_json::{Value, json};

use crate::bundle::bundle;
use crate::site::{Answer, JSON, Site, TYPE};

fn subscription(status: &str) -> Value {
    json!({"resourceType": "Subscription", "id": "s", "status": status, "reason": "new results",
        "criteria": "Observation?status=final",
        "channel": {"type": "rest-hook", "endpoint": "https://client.example/hook"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_would_wait_for_notifications_is_refused_whoever_writes_it() {
    let site = Site::start().await;
    let rule = |place: &str| ("business-rule".to_owned(), place.to_owned());

    for status in ["requested", "active"] {
        let body = subscription(status);
        let made = site.post("/Subscription", &body).await.expect(422);
        assert_eq!(made.issue(), rule("Subscription.status"));
        assert!(made.text().contains("status off"), "{}", made.text());
        let put = site.put("/Subscription/s", &body).await.expect(422);
        assert_eq!(put.issue(), rule("Subscription.status"));
        site.put("/Subscription?url=https://client.example/hook", &body).await.expect(422);
        for (method, url) in [("POST", "Subscription"), ("PUT", "Subscription/s")] {
            let entry = json!({"resource": body, "request": {"method": method, "url": url}});
            let whole = site.post("", &bundle("transaction", vec![entry.clone()])).await;
            let place = rule("Bundle.entry[0].resource.status");
            assert_eq!(whole.expect(422).issue(), place);
            let each = site.post("", &bundle("batch", vec![entry])).await.expect(200).json();
            assert_eq!(each["entry"][0]["response"]["status"], "422 Unprocessable Entity");
        }
    }
    assert_eq!(site.count("Subscription").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_off_is_kept_and_cannot_be_switched_on() {
    let site = Site::start().await;
    site.put("/Subscription/s", &subscription("off")).await.expect(201);
    site.put("/Subscription/e", &{
        let mut failed = subscription("error");
        failed["id"] = json!("e");
        failed
    })
    .await
    .expect(201);

    let patches = [
        (
            "application/json-patch+json",
            json!([{"op": "replace", "path": "/status", "value": "active"}]),
        ),
        (
            JSON,
            json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
            {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Subscription.status"},
            {"name": "value", "valueCode": "requested"}]}]}),
        ),
    ];
    for (media, patch) in patches {
        let request = site.request(Method::PATCH, "/Subscription/s").header(TYPE, media);
        let refused = Answer::of(request.body(patch.to_string())).await.expect(422);
        let place = "Subscription.status".to_owned();
        assert_eq!(refused.issue(), ("business-rule".to_owned(), place));
    }

    let kept = site.get("/Subscription/s").await.expect(200).json();
    assert_eq!((&kept["status"], &kept["meta"]["versionId"]), (&json!("off"), &json!("1")));
    site.delete("/Subscription/s").await.expect(204);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_capability_statement_says_that_nobody_is_notified() {
    let site = Site::start().await;

    let stated = site.get("/metadata").await.expect(200).json();

    let types = stated["rest"][0]["resource"].as_array().unwrap();
    let of = |name: &str| types.iter().find(|one| one["type"] == name).unwrap();
    let told = of("Subscription")["documentation"].as_str().unwrap();
    assert!(told.contains("no notifications"), "{told}");
    assert_eq!(of("Patient").get("documentation"), None);
    site.stop().await;
}
