//! Reads that belong to a transaction: answered on its own state, before it is durable for anybody else.
//!
//! Spec: FHIR R4 http.html section 3.1.0.11.2: GET and HEAD come last and see what the transaction wrote. A read that
//! fails refuses the transaction, so it is answered inside of it, and no other commit lies between its writes and it.
//! Not here: SQL (`sqlite::reading`, `postgres::reading`), how answers look (`gateway`).

use std::time::Duration;

use fhir::{ResourceKey, VersionKey};
use policy::Permit;

use crate::error::ReadError;
use crate::page::{HistoryPage, HistoryQuery, Page, StoredVersion};
use crate::search::SearchQuery;

/// One read with the permit that it is asked under.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Under which permit.
    pub permit: Permit,
    /// What.
    pub reading: Reading,
}

/// What a transaction may read.
#[derive(Clone, Debug)]
pub enum Reading {
    /// The current version of a resource.
    Current(ResourceKey),
    /// One version of a resource.
    Version(VersionKey),
    /// One page of history.
    History(HistoryQuery),
    /// One page of a search.
    Search(Box<SearchQuery>),
}

/// The answer, of the same kind.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A version, never a tombstone.
    Version(Box<StoredVersion>),
    /// One page of history.
    History(HistoryPage),
    /// One page of a search.
    Search(Page),
}

/// A read without an answer.
#[derive(Debug, thiserror::Error)]
#[error("read {at} has no answer: {cause}")]
pub struct Unread {
    /// Place among the reads.
    pub at: usize,
    /// Why.
    pub cause: NoReply,
}

/// Why a read has no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoReply {
    /// There is no such resource or version, or the permit does not see it.
    #[error("absent")]
    Absent,
    /// It is deleted.
    #[error("deleted")]
    Deleted,
    /// It could not be read.
    #[error(transparent)]
    Failed(#[from] ReadError),
}

impl Reply {
    /// A version that was found, or why it is none to answer with.
    pub(crate) fn version(found: Option<StoredVersion>) -> Result<Self, NoReply> {
        match found {
            None => Err(NoReply::Absent),
            Some(stored) if stored.is_tombstone() => Err(NoReply::Deleted),
            Some(stored) => Ok(Self::Version(Box::new(stored))),
        }
    }

    /// History; that of one resource must have something in it.
    pub(crate) fn history(page: HistoryPage) -> Result<Self, NoReply> {
        if page.is_known { Ok(Self::History(page)) } else { Err(NoReply::Absent) }
    }
}

/// The reads took longer than a transaction that writes may hold others up.
pub(crate) fn out_of_time() -> NoReply {
    let ms = READS_TIME_MAX.as_millis();
    let text = format!(
        "the reads of a transaction that writes may take {ms} ms, as other writes wait for them; \
         read in a request of its own"
    );
    NoReply::Failed(ReadError::TooCostly(text))
}

/// Time that the reads of one transaction that also writes may take: nobody else writes meanwhile.
pub(crate) const READS_TIME_MAX: Duration = Duration::from_millis(250);
