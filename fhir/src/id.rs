//! Logical ids of resources: FHIR R4, datatype `id`.
//!
//! Not here: versions (`version`), keys (`key`), references (`reference`).

use std::fmt;

/// Logical id of a resource, unique within its type: 1 to 64 of `[A-Za-z0-9.-]` (FHIR R4, datatype `id`).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ResourceId(Box<str>);

/// The text is not 1 to 64 of `[A-Za-z0-9.-]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an id is 1 to 64 letters, digits, hyphens and dots")]
pub struct InvalidId;

impl ResourceId {
    /// Takes the text if it is a well-formed id.
    ///
    /// # Errors
    /// [`InvalidId`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if is_id(text) { Ok(Self(text.into())) } else { Err(InvalidId) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the text has the form of an `id`.
pub(crate) fn is_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

const ID_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_1_to_64_allowed_bytes_are_taken_and_no_others() {
        for good in ["1", "a-b.C9", &"x".repeat(64)] {
            assert_eq!(ResourceId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a_b", "a/b", "é", "a b", &"x".repeat(65)] {
            assert_eq!(ResourceId::parse(bad), Err(InvalidId), "{bad}");
        }
    }
}
