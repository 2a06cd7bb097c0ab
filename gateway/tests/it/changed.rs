//! Criteria and references about what the same transaction patches or deletes.
//!
//! Expected values: FHIR R4 http.html section 3.1.0.11.2: deletions come first, conditional references mean resources as the
//! transaction leaves them.

use serde_json::{Value, json};

use crate::bundle::{bundle, entry, observation};
use crate::site::Site;

fn identified(value: &str) -> Value {
    json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": value}]})
}

fn transaction(entries: Vec<Value>) -> Value {
    bundle("transaction", entries)
}

/// A FHIRPath Patch that adds an identifier.
fn identifying(value: &str) -> Value {
    json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "identifier"},
        {"name": "value", "valueIdentifier": {"system": "urn:mrn", "value": value}}]}]})
}

fn replacing(value: &str) -> Value {
    json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.identifier[0].value"},
        {"name": "value", "valueString": value}]}]})
}

async fn subject(site: &Site, answer: &Value, at: usize) -> String {
    let location = answer["entry"][at]["response"]["location"].as_str().unwrap();
    let stored = site.get(location).await.expect(200).json();
    stored["subject"]["reference"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_reference_beside_a_patch_of_its_type_means_what_the_patch_leaves() {
    let site = Site::start().await;
    let (ada, eve) = (site.create(&identified("7")).await, site.create(&identified("8")).await);
    let refer = |patch: Value, to: &str| {
        transaction(vec![
            entry(
                "POST",
                "Observation",
                None,
                observation(&format!("Patient?identifier=urn:mrn|{to}"), None),
            ),
            entry("PATCH", &ada, None, patch),
        ])
    };

    // Another resource of the type, the patched one by what it keeps, and by what it gets.
    for (to, expected) in [("8", &eve), ("7", &ada), ("new", &ada)] {
        let patch = identifying(&format!("{to}-other"));
        let patch = if to == "new" { identifying("new") } else { patch };
        let answer = site.post("", &refer(patch, to)).await.expect(200).json();
        assert_eq!(subject(&site, &answer, 0).await, *expected, "{to}");
    }
    // What the patch takes away, and what it makes like another.
    let gone = site.post("", &refer(replacing("70"), "7")).await.expect(412);
    assert_eq!(gone.issue().1, "Bundle.entry[0].resource.subject.reference");
    let several = site.post("", &refer(identifying("8"), "8")).await.expect(412);
    assert!(several.text().contains("several"), "{}", several.text());
    // A patch by criteria is known as well.
    let posted = transaction(vec![
        entry("PATCH", "Patient?identifier=urn:mrn|8", None, identifying("88")),
        entry("POST", "Observation", None, observation("Patient?identifier=urn:mrn|88", None)),
    ]);
    let answer = site.post("", &posted).await.expect(200).json();
    assert_eq!(subject(&site, &answer, 1).await, eve);
    assert_eq!(site.count("Observation").await, 4);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_patch_makes_is_not_guessed_where_it_is_itself_to_be_rewritten_or_does_not_fit() {
    let site = Site::start().await;
    let ada = site.create(&identified("7")).await;
    let rewritten = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "managingOrganization"},
        {"name": "value", "valueReference": {"reference": "urn:uuid:1"}}]}]});
    let refer = |patch: Value| {
        transaction(vec![
            entry("PATCH", &ada, None, patch),
            entry(
                "POST",
                "Organization",
                Some("urn:uuid:1"),
                json!({"resourceType": "Organization", "name": "a"}),
            ),
            entry("POST", "Observation", None, observation("Patient?identifier=urn:mrn|7", None)),
        ])
    };

    let guess = site.post("", &refer(rewritten)).await.expect(422);
    assert_eq!(guess.issue().1, "Bundle.entry[2].resource.subject.reference");
    let unfit = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Patient.birthDate"},
        {"name": "value", "valueDate": "1980-01-01"}]}]});
    let unfit = site.post("", &refer(unfit)).await.expect(422);
    assert!(unfit.issue().1.starts_with("Bundle.entry[0]"), "{}", unfit.text());

    assert_eq!(site.count("Observation").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_matches_the_one_that_a_transaction_leaves_is_found() {
    let site = Site::start().await;
    let mut made = Vec::new();
    for _ in 0..40 {
        made.push(site.create(&identified("same")).await);
    }
    let deleted = |keys: &[String]| -> Vec<Value> {
        keys.iter().map(|key| json!({"request": {"method": "DELETE", "url": key}})).collect()
    };
    let conditional = || {
        let mut create = entry("POST", "Patient", None, identified("same"));
        create["request"]["ifNoneExist"] = json!("identifier=urn:mrn|same");
        create
    };

    // Two are left: that is too many, however many there were.
    let mut entries = deleted(&made[..38]);
    entries.push(conditional());
    site.post("", &transaction(entries)).await.expect(412);
    // One is left.
    let mut entries = deleted(&made[..39]);
    entries.push(conditional());
    entries.push(entry(
        "POST",
        "Observation",
        None,
        observation("Patient?identifier=urn:mrn|same", None),
    ));
    let answer = site.post("", &transaction(entries)).await.expect(200).json();
    assert_eq!(answer["entry"][39]["response"]["status"], "200 OK");
    assert_eq!(subject(&site, &answer, 40).await, made[39]);
    assert_eq!(site.count("Patient").await, 1);
    // None is left.
    let mut entries = deleted(&made[39..]);
    entries.push(conditional());
    let answer = site.post("", &transaction(entries)).await.expect(200).json();
    assert_eq!(answer["entry"][1]["response"]["status"], "201 Created");
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}
