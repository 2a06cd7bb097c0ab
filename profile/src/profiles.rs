//! The profiles that are known, by canonical URL.

use std::collections::HashMap;
use std::sync::Arc;

use crate::rule::Profile;

/// A set of compiled profiles; cheap to copy and to extend.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    by_url: HashMap<String, Vec<Arc<Profile>>>,
}

impl Profiles {
    /// Adds a profile; one of the same URL and version is replaced.
    pub fn add(&mut self, profile: Arc<Profile>) {
        let versions = self.by_url.entry(profile.url().to_owned()).or_default();
        versions.retain(|known| known.version() != profile.version());
        versions.push(profile);
    }

    /// The profile of a canonical URL, which may name a version after `|`; without one, the last added.
    #[must_use]
    pub fn find(&self, canonical: &str) -> Option<&Arc<Profile>> {
        let (url, version) = match canonical.split_once('|') {
            Some((url, version)) => (url, Some(version)),
            None => (canonical, None),
        };
        let versions = self.by_url.get(url)?;
        match version {
            Some(version) => versions.iter().find(|known| {
                // A profile may be named by the start of its version (`4.0` of `4.0.1`).
                known.version().is_some_and(|known| {
                    known == version
                        || known.strip_prefix(version).is_some_and(|r| r.starts_with('.'))
                })
            }),
            None => versions.last(),
        }
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_url.values().map(Vec::len).sum()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_url.is_empty()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.by_url.values().flatten()
    }
}
