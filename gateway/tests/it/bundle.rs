//! Transactions and batches.

use serde_json::{Value, json};

use crate::site::{Answer, Site, patient};

pub(crate) const PATIENT: &str = "urn:uuid:11111111-1111-4111-8111-111111111111";

pub(crate) fn entry(method: &str, url: &str, full_url: Option<&str>, resource: Value) -> Value {
    let mut entry = json!({"resource": resource, "request": {"method": method, "url": url}});
    if let Some(full_url) = full_url {
        entry["fullUrl"] = json!(full_url);
    }
    entry
}

pub(crate) fn observation(subject: &str, performer: Option<&str>) -> Value {
    let mut body = json!({
        "resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "subject": {"reference": subject},
    });
    if let Some(performer) = performer {
        body["performer"] = json!([{"reference": performer}]);
    }
    body
}

pub(crate) fn bundle(kind: &str, entries: Vec<Value>) -> Value {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_resolves_urns_and_conditional_references() {
    let site = Site::start().await;
    let doctor = site
        .create(&json!({"resourceType": "Practitioner", "identifier": [{"system": "urn:npi", "value": "9"}]}))
        .await;

    let posted = bundle(
        "transaction",
        vec![
            entry(
                "POST",
                "Observation",
                None,
                observation(PATIENT, Some("Practitioner?identifier=urn:npi|9")),
            ),
            entry("POST", "Patient", Some(PATIENT), patient("Ada")),
        ],
    );
    let answer = site.post("", &posted).await.expect(200).json();

    assert_eq!(answer["type"], "transaction-response");
    let location =
        |at: usize| answer["entry"][at]["response"]["location"].as_str().unwrap().to_owned();
    assert_eq!(answer["entry"][0]["response"]["status"], "201 Created");
    let stored = site.get(&location(0)).await.expect(200).json();
    let patient_key = location(1);
    assert!(patient_key.contains(stored["subject"]["reference"].as_str().unwrap()));
    assert_eq!(stored["performer"][0]["reference"], doctor);
    site.get(&patient_key).await.expect(200);
    assert_eq!(site.count("Patient").await, 1);
    let found = format!("Observation?performer={doctor}");
    assert_eq!(site.count(&found).await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_reference_finds_what_the_transaction_itself_creates() {
    let site = Site::start().await;
    let doctor = json!({"resourceType": "Practitioner", "identifier": [{"system": "urn:npi", "value": "9"}]});
    let mut created = entry("POST", "Practitioner", None, doctor);
    created["request"]["ifNoneExist"] = json!("identifier=urn:npi|9");

    let posted = bundle(
        "transaction",
        vec![
            entry("POST", "Patient", Some(PATIENT), patient("Ada")),
            entry(
                "POST",
                "Observation",
                None,
                observation(PATIENT, Some("Practitioner?identifier=urn:npi|9")),
            ),
            created.clone(),
            created,
        ],
    );
    site.post("", &posted).await.expect(200);
    site.post("", &posted).await.expect(200);

    assert_eq!(site.count("Practitioner").await, 1);
    assert_eq!(site.count("Observation?performer:Practitioner.identifier=urn:npi|9").await, 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_one_bad_entry_changes_nothing() {
    let site = Site::start().await;
    let bad = json!({"resourceType": "Patient", "birthDate": "never"});

    let posted = bundle(
        "transaction",
        vec![entry("POST", "Patient", None, patient("Ada")), entry("POST", "Patient", None, bad)],
    );
    let refused = site.post("", &posted).await.expect(400);

    assert_eq!(refused.issue().1, "Bundle.entry[1].resource.birthDate");
    assert_eq!(site.count("Patient").await, 0);
    let unmatched = bundle(
        "transaction",
        vec![
            entry("POST", "Patient", None, patient("Ada")),
            entry("POST", "Observation", None, observation("Patient?identifier=urn:none|1", None)),
        ],
    );
    site.post("", &unmatched).await.expect(412);
    assert_eq!(site.count("Patient").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_writes_a_resource_twice_is_refused() {
    let site = Site::start().await;
    let mut body = patient("Ada");
    body["id"] = json!("p1");

    let twice = bundle(
        "transaction",
        vec![
            entry("PUT", "Patient/p1", None, body.clone()),
            entry("PUT", "Patient/p1", None, body),
        ],
    );

    site.post("", &twice).await.expect(400);
    assert_eq!(site.count("Patient").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_deletes_before_it_creates_and_reads_last() {
    let site = Site::start().await;
    let key = site.create(&patient("Ada")).await;

    let posted = bundle(
        "transaction",
        vec![
            json!({"request": {"method": "GET", "url": "Patient?name=Eve"}}),
            entry("POST", "Patient", None, patient("Eve")),
            json!({"request": {"method": "DELETE", "url": key}}),
        ],
    );
    let answer = site.post("", &posted).await.expect(200).json();

    assert_eq!(answer["entry"][0]["resource"]["total"], 1);
    assert_eq!(answer["entry"][2]["response"]["status"], "204 No Content");
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_each_entry_for_itself() {
    let site = Site::start().await;
    let bad = json!({"resourceType": "Patient", "gender": "unheard-of"});

    let posted = bundle(
        "batch",
        vec![
            entry("POST", "Patient", None, patient("Ada")),
            entry("POST", "Patient", None, bad),
            json!({"request": {"method": "GET", "url": "Patient/absent"}}),
            json!({"request": {"method": "DELETE", "url": "Patient/absent"}}),
        ],
    );
    let answer = site.post("", &posted).await.expect(200).json();

    assert_eq!(answer["type"], "batch-response");
    let status =
        |at: usize| answer["entry"][at]["response"]["status"].as_str().unwrap()[..3].to_owned();
    assert_eq!([status(0), status(1), status(2), status(3)], ["201", "400", "404", "204"]);
    let outcome = &answer["entry"][1]["response"]["outcome"];
    assert_eq!(outcome["issue"][0]["expression"][0], "Bundle.entry[1].resource.gender");
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_three_thousand_entries_is_one_transaction() {
    let site = Site::start().await;
    let mut entries = vec![entry("POST", "Patient", Some(PATIENT), patient("Ada"))];
    entries
        .extend((0..3000).map(|_| entry("POST", "Observation", None, observation(PATIENT, None))));

    site.post("", &bundle("transaction", entries)).await.expect(200);

    assert_eq!(site.count("Observation").await, 3000);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditional_references_among_many_new_resources_stay_linear() {
    let site = Site::start().await;
    let mut entries = Vec::new();
    for number in 0..400 {
        let identified = json!({"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": format!("q{number}")}]});
        entries.push(entry("POST", "Patient", None, identified));
        let subject = format!("Patient?identifier=urn:x|q{number}");
        entries.push(entry("POST", "Observation", None, observation(&subject, None)));
    }

    site.post("", &bundle("transaction", entries)).await.expect(200);

    let found = site.get("/Observation?subject.identifier=urn:x|q7").await.expect(200).json();
    assert_eq!(found["entry"].as_array().unwrap().len(), 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditional_references_that_no_code_decides_are_limited() {
    let site = Site::start().await;
    let mut entries = Vec::new();
    for number in 0..500 {
        let own = json!({"resourceType": "Patient", "id": format!("p{number}")});
        entries.push(entry("PUT", &format!("Patient/p{number}"), None, own));
        let subject = format!("Patient?_id=p{number}");
        entries.push(entry("POST", "Observation", None, observation(&subject, None)));
    }

    let answer = site.post("", &bundle("transaction", entries)).await.expect(422);

    assert_eq!(answer.issue().0, "processing");
    assert_eq!(site.count("Patient").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_transaction_and_an_empty_batch_are_answered() {
    let site = Site::start().await;

    for kind in ["transaction", "batch"] {
        let empty = json!({"resourceType": "Bundle", "type": kind});
        let answer = site.post("", &empty).await.expect(200).json();
        assert_eq!(answer["type"], format!("{kind}-response"));
        assert_eq!(answer.get("entry"), None);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_answer_as_preferred() {
    let site = Site::start().await;
    let send = async |kind: &str, prefer: &str| {
        let body = bundle(kind, vec![entry("POST", "Patient", None, patient("Ada"))]);
        let request = site.request(reqwest::Method::POST, "").header("prefer", prefer);
        let request =
            request.header("content-type", "application/fhir+json").body(body.to_string());
        let answer = Answer::of(request).await.expect(200);
        assert_eq!(answer.header("preference-applied"), prefer);
        answer.json()["entry"][0].clone()
    };

    for kind in ["transaction", "batch"] {
        let minimal = send(kind, "return=minimal").await;
        let whole = send(kind, "return=representation").await;
        let outcome = send(kind, "return=OperationOutcome").await;

        for entry in [&minimal, &whole, &outcome] {
            assert_eq!(entry["response"]["etag"], "W/\"1\"");
            assert!(entry["response"]["lastModified"].is_string());
            assert!(entry["response"]["location"].as_str().unwrap().ends_with("/_history/1"));
        }
        assert_eq!(minimal.get("resource"), None);
        assert_eq!(whole["resource"]["name"][0]["family"], "Ada");
        assert_eq!(whole["response"].get("outcome"), None);
        assert_eq!(outcome["response"]["outcome"]["resourceType"], "OperationOutcome");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_entry_cannot_ask_is_refused_with_what_to_do_instead() {
    let site = Site::start().await;
    let asked = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Patient/1/_nothing"}},
        {"request": {"method": "POST", "url": "Patient/_search"}},
    ]});

    let answered = site.post("", &asked).await.expect(200).json();

    for (at, instead) in [(0, "by itself"), (1, "in a bundle a search is a GET")] {
        let response = &answered["entry"][at]["response"];
        let issue = &response["outcome"]["issue"][0];
        assert!(response["status"].as_str().unwrap().starts_with("501"), "{response}");
        assert_eq!(issue["code"], "not-supported");
        assert!(issue["details"]["text"].as_str().unwrap().contains(instead), "{issue}");
    }
    let metadata = |url: &str| json!({"request": {"method": "GET", "url": url}});
    let statements =
        vec![metadata("metadata?_elements=fhirVersion"), metadata("metadata?mode=nonsense")];
    let answered = site.post("", &bundle("batch", statements)).await.expect(200).json();
    assert_eq!(answered["entry"][0]["resource"]["fhirVersion"], "4.0.1");
    assert!(answered["entry"][0]["resource"]["rest"][0]["resource"].is_null(), "{answered}");
    assert_eq!(answered["entry"][1]["response"]["status"], "400 Bad Request");
    let read = site.post("", &bundle("transaction", vec![metadata("metadata")])).await;
    assert!(read.expect(501).text().contains("by itself"));
    site.stop().await;
}

/// A document of about this many bytes.
fn large(id: &str, bytes: usize) -> Value {
    json!({"resourceType": "Binary", "id": id, "contentType": "text/plain", "data": "QUJD".repeat(bytes / 4)})
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_beyond_what_one_answer_holds_are_left_out_and_the_writes_are_done() {
    let site = Site::start().await;
    let mut found = patient("Ada");
    found["identifier"] = json!([{"system": "urn:mrn", "value": "1"}]);
    found["photo"] = json!([{"contentType": "image/png", "data": "QUJD".repeat(1 << 20)}]);
    site.create(&found).await;
    let mut create = entry("POST", "Patient", None, json!({"resourceType": "Patient"}));
    create["request"]["ifNoneExist"] = json!("identifier=urn:mrn|1");

    for kind in ["transaction", "batch"] {
        let posted = bundle(kind, vec![create.clone(); 20]);
        let request =
            site.request(reqwest::Method::POST, "").header("prefer", "return=representation");
        let request =
            request.header("content-type", "application/fhir+json").body(posted.to_string());
        let answered = Answer::of(request).await.expect(200).json();

        let entries = answered["entry"].as_array().unwrap();
        let whole = entries.iter().filter(|one| one["resource"].is_object()).count();
        // 64 MiB have room for fifteen of a little over 4 MiB.
        assert_eq!(whole, 15, "{kind}");
        for one in entries {
            assert_eq!(one["response"]["status"], "200 OK", "{kind}");
            let is_noted = one["response"]["outcome"].to_string().contains("the answer is full");
            assert_eq!(is_noted, !one["resource"].is_object(), "{kind}");
        }
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_of_more_than_a_preparation_holds_are_refused_as_too_large() {
    let site = Site::start().await;
    let ids: Vec<String> = (0..5).map(|at| format!("large-{at}")).collect();
    for id in &ids {
        site.put(&format!("/Binary/{id}"), &large(id, 14 << 20)).await.expect(201);
    }
    let patch = |id: &String| {
        let patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
            {"name": "type", "valueCode": "replace"},
            {"name": "path", "valueString": "Binary.contentType"},
            {"name": "value", "valueCode": "text/html"},
        ]}]});
        entry("PATCH", &format!("Binary/{id}"), None, patch)
    };

    let refused = site.post("", &bundle("transaction", ids.iter().map(patch).collect())).await;

    let refused = refused.expect(413);
    assert!(refused.text().contains("patched together"), "{}", refused.text());
    site.post("", &bundle("transaction", ids[..4].iter().map(patch).collect())).await.expect(200);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_many_bad_resources_tells_of_each_and_of_few_everything() {
    let site = Site::start().await;
    let bad: serde_json::Map<String, Value> =
        (0..50).map(|at| (format!("a{at}"), json!(1))).collect();
    let mut bad = Value::Object(bad);
    bad["resourceType"] = json!("Patient");
    let posted = bundle("batch", vec![entry("POST", "Patient", None, bad); 150]);

    let answered = site.post("", &posted).await.expect(200).json();

    let issues: Vec<usize> = answered["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["response"]["outcome"]["issue"].as_array().unwrap().len())
        .collect();
    assert_eq!(issues[..100], [50; 100]);
    assert_eq!(issues[100..], [1; 50]);
    site.stop().await;
}
