//! Operations over HTTP, but `$everything` (`everything`), `$validate` and those on codes: and the ward that they are asked about.

use policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, JSON, Site, TYPE, patient};

/// `Type/id` of the entries of one mode, sorted.
pub(crate) fn keys(bundle: &Value, mode: &str) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let of_mode = entries.iter().filter(|entry| entry["search"]["mode"] == mode);
    let mut keys: Vec<String> = of_mode.map(|entry| key(&entry["resource"])).collect();
    keys.sort();
    keys
}

fn key(resource: &Value) -> String {
    format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap())
}

pub(crate) fn observation(id: &str, of: &str, code: &str, date: &str) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": of},
        "code": {"coding": [{"system": "urn:c", "code": code}]}, "effectiveDateTime": date,
        "category": [{"coding": [{"code": "vital-signs"}]}],
        "performer": [{"reference": "Practitioner/dr"}],
    })
}

pub(crate) async fn put(site: &Site, body: &Value) {
    let answer = site.put(&format!("/{}", key(body)), body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// Two patients, one with an encounter, a condition and three observations.
pub(crate) async fn ward() -> Site {
    let site = Site::start().await;
    put(&site, &json!({"resourceType": "Practitioner", "id": "dr"})).await;
    put(&site, &json!({"resourceType": "Organization", "id": "org"})).await;
    let ada = json!({"resourceType": "Patient", "id": "ada", "managingOrganization": {"reference": "Organization/org"}});
    put(&site, &ada).await;
    put(&site, &json!({"resourceType": "Patient", "id": "bob"})).await;
    put(&site, &json!({
        "resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"},
        "subject": {"reference": "Patient/ada"}, "period": {"start": "2020-01-01", "end": "2020-01-03"},
    })).await;
    let condition = json!({
        "resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/ada"},
        "encounter": {"reference": "Encounter/e"}, "recordedDate": "2020-01-02",
    });
    put(&site, &condition).await;
    for (id, code, date) in
        [("o1", "a", "2019-01-01"), ("o2", "a", "2020-01-02"), ("o3", "b", "2021-01-01")]
    {
        let mut one = observation(id, "Patient/ada", code, date);
        if id == "o2" {
            one["encounter"] = json!({"reference": "Encounter/e"});
        }
        put(&site, &one).await;
    }
    put(&site, &observation("x", "Patient/bob", "a", "2020-01-02")).await;
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn lastn_answers_the_newest_of_each_code() {
    let site = ward().await;
    // The same code in another system of codes, beside the known one.
    let mut both = observation("o4", "Patient/ada", "a", "2022-01-01");
    both["code"]["coding"].as_array_mut().unwrap().push(json!({"system": "urn:d", "code": "z"}));
    put(&site, &both).await;
    let mut only = observation("o5", "Patient/ada", "a", "2018-01-01");
    only["code"]["coding"] = json!([{"system": "urn:d", "code": "z"}]);
    put(&site, &only).await;
    put(&site, &observation("o6", "Patient/ada", "b", "2021-01-01")).await;

    let last = site.get("/Observation/$lastn?patient=Patient/ada&category=vital-signs").await;
    let two = site.get("/Observation/$lastn?subject=Patient/ada&code=urn:c|a&max=2").await;

    // o3 and o6 are of one moment.
    let last = last.expect(200).json();
    assert_eq!(keys(&last, "match"), ["Observation/o3", "Observation/o4", "Observation/o6"]);
    assert_eq!(last["total"], 3);
    assert_eq!(keys(&two.expect(200).json(), "match"), ["Observation/o2", "Observation/o4"]);
    let posted = json!({"resourceType": "Parameters", "parameter": [
        {"name": "patient", "valueString": "Patient/ada"}, {"name": "category", "valueString": "vital-signs"},
        {"name": "max", "valuePositiveInt": 3}, {"name": "date", "valueString": "lt2020"},
    ]});
    let early = site.post("/Observation/$lastn", &posted).await.expect(200).json();
    assert_eq!(keys(&early, "match"), ["Observation/o1", "Observation/o5"]);
    for bad in
        ["patient=ada", "category=x", "patient=ada&code=a&max=0", "patient=ada&code=a&_sort=date"]
    {
        site.get(&format!("/Observation/$lastn?{bad}")).await.expect(400);
    }
    let lenient = "/Observation/$lastn?patient=ada&category=vital-signs&colour=red";
    let lenient = site.request(Method::GET, lenient).header("prefer", "handling=lenient");
    let lenient = Answer::of(lenient).await.expect(200).json();
    assert!(
        lenient["entry"][3]["resource"]["issue"][0].to_string().contains("colour"),
        "{lenient}"
    );
    let bob = site.token_of(Role::Patient, Some("bob"));
    let hidden =
        site.get_as(&bob, "/Observation/$lastn?patient=Patient/ada&category=vital-signs").await;
    assert_eq!(keys(&hidden.expect(200).json(), "match"), Vec::<String>::new());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_the_composition_with_all_it_refers_to() {
    let site = ward().await;
    put(
        &site,
        &json!({
            "resourceType": "Composition", "id": "doc", "status": "final", "type": {"text": "note"},
            "date": "2020-01-03", "title": "Note", "subject": {"reference": "Patient/ada"},
            "author": [{"reference": "Practitioner/dr"}],
            "section": [{"entry": [{"reference": "Condition/c"}, {"reference": "Patient/ada"}]}],
        }),
    )
    .await;

    let made = site.get("/Composition/doc/$document").await.expect(200).json();

    let parts: Vec<String> =
        made["entry"].as_array().unwrap().iter().map(|entry| key(&entry["resource"])).collect();
    assert_eq!(parts, ["Composition/doc", "Patient/ada", "Practitioner/dr", "Condition/c"]);
    assert_eq!(made["type"], "document");
    assert!(made["identifier"]["value"].as_str().unwrap().starts_with("urn:uuid:"));
    assert!(made["timestamp"].is_string() && made.get("id").is_none());
    site.get("/Composition/doc/$document?persist=true").await.expect(405);
    for id in ["doc", "Composition/doc", &format!("{}/Composition/doc", site.base)] {
        let named = site.get(&format!("/Composition/$document?id={id}")).await.expect(200).json();
        assert_eq!(named["entry"], made["entry"], "{id}");
    }
    site.get("/Composition/$document").await.expect(400);
    site.get("/Composition/$document?id=Patient/doc").await.expect(400);
    site.get("/Composition/$document?id=none").await.expect(404);
    let stored = site
        .post("/Composition/doc/$document?persist=true", &json!({"resourceType": "Parameters"}))
        .await
        .expect(200);
    let location = stored.header("location").to_owned();
    assert_eq!(site.get(&location).await.expect(200).bytes, stored.bytes);
    assert_eq!(site.count("Bundle").await, 1);
    site.delete("/Condition/c").await.expect(204);
    let broken = site.get("/Composition/doc/$document").await.expect(422);
    let place = "Composition.section[0].entry[0].reference".to_owned();
    assert_eq!(broken.issue(), ("processing".to_owned(), place));
    site.get("/Composition/none/$document").await.expect(404);
    let auditor = site.token_of(Role::Auditor, None);
    site.get_as(&auditor, "/Composition/doc/$document").await.expect(403);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_names_the_types_of_its_parts_that_the_token_does_not_reach() {
    let site = ward().await;
    let note = |id: &str, of: &str| {
        json!({"resourceType": "Composition", "id": id, "status": "final", "type": {"text": "note"},
            "date": "2020-01-03", "title": "Note", "subject": {"reference": format!("Patient/{of}")},
            "author": [{"reference": "Practitioner/dr"}],
            "section": [{"entry": [{"reference": "Condition/c"}]}]})
    };
    put(&site, &note("doc", "ada")).await;
    put(&site, &note("lost", "nobody-here")).await;
    let narrow = site.scoped_token(Role::System, "system/Composition.rs system/Patient.rs");

    for id in ["doc", "lost"] {
        // What is stored is not looked at, so that the answer tells nothing about it.
        let refused = site.get_as(&narrow, &format!("/Composition/{id}/$document")).await;
        let refused = refused.expect(403);
        let place = "Composition.author[0].reference".to_owned();
        assert_eq!(refused.issue(), ("forbidden".to_owned(), place));
        let text = refused.json()["issue"][0]["diagnostics"].as_str().unwrap().to_owned();
        assert!(text.ends_with(": Condition, Practitioner"), "{text}");
    }
    let all = "system/Composition.rs system/Patient.rs system/Practitioner.rs system/Condition.rs";
    let enough = site.scoped_token(Role::System, all);
    let parts = site.get_as(&enough, "/Composition/doc/$document").await.expect(200).json();
    assert_eq!(parts["entry"].as_array().map(Vec::len), Some(4));
    let absent = site.get_as(&enough, "/Composition/lost/$document").await.expect(422);
    assert_eq!(absent.issue().1, "Composition.subject.reference");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_is_told_of_is_answered() {
    let site = ward().await;
    let statement = site.get("/metadata").await.expect(200).json();
    let mut told = 0;

    for resource in statement["rest"][0]["resource"].as_array().unwrap() {
        for operation in resource["operation"].as_array().into_iter().flatten() {
            let (of, name) =
                (resource["type"].as_str().unwrap(), operation["name"].as_str().unwrap());
            let definition = operation["definition"].as_str().unwrap();
            assert!(definition.starts_with("http") || definition.starts_with("urn:"), "{name}");
            let mut known = false;
            for path in [format!("/{of}/${name}"), format!("/{of}/none/${name}")] {
                let request = site.request(Method::POST, &path).header(TYPE, JSON);
                let posted = Answer::of(request.body(r#"{"resourceType":"Parameters"}"#)).await;
                for answer in [posted, site.get(&path).await] {
                    known |= !answer.text().contains("is not offered") && answer.status != 405;
                }
            }
            assert!(known, "{of} {name}");
            told += 1;
        }
    }

    assert!(told >= 4);
    let patient = site.create(&patient("Eve")).await;
    let version = format!("/{patient}/_history/1/$nothing");
    for path in ["/$nothing", "/Patient/$nothing", &format!("/{patient}/$nothing"), &version] {
        let refused = site.get(path).await.expect(404);
        assert_eq!(refused.issue().0, "not-supported", "{path}");
        assert!(refused.text().contains("the operation $nothing is not offered"), "{path}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_in_use_are_told_of_a_type_and_of_everything_to_who_may_see_them() {
    let site = Site::start().await;
    let tag = |code: &str| json!([{"system": "urn:t", "code": code}]);
    for n in 0..5 {
        let meta = json!({"tag": tag(&format!("t{}", n % 2)), "profile": ["urn:profile:a"]});
        let id = format!("o{n}");
        let body = json!({"resourceType": "Organization", "id": id, "name": "x", "meta": meta});
        put(&site, &body).await;
    }
    let secret = json!({"security": [{"system": "urn:s", "code": "R"}], "tag": tag("t1")});
    put(&site, &json!({"resourceType": "Patient", "id": "ada", "meta": secret})).await;
    put(&site, &json!({"resourceType": "Patient", "id": "bob"})).await;
    let meta = |answer: &Value| {
        let all = answer["parameter"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["name"] == "return").unwrap()["valueMeta"].clone()
    };

    let organizations = site.get("/Organization/$meta").await.expect(200).json();
    assert_eq!(meta(&organizations)["tag"], json!([tag("t0")[0], tag("t1")[0]]));
    assert_eq!(meta(&organizations)["profile"], json!(["urn:profile:a"]));
    assert_eq!(meta(&organizations)["security"], Value::Null);
    let all = site.get("/$meta").await.expect(200).json();
    assert_eq!(meta(&all)["security"][0]["code"], "R");
    assert_eq!(meta(&all)["tag"].as_array().unwrap().len(), 2);
    let none = site.get("/Device/$meta").await.expect(200).json();
    assert!(meta(&none)["lastUpdated"].is_string(), "{none}");
    let bob = site.token_of(Role::Patient, Some("bob"));
    let seen = site.get_as(&bob, "/Patient/$meta").await.expect(200).json();
    assert_eq!(meta(&seen)["security"], Value::Null, "{seen}");

    // Two resources a page: together the pages tell all.
    let (mut next, mut codes) = (Some("/$meta?_count=2".to_owned()), Vec::new());
    while let Some(url) = next {
        let page = site.get(&url).await.expect(200).json();
        let tags = meta(&page)["tag"].as_array().cloned().unwrap_or_default();
        codes.extend(tags.iter().map(|tag| tag["code"].as_str().unwrap().to_owned()));
        let all = page["parameter"].as_array().unwrap().iter();
        let link =
            all.filter(|one| one["name"] == "next").map(|one| one["valueUrl"].clone()).next();
        next = link.map(|url| url.as_str().unwrap().to_owned());
    }
    codes.sort();
    codes.dedup();
    assert_eq!(codes, ["t0", "t1"]);
    site.get("/$meta?_cursor=AAAAAAAAAAAAAAAAAAAAAAAA").await.expect(400);
    site.get("/Organization/$meta?tag=x").await.expect(400);
    site.get("/AuditEvent/$meta").await.expect(501);
    site.stop().await;
}
