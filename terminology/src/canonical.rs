//! A canonical URL with its version: `url|version` (FHIR R4 references.html#canonical).

use std::cmp::Ordering;
use std::fmt;

/// What a canonical names: a definition, perhaps one edition of it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Canonical {
    /// The definition's `url`.
    pub url: Box<str>,
    /// Its `version`; `None` for whichever is current.
    pub version: Option<Box<str>>,
}

impl Canonical {
    /// Splits `url|version`; a fragment stays part of the URL, an empty version is none.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once('|') {
            Some((url, version)) => Self::new(url, Some(version)),
            None => Self::new(text, None),
        }
    }

    /// From its parts.
    #[must_use]
    pub fn new(url: &str, version: Option<&str>) -> Self {
        let version = version.filter(|version| !version.is_empty());
        Self { url: url.into(), version: version.map(Into::into) }
    }

    /// The same with this version where it has none.
    #[must_use]
    pub fn or_version(mut self, version: Option<&str>) -> Self {
        if self.version.is_none() {
            self.version = version.filter(|version| !version.is_empty()).map(Into::into);
        }
        self
    }
}

impl fmt::Display for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}|{version}", self.url),
            None => f.write_str(&self.url),
        }
    }
}

/// Order of two versions: numbers as numbers, everything else as text; no version is the oldest.
pub(crate) fn compare_versions(a: Option<&str>, b: Option<&str>) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return a.is_some().cmp(&b.is_some()) };
    let split = |c: char| !c.is_ascii_alphanumeric();
    let (mut left, mut right) = (a.split(split), b.split(split));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (x, y) => compare_parts(x.unwrap_or_default(), y.unwrap_or_default()),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn compare_parts(a: &str, b: &str) -> Ordering {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_splits_at_its_bar() {
        let canonical = Canonical::parse("http://a/b|2.1");

        assert_eq!(canonical.to_string(), "http://a/b|2.1");
        assert_eq!(Canonical::parse("http://a/b|").version, None);
    }

    #[test]
    fn versions_order_by_their_numbers() {
        assert_eq!(compare_versions(Some("4.0.10"), Some("4.0.9")), Ordering::Greater);
        assert_eq!(compare_versions(Some("2018-08-12"), Some("2018-10-01")), Ordering::Less);
        assert_eq!(compare_versions(None, Some("1")), Ordering::Less);
    }
}
