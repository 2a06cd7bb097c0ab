//! What the statement leaves out is refused with an OperationOutcome: never 500, never done, never ignored.

use fhir::{ResourceType, search_params};
use serde_json::{Value, json};

use super::{Subject, at_once, names, report};
use crate::site::Answer;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_statement_leaves_out_is_refused() {
    let subject = Subject::start().await;
    let mut asked: Vec<(&str, String, Option<Value>)> = Vec::new();
    for (of, one) in subject.types() {
        asked.extend(interactions(of, one));
        asked.extend(searches(of, one).into_iter().map(|path| ("GET", path, None)));
    }
    asked.extend(everywhere());

    let target = &subject;
    let wrong = asked.iter().map(|(method, path, body)| async move {
        let answer = target.send(method, path, body.as_ref()).await;
        accepted(&answer).map(|why| format!("{method} {path}: {why}"))
    });
    let wrong = at_once(wrong.collect()).await;

    report(wrong);
    subject.site.stop().await;
}

/// Requests for interactions that a type does not offer.
fn interactions(of: &str, one: &Value) -> Vec<(&'static str, String, Option<Value>)> {
    let offered = names(one, "interaction", "code");
    let body = json!({"resourceType": of, "id": "r0"});
    let all = [
        ("create", "POST", format!("/{of}"), Some(&body)),
        ("update", "PUT", format!("/{of}/r0"), Some(&body)),
        ("patch", "PATCH", format!("/{of}/r0"), Some(&body)),
        ("delete", "DELETE", format!("/{of}/r0"), None),
        ("read", "GET", format!("/{of}/r0"), None),
        ("vread", "GET", format!("/{of}/r0/_history/1"), None),
        ("history-instance", "GET", format!("/{of}/r0/_history"), None),
        ("history-type", "GET", format!("/{of}/_history"), None),
    ];
    let left_out = all.into_iter().filter(|(code, ..)| !offered.contains(code));
    left_out.map(|(_, method, path, body)| (method, path, body.cloned())).collect()
}

/// Searches by parameters and includes that a type does not list.
fn searches(of: &str, one: &Value) -> Vec<String> {
    let listed = names(one, "searchParam", "name");
    let of_r4 = search_params(ResourceType::parse(of).unwrap()).iter();
    let left_out = of_r4.map(|param| param.code).filter(|code| !listed.contains(code));
    let mut all: Vec<_> = left_out.map(|code| format!("/{of}?{code}=1")).collect();
    all.push(format!("/{of}?no-such-parameter=1"));
    all.push(format!("/{of}?_sort=no-such-parameter"));
    all.push(format!("/{of}?_include={of}:no-such-parameter"));
    all.push(format!("/{of}?_revinclude=Patient:no-such-parameter"));
    all.push(format!("/{of}?_has:Patient:no-such-parameter:name=1"));
    all.push(format!("/{of}/$no-such-operation"));
    all.push(format!("/{of}/r0/$no-such-operation"));
    if let Some(code) = listed.iter().find(|code| !code.starts_with('_')) {
        all.push(format!("/{of}?{code}:no-such-modifier=1"));
        all.push(format!("/{of}?{code}:missing=perhaps"));
    }
    all
}

/// Requests that no type decides.
fn everywhere() -> Vec<(&'static str, String, Option<Value>)> {
    let patient = json!({"resourceType": "Patient"});
    let get = |path: &str| ("GET", path.to_owned(), None);
    vec![
        get("/Nothing"),
        get("/Nothing/1"),
        get("/Patient/r0/nothing"),
        get("/Patient/r0/_history/nothing"),
        get("/$no-such-operation"),
        get("/Patient?_count=many"),
        get("/Patient?_total=perhaps"),
        get("/Patient?_summary=perhaps"),
        get("/Patient?_cursor=nothing"),
        get("/Patient?_query=no-such-query"),
        get("/Patient?birthdate=yesterday"),
        get("/Patient?general-practitioner.no-such-parameter=1"),
        get("/Patient/r0/Nothing"),
        ("POST", "/Nothing".into(), Some(json!({"resourceType": "Nothing"}))),
        ("PUT", "/Patient".into(), Some(patient.clone())),
        ("POST", "/Patient/r0".into(), Some(patient.clone())),
        ("PUT", "/metadata".into(), Some(patient)),
        ("DELETE", "/metadata".into(), None),
        ("DELETE", "/_history".into(), None),
    ]
}

/// Why the answer is no refusal as it should be.
fn accepted(answer: &Answer) -> Option<String> {
    let is_refusal = (400..500).contains(&answer.status) || answer.status == 501;
    if !is_refusal {
        return Some(format!("{} {}", answer.status, answer.text()));
    }
    let outcome: Value = serde_json::from_slice(&answer.bytes).unwrap_or_default();
    let says_why = outcome["issue"][0]["code"].is_string();
    (outcome["resourceType"] != "OperationOutcome" || !says_why)
        .then(|| format!("{} without an OperationOutcome: {}", answer.status, answer.text()))
}
