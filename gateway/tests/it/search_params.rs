//! SearchParameter resources: checked, live at once, indexed with a truthful progress, through crashes.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::process::{Process, sealway};
use crate::site::{Answer, Site};

fn parameter(id: &str, code: &str, kind: &str, expression: &str) -> Value {
    json!({"resourceType": "SearchParameter", "id": id, "url": format!("http://x.example/sp/{id}"), "name": id, "status": "active",
        "description": "A test.", "code": code, "base": ["Patient"], "type": kind, "expression": expression})
}

fn nick() -> Value {
    parameter(
        "nick",
        "nick",
        "string",
        "Patient.extension.where(url = 'http://x.example/nick').value as string",
    )
}

fn patient(nick: &str) -> Value {
    json!({"resourceType": "Patient", "birthDate": "1970-01-01", "multipleBirthInteger": 2,
        "managingOrganization": {"reference": "Organization/o"},
        "extension": [{"url": "http://x.example/nick", "valueString": nick}]})
}

/// Waits until the parameter is whole; a search meanwhile is refused with its progress, never short.
async fn whole(site: &Site, id: &str) {
    let started = Instant::now();
    loop {
        let status =
            site.get(&format!("/SearchParameter/{id}/$reindex-status")).await.expect(200).json();
        match status["parameter"][0]["valueCode"].as_str().unwrap() {
            "ready" => return,
            state => assert_eq!(state, "indexing"),
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_is_live_at_once_and_answers_for_what_was_there_before() {
    let site = Site::start().await;
    for at in 0..30 {
        site.create(&patient(&format!("n{at}"))).await;
    }
    site.get("/Patient?nick=n1").await.expect(400);
    site.put("/SearchParameter/nick", &nick()).await.expect(201);

    let at_once = site.get("/Patient?nick=n1").await;
    assert!(matches!(at_once.status, 200 | 503), "{}", at_once.text());
    if at_once.status == 503 {
        assert!(at_once.text().contains("is being indexed"), "{}", at_once.text());
        assert_eq!(at_once.header("retry-after"), "1");
    }
    whole(&site, "nick").await;

    assert_eq!(site.count("Patient?nick=n1").await, 11, "n1 and n10 to n19");
    assert_eq!(site.count("Patient?nick:exact=n1").await, 1);
    assert_eq!(site.count("Patient?nick:missing=true").await, 0);
    site.create(&patient("new")).await;
    assert_eq!(site.count("Patient?nick=new").await, 1);
    let sorted = site.get("/Patient?_sort=-nick&_count=1").await.expect(200).json();
    assert_eq!(sorted["entry"][0]["resource"]["extension"][0]["valueString"], "new");
    let statement = Answer::of(site.anonymous(Method::GET, "/fhir/metadata")).await.json();
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let of = resources.iter().find(|one| one["type"] == "Patient").unwrap();
    let own =
        of["searchParam"].as_array().unwrap().iter().find(|one| one["name"] == "nick").unwrap();
    assert_eq!(own["definition"], "http://x.example/sp/nick");

    let site = site.restart().await;
    assert_eq!(site.count("Patient?nick=n1").await, 11);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_parameter_searches_and_its_chains_work() {
    let site = Site::start().await;
    let organization = json!({"resourceType": "Organization", "id": "o", "name": "Clinic"});
    site.put("/Organization/o", &organization).await.expect(201);
    let key = site.create(&patient("ada")).await;
    let observation = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": key}});
    site.create(&observation).await;
    for (id, kind, expression) in [
        ("twin", "number", "Patient.multipleBirth.ofType(integer)"),
        ("born", "date", "Patient.birthDate"),
        ("keeper", "reference", "Patient.managingOrganization"),
        ("nick-token", "token", "Patient.extension('http://x.example/nick').value.ofType(string)"),
    ] {
        let mut body = parameter(id, id, kind, expression);
        if kind == "reference" {
            body["target"] = json!(["Organization"]);
        }
        site.put(&format!("/SearchParameter/{id}"), &body).await.expect(201);
    }
    for id in ["twin", "born", "keeper", "nick-token"] {
        whole(&site, id).await;
    }

    for query in [
        "Patient?twin=2",
        "Patient?twin=gt1",
        "Patient?born=1970",
        "Patient?keeper=Organization/o",
        "Patient?keeper=o",
        "Patient?keeper.name=clinic",
        "Patient?nick-token=ada",
        "Organization?_has:Patient:keeper:twin=2",
        "Observation?subject:Patient.nick-token=ada",
    ] {
        assert_eq!(site.count(query).await, 1, "{query}");
    }
    let with = site.get("/Patient?_include=Patient:keeper").await.expect(200).json();
    assert_eq!(with["entry"][1]["resource"]["id"], "o");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_searched_is_refused_with_its_place() {
    let site = Site::start().await;
    let with = |change: Value| {
        let mut body = nick();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };

    for (change, place) in [
        (json!({"expression": "Patient.name.select(given)"}), "SearchParameter.expression"),
        (json!({"expression": "Patient.nickname"}), "SearchParameter.expression"),
        (json!({"expression": "Observation.status"}), "SearchParameter.expression"),
        (json!({"expression": "Patient.active", "type": "date"}), "SearchParameter.expression"),
        (json!({"code": "family"}), "SearchParameter.code"),
        (json!({"code": "nick:x"}), "SearchParameter.code"),
        (json!({"base": ["Resource"]}), "SearchParameter.base[0]"),
        (json!({"type": "special"}), "SearchParameter.type"),
        (json!({"type": "composite"}), "SearchParameter.component"),
        (json!({"target": ["Nothing"], "type": "reference"}), ""),
    ] {
        let refused = site.put("/SearchParameter/nick", &with(change.clone())).await;
        if place.is_empty() {
            assert_eq!(refused.status, 400, "{change}: {}", refused.text());
        } else {
            assert_eq!(refused.status, 422, "{change}: {}", refused.text());
            assert_eq!(refused.issue().1, place, "{change}: {}", refused.text());
        }
    }
    // What repeats R4's own is taken and changes nothing; a draft is kept and not in force.
    let own = with(json!({"code": "family", "expression": "Patient.name.family"}));
    site.put("/SearchParameter/nick", &own).await.expect(201);
    let draft = with(json!({"status": "draft", "expression": "Patient.name.select(given)"}));
    site.put("/SearchParameter/nick", &draft).await.expect(200);
    site.get("/Patient?nick=a").await.expect(400);
    // A second one of the same name is refused.
    site.put("/SearchParameter/nick", &nick()).await.expect(200);
    let mut second = nick();
    second["id"] = json!("second");
    let refused = site.put("/SearchParameter/second", &second).await.expect(422);
    assert_eq!(refused.issue(), ("duplicate".into(), "SearchParameter.code".into()));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_retirement_and_deletion_count_from_the_write_on() {
    let site = Site::start().await;
    site.create(&patient("ada")).await;
    site.put("/SearchParameter/nick", &nick()).await.expect(201);
    whole(&site, "nick").await;
    assert_eq!(site.count("Patient?nick=ada").await, 1);

    let born = parameter("nick", "nick", "string", "Patient.birthDate.toString()");
    site.put("/SearchParameter/nick", &born).await.expect(422);
    let other = parameter("nick", "nick", "uri", "Patient.extension.url");
    site.put("/SearchParameter/nick", &other).await.expect(200);
    whole(&site, "nick").await;
    assert_eq!(site.count("Patient?nick=http://x.example/nick").await, 1);
    assert_eq!(site.count("Patient?nick=ada").await, 0);

    let mut retired = other.clone();
    retired["status"] = json!("retired");
    site.put("/SearchParameter/nick", &retired).await.expect(200);
    site.get("/Patient?nick=ada").await.expect(400);
    let status = site.get("/SearchParameter/nick/$reindex-status").await.expect(200).json();
    assert_eq!(status["parameter"][0]["valueCode"], "not-in-force");

    site.put("/SearchParameter/nick", &nick()).await.expect(200);
    whole(&site, "nick").await;
    assert_eq!(site.count("Patient?nick=ada").await, 1);
    site.delete("/SearchParameter/nick").await.expect(204);
    site.get("/Patient?nick=ada").await.expect(400);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_limits_what_a_query_may_do() {
    let site = Site::start().await;
    let mut body = parameter("twin", "twin", "number", "Patient.multipleBirth.ofType(integer)");
    body["comparator"] = json!(["eq", "gt"]);
    body["modifier"] = json!(["missing"]);
    body["multipleOr"] = json!(false);
    body["multipleAnd"] = json!(false);
    site.put("/SearchParameter/twin", &body).await.expect(201);
    whole(&site, "twin").await;

    for query in ["twin=2", "twin=gt1", "twin:missing=true"] {
        site.get(&format!("/Patient?{query}")).await.expect(200);
    }
    for query in ["twin=lt1", "twin=1,2", "twin=1&twin=2"] {
        let refused = site.get(&format!("/Patient?{query}")).await.expect(400);
        assert!(refused.text().contains("its SearchParameter allows"), "{}", refused.text());
    }
    site.stop().await;
}

#[test]
fn a_kill_while_existing_resources_are_indexed_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Process::start(folder.path());
    let client = reqwest::blocking::Client::new();
    let send = |gateway: &Process, method: Method, path: &str, body: &Value| {
        let request = client.request(method, format!("{}{path}", gateway.base));
        let request =
            request.bearer_auth(&gateway.token).header("content-type", "application/fhir+json");
        request.body(body.to_string()).send().unwrap().status().as_u16()
    };
    for part in 0..6 {
        let entries: Vec<Value> = (0..500)
            .map(|at| json!({"resource": patient(&format!("n{part}-{at}")), "request": {"method": "POST", "url": "Patient"}}))
            .collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        assert_eq!(send(&gateway, Method::POST, "", &bundle), 200);
    }
    assert_eq!(send(&gateway, Method::PUT, "/SearchParameter/nick", &nick()), 201);

    // Killed again and again while the job runs, it ends all the same.
    gateway.kill();
    let mut refused = 0;
    for pause in [0, 150, 400] {
        let gateway = Process::start(folder.path());
        std::thread::sleep(Duration::from_millis(pause));
        refused += u32::from(count(&client, &gateway).0 == 503);
        gateway.kill();
    }
    let gateway = Process::start(folder.path());
    let started = Instant::now();
    loop {
        match count(&client, &gateway) {
            (200, total) => {
                assert_eq!(total, Some(3_000));
                break;
            }
            (status, _) => assert_eq!(status, 503),
        }
        assert!(started.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("refused while it was indexed: {refused}");
    gateway.kill();
    let fsck = sealway(folder.path()).args(["ledger", "fsck"]).output().unwrap();
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stdout));
}

/// Status and total of a search by the parameter.
fn count(client: &reqwest::blocking::Client, gateway: &Process) -> (u16, Option<u64>) {
    let url = format!("{}/Patient?nick=n&_summary=count", gateway.base);
    let answer = client.get(url).bearer_auth(&gateway.token).send().unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().unwrap();
    (status, body["total"].as_u64())
}

#[test]
fn the_index_is_made_anew_for_a_database_of_other_rules() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Process::start(folder.path());
    let client = reqwest::blocking::Client::new();
    for at in 0..5 {
        let request = client.post(format!("{}/Patient", gateway.base)).bearer_auth(&gateway.token);
        let request = request.header("content-type", "application/fhir+json");
        let answer = request.body(patient(&format!("n{at}")).to_string()).send().unwrap();
        assert_eq!(answer.status(), 201);
    }
    let gone = format!("{}/Patient/gone", gateway.base);
    let mut body = patient("gone");
    body["id"] = json!("gone");
    let put = client.put(&gone).bearer_auth(&gateway.token);
    let put = put.header("content-type", "application/fhir+json").body(body.to_string());
    assert_eq!(put.send().unwrap().status(), 201);
    assert_eq!(client.delete(&gone).bearer_auth(&gateway.token).send().unwrap().status(), 204);
    gateway.kill();
    let fsck = || {
        let run = sealway(folder.path()).args(["ledger", "fsck"]).output().unwrap();
        (
            run.status.success(),
            String::from_utf8_lossy(&run.stdout).into_owned()
                + &String::from_utf8_lossy(&run.stderr),
        )
    };
    let (sound, said) = fsck();
    assert!(sound, "{said}");
    let database = rusqlite::Connection::open(folder.path().join("registry.sqlite")).unwrap();
    database.execute("delete from search_date", []).unwrap();
    database.execute("update setting set value = x'01' where name = 'search_table'", []).unwrap();
    drop(database);
    let refused = crate::process::serve(folder.path()).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("sealway reindex"));

    let run = sealway(folder.path()).arg("reindex").output().unwrap();

    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(String::from_utf8_lossy(&run.stdout).contains("the search index is whole: 5"));
    let (sound, said) = fsck();
    assert!(sound, "{said}");
    let gateway = Process::start(folder.path());
    let url = format!("{}/Patient?birthdate=1970&_summary=count", gateway.base);
    let answer: Value = client.get(url).bearer_auth(&gateway.token).send().unwrap().json().unwrap();
    assert_eq!(answer["total"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_star_includes_by_the_parameters_of_the_installation_too_and_only_forwards() {
    let site = Site::start().await;
    let url = "http://x.example/pet";
    let expression = format!("Patient.extension('{url}').value.ofType(Reference)");
    let mut pet = parameter("pet", "pet", "reference", &expression);
    pet["target"] = json!(["Medication"]);
    site.put("/SearchParameter/pet", &pet).await.expect(201);
    whole(&site, "pet").await;
    let medication = json!({"resourceType": "Medication"});
    let medication = site.create(&medication).await;
    let extension = json!([{"url": url, "valueReference": {"reference": medication}}]);
    site.create(&json!({"resourceType": "Patient", "extension": extension})).await;

    for (query, brought) in [
        ("/Patient?_include=*", "Medication"),
        ("/Patient?_include=Patient:*:Medication", "Medication"),
        ("/Patient?_include=Patient:pet", "Medication"),
        ("/Medication?_revinclude=Patient:pet", "Patient"),
    ] {
        let page = site.get(query).await.expect(200).json();
        assert_eq!(page["entry"][1]["resource"]["resourceType"], brought, "{query}: {page}");
    }
    let refused = site.get("/Medication?_revinclude=Patient:*").await.expect(400);
    assert!(refused.text().contains("_revinclude=Patient:*"), "{}", refused.text());
    site.stop().await;
}
