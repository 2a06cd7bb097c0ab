//! What one commit contains, and what it answers.
//!
//! A [`WriteSet`] is made outside the write lock; nothing in it depends on what only the writer
//! knows. The writer assigns version numbers and the time, calls [`Finish`] for the final bytes,
//! and refuses the set as stale when a [`Dependency`] no longer holds.

use std::sync::Arc;

use fhir::{Instant, ResourceId, ResourceKey, VersionId};
use policy::Permit;

use crate::erasure::Erasing;
use crate::index::IndexRows;
use crate::reading::{Asked, Reply};
use crate::search::Criteria;

/// Everything one submission changes: committed whole or not at all.
#[derive(Default)]
pub struct WriteSet {
    /// Writes in the order of the standard; at most one for a resource.
    pub writes: Vec<Write>,
    /// What preparation read; each is checked again under the write lock.
    pub depends: Vec<Dependency>,
    /// Data keys made for compartments that had none; a lost race makes the set stale.
    pub new_keys: Vec<WrappedKey>,
    /// The message's identity and the answer to repeat for it.
    pub idempotency: Option<Idempotency>,
    /// Who did it: the record of the access, durable with what it tells of.
    pub access: Option<AccessRecord>,
    /// What the transaction reads once it has written; a read without an answer refuses it.
    pub reads: Vec<Asked>,
    /// A step of an erasure.
    pub erasing: Option<Erasing>,
}

/// One resource version to be made.
pub struct Write {
    /// Whose version it is.
    pub key: ResourceKey,
    /// Version that preparation saw as current, tombstones included; `None` for a new resource.
    pub previous: Option<VersionId>,
    /// Create, update or delete.
    pub action: Action,
    /// Makes the final bytes once version and time are known.
    pub finish: Arc<dyn Finish>,
    /// All index rows of the new version; empty for a deletion.
    pub rows: IndexRows,
    /// Patients whose compartment holds the resource, by id; empty for none.
    pub patients: Vec<ResourceId>,
    /// Clinical sort date in microseconds since 1970 UTC; `None` takes the time of the commit.
    pub sort_us: Option<i64>,
}

/// What a write does to its resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// First version, or first after none was visible by POST.
    Create,
    /// A further version, or a first one by PUT, or one that follows a tombstone.
    Update,
    /// A tombstone.
    Delete,
}

/// Makes what is stored for a version; called by the writer, for several versions at
/// once, so it must be quick and must not block.
pub trait Finish: Send + Sync + 'static {
    /// Final form of the version.
    fn finish(&self, version: VersionId, updated: Instant) -> Finished;
}

/// The stored form of one version and its ledger entry.
pub struct Finished {
    /// Envelope as `repository` made it, or the reference to an object (docs/formats.md).
    pub payload: Vec<u8>,
    /// Ledger entry without its sequence number: 36 bytes (version, kind, canon, flags, commitment).
    pub entry: [u8; 36],
    /// Random id the commitment's salt is derived from.
    pub salt_id: [u8; 16],
}

/// An access, sealed, with the ledger entry that commits to it; the registry does not look inside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessRecord {
    /// Random id the commitment's salt is derived from; no two records share one.
    pub salt_id: [u8; 16],
    /// Entry without its sequence number: 36 bytes.
    pub entry: [u8; 36],
    /// Envelope as `repository` made it (docs/formats.md).
    pub body: Vec<u8>,
}

/// A wrapped data key of one compartment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrappedKey {
    /// Random id of the key, written in every envelope that it opens.
    pub key_id: u64,
    /// `Patient/id`; empty for the tenant's own key.
    pub compartment: String,
    /// The key under the key-encryption key.
    pub wrapped: Vec<u8>,
}

/// Something preparation looked up.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    /// Current version of a resource.
    Key(ResourceKey),
    /// Resources that match criteria (`If-None-Exist`, conditional reference or URL).
    Query(Criteria),
    /// Which search parameters are in force. A set that depends on it is stale when they change.
    SearchParams,
    /// How many erasures have ended. A set that depends on it is stale when a data key was destroyed meanwhile.
    Erasures,
}

/// What a [`Match`] found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MatchOutcome {
    /// For [`Match::Key`]: current version and whether it is a tombstone; `None` when there is none.
    Key(Option<(VersionId, bool)>),
    /// For [`Match::Key`]: it exists, but the permit does not see it. Answer as for an absent one, never write it.
    Hidden,
    /// For [`Match::Query`]: at most [`Criteria::matches_max`] of the matching ids, in ascending order; only what
    /// the permit sees.
    Query(Vec<ResourceId>),
    /// For [`Match::SearchParams`]: newest change of any SearchParameter.
    SearchParams(u64),
    /// For [`Match::Erasures`]: number of the last erasure that has ended; 0 before the first.
    Erasures(u64),
}

/// A lookup with its answer: the set is stale if the writer finds another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    /// The permit it was asked with; the writer asks with the same.
    pub permit: Permit,
    /// What was asked.
    pub asked: Match,
    /// What was answered.
    pub found: MatchOutcome,
}

/// (sender, control id) → the answer of the first commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Idempotency {
    /// Sending application and facility, or the client's id; at most 200 bytes.
    pub sender: String,
    /// MSH-10 or the idempotency key; at most 200 bytes.
    pub control_id: String,
    /// Bytes to answer again.
    pub answer: Vec<u8>,
}

/// Proof that a write set and its ledger entries are durable. Only a store makes it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Committed {
    /// One for each write, in their order.
    pub versions: Vec<CommittedVersion>,
    /// One for each read, in their order, as of this commit.
    pub replies: Vec<Reply>,
}

/// One version as committed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommittedVersion {
    /// Whose version.
    pub key: ResourceKey,
    /// Its number.
    pub version: VersionId,
    /// Its `meta.lastUpdated`.
    pub updated: Instant,
    /// System-wide change number, ascending in commit order.
    pub change: u64,
}
