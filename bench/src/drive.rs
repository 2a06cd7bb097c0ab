//! The closed loop: a fixed number of clients, each asking as soon as it was answered, or a pause later.
//!
//! One thread, so that the loader takes little of the machine. A run ends after a time or a number of requests.
//! Not here: what is asked (`workload`), how it is printed (`report`).

use std::{
    io,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};

use crate::{
    http::{Answer, Client},
    machine::Processes,
    options::Target,
    report::Row,
};

/// One client with what it remembers between requests.
#[derive(Debug)]
pub struct Worker<S> {
    /// Its connection.
    pub client: Client,
    /// Number of the client, from 0.
    pub number: usize,
    /// How many requests it has sent.
    pub turn: usize,
    /// What it remembers.
    pub state: S,
}

/// What became of one request.
#[derive(Clone, Debug)]
pub enum Turn {
    /// It was answered as it should be; so many resources were moved.
    Done(u64),
    /// It was not.
    Failed(String),
    /// There is nothing left to ask.
    Finished,
}

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time.
    pub time: Duration,
    /// Most requests of all clients together.
    pub requests: u64,
    /// What a client waits between an answer and its next request.
    pub pause: Duration,
}

impl Limits {
    /// Limits of a run whose clients do not wait between requests.
    pub fn unpaused(time: Duration, requests: u64) -> Self {
        Self { time, requests, pause: Duration::ZERO }
    }
}

/// A run: its name in the report and what it is measured with.
#[derive(Clone, Copy, Debug)]
pub struct Run<'r> {
    /// Name of the workload.
    pub workload: &'r str,
    /// Name of the class of requests.
    pub class: &'r str,
    /// When it ends.
    pub limits: Limits,
    /// Processes whose CPU counts.
    pub processes: &'r Processes,
}

#[derive(Default)]
struct Tally {
    micros: Vec<u32>,
    failed: u64,
    failure: Option<String>,
    resources: u64,
}

impl Turn {
    /// `Done` when the answer is a success.
    pub fn of(answer: &io::Result<Answer>, resources: u64) -> Self {
        match answer {
            Ok(answer) if answer.is_ok() => Self::Done(resources),
            Ok(answer) => Self::Failed(format!("status {}", answer.status)),
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

/// Workers with these states, not connected yet.
pub fn workers<S>(target: &Target, states: impl IntoIterator<Item = S>) -> Vec<Worker<S>> {
    let worker =
        |(number, state)| Worker { client: Client::new(target.clone()), number, turn: 0, state };
    states.into_iter().enumerate().map(worker).collect()
}

impl Run<'_> {
    /// Lets every worker take turns until the run ends, and measures it.
    pub async fn measure<S, F>(&self, workers: &mut [Worker<S>], turn: F) -> Row
    where
        F: AsyncFn(&mut Worker<S>) -> Turn,
    {
        let clients = workers.len();
        let (cpu, own_cpu) = (self.processes.cpu_seconds(), Processes::own().cpu_seconds());
        let started = Instant::now();
        let deadline = started + self.limits.time;
        let each = self.limits.requests.div_ceil(clients.max(1) as u64);
        let turn = &turn;
        let mut running: FuturesUnordered<_> = workers
            .iter_mut()
            .map(|worker| async move {
                let mut tally = Tally::default();
                for _ in 0..each {
                    let asked = Instant::now();
                    if asked >= deadline || !tally.add(turn(worker).await, asked) {
                        break;
                    }
                    worker.turn += 1;
                    if !self.limits.pause.is_zero() {
                        tokio::time::sleep(self.limits.pause).await;
                    }
                }
                tally
            })
            .collect();
        let mut all = Tally::default();
        while let Some(tally) = running.next().await {
            all.merge(tally);
        }
        let seconds = started.elapsed().as_secs_f64();
        all.micros.sort_unstable();
        Row {
            workload: self.workload.to_owned(),
            class: self.class.to_owned(),
            clients,
            requests: all.micros.len() as u64,
            failed: all.failed,
            failure: all.failure,
            resources: all.resources,
            seconds,
            p50_ms: percentile(&all.micros, 50.0),
            p95_ms: percentile(&all.micros, 95.0),
            p99_ms: percentile(&all.micros, 99.0),
            server_cpu_s: self.processes.cpu_seconds() - cpu,
            client_cpu_s: Processes::own().cpu_seconds() - own_cpu,
            rss_mib: self.processes.rss_mib(),
        }
    }
}

impl Tally {
    /// Counts one turn; `false` when there is nothing left to ask.
    fn add(&mut self, turn: Turn, asked: Instant) -> bool {
        match turn {
            Turn::Finished => return false,
            Turn::Done(resources) => {
                self.resources += resources;
                let micros = asked.elapsed().as_micros();
                self.micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
            }
            Turn::Failed(failure) => {
                self.failed += 1;
                self.failure.get_or_insert(failure);
            }
        }
        true
    }

    fn merge(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.failed += other.failed;
        self.resources += other.resources;
        if self.failure.is_none() {
            self.failure = other.failure;
        }
    }
}

/// The value below which `percent` of the sorted values lie, in milliseconds; 0 when there are none.
pub fn percentile(sorted_micros: &[u32], percent: f64) -> f64 {
    let rank = (sorted_micros.len() as f64 * percent / 100.0).ceil() as usize;
    let at = rank.saturating_sub(1).min(sorted_micros.len().saturating_sub(1));
    sorted_micros.get(at).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let micros: Vec<u32> = (1..=100).map(|ms| ms * 1000).collect();

        assert_eq!(percentile(&micros, 50.0), 50.0);
        assert_eq!(percentile(&micros, 99.0), 99.0);
        assert_eq!(percentile(&micros[..1], 99.0), 1.0);
        assert_eq!(percentile(&[], 50.0), 0.0);
    }

    #[tokio::test]
    async fn a_run_ends_after_its_requests_and_counts_failures_apart() {
        let target = Target::parse("http://127.0.0.1:1/", None).unwrap();
        let mut workers = workers(&target, [(), (), ()]);
        let processes = Processes::default();
        let limits = Limits::unpaused(Duration::from_secs(60), 30);
        let run = Run { workload: "w", class: "c", limits, processes: &processes };

        let row = run
            .measure(&mut workers, async |worker| match worker.turn % 5 {
                0 => Turn::Failed("status 500".to_owned()),
                _ => Turn::Done(2),
            })
            .await;

        assert_eq!((row.requests, row.failed, row.resources, row.clients), (24, 6, 48, 3));
        assert_eq!(row.failure.as_deref(), Some("status 500"));
    }
}
