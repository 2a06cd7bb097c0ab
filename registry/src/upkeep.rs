//! Upkeep: answers kept for repeated messages that are old, and which objects of the object store are needed.
//!
//! Not here: when it is done and what goes (`gateway`), objects (`repository`).

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::error::ReadError;

/// Reads for upkeep; not permitted to requests.
pub trait Upkeep: Send + Sync {
    /// Time of the oldest answer that is kept for repeated control ids, in microseconds since 1970 UTC.
    fn oldest_answer(&self) -> BoxFuture<'_, Result<Option<i64>, ReadError>>;

    /// Envelopes that name an object, of versions with change numbers above `after`, and where the next page starts:
    /// `None` when there are no more. A page looks at [`CHANGES_A_PAGE`] change numbers.
    fn object_envelopes(&self, after: u64) -> BoxFuture<'_, Result<ObjectPage, ReadError>>;
}

/// One page of [`Upkeep::object_envelopes`].
#[derive(Clone, Debug, Default)]
pub struct ObjectPage {
    /// The envelopes.
    pub envelopes: Vec<Bytes>,
    /// Where the next page starts.
    pub next: Option<u64>,
}

/// Change numbers that one page looks at: some milliseconds of a reader.
pub const CHANGES_A_PAGE: u64 = 10_000;
/// Answers that one job of the writer removes: about a millisecond of its time.
pub(crate) const ANSWERS_AT_ONCE: i64 = 500;
