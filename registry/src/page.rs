//! What reads answer: stored versions, search pages, history pages.

use bytes::Bytes;
use fhir::{Instant, ResourceId, ResourceKey, ResourceType, TimeRange, VersionId};
use policy::TypeSet;

use crate::erasure::is_erased;
use crate::write_set::Action;

/// A version as stored; its payload opens with `repository::Keyring`.
#[derive(Clone, Debug)]
pub struct StoredVersion {
    /// Whose version.
    pub key: ResourceKey,
    /// Its number.
    pub version: VersionId,
    /// When it was committed.
    pub updated: Instant,
    /// What made it; [`Action::Delete`] marks a tombstone.
    pub action: Action,
    /// System-wide change number.
    pub change: u64,
    /// Envelope, or the reference to an object.
    pub payload: Bytes,
    /// Ledger entry without its sequence number.
    pub entry: [u8; 36],
    /// Id the commitment's salt is derived from.
    pub salt_id: [u8; 16],
}

/// Why a hit is in a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HitMode {
    /// It matches the query.
    Match,
    /// It was asked for by `_include` or `_revinclude`.
    Include,
}

/// One entry of a search page.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Why it is here.
    pub mode: HitMode,
    /// The resource, current version.
    pub version: StoredVersion,
}

/// One page of a search.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Matches first, then includes; no resource twice.
    pub hits: Vec<Hit>,
    /// Exact number of visible matches, when asked for or cheap.
    pub total: Option<u64>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<Cursor>,
    /// Where the previous page starts; `None` on the first.
    pub previous: Option<Cursor>,
    /// Where a page starts that begins after each of the matches; empty unless asked for.
    pub places: Vec<Cursor>,
}

/// Position in a sorted result (keyset), opaque and authenticated in its text form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cursor(pub Vec<u8>);

/// What history to list.
#[derive(Clone, Debug)]
pub struct HistoryQuery {
    /// Instance, type or system.
    pub scope: HistoryScope,
    /// Only versions at or after this instant.
    pub since: Option<Instant>,
    /// Only versions that were current at some time of this range.
    pub at: Option<TimeRange>,
    /// Only versions of the resources that this List refers to now.
    pub list: Option<ResourceId>,
    /// At most so many versions a page.
    pub count: u32,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
}

/// Level of a history interaction.
#[derive(Clone, Debug)]
pub enum HistoryScope {
    /// One resource.
    Instance(ResourceKey),
    /// One type.
    Type(ResourceType),
    /// Everything.
    System,
}

/// One page of history, newest first.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// The versions.
    pub versions: Vec<StoredVersion>,
    /// Whether anything of the resource is visible, if only outside of the times asked for; true for other scopes.
    pub is_known: bool,
    /// All visible versions in scope and time; `None` when they are too many to count.
    pub total: Option<u64>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<Cursor>,
}

/// What of a patient's compartment to list.
#[derive(Clone, Debug)]
pub struct CompartmentQuery {
    /// Whose compartment.
    pub patient: ResourceId,
    /// Only these types.
    pub types: TypeSet,
    /// Only what was written at or after this instant.
    pub since: Option<Instant>,
    /// At most so many resources a page.
    pub count: usize,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
}

/// One page of a compartment, without the patient itself.
#[derive(Clone, Debug, Default)]
pub struct CompartmentPage {
    /// Current versions, each with the place after it.
    pub members: Vec<(StoredVersion, Cursor)>,
    /// Whether there are more.
    pub is_more: bool,
}

/// Convenience for tests and answers: the version's `ETag` number.
impl StoredVersion {
    /// True for a tombstone, and for a version whose content was erased: there is nothing to be had of it.
    pub fn is_tombstone(&self) -> bool {
        self.action == Action::Delete || self.is_erased()
    }

    /// True for a version whose content was erased.
    pub fn is_erased(&self) -> bool {
        is_erased(&self.payload)
    }

    /// Version number, for weak `ETag`s.
    pub fn version_number(&self) -> VersionId {
        self.version
    }
}
