//! `$validate` over HTTP, profiles that are posted or lie in a folder, and what a store enforces.

use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, Site};
use gateway::validation::Level;

fn own_profile(min: u32) -> Value {
    json!({"resourceType": "StructureDefinition", "id": "own", "url": "http://p.example/own", "version": "1", "name": "Own",
    "status": "active", "kind": "resource", "abstract": false, "type": "Patient", "derivation": "constraint",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "differential": {"element": [
        {"id": "Patient", "path": "Patient"},
        {"id": "Patient.birthDate", "path": "Patient.birthDate", "min": min},
    ]}})
}

fn claiming() -> Value {
    json!({"resourceType": "Patient", "meta": {"profile": ["http://p.example/own"]}, "name": [{"family": "A"}]})
}

/// `severity code expression` of each issue that is no information and no recommendation for a narrative.
fn issues(answer: &Value) -> Vec<String> {
    let all = answer["issue"].as_array().expect("issues").iter();
    let said = all.filter(|issue| {
        issue["severity"] != "information"
            && !issue["diagnostics"].as_str().unwrap_or_default().contains("dom-6")
    });
    said.map(|issue| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!(
            "{} {} {}",
            text(&issue["severity"]),
            text(&issue["code"]),
            text(&issue["expression"][0])
        )
    })
    .collect()
}

async fn validated(site: &Site, path: &str, body: &Value) -> Vec<String> {
    let answer: Answer = site.post(path, body).await;
    issues(&answer.expect(200).json())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_is_validated_as_it_is_and_within_parameters() {
    let site = Site::start().await;
    let good = json!({"resourceType": "Patient", "name": [{"family": "A"}]});
    let bad = json!({"resourceType": "Patient", "name": [{"period": {"start": "2020", "end": "2019"}}], "foo": 1});
    let expected = ["error structure Patient.foo", "error invariant Patient.name[0].period"];

    assert!(validated(&site, "/Patient/$validate", &good).await.is_empty());
    assert_eq!(validated(&site, "/Patient/$validate", &bad).await, expected);
    let wrapped = json!({"resourceType": "Parameters", "parameter": [
        {"name": "mode", "valueCode": "create"}, {"name": "resource", "resource": bad}]});
    assert_eq!(validated(&site, "/Patient/$validate", &wrapped).await, expected);
    let other = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
    assert_eq!(
        validated(&site, "/Patient/$validate", &other).await,
        ["error invalid resourceType"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_those_of_the_xml_that_was_sent() {
    let site = Site::start().await;
    let send = |xml: &str| {
        let request = site.request(Method::POST, "/Patient/$validate");
        Answer::of(request.header("content-type", "application/fhir+xml").body(xml.to_owned()))
    };
    let place_of = |answer: Answer| {
        let issue = answer.json()["issue"][0].clone();
        assert_eq!(issue["expression"][0], "Patient.gender");
        (
            issue["extension"][0]["valueInteger"].as_u64(),
            issue["extension"][1]["valueInteger"].as_u64(),
        )
    };
    let patient = "<Patient xmlns=\"http://hl7.org/fhir\">\n  <active value=\"true\"/>\n\n   <gender value=\"zz\"/>\n</Patient>";

    assert_eq!(place_of(send(patient).await.expect(200)), (Some(4), Some(4)));
    // Within Parameters no line says which resource's it is.
    let wrapped = format!(
        "<Parameters xmlns=\"http://hl7.org/fhir\"><parameter><name value=\"resource\"/><resource>{patient}</resource></parameter></Parameters>"
    );
    assert_eq!(place_of(send(&wrapped).await.expect(200)), (None, None));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_have_line_and_column() {
    let site = Site::start().await;
    let text = "{\n \"resourceType\": \"Patient\",\n \"name\": [\n  {\"period\": {\"start\":\"2020\",\"end\":\"2019\"}}\n ]\n}";

    let answer = site
        .request(Method::POST, "/Patient/$validate")
        .header("content-type", "application/fhir+json")
        .body(text)
        .send()
        .await
        .unwrap();

    let outcome: Value = answer.json().await.unwrap();
    let all = outcome["issue"].as_array().unwrap();
    let issue = all
        .iter()
        .find(|issue| issue["code"] == "invariant" && issue["severity"] == "error")
        .unwrap();
    assert_eq!(issue["extension"][0]["valueInteger"], 4);
    assert_eq!(issue["extension"][1]["valueInteger"], 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_posted_profile_counts_at_once_and_so_does_its_next_version() {
    let site = Site::start().await;
    let path = "/Patient/$validate";
    assert_eq!(
        validated(&site, path, &claiming()).await,
        ["error not-found Patient.meta.profile[0]"]
    );

    site.put("/StructureDefinition/own", &own_profile(1)).await.expect(201);
    assert_eq!(validated(&site, path, &claiming()).await, ["error required Patient.birthDate"]);
    let asked = format!("{path}?profile=http://p.example/own");
    let unclaiming = json!({"resourceType": "Patient"});
    assert_eq!(validated(&site, &asked, &unclaiming).await, ["error required Patient.birthDate"]);

    site.put("/StructureDefinition/own", &own_profile(0)).await.expect(200);
    assert!(validated(&site, path, &claiming()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_resources_are_validated_by_get_and_post() {
    let site = Site::start().await;
    site.put("/StructureDefinition/own", &own_profile(1)).await.expect(201);
    let mut patient = claiming();
    patient["id"] = json!("p");
    site.put("/Patient/p", &patient).await.expect(201);

    let found = site.get("/Patient/p/$validate").await.expect(200).json();
    assert_eq!(issues(&found), ["error required Patient.birthDate"]);
    let found = site.get("/Patient/p/$validate?mode=delete").await.expect(200).json();
    assert!(issues(&found).is_empty());
    site.get("/Patient/none/$validate").await.expect(404);
    patient["id"] = json!("q");
    let found = site.post("/Patient/p/$validate?mode=update", &patient).await.expect(200).json();
    assert!(issues(&found).contains(&"error invalid Patient.id".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operation_does_not_have_is_refused() {
    let site = Site::start().await;
    let patient = json!({"resourceType": "Patient"});
    site.post("/Patient/$validate?mode=burn", &patient).await.expect(400);
    site.post("/Patient/$validate?colour=red", &patient).await.expect(400);
    site.post("/Patient/$validate?mode=profile", &patient).await.expect(400);
    site.post("/Patient/$validate?mode=delete", &patient).await.expect(400);
    site.get("/Patient/$validate").await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn required_bindings_of_profiles_use_stored_value_sets() {
    let site = Site::start().await;
    let mut profile = own_profile(0);
    profile["differential"]["element"][1] = json!({"id": "Patient.maritalStatus", "path": "Patient.maritalStatus",
        "binding": {"strength": "required", "valueSet": "http://p.example/warm"}});
    site.put("/StructureDefinition/own", &profile).await.expect(201);
    let with = |code: &str| {
        let mut patient = claiming();
        patient["maritalStatus"] =
            json!({"coding": [{"system": "http://p.example/colours", "code": code}]});
        patient
    };
    let warning = "warning code-invalid Patient.maritalStatus";
    assert_eq!(
        validated(&site, "/Patient/$validate", &with("blue")).await,
        [warning],
        "the set is not known"
    );

    site.put("/ValueSet/warm", &json!({"resourceType": "ValueSet", "id": "warm", "url": "http://p.example/warm", "status": "active",
        "compose": {"include": [{"system": "http://p.example/colours", "concept": [{"code": "red"}]}]}})).await.expect(201);
    assert_eq!(validated(&site, "/Patient/$validate", &with("red")).await, [warning]);
    assert_eq!(
        validated(&site, "/Patient/$validate", &with("blue")).await,
        [warning, "error code-invalid Patient.maritalStatus"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_enforces_what_its_level_says() {
    let broken =
        json!({"resourceType": "Patient", "name": [{"period": {"start": "2020", "end": "2019"}}]});
    let site = Site::start().await;
    site.post("/Patient", &broken).await.expect(201);

    let site = Site::start_with(|config| config.validation.level = Level::Base).await;
    let refused = site.post("/Patient", &broken).await.expect(422).json();
    assert_eq!(issues(&refused), ["error invariant Patient.name[0].period"]);
    let url = site.post("/Patient", &claiming()).await.expect(201).header("location").to_owned();
    let patched = site
        .request(Method::PATCH, url.split("/_history").next().unwrap())
        .header("content-type", "application/merge-patch+json")
        .body(broken.to_string());
    assert_eq!(Answer::of(patched).await.status, 422, "what a patch would make");
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
        {"resource": broken, "request": {"method": "POST", "url": "Patient"}}]});
    let refused = site.post("", &bundle).await.expect(422).json();
    assert_eq!(issues(&refused), ["error invariant Bundle.entry[1].resource.name[0].period"]);

    let site = Site::start_with(|config| config.validation.level = Level::Profile).await;
    site.post("/Patient", &claiming()).await.expect(422);
    site.put("/StructureDefinition/own", &own_profile(0)).await.expect(201);
    site.post("/Patient", &claiming()).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_and_packages_of_a_folder_are_known() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("note.txt"), "left alone").unwrap();
    let manifest =
        br#"{"name":"own.package","version":"1.0.0","dependencies":{"other.package":"1.0.0"}}"#;
    let mut archive =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, bytes) in [
        ("package/package.json", manifest.to_vec()),
        ("package/StructureDefinition-own.json", own_profile(1).to_string().into_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    let package = archive.into_inner().unwrap().finish().unwrap();
    std::fs::write(folder.path().join("own.tgz"), &package).unwrap();

    let site =
        Site::start_with(|config| config.validation.profiles = Some(folder.path().to_owned()))
            .await;

    assert_eq!(
        validated(&site, "/Patient/$validate", &claiming()).await,
        ["error required Patient.birthDate"]
    );
    std::fs::write(folder.path().join("cut.tgz"), &package[..package.len() / 2]).unwrap();
    let refused = gateway::validation::Validation::open(Some(folder.path())).err().unwrap();
    assert!(refused.contains("cut.tgz"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_bundles_pass_our_own_validation() {
    let site = Site::start().await;
    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>";
    let mut patient =
        json!({"resourceType": "Patient", "id": "p", "text": {"status": "generated", "div": div}});
    site.put("/Patient/p", &patient).await.expect(201);
    patient["active"] = json!(true);
    let get = |url: &str| json!({"request": {"method": "GET", "url": url}});
    let put = json!({"resource": patient, "request": {"method": "PUT", "url": "Patient/p"}});
    let transaction = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        get("Patient/p"), put, get("Patient/p"), get("Patient?_id=p"), get("Patient/p/_history")]});
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [get("Patient/p"), get("Patient/p"), get("Patient/none")]});

    let lenient =
        site.request(Method::GET, "/Patient?colour=red").header("prefer", "handling=lenient");
    let answers = [
        Answer::of(lenient).await,
        site.post("", &transaction).await,
        site.post("", &batch).await,
        site.get("/Patient/p/_history").await,
        site.get("/Patient/p/$everything").await,
    ];

    for answer in answers {
        let bundle = answer.expect(200).json();
        let wrong: Vec<String> = validated(&site, "/Bundle/$validate", &bundle).await;
        let errors: Vec<&String> =
            wrong.iter().filter(|issue| issue.starts_with("error")).collect();
        assert!(errors.is_empty(), "{errors:?} of {bundle}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_rule_is_told_in_the_words_of_the_standard_and_with_what_breaks_it() {
    let site = Site::start().await;
    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\">x<script>alert(1)</script></div>";
    let told = async |body: Value| {
        let answer = site.post("/Patient/$validate", &body).await.expect(200).json();
        let issues = answer["issue"].as_array().unwrap().iter();
        let errors = issues.filter(|issue| issue["severity"] == "error");
        errors.map(|issue| issue["diagnostics"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };

    let script =
        told(json!({"resourceType": "Patient", "text": {"status": "generated", "div": div}})).await;
    let contact = told(json!({"resourceType": "Patient", "contact": [{"gender": "male"}]})).await;

    assert_eq!(script.len(), 1, "{script:?}");
    assert!(script[0].contains("basic html formatting elements"), "{script:?}");
    assert!(script[0].contains("<script>"), "{script:?}");
    assert_eq!(
        contact,
        [
            "rule pat-1 of the standard is not met: SHALL at least contain a contact's details or a reference to an organization"
        ]
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_with_hundreds_of_contained_ones_is_stored_where_rules_are_enforced() {
    let site = Site::start_with(|config| config.validation.level = Level::Base).await;
    let contained: Vec<Value> = (0..1_000)
        .map(|at| json!({"resourceType": "Organization", "id": format!("o{at}"), "name": "x"}))
        .collect();
    let links: Vec<Value> = (0..1_000).map(|at| json!({"reference": format!("#o{at}")})).collect();
    let mut patient =
        json!({"resourceType": "Patient", "contained": contained, "generalPractitioner": links});

    site.post("/Patient", &patient).await.expect(201);

    patient["generalPractitioner"].as_array_mut().unwrap().pop();
    let refused = site.post("/Patient", &patient).await.expect(422).json();
    assert_eq!(issues(&refused), ["error invariant Patient.contained[999]"]);
    site.stop().await;
}
