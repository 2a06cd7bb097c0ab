//! Serializability: random concurrent requests against a gateway, and a search for the order that explains them.
//!
//! Reads, searches, conditional creates, updates and deletions, conditional references, alone and several in a
//! transaction, by clients that know nothing of each other. `SEALWAY_HISTORIES=n` runs n histories an engine.

mod model;
mod order;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::join_all;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::site::Site;
use model::{Answer, Content, Draft, Operation, Said};
use order::{Event, placed};

/// Reproducible randomness (splitmix64).
struct Dice {
    state: u64,
    /// So many are in use: with few of them criteria match several more often, and more is refused.
    identifiers: u8,
}

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn small(&mut self, limit: u8) -> u8 {
        u8::try_from(self.below(u64::from(limit))).unwrap()
    }

    fn operation(&mut self) -> Operation {
        let id = format!("b{}", self.below(IDS));
        match self.below(10) {
            0 | 1 => Operation::Read(id),
            2 | 3 => Operation::Search { colour: self.small(COLOURS) },
            4 | 5 => Operation::CreateUnless { unless: self.identifier(), new: self.draft() },
            6 => Operation::Put { id, new: self.draft(), if_match: None },
            7 => Operation::Put { id, new: self.draft(), if_match: Some(1 + self.below(4)) },
            8 => Operation::PutWhere { new: self.draft() },
            _ => match self.below(2) {
                0 => Operation::Delete(id),
                _ => Operation::DeleteWhere { identifier: self.identifier() },
            },
        }
    }

    fn identifier(&mut self) -> u8 {
        self.small(self.identifiers)
    }

    fn draft(&mut self) -> Draft {
        let subject = (self.below(4) == 0).then(|| self.identifier());
        Draft { identifier: self.identifier(), colour: self.small(COLOURS), subject }
    }
}

fn resource(new: &Draft, id: Option<&str>) -> Value {
    let mut body = json!({
        "resourceType": "Basic",
        "identifier": [{"system": "urn:n", "value": new.identifier.to_string()}],
        "code": {"coding": [{"system": "urn:c", "code": new.colour.to_string()}]},
    });
    if let Some(id) = id {
        body["id"] = json!(id);
    }
    if let Some(subject) = new.subject {
        body["subject"] = json!({"reference": format!("Basic?identifier=urn:n|{subject}")});
    }
    body
}

fn entry(operation: &Operation) -> Value {
    let bare = |method: &str, url: String| json!({"request": {"method": method, "url": url}});
    match operation {
        Operation::Read(id) => bare("GET", format!("Basic/{id}")),
        Operation::Search { colour } => {
            bare("GET", format!("Basic?code=urn:c|{colour}&_count=1000"))
        }
        Operation::CreateUnless { unless, new } => json!({
            "resource": resource(new, None),
            "request": {"method": "POST", "url": "Basic", "ifNoneExist": format!("identifier=urn:n|{unless}")},
        }),
        Operation::Put { id, new, if_match } => {
            let mut entry = bare("PUT", format!("Basic/{id}"));
            entry["resource"] = resource(new, Some(id));
            if let Some(version) = if_match {
                entry["request"]["ifMatch"] = json!(format!("W/\"{version}\""));
            }
            entry
        }
        Operation::PutWhere { new } => json!({
            "resource": resource(new, None),
            "request": {"method": "PUT", "url": format!("Basic?identifier=urn:n|{}", new.identifier)},
        }),
        Operation::Delete(id) => bare("DELETE", format!("Basic/{id}")),
        Operation::DeleteWhere { identifier } => {
            bare("DELETE", format!("Basic?identifier=urn:n|{identifier}"))
        }
    }
}

fn content(resource: &Value) -> Option<Content> {
    let number = |value: &Value| value.as_str()?.parse().ok();
    Some(Content {
        identifier: number(&resource["identifier"][0]["value"])?,
        colour: number(&resource["code"]["coding"][0]["code"])?,
        subject: resource["subject"]["reference"].as_str().map(str::to_owned),
    })
}

/// Id and version of a resource.
fn version(resource: &Value) -> Option<(String, u64)> {
    let version = resource["meta"]["versionId"].as_str()?.parse().ok()?;
    Some((resource["id"].as_str()?.to_owned(), version))
}

fn said(operation: &Operation, entry: &Value) -> Said {
    let response = &entry["response"];
    let resource = &entry["resource"];
    let status = response["status"].as_str().unwrap()[..3].parse().unwrap();
    if matches!(operation, Operation::Search { .. }) {
        let hits = resource["entry"].as_array().cloned().unwrap_or_default();
        let found: BTreeSet<_> =
            hits.iter().map(|hit| version(&hit["resource"]).unwrap()).collect();
        return Said { status, found: Some(found), ..Said::default() };
    }
    let named = response["location"].as_str().map(|location| {
        let steps: Vec<&str> = location.rsplitn(4, '/').collect();
        (steps[2].to_owned(), steps[0].parse().unwrap())
    });
    Said {
        status,
        version: named.or_else(|| version(resource)),
        content: content(resource),
        found: None,
    }
}

/// Sends a transaction; `None` when the gateway had no time for it, which changes nothing.
async fn send(site: &Site, operations: &[Operation]) -> Option<Answer> {
    let bundle = json!({
        "resourceType": "Bundle", "type": "transaction",
        "entry": operations.iter().map(entry).collect::<Vec<_>>(),
    });
    let request = site.request(reqwest::Method::POST, "").header("prefer", "return=representation");
    let request = request.header("content-type", "application/fhir+json").body(bundle.to_string());
    let answer = crate::site::Answer::of(request).await;
    match answer.status {
        200 => {
            let entries = answer.json()["entry"].as_array().unwrap().clone();
            Some(Ok(operations.iter().zip(&entries).map(|(one, entry)| said(one, entry)).collect()))
        }
        429 => None,
        refused => {
            assert!(refused < 500, "{}", answer.text());
            Some(Err(refused))
        }
    }
}

async fn client(site: &Site, seed: u64, clock: &AtomicU64) -> Vec<Event> {
    let identifiers = IDENTIFIERS[usize::try_from((seed >> 8) % 2).unwrap()];
    let mut dice = Dice { state: seed, identifiers };
    let mut events = Vec::new();
    for _ in 0..REQUESTS {
        let count = if dice.below(3) == 0 { 1 } else { 2 + dice.below(3) };
        let operations: Vec<Operation> = (0..count).map(|_| dice.operation()).collect();
        let sent = clock.fetch_add(1, Ordering::SeqCst);
        let answer = send(site, &operations).await;
        let answered = clock.fetch_add(1, Ordering::SeqCst);
        if let Some(answer) = answer {
            events.push(Event { operations, answer, sent, answered });
        }
    }
    events
}

/// One history on a gateway that holds nothing yet.
async fn check(site: Site, seed: u64) {
    let clock = AtomicU64::new(0);

    let clients = join_all((0..CLIENTS).map(|n| client(&site, (seed << 8) + n, &clock))).await;

    let all: usize = clients.iter().map(Vec::len).sum();
    let (placed, stuck) = placed(&clients);
    assert_eq!(
        placed, all,
        "history {seed}: no serial order goes beyond {placed} requests\n{stuck}"
    );
    let accepted = clients.iter().flatten().filter(|event| event.answer.is_ok()).count();
    assert!(
        accepted * 5 > all,
        "history {seed}: {accepted} of {all} were accepted, which tests little"
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_are_as_if_one_after_the_other_on_sqlite() {
    for seed in 0..histories() {
        check(Site::start().await, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_are_as_if_one_after_the_other_on_postgresql() {
    let Some(mut cluster) = Cluster::start() else { return };
    for seed in 0..histories() {
        cluster.execute("postgres", &format!("create database history{seed}"));
        let url = cluster.url(&format!("history{seed}"));
        check(Site::start_with(|config| config.database.url = Some(url)).await, seed).await;
    }
}

#[test]
fn the_search_for_an_order_rejects_write_skew_and_lost_updates() {
    let draft = |identifier| Draft { identifier, colour: 0, subject: None };
    let created = |id: &str, identifier| {
        let content = Some(Content { identifier, colour: 0, subject: None });
        Ok(vec![Said { status: 201, version: Some((id.into(), 1)), content, found: None }])
    };
    let event = |operation, answer, sent, answered| {
        vec![Event { operations: vec![operation], answer, sent, answered }]
    };
    let one = Operation::CreateUnless { unless: 2, new: draft(1) };
    let other = Operation::CreateUnless { unless: 1, new: draft(2) };

    // Each saw that the other was not there.
    let skew =
        [event(one.clone(), created("x", 1), 0, 3), event(other.clone(), created("y", 2), 1, 2)];
    assert_eq!(placed(&skew).0, 1);

    // The second found the first.
    let content = Some(Content { identifier: 1, colour: 0, subject: None });
    let found = Said { status: 200, version: Some(("x".into(), 1)), content, found: None };
    let serial =
        [event(one.clone(), created("x", 1), 0, 3), event(other, Ok(vec![found.clone()]), 1, 2)];
    assert_eq!(placed(&serial).0, 2);

    // Both made version 2 of version 1.
    let put = |colour| Operation::Put {
        id: "x".into(),
        new: Draft { colour, ..draft(1) },
        if_match: Some(1),
    };
    let second = |colour| {
        let content = Some(Content { identifier: 1, colour, subject: None });
        Ok(vec![Said { status: 200, version: Some(("x".into(), 2)), content, found: None }])
    };
    let mut first = event(one, created("x", 1), 0, 1);
    first.extend(event(put(1), second(1), 2, 5));
    let lost = [first.clone(), event(put(2), second(2), 3, 4)];
    assert_eq!(placed(&lost).0, 2);
    let refused = [first, event(put(2), Err(412), 3, 4)];
    assert_eq!(placed(&refused).0, 3);
}

#[test]
fn the_search_for_an_order_rejects_what_was_answered_before_it_could_be() {
    let absent = Event {
        operations: vec![Operation::Read("x".into())],
        answer: Err(404),
        sent: 4,
        answered: 5,
    };
    let new = Draft { identifier: 1, colour: 0, subject: None };
    let content = Some(Content { identifier: 1, colour: 0, subject: None });
    let made = Said { status: 201, version: Some(("x".into(), 1)), content, found: None };
    let put = Event {
        operations: vec![Operation::Put { id: "x".into(), new, if_match: None }],
        answer: Ok(vec![made]),
        sent: 0,
        answered: 3,
    };

    assert_eq!(placed(&[vec![put.clone()], vec![absent.clone()]]).0, 1, "it was there before");
    let overlapping = Event { sent: 1, answered: 2, ..absent };
    assert_eq!(placed(&[vec![put], vec![overlapping]]).0, 2);
}

fn histories() -> u64 {
    std::env::var("SEALWAY_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

const CLIENTS: u64 = 6;
const REQUESTS: u64 = 60;
const IDS: u64 = 4;
/// Of even and odd histories.
const IDENTIFIERS: [u8; 2] = [6, 4];
const COLOURS: u8 = 3;
