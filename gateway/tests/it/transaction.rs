//! Transactions beyond the plain case: order, criteria, links, reads, preconditions, and what is refused.
//!
//! Expected values: FHIR R4 http.html section 3.1.0.11 (processing rules, conditional references, replacement of links).

use serde_json::{Value, json};

use crate::bundle::{PATIENT, bundle, entry, observation};
use crate::site::{Site, patient};

fn identified(value: &str) -> Value {
    json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": value}]})
}

fn with_id(mut body: Value, id: &str) -> Value {
    body["id"] = json!(id);
    body
}

fn bare(method: &str, url: &str) -> Value {
    json!({"request": {"method": method, "url": url}})
}

fn with(mut entry: Value, name: &str, value: &str) -> Value {
    entry["request"][name] = json!(value);
    entry
}

fn transaction(entries: Vec<Value>) -> Value {
    bundle("transaction", entries)
}

fn status(answer: &Value, at: usize) -> &str {
    &answer["entry"][at]["response"]["status"].as_str().unwrap()[..3]
}

/// `Type/id` that an entry of an answer names.
fn key(answer: &Value, at: usize) -> String {
    let location = answer["entry"][at]["response"]["location"].as_str().unwrap();
    let steps: Vec<&str> = location.rsplitn(5, '/').collect();
    format!("{}/{}", steps[3], steps[2])
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_rewritten_in_references_uris_and_narrative_and_not_in_canonicals() {
    let site = Site::start().await;
    let document = json!({
        "resourceType": "DocumentReference", "status": "current",
        "text": {"status": "generated", "div": format!(
            "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{PATIENT}\">{PATIENT}</a><img src=\"urn:oid:1.2.3\" alt=\"x\"/></div>")},
        "subject": {"reference": PATIENT},
        "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": PATIENT},
        "extension": [{"url": "http://e", "valueCanonical": PATIENT}, {"url": "http://f", "valueUri": PATIENT}],
        "content": [{"attachment": {"url": "urn:oid:1.2.3"}}],
    });
    let binary = json!({"resourceType": "Binary", "contentType": "text/plain", "data": "YQ=="});

    let posted = transaction(vec![
        entry("POST", "DocumentReference", None, document),
        entry("POST", "Patient", Some(PATIENT), patient("Ada")),
        entry("POST", "Binary", Some("urn:oid:1.2.3"), binary),
    ]);
    let answer = site.post("", &posted).await.expect(200).json();

    let (ada, scan) = (key(&answer, 1), key(&answer, 2));
    let stored = site.get(&format!("/{}", key(&answer, 0))).await.expect(200).json();
    assert_eq!(stored["subject"]["reference"], ada);
    assert_eq!(stored["content"][0]["attachment"]["url"], scan);
    assert_eq!(stored["extension"][0]["valueCanonical"], PATIENT);
    assert_eq!(stored["extension"][1]["valueUri"], ada);
    assert_eq!(stored["masterIdentifier"]["value"], PATIENT, "a string is no link");
    let div = stored["text"]["div"].as_str().unwrap();
    assert!(div.contains(&format!("<a href=\"{ada}\">{PATIENT}</a><img src=\"{scan}\"")), "{div}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn absolute_relative_and_versioned_references_name_the_entries_that_they_mean() {
    let site = Site::start().await;
    let elsewhere = "http://elsewhere.example/fhir";
    let subject = |reference: &str| observation(reference, None);
    let url = |path: &str| format!("{elsewhere}/{path}");

    let posted = transaction(vec![
        entry("POST", "Patient", Some(&url("Patient/a")), patient("Ada")),
        entry("POST", "Observation", Some(&url("Observation/1")), subject(&url("Patient/a"))),
        entry("POST", "Observation", Some(&url("Observation/2")), subject("Patient/a")),
        entry("POST", "Observation", Some(&url("Observation/3")), subject("Patient/a/_history/9")),
        entry("POST", "Observation", None, subject("Patient/a")),
    ]);
    let answer = site.post("", &posted).await.expect(200).json();

    let ada = key(&answer, 0);
    for (at, expected) in [
        (1, ada.clone()),
        (2, ada.clone()),
        (3, format!("{ada}/_history/1")),
        (4, "Patient/a".into()),
    ] {
        let stored = site.get(&format!("/{}", key(&answer, at))).await.expect(200).json();
        assert_eq!(stored["subject"]["reference"], expected, "entry {at}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn criteria_see_what_the_transaction_deleted_and_created_before() {
    let site = Site::start().await;
    let old = site.create(&identified("7")).await;
    let again = with(
        entry("POST", "Patient", None, identified("8")),
        "ifNoneExist",
        "identifier=urn:mrn|8",
    );

    let posted = transaction(vec![
        again.clone(),
        with(
            entry("POST", "Patient", None, identified("7")),
            "ifNoneExist",
            "identifier=urn:mrn|7",
        ),
        entry("POST", "Observation", None, observation("Patient?identifier=urn:mrn|7", None)),
        bare("DELETE", "Patient?identifier=urn:mrn|7"),
        with(
            entry("POST", "Patient", None, identified("8")),
            "ifNoneExist",
            "identifier=urn%3Amrn|8",
        ),
    ]);
    let answer = site.post("", &posted).await.expect(200).json();

    let statuses: Vec<&str> = (0..5).map(|at| status(&answer, at)).collect();
    assert_eq!(statuses, ["201", "201", "201", "204", "200"]);
    assert_ne!(key(&answer, 1), old);
    assert_eq!(key(&answer, 0), key(&answer, 4));
    let stored = site.get(&format!("/{}", key(&answer, 2))).await.expect(200).json();
    assert_eq!(stored["subject"]["reference"], key(&answer, 1));
    assert_eq!(site.count("Patient").await, 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_reference_without_criteria_is_refused_at_its_place() {
    let site = Site::start().await;
    site.create(&patient("Ada")).await;

    for reference in ["Patient?", "Patient?_=3", "Patient?&"] {
        for other in [Vec::new(), vec![entry("POST", "Patient", Some(PATIENT), patient("Eve"))]] {
            let mut entries =
                vec![entry("POST", "Observation", None, observation(reference, None))];
            entries.extend(other);
            let refused = site.post("", &transaction(entries)).await.expect(400);
            let place = "Bundle.entry[0].resource.subject.reference";
            assert_eq!(refused.issue().1, place, "{reference}");
        }
    }
    site.post("/Observation", &observation("Patient?", None)).await.expect(400);
    assert_eq!((site.count("Observation").await, site.count("Patient").await), (0, 1));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn criteria_about_names_and_dates_see_what_the_transaction_made() {
    let site = Site::start().await;
    let born = json!({"resourceType": "Patient", "name": [{"family": "Müller"}], "birthDate": "1980-02-03"});
    let once =
        |query: &str| with(entry("POST", "Patient", None, born.clone()), "ifNoneExist", query);

    let posted = transaction(vec![
        once("family=muller&birthdate=1980-02-03"),
        once("birthdate=1980-02-03&family:exact=Müller"),
        once("family:contains=ulle"),
        once("family=muller&birthdate=gt1980-02-03"),
    ]);
    let answer = site.post("", &posted).await.expect(200).json();

    let statuses: Vec<&str> = (0..4).map(|at| status(&answer, at)).collect();
    assert_eq!(statuses, ["201", "200", "200", "201"]);
    assert_eq!(site.count("Patient").await, 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_means_a_resource_as_the_transaction_leaves_it() {
    let site = Site::start().await;
    let moved = site.create(&identified("7")).await;
    let id = moved.strip_prefix("Patient/").unwrap();

    let posted = transaction(vec![
        entry("PUT", &moved, None, with_id(identified("8"), id)),
        entry("POST", "Observation", None, observation("Patient?identifier=urn:mrn|8", None)),
    ]);
    site.post("", &posted).await.expect(200);
    let gone = transaction(vec![
        entry("PUT", &moved, None, with_id(identified("9"), id)),
        entry("POST", "Observation", None, observation("Patient?identifier=urn:mrn|8", None)),
    ]);
    let refused = site.post("", &gone).await.expect(412);

    assert_eq!(refused.issue().1, "Bundle.entry[1].resource.subject.reference");
    assert_eq!(site.count(&format!("Observation?subject={moved}")).await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_resource_written_twice_is_refused_with_both_entries_however_it_is_named() {
    let site = Site::start().await;
    let stored = site.create(&identified("7")).await;
    let id = stored.strip_prefix("Patient/").unwrap().to_owned();
    let by_id = || entry("PUT", &stored, None, with_id(patient("Ada"), &id));
    let where_7 = || entry("PUT", "Patient?identifier=urn:mrn|7", None, identified("7"));
    let new = || entry("POST", "Patient", None, identified("8"));
    let where_8 = || entry("PUT", "Patient?identifier=urn:mrn|8", None, identified("8"));
    let absent = || entry("PUT", "Patient/absent", None, with_id(patient("Ada"), "absent"));

    for (name, entries) in [
        ("id and criteria", vec![by_id(), new(), where_7()]),
        ("criteria twice", vec![where_7(), new(), where_7()]),
        ("deleted and updated", vec![by_id(), new(), bare("DELETE", &stored)]),
        (
            "deleted twice",
            vec![bare("DELETE", &stored), new(), bare("DELETE", "Patient?identifier=urn:mrn|7")],
        ),
        ("made and updated by criteria", vec![new(), by_id(), where_8()]),
        ("made by criteria twice", vec![where_8(), by_id(), where_8()]),
        ("made and deleted", vec![absent(), new(), bare("DELETE", "Patient/absent")]),
        (
            "deleted twice though absent",
            vec![bare("DELETE", "Patient/absent"), new(), bare("DELETE", "Patient/absent")],
        ),
        (
            "left as it is and deleted",
            vec![
                entry("PUT", &stored, None, with_id(identified("7"), &id)),
                new(),
                bare("DELETE", &stored),
            ],
        ),
    ] {
        let refused = site.post("", &transaction(entries)).await;
        assert_eq!(refused.status, 400, "{name}: {}", refused.text());
        let outcome = refused.json();
        let mut places: Vec<_> =
            (0..2).map(|at| outcome["issue"][at]["expression"][0].as_str().unwrap()).collect();
        places.sort_unstable();
        assert_eq!(places, ["Bundle.entry[0]", "Bundle.entry[2]"], "{name}");
    }

    let history = site.get(&format!("/{stored}/_history")).await.expect(200).json();
    assert_eq!(history["total"], 1, "nothing was written");
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_in_a_transaction_see_its_writes_and_nothing_later() {
    let site = Site::start().await;
    let stored = site.create(&identified("7")).await;
    let id = stored.strip_prefix("Patient/").unwrap();

    let posted = transaction(vec![
        bare("GET", &stored),
        bare("HEAD", &stored),
        bare("GET", &format!("{stored}/_history/1")),
        bare("GET", "Patient?identifier=urn:mrn|8"),
        bare("GET", &format!("{}/Patient?identifier=urn:mrn|7", site.base)),
        with(bare("GET", &stored), "ifNoneMatch", "W/\"2\""),
        with(bare("GET", &stored), "ifNoneMatch", "W/\"1\""),
        with(bare("GET", &stored), "ifModifiedSince", "2099-01-01T00:00:00Z"),
        entry("PUT", &format!("/{stored}"), None, with_id(identified("8"), id)),
        bare("GET", &format!("{stored}/_history?_count=1")),
        bare("GET", "_history"),
    ]);
    let answer = site.post("", &posted).await.expect(200).json();

    let entry = |at: usize| &answer["entry"][at];
    assert_eq!(entry(0)["resource"]["identifier"][0]["value"], "8");
    assert_eq!(entry(0)["response"]["etag"], "W/\"2\"");
    assert_eq!((status(&answer, 1), entry(1).get("resource")), ("200", None));
    assert_eq!(entry(2)["resource"]["identifier"][0]["value"], "7");
    assert_eq!(entry(3)["resource"]["total"], 1);
    assert_eq!(entry(4)["resource"]["total"], 0);
    let statuses: Vec<&str> = (5..9).map(|at| status(&answer, at)).collect();
    assert_eq!(statuses, ["304", "200", "304", "200"]);
    assert_eq!(entry(5).get("resource"), None);
    assert_eq!(entry(9)["resource"]["total"], 2);
    assert_eq!(entry(9)["resource"]["entry"][0]["resource"]["identifier"][0]["value"], "8");
    assert_eq!(entry(10)["resource"]["type"], "history");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_fails_takes_the_whole_transaction_back() {
    let site = Site::start().await;
    let stored = site.create(&identified("7")).await;

    for (read, expected) in [
        (bare("GET", "Patient/absent"), 404),
        (bare("GET", "Patient/absent/_history/1"), 404),
        (bare("GET", &stored), 410),
        (bare("GET", "Patient?no-such=1"), 400),
        (bare("GET", "Nonsense/1"), 404),
        (bare("GET", "Patient/1/_history/2/3"), 501),
        (bare("GET", "Patient/$everything"), 501),
    ] {
        let posted = transaction(vec![
            entry("POST", "Patient", None, patient("Ada")),
            bare("DELETE", &stored),
            read.clone(),
        ]);
        let refused = site.post("", &posted).await.expect(expected);
        assert!(refused.issue().1.starts_with("Bundle.entry[2]"), "{read}: {}", refused.text());
    }
    let only = transaction(vec![bare("GET", &stored), bare("GET", "Patient/absent")]);
    assert_eq!(site.post("", &only).await.expect(404).issue().1, "Bundle.entry[1]");

    assert_eq!(site.count("Patient").await, 1);
    site.get(&format!("/{stored}")).await.expect(200);
    site.create(&patient("Eve")).await;
    assert_eq!(site.count("Patient").await, 2, "the writer goes on");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_preconditions_name_their_entry_and_leave_no_trace() {
    let site = Site::start().await;
    let stored = site.create(&identified("7")).await;
    site.create(&identified("9")).await;
    site.create(&identified("9")).await;
    let id = stored.strip_prefix("Patient/").unwrap();
    let put = || entry("PUT", &stored, None, with_id(identified("8"), id));

    for bad in [
        with(put(), "ifMatch", "W/\"2\""),
        with(put(), "ifNoneMatch", "*"),
        with(bare("DELETE", &stored), "ifMatch", "W/\"9\""),
        with(bare("DELETE", "Patient?identifier=urn:mrn|7"), "ifMatch", "W/\"9\""),
        with(bare("DELETE", "Patient?identifier=urn:none|7"), "ifMatch", "W/\"1\""),
        with(
            entry("PUT", "Patient?identifier=urn:mrn|7", None, identified("7")),
            "ifMatch",
            "W/\"3\"",
        ),
        bare("DELETE", "Patient?identifier=urn:mrn|9"),
        entry("PUT", "Patient?identifier=urn:mrn|9", None, identified("9")),
        with(
            entry("POST", "Patient", None, identified("9")),
            "ifNoneExist",
            "identifier=urn:mrn|9",
        ),
        entry("POST", "Observation", None, observation("Patient?identifier=urn:mrn|9", None)),
        entry("POST", "Observation", None, observation("Patient?identifier=urn:none|1", None)),
    ] {
        let posted = transaction(vec![entry("POST", "Patient", None, patient("Ada")), bad.clone()]);
        let refused = site.post("", &posted).await.expect(412);
        let members = ["ifMatch", "ifNoneMatch", "ifNoneExist"];
        let member = members.into_iter().find(|name| bad["request"][*name].is_string());
        let place = match (bad["request"]["url"] == "Observation", member) {
            (true, _) => "Bundle.entry[1].resource.subject.reference".to_owned(),
            (false, Some(member)) => format!("Bundle.entry[1].request.{member}"),
            (false, None) => "Bundle.entry[1]".to_owned(),
        };
        assert_eq!(refused.issue().1, place, "{bad}");
    }

    assert_eq!(site.count("Patient").await, 3);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_that_cannot_be_applied_are_refused_with_the_place() {
    let site = Site::start().await;
    let mismatch = entry("POST", "Observation", None, patient("Ada"));
    let absent = json!({"fullUrl": "urn:uuid:1", "resource": patient("Ada")});

    for (bad, expected, place) in [
        (absent, 400, "Bundle.entry[1].request"),
        (mismatch, 400, "Bundle.entry[1].resource.resourceType"),
        (bare("POST", "Patient"), 400, "Bundle.entry[1].resource"),
        (bare("DELETE", "Patient"), 400, "Bundle.entry[1].request"),
        (bare("DELETE", "Nonsense/1"), 400, "Bundle.entry[1].request.url"),
        (
            bare("GET", "http://elsewhere.example/fhir/Patient/1"),
            400,
            "Bundle.entry[1].request.url",
        ),
        (
            entry("POST", "Patient/$nothing", None, patient("Ada")),
            501,
            "Bundle.entry[1].request.url",
        ),
        (entry("PUT", "Patient/1", None, patient("Ada")), 400, "Bundle.entry[1].resource.id"),
    ] {
        let posted = transaction(vec![entry("POST", "Patient", None, patient("Ada")), bad.clone()]);
        let refused = site.post("", &posted).await.expect(expected);
        assert_eq!(refused.issue().1, place, "{bad}");

        let answer = site.post("", &bundle("batch", vec![bad.clone()])).await.expect(200).json();
        assert_eq!(status(&answer, 0), expected.to_string(), "{bad}");
        let outcome = &answer["entry"][0]["response"]["outcome"];
        let own = outcome["issue"][0]["expression"][0].as_str().unwrap();
        assert!(own.starts_with("Bundle.entry[0]"), "{bad}: {own}");
    }
    for kind in ["history", "searchset", "collection", "document", "transaction-response"] {
        let refused = site.post("", &bundle(kind, vec![json!({"resource": patient("Ada")})])).await;
        assert_eq!(refused.expect(400).issue().1, "Bundle.type", "{kind}");
    }

    assert_eq!(site.count("Patient").await, 0);
    site.stop().await;
}
