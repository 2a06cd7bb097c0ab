//! The final bytes of a set's versions, made under the writer's lock on all cores: while one set is being written,
//! every other waits.
//!
//! Not here: what the final bytes are (`gateway::finish`).

use std::collections::VecDeque;
use std::iter;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use fhir::{Instant, VersionId};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::write_set::{Finished, Write};

/// Version that a write makes.
pub(crate) fn version_of(write: &Write) -> VersionId {
    write.previous.map_or(VersionId::FIRST, VersionId::next)
}

/// What is stored for each write, in their order.
pub(crate) fn finish_all(writes: &[Write], updated: Instant) -> Vec<Finished> {
    let finish = |write: &Write| write.finish.finish(version_of(write), updated);
    // The number of cores is asked last: on Linux the answer takes reading several files.
    let cores = match writes.len() < PARALLEL_WRITES_MIN {
        true => 1,
        false => thread::available_parallelism().map_or(1, NonZeroUsize::get),
    };
    if cores == 1 {
        return writes.iter().map(finish).collect();
    }
    let share = writes.len().div_ceil(cores);
    thread::scope(|scope| {
        let parts: Vec<_> = writes
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(finish).collect::<Vec<_>>()))
            .collect();
        let done = parts.into_iter().map(|part| part.join().expect("finishing does not panic"));
        done.flatten().collect()
    })
}

/// The same for a writer that waits for a server: what comes later is finished while that works on what came before.
pub(crate) struct Finishing {
    parts: VecDeque<JoinHandle<Vec<Finished>>>,
}

impl Finishing {
    /// Begins with all writes, in their [`parts`].
    pub(crate) fn begin(writes: &[Write], updated: Instant) -> Self {
        let begin = |part: &[Write]| {
            let finish = |write: &Write| (Arc::clone(&write.finish), version_of(write));
            let part: Vec<_> = part.iter().map(finish).collect();
            spawn_blocking(move || {
                let done =
                    part.into_iter().map(|(finish, version)| finish.finish(version, updated));
                done.collect()
            })
        };
        Self { parts: parts(writes).map(begin).collect() }
    }

    /// The next part, in the order of the writes.
    pub(crate) async fn next(&mut self) -> Result<Vec<Finished>, JoinError> {
        match self.parts.pop_front() {
            Some(part) => part.await,
            None => Ok(Vec::new()),
        }
    }
}

/// The parts in which many writes are finished and sent, the first a small one: the server waits for it.
pub(crate) fn parts(writes: &[Write]) -> impl Iterator<Item = &[Write]> {
    let (first, others) = writes.split_at(writes.len().min(FIRST_PART_WRITES));
    iter::once(first).chain(others.chunks(PART_WRITES))
}

/// Writes from which threads are worth starting.
pub(crate) const PARALLEL_WRITES_MIN: usize = 256;
const FIRST_PART_WRITES: usize = 64;
/// Writes that are finished, and sent, together.
const PART_WRITES: usize = 512;
