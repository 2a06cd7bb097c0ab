//! Blaze's transaction: a bundle of a new patient and one observation of theirs.
//!
//! Source: samply/blaze `docs/performance/transaction.md`; 1,000 requests of warm-up, then each number of clients.

use super::Bench;
use crate::{
    drive::{Limits, Run, Turn, workers},
    sample,
};

pub(super) async fn run(bench: &mut Bench) -> Result<(), String> {
    let warm_up = Limits::unpaused(bench.options.time(), 1000);
    let run = Run { workload: "warm-up", class: "", limits: warm_up, processes: &bench.processes };
    run.measure(&mut workers(&bench.target, vec![(); 4]), async |worker| {
        let body = sample::transaction(1000 + worker.number, worker.turn);
        Turn::of(&worker.client.send("POST", "", "", body.as_bytes()).await, 2)
    })
    .await;
    for clients in bench.options.clients.clone() {
        let mut workers = workers(&bench.target, vec![(); clients]);
        let row = bench
            .measuring("transaction", "patient+observation")
            .measure(&mut workers, async |worker| {
                let body = sample::transaction(clients * 100 + worker.number, worker.turn);
                Turn::of(&worker.client.send("POST", "", "", body.as_bytes()).await, 2)
            })
            .await;
        bench.record(row);
    }
    Ok(())
}
