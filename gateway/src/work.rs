//! CPU work off the I/O threads.
//!
//! Each HTTP worker is one thread; what takes longer than about a millisecond would hold up its other
//! connections. Big jobs run on the blocking pool, and [`each`] spreads entries over the cores.
//! Not here: deciding how long something takes.

use std::num::NonZeroUsize;
use std::thread;

use crate::error::{Answered, Fault, FaultKind};

/// Runs `job`, on the blocking pool when it is `long`.
///
/// # Errors
/// 500 when the job panicked on the pool.
pub(crate) async fn run<T: Send + 'static>(
    long: bool,
    job: impl FnOnce() -> T + Send + 'static,
) -> Answered<T> {
    if !long {
        return Ok(job());
    }
    tokio::task::spawn_blocking(job).await.map_err(|error| {
        tracing::error!(cause = %error, "a background job failed");
        Fault::new(FaultKind::Internal, "the request failed")
    })
}

/// Applies `job` to each item, in order, on all cores when there are many.
pub(crate) fn each<T: Sync, R: Send>(items: &[T], job: impl Fn(&T) -> R + Sync) -> Vec<R> {
    // The number of cores is asked last: on Linux the answer takes reading several files.
    let cores = match items.len() < PARALLEL_ITEMS_MIN {
        true => 1,
        false => thread::available_parallelism().map_or(1, NonZeroUsize::get),
    };
    if cores == 1 {
        return items.iter().map(job).collect();
    }
    let share = items.len().div_ceil(cores);
    thread::scope(|scope| {
        let parts: Vec<_> = items
            .chunks(share)
            .map(|part| scope.spawn(|| part.iter().map(&job).collect::<Vec<R>>()))
            .collect();
        let done = parts.into_iter().map(|part| part.join().expect("a job does not panic"));
        done.flatten().collect()
    })
}

const PARALLEL_ITEMS_MIN: usize = 64;
