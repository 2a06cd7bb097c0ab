//! Which resource, and which version of it.
//!
//! Text form: `Patient/1` and `Patient/1/_history/3`, as in relative references.

use std::fmt;

use crate::{ResourceId, ResourceType, VersionId};

/// Type and id of a resource: what a relative reference names.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ResourceKey {
    /// The resource's type.
    pub resource_type: ResourceType,
    /// The id within the type.
    pub id: ResourceId,
}

/// One version of one resource.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct VersionKey {
    /// Which resource.
    pub key: ResourceKey,
    /// Which of its versions.
    pub version: VersionId,
}

/// The text does not name a resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a resource is named by its type and id, such as Patient/1")]
pub struct InvalidKey;

impl ResourceKey {
    /// Puts the two together.
    #[must_use]
    pub fn new(resource_type: ResourceType, id: ResourceId) -> Self {
        Self { resource_type, id }
    }

    /// Takes text such as `Patient/1`.
    ///
    /// # Errors
    /// [`InvalidKey`] for an unknown type, a malformed id or anything more or less.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let (name, id) = text.split_once('/').ok_or(InvalidKey)?;
        let resource_type = ResourceType::parse(name).ok_or(InvalidKey)?;
        let id = ResourceId::parse(id).map_err(|_| InvalidKey)?;
        Ok(Self { resource_type, id })
    }
}

impl VersionKey {
    /// Takes text such as `Patient/1/_history/3`.
    ///
    /// # Errors
    /// [`InvalidKey`] when the key or the version is malformed or missing.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let (key, version) = text.split_once("/_history/").ok_or(InvalidKey)?;
        let key = ResourceKey::parse(key)?;
        let version = VersionId::parse(version).map_err(|_| InvalidKey)?;
        Ok(Self { key, version })
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource_type, self.id)
    }
}

impl fmt::Display for VersionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/_history/{}", self.key, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for text in ["Patient/1", "Observation/a-b.c"] {
            assert_eq!(ResourceKey::parse(text).unwrap().to_string(), text);
        }
        let version = VersionKey::parse("Patient/1/_history/3").unwrap();
        assert_eq!(version.to_string(), "Patient/1/_history/3");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in ["Patient", "Patient/", "/1", "Patient/1/2", "patient/1", "Patient/1/_history/1"]
        {
            assert_eq!(ResourceKey::parse(bad), Err(InvalidKey), "{bad}");
        }
        for bad in ["Patient/1", "Patient/1/_history/0", "Patient/1/_history/"] {
            assert_eq!(VersionKey::parse(bad), Err(InvalidKey), "{bad}");
        }
    }
}
