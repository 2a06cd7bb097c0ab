//! What a refusal tells: where, what is wanted, which role would do; and `Allow` of each place.
//!
//! Expected values: RFC 9110 §10.2.1, FHIR R4 operationoutcome.html (`location`, `expression`).

use policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bundle::{bundle, entry, observation};
use crate::site::{Answer, JSON, Site, TYPE, patient};

fn text(answer: &Answer) -> String {
    answer.json()["issue"][0]["diagnostics"].as_str().unwrap().to_owned()
}

fn place(answer: &Answer) -> String {
    answer.json()["issue"][0]["location"][0].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn allow_lists_what_a_place_takes_whoever_asks() {
    let site = Site::start().await;
    let patients = site.token_of(Role::Patient, Some("p"));

    for (method, path, allow) in [
        (Method::PUT, "/Patient", "GET, HEAD, POST"),
        (Method::PATCH, "/R4/Patient?_format=json", "GET, HEAD, POST"),
        (Method::DELETE, "/Provenance", "GET, HEAD, POST"),
        (Method::POST, "/Patient/p", "GET, HEAD, PUT, PATCH, DELETE"),
        (Method::POST, "/Provenance/p", "GET, HEAD, PUT, PATCH"),
        (Method::DELETE, "/Provenance/p", "GET, HEAD, PUT, PATCH"),
        (Method::DELETE, "/Consent?_id=p", "GET, HEAD, POST, PUT, PATCH"),
        (Method::POST, "/AuditEvent", "GET, HEAD"),
        (Method::PATCH, "/AuditEvent", "GET, HEAD"),
        (Method::DELETE, "/AuditEvent/p", "GET, HEAD"),
        (Method::PUT, "/AuditEvent/p", "GET, HEAD"),
        (Method::PUT, "/metadata", "GET, HEAD"),
        (Method::DELETE, "/Patient/p/_history/1", "GET, HEAD"),
        (Method::GET, "/Patient/_search", "POST"),
    ] {
        let body = json!({"resourceType": path.split(['/', '?']).rfind(|step| step.starts_with(char::is_uppercase)), "id": "p"});
        let request = site.request(method.clone(), path).header(TYPE, JSON).body(body.to_string());
        let refused = Answer::of(request).await.expect(405);
        assert_eq!(refused.header("allow"), allow, "{method} {path}");
        refused.issue();
    }
    // Who may not, though others may, is told so by 403.
    for (method, path) in
        [(Method::PUT, "/Patient/p"), (Method::DELETE, "/Patient/p"), (Method::POST, "/Patient")]
    {
        let request = site.request_as(&patients, method, path).header(TYPE, JSON);
        let body = json!({"resourceType": "Patient", "id": "p"}).to_string();
        Answer::of(request.body(body)).await.expect(403);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_403_names_the_role_that_would_do_or_what_limits_the_token() {
    let site = Site::start().await;
    let of = |role: Role| site.token_of(role, (role == Role::Patient).then_some("p"));
    let told = async |token: &str, method: Method, path: &str, body: Value| {
        let request = site.request_as(token, method, path).header(TYPE, JSON);
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        text(&Answer::of(request).await.expect(403))
    };
    let none = Value::Null;

    assert_eq!(
        told(&of(Role::Operator), Method::GET, "/Patient", none.clone()).await,
        "the role operator does not allow this; it takes clinician or patient or system"
    );
    assert_eq!(
        told(&of(Role::System), Method::GET, "/AuditEvent?date=2026", none.clone()).await,
        "the role system does not allow this; it takes patient or auditor"
    );
    assert_eq!(
        told(&of(Role::System), Method::GET, "/Patient/$explain?name=a", none.clone()).await,
        "the role system does not allow this; it takes operator"
    );
    assert_eq!(
        told(
            &of(Role::Patient),
            Method::PUT,
            "/Patient/p",
            json!({"resourceType": "Patient", "id": "p"})
        )
        .await,
        "the role patient does not allow this; it takes clinician or system"
    );
    let refused = told(&site.limited_token("p"), Method::GET, "/Group", none.clone()).await;
    assert_eq!(refused, "a token that is limited to one patient does not allow this");
    let narrow = site.scoped_token(Role::System, "system/Patient.r");
    assert_eq!(
        told(&narrow, Method::GET, "/Patient?name=a", none).await,
        "no scope of the token grants search (s) on Patient"
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn criteria_that_cannot_be_read_or_do_not_name_one_are_refused_where_they_stand() {
    let site = Site::start().await;
    for _ in 0..2 {
        site.create(&json!({"resourceType": "Patient", "active": true})).await;
    }
    let send = async |method: Method, path: &str, criteria: &str| {
        let request = site.request(method, path).header(TYPE, JSON);
        let request =
            if criteria.is_empty() { request } else { request.header("if-none-exist", criteria) };
        Answer::of(request.body(patient("Ada").to_string())).await
    };

    for criteria in ["nickname=x", "birthdate=xx1980", "identifier:nonsense=1", "_sort=name"] {
        let refused = send(Method::POST, "/Patient", criteria).await.expect(400);
        assert_eq!(place(&refused), "http.If-None-Exist", "{criteria}");
        assert!(!refused.text().contains("xx1980"), "{}", refused.text());
    }
    let several = send(Method::POST, "/Patient", "active=true").await.expect(412);
    assert_eq!(place(&several), "http.If-None-Exist");
    let several = send(Method::POST, "/Patient?active=true", "").await.expect(412);
    assert_eq!(several.issue(), ("multiple-matches".to_owned(), String::new()));
    for (criteria, named) in [
        ("nickname=x", "http.nickname"),
        ("active=true&birthdate=xx", "http.birthdate"),
        ("active=true&_sort=name", "http._sort"),
    ] {
        for method in [Method::PUT, Method::POST] {
            let refused = send(method.clone(), &format!("/Patient?{criteria}"), "").await;
            assert_eq!(place(&refused.expect(400)), named, "{method}");
        }
    }
    let mut create = entry("POST", "Patient", None, patient("Ada"));
    create["request"]["ifNoneExist"] = json!("birthdate=xx");
    let updated = entry("PUT", "Patient?birthdate=xx", None, patient("Ada"));
    let made = entry("POST", "Patient?birthdate=xx", None, patient("Ada"));
    let referring = entry("POST", "Observation", None, observation("Patient?birthdate=xx", None));
    let absent =
        entry("POST", "Observation", None, observation("Patient?identifier=urn:secret|7", None));
    for (bad, status, expected) in [
        (create, 400, "Bundle.entry[1].request.ifNoneExist"),
        (updated, 400, "Bundle.entry[1].request.url"),
        (made, 400, "Bundle.entry[1].request.url"),
        (referring, 400, "Bundle.entry[1].resource.subject.reference"),
        (absent, 412, "Bundle.entry[1].resource.subject.reference"),
    ] {
        let entries = vec![entry("POST", "Patient", None, patient("Eve")), bad];
        let refused = site.post("", &bundle("transaction", entries)).await.expect(status);
        assert_eq!(refused.issue().1, expected);
        let told = text(&refused);
        assert!(!told.contains("secret"), "{told}");
        assert_eq!(
            status == 412,
            told == "a conditional reference to Patient by identifier matches nothing; store that resource first",
            "{told}"
        );
    }
    assert_eq!(site.count("Patient").await, 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_reader_refuses_is_told_with_value_set_line_and_column_and_without_the_value() {
    let site = Site::start().await;
    let body = "{\"resourceType\": \"Patient\",\n  \"gender\": \"secret\"}";
    let request = site.request(Method::POST, "/Patient").header(TYPE, JSON);

    let refused = Answer::of(request.body(body)).await.expect(400);

    assert_eq!(refused.issue(), ("code-invalid".to_owned(), "Patient.gender".to_owned()));
    assert_eq!(
        text(&refused),
        "the code is not in the required value set \
         http://hl7.org/fhir/ValueSet/administrative-gender (female, male, other, unknown) (line 2, column 13)"
    );
    // A batch counts lines in what was sent, and XML in the XML alone.
    let batch = format!(
        "{{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[\n{{\"resource\":{body},\"request\":{{\"method\":\"POST\",\"url\":\"Patient\"}}}}]}}"
    );
    let answer = Answer::of(site.request(Method::POST, "").header(TYPE, JSON).body(batch)).await;
    let answer = answer.expect(200).text_all();
    assert!(answer.contains("(line 3, column 13)"), "{answer}");
    let xml = "<Patient xmlns=\"http://hl7.org/fhir\">\n<gender value=\"secret\"/></Patient>";
    let request = site.request(Method::POST, "/Patient").header(TYPE, "application/fhir+xml");
    let refused = Answer::of(request.header("accept", JSON).body(xml)).await.expect(400);
    assert_eq!(text(&refused).matches("(line ").count(), 1, "{}", text(&refused));
    assert!(text(&refused).ends_with("(line 2, column 1)"), "{}", text(&refused));
    let checked = site.request(Method::POST, "/Patient/$validate").header(TYPE, JSON).body(body);
    let outcome = Answer::of(checked).await.expect(200).json();
    let lines: Vec<_> = outcome["issue"][0]["extension"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["valueInteger"].clone())
        .collect();
    assert_eq!(lines, [2, 13]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_one_resource_does_not_have_are_refused_and_nothing_is_done() {
    let site = Site::start().await;
    site.put("/Patient/p", &with_id(patient("Ada"), "p")).await.expect(201);
    let body = with_id(patient("Eve"), "p").to_string();

    for (method, path, body) in [
        (Method::GET, "/Patient/p?colour=red", ""),
        (Method::HEAD, "/Patient/p?colour=red", ""),
        (Method::GET, "/Patient/p/_history/1?colour=red&_format=json", ""),
        (Method::PUT, "/Patient/p?colour=red", &*body),
        (Method::PATCH, "/Patient/p?colour=red", r#"{"active": true}"#),
        (Method::DELETE, "/Patient/p?colour=red", ""),
        (Method::POST, "/?colour=red", r#"{"resourceType":"Bundle","type":"batch"}"#),
    ] {
        let is_head = method == Method::HEAD;
        let request = site.request(method.clone(), path).header(TYPE, JSON).body(body.to_owned());
        let refused = Answer::of(request).await.expect(400);
        if !is_head {
            assert_eq!(place(&refused), "http.colour", "{method} {path}");
        }
    }
    let batch =
        bundle("batch", vec![json!({"request": {"method": "GET", "url": "Patient/p?colour=red"}})]);
    let answered = site.post("", &batch).await.expect(200).json();
    assert_eq!(answered["entry"][0]["response"]["status"], "400 Bad Request");
    let current =
        site.get("/Patient/p?_=1732233600&_summary=false&_pretty=false").await.expect(200);
    assert_eq!(current.json()["meta"]["versionId"], "1");

    let lenient =
        site.request(Method::GET, "/Patient/p?colour=red").header("prefer", "handling=lenient");
    let lenient = Answer::of(lenient).await.expect(200);
    assert_eq!(lenient.header("preference-applied"), "handling=lenient");
    for path in ["/Patient/p?_pretty=maybe", "/Patient?_pretty=yes"] {
        assert_eq!(place(&site.get(path).await.expect(400)), "http._pretty");
    }
    site.stop().await;
}

fn with_id(mut resource: Value, id: &str) -> Value {
    resource["id"] = json!(id);
    resource
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_no_boolean_has_is_refused_by_the_name_of_its_parameter() {
    let site = Site::start().await;
    let known =
        json!({"resourceType": "Patient", "id": "p", "active": true, "deceasedDateTime": "2020"});
    site.put("/Patient/p", &known).await.expect(201);

    for (query, named) in [
        ("/Patient?active=maybe", "active"),
        ("/Patient?active=true,1", "active"),
        ("/Patient?active:not=TRUE", "active:not"),
        ("/Patient?deceased=2020", "deceased"),
        ("/Observation?subject:Patient.active=yes", "subject:Patient.active"),
        ("/Patient?_filter=active+eq+maybe", "_filter"),
    ] {
        let lenient = site.request(Method::GET, query).header("prefer", "handling=lenient");
        for request in [site.request(Method::GET, query), lenient] {
            let refused = Answer::of(request).await.expect(400);
            assert_eq!(place(&refused), format!("http.{named}"), "{query}");
            assert!(text(&refused).contains("true or false"), "{}", text(&refused));
        }
    }
    let conditional =
        site.request(Method::POST, "/Patient").header("if-none-exist", "active=maybe");
    let conditional = conditional.header(TYPE, JSON).body(r#"{"resourceType":"Patient"}"#);
    let refused = Answer::of(conditional).await;
    assert!((400..500).contains(&refused.status), "{}", refused.status);
    assert_eq!(place(&refused), "http.If-None-Exist");

    for (query, found) in [
        ("Patient?active=true", 1),
        ("Patient?active=true,false&deceased=true", 1),
        ("Patient?active:not=true", 0),
        ("Patient?deceased=http://hl7.org/fhir/special-values|true", 1),
        ("Patient?deceased=urn:other|true", 0),
    ] {
        assert_eq!(site.count(query).await, found, "{query}");
    }
    site.stop().await;
}
