//! Why nothing is sealed, and what to do about it.

use ledger::PublishError;
use registry::access::JournalError;
use registry::error::{CommitError, ReadError};

use crate::access::mover::MoveError;

/// Why nothing is sealed. Nothing is lost: the outboxes and the journal keep what waits.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The registry did not answer.
    #[error("registry: {0}")]
    Registry(String),
    /// The journal was not read.
    #[error("access journal: {0}")]
    Journal(String),
    /// The log's files could not be made for want of space or handles; nothing was written.
    #[error("log: {0}")]
    NoRoom(String),
    /// The log refused or failed.
    #[error("log: {0}")]
    Log(String),
    /// The right to seal was lost; the store tries to take it again.
    #[error("the right to seal is not held")]
    Fenced,
    /// The registry is ahead of the log: another gateway sealed, or an older copy of the log was put back.
    #[error("the registry has recorded {recorded} entries, the log holds {published}")]
    Behind {
        /// Entries that the registry has recorded.
        recorded: u64,
        /// Entries of the log.
        published: u64,
    },
    /// The access journal ends before what is sealed of it: an older copy was put back, or its end was cut off.
    #[error("the registry has recorded {sealed} sealed access records, the journal holds {held}")]
    JournalBehind {
        /// Position up to which the journal was sealed.
        sealed: u64,
        /// Position of its last record.
        held: u64,
    },
    /// The log holds an entry that neither outbox nor journal know.
    #[error("entry {0} of the log is of unknown origin")]
    Foreign(u64),
}

impl SealError {
    /// True when trying again is safe and may help.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Registry(_) | Self::NoRoom(_) | Self::Fenced)
    }

    /// What to do; names no path and no host.
    pub(super) fn next_step(&self) -> &'static str {
        match self {
            Self::Registry(_) => {
                "the registry does not answer the sequencer: see the registry's line"
            }
            Self::NoRoom(_) => {
                "the log cannot make its files: free space and file handles on its disk, sealing then goes on by itself"
            }
            Self::Fenced => {
                "the database connection with the right to seal was lost, trying again; if it stays away, another gateway seals this database: stop one of the two"
            }
            Self::Behind { .. } => {
                "the log is behind the registry: another gateway seals this database, or an older copy of the log was put back; put the newest copy back, then restart"
            }
            Self::JournalBehind { .. } => {
                "the folder access/ lacks records that are sealed: put back the copy of it that belongs to this database, then start again"
            }
            Self::Journal(_) => "the access journal was not read: check the disk, then restart",
            Self::Log(_) => {
                "a write or fsync of the log failed: check its disk, run `sealway ledger fsck`, then restart"
            }
            Self::Foreign(_) => {
                "the log holds an entry of unknown origin: is this the data folder of another database, or was an older copy of the database put back? run `sealway ledger fsck`"
            }
        }
    }
}

pub(super) fn of_registry(error: ReadError) -> SealError {
    SealError::Registry(error.to_string())
}

pub(super) fn of_move(error: MoveError) -> SealError {
    match error {
        MoveError::Read(_)
        | MoveError::Clear(_)
        | MoveError::Interrupted
        | MoveError::Journal(JournalError::Busy) => SealError::Registry(error.to_string()),
        MoveError::Journal(error) => SealError::Journal(error.to_string()),
    }
}

pub(super) fn of_commit(error: CommitError) -> SealError {
    SealError::Registry(error.to_string())
}

pub(super) fn of_publish(error: &PublishError) -> SealError {
    match error.is_passing() {
        true => SealError::NoRoom(error.to_string()),
        false => SealError::Log(error.to_string()),
    }
}
