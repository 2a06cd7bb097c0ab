//! What the criteria of conditional interactions may name, and what they find.

use policy::Role;
use reqwest::Method;
use serde_json::json;

use crate::conditional::identified;
use crate::site::{Answer, JSON, Site, TYPE};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_question_mark_in_a_value_is_part_of_the_criteria() {
    let site = Site::start().await;
    let organization = |system: &str| {
        json!({"resourceType": "Organization", "name": "Clinic", "identifier": [{"system": system, "value": "1"}],
            "type": [{"coding": [{"code": "prov"}]}]})
    };
    let other = site.create(&organization("http://other.example")).await;
    let body = organization("http://x.example/?type=prov");
    let sent = async |criteria: &str| {
        let request = site.request(Method::POST, "/Organization").header(TYPE, JSON);
        Answer::of(request.header("if-none-exist", criteria).body(body.to_string())).await
    };

    let made = sent("identifier=http://x.example/?type=prov|1").await.expect(201).json();
    assert_ne!(made["id"], other.as_str(), "not what has the type that the value ends in");
    let criteria = "identifier=http://x.example/?type=prov|1";
    let urls = ["Organization".to_owned(), format!("{}/Organization", site.base), String::new()];
    let whole = urls.iter().map(|url| format!("{url}?{criteria}"));
    for same in whole.chain([criteria.to_owned()]) {
        assert_eq!(sent(&same).await.expect(200).json()["id"], made["id"], "{same}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn if_none_exist_asks_about_the_type_that_is_made_or_is_refused() {
    let site = Site::start().await;
    let body = json!({"resourceType": "Organization", "name": "Clinic",
        "identifier": [{"system": "urn:o", "value": "1"}]});
    site.create(&body).await;

    for criteria in [
        "Patient?identifier=urn:o|1",
        "http://evil.example/Patient?identifier=urn:o|1",
        "http://evil.example/Organization?identifier=urn:o|1",
        "foo?identifier=urn:o|1",
        "Organization/o1?identifier=urn:o|1",
        "name:exact?identifier=urn:o|1",
        "identifier:missing?name=Clinic",
        "identifier=urn:o|1&_pretty=maybe",
        "Organization?",
    ] {
        let request = site.request(Method::POST, "/Organization").header(TYPE, JSON);
        let request = request.header("if-none-exist", criteria).body(body.to_string());
        let refused = Answer::of(request).await.expect(400);
        let place = &refused.json()["issue"][0]["location"][0];
        assert_eq!(place, "http.If-None-Exist", "{criteria}");
        for kind in ["batch", "transaction"] {
            let request = json!({"method": "POST", "url": "Organization", "ifNoneExist": criteria});
            let posted = json!({"resourceType": "Bundle", "type": kind,
                "entry": [{"resource": body, "request": request}]});
            let answer = site.post("", &posted).await.json();
            let outcome = match kind {
                "batch" => &answer["entry"][0]["response"]["outcome"],
                _ => &answer,
            };
            let place = &outcome["issue"][0]["expression"][0];
            assert_eq!(place, "Bundle.entry[0].request.ifNoneExist", "{criteria}: {answer}");
        }
    }
    assert_eq!(site.count("Organization").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_results_are_no_criteria() {
    let site = Site::start().await;
    site.create(&identified("a")).await;
    for parameter in
        ["_count=1", "_sort=_id", "_include=*", "_total=none", "_revinclude=Task:patient"]
    {
        let name = parameter.split('=').next().unwrap_or_default();
        let query = format!("identifier=a&{parameter}");
        let put = site.put(&format!("/Patient?{query}"), &identified("a")).await.expect(400);
        assert!(put.text().contains(name), "{}", put.text());
        site.delete(&format!("/Patient?{query}")).await.expect(400);
        patched(&site, &format!("/Patient?{query}")).await.expect(400);
        let request = site.request(Method::POST, "/Patient").header(TYPE, JSON);
        let request = request.header("if-none-exist", &query).body(identified("a").to_string());
        Answer::of(request).await.expect(400);
    }
    assert_eq!(site.count("Patient").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_passes_caches_says_nothing_to_a_search() {
    let site = Site::start().await;
    site.create(&identified("a")).await;

    let request = site.request(Method::GET, "/Patient?_=1732233600&identifier=a");
    let found = Answer::of(request.header("prefer", "handling=strict")).await.expect(200).json();

    assert_eq!(found["entry"].as_array().map(Vec::len), Some(1), "the match, and no warning");
    site.stop().await;
}

/// A search says which types it was answered without; a write that found too little would make what is there already.
#[tokio::test(flavor = "multi_thread")]
async fn criteria_that_look_beyond_the_scopes_are_refused() {
    let site = Site::start().await;
    let ward = json!({"resourceType": "Location", "name": "Ward"});
    let ward = site.create(&ward).await;
    let of_ward = |more: serde_json::Value| {
        let mut all = json!({
            "resourceType": "Observation", "status": "final", "code": {"text": "noise"},
            "subject": {"reference": ward},
        });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let there = site.post("/Observation", &of_ward(json!({}))).await.expect(201).json();
    let narrow = site.scoped_token(Role::System, "system/Patient.rs system/Observation.cruds");
    let wide = "system/Patient.rs system/Location.rs system/Observation.cruds";
    let wide = site.scoped_token(Role::System, wide);
    let create = async |token: &str, criteria: &str| {
        let request = site.request_as(token, Method::POST, "/Observation").header(TYPE, JSON);
        let request = request.header("if-none-exist", criteria);
        Answer::of(request.body(of_ward(json!({})).to_string())).await
    };

    let refused = create(&narrow, "subject.name=Ward").await.expect(403);
    let linked = json!({"hasMember": [{"reference": "Observation?subject.name=Ward"}]});
    let path = "/Observation?subject.name=Ward";
    for (method, path, body) in [
        (Method::PUT, path, of_ward(json!({}))),
        (Method::DELETE, path, json!({})),
        (Method::POST, "/Observation", of_ward(linked)),
    ] {
        let request = site.request_as(&narrow, method.clone(), path).header(TYPE, JSON);
        let answer = Answer::of(request.body(body.to_string())).await;
        assert!(answer.status == 403, "{method} {path}: {}", answer.text());
    }
    let found = create(&wide, "subject.name=Ward").await.expect(200).json();
    create(&narrow, "subject:Patient.name=Ward").await.expect(201);

    assert!(refused.text().contains(" reach: Location; "), "{}", refused.text());
    assert_eq!(found["id"], there["id"]);
    assert_eq!(site.count("Observation").await, 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_entries_of_a_stored_bundle_refer_to_is_left_as_it_is() {
    let site = Site::start().await;
    let conditional = "Organization?identifier=urn:none|1";
    let inner =
        json!({"resourceType": "Patient", "managingOrganization": {"reference": conditional}});
    let stored =
        json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inner}]});

    let made = site.post("/Bundle", &stored).await.expect(201).json();

    assert_eq!(made["entry"][0]["resource"], inner);
    site.stop().await;
}
