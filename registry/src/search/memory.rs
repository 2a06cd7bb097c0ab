//! What searches remember of those before, in this process: versions, which never change, and about how large ranges are.
//!
//! A search still asks the database which version of a resource is the current one and whether the caller may see it; a
//! version that it saw lately it need not fetch again. Sizes only choose which index leads, never what is found.
//! Both are bounded and forgotten soon, so that what was altered behind the gateway's back shows.
//! Where versions hardly come again they are fetched together with their places, in one round trip ([`Memory::pays`]).
//! On SQLite only sizes are remembered: a version is found as fast as it is remembered.
//! Not here: contents (`gateway` remembers what it opened).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use super::hits::Loaded;
use super::sql::Bind;

/// What one store remembers; see the module.
pub struct Memory {
    /// By change number.
    versions: Cache<i64, Loaded>,
    /// By statement.
    sizes: Cache<u64, usize>,
    /// Share of the pages whose versions were all remembered, of [`WHOLE`], a moving average.
    known: AtomicU32,
}

impl Memory {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let weigh = |_: &i64, loaded: &Loaded| {
            let bytes = loaded.version.payload.len() + ENTRY_BYTES;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let versions = Cache::builder().max_capacity(VERSIONS_BYTES_MAX).weigher(weigh);
        let sizes = Cache::builder().max_capacity(SIZES_MAX);
        Self {
            versions: versions.time_to_live(VERSION_TIME_MAX).build(),
            sizes: sizes.time_to_live(SIZE_TIME_MAX).build(),
            known: AtomicU32::new(0),
        }
    }

    /// Whether most pages are of versions that are remembered.
    pub(super) fn pays(&self) -> bool {
        self.known.load(Ordering::Relaxed) > WHOLE / 2
    }

    /// Learns whether all versions of a page were remembered.
    pub(super) fn learn(&self, known: bool) {
        let share = self.known.load(Ordering::Relaxed);
        let target = if known { WHOLE } else { 0 };
        // Two that learn at the same time lose one of the lessons, which does not matter.
        self.known.store((share * (LESSONS - 1) + target) / LESSONS, Ordering::Relaxed);
    }

    pub(super) fn version(&self, change: i64) -> Option<Loaded> {
        self.versions.get(&change)
    }

    pub(super) fn has_version(&self, change: i64) -> bool {
        self.versions.contains_key(&change)
    }

    /// Keeps a version that was just read.
    pub(super) fn keep(&self, loaded: &Loaded) {
        if let Ok(change) = i64::try_from(loaded.version.change)
            && loaded.version.payload.len() <= VERSION_BYTES_MAX
        {
            self.versions.insert(change, loaded.clone());
        }
    }

    /// Keeps what a statement that counts said.
    pub(super) fn keep_size(&self, statement: u64, size: usize) {
        self.sizes.insert(statement, size);
    }

    /// What a statement that counts said lately, by its [`key`].
    pub(super) fn size_of(&self, statement: u64) -> Option<usize> {
        self.sizes.get(&statement)
    }
}

/// Stands for a statement and its values. Two that share one would only be planned alike.
pub(super) fn key(text: &str, binds: &[Bind]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    for bind in binds {
        match bind {
            Bind::Int(value) => value.hash(&mut hasher),
            Bind::Real(value) => value.to_bits().hash(&mut hasher),
            Bind::Text(value) => value.hash(&mut hasher),
            Bind::Ints(values) => values.hash(&mut hasher),
            Bind::Texts(values) => values.hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// Memory for versions as they are stored.
const VERSIONS_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// A larger version is fetched each time.
const VERSION_BYTES_MAX: usize = 16 * 1024;
/// What a version takes beside its payload, about.
const ENTRY_BYTES: usize = 400;
/// A version is fetched again after this time.
const VERSION_TIME_MAX: Duration = Duration::from_secs(60);
/// Sizes that are remembered.
const SIZES_MAX: u64 = 10_000;
/// A range is measured again after this time.
const SIZE_TIME_MAX: Duration = Duration::from_secs(30);
const WHOLE: u32 = 1 << 16;
/// Pages that the moving average is over, about.
const LESSONS: u32 = 16;
