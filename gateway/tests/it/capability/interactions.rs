//! Each interaction, condition and operation of the statement is answered.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Subject, at_once, names, report};
use crate::site::{Answer, JSON, TYPE};

#[tokio::test(flavor = "multi_thread")]
async fn every_interaction_of_the_statement_is_answered() {
    let subject = Subject::start().await;
    define_colours(&subject).await;
    let wrong =
        at_once(subject.types().map(|(of, one)| of_type(&subject, of, one)).collect()).await;

    report(wrong.into_iter().flatten().collect());
    subject.site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_interaction_of_the_whole_system_is_answered() {
    let subject = Subject::start().await;
    let mut wrong = Vec::new();

    for code in names(subject.rest(), "interaction", "code") {
        let bundle = |kind: &str| {
            let request = json!({"method": "GET", "url": "Patient/r0"});
            json!({"resourceType": "Bundle", "type": kind, "entry": [{"request": request}]})
        };
        let answer = match code {
            "transaction" | "batch" => subject.site.post("", &bundle(code)).await,
            "history-system" => subject.site.get("/_history?_count=2").await,
            "search-system" => subject.site.get("?_type=Patient,Observation&_count=2").await,
            other => {
                wrong.push(Some(format!("{other} is advertised, but this test has no request")));
                continue;
            }
        };
        wrong.push(refused(code, "", &answer));
    }
    for operation in names(subject.rest(), "operation", "name") {
        wrong.push(Some(operation_of("", operation, &subject).await).flatten());
    }

    report(wrong);
    subject.site.stop().await;
}

/// All that a type offers, in the order of a life: made first, deleted last.
async fn of_type(subject: &Subject, of: &str, one: &Value) -> Vec<Option<String>> {
    let mut codes = names(one, "interaction", "code");
    codes.sort_by_key(|code| *code == "delete");
    let sample = sample(subject, of).await;
    let mut wrong = Vec::new();
    for code in codes {
        wrong.push(interaction(subject, of, code, &sample).await);
    }
    for operation in names(one, "operation", "name") {
        wrong.push(operation_of(of, operation, subject).await);
    }
    let conditions = [
        ("conditionalCreate", json!(true)),
        ("conditionalUpdate", json!(true)),
        ("conditionalRead", json!("not-match")),
        ("conditionalRead", json!("full-support")),
        ("conditionalDelete", json!("single")),
        ("conditionalDelete", json!("multiple")),
    ];
    for (name, value) in conditions.iter().filter(|(name, value)| one[*name] == *value) {
        wrong.push(condition(subject, of, name, value, &sample).await);
    }
    wrong
}

/// A stored resource of the type under a name of its own.
async fn sample(subject: &Subject, of: &str) -> Value {
    if of == "AuditEvent" {
        return Value::Null;
    }
    let mut sample = subject.site.get(&format!("/{of}/r1?_format=json")).await.expect(200).json();
    sample["id"] = json!("sample");
    sample.as_object_mut().unwrap().shift_remove("meta");
    subject.site.put(&format!("/{of}/sample"), &sample).await.expect(201);
    sample
}

async fn interaction(subject: &Subject, of: &str, code: &str, sample: &Value) -> Option<String> {
    let path = format!("/{of}/sample");
    let patch = || {
        let body = r#"[{"op": "add", "path": "/language", "value": "en"}]"#;
        let request = subject.site.request(Method::PATCH, &path);
        Answer::of(request.header(TYPE, "application/json-patch+json").body(body))
    };
    let answer = match code {
        "create" => subject.site.post(&format!("/{of}"), sample).await,
        "read" => subject.site.get(&path).await,
        "vread" => subject.site.get(&format!("{path}/_history/1")).await,
        "update" => {
            let mut changed = sample.clone();
            changed["language"] = json!("de");
            subject.site.put(&path, &changed).await
        }
        "patch" => patch().await,
        "delete" => subject.site.delete(&path).await,
        "history-instance" => subject.site.get(&format!("{path}/_history")).await,
        "history-type" => subject.site.get(&format!("/{of}/_history?_count=2")).await,
        "search-type" => subject.get(&format!("/{of}?_count=2")).await,
        other => return Some(format!("{of}: {other} is advertised, but this test has no request")),
    };
    refused(code, of, &answer)
}

async fn condition(
    subject: &Subject,
    of: &str,
    name: &str,
    value: &Value,
    sample: &Value,
) -> Option<String> {
    let none = "_id=no-such-id";
    let send = |method: Method, path: String, header: (&'static str, String)| {
        let request = subject.site.request(method, &path).header(TYPE, JSON);
        Answer::of(request.header(header.0, header.1).body(sample.to_string()))
    };
    let answer = match (name, value.as_str()) {
        ("conditionalCreate", _) => {
            send(Method::POST, format!("/{of}"), ("if-none-exist", "_id=r0".into())).await
        }
        ("conditionalUpdate", _) => {
            let mut named = sample.clone();
            named["id"] = json!("r2");
            subject.site.put(&format!("/{of}?_id=r2"), &named).await
        }
        ("conditionalRead", _) => {
            let path = format!("/{of}/r0");
            // Operations before this one may have made a further version.
            let current = subject.site.get(&path).await.header("etag").to_owned();
            let request = subject.site.request(Method::GET, &path).header("if-none-match", current);
            let answer = Answer::of(request).await;
            return (answer.status != 304).then(|| format!("{of} {name}: {}", answer.status));
        }
        _ => subject.site.delete(&format!("/{of}?{none}")).await,
    };
    refused(name, of, &answer)
}

/// A request for each operation, by name.
async fn operation_of(of: &str, name: &str, subject: &Subject) -> Option<String> {
    let place = if of.is_empty() { String::new() } else { format!("/{of}") };
    let answer = match name {
        "receipt" => subject.site.get(&format!("{place}/r0/_history/1/$receipt")).await,
        "meta" if of.is_empty() => subject.site.get("/$meta").await,
        "meta" | "everything" | "document" | "reindex-status" => {
            subject.site.get(&format!("{place}/r0/${name}")).await
        }
        "purge" => {
            let one = json!({"resourceType": "Patient", "id": "to-be-erased"});
            subject.site.put("/Patient/to-be-erased", &one).await.expect(201);
            subject.site.purge("to-be-erased").await
        }
        "meta-add" | "meta-delete" => {
            let meta = json!({"name": "meta", "valueMeta": {"tag": [{"code": "told"}]}});
            let body = json!({"resourceType": "Parameters", "parameter": [meta]});
            subject.site.post(&format!("{place}/r0/${name}"), &body).await
        }
        "lastn" => subject.site.get(&format!("{place}/$lastn?patient=Patient/r0&code=c1")).await,
        "validate" => {
            let path = format!("{place}/r0?_format=json");
            let resource = subject.site.get(&path).await.expect(200).json();
            subject.site.post(&format!("{place}/$validate"), &resource).await
        }
        "lookup" => subject.get(&format!("{place}/$lookup?{COLOURS}&code=red")).await,
        "subsumes" => {
            subject.get(&format!("{place}/$subsumes?{COLOURS}&codeA=red&codeB=red")).await
        }
        "expand" => subject.get(&format!("{place}/$expand?url={WARM}")).await,
        "translate" => subject.get(&format!("{place}/$translate?{COLOURS}&code=red")).await,
        "validate-code" if of == "ValueSet" => {
            subject.get(&format!("{place}/$validate-code?url={WARM}&{COLOURS}&code=red")).await
        }
        "validate-code" => {
            let url = "http://c.example/colours";
            subject.get(&format!("{place}/$validate-code?url={url}&code=red")).await
        }
        other => {
            return Some(format!("{of}: ${other} is advertised, but this test has no request"));
        }
    };
    refused(name, of, &answer)
}

/// Definitions that the operations on codes are asked about.
async fn define_colours(subject: &Subject) {
    let system = json!({
        "resourceType": "CodeSystem", "id": "colours", "url": "http://c.example/colours",
        "status": "active", "content": "complete", "concept": [{"code": "red", "display": "Red"}],
    });
    let set = json!({
        "resourceType": "ValueSet", "id": "warm", "url": WARM, "status": "active",
        "compose": {"include": [{"system": "http://c.example/colours"}]},
    });
    subject.site.put("/CodeSystem/colours", &system).await.expect(201);
    subject.site.put("/ValueSet/warm", &set).await.expect(201);
}

fn refused(what: &str, of: &str, answer: &Answer) -> Option<String> {
    let fine = (200..300).contains(&answer.status);
    (!fine).then(|| format!("{of} {what}: {} {}", answer.status, answer.text()))
}

const COLOURS: &str = "system=http://c.example/colours";
const WARM: &str = "http://c.example/warm";
