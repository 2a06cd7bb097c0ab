//! Operations invoked by entries of batches and transactions (FHIR R4 http.html section 3.1.0.11, operations.html).

use policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bundle::{bundle, entry};
use crate::operation::ward;
use crate::site::{Answer, JSON, Site, TYPE, patient};
use crate::terminology::{colours, map, warm};

fn bare(method: &str, url: &str) -> Value {
    json!({"request": {"method": method, "url": url}})
}

fn status(answer: &Value, at: usize) -> &str {
    &answer["entry"][at]["response"]["status"].as_str().unwrap()[..3]
}

fn place(answer: &Value, at: usize) -> &str {
    let issue = &answer["entry"][at]["response"]["outcome"]["issue"][0];
    issue["expression"][0].as_str().unwrap_or_default()
}

fn tag(code: &str) -> Value {
    let meta = json!({"name": "meta", "valueMeta": {"tag": [{"system": "urn:t", "code": code}]}});
    json!({"resourceType": "Parameters", "parameter": [meta]})
}

fn tags(labels: &Value) -> Vec<&str> {
    let list = labels["parameter"][0]["valueMeta"]["tag"].as_array();
    list.into_iter().flatten().map(|tag| tag["code"].as_str().unwrap()).collect()
}

/// A ward with a document, and definitions that operations on codes are asked about.
async fn filled() -> Site {
    let site = ward().await;
    let document = json!({
        "resourceType": "Composition", "id": "doc", "status": "final", "type": {"text": "note"},
        "date": "2020-01-03", "title": "Note", "subject": {"reference": "Patient/ada"},
        "author": [{"reference": "Practitioner/dr"}],
    });
    let parameter = json!({
        "resourceType": "SearchParameter", "id": "colour", "url": "http://e/colour", "name": "Colour",
        "status": "active", "description": "x", "code": "colour", "base": ["Patient"], "type": "token",
        "expression": "Patient.extension('http://e/colour').value",
    });
    for definition in [document, parameter, colours(&["red", "green"]), warm(), map()] {
        let (of, id) = (&definition["resourceType"], &definition["id"]);
        let path = format!("/{}/{}", of.as_str().unwrap(), id.as_str().unwrap());
        site.put(&path, &definition).await.expect(201);
    }
    site
}

/// Takes away what differs from one answer to the next: identities and times of what is made for the answer.
fn same(mut answer: Value) -> Value {
    for name in ["identifier", "timestamp"] {
        answer.as_object_mut().unwrap().shift_remove(name);
    }
    if let Some(expansion) = answer["expansion"].as_object_mut() {
        expansion.retain(|name, _| name != "identifier" && name != "timestamp");
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_in_a_batch_answers_what_it_answers_alone() {
    let site = filled().await;
    let colour = "system=http://c.example/colours";
    let urls = [
        "Patient/ada/$everything".to_owned(),
        "Patient/ada/$everything?_type=Observation&_count=1".to_owned(),
        "Encounter/e/$everything".to_owned(),
        "Observation/$lastn?patient=Patient/ada&category=vital-signs".to_owned(),
        "Composition/doc/$document".to_owned(),
        "Patient/ada/$meta".to_owned(),
        "Patient/ada/$validate".to_owned(),
        "SearchParameter/colour/$reindex-status".to_owned(),
        format!("CodeSystem/$lookup?{colour}&code=red"),
        "CodeSystem/$validate-code?url=http://c.example/colours&code=red".to_owned(),
        "CodeSystem/colours/$validate-code?code=blue".to_owned(),
        format!("CodeSystem/$subsumes?{colour}&codeA=red&codeB=red"),
        "ValueSet/$expand?url=http://c.example/warm".to_owned(),
        "ValueSet/warm/$expand".to_owned(),
        format!("ValueSet/$validate-code?url=http://c.example/warm&{colour}&code=red"),
        format!("ConceptMap/$translate?{colour}&code=red"),
    ];

    let entries = urls.iter().map(|url| bare("GET", url)).collect();
    let answer = site.post("", &bundle("batch", entries)).await.expect(200).json();

    for (at, url) in urls.iter().enumerate() {
        let alone = site.get(&format!("/{url}")).await.expect(200).json();
        assert_eq!(status(&answer, at), "200", "{url}");
        assert_eq!(same(answer["entry"][at]["resource"].clone()), same(alone), "{url}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_by_post_takes_its_parameters_from_its_resource() {
    let site = filled().await;
    let typed = json!({"resourceType": "Parameters", "parameter": [{"name": "_type", "valueCode": "Condition"}]});
    let coded = json!({"resourceType": "Parameters", "parameter": [
        {"name": "url", "valueUri": "http://c.example/warm"},
        {"name": "coding", "valueCoding": {"system": "http://c.example/colours", "code": "red"}}]});
    // The reader refuses it, and `$validate` is there to say why.
    let bad = json!({"resourceType": "Patient", "gender": "blue", "nonsense": 1});
    let posted = bundle(
        "batch",
        vec![
            entry("POST", "Patient/ada/$everything", None, typed),
            entry("POST", "ValueSet/$validate-code", None, coded),
            entry("POST", "Patient/$validate", None, bad.clone()),
            entry("POST", "/Patient/$validate?mode=create", None, patient("Ada")),
            entry("POST", "Patient", None, bad.clone()),
            entry("POST", "Patient/ada/$meta-add", None, tag("a")),
            bare("POST", &format!("{}/Patient/ada/$meta", site.base)),
        ],
    );

    let answer = site.post("", &posted).await.expect(200).json();

    let found = &answer["entry"][0]["resource"];
    assert_eq!((&found["total"], &found["type"]), (&json!(1), &json!("searchset")));
    let parameters = answer["entry"][1]["resource"]["parameter"].as_array().unwrap();
    assert!(parameters.iter().any(|one| one["name"] == "result" && one["valueBoolean"] == true));
    let alone = site.post("/Patient/$validate", &bad).await.expect(200).json();
    let judged = &answer["entry"][2]["resource"];
    assert_eq!(status(&answer, 2), "200");
    let places = |outcome: &Value| -> Vec<String> {
        let issues = outcome["issue"].as_array().unwrap().iter();
        issues.map(|issue| issue["expression"][0].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(places(judged), places(&alone));
    assert!(places(judged).contains(&"Patient.nonsense".to_owned()), "{judged}");
    assert!(!answer["entry"][3]["resource"].to_string().contains("\"error\""), "{answer}");
    assert_eq!(status(&answer, 4), "400", "a create is not judged by $validate");
    assert_eq!(tags(&answer["entry"][5]["resource"]), ["a"]);
    assert_eq!(status(&answer, 6), "200");
    assert_eq!(tags(&site.get("/Patient/ada/$meta").await.expect(200).json()), ["a"]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_operation_here_is_refused_in_its_entry_alone() {
    let site = ward().await;
    let with = |mut entry: Value, name: &str| {
        entry["request"][name] = json!("W/\"1\"");
        entry
    };
    let cases = [
        (bare("GET", "Patient/ada/$nothing"), "501", "request.url"),
        (bare("GET", "Observation/o1/$everything"), "501", "request.url"),
        (bare("GET", "$everything"), "501", "request.url"),
        (bare("GET", "Patient/ada/_history/1/$receipt"), "501", "request.url"),
        (bare("GET", "Foo/$validate"), "400", "request.url"),
        (bare("GET", "Patient/ada/$meta-add"), "405", "request.method"),
        (bare("DELETE", "Patient/ada/$meta"), "405", "request.method"),
        (entry("PUT", "Patient/ada/$meta-add", None, tag("x")), "405", "request.method"),
        (entry("GET", "Patient/ada/$meta", None, tag("x")), "400", "resource"),
        (with(bare("GET", "Patient/ada/$everything"), "ifMatch"), "400", "request.ifMatch"),
        (with(bare("GET", "Patient/ada/$meta"), "ifNoneMatch"), "400", "request.ifNoneMatch"),
        (bare("GET", "Patient/none/$everything"), "404", ""),
        (bare("GET", "Patient/ada/$everything?_sort=date"), "400", ""),
        (with(entry("POST", "Patient/ada/$meta-add", None, tag("x")), "ifMatch"), "200", ""),
        (
            with(entry("POST", "Patient/ada/$meta-delete", None, tag("x")), "ifMatch"),
            "412",
            "request.ifMatch",
        ),
    ];

    let mut entries: Vec<Value> = cases.iter().map(|(entry, ..)| entry.clone()).collect();
    entries.push(entry("POST", "Patient", None, patient("Eve")));
    // One after the other, since the last two cases depend on their order.
    let mut answers = Vec::new();
    for entry in entries {
        answers.push(site.post("", &bundle("batch", vec![entry])).await.expect(200).json());
    }

    for ((entry, expected, at), answer) in cases.iter().zip(&answers) {
        assert_eq!(status(answer, 0), *expected, "{entry} {answer}");
        let wanted = match *at {
            "" if *expected == "200" => String::new(),
            "" => "Bundle.entry[0]".to_owned(),
            at => format!("Bundle.entry[0].{at}"),
        };
        assert_eq!(place(answer, 0), wanted, "{entry}");
    }
    assert_eq!(status(answers.last().unwrap(), 0), "201");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_is_told_of_goes_into_a_batch() {
    let site = filled().await;
    let statement = site.get("/metadata").await.expect(200).json();
    let mut told = 0;

    for resource in statement["rest"][0]["resource"].as_array().unwrap() {
        for operation in resource["operation"].as_array().into_iter().flatten() {
            let (of, name) =
                (resource["type"].as_str().unwrap(), operation["name"].as_str().unwrap());
            let asked = json!({"resourceType": "Parameters"});
            let posted = bundle(
                "batch",
                vec![
                    entry("POST", &format!("{of}/${name}"), None, asked.clone()),
                    entry("POST", &format!("{of}/none/${name}"), None, asked),
                ],
            );
            let answer = site.post("", &posted).await.expect(200).json();
            let known = (0..2).any(|at| status(&answer, at) != "501");
            assert!(known, "{of} {name}: {answer}");
            told += 1;
        }
    }

    assert!(told > 400, "each of 146 types has four and more: {told}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_permitted_and_recorded_as_a_request_of_its_own() {
    let site = ward().await;
    let ada = site.token_of(Role::Patient, Some("ada"));
    let auditor = site.token_of(Role::Auditor, None);
    let posted = bundle(
        "batch",
        vec![
            bare("GET", "Patient/ada/$everything"),
            bare("GET", "Patient/bob/$everything"),
            entry("POST", "Patient/ada/$meta-add", None, tag("x")),
        ],
    );
    let request = site.request_as(&ada, Method::POST, "").header(TYPE, JSON);
    let request = request.header("x-request-id", "batch-of-ada");

    let answer = Answer::of(request.body(posted.to_string())).await.expect(200).json();

    let statuses: Vec<&str> = (0..3).map(|at| status(&answer, at)).collect();
    assert_eq!(statuses[..2], ["200", "404"]);
    assert!(matches!(statuses[2], "403" | "404"), "{answer}");
    let events = site.get_as(&auditor, "/AuditEvent?_count=200").await.expect(200).json();
    let of_batch = events["entry"].as_array().unwrap().iter();
    let of_batch = of_batch.filter(|event| event.to_string().contains("batch-of-ada"));
    assert!(of_batch.count() >= 3, "each entry has a record");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_changes_labels_with_its_writes_and_reads_them_after_those() {
    let site = ward().await;
    let posted = bundle(
        "transaction",
        vec![
            bare("GET", "Patient/ada/$meta"),
            entry("POST", "Patient/ada/$meta-add", None, tag("a")),
            entry(
                "PUT",
                "Patient/new",
                None,
                json!({"resourceType": "Patient", "id": "new", "meta": {"tag": [{"code": "n"}]}}),
            ),
            bare("GET", "Patient/new/$meta"),
        ],
    );

    let answer = site.post("", &posted).await.expect(200).json();

    let statuses: Vec<&str> = (0..4).map(|at| status(&answer, at)).collect();
    assert_eq!(statuses, ["200", "200", "201", "200"]);
    assert_eq!(tags(&answer["entry"][0]["resource"]), ["a"], "it sees the transaction's own write");
    assert_eq!(tags(&answer["entry"][1]["resource"]), ["a"]);
    assert_eq!(tags(&answer["entry"][3]["resource"]), ["n"]);
    let labels = &answer["entry"][1]["resource"]["parameter"][0]["valueMeta"];
    assert_eq!(labels["versionId"], "2");
    // Again, now with a write that cannot be: nothing of it stays.
    let mut stale = entry("POST", "Patient/ada/$meta-delete", None, tag("a"));
    stale["request"]["ifMatch"] = json!("W/\"1\"");
    let refused =
        bundle("transaction", vec![entry("POST", "Patient", None, patient("Eve")), stale]);
    let before = site.count("Patient").await;
    let refusal = site.post("", &refused).await.expect(412);
    assert!(refusal.text_all().contains("Bundle.entry[1]"), "{}", refusal.text_all());
    assert_eq!(site.count("Patient").await, before);
    assert_eq!(tags(&site.get("/Patient/ada/$meta").await.expect(200).json()), ["a"]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_operations_are_refused_by_name_before_a_transaction_writes() {
    let site = ward().await;
    let before = site.count("Patient").await;

    for (url, code) in [
        ("Patient/ada/$everything", "501"),
        ("Observation/$lastn?patient=Patient/ada&code=a", "501"),
        ("ValueSet/$expand?url=http://x", "501"),
        ("Patient/ada/$nothing", "501"),
        ("Patient/ada/$meta?x=y", "400"),
        ("Patient/none/$meta", "404"),
    ] {
        let posted = bundle(
            "transaction",
            vec![entry("POST", "Patient", None, patient("Eve")), bare("GET", url)],
        );
        let refused = site.post("", &posted).await;
        assert_eq!(refused.status.to_string(), code, "{url}: {}", refused.text());
        let text = refused.text_all();
        assert!(text.contains("Bundle.entry[1]"), "{url}: {text}");
        let name = url.split(['$', '?']).nth(1).unwrap();
        assert!(code != "501" || text.contains(&format!("${name}")), "{url}: {text}");
    }

    assert_eq!(site.count("Patient").await, before);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_xml_holds_those_of_operations_in_xml() {
    let site = ward().await;
    let posted = "<Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"batch\"/><entry><request><method value=\"GET\"/>\
        <url value=\"Patient/ada/$everything?_type=Patient&amp;_format=json\"/></request></entry></Bundle>";
    let request = site.request(Method::POST, "").header(TYPE, "application/fhir+xml");

    let answer = Answer::of(request.header("accept", "application/fhir+xml").body(posted)).await;

    let text = answer.expect(200).text_all();
    assert!(text.starts_with("<?xml"), "{text}");
    assert!(text.contains("<resource><Bundle><type value=\"searchset\"/>"), "{text}");
    site.stop().await;
}
