//! Terminology operations over HTTP: parameters, live definitions, rights, records.

use policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, Site};

pub(crate) fn colours(codes: &[&str]) -> Value {
    let concepts: Vec<Value> =
        codes.iter().map(|code| json!({"code": code, "display": code.to_uppercase()})).collect();
    json!({"resourceType": "CodeSystem", "id": "colours", "url": "http://c.example/colours", "version": "1", "name": "Colours",
        "status": "active", "content": "complete", "caseSensitive": true, "concept": concepts})
}

pub(crate) fn warm() -> Value {
    json!({"resourceType": "ValueSet", "id": "warm", "url": "http://c.example/warm", "status": "active",
        "compose": {"include": [{"system": "http://c.example/colours", "filter": [{"property": "code", "op": "regex", "value": "[a-r].*"}]}]}})
}

pub(crate) fn map() -> Value {
    json!({"resourceType": "ConceptMap", "id": "m", "url": "http://c.example/map", "status": "active",
        "group": [{"source": "http://c.example/colours", "target": "http://c.example/rgb",
            "element": [{"code": "red", "target": [{"code": "f00", "equivalence": "equivalent"}]}]}]})
}

async fn filled() -> Site {
    let site = Site::start().await;
    site.put("/CodeSystem/colours", &colours(&["red", "green", "yellow"])).await.expect(201);
    site.put("/ValueSet/warm", &warm()).await.expect(201);
    site.put("/ConceptMap/m", &map()).await.expect(201);
    site
}

fn codes(expansion: &Value) -> Vec<&str> {
    let contains = expansion["expansion"]["contains"].as_array();
    contains.into_iter().flatten().map(|one| one["code"].as_str().unwrap()).collect()
}

fn named<'a>(parameters: &'a Value, name: &str) -> &'a Value {
    let all = parameters["parameter"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_answers_by_get_and_by_post_on_type_and_instance() {
    let site = filled().await;
    let parameter = |name: &str, kind: &str, value: &str| json!({"name": name, kind: value});
    let body =
        |parameters: Vec<Value>| json!({"resourceType": "Parameters", "parameter": parameters});

    for path in [
        "/CodeSystem/$lookup?system=http://c.example/colours&code=red",
        "/CodeSystem/$lookup?system=http://c.example/colours&code=red&version=1&_pretty=true",
    ] {
        let found = site.get(path).await.expect(200).json();
        assert_eq!(named(&found, "display")["valueString"], "RED", "{path}");
    }
    let lookup = body(vec![
        json!({"name": "coding", "valueCoding": {"system": "http://c.example/colours", "code": "red"}}),
    ]);
    let found = site.post("/CodeSystem/$lookup", &lookup).await.expect(200).json();
    assert_eq!(named(&found, "name")["valueString"], "Colours");

    for path in [
        "/CodeSystem/$validate-code?url=http://c.example/colours&code=red&display=Red",
        "/CodeSystem/colours/$validate-code?code=red",
        "/ValueSet/$validate-code?url=http://c.example/warm&system=http://c.example/colours&code=red",
        "/ValueSet/warm/$validate-code?system=http://c.example/colours&code=green",
        "/ConceptMap/$translate?url=http://c.example/map&system=http://c.example/colours&code=red",
        "/ConceptMap/m/$translate?system=http://c.example/colours&code=red",
        "/ConceptMap/$translate?system=http://c.example/colours&code=red",
        "/ConceptMap/$translate?system=http://c.example/rgb&code=f00&reverse=true",
    ] {
        let found = site.get(path).await.expect(200).json();
        assert_eq!(named(&found, "result")["valueBoolean"], true, "{path}");
    }
    let concept = body(vec![
        parameter("url", "valueUri", "http://c.example/warm"),
        json!({"name": "codeableConcept", "valueCodeableConcept": {"coding": [
            {"system": "http://c.example/colours", "code": "yellow"}, {"system": "http://c.example/colours", "code": "red"}]}}),
    ]);
    let found = site.post("/ValueSet/$validate-code", &concept).await.expect(200).json();
    assert_eq!(named(&found, "result")["valueBoolean"], true);

    for path in [
        "/CodeSystem/$subsumes?system=http://c.example/colours&codeA=red&codeB=green",
        "/CodeSystem/colours/$subsumes?codeA=red&codeB=green",
    ] {
        let found = site.get(path).await.expect(200).json();
        assert_eq!(named(&found, "outcome")["valueCode"], "not-subsumed");
    }
    for path in ["/ValueSet/$expand?url=http://c.example/warm", "/ValueSet/warm/$expand"] {
        assert_eq!(codes(&site.get(path).await.expect(200).json()), ["red", "green"]);
    }
    let given = json!({"resourceType": "Parameters", "parameter": [{"name": "valueSet", "resource": warm()}, {"name": "count", "valueInteger": 1}]});
    let page = site.post("/ValueSet/$expand", &given).await.expect(200).json();
    assert_eq!(codes(&page), ["red"]);
    assert_eq!(page["expansion"]["total"], 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_counts_from_its_write_to_its_deletion() {
    let site = filled().await;
    let expand =
        async || codes(&site.get("/ValueSet/warm/$expand").await.expect(200).json()).join(" ");
    assert_eq!(expand().await, "red green");

    site.put("/CodeSystem/colours", &colours(&["red", "orange"])).await.expect(200);
    assert_eq!(expand().await, "red orange");

    site.delete("/CodeSystem/colours").await.expect(204);
    let refused = site.get("/ValueSet/warm/$expand").await.expect(422);
    assert_eq!(refused.issue().0, "not-found");
    site.put("/CodeSystem/colours", &colours(&["brown"])).await;
    assert_eq!(expand().await, "brown");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r4s_own_definitions_are_known_without_loading() {
    let site = Site::start().await;

    let url = "/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender";
    let gender = site.get(url).await.expect(200).json();
    let page = site.get("/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/observation-status&filter=amend&offset=0&count=5").await.expect(200).json();

    assert_eq!(codes(&gender), ["male", "female", "other", "unknown"]);
    assert_eq!(gender["expansion"]["contains"][0]["display"], "Male");
    assert_eq!(codes(&page), ["amended"]);
    assert_eq!(page["expansion"]["offset"], 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_or_not_done_is_refused_by_name() {
    let site = filled().await;

    for (path, status, code) in [
        ("/CodeSystem/$lookup?system=http://c.example/colours&code=blue", 404, "not-found"),
        ("/CodeSystem/$lookup?system=http://none.example&code=blue", 404, "not-found"),
        ("/CodeSystem/$lookup?code=blue", 422, "processing"),
        ("/CodeSystem/$lookup", 400, "invalid"),
        (
            "/CodeSystem/$lookup?system=http://c.example/colours&code=red&date=2020",
            501,
            "not-supported",
        ),
        ("/CodeSystem/$lookup?system=http://c.example/colours&code=red&colour=x", 400, "invalid"),
        ("/CodeSystem/$lookup?system=http://c.example/colours&code=red&code=green", 400, "invalid"),
        ("/CodeSystem/$lookup?system=http://c.example/colours&coding=red", 400, "invalid"),
        ("/ValueSet/$expand", 400, "invalid"),
        ("/ValueSet/$expand?url=http://none.example", 404, "not-found"),
        ("/ValueSet/none/$expand", 404, "not-found"),
        ("/ValueSet/$expand?url=http://c.example/warm&count=-1", 400, "invalid"),
        ("/ValueSet/$expand?url=http://c.example/warm&activeOnly=perhaps", 400, "invalid"),
        ("/ValueSet/$expand?url=http://c.example/warm&context=x", 501, "not-supported"),
        (
            "/ValueSet/$expand?url=http://terminology.hl7.org/ValueSet/v3-Race&check-system-version=http://terminology.hl7.org/CodeSystem/v3-Race|1",
            422,
            "not-found",
        ),
        ("/ValueSet/$validate-code?url=http://c.example/warm&code=red", 400, "invalid"),
        ("/CodeSystem/$subsumes?codeA=red&codeB=green", 400, "invalid"),
    ] {
        let refused = site.get(path).await;
        assert_eq!(
            (refused.status, refused.issue().0.as_str()),
            (status, code),
            "{path}: {}",
            refused.text()
        );
    }
    site.post("/ValueSet/$expand", &json!({"resourceType": "Patient"})).await.expect(400);
    site.post("/ValueSet/$expand", &json!({"resourceType": "Parameters", "parameter": [{"name": "valueSet", "resource": {"resourceType": "Patient"}}]})).await.expect(400);
    site.delete("/ValueSet/$expand").await.expect(405);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_needs_the_right_to_read_and_leaves_a_record() {
    let site = filled().await;
    let path = "/ValueSet/warm/$expand";

    let nobody = Answer::of(site.anonymous(Method::GET, &format!("/fhir{path}"))).await;
    assert_eq!(nobody.status, 401);
    let operator = site.token_of(Role::Operator, None);
    site.get_as(&operator, path).await.expect(403);
    let patient = site.token_of(Role::Patient, Some("p"));
    assert_eq!(codes(&site.get_as(&patient, path).await.expect(200).json()), ["red", "green"]);

    let auditor = site.token_of(Role::Auditor, None);
    let seen = site.get_as(&auditor, "/AuditEvent?_count=100").await.expect(200).text_all();
    assert!(seen.contains("ValueSet/warm"), "{seen}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statements_list_the_operations() {
    let site = Site::start().await;
    let get = async |path: &str| Answer::of(site.anonymous(Method::GET, path)).await;

    let statement = get("/fhir/metadata").await.expect(200).json();
    let terminology = get("/fhir/metadata?mode=terminology").await.expect(200).json();

    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let of = |name: &str| -> Vec<&str> {
        let one = resources.iter().find(|one| one["type"] == name).unwrap();
        one["operation"].as_array().unwrap().iter().map(|op| op["name"].as_str().unwrap()).collect()
    };
    assert!(
        ["lookup", "validate-code", "subsumes"].iter().all(|name| of("CodeSystem").contains(name))
    );
    assert!(["expand", "validate-code"].iter().all(|name| of("ValueSet").contains(name)));
    assert!(of("ConceptMap").contains(&"translate"));
    assert_eq!(terminology["resourceType"], "TerminologyCapabilities");
    assert!(terminology["codeSystem"].as_array().unwrap().len() > 1_000);
    fhir::read(terminology.to_string().into_bytes(), &fhir::ReadLimits::default()).unwrap();
    get("/fhir/metadata?mode=sideways").await.expect(400);
    get("/fhir/metadata?mode=full&mode=terminology").await.expect(400);
    get("/fhir/metadata?mode=full&mode=full").await.expect(200);
    let refused = get("/fhir/metadata?mode=full&colour=red").await.expect(400);
    assert!(refused.text().contains("metadata has no parameter colour"), "{}", refused.text());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_take_value_sets_and_hierarchies() {
    let site = filled().await;
    let kinds = json!({"resourceType": "CodeSystem", "id": "kinds", "url": "http://c.example/kinds", "status": "active",
        "content": "complete", "hierarchyMeaning": "is-a",
        "concept": [{"code": "pain", "concept": [{"code": "headache", "concept": [{"code": "migraine"}]}]}, {"code": "rash"}]});
    site.put("/CodeSystem/kinds", &kinds).await.expect(201);
    for (id, system, code) in [
        ("red", "http://c.example/colours", "red"),
        ("yellow", "http://c.example/colours", "yellow"),
        ("other", "http://c.example/other", "red"),
        ("pain", "http://c.example/kinds", "pain"),
        ("migraine", "http://c.example/kinds", "migraine"),
        ("rash", "http://c.example/kinds", "rash"),
    ] {
        let basic = json!({"resourceType": "Basic", "id": id, "code": {"coding": [{"system": system, "code": code}]}});
        site.put(&format!("/Basic/{id}"), &basic).await.expect(201);
    }
    for (query, expected) in [
        ("code:in=http://c.example/warm", "red"),
        ("code:in=ValueSet/warm", "red"),
        ("code:not-in=http://c.example/warm", "migraine other pain rash yellow"),
        ("code:below=http://c.example/kinds|pain", "migraine pain"),
        ("code:below=http://c.example/kinds|headache,http://c.example/kinds|rash", "migraine rash"),
        ("code:above=http://c.example/kinds|migraine", "migraine pain"),
        ("code:in=http://c.example/warm&code=red", "red"),
    ] {
        let found = site.get(&format!("/Basic?{query}")).await.expect(200).json();
        let entries = found["entry"].as_array().into_iter().flatten();
        let mut ids: Vec<&str> =
            entries.map(|entry| entry["resource"]["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids.join(" "), expected, "{query}");
    }
    for query in [
        "code:in=http://c.example/unknown",
        "code:in=ValueSet/unknown",
        "code:below=pain",
        "code:below=http://c.example/unknown|a",
        "code:above=http://c.example/kinds|unknown",
    ] {
        site.get(&format!("/Basic?{query}")).await.expect(400);
    }
    site.stop().await;
}

/// A server that gives one answer to each request; gives its address and what it was asked.
fn other_server(
    status: &'static str,
    body: &'static str,
) -> (String, std::sync::mpsc::Receiver<String>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/r4", listener.local_addr().unwrap());
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut head = [0; 8192];
            let count = stream.read(&mut head).unwrap_or(0);
            let _ = said.send(String::from_utf8_lossy(&head[..count]).into_owned());
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/fhir+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_here_is_asked_of_the_configured_server() {
    let answer = r#"{"resourceType":"Parameters","parameter":[{"name":"name","valueString":"LOINC"},{"name":"display","valueString":"Glucose"}]}"#;
    let (url, heard) = other_server("200 OK", answer);
    let site = Site::start_with(|config| config.terminology.url = Some(url)).await;

    let found = site
        .get("/CodeSystem/$lookup?system=http://loinc.org&code=2339-0")
        .await
        .expect(200)
        .json();

    assert_eq!(named(&found, "display")["valueString"], "Glucose");
    let request = heard.recv().unwrap();
    assert!(
        request.starts_with("GET /r4/CodeSystem/$lookup?system=http://loinc.org&code=2339-0 "),
        "{request}"
    );
    assert!(!request.to_lowercase().contains("authorization"), "{request}");
    // What is known here is not asked there; another kind of answer is none.
    site.get("/CodeSystem/$lookup?system=http://hl7.org/fhir/administrative-gender&code=male")
        .await
        .expect(200);
    assert!(heard.try_recv().is_err());
    site.get("/ValueSet/$expand?url=http://none.example").await.expect(503);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_redirects_refuses_or_is_away_refuses_the_request_by_name() {
    for (status, expected) in [("302 Found", 422), ("404 Not Found", 422), ("500 Oops", 503)] {
        let (url, _heard) = other_server(status, "{}");
        let site = Site::start_with(|config| config.terminology.url = Some(url)).await;
        let refused =
            site.get("/CodeSystem/$lookup?system=http://loinc.org&code=1").await.expect(expected);
        assert!(refused.text().contains("external terminology server"), "{}", refused.text());
        site.stop().await;
    }
    let site = Site::start_with(|config| {
        config.terminology.url = Some("http://127.0.0.1:9/r4".to_owned())
    })
    .await;
    site.get("/CodeSystem/$lookup?system=http://loinc.org&code=1").await.expect(503);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_by_value_set_and_by_hierarchy_ask_what_is_stored() {
    let site = filled().await;
    let shades = json!({"resourceType": "CodeSystem", "url": "http://c.example/shades", "status": "active", "content": "complete",
        "concept": [{"code": "warm", "concept": [{"code": "red"}, {"code": "orange", "concept": [{"code": "amber"}]}]}, {"code": "blue"}]});
    site.create(&shades).await;
    for code in ["warm", "red", "amber", "blue"] {
        let coding = json!([{"system": "http://c.example/shades", "code": code}]);
        site.create(&json!({"resourceType": "Basic", "code": {"coding": coding}})).await;
    }
    for code in ["red", "yellow"] {
        let coding = json!([{"system": "http://c.example/colours", "code": code}]);
        site.create(&json!({"resourceType": "Basic", "code": {"coding": coding}})).await;
    }

    for (query, expected) in [
        ("code:in=http://c.example/warm", 1),
        ("code:in=ValueSet/warm", 1),
        ("code:not-in=http://c.example/warm", 5),
        ("code:below=http://c.example/shades|warm", 3),
        ("code:above=http://c.example/shades|amber", 2),
        ("code:below=http://c.example/shades|blue", 1),
    ] {
        assert_eq!(site.count(&format!("Basic?{query}")).await, expected, "{query}");
    }
    site.put("/ValueSet/warm", &json!({"resourceType": "ValueSet", "id": "warm", "url": "http://c.example/warm", "status": "active",
        "compose": {"include": [{"system": "http://c.example/shades"}]}})).await.expect(200);
    assert_eq!(site.count("Basic?code:in=http://c.example/warm").await, 4);
    for query in [
        "code:in=http://none.example",
        "code:in=ValueSet/none",
        "code:below=http://none.example|x",
        "code:below=warm",
    ] {
        site.get(&format!("/Basic?{query}")).await.expect(400);
    }
    site.stop().await;
}
