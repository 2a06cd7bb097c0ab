//! What must hold of a resource before a write of it: `If-Match`, `If-None-Match`, `If-Unmodified-Since`.
//!
//! Tags are versions; weak (`W/"3"`), strong (`"3"`) and bare (`3`) ones mean the same, because real clients send all.
//! Spec: RFC 9110 §13.1 and, for what goes first, §13.2.2; FHIR R4 http.html, "Support for Versions".
//! Not here: reading headers (`http::etag`) and entries (`entry`), which version is current (`snapshot`).

use fhir::{Instant, VersionId};

use crate::error::{Answered, Fault, FaultKind};

/// Which versions a precondition names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tags {
    /// `*`: any that is current.
    Any,
    /// One of these.
    OneOf(Vec<VersionId>),
}

/// What a client demands of the resource that it writes; all of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Preconditions {
    /// `If-Match`: one of these is current.
    pub if_match: Option<Tags>,
    /// `If-None-Match`: none of these is.
    pub if_none_match: Option<Tags>,
    /// `If-Unmodified-Since`: no version was made after this second.
    pub unmodified_since: Option<Instant>,
}

/// The newest version of a resource.
#[derive(Clone, Copy, Debug)]
pub struct Newest {
    /// Its number.
    pub version: VersionId,
    /// Whether it is a tombstone.
    pub deleted: bool,
    /// When it was made; `None` where no precondition asks for it.
    pub updated: Option<Instant>,
}

impl Tags {
    /// Reads the value of the header `name`, or of the member of `Bundle.entry.request` that stands for it.
    ///
    /// # Errors
    /// 400 when a tag names no version.
    pub fn parse(text: &str, name: &str) -> Answered<Self> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let versions: Result<Vec<_>, _> = text.split(',').map(VersionId::parse_etag).collect();
        versions.map(Self::OneOf).map_err(|_| {
            let text = format!("{name} must be * or name versions, such as W/\"3\"");
            Fault::new(FaultKind::Invalid, text)
        })
    }

    fn name(&self, version: VersionId) -> bool {
        matches!(self, Self::OneOf(versions) if versions.contains(&version))
    }
}

impl Preconditions {
    /// This version is current.
    pub fn at(version: VersionId) -> Self {
        Self { if_match: Some(Tags::OneOf(vec![version])), ..Self::default() }
    }

    /// There is no such resource.
    pub fn absent() -> Self {
        Self { if_none_match: Some(Tags::Any), ..Self::default() }
    }

    /// True when nothing is demanded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether they hold while there is no such resource and may hold once somebody else has made one: then they are to be
    /// asked of that, instead of refusing what the client did not forbid.
    pub fn admit_what_comes(&self) -> bool {
        self.if_match.is_none() && self.if_none_match != Some(Tags::Any)
    }

    /// Refuses when they do not hold of what is stored; `None` is a resource that never was.
    ///
    /// A tag in `If-Match` may name a tombstone, so that a deletion can be taken back; `*` means something that is there.
    /// With `If-Match` the time does not count, and what never was has none (RFC 9110 §13.1.4).
    ///
    /// # Errors
    /// 412 naming the header.
    pub fn check(&self, newest: Option<Newest>) -> Answered<()> {
        let here = newest.filter(|newest| !newest.deleted);
        if let Some(tags) = &self.if_match {
            match (tags, newest) {
                (Tags::Any, _) if here.is_some() => {}
                (Tags::Any, _) | (Tags::OneOf(_), None) => {
                    return Err(failed("the resource does not exist", IF_MATCH));
                }
                (tags, Some(newest)) if tags.name(newest.version) => {}
                (Tags::OneOf(versions), Some(Newest { version, .. })) => {
                    let expected: Vec<String> = versions.iter().map(ToString::to_string).collect();
                    let expected = expected.join(" or ");
                    let text = format!("the resource is at version {version}, not {expected}");
                    return Err(failed(&text, IF_MATCH));
                }
            }
        } else if let (Some(since), Some(newest)) = (self.unmodified_since, newest) {
            let updated = newest.updated.ok_or_else(|| {
                // It was made between two lookups: the commit would find that out, too.
                Fault::new(FaultKind::Busy, "the resource has just been changed; retry")
            })?;
            if second(updated) > second(since) {
                let text = "the resource has been changed since; read it again";
                return Err(failed(text, IF_UNMODIFIED_SINCE));
            }
        }
        match (&self.if_none_match, here) {
            (Some(Tags::Any), Some(_)) => Err(failed("the resource exists already", IF_NONE_MATCH)),
            (Some(tags), Some(Newest { version, .. })) if tags.name(version) => {
                let text = format!("the resource is at version {version}, which is excluded");
                Err(failed(&text, IF_NONE_MATCH))
            }
            _ => Ok(()),
        }
    }
}

fn failed(text: &str, header: &str) -> Fault {
    Fault::new(FaultKind::PreconditionFailed, text).in_parameter(header)
}

/// `Last-Modified` is exact to the second, and so is what clients compare with it.
fn second(time: Instant) -> i64 {
    time.micros().div_euclid(1_000_000)
}

/// Name of the header, and what [`Fault::at`] makes `ifMatch` of.
pub(crate) const IF_MATCH: &str = "If-Match";
/// Name of the header, and what [`Fault::at`] makes `ifNoneMatch` of.
pub(crate) const IF_NONE_MATCH: &str = "If-None-Match";
/// Name of the header, and what [`Fault::at`] makes `ifNoneExist` of.
pub(crate) const IF_NONE_EXIST: &str = "If-None-Exist";
/// Name of the header; entries of bundles have nothing like it.
pub(crate) const IF_UNMODIFIED_SINCE: &str = "If-Unmodified-Since";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Option<Newest> {
        let updated = Instant::parse("2026-01-01T00:00:00.9Z").ok();
        Some(Newest { version: VersionId::new(number).unwrap(), deleted: false, updated })
    }

    fn deleted(number: u64) -> Option<Newest> {
        at(number).map(|newest| Newest { deleted: true, ..newest })
    }

    fn matching(text: &str) -> Preconditions {
        let if_match = Some(Tags::parse(text, IF_MATCH).unwrap());
        Preconditions { if_match, ..Preconditions::default() }
    }

    fn excluding(text: &str) -> Preconditions {
        let if_none_match = Some(Tags::parse(text, IF_NONE_MATCH).unwrap());
        Preconditions { if_none_match, ..Preconditions::default() }
    }

    fn since(text: &str) -> Preconditions {
        let unmodified_since = Some(Instant::parse(text).unwrap());
        Preconditions { unmodified_since, ..Preconditions::default() }
    }

    #[track_caller]
    fn refuses(preconditions: &Preconditions, newest: Option<Newest>, header: &str) {
        let fault = preconditions.check(newest).unwrap_err();
        assert_eq!(fault.status(), 412);
        let place = format!("http.{header}");
        assert_eq!(fault.issues[0].expression.as_deref(), Some(&*place));
    }

    #[test]
    fn tags_are_weak_strong_or_bare_alone_or_in_a_list() {
        for text in ["W/\"3\"", "\"3\"", "3", " W/\"2\" , \"3\"", "3,4"] {
            matching(text).check(at(3)).unwrap();
            refuses(&matching(text), at(5), IF_MATCH);
            refuses(&excluding(text), at(3), IF_NONE_MATCH);
            excluding(text).check(at(5)).unwrap();
        }
        for bad in ["", "x", "W/3", "3,", "*,3"] {
            assert_eq!(Tags::parse(bad, IF_MATCH).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn any_is_what_is_there_and_neither_absent_nor_deleted() {
        matching("*").check(at(9)).unwrap();
        refuses(&excluding("*"), at(9), IF_NONE_MATCH);
        for gone in [None, deleted(2)] {
            refuses(&matching("*"), gone, IF_MATCH);
            excluding("*").check(gone).unwrap();
        }
        matching("2").check(deleted(2)).unwrap();
        excluding("2").check(deleted(2)).unwrap();
        refuses(&matching("2"), None, IF_MATCH);
    }

    #[test]
    fn the_time_is_exact_to_the_second_and_does_not_count_beside_if_match() {
        let (before, same) = (since("2025-12-31T23:59:59Z"), since("2026-01-01T00:00:00Z"));

        refuses(&before, at(1), IF_UNMODIFIED_SINCE);
        refuses(&before, deleted(2), IF_UNMODIFIED_SINCE);
        same.check(at(1)).unwrap();
        before.check(None).unwrap();
        Preconditions { if_match: Some(Tags::Any), ..before }.check(at(1)).unwrap();
    }

    #[test]
    fn only_tags_can_forbid_what_somebody_else_makes_meanwhile() {
        for open in [Preconditions::default(), since("2000-01-01T00:00:00Z"), excluding("7")] {
            open.check(None).unwrap();
            assert!(open.admit_what_comes(), "{open:?}");
        }
        for closed in [matching("*"), matching("1"), excluding("*")] {
            assert!(!closed.admit_what_comes(), "{closed:?}");
        }
    }

    #[test]
    fn each_of_several_must_hold() {
        let both = Preconditions { if_none_match: excluding("3").if_none_match, ..matching("*") };

        both.check(at(2)).unwrap();
        refuses(&both, at(3), IF_NONE_MATCH);
        refuses(&both, None, IF_MATCH);
    }
}
