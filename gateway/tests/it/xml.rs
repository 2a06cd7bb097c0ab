//! XML beside JSON, and resources in part: content negotiation, bodies, bundles, `_summary`, `_elements`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, JSON, Site, TYPE, patient};

const XML: &str = "application/fhir+xml";
const XML_ANSWER: &str = "application/fhir+xml; charset=utf-8";

/// A resource in XML as JSON.
fn as_json(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), XML_ANSWER);
    let limits = fhir::ReadLimits::default();
    let json = fhir::xml_to_json(&answer.bytes, &limits).expect("FHIR XML");
    fhir::read(json.clone(), &limits).expect("a resource");
    serde_json::from_slice(&json).unwrap()
}

async fn get_xml(site: &Site, path: &str) -> Answer {
    Answer::of(site.request(Method::GET, path).header("accept", XML)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_written_in_xml_is_stored_as_json_and_read_in_both() {
    let site = Site::start().await;
    let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<Observation xmlns="http://hl7.org/fhir">
  <text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml"><b>John</b> <i>Smith</i></div></text>
  <status value="final"/>
  <code><text value="a &amp; b&#10;c"/></code>
  <valueQuantity><value value="1.10"/></valueQuantity>
</Observation>"#;

    let request = site.request(Method::POST, "/Observation").header(TYPE, XML).body(xml);
    let created = Answer::of(request).await.expect(201);

    assert_eq!(created.header("content-type"), "application/fhir+json; charset=utf-8");
    let text = String::from_utf8(created.bytes.clone()).unwrap();
    assert!(text.contains("\"value\":1.10"), "{text}");
    assert_eq!(created.json()["code"]["text"], "a & b\nc");
    let path = format!("/Observation/{}", created.json()["id"].as_str().unwrap());
    let shown = get_xml(&site, &path).await.expect(200);
    assert_eq!(as_json(&shown), site.get(&path).await.json());
    assert_eq!(shown.header("etag"), "W/\"1\"");
    assert!(shown.text_all().contains("<b>John</b> <i>Smith</i>"));

    let changed = shown.text_all().replace("\"final\"", "\"amended\"");
    let request = site.request(Method::PUT, &path).header(TYPE, "text/xml; charset=utf-8");
    let updated = Answer::of(request.header("accept", XML).body(changed)).await.expect(200);
    assert_eq!(as_json(&updated)["status"], "amended");
    let version = get_xml(&site, &format!("{path}/_history/1")).await.expect(200);
    assert_eq!(version.bytes, shown.bytes);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_verifies_the_json_of_what_came_as_xml() {
    let site = Site::start().await;
    let xml = r#"<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>"#;
    let request = site.request(Method::POST, "/Patient").header(TYPE, XML).body(xml);
    let created = Answer::of(request).await.expect(201);
    let version = format!("/Patient/{}/_history/1", created.json()["id"].as_str().unwrap());

    let receipt = site.sealed_receipt(&version).await;
    let trust = Answer::of(site.anonymous(Method::GET, "/ledger/trust")).await.expect(200);
    let trust = ledger::Trust::parse(&trust.bytes).unwrap();
    let verdict = |bytes: &[u8]| ledger::verify_receipt_bytes(bytes, &receipt, &trust).verdict;

    assert_eq!(verdict(&created.bytes), ledger::Verdict::Verified);
    let shown = get_xml(&site, &version).await.expect(200).bytes;
    assert_ne!(verdict(&shown), ledger::Verdict::Verified);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reading_answers_in_the_form_asked_for() {
    let site = Site::start().await;
    let key = site.create(&patient("Ada")).await;

    for path in [
        format!("/{key}"),
        format!("/{key}/_history/1"),
        format!("/{key}/_history"),
        "/Patient/_history".into(),
        "/_history".into(),
        "/Patient?family=ada".into(),
        "/?_type=Patient,Observation".into(),
        format!("/{key}/Observation"),
        format!("/{key}/$everything"),
        "/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender".into(),
        "/metadata".into(),
    ] {
        let plain = site.get(&path).await.expect(200);
        assert_eq!(plain.header("content-type"), "application/fhir+json; charset=utf-8", "{path}");
        let xml = get_xml(&site, &path).await.expect(200);
        assert_eq!(as_json(&xml)["resourceType"], plain.json()["resourceType"], "{path}");
        let mark = if path.contains('?') { '&' } else { '?' };
        let asked = site.get(&format!("{path}{mark}_format=xml&_pretty=true")).await.expect(200);
        assert!(asked.text_all().contains("\n  <"), "{path}");
        assert_eq!(as_json(&asked)["resourceType"], plain.json()["resourceType"], "{path}");
        let json =
            site.request(Method::GET, &format!("{path}{mark}_format=json")).header("accept", XML);
        assert_eq!(
            Answer::of(json).await.expect(200).json()["resourceType"],
            plain.json()["resourceType"]
        );
    }
    let form = site
        .request(Method::POST, "/Patient/_search")
        .header(TYPE, "application/x-www-form-urlencoded");
    let found = Answer::of(form.body("family=ada&_format=xml")).await.expect(200);
    assert_eq!(as_json(&found)["entry"][0]["resource"]["name"][0]["family"], "Ada");
    let formats = site.get("/metadata").await.json()["format"].clone();
    assert!(formats.as_array().unwrap().contains(&json!(XML)));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_a_searchset_keep_form_and_part() {
    let site = Site::start().await;
    for name in ["Ada", "Bob", "Cid"] {
        site.create(&patient(name)).await;
    }

    let first =
        site.get("/Patient?_count=2&_format=xml&_elements=gender&_sort=_id").await.expect(200);

    let bundle = as_json(&first);
    let link = |relation: &str| {
        let links = bundle["link"].as_array().unwrap();
        let found = links.iter().find(|link| link["relation"] == relation).unwrap();
        found["url"].as_str().unwrap().to_owned()
    };
    assert!(link("self").contains("_format=xml") && link("self").contains("_elements=gender"));
    let next = link("next").replace(&site.base, "");
    let second = as_json(&site.get(&next).await.expect(200));
    assert_eq!(second["entry"].as_array().unwrap().len(), 1);
    assert_eq!(second["entry"][0]["resource"]["meta"]["tag"][0]["code"], "SUBSETTED");
    assert!(second["entry"][0]["resource"].get("name").is_none());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_come_and_go_in_xml() {
    let site = Site::start().await;
    let bundle = r#"<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/>
  <entry><fullUrl value="urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"/><resource><Patient><name><family value="Ada"/></name></Patient></resource>
    <request><method value="POST"/><url value="Patient"/></request></entry>
  <entry><resource><Observation><status value="final"/><code><text value="x"/></code>
    <subject><reference value="urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"/></subject></Observation></resource>
    <request><method value="POST"/><url value="Observation"/></request></entry></Bundle>"#;

    let request = site.request(Method::POST, "").header(TYPE, XML).header("accept", XML);
    let answer = Answer::of(request.body(bundle)).await.expect(200);

    let made = as_json(&answer);
    assert_eq!(made["type"], "transaction-response");
    let location = made["entry"][1]["response"]["location"].as_str().unwrap();
    let path = location.replace(&site.base, "");
    let observation = site.get(path.split("/_history").next().unwrap()).await.expect(200).json();
    assert!(observation["subject"]["reference"].as_str().unwrap().starts_with("Patient/"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_xml_is_said_in_xml_with_its_line() {
    let site = Site::start().await;
    let cases = [
        (
            "<Patient xmlns=\"http://hl7.org/fhir\">\n <foo value=\"1\"/></Patient>",
            "Patient.foo",
            "line 2, column 2",
        ),
        (
            "<Patient xmlns=\"http://hl7.org/fhir\">\n\n <birthDate value=\"1970-13\"/></Patient>",
            "Patient.birthDate",
            "line 3, column 2",
        ),
        ("<Patient xmlns=\"http://hl7.org/fhir\">", "Patient", "ends too early"),
        (
            "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><Patient xmlns=\"http://hl7.org/fhir\"/>",
            "",
            "document type",
        ),
        ("{\"resourceType\":\"Patient\"}", "", "text is not allowed"),
    ];
    for (body, place, words) in cases {
        let request =
            site.request(Method::POST, "/Patient").header(TYPE, XML).header("accept", XML);
        let refused = Answer::of(request.body(body)).await.expect(400);
        let outcome = as_json(&refused);
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        let issue = &outcome["issue"][0];
        assert!(issue["diagnostics"].as_str().unwrap().contains(words), "{issue}");
        assert_eq!(issue["expression"][0].as_str().unwrap_or_default(), place, "{issue}");
    }
    let absent = get_xml(&site, "/Patient/none").await.expect(404);
    assert_eq!(as_json(&absent)["issue"][0]["code"], "not-found");
    let nowhere = get_xml(&site, "/Nothing/none").await.expect(404);
    assert_eq!(as_json(&nowhere)["resourceType"], "OperationOutcome");
    assert_eq!(site.count("Patient").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_forms_are_406_and_415_with_an_outcome() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);

    for accept in ["text/turtle", "application/fhir+json; fhirVersion=5.0", "application/json;q=0"]
    {
        let refused =
            Answer::of(site.request(Method::GET, &path).header("accept", accept)).await.expect(406);
        assert_eq!(refused.json()["resourceType"], "OperationOutcome");
    }
    site.get(&format!("{path}?_format=ttl")).await.expect(406);
    for media in [
        "text/plain",
        "application/fhir+xml; fhirVersion=5.0",
        "application/xml; charset=iso-8859-1",
    ] {
        let request = site.request(Method::POST, "/Patient").header(TYPE, media);
        let refused = Answer::of(request.body(patient("Eve").to_string())).await.expect(415);
        assert_eq!(refused.json()["issue"][0]["code"], "not-supported");
    }
    let version = "application/fhir+json; fhirVersion=4.0";
    let request =
        site.request(Method::POST, "/Patient").header(TYPE, version).header("accept", version);
    Answer::of(request.body(patient("Eve").to_string())).await.expect(201);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_are_given_in_part() {
    let site = Site::start().await;
    let body = json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"},
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},
        "valueQuantity": {"value": 1}, "note": [{"text": "n"}]});
    let path = format!("/{}", site.create(&body).await);
    let keys = |value: &Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys.retain(|key| !["resourceType", "id", "meta"].contains(&key.as_str()));
        keys.join(" ")
    };

    let cases = [
        ("_summary=true", "code status valueQuantity"),
        ("_summary=text", "code status text"),
        ("_summary=data", "code note status valueQuantity"),
        ("_summary=false", "code note status text valueQuantity"),
        ("_elements=note", "code note status"),
        ("_elements=value,note", "code note status valueQuantity"),
        ("_elements=value&_elements=note", "code note status valueQuantity"),
        ("%5Fsummary=text", "code status text"),
    ];
    for (query, expected) in cases {
        let read = site.get(&format!("{path}?{query}")).await.expect(200);
        assert_eq!(keys(&read.json()), expected, "{query}");
        let is_tagged = read.json()["meta"]["tag"][0]["code"] == "SUBSETTED";
        assert_eq!(is_tagged, query != "_summary=false", "{query}");
        let places = [
            (format!("{path}/_history/1?{query}"), ""),
            (format!("/Observation?status=final&{query}"), "/entry/0/resource"),
            (format!("{path}/_history?{query}"), "/entry/0/resource"),
        ];
        for (place, at) in places {
            let answer = site.get(&place).await.expect(200).json();
            assert_eq!(keys(answer.pointer(at).unwrap()), expected, "{place}");
        }
        let head =
            Answer::of(site.request(Method::HEAD, &format!("{path}?{query}"))).await.expect(200);
        assert_eq!(head.header("content-length"), read.bytes.len().to_string());
    }
    let found = site.get("/Observation?_summary=true").await.expect(200).json();
    assert!(found["link"][0]["url"].as_str().unwrap().contains("_summary=true"));
    assert!(found["entry"].as_array().unwrap().iter().all(|e| e["search"]["mode"] == "match"));
    let counted = site.get("/Observation?_summary=count").await.expect(200).json();
    assert_eq!((counted["total"].as_u64(), counted.get("entry")), (Some(1), None));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_cannot_be_given_are_refused() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);

    for bad in [
        format!("{path}?_elements=nme"),
        format!("{path}?_summary=some"),
        format!("{path}?_summary=count"),
        format!("{path}?_summary=true&_elements=name"),
        "/Patient?_elements=valueString".into(),
        "/Patient?_elements=".into(),
        "/Patient?_summary=true&_summary=data".into(),
        "/Patient?%5Felements=nme".into(),
        "/Patient?_summary=text&_include=Patient:organization".into(),
    ] {
        let refused = site.get(&bad).await.expect(400);
        assert_eq!(refused.json()["issue"][0]["code"], "invalid", "{bad}");
    }
    let request = site.request(Method::POST, "/Patient?_summary=true").header(TYPE, JSON);
    Answer::of(request.body(patient("Eve").to_string())).await.expect(400);
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_included_is_whole_unless_its_type_is_named() {
    let site = Site::start().await;
    let key = site.create(&patient("Ada")).await;
    let body = json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"},
        "subject": {"reference": key}, "note": [{"text": "n"}]});
    site.create(&body).await;
    let found = async |query: &str| {
        let path = format!("/Observation?_include=Observation:subject&{query}");
        let bundle = site.get(&path).await.expect(200).json();
        let of = |name: &str| {
            let entries = bundle["entry"].as_array().unwrap();
            entries.iter().find(|e| e["resource"]["resourceType"] == name).unwrap()["resource"]
                .clone()
        };
        (of("Observation"), of("Patient"))
    };

    let (observation, patient) = found("_elements=subject").await;
    assert!(observation.get("note").is_none() && patient.get("name").is_some());
    let (_, patient) = found("_elements=subject,Patient.gender").await;
    assert!(patient.get("name").is_none());
    let (observation, patient) = found("_summary=true").await;
    assert!(observation.get("note").is_none());
    assert_eq!(patient["meta"]["tag"][0]["code"], "SUBSETTED");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_come_in_every_form() {
    let site = Site::start().await;
    let body = json!({"resourceType": "Basic", "code": {"text": "x".repeat(300_000)}});
    let path = format!("/{}", site.create(&body).await);
    let plain = site.get(&path).await.expect(200);

    for query in ["_format=xml", "_format=xml&_pretty=true"] {
        let xml = site.get(&format!("{path}?{query}")).await.expect(200);
        assert_eq!(as_json(&xml), plain.json(), "{query}");
        assert_eq!(xml.header("content-length"), xml.bytes.len().to_string());
        let request = site.request(Method::GET, &format!("{path}?{query}"));
        let packed = Answer::of(request.header("accept-encoding", "gzip")).await.expect(200);
        assert_eq!(packed.header("content-encoding"), "gzip");
        let mut unpacked = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(&packed.bytes[..]);
        std::io::Read::read_to_end(&mut decoder, &mut unpacked).unwrap();
        assert_eq!(unpacked, xml.bytes, "{query}");
        let head = Answer::of(site.request(Method::HEAD, &format!("{path}?{query}"))).await;
        assert_eq!(head.expect(200).header("content-length"), xml.bytes.len().to_string());
    }
    let pretty = site.get(&format!("{path}?_pretty=true")).await.expect(200);
    assert_eq!(pretty.json(), plain.json());
    assert_ne!(pretty.bytes, plain.bytes);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_document_and_the_entries_of_a_batch_tell_the_line_too() {
    let site = Site::start().await;
    // A narrative of 400 KiB on 4,000 lines before what is wrong.
    let padding = format!("<p>{}</p>\n", "x".repeat(92)).repeat(4_000);
    let long = format!(
        "<Patient xmlns=\"http://hl7.org/fhir\">\n<text><status value=\"generated\"/>\
         <div xmlns=\"http://www.w3.org/1999/xhtml\">{padding}</div></text>\n  <birthDate value=\"1970-13\"/></Patient>"
    );
    assert!(long.len() > 256 * 1024);
    let request = site.request(Method::POST, "/Patient").header(TYPE, XML);
    let refused = Answer::of(request.body(long)).await.expect(400);
    assert!(refused.text_all().contains("(line 4003, column 3)"), "{}", refused.text());

    let entry = |resource: &str| {
        format!(
            "<entry>\n<resource>{resource}</resource>\n<request><method value=\"POST\"/><url value=\"Patient\"/></request></entry>\n"
        )
    };
    let good = entry("<Patient><birthDate value=\"1970-12\"/></Patient>");
    let bad = entry("<Patient>\n <gender value=\"x\"/>\n <birthDate value=\"1970-13\"/></Patient>");
    let batch = format!(
        "<Bundle xmlns=\"http://hl7.org/fhir\">\n<type value=\"batch\"/>\n{good}{bad}{good}</Bundle>"
    );
    let request = site.request(Method::POST, "").header(TYPE, XML);
    let answer = Answer::of(request.header("accept", JSON).body(batch)).await.expect(200).json();

    let statuses: Vec<&str> = answer["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["response"]["status"].as_str().unwrap()[..3])
        .collect();
    assert_eq!(statuses, ["201", "400", "201"]);
    let issues = answer["entry"][1]["response"]["outcome"]["issue"].as_array().unwrap();
    let told: Vec<(&str, &str)> = issues
        .iter()
        .map(|issue| {
            let text = issue["diagnostics"].as_str().unwrap();
            (issue["expression"][0].as_str().unwrap(), text.rsplit_once(" (").unwrap().1)
        })
        .collect();
    let place = "Bundle.entry[1].resource";
    let expected = [
        (format!("{place}.gender"), "line 8, column 2)"),
        (format!("{place}.birthDate"), "line 9, column 2)"),
    ];
    for (place, line) in &expected {
        assert!(told.contains(&(place.as_str(), line)), "{told:?}");
    }
    site.stop().await;
}
