//! Create, read, vread, update and delete of nine types, one operation after the other.
//!
//! Source: HealthSamurai's `k6/crud.js`, by operation as in the measurements of the peer. Each client works on what it
//! created itself; deletes go backwards, so that no resource loses one that it refers to.

use super::Bench;
use crate::{
    drive::{Turn, Worker, workers},
    sample::{self, Latest, TYPES},
};

/// What a client has created.
#[derive(Debug, Default)]
struct Created {
    latest: Latest,
    /// Type and id, in the order of creation.
    resources: Vec<(usize, String)>,
    cursor: usize,
}

pub(super) async fn run(bench: &mut Bench) -> Result<(), String> {
    for clients in bench.options.clients.clone() {
        let states = (0..clients).map(|_| Created::default());
        let mut workers = workers(&bench.target, states);
        for class in ["create", "read", "vread", "update", "delete"] {
            workers.iter_mut().for_each(|worker| worker.state.cursor = 0);
            let run = bench.measuring("crud", class);
            let row = match class {
                "create" => run.measure(&mut workers, async |worker| create(worker).await).await,
                "update" => run.measure(&mut workers, async |worker| update(worker).await).await,
                "delete" => run.measure(&mut workers, async |worker| delete(worker).await).await,
                class => run.measure(&mut workers, async |worker| read(worker, class).await).await,
            };
            bench.record(row);
        }
    }
    Ok(())
}

async fn create(worker: &mut Worker<Created>) -> Turn {
    let state = &mut worker.state;
    let kind = state.cursor % TYPES.len();
    state.cursor += 1;
    let number = worker.number + std::process::id() as usize % 1000 * 64;
    let body = sample::resource(kind, number, worker.turn, None, &state.latest);
    let answer = worker.client.send("POST", TYPES[kind], "", body.as_bytes()).await;
    if let Ok(answer) = &answer
        && let Some((_, id)) = answer.location_parts()
    {
        worker.state.latest[kind] = format!("{}/{id}", TYPES[kind]);
        worker.state.resources.push((kind, id));
    }
    Turn::of(&answer, 1)
}

async fn read(worker: &mut Worker<Created>, class: &str) -> Turn {
    let Some((kind, id)) = next(&mut worker.state) else { return Turn::Finished };
    let path = match class {
        "vread" => format!("{}/{id}/_history/1", TYPES[kind]),
        _ => format!("{}/{id}", TYPES[kind]),
    };
    Turn::of(&worker.client.get(&path).await, 1)
}

async fn update(worker: &mut Worker<Created>) -> Turn {
    let Some((kind, id)) = next(&mut worker.state) else { return Turn::Finished };
    let turn = worker.turn;
    let body = sample::resource(kind, worker.number, turn, Some(&id), &worker.state.latest);
    let path = format!("{}/{id}", TYPES[kind]);
    Turn::of(&worker.client.send("PUT", &path, "", body.as_bytes()).await, 1)
}

async fn delete(worker: &mut Worker<Created>) -> Turn {
    let Some((kind, id)) = worker.state.resources.pop() else { return Turn::Finished };
    let path = format!("{}/{id}", TYPES[kind]);
    Turn::of(&worker.client.send("DELETE", &path, "", b"").await, 1)
}

/// The resources in turn, over and over.
fn next(state: &mut Created) -> Option<(usize, String)> {
    let at = state.cursor % state.resources.len().max(1);
    state.cursor += 1;
    state.resources.get(at).cloned()
}
