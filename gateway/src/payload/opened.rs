//! Contents that were opened lately, so that what many ask for is decrypted and unpacked once.
//!
//! A content is given only for the very envelope it came out of, under the same resource and version, and only while one
//! of its keys is in memory: a changed byte in the store and an erased key show as they do without the cache.
//! Bounded in bytes and time. Not here: opening (`super`).

use std::time::Duration;

use bytes::Bytes;
use fhir::{ResourceKey, VersionId};
use moka::sync::Cache;
use registry::page::StoredVersion;

use crate::limits::{OPENED_BYTES_MAX, OPENED_CONTENT_BYTES_MAX, OPENED_SECONDS_MAX};

/// Opened contents by the change that stored them.
pub(super) struct OpenedContents(Cache<u64, Opened>);

#[derive(Clone)]
struct Opened {
    key: ResourceKey,
    version: VersionId,
    envelope: Bytes,
    content: Bytes,
}

impl OpenedContents {
    pub(super) fn new() -> Self {
        let weigh = |_: &u64, opened: &Opened| {
            let bytes = opened.envelope.len() + opened.content.len() + ENTRY_BYTES;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder()
            .max_capacity(OPENED_BYTES_MAX)
            .weigher(weigh)
            .time_to_live(Duration::from_secs(OPENED_SECONDS_MAX));
        Self(cache.build())
    }

    /// The content of a version whose envelope is still the same.
    pub(super) fn get(&self, stored: &StoredVersion) -> Option<Bytes> {
        let opened = self.0.get(&stored.change)?;
        let is_it = opened.envelope == stored.payload
            && opened.version == stored.version
            && opened.key == stored.key;
        is_it.then_some(opened.content)
    }

    /// Drops contents, by change number.
    pub(super) fn forget(&self, changes: &[u64]) {
        changes.iter().for_each(|change| self.0.invalidate(change));
    }

    /// Keeps what was just opened; large contents are left out.
    pub(super) fn keep(&self, stored: &StoredVersion, content: &Bytes) {
        if content.len() > OPENED_CONTENT_BYTES_MAX {
            return;
        }
        let opened = Opened {
            key: stored.key.clone(),
            version: stored.version,
            envelope: stored.payload.clone(),
            content: content.clone(),
        };
        self.0.insert(stored.change, opened);
    }
}

/// What an entry takes beside its bytes, about.
const ENTRY_BYTES: usize = 200;

#[cfg(test)]
mod tests {
    use fhir::{Instant, ResourceId, ResourceType};
    use registry::write_set::Action;

    use super::*;

    fn stored(id: &str, version: u64, envelope: &'static [u8]) -> StoredVersion {
        StoredVersion {
            key: ResourceKey::new(ResourceType::PATIENT, ResourceId::parse(id).unwrap()),
            version: VersionId::new(version).unwrap(),
            updated: Instant::from_micros(0),
            action: Action::Create,
            change: 7,
            payload: Bytes::from_static(envelope),
            entry: [0; 36],
            salt_id: [0; 16],
        }
    }

    #[test]
    fn a_content_is_given_for_the_very_version_and_envelope_it_came_out_of() {
        let contents = OpenedContents::new();
        let content = Bytes::from_static(b"{}");
        contents.keep(&stored("p1", 1, b"sealed"), &content);

        assert_eq!(contents.get(&stored("p1", 1, b"sealed")), Some(content));
        assert_eq!(contents.get(&stored("p1", 1, b"sealeD")), None, "a changed byte");
        assert_eq!(contents.get(&stored("p2", 1, b"sealed")), None, "another resource");
        assert_eq!(contents.get(&stored("p1", 2, b"sealed")), None, "another version");
    }

    #[test]
    fn a_large_content_is_not_kept() {
        let contents = OpenedContents::new();
        let large = Bytes::from(vec![b' '; OPENED_CONTENT_BYTES_MAX + 1]);
        contents.keep(&stored("p1", 1, b"sealed"), &large);
        assert_eq!(contents.get(&stored("p1", 1, b"sealed")), None);
    }
}
