//! `_sort` by codes and identifiers, by HTTP: contents are opened, and nothing of them is shown but the page.

use policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, Site};

/// Ids in the order of the page.
fn ids(page: &Value) -> Vec<&str> {
    let entries = page["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().map(|one| one["resource"]["id"].as_str().unwrap()).collect()
}

fn link(page: &Value, relation: &str) -> Option<String> {
    let links = page["link"].as_array().unwrap();
    let found = links.iter().find(|one| one["relation"] == relation)?;
    Some(found["url"].as_str().unwrap().to_owned())
}

/// Patients with medical record numbers in another order than their ids, and one without.
async fn patients(site: &Site) {
    for (id, number, gender) in [
        ("p1", Some("MRN-300"), "male"),
        ("p2", Some("MRN-100"), "female"),
        ("p3", None, "male"),
        ("p4", Some("MRN-200"), "female"),
        ("p5", Some("MRN-1000"), "other"),
    ] {
        let mut body = json!({"resourceType": "Patient", "id": id, "gender": gender});
        if let Some(number) = number {
            body["identifier"] = json!([{"system": "urn:mrn", "value": number}]);
            body["managingOrganization"] = json!({"reference": "Organization/o"});
        }
        site.put(&format!("/Patient/{id}"), &body).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_stand_in_the_order_of_their_identifiers_page_after_page_and_back() {
    let site = Site::start().await;
    let organization = json!({"resourceType": "Organization", "id": "o", "name": "Clinic"});
    site.put("/Organization/o", &organization).await.expect(201);
    patients(&site).await;

    let query = "/Patient?_sort=identifier&_count=2&_include=Patient:organization";
    let first = site.get(query).await.expect(200);
    let said = first.text_all();
    let first = first.json();
    assert_eq!(ids(&first), ["p2", "p5", "o"], "by characters: MRN-100, MRN-1000, MRN-200");
    assert_eq!(first["total"], 5);
    let next = link(&first, "next").unwrap();
    assert!(!next.contains("1000") && !said.contains("p4"), "{said}");
    let second = site.get(&next).await.expect(200).json();
    assert_eq!(ids(&second), ["p4", "p1", "o"]);
    let last = site.get(&link(&second, "next").unwrap()).await.expect(200).json();
    assert_eq!(ids(&last), ["p3"], "without an identifier, last");
    assert_eq!(link(&last, "next"), None);
    let back = site.get(&link(&last, "previous").unwrap()).await.expect(200).json();
    assert_eq!(ids(&back), ["p4", "p1", "o"]);

    for (query, expected) in [
        ("_sort=-identifier", vec!["p1", "p4", "p5", "p2", "p3"]),
        ("_sort=gender,-identifier", vec!["p4", "p2", "p1", "p3", "p5"]),
        ("_sort=-gender,_id", vec!["p5", "p1", "p3", "p2", "p4"]),
        ("_sort=identifier&gender=female&_elements=gender", vec!["p2", "p4"]),
        ("_sort=-identifier&_count=1&_summary=true", vec!["p1"]),
        ("_sort=identifier&identifier=urn:mrn|", vec!["p2", "p5", "p4", "p1"]),
    ] {
        let page = site.get(&format!("/Patient?{query}")).await.expect(200).json();
        assert_eq!(ids(&page), expected, "{query}");
    }
    let count = site.get("/Patient?_sort=identifier&_summary=count").await.expect(200).json();
    assert_eq!((&count["total"], ids(&count).len()), (&json!(5), 0));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_codes_goes_with_forms_batches_compartments_and_custom_parameters() {
    let site = Site::start().await;
    patients(&site).await;
    for (id, code, patient) in [("x1", "c", "p1"), ("x2", "a", "p1"), ("x3", "b", "p2")] {
        let body = json!({"resourceType": "Observation", "id": id, "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": code},
            "subject": {"reference": format!("Patient/{patient}")}});
        site.put(&format!("/Observation/{id}"), &body).await.expect(201);
    }
    let words = json!({"resourceType": "SearchParameter", "id": "words", "url": "http://x.example/sp/words", "name": "words",
        "status": "active", "description": "A test.", "code": "words", "base": ["Observation"], "type": "token",
        "expression": "Observation.code.text"});
    site.put("/SearchParameter/words", &words).await.expect(201);

    let form = site.request(Method::POST, "/Observation/_search");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let found = Answer::of(form.body("_sort=code")).await.expect(200).json();
    assert_eq!(ids(&found), ["x2", "x3", "x1"]);
    let own = site.get("/Patient/p1/Observation?_sort=-code").await.expect(200).json();
    assert_eq!(ids(&own), ["x1", "x2"]);
    let all = site.get("?_type=Observation,Patient&_sort=_tag,-_id").await.expect(200).json();
    assert_eq!(ids(&all), ["x3", "x2", "x1", "p5", "p4", "p3", "p2", "p1"]);
    let asked = |kind: &str| {
        json!({"resourceType": "Bundle", "type": kind, "entry": [
            {"request": {"method": "GET", "url": "Observation?_sort=code"}}]})
    };
    let batch = site.post("", &asked("batch")).await.expect(200).json();
    assert_eq!(ids(&batch["entry"][0]["resource"]), ["x2", "x3", "x1"]);
    let refused = site.post("", &asked("transaction")).await;
    assert!(refused.status >= 400 && refused.text().contains("batch"), "{}", refused.text());
    let mut custom = site.get("/Observation?_sort=-words").await;
    for _ in 0..1_000 {
        if custom.status != 503 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        custom = site.get("/Observation?_sort=-words").await;
    }
    assert_eq!(ids(&custom.expect(200).json()), ["x1", "x3", "x2"]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_gets_the_own_in_order_and_an_operator_learns_that_contents_are_opened() {
    let site = Site::start().await;
    patients(&site).await;
    let own = site.token_of(Role::Patient, Some("p4"));
    let operator = site.token_of(Role::Operator, None);

    let found = site.get_as(&own, "/Patient?_sort=identifier").await.expect(200).json();
    assert_eq!(ids(&found), ["p4"]);
    let told = site.get_as(&operator, "/Patient/$explain?_sort=identifier").await.expect(200);
    let told = told.text_all();
    assert!(told.contains("are opened and sorted") && !told.contains("MRN"), "{told}");
    for refused in ["Observation?_sort=code-value-quantity", "Location?_sort=near"] {
        let text = site.get(&format!("/{refused}")).await.expect(400).text();
        let name = refused.rsplit('=').next().unwrap();
        assert!(text.contains(name), "{refused}: {text}");
    }
    site.stop().await;
}
