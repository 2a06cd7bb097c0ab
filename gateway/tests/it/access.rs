//! Who may see what, and what is recorded.

use std::sync::Arc;

use policy::Role;
use reqwest::Method;
use serde_json::json;

use crate::site::{Answer, JSON, Site, TYPE, patient};

fn observation(subject: &str) -> serde_json::Value {
    json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": subject}})
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_only_public_places_answer() {
    let site = Site::start().await;
    let anonymous = |path: &'static str| Answer::of(site.anonymous(Method::GET, path));

    let refused = anonymous("/fhir/Patient").await.expect(401);
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
    for path in ["/fhir/metadata", "/livez", "/readyz", "/health", "/metrics", "/ledger/trust"] {
        anonymous(path).await.expect(200);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_development_token_outlives_a_restart_but_not_the_issuer() {
    let site = Site::start().await;
    let token = site.token_of(Role::System, None);

    let site = site.restart().await;
    site.get_as(&token, "/Patient").await.expect(200);

    // The key is still in the folder, but nobody started the issuer.
    let site = site.restart_with(|config| config.auth.dev_issuer = false).await;
    let refused = site.get_as(&token, "/Patient").await.expect(401);
    assert!(refused.header("www-authenticate").contains("invalid_token"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn details_are_for_this_machine_and_for_operators_and_auditors_elsewhere() {
    let site = Site::start().await;
    let from_afar = |path: &'static str, role: Option<Role>| {
        let request = site.anonymous(Method::GET, path).header("x-forwarded-for", "192.0.2.7");
        let token = role.map(|role| site.token_of(role, None));
        Answer::of(match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    };

    for path in ["/metrics", "/readyz?verbose", "/health"] {
        Answer::of(site.anonymous(Method::GET, path)).await.expect(200);
        from_afar(path, Some(Role::Operator)).await.expect(200);
        from_afar(path, Some(Role::Auditor)).await.expect(200);
        from_afar(path, Some(Role::System)).await.expect(403);
    }
    from_afar("/metrics", None).await.expect(401);
    from_afar("/readyz?verbose", None).await.expect(401);
    assert_eq!(from_afar("/readyz", None).await.expect(200).text_all(), "ok\n");
    assert_eq!(from_afar("/health", None).await.expect(200).text_all(), r#"{"status":"pass"}"#);
    let detailed = from_afar("/health", Some(Role::Operator)).await.json();
    assert!(detailed["checks"]["registry"].is_array(), "{detailed}");

    // Where a public URL is set there is a proxy, and who comes from this machine may be anybody.
    let public = |config: &mut gateway::config::Config| {
        config.server.public_url = Some("https://fhir.example.org".to_owned());
    };
    let site = site.restart_with(public).await;
    Answer::of(site.anonymous(Method::GET, "/metrics")).await.expect(401);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_the_tasks_of_messages_and_no_other() {
    let site = Site::start().await;
    let clinical = site
        .create(&json!({"resourceType": "Task", "status": "requested", "intent": "order",
            "businessStatus": {"coding": [{"system": "https://hospital.example", "code": "quarantined"}]},
            "description": "call the patient"}))
        .await;
    let without_patient =
        "MSH|^~\\&|A|B|C|D|20260301101500||ADT^A01|M3|P|2.5.1\rPID|1||||No^Number\r";
    let refused =
        site.anonymous(Method::POST, "/hl7v2").bearer_auth(site.token_of(Role::System, None));
    let refused = refused.header(TYPE, "application/hl7-v2").body(without_patient);
    Answer::of(refused).await.expect(500);
    let token = site.token_of(Role::Operator, None);
    let get = |path: String| {
        let (site, token) = (&site, &token);
        async move { site.get_as(token, &path).await }
    };

    let found = get("/Task?_total=accurate".into()).await.expect(200).json();
    assert_eq!(found["total"], 1, "{found}");
    let task = &found["entry"][0]["resource"];
    assert_eq!(task["statusReason"]["coding"][0]["code"], "patient-identifier-missing");
    let own = format!("/Task/{}", task["id"].as_str().unwrap());
    get(own.clone()).await.expect(200);
    assert_eq!(
        get("/Task?business-status=quarantined&_summary=count".into()).await.json()["total"],
        1
    );

    let hidden = get(format!("/{clinical}")).await.expect(404);
    let absent = get("/Task/absent".into()).await.expect(404);
    assert_eq!(hidden.issue(), absent.issue());
    site.delete(&format!("/{clinical}")).await.expect(204);
    site.get(&format!("/{clinical}")).await.expect(410);
    let deleted = get(format!("/{clinical}")).await.expect(404);
    assert_eq!(deleted.issue(), absent.issue());
    let closed = [
        format!("/{}", task["focus"]["reference"].as_str().unwrap()),
        format!("{own}/_history"),
        format!("{own}/_history/1"),
        format!("{own}/_history/1/$receipt"),
        "/Task/_history".into(),
        "/Task?_include=Task:focus".into(),
        "/Task?patient.name=x".into(),
        "/Patient".into(),
    ];
    for path in closed {
        get(path.clone()).await.expect(403);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_is_not_offered_is_told_which_are() {
    let site = Site::start().await;
    let offered = [
        ("/livez", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/hl7v2", "POST"),
        ("/ledger/checkpoint", "GET, HEAD"),
        ("/fhir", "GET, HEAD, POST"),
        ("/fhir/metadata", "GET, HEAD"),
        ("/fhir/_history", "GET, HEAD"),
        ("/fhir/Patient", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("/fhir/Patient/_search", "POST"),
        ("/fhir/R4/Patient/p", "GET, HEAD, PUT, PATCH, DELETE"),
        ("/fhir/Patient/p/_history", "GET, HEAD"),
        ("/fhir/Patient/p/_history/1", "GET, HEAD"),
        ("/fhir/Patient/p/_history/1/$receipt", "GET, HEAD"),
    ];

    for (path, allow) in offered {
        let refused = Answer::of(site.anonymous(Method::TRACE, path)).await.expect(405);
        assert_eq!(refused.header("allow"), allow, "{path}");
        assert_eq!(refused.issue().0, "not-supported");
    }
    let by_policy =
        site.post("/AuditEvent", &json!({"resourceType": "AuditEvent"})).await.expect(405);
    assert_eq!(by_policy.header("allow"), "GET, HEAD");
    for method in [Method::PUT, Method::DELETE] {
        let request = site.request(method, "/Patient").header("content-type", "application/json");
        let request = request.body(r#"{"resourceType":"Patient"}"#);
        let without_criteria = Answer::of(request).await.expect(405);
        assert_eq!(without_criteria.header("allow"), "GET, HEAD, POST");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_sees_the_own_record_only_and_who_looked() {
    let site = Site::start().await;
    let own = site.create(&patient("Ada")).await;
    let other = site.create(&patient("Eve")).await;
    let own_result = site.create(&observation(&own)).await;
    let other_result = site.create(&observation(&other)).await;
    site.get("/Patient").await.expect(200);
    let token = site.token_of(Role::Patient, Some(own.strip_prefix("Patient/").unwrap()));

    site.get_as(&token, &format!("/{own}")).await.expect(200);
    site.get_as(&token, &format!("/{own_result}")).await.expect(200);
    let hidden = site.get_as(&token, &format!("/{other_result}")).await.expect(404);
    let absent = site.get_as(&token, "/Observation/absent").await.expect(404);
    let found = site.get_as(&token, "/Observation?_total=accurate").await.expect(200).json();
    let looked = site.get_as(&token, "/AuditEvent").await.expect(200);

    assert_eq!(hidden.issue(), absent.issue());
    assert_eq!(found["total"], 1);
    assert!(looked.json()["entry"].as_array().unwrap().len() >= 4);
    let text = String::from_utf8_lossy(&looked.bytes).into_owned();
    assert!(text.contains(&own) && !text.contains(&other), "others' names must not show");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_sees_accesses_and_no_clinical_data() {
    let site = Site::start().await;
    let key = site.create(&patient("Ada")).await;
    site.get(&format!("/{key}")).await.expect(200);
    let token = site.token_of(Role::Auditor, None);

    site.get_as(&token, "/Patient").await.expect(403);
    let events =
        site.get_as(&token, &format!("/AuditEvent?patient={key}")).await.expect(200).json();

    let subtypes: Vec<_> = events["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["resource"]["subtype"][0]["code"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        subtypes.contains(&"read".to_owned()) && subtypes.contains(&"create".to_owned()),
        "{subtypes:?}"
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_accesses_is_answered_by_r4s_rules_or_refused() {
    let site = Site::start().await;
    for id in ["pp1", "pp2"] {
        let body = json!({"resourceType": "Patient", "id": id});
        site.put(&format!("/Patient/{id}"), &body).await.expect(201);
    }
    site.get("/Patient/pp1").await.expect(200);
    let auditor = site.token_of(Role::Auditor, None);
    let ask = async |query: &str| site.get_as(&auditor, &format!("/AuditEvent?{query}")).await;

    let base = &site.base;
    let subject = ask("patient=pp1&_count=1").await.expect(200).json();
    let agents = subject["entry"][0]["resource"]["agent"].as_array().unwrap().clone();
    let user = agents.iter().find(|agent| agent["requestor"] == true).unwrap();
    let user = user["who"]["display"].as_str().unwrap();
    for (query, found) in [
        // The update that made it and the read, as for each of these.
        ("patient=pp1".to_owned(), 2),
        ("patient=pp2".into(), 1),
        ("patient=pp1,none".into(), 2),
        ("patient=Patient/pp1,Patient/none".into(), 2),
        ("patient=pp1,pp2".into(), 3),
        ("patient=pp1&patient=none".into(), 0),
        (format!("patient={base}/Patient/pp1"), 2),
        (format!("patient={base}/R4/Patient/pp1"), 2),
        ("patient=http://elsewhere.example/Patient/pp1".into(), 0),
        (format!("patient=pp1&agent={user}"), 2),
        (format!("patient=pp1&agent=nobody,{user}"), 2),
        (format!("patient=pp1&agent={user}&agent=nobody"), 0),
        ("patient=pp1&date=ge2020,1999".into(), 2),
        ("patient=pp1&date=ge2020&date=1999".into(), 0),
        ("patient=pp1&_count=7&_count=7".into(), 2),
        (format!("patient=pp1&_page={}", u64::MAX), 2),
    ] {
        let page = ask(&query).await.expect(200).json();
        assert_eq!(page["entry"].as_array().map_or(0, Vec::len), found, "{query}");
    }
    for query in [
        "patient=",
        "patient=pp1,,pp2",
        "patient=a/b/c",
        "patient=PP1!!",
        "patient=Observation/pp1",
        "agent=",
        "date=",
        "date=ge2020,soon",
        "_count=1&_count=2",
        "_count=0",
    ] {
        let refused = ask(query).await.expect(400);
        let name = query.split('=').next().unwrap();
        assert_eq!(refused.issue().0, "invalid");
        let place = &refused.json()["issue"][0]["location"][0];
        assert_eq!(*place, format!("http.{name}"), "{query}");
    }
    // Links keep what was asked for, and lead through all of it.
    let first = ask("patient=pp1,pp2&_count=2").await.expect(200).json();
    let next = first["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next");
    let next = next.unwrap()["url"].as_str().unwrap();
    let second = site.get_as(&auditor, next).await.expect(200).json();
    assert_eq!(second["entry"].as_array().map(Vec::len), Some(1), "{second}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_its_record_and_ledger_entry() {
    let site = Site::start().await;
    let key = site.create(&patient("Ada")).await;
    // The record of a write is in its commit; it comes to the journal a moment later.
    for _ in 0..500 {
        if site.app.journal.position() == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let before = site.app.journal.position();
    assert_eq!(before, 1, "the record of the creation");

    site.get(&format!("/{key}")).await.expect(200);
    site.get("/Patient").await.expect(200);
    site.get(&format!("/{key}/_history")).await.expect(200);
    site.get("/Patient/absent").await.expect(404);

    assert_eq!(site.app.journal.position(), before + 4);
    let (journal, ledger) = (Arc::clone(&site.app.journal), Arc::clone(&site.app.ledger));
    site.stop().await;
    let records = journal.position();
    assert_eq!(ledger.checkpoint().unwrap().size(), records + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_of_a_forbidden_type_is_403_and_not_an_error_of_ours() {
    let site = Site::start().await;
    let own = site.create(&patient("Ada")).await;
    let token = site.token_of(Role::Patient, Some(own.strip_prefix("Patient/").unwrap()));

    site.get_as(&token, "/Patient?_has:Group:member:code=x").await.expect(403);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_is_told_of_a_deletion_but_not_of_the_query_that_found_it() {
    let site = Site::start().await;
    let own = site.create(&patient("Ada")).await;
    let other = site.create(&patient("Eve")).await;
    let result = site.create(&observation(&own)).await;
    site.get(&format!("/Observation?subject={own},{other}")).await.expect(200);
    site.delete(&format!("/{result}")).await.expect(204);
    let token = site.token_of(Role::Patient, Some(own.strip_prefix("Patient/").unwrap()));

    let looked = site.get_as(&token, "/AuditEvent").await.expect(200);

    let subtypes: Vec<_> = looked.json()["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["resource"]["subtype"][0]["code"].as_str().unwrap().to_owned())
        .collect();
    assert!(subtypes.contains(&"delete".to_owned()), "{subtypes:?}");
    assert!(subtypes.contains(&"search".to_owned()), "{subtypes:?}");
    assert!(!looked.text_all().contains(&other));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_names_all_patients_of_a_resource_whatever_keys_are_in_memory() {
    let site = Site::start().await;
    let own = site.create(&patient("Ada")).await;
    let other = site.create(&patient("Eve")).await;
    let visit = site
        .create(&json!({
            "resourceType": "Appointment", "status": "booked",
            "participant": [
                {"actor": {"reference": own}, "status": "accepted"},
                {"actor": {"reference": other}, "status": "accepted"}]
        }))
        .await;
    let site = site.restart().await;
    site.get(&format!("/{own}")).await.expect(200);
    site.get(&format!("/{visit}")).await.expect(200);
    let auditor = site.token_of(Role::Auditor, None);

    let events = site.get_as(&auditor, &format!("/AuditEvent?patient={other}")).await.expect(200);

    assert_eq!(events.json()["entry"][0]["resource"]["subtype"][0]["code"], "read");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_tells_nobody_of_a_compartment_which_hidden_ids_exist() {
    let site = Site::start().await;
    let own = site.create(&patient("Ada")).await;
    let other = site.create(&patient("Eve")).await;
    let hidden = site.create(&observation(&other)).await;
    let token = site.limited_token(own.strip_prefix("Patient/").unwrap());
    let put = |key: String, if_match: bool| {
        let mut body = observation(&own);
        body["id"] = json!(key.strip_prefix("Observation/").unwrap());
        let mut request = site.request_as(&token, Method::PUT, &format!("/{key}"));
        if if_match {
            request = request.header("if-match", "W/\"1\"");
        }
        Answer::of(request.header(TYPE, JSON).body(body.to_string()))
    };

    for if_match in [false, true] {
        let of_hidden = put(hidden.clone(), if_match).await.expect(404);
        let of_absent = put("Observation/absent".to_owned(), if_match).await.expect(404);
        assert_eq!(of_hidden.issue(), of_absent.issue());
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_patient_shows_him_nobody_elses_record() {
    let site = Site::start().await;
    let own = site.create(&patient("Ada")).await;
    let mut linked = patient("Eve");
    linked["link"] = json!([{"other": {"reference": own}, "type": "seealso"}]);
    let other = site.create(&linked).await;
    let token = site.token_of(Role::Patient, Some(own.strip_prefix("Patient/").unwrap()));

    for path in ["/Patient", "/Patient/_history", "/_history", "/Patient?_revinclude=Patient:link"]
    {
        let found = site.get_as(&token, path).await.expect(200);
        assert!(found.text_all().contains(&own), "{path}");
        assert!(!found.text_all().contains(&format!("{other}\"")), "{path}");
    }
    site.get_as(&token, &format!("/{other}")).await.expect(404);
    site.stop().await;
}
