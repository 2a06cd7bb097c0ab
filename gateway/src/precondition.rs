//! `If-Match`: which version of a resource must be current.
//!
//! Tags are versions; weak (`W/"3"`), strong (`"3"`) and bare (`3`) ones mean the same, because real clients send all.
//! Spec: RFC 9110 §13.1.1, FHIR R4 http.html, "Support for Versions". Not here: reading headers (`http::etag`).

use fhir::VersionId;

use crate::error::{Answered, Fault, FaultKind};

/// What must be current.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IfMatch {
    /// `*`: anything, but something.
    Any,
    /// One of these.
    OneOf(Vec<VersionId>),
}

impl IfMatch {
    /// Reads the value of the header, or of `Bundle.entry.request.ifMatch`.
    ///
    /// # Errors
    /// 400 when a tag names no version.
    pub fn parse(text: &str) -> Answered<Self> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let versions: Result<Vec<_>, _> = text.split(',').map(VersionId::parse_etag).collect();
        versions.map(Self::OneOf).map_err(|_| {
            let text = "If-Match must be * or name versions, such as W/\"3\"";
            Fault::new(FaultKind::Invalid, text)
        })
    }

    /// Refuses when this version is current and another one was expected.
    ///
    /// # Errors
    /// 412.
    pub fn expect(&self, current: VersionId) -> Answered<()> {
        let expected = match self {
            Self::Any => return Ok(()),
            Self::OneOf(versions) if versions.contains(&current) => return Ok(()),
            Self::OneOf(versions) => versions,
        };
        let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        let text = format!("the resource is at version {current}, not {}", expected.join(" or "));
        Err(Fault::new(FaultKind::PreconditionFailed, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_weak_strong_or_bare_alone_or_in_a_list() {
        let version = |number| VersionId::new(number).unwrap();

        for text in ["W/\"3\"", "\"3\"", "3", " W/\"2\" , \"3\"", "3,4"] {
            IfMatch::parse(text).unwrap().expect(version(3)).unwrap();
            assert_eq!(IfMatch::parse(text).unwrap().expect(version(5)).unwrap_err().status(), 412);
        }
        IfMatch::parse("*").unwrap().expect(version(9)).unwrap();
        for bad in ["", "x", "W/3", "3,", "*,3"] {
            assert_eq!(IfMatch::parse(bad).unwrap_err().status(), 400, "{bad}");
        }
    }
}
