//! The one storage contract: [`Store`], implemented by SQLite (embedded) and PostgreSQL.
//!
//! Coarse and object-safe: one method, one answer, one consistent snapshot. Every read takes the
//! caller's [`Permit`] and renders its visibility in SQL. Writes are prepared outside and decided
//! inside (DESIGN section 2): a [`WriteSet`] carries what preparation saw, `commit` rechecks it.
//! Not here: SQL (`sqlite`, `postgres`), payload encryption (`repository`), FHIR semantics (`fhir`).

use fhir::{FullText, ResourceKey, ResourceType, VersionKey};
use futures::future::BoxFuture;
use policy::Permit;

use crate::check::Checks;
use crate::erasure::Erasures;
use crate::error::{CommitError, ReadError, SequencerError};
use crate::hash::IndexKey;
use crate::index::table;
use crate::outbox::{AccessRow, OutboxRow, SealedRange};
use crate::page::{
    CompartmentPage, CompartmentQuery, HistoryPage, HistoryQuery, Page, StoredVersion,
};
use crate::params::{Activation, ParamTable, ReindexPage, ReindexStep};
use crate::reading::{Asked, Reply, Unread};
use crate::search::{Explanation, Matches, SearchQuery, Unsorted};
use crate::upkeep::Upkeep;
use crate::write_set::{Committed, Match, MatchOutcome, WrappedKey, WriteSet};

/// What both engines do. All methods may be called concurrently from any runtime.
pub trait Store: Send + Sync + 'static {
    /// Commits one write set, all or nothing, durable before `Ok`. Concurrent sets share one
    /// durable transaction (group commit); each runs under its own savepoint.
    ///
    /// # Errors
    /// [`CommitError::Stale`] when something that preparation read has changed: prepare again.
    fn commit(&self, set: WriteSet) -> BoxFuture<'_, Result<Committed, CommitError>>;

    /// The installation's key for index hashes; all rows of a write set are hashed with it.
    fn index_key(&self) -> &IndexKey;

    /// What of resources is searched by words: which words a write set must bring.
    fn full_text(&self) -> FullText;

    /// Resolves when outbox rows have been committed since the last call, or may have been.
    fn outbox_changed(&self) -> BoxFuture<'_, ()>;

    /// Current version of `key`, a tombstone included; `None` when absent or not visible.
    fn read<'a>(
        &'a self,
        permit: &'a Permit,
        key: &'a ResourceKey,
    ) -> BoxFuture<'a, Result<Option<StoredVersion>, ReadError>>;

    /// One version of one resource; `None` when absent or not visible.
    fn vread<'a>(
        &'a self,
        permit: &'a Permit,
        key: &'a VersionKey,
    ) -> BoxFuture<'a, Result<Option<StoredVersion>, ReadError>>;

    /// One page of instance, type or system history, newest first.
    fn history<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a HistoryQuery,
    ) -> BoxFuture<'a, Result<HistoryPage, ReadError>>;

    /// One page of all that is in a patient's compartment, in the order in which it came to be known.
    fn compartment<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a CompartmentQuery,
    ) -> BoxFuture<'a, Result<CompartmentPage, ReadError>>;

    /// One page of a search: matches, includes, total as asked, cursor of the next page.
    fn search<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a SearchQuery,
    ) -> BoxFuture<'a, Result<Page, ReadError>>;

    /// All matches of a search that is sorted by what stands in the contents ([`SearchQuery::opens`]); such a search has
    /// no other answer. The caller opens them ([`ContentKeys`](crate::search::ContentKeys)).
    fn unsorted<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a SearchQuery,
    ) -> BoxFuture<'a, Result<Unsorted, ReadError>>;

    /// The page of such a search: the matches that [`Unsorted::sorted`] put on it, with their includes.
    fn page_of<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a SearchQuery,
        matches: Matches,
    ) -> BoxFuture<'a, Result<Page, ReadError>>;

    /// Number of the newest change of any resource of these types, deletions included; 0 before the first. Cheap:
    /// what is kept of such resources outside the database is current while this number stays.
    fn newest_change<'a>(
        &'a self,
        types: &'a [ResourceType],
    ) -> BoxFuture<'a, Result<u64, ReadError>>;

    /// Several reads in one snapshot: all are answered, or none with the first that has no answer.
    fn read_together(
        &self,
        asked: Vec<Asked>,
    ) -> BoxFuture<'_, Result<Result<Vec<Reply>, Unread>, ReadError>>;

    /// How the first page of a search is answered, without values, ids or contents.
    fn explain<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a SearchQuery,
    ) -> BoxFuture<'a, Result<Explanation, ReadError>>;

    /// What preparation needs to know, in one snapshot: for each [`Match`] the current state.
    /// The answers become the set's `depends`, which `commit` checks again.
    fn resolve<'a>(
        &'a self,
        permit: &'a Permit,
        matches: &'a [Match],
    ) -> BoxFuture<'a, Result<Vec<MatchOutcome>, ReadError>>;

    /// First answer given to (`sender`, `control_id`), if any: see [`WriteSet::idempotency`].
    fn first_answer<'a>(
        &'a self,
        sender: &'a str,
        control_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ReadError>>;

    /// Wrapped data keys by id, for `repository::Keyring`; unknown ids are left out.
    fn data_keys<'a>(
        &'a self,
        key_ids: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>, ReadError>>;

    /// Wrapped data key of each compartment (`Patient/id`, or the tenant's empty name), where one exists.
    fn compartment_keys<'a>(
        &'a self,
        compartments: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>, ReadError>>;

    /// Outbox rows above `after`, in ascending order, at most `limit`.
    fn outbox(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<OutboxRow>, ReadError>>;

    /// Records that outbox rows are under a published checkpoint, and removes them from the outbox.
    fn mark_sealed(&self, sealed: Vec<SealedRange>) -> BoxFuture<'_, Result<(), CommitError>>;

    /// Access records of commits that wait for the access journal, ascending, at most `limit`.
    fn access_outbox(&self, limit: usize) -> BoxFuture<'_, Result<Vec<AccessRow>, ReadError>>;

    /// Removes access records, by id, that are durable in the access journal.
    fn clear_accesses(&self, access_ids: Vec<u64>) -> BoxFuture<'_, Result<(), CommitError>>;

    /// Log index of a stored version once sealed; `None` while it waits in the outbox.
    fn log_index<'a>(
        &'a self,
        key: &'a VersionKey,
    ) -> BoxFuture<'a, Result<Option<u64>, ReadError>>;

    /// Number of log entries that `mark_sealed` has recorded: the sequencer's point of recovery.
    fn sealed_size(&self) -> BoxFuture<'_, Result<u64, ReadError>>;

    /// Small durable named values (installation id, log origin, access-journal position).
    fn setting<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, ReadError>>;

    /// Sets a named value durably.
    fn set_setting<'a>(
        &'a self,
        name: &'a str,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<(), CommitError>>;

    /// Round trip to the database that also proves it can write; for `/readyz`.
    fn ping(&self) -> BoxFuture<'_, Result<(), ReadError>>;

    /// Takes the right to seal what the outboxes hold, until the store is dropped. One process a database has
    /// it; on SQLite it is the one that has the files.
    fn take_sequencer(&self) -> BoxFuture<'_, Result<(), SequencerError>> {
        Box::pin(async { Ok(()) })
    }

    /// True while that right is held. When it is lost the store tries to take it again; until then nothing
    /// may be sealed, and what only the sequencer does is refused as unavailable.
    fn is_sequencer(&self) -> bool {
        true
    }

    /// The taking of that right under which it is held now, asked of the database; `None` while it is not held.
    /// Another number than before: it was lost meanwhile, and somebody else may have had it.
    fn sequencer_epoch(&self) -> BoxFuture<'_, Result<Option<u64>, ReadError>> {
        Box::pin(async { Ok(Some(0)) })
    }

    /// Why nothing is written until the next start, and what to do about it; `None` while all is well.
    fn stopped(&self) -> Option<String> {
        None
    }

    /// The custom search parameters and the jobs that make their rows.
    fn params(&self) -> BoxFuture<'_, Result<ParamTable, ReadError>>;

    /// Puts custom search parameters in force, with the jobs that bring existing resources to them.
    ///
    /// # Errors
    /// [`CommitError::Stale`] when a SearchParameter has changed since.
    fn activate(&self, activation: Activation) -> BoxFuture<'_, Result<(), CommitError>>;

    /// Current resources of a type above a `rid`, for a job; not permitted to requests.
    fn reindex_page(
        &self,
        of: ResourceType,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'_, Result<ReindexPage, ReadError>>;

    /// One step of a job: rows and progress, durable together.
    ///
    /// # Errors
    /// [`CommitError::Stale`] when the job or the parameters have changed: read them again.
    fn reindex(&self, step: ReindexStep) -> BoxFuture<'_, Result<(), CommitError>>;

    /// Begins to make the whole index anew, in a database opened for it: all rows go, and each type gets a job. It
    /// goes on where an earlier one was interrupted. Until [`Store::end_rebuild`] the database is refused by others.
    fn rebuild(&self) -> BoxFuture<'_, Result<(), CommitError>>;

    /// The index is that of this release: to be called when no job is left.
    fn end_rebuild(&self) -> BoxFuture<'_, Result<(), CommitError>> {
        let mark = table::mark(self.full_text());
        Box::pin(async move { self.set_setting(table::SEARCH_TABLE, &mark).await })
    }

    /// What upkeep reads.
    fn upkeep(&self) -> &dyn Upkeep;

    /// Removes answers for repeated control ids that were given before a time, the oldest first, a bounded number.
    fn expire_answers(&self, before_us: i64) -> BoxFuture<'_, Result<(), CommitError>>;

    /// What erasures of patients are made from.
    fn erasures(&self) -> &dyn Erasures;

    /// What a check of the whole registry reads.
    fn checks(&self) -> &dyn Checks;

    /// Every stored version in change order above `after`, for reindexing; not permitted to requests.
    fn scan_versions(
        &self,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredVersion>, ReadError>>;
}
