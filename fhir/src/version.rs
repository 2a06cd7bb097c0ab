//! Version numbers of resources and their `ETag` text.
//!
//! Spec: FHIR R4 http.html section 3.1.0.1.3 (weak `ETag` whose value is `meta.versionId`).

use std::fmt;
use std::num::NonZeroU64;

/// Number of a resource's version: 1 for the first, one more for each further; fits a signed 64-bit column.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct VersionId(NonZeroU64);

/// The text is not a version number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a version is a positive whole number")]
pub struct InvalidVersion;

impl VersionId {
    /// The first version of every resource.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The version of that number; `None` for 0 and for what exceeds 63 bits.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        if number > NUMBER_MAX { None } else { NonZeroU64::new(number).map(Self) }
    }

    /// Takes decimal digits without sign and without leading zeros.
    ///
    /// # Errors
    /// [`InvalidVersion`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        let digits = (1..=DIGITS_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_digit())
            && !text.starts_with('0');
        if !digits {
            return Err(InvalidVersion);
        }
        text.parse().ok().and_then(Self::new).ok_or(InvalidVersion)
    }

    /// Takes the value of an `If-Match` header: `W/"3"`, and what lenient clients send: `"3"`, `3`.
    ///
    /// # Errors
    /// [`InvalidVersion`] for any other text, lists and `*` included.
    pub fn parse_etag(text: &str) -> Result<Self, InvalidVersion> {
        let text = text.trim();
        let strong = text.strip_prefix("W/").unwrap_or(text);
        match strong.strip_prefix('"') {
            Some(quoted) => Self::parse(quoted.strip_suffix('"').ok_or(InvalidVersion)?),
            None if strong.len() == text.len() => Self::parse(text),
            None => Err(InvalidVersion),
        }
    }

    /// The number, from 1.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0.get()
    }

    /// The version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self::new(self.number() + 1).expect("no resource is written 2^63 times")
    }

    /// The weak entity tag, such as `W/"3"`.
    #[must_use]
    pub fn etag(self) -> String {
        format!("W/\"{}\"", self.0)
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const NUMBER_MAX: u64 = i64::MAX as u64;
const DIGITS_MAX: usize = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_read_in_three_forms_and_written_weak() {
        let three = VersionId::new(3).unwrap();

        for text in ["W/\"3\"", "\"3\"", "3", " W/\"3\" "] {
            assert_eq!(VersionId::parse_etag(text), Ok(three), "{text}");
        }

        assert_eq!(three.etag(), "W/\"3\"");
    }

    #[test]
    fn zero_signs_lists_and_overlong_numbers_are_no_versions() {
        for bad in
            ["", "0", "03", "+3", "-1", "W/3", "\"3", "*", "\"1\",\"2\"", "9223372036854775808"]
        {
            assert_eq!(VersionId::parse_etag(bad), Err(InvalidVersion), "{bad}");
        }
        assert_eq!(VersionId::new(0), None);
        assert_eq!(VersionId::parse("9223372036854775807").unwrap().number(), NUMBER_MAX);
    }
}
