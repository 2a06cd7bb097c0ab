//! The CapabilityStatement is what is answered: each line of it is asked, and a sample of all it leaves out.
//!
//! The requests are made from the statement itself, over random resources of every type (those of the search
//! oracle). A line that this test has no request for fails by its name.

#[path = "../../../registry/tests/it/oracle/dice.rs"]
mod dice;
#[path = "../../../registry/tests/it/oracle/generate.rs"]
mod generate;
#[path = "../../../registry/tests/it/oracle/params.rs"]
#[expect(dead_code, reason = "shared with the search oracle")]
mod params;
#[path = "../../../registry/tests/it/oracle/path.rs"]
#[expect(dead_code, reason = "shared with the search oracle")]
mod path;
#[path = "../../../registry/tests/it/oracle/schema.rs"]
mod schema;
#[path = "../../../registry/tests/it/oracle/vocabulary.rs"]
#[expect(dead_code, reason = "shared with the search oracle")]
mod vocabulary;

mod interactions;
mod refusals;
mod searches;

use fhir::FullText;
use futures::StreamExt;
use policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, JSON, Site, TYPE};

/// A site with resources `r0` and on of every type, and what it says of itself.
struct Subject {
    site: Site,
    statement: Value,
    auditor: String,
    system: String,
}

impl Subject {
    async fn start() -> Self {
        let site = Site::start_with(|config| config.search.full_text = FullText::All).await;
        let all: Vec<Value> = generate::corpus(1, 1);
        let some = all.into_iter().filter(|one| one["resourceType"] != "AuditEvent");
        let entries: Vec<Value> = some.map(entry).collect();
        for entries in entries.chunks(ENTRIES_MAX) {
            let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
            let answer = site.post("", &bundle).await.expect(200).json();
            for (sent, answer) in entries.iter().zip(answer["entry"].as_array().unwrap()) {
                let status = answer["response"]["status"].as_str().unwrap();
                assert!(status.starts_with("201"), "{sent}: {answer}");
            }
        }
        let statement =
            Answer::of(site.anonymous(Method::GET, "/fhir/metadata")).await.expect(200).json();
        let (auditor, system) = (Role::Auditor, Role::System);
        let (auditor, system) = (site.token_of(auditor, None), site.token_of(system, None));
        Self { site, statement, auditor, system }
    }

    fn rest(&self) -> &Value {
        &self.statement["rest"][0]
    }

    /// What the statement says of each type.
    fn types(&self) -> impl Iterator<Item = (&str, &Value)> {
        let all = self.rest()["resource"].as_array().unwrap().iter();
        all.map(|one| (one["type"].as_str().unwrap(), one))
    }

    /// A request by who may make it: an auditor asks for AuditEvents, the system for the rest.
    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let token = match path.starts_with("/AuditEvent") {
            true => &self.auditor,
            false => &self.system,
        };
        self.site.request_as(token, method, path)
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = self.request(method, path);
        Answer::of(match body {
            Some(body) => request.header(TYPE, JSON).body(body.to_string()),
            None => request,
        })
        .await
    }
}

fn entry(mut resource: Value) -> Value {
    // One in force has to make sense, which random texts do not.
    if resource["resourceType"] == "SearchParameter" {
        resource["status"] = json!("draft");
    }
    // Others are refused, as nobody would be notified.
    if resource["resourceType"] == "Subscription" {
        resource["status"] = json!("off");
    }
    let of = resource["resourceType"].as_str().unwrap();
    let url = format!("{of}/{}", resource["id"].as_str().unwrap());
    json!({"resource": resource, "request": {"method": "PUT", "url": url}})
}

/// Codes or names of a list in the statement.
fn names<'a>(of: &'a Value, list: &str, member: &str) -> Vec<&'a str> {
    let all = of[list].as_array().into_iter().flatten();
    all.map(|one| one[member].as_str().or_else(|| one.as_str()).unwrap_or_default()).collect()
}

/// All answers, a few requests at a time.
async fn at_once<T>(all: Vec<impl Future<Output = T>>) -> Vec<T> {
    futures::stream::iter(all).buffer_unordered(REQUESTS_AT_ONCE).collect().await
}

/// Fails with everything that is wrong.
#[track_caller]
fn report(wrong: Vec<Option<String>>) {
    let total = wrong.len();
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(total > 0, "nothing was asked");
    assert!(wrong.is_empty(), "{} of {total}:\n{}", wrong.len(), wrong.join("\n"));
}

const ENTRIES_MAX: usize = 300;
const REQUESTS_AT_ONCE: usize = 8;
