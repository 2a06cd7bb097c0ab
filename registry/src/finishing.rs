//! The final bytes of a set's versions, made under the writer's lock on all cores: while one set is being written,
//! every other waits.
//!
//! Not here: what the final bytes are (`gateway::finish`).

use std::num::NonZeroUsize;
use std::thread;

use fhir::{Instant, VersionId};

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

/// Writes from which threads are worth starting.
const PARALLEL_WRITES_MIN: usize = 256;
