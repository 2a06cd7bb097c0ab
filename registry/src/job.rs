//! What waits for a writer, and how it is answered; the same on both engines.

use tokio::sync::oneshot;

use crate::error::CommitError;
use crate::outbox::SealedRange;
use crate::params::{Activation, ReindexStep};
use crate::write_set::{Committed, WriteSet};

/// Something for the writer to do.
pub(crate) enum Job {
    /// Commit a write set.
    Commit(Box<WriteSet>, Reply<Committed>),
    /// Record what the log now holds.
    Sealed(Vec<SealedRange>, Reply<()>),
    /// Remove access records that stand in the journal.
    Journaled(Vec<u64>, Reply<()>),
    /// Put search parameters in force.
    Activate(Activation, Reply<()>),
    /// Make index rows of what was written before.
    Reindex(Box<ReindexStep>, Reply<()>),
    /// Remove all index rows and begin to make them anew.
    Rebuild(Reply<()>),
    /// Remove answers that were given before a time.
    Expire(i64, Reply<()>),
    /// Set a named value.
    Setting(String, Vec<u8>, Reply<()>),
}

/// Where a job's result is awaited.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, CommitError>>;

impl Job {
    /// Its share of a group.
    pub(crate) fn writes(&self) -> usize {
        match self {
            Self::Commit(set, _) => set.writes.len().max(1),
            Self::Reindex(step, _) => step.resources.len().max(1),
            Self::Sealed(..)
            | Self::Journaled(..)
            | Self::Activate(..)
            | Self::Rebuild(..)
            | Self::Expire(..)
            | Self::Setting(..) => 1,
        }
    }

    /// True for what only the one that seals may do.
    pub(crate) fn is_sequencers(&self) -> bool {
        match self {
            Self::Commit(..) | Self::Activate(..) | Self::Reindex(..) | Self::Expire(..) => false,
            Self::Sealed(..) | Self::Journaled(..) | Self::Rebuild(..) => true,
            Self::Setting(name, ..) => name != PING,
        }
    }
}

/// A job's result, in its own kind.
pub(crate) enum Answer {
    Committed(Result<Committed, CommitError>),
    Done(Result<(), CommitError>),
}

/// A job and its result, ready to be sent.
pub(crate) struct Outcome {
    pub(crate) job: Job,
    pub(crate) answer: Answer,
}

impl Outcome {
    /// A job that could not be done.
    pub(crate) fn refused(job: Job, text: &str) -> Self {
        let refusal = CommitError::Unavailable(text.to_owned());
        let answer = match &job {
            Job::Commit(..) => Answer::Committed(Err(refusal)),
            Job::Sealed(..)
            | Job::Journaled(..)
            | Job::Activate(..)
            | Job::Reindex(..)
            | Job::Rebuild(..)
            | Job::Expire(..)
            | Job::Setting(..) => Answer::Done(Err(refusal)),
        };
        Self { job, answer }
    }

    /// Answers; a caller that went away is not an error, its set is committed all the same.
    pub(crate) fn send(self) {
        match (self.job, self.answer) {
            (Job::Commit(_, reply), Answer::Committed(result)) => drop(reply.send(result)),
            (
                Job::Sealed(_, reply)
                | Job::Journaled(_, reply)
                | Job::Activate(_, reply)
                | Job::Reindex(_, reply)
                | Job::Rebuild(reply)
                | Job::Expire(_, reply)
                | Job::Setting(_, _, reply),
                Answer::Done(result),
            ) => drop(reply.send(result)),
            (Job::Commit(..), Answer::Done(_)) | (_, Answer::Committed(_)) => {
                unreachable!("attempt_job answers each job in its own kind")
            }
        }
    }
}

/// Setting that readiness checks write.
pub(crate) const PING: &str = "ping";
/// Sets that may wait for the writer.
pub(crate) const QUEUE_SETS_MAX: usize = 1024;
/// Versions after which a group is closed.
pub(crate) const GROUP_WRITES_MAX: usize = 4096;
