//! Import of Synthea's bundles: each sent once by whichever client is free.
//!
//! Hospital and practitioner files go first, by one client, and are not measured. Every number of clients imports all
//! bundles again: for comparable figures give one number and a fresh database. Not limited in time, only in requests.

use std::{cell::Cell, time::Duration};

use super::Bench;
use crate::{
    drive::{Limits, Run, Turn, workers},
    http::Client,
};

pub(super) async fn run(bench: &mut Bench) -> Result<(), String> {
    let mut client = Client::new(bench.target.clone());
    for bundle in &bench.synthea.first {
        let answer = client.send("POST", "", "", &bundle.body).await;
        if let Turn::Failed(failure) = Turn::of(&answer, 0) {
            let text = answer.map_or(String::new(), |answer| excerpt(client.body(&answer)));
            return Err(format!("{}: {failure} {text}", bundle.name));
        }
        if let Some(refused) = answer.ok().and_then(|answer| first_refused(client.body(&answer))) {
            return Err(format!("{}: an entry was refused: {refused}", bundle.name));
        }
    }
    for clients in bench.options.clients.clone() {
        let limits = Limits::unpaused(IMPORT_TIME_MAX, bench.options.requests);
        let run = Run { workload: "import", class: "bundles", limits, processes: &bench.processes };
        let mut workers = workers(&bench.target, vec![(); clients]);
        let next = Cell::new(0);
        let row = run
            .measure(&mut workers, async |worker| {
                let Some(bundle) = bench.synthea.patients.get(next.replace(next.get() + 1)) else {
                    return Turn::Finished;
                };
                let answer = worker.client.send("POST", "", "", &bundle.body).await;
                match Turn::of(&answer, bundle.entries) {
                    Turn::Failed(failure) => {
                        let text =
                            answer.map_or(String::new(), |a| excerpt(worker.client.body(&a)));
                        Turn::Failed(format!("{}: {failure} {text}", bundle.name))
                    }
                    turn => turn,
                }
            })
            .await;
        bench.record(row);
    }
    Ok(())
}

/// The first entry of a batch's answer that is not a success; a transaction has none.
fn first_refused(body: &[u8]) -> Option<String> {
    let bundle: serde_json::Value = serde_json::from_slice(body).ok()?;
    let refused = |entry: &&serde_json::Value| {
        entry["response"]["status"].as_str().is_some_and(|status| !status.starts_with('2'))
    };
    bundle["entry"]
        .as_array()?
        .iter()
        .find(refused)
        .map(|entry| excerpt(entry.to_string().as_bytes()))
}

/// The beginning of an answer, on one line.
fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(300)]).replace('\n', " ")
}

const IMPORT_TIME_MAX: Duration = Duration::from_secs(3600);
