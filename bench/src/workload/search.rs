//! Searches and reads over the imported data.
//!
//! The classes are those of the published measurements of the peer, `_count=50`; the families those of HealthSamurai's
//! `k6/search.js`, `_count=20`. Values are taken from the data files and ids looked up by identifier, so that every server
//! is asked the same. A search that is not answered with 200 counts as failed. Not here: whether the answer is right.

mod classes;

use serde::Deserialize;

use super::Bench;
use crate::{
    drive::{Turn, workers},
    http::Client,
    synthea::KnownPatient,
};

/// A class of searches: its name and its queries.
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) queries: Vec<String>,
}

/// A patient of the data with the id that this server gave.
pub(super) struct Found {
    pub(super) patient: KnownPatient,
    pub(super) id: String,
}

/// Each class alone, then pages to the end, then the mix.
pub(super) async fn run(bench: &mut Bench) -> Result<(), String> {
    let classes = classes::all(&look_up(bench).await?);
    for class in &classes {
        ask(bench, "search", class.name, &class.queries).await;
    }
    page(bench).await;
    ask(bench, "search", "mix", &classes::mixed(&classes)).await;
    Ok(())
}

/// All classes mixed.
pub(super) async fn mix(bench: &mut Bench) -> Result<(), String> {
    let classes = classes::all(&look_up(bench).await?);
    ask(bench, "search", "mix", &classes::mixed(&classes)).await;
    Ok(())
}

/// The families of HealthSamurai, each alone and mixed.
pub(super) async fn families(bench: &mut Bench) -> Result<(), String> {
    let families = classes::families(&look_up(bench).await?);
    for family in &families {
        ask(bench, "families", family.name, &family.queries).await;
    }
    ask(bench, "families", "mix", &classes::mixed(&families)).await;
    Ok(())
}

/// Reads of patients, which leave an access record, and of organisations, which need none.
pub(super) async fn read(bench: &mut Bench) -> Result<(), String> {
    let found = look_up(bench).await?;
    let patients: Vec<String> = found.iter().map(|found| format!("Patient/{}", found.id)).collect();
    let mut client = Client::new(bench.target.clone());
    let organizations = ids(&mut client, "Organization?_count=50").await?;
    let organizations: Vec<String> =
        organizations.iter().map(|id| format!("Organization/{id}")).collect();
    ask(bench, "read", "patient", &patients).await;
    ask(bench, "read", "organization", &organizations).await;
    ask(bench, "read", "metadata", &["metadata".to_owned()]).await;
    Ok(())
}

/// Sends the queries in turn with each number of clients.
pub(super) async fn ask(bench: &mut Bench, workload: &str, class: &str, queries: &[String]) {
    if queries.is_empty() {
        return;
    }
    for clients in bench.options.clients.clone() {
        let mut workers = workers(&bench.target, vec![(); clients]);
        let row = bench
            .measuring(workload, class)
            .measure(&mut workers, async |worker| {
                let query = &queries[(worker.number * STRIDE + worker.turn) % queries.len()];
                match Turn::of(&worker.client.get(query).await, 1) {
                    Turn::Failed(failure) => Turn::Failed(format!("{failure} for {query}")),
                    turn => turn,
                }
            })
            .await;
        bench.record(row);
    }
}

/// One client follows `next` links until there are none.
async fn page(bench: &mut Bench) {
    let first = "Observation?code=http://loinc.org%7C8302-2&_count=100".to_owned();
    let mut workers = workers(&bench.target, [Some(first)]);
    let row = bench
        .measuring("search", "paging")
        .measure(&mut workers, async |worker| {
            let Some(query) = worker.state.take() else { return Turn::Finished };
            let answer = worker.client.get(&query).await;
            let next = answer.as_ref().ok().and_then(|answer| {
                let url = next_link(worker.client.body(answer))?;
                let path = url.splitn(4, '/').nth(3)?;
                let base = bench.target.base.trim_start_matches('/');
                Some(path.strip_prefix(base)?.trim_start_matches('/').to_owned())
            });
            worker.state = next;
            Turn::of(&answer, 100)
        })
        .await;
    bench.record(row);
}

/// The URL of a bundle's `next` link; reads nothing else of it.
pub(super) fn next_link(body: &[u8]) -> Option<String> {
    let page: Page = serde_json::from_slice(body).ok()?;
    page.link.into_iter().find(|link| link.relation == "next").map(|link| link.url)
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    link: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    relation: String,
    url: String,
}

/// Finds the data's patients on the server.
async fn look_up(bench: &Bench) -> Result<Vec<Found>, String> {
    let mut client = Client::new(bench.target.clone());
    let mut found = Vec::new();
    for patient in bench.synthea.known_patients().into_iter().take(PATIENTS_MAX) {
        let query = format!("Patient?identifier={}", classes::encode(&patient.identifier));
        if let Some(id) = ids(&mut client, &query).await?.into_iter().next() {
            found.push(Found { patient, id });
        }
    }
    if found.is_empty() {
        Err("no patient of the data is on the server".to_owned())
    } else {
        Ok(found)
    }
}

/// The ids of a search's first page.
async fn ids(client: &mut Client, query: &str) -> Result<Vec<String>, String> {
    let answer = client.get(query).await.map_err(|error| format!("{query}: {error}"))?;
    if !answer.is_ok() {
        return Err(format!("{query}: status {}", answer.status));
    }
    let bundle: serde_json::Value = serde_json::from_slice(client.body(&answer))
        .map_err(|error| format!("{query}: {error}"))?;
    let entries = bundle["entry"].as_array().map_or(&[][..], Vec::as_slice);
    let id = |entry: &serde_json::Value| Some(entry["resource"]["id"].as_str()?.to_owned());
    Ok(entries.iter().filter_map(id).collect())
}

/// How far apart clients start in the list of queries; prime, so that they do not ask in step.
const STRIDE: usize = 17;
const PATIENTS_MAX: usize = 60;
