//! What entries name each other by: `fullUrl` and the URNs of a transaction.
//!
//! Expected values: FHIR R4 bundle.html#Bundle.entry.fullUrl and #references, http.html section 3.1.0.11.2.

use serde_json::{Value, json};

use crate::bundle::{PATIENT, bundle, entry, observation};
use crate::site::{Site, patient};

const NOBODY: &str = "urn:uuid:99999999-1111-4111-8111-111111111111";
/// The name of a namespace is the same in upper case (RFC 8141 §3.1).
const UPPER: &str = "URN:UUID:99999999-1111-4111-8111-111111111111";

fn with_id(mut body: Value, id: &str) -> Value {
    body["id"] = json!(id);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_a_urn_that_no_entry_has_is_refused_with_entry_and_element() {
    let site = Site::start().await;
    let ada = || entry("POST", "Patient", Some(PATIENT), patient("Ada"));
    let mut contained = observation(PATIENT, None);
    contained["performer"] = json!([{"reference": "#d"}]);
    contained["contained"] = json!([{"resourceType": "PractitionerRole", "id": "d",
        "practitioner": {"reference": "urn:oid:1.2.3"}}]);
    let mut extended = observation(PATIENT, None);
    extended["extension"] = json!([{"url": "http://e", "valueReference": {"reference": NOBODY}}]);
    let patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "managingOrganization"},
        {"name": "value", "valueReference": {"reference": NOBODY}}]}]});
    site.put("/Patient/p", &with_id(patient("Eve"), "p")).await.expect(201);

    for (bad, place) in [
        (entry("POST", "Observation", None, observation(NOBODY, None)), "subject.reference"),
        (entry("POST", "Observation", None, observation(UPPER, None)), "subject.reference"),
        (entry("POST", "Observation", None, contained), "contained[0].practitioner.reference"),
        (entry("POST", "Observation", None, extended), "extension[0].value.reference"),
        (entry("PATCH", "Patient/p", None, patch), "parameter[0].part[3].value.reference"),
    ] {
        for entries in [vec![ada(), bad.clone()], vec![bad.clone()]] {
            let at = entries.len() - 1;
            if entries.len() == 1 && bad.to_string().contains(PATIENT) {
                continue;
            }
            let refused = site.post("", &bundle("transaction", entries)).await.expect(400);
            let place = format!("Bundle.entry[{at}].resource.{place}");
            assert_eq!(refused.issue(), ("invalid".to_owned(), place));
        }
    }

    assert_eq!(site.count("Patient").await, 1);
    assert_eq!(site.count("Observation").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_stores_nothing_is_named_by_nobody() {
    let site = Site::start().await;
    site.put("/Patient/p", &with_id(patient("Ada"), "p")).await.expect(201);
    let gone = json!({"fullUrl": PATIENT, "request": {"method": "DELETE", "url": "Patient/p"}});

    let posted = vec![gone, entry("POST", "Observation", None, observation(PATIENT, None))];
    let refused = site.post("", &bundle("transaction", posted)).await.expect(400);

    assert_eq!(refused.issue().1, "Bundle.entry[1].resource.subject.reference");
    site.get("/Patient/p").await.expect(200);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn urns_that_are_no_references_of_the_transaction_are_stored_as_they_are() {
    let site = Site::start().await;
    let inner = json!({"resourceType": "Bundle", "type": "collection",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": NOBODY},
        "entry": [{"fullUrl": PATIENT, "resource": patient("Ada")},
            {"fullUrl": "urn:uuid:2", "resource": observation(PATIENT, None)},
            {"fullUrl": "urn:uuid:3", "resource": observation(NOBODY, None)}]});
    let mut identified = patient("Ada");
    identified["identifier"] = json!([{"system": "urn:oid:1.2.3", "value": NOBODY}]);
    identified["extension"] = json!([{"url": "http://e", "valueUri": NOBODY},
        {"url": "http://f", "valueCanonical": NOBODY},
        {"url": "http://g", "valueReference": {"identifier": {"system": "urn:ietf:rfc:3986", "value": NOBODY}}}]);

    let posted = vec![
        entry("POST", "Bundle", None, inner.clone()),
        entry("POST", "Patient", None, identified.clone()),
    ];
    let answer = site.post("", &bundle("transaction", posted)).await.expect(200).json();

    let stored = async |at: usize| {
        let location = answer["entry"][at]["response"]["location"].as_str().unwrap().to_owned();
        site.get(&location).await.expect(200).json()
    };
    assert_eq!(stored(0).await["entry"], inner["entry"]);
    let kept = stored(1).await;
    assert_eq!(kept["extension"], identified["extension"]);
    assert_eq!(kept["identifier"], identified["identifier"]);
    // Outside of a transaction a URN may be known to others than this server.
    site.post("/Observation", &observation(NOBODY, None)).await.expect(201);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_url_that_contradicts_the_request_is_refused_and_leaves_no_trace() {
    let site = Site::start().await;
    let base = site.base.clone();
    let put = |url: &str| entry("PUT", "Patient/p", Some(url), with_id(patient("Ada"), "p"));
    let where_id = |url: &str| {
        entry("PUT", "Patient?identifier=urn:mrn|1", Some(url), with_id(patient("Ada"), "p"))
    };
    let delete =
        |url: &str| json!({"fullUrl": url, "request": {"method": "DELETE", "url": "Patient/p"}});

    for url in [
        format!("{base}/Patient/other"),
        format!("{base}/R4/Patient/other"),
        format!("{base}/Observation/p"),
        "https://elsewhere.example/fhir/Patient/other".to_owned(),
    ] {
        for bad in [put(&url), where_id(&url), delete(&url)] {
            let refused = site.post("", &bundle("transaction", vec![bad.clone()])).await;
            assert_eq!(refused.expect(400).issue().1, "Bundle.entry[0].fullUrl", "{bad}");
            let answer = site.post("", &bundle("batch", vec![bad])).await.expect(200).json();
            assert_eq!(answer["entry"][0]["response"]["status"], "400 Bad Request");
        }
    }
    assert_eq!(site.count("Patient").await, 0);
    for url in [
        format!("{base}/Patient/p"),
        format!("{base}/R4/Patient/p"),
        "https://elsewhere.example/fhir/Patient/p".to_owned(),
        "https://elsewhere.example/patients/17".to_owned(),
        PATIENT.to_owned(),
    ] {
        for good in [put(&url), delete(&url)] {
            site.post("", &bundle("transaction", vec![good])).await.expect(200);
        }
    }
    // The id of a new resource is given here, whatever the sender calls it.
    let url = "https://elsewhere.example/fhir/Patient/17";
    let post = entry("POST", "Patient", Some(url), patient("Ada"));
    site.post("", &bundle("transaction", vec![post])).await.expect(200);
    site.stop().await;
}
