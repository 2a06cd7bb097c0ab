//! The queue to an engine's one writer, and what a [`Store`](crate::store::Store) sends there; the same on both engines.
//!
//! A full queue answers at once that the registry is busy. Not here: what the writer does with a job (`writer`).

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::error::{CommitError, ReadError};
use crate::job::{Job, PING, QUEUE_SETS_MAX, Reply};
use crate::outbox::SealedRange;
use crate::params::{Activation, ReindexStep};
use crate::write_set::{Committed, WriteSet};

/// The end of the queue at which jobs are put in; without one for a registry that is only looked at.
pub(crate) struct Queue(Option<mpsc::Sender<Job>>);

/// What becomes of a job.
type Awaited<T> = BoxFuture<'static, Result<T, CommitError>>;

impl Queue {
    /// A queue and the end from which the writer takes.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Job>) {
        let (jobs, taken) = mpsc::channel(QUEUE_SETS_MAX);
        (Self(Some(jobs)), taken)
    }

    /// Refuses every job.
    pub(crate) fn refusing() -> Self {
        Self(None)
    }

    /// Lets the writer end once it has done what waits.
    pub(crate) fn close(&mut self) {
        drop(self.0.take());
    }

    /// Puts a job in.
    pub(crate) fn send<T: Send + 'static>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Awaited<T> {
        let refused = |text: &str| CommitError::Unavailable(text.to_owned());
        let Some(jobs) = &self.0 else {
            return async move { Err(refused("the database was opened to be looked at")) }.boxed();
        };
        let ended = move || Err(refused("the writer has ended"));
        let (reply, answer) = oneshot::channel();
        match jobs.try_send(job(reply)) {
            Ok(()) => async move { answer.await.unwrap_or_else(|_| ended()) }.boxed(),
            Err(mpsc::error::TrySendError::Full(_)) => async { Err(CommitError::Busy) }.boxed(),
            Err(mpsc::error::TrySendError::Closed(_)) => async move { ended() }.boxed(),
        }
    }

    /// Commits a set; its rows come in one order, whoever made them.
    pub(crate) fn commit(&self, mut set: WriteSet) -> Awaited<Committed> {
        for write in &mut set.writes {
            write.rows.normalise();
        }
        self.send(|reply| Job::Commit(Box::new(set), reply))
    }

    pub(crate) fn mark_sealed(&self, ranges: Vec<SealedRange>) -> Awaited<()> {
        self.send(|reply| Job::Sealed(ranges, reply))
    }

    pub(crate) fn clear_accesses(&self, access_ids: Vec<u64>) -> Awaited<()> {
        self.send(|reply| Job::Journaled(access_ids, reply))
    }

    pub(crate) fn set_setting(&self, name: &str, value: &[u8]) -> Awaited<()> {
        let (name, value) = (name.to_owned(), value.to_vec());
        self.send(|reply| Job::Setting(name, value, reply))
    }

    /// Whether a durable write succeeds now.
    pub(crate) fn ping(&self) -> BoxFuture<'static, Result<(), ReadError>> {
        let write = self.set_setting(PING, &[1]);
        async { write.await.map_err(|error| ReadError::Unavailable(error.to_string())) }.boxed()
    }

    pub(crate) fn activate(&self, activation: Activation) -> Awaited<()> {
        self.send(|reply| Job::Activate(activation, reply))
    }

    pub(crate) fn reindex(&self, mut step: ReindexStep) -> Awaited<()> {
        for one in &mut step.resources {
            one.rows.normalise();
        }
        self.send(|reply| Job::Reindex(Box::new(step), reply))
    }
}
