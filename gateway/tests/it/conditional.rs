//! Conditional interactions outside of bundles.

use reqwest::Method;
use serde_json::json;

use crate::site::{Answer, JSON, Site, TYPE};

fn identified(value: &str) -> serde_json::Value {
    json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": value}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_clients_with_one_condition_make_one_resource() {
    let site = Site::start().await;
    let sends = (0..64).map(|_| {
        let request = site.request(Method::POST, "/Patient").header(TYPE, JSON);
        Answer::of(
            request
                .header("if-none-exist", "identifier=urn:mrn|7")
                .body(identified("7").to_string()),
        )
    });

    let answers = futures::future::join_all(sends).await;

    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let found = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((created, found), (1, 63));
    let ids: std::collections::HashSet<_> =
        answers.iter().map(|answer| answer.json()["id"].clone().to_string()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_matches_are_a_failed_precondition() {
    let site = Site::start().await;
    site.create(&identified("7")).await;
    site.create(&identified("7")).await;

    let request = site.request(Method::POST, "/Patient").header(TYPE, JSON);
    let request = request.header("if-none-exist", "identifier=urn:mrn|7");
    Answer::of(request.body(identified("7").to_string())).await.expect(412);
    site.put("/Patient?identifier=urn:mrn|7", &identified("7")).await.expect(412);
    site.delete("/Patient?identifier=urn:mrn|7").await.expect(412);

    assert_eq!(site.count("Patient").await, 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_update_makes_changes_and_a_conditional_delete_removes() {
    let site = Site::start().await;
    let path = "/Patient?identifier=urn:mrn|7";

    let made = site.put(path, &identified("7")).await.expect(201).json();
    let mut changed = identified("7");
    changed["active"] = json!(true);
    let changed = site.put(path, &changed).await.expect(200).json();
    site.delete(path).await.expect(204);
    site.delete(path).await.expect(204);

    assert_eq!(made["id"], changed["id"]);
    assert_eq!(changed["meta"]["versionId"], "2");
    assert_eq!(site.count("Patient").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn if_none_match_any_only_creates() {
    let site = Site::start().await;
    let mut body = identified("7");
    body["id"] = json!("p7");
    let send = || {
        let request = site.request(Method::PUT, "/Patient/p7").header(TYPE, JSON);
        Answer::of(request.header("if-none-match", "*").body(body.to_string()))
    };

    send().await.expect(201);
    send().await.expect(412);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_matches_are_deleted_together_where_that_is_configured() {
    let site = Site::start_with(|config| config.search.delete_matches_max = 3).await;
    for _ in 0..3 {
        site.create(&identified("7")).await;
    }
    let kept = site.create(&identified("8")).await;

    let statement = site.get("/metadata").await.expect(200).json();
    let deleted = site.delete("/Patient?identifier=urn:mrn|7").await.expect(200);

    assert_eq!(statement["rest"][0]["resource"][0]["conditionalDelete"], "multiple");
    assert_eq!(deleted.issue().0, "informational");
    assert_eq!(site.count("Patient").await, 1);
    site.get(&format!("/{kept}")).await.expect(200);
    site.delete("/Patient?identifier=urn:mrn|7&_format=json").await.expect(204);
    for _ in 0..4 {
        site.create(&identified("9")).await;
    }
    site.delete("/Patient?identifier=urn:mrn|9").await.expect(412);
    for bad in ["_count=2", "_sort=_id", "identifier=urn:mrn|9&_count=1", "colour=red"] {
        site.delete(&format!("/Patient?{bad}")).await.expect(400);
    }
    assert_eq!(site.count("Patient").await, 5);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_delete_as_many_matches_as_a_request_of_its_own() {
    let site = Site::start_with(|config| config.search.delete_matches_max = 3).await;
    let make = async |value: &str, count: usize| {
        for _ in 0..count {
            site.create(&identified(value)).await;
        }
    };
    let delete = |value: &str| json!({"request": {"method": "DELETE", "url": format!("Patient?identifier=urn:mrn|{value}")}});
    let bundle = |kind: &str, entries: Vec<serde_json::Value>| json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    let create =
        json!({"resource": identified("new"), "request": {"method": "POST", "url": "Patient"}});
    let statuses = |answer: &serde_json::Value| -> Vec<String> {
        let entries = answer["entry"].as_array().unwrap().iter();
        entries.map(|entry| entry["response"]["status"].as_str().unwrap().to_owned()).collect()
    };

    make("7", 3).await;
    make("8", 1).await;
    let batch = bundle("batch", vec![delete("7"), delete("8"), delete("none")]);
    let answer = site.post("", &batch).await.expect(200).json();
    assert_eq!(statuses(&answer), ["200 OK", "204 No Content", "204 No Content"]);
    let told = &answer["entry"][0]["response"]["outcome"]["issue"][0]["diagnostics"];
    assert_eq!(told, "3 resources were deleted");
    assert_eq!(site.count("Patient").await, 0);

    make("7", 3).await;
    make("8", 2).await;
    let both =
        bundle("transaction", vec![create.clone(), delete("7"), create.clone(), delete("8")]);
    let answer = site.post("", &both).await.expect(200).json();
    assert_eq!(statuses(&answer), ["201 Created", "200 OK", "201 Created", "200 OK"]);
    assert_eq!(site.count("Patient").await, 2);
    assert_eq!(site.count("Patient?identifier=urn:mrn|new").await, 2);

    // More than are allowed, or one twice: the whole transaction is refused.
    make("9", 4).await;
    make("7", 2).await;
    let refused =
        site.post("", &bundle("transaction", vec![create.clone(), delete("7"), delete("9")])).await;
    assert_eq!(refused.expect(412).issue().1, "Bundle.entry[2]");
    site.post("", &bundle("transaction", vec![delete("7"), delete("7")])).await.expect(400);
    let answer = site.post("", &bundle("batch", vec![delete("9"), delete("7")])).await.expect(200);
    assert_eq!(statuses(&answer.json()), ["412 Precondition Failed", "200 OK"]);
    assert_eq!(site.count("Patient").await, 6);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_holds_for_every_write_and_any_tag_of_a_list() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&identified("7")).await);
    let body = site.get(&path).await.json();
    let sent = async |method: Method, path: &str, tag: &str| {
        let request = site.request(method, path).header(TYPE, JSON).header("if-match", tag);
        Answer::of(request.body(body.to_string())).await
    };

    sent(Method::PUT, &path, "W/\"9\"").await.expect(412);
    sent(Method::PUT, &path, "W/\"9\", \"1\"").await.expect(200);
    sent(Method::PUT, &path, "*").await.expect(200);
    sent(Method::PUT, &path, "nonsense").await.expect(400);
    let absent = "/Patient/absent";
    for tag in ["*", "W/\"1\""] {
        let mut other = body.clone();
        other["id"] = json!("absent");
        let request = site.request(Method::PUT, absent).header(TYPE, JSON).header("if-match", tag);
        let refused = Answer::of(request.body(other.to_string())).await.expect(412);
        assert_eq!(refused.issue().0, "conflict");
        sent(Method::DELETE, absent, tag).await.expect(412);
        let path = "/Patient?identifier=urn:mrn|none";
        let request = site.request(Method::PUT, path).header(TYPE, JSON).header("if-match", tag);
        Answer::of(request.body(identified("none").to_string())).await.expect(412);
    }
    sent(Method::DELETE, &path, "9").await.expect(412);
    sent(Method::DELETE, &path, "9, *").await.expect(400);
    sent(Method::DELETE, &path, "*").await.expect(204);
    sent(Method::DELETE, &path, "*").await.expect(412);
    assert_eq!(site.count("Patient").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_conditional_on_tag_or_time_and_the_tag_wins() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&identified("7")).await);
    let modified = site.get(&path).await.header("last-modified").to_owned();
    let read = async |headers: &[(&str, &str)]| {
        let request = site.request(Method::GET, &path);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::of(request).await.status
    };

    assert_eq!(read(&[("if-modified-since", &modified)]).await, 304);
    assert_eq!(read(&[("if-modified-since", "Sat, 01 Jan 2000 00:00:00 GMT")]).await, 200);
    assert_eq!(read(&[("if-modified-since", "yesterday")]).await, 200);
    assert_eq!(read(&[("if-none-match", "*")]).await, 304);
    assert_eq!(read(&[("if-none-match", "\"5\", W/\"1\"")]).await, 304);
    assert_eq!(read(&[("if-none-match", "W/\"2\""), ("if-modified-since", &modified)]).await, 200);
    let fresh = site.request(Method::GET, &path).header("if-none-match", "1");
    let fresh = Answer::of(fresh).await.expect(304);
    assert_eq!(
        (fresh.header("etag"), fresh.header("last-modified")),
        ("W/\"1\"", modified.as_str())
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_says_what_it_did_to_who_prefers_an_outcome() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&identified("7")).await);
    let delete = async || {
        let request = site.request(Method::DELETE, &path);
        Answer::of(request.header("prefer", "return=OperationOutcome")).await.expect(200)
    };

    let first = delete().await;
    let second = delete().await;

    assert_eq!((first.header("etag"), second.header("etag")), ("W/\"2\"", ""));
    assert_eq!(first.header("preference-applied"), "return=OperationOutcome");
    assert_eq!(first.issue().0, "informational");
    let other = site.request(Method::DELETE, &path).header("prefer", "return=representation");
    let other = Answer::of(other).await.expect(204);
    assert_eq!(other.header("preference-applied"), "", "there is no resource to answer with");
    assert_eq!(second.json()["issue"][0]["diagnostics"], "there was nothing to delete");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn criteria_in_the_url_of_a_create_are_heeded_as_those_of_the_header() {
    let site = Site::start().await;
    let path = "/Patient?identifier=urn:mrn|7&_pretty=false";

    let made = site.post(path, &identified("7")).await.expect(201).json();
    let found = site.post(path, &identified("7")).await.expect(200).json();

    assert_eq!(found["id"], made["id"]);
    site.post("/Patient?nonsense=1", &identified("8")).await.expect(400);
    let both = site.request(Method::POST, path).header(TYPE, JSON);
    let both = both.header("if-none-exist", "identifier=urn:mrn|7");
    Answer::of(both.body(identified("7").to_string())).await.expect(400);
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}

const EYE: &str = "http://x.example/eye";

/// A patient with eyes of a colour, which a parameter of the installation tells of.
fn eyed(colour: &str) -> serde_json::Value {
    json!({"resourceType": "Patient", "extension": [{"url": EYE, "valueCode": colour}]})
}

async fn define_eye(site: &Site) {
    let parameter = json!({
        "resourceType": "SearchParameter", "id": "eye", "url": "http://x.example/sp/eye", "name": "Eye",
        "status": "active", "description": "A test.", "code": "eye", "base": ["Patient"], "type": "token",
        "expression": format!("Patient.extension('{EYE}').value.ofType(code)"),
    });
    site.put("/SearchParameter/eye", &parameter).await.expect(201);
    // A search by it is refused until its index is whole.
    while site.get("/Patient?eye=none").await.status == 503 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn patched(site: &Site, path: &str) -> Answer {
    let request = site.request(Method::PATCH, path).header(TYPE, "application/json-patch+json");
    let patch = r#"[{"op": "add", "path": "/active", "value": true}]"#;
    Answer::of(request.body(patch)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn criteria_name_parameters_of_the_installation() {
    let site = Site::start().await;
    let unknown = site.put("/Patient?eye=blue", &eyed("blue")).await.expect(400);
    assert!(unknown.text().contains("eye"), "{}", unknown.text());
    define_eye(&site).await;

    let made = site.put("/Patient?eye=blue", &eyed("blue")).await.expect(201).json();
    site.create(&eyed("brown")).await;

    let again = site.put("/Patient?eye=blue", &eyed("blue")).await.expect(200).json();
    assert_eq!((&again["id"], &again["meta"]["versionId"]), (&made["id"], &json!("1")));
    let request = site.request(Method::POST, "/Patient").header(TYPE, JSON);
    let request = request.header("if-none-exist", "eye=blue").body(eyed("blue").to_string());
    assert_eq!(Answer::of(request).await.expect(200).json()["id"], made["id"]);
    assert_eq!(patched(&site, "/Patient?eye=blue").await.expect(200).json()["id"], made["id"]);
    patched(&site, "/Patient?eye=green").await.expect(404);
    site.delete("/Patient?eye:not=blue").await.expect(204);
    assert_eq!(site.count("Patient").await, 1);
    site.delete("/Patient?eye=blue").await.expect(204);
    assert_eq!(site.count("Patient").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_that_a_parameter_of_the_installation_names_are_deleted_together() {
    let site = Site::start_with(|config| config.search.delete_matches_max = 3).await;
    define_eye(&site).await;
    for colour in ["blue", "blue", "brown"] {
        site.create(&eyed(colour)).await;
    }

    let deleted = site.delete("/Patient?eye=blue").await.expect(200);

    assert!(deleted.text_all().contains("2 resources"), "{}", deleted.text_all());
    assert_eq!(site.count("Patient").await, 1);
    site.delete("/Patient?eyes=blue").await.expect(400);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_with_one_condition_by_a_parameter_of_the_installation_make_one_resource() {
    let site = Site::start().await;
    define_eye(&site).await;
    let sends = (0..24).map(|_| {
        let request = site.request(Method::POST, "/Patient").header(TYPE, JSON);
        Answer::of(request.header("if-none-exist", "eye=blue").body(eyed("blue").to_string()))
    });

    let answers = futures::future::join_all(sends).await;

    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let found = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((created, found), (1, 23));
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn criteria_ask_terminology_and_see_what_their_transaction_makes() {
    let site = Site::start().await;
    define_eye(&site).await;
    let system = "http://c.example/sick";
    let codes = json!({
        "resourceType": "CodeSystem", "id": "sick", "url": system, "status": "active", "content": "complete",
        "hierarchyMeaning": "is-a",
        "concept": [{"code": "cold", "concept": [{"code": "flu"}]}, {"code": "burn"}],
    });
    let set = json!({
        "resourceType": "ValueSet", "id": "cold", "url": "http://c.example/cold", "status": "active",
        "compose": {"include": [{"system": system, "filter": [{"property": "concept", "op": "is-a", "value": "cold"}]}]},
    });
    site.put("/CodeSystem/sick", &codes).await.expect(201);
    site.put("/ValueSet/cold", &set).await.expect(201);
    let condition = |code: &str| {
        json!({"resourceType": "Condition", "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": system, "code": code}]}})
    };
    let burn = site.create(&condition("burn")).await;

    let flu = site.put("/Condition?code:in=http://c.example/cold", &condition("flu")).await;
    let flu = format!("Condition/{}", flu.expect(201).json()["id"].as_str().unwrap());
    site.put("/Condition?code:in=http://c.example/nothing", &condition("flu")).await.expect(400);

    // References to what is stored, and to what the same transaction makes.
    let refers = |query: &str| {
        json!({"resource": {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "subject": {"reference": "Patient?eye=green"}, "focus": [{"reference": format!("Condition?{query}")}]},
            "request": {"method": "POST", "url": "Observation"}})
    };
    let posted = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        refers(&format!("code:below={system}|cold")),
        refers("code:not-in=http://c.example/cold"),
        {"resource": eyed("green"), "request": {"method": "POST", "url": "Patient"}},
    ]});
    let answer = site.post("", &posted).await.expect(200).json();
    let location = |at: usize| answer["entry"][at]["response"]["location"].as_str().unwrap();
    let green = location(2).split("/_history").next().unwrap().to_owned();
    for (at, named) in [(0, &flu), (1, &burn)] {
        let stored = site.get(location(at)).await.expect(200).json();
        assert_eq!(stored["focus"][0]["reference"], **named);
        assert!(green.ends_with(stored["subject"]["reference"].as_str().unwrap()), "{stored}");
    }
    // Two of a kind: the one stored, the other made here; the refusal names the entry.
    let posted = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": condition("cold"), "request": {"method": "POST", "url": "Condition"}},
        refers("code:in=http://c.example/cold"),
    ]});
    let refused = site.post("", &posted).await.expect(412);
    assert_eq!(refused.issue().1, "Bundle.entry[1].resource.focus[0].reference");
    let posted = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": condition("cold"), "request": {"method": "POST", "url": "Condition"}},
        refers("code:in=http://c.example/unknown"),
    ]});
    let refused = site.post("", &posted).await.expect(400);
    assert_eq!(refused.issue().1, "Bundle.entry[1].resource.focus[0].reference");
    site.delete("/Condition?code:in=http://c.example/cold").await.expect(204);
    assert_eq!(site.count("Condition").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn criteria_find_what_a_search_finds_whatever_form_a_reference_has() {
    let site = Site::start().await;
    let about = site.create(&identified("7")).await;
    let observation = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "subject": {"reference": about}});
    site.create(&observation).await;
    let answered = json!({"resourceType": "QuestionnaireResponse", "status": "completed",
        "questionnaire": "http://example.org/q|1.0"});
    site.create(&answered).await;

    for (body, criteria) in [
        (&observation, format!("subject={about}")),
        (&observation, format!("subject={}/{about}", site.base)),
        (&observation, format!("subject={about}/_history/1")),
        (&answered, "questionnaire=http://example.org/q|1.0".into()),
        (&answered, "questionnaire=http://example.org/q".into()),
    ] {
        let of = body["resourceType"].as_str().unwrap();
        assert_eq!(site.count(&format!("{of}?{criteria}")).await, 1, "{criteria}");
        let request = site.request(Method::POST, &format!("/{of}")).header(TYPE, JSON);
        let request = request.header("if-none-exist", &criteria).body(body.to_string());
        assert_eq!(Answer::of(request).await.status, 200, "{criteria}");
        let patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
            {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": format!("{of}.status")},
            {"name": "value", "valueCode": body["status"]}]}]});
        let request = site.request(Method::PATCH, &format!("/{of}?{criteria}")).header(TYPE, JSON);
        assert_eq!(Answer::of(request.body(patch.to_string())).await.status, 200, "{criteria}");
    }
    let other = format!("questionnaire={}", "http://example.org/q|2.0");
    let request = site.request(Method::POST, "/QuestionnaireResponse").header(TYPE, JSON);
    let request = request.header("if-none-exist", other).body(answered.to_string());
    assert_eq!(Answer::of(request).await.status, 201);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_update_does_not_replace_a_resource_that_the_criteria_exclude() {
    let site = Site::start().await;
    let stored = site.create(&identified("7")).await;
    let mut body = identified("8");
    body["id"] = json!(stored.strip_prefix("Patient/").unwrap());

    site.put("/Patient?identifier=urn:mrn|8", &body).await.expect(409);

    let kept = site.get(&format!("/{stored}")).await.expect(200).json();
    assert_eq!(kept["identifier"][0]["value"], "7");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_texts_and_urls_that_begin_alike_are_not_taken_for_one_another() {
    let site = Site::start().await;
    let long = "y".repeat(300);
    let set = |end: &str| {
        json!({"resourceType": "ValueSet", "status": "draft", "title": format!("{long}{end}"),
            "url": format!("http://example.org/{long}{end}")})
    };
    site.create(&set("1")).await;

    let once = |criteria: String, body: serde_json::Value| {
        let request = site.request(Method::POST, "/ValueSet").header(TYPE, JSON);
        Answer::of(request.header("if-none-exist", criteria).body(body.to_string()))
    };
    assert_eq!(once(format!("title:exact={long}1"), set("1")).await.status, 200);
    assert_eq!(once(format!("title:exact={long}2"), set("2")).await.status, 201);
    assert_eq!(once(format!("url=http://example.org/{long}1"), set("1")).await.status, 200);
    assert_eq!(once(format!("url=http://example.org/{long}3"), set("3")).await.status, 201);
    site.stop().await;
}
