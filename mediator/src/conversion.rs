//! What a conversion gives: drafts of resources, the account of every input atom, warnings.
//!
//! A [`Draft`] is what one message asserts about one resource; [`crate::merge`] joins it with the stored version.
//! Not here: how drafts are made (`hl7v2::pass`), what the store does with them (`gateway`).

use std::{borrow::Cow, sync::Arc};

use fhir::{Node, Tree};

use crate::{
    event_time::EventTime,
    hl7v2::{
        message::place_of,
        tokenizer::{Atom, Segment},
    },
    json::write_text,
    place::Place,
    warning::Warning,
};

/// The result of converting one message.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// What the message asserts, in reference order (Patient first, Provenance last). At most one per resource.
    pub drafts: Vec<Draft>,
    /// What became of every atom of the input.
    pub account: Account,
    /// What was odd but did not stop the conversion.
    pub warnings: Vec<Warning>,
    /// Name of the rule set that was used: SHA-256 of its canonical text, lower-case hexadecimal.
    pub rule_set: Arc<str>,
    /// When the event happened by the sender's clock, and the field that says so.
    pub event_time: Option<(EventTime, Place)>,
    /// Message code and trigger event, `ADT^A01`.
    pub message_type: String,
}

impl Conversion {
    /// A transaction Bundle of the drafts as they stand, for a store that holds none of the resources yet.
    ///
    /// With stored versions, merge each draft first and give the results to [`transaction`].
    pub fn bundle(&self) -> Vec<u8> {
        transaction(self.drafts.iter().map(|d| (d.resource_type, d.id.as_str(), d.body.as_slice())))
    }
}

/// A transaction Bundle that puts each `(type, id, resource)`.
pub fn transaction<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str, &'a [u8])>) -> Vec<u8> {
    let mut out = br#"{"resourceType":"Bundle","type":"transaction","entry":["#.to_vec();
    for (n, (kind, id, body)) in entries.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"fullUrl\":\"urn:uuid:");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"\",\"resource\":");
        out.extend_from_slice(body);
        out.extend_from_slice(b",\"request\":{\"method\":\"PUT\",\"url\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'/');
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"\"}}");
    }
    out.extend_from_slice(b"]}");
    out
}

/// What one message asserts about one resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Draft {
    /// The resource's type.
    pub resource_type: &'static str,
    /// The resource's stable id (a UUID).
    pub id: String,
    /// A complete resource as JSON: what a store without an earlier version would hold.
    pub body: Vec<u8>,
    /// How each element of `body` joins a stored version.
    pub write: Arc<WriteMode>,
    /// Elements that the message deletes (`""`), as `element` or `element.member`.
    pub deletes: Vec<String>,
    /// When it happened by the sender's clock; guards against stale messages.
    pub event_time: Option<EventTime>,
}

impl Draft {
    /// The draft without `Provenance.target`s that the message had no say in; `None` when none is left.
    pub fn without_targets(&self, references: &[String]) -> Option<Cow<'_, Self>> {
        if self.resource_type != "Provenance" || references.is_empty() {
            return Some(Cow::Borrowed(self));
        }
        let tree = Tree::parse(self.body.clone()).ok()?;
        let is_kept = |target: &Node<'_>| {
            let reference = target.get("reference").and_then(Node::as_str);
            !reference.is_some_and(|reference| references.iter().any(|r| *r == *reference))
        };
        let targets = tree.root().get("target").into_iter().flat_map(Node::items).filter(is_kept);
        let targets: Vec<&[u8]> = targets.map(Node::raw).collect();
        if targets.is_empty() {
            return None;
        }
        let targets = [b"[".as_slice(), &targets.join(&b","[..]), b"]"].concat();
        let mut body = b"{".to_vec();
        for (n, member) in tree.root().children().enumerate() {
            let key = member.key()?;
            if n > 0 {
                body.push(b',');
            }
            write_text(key, &mut body);
            body.push(b':');
            body.extend_from_slice(if key == "target" { &targets } else { member.raw() });
        }
        body.push(b'}');
        Some(Cow::Owned(Self { body, ..self.clone() }))
    }
}

/// How a draft's elements join the stored version.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WriteMode {
    /// For elements not listed.
    pub default: FieldMode,
    /// Exceptions by top-level element name.
    pub fields: Vec<(String, FieldMode)>,
}

impl WriteMode {
    /// The mode of one top-level element.
    pub fn of(&self, element: &str) -> FieldMode {
        self.fields.iter().find(|(name, _)| name == element).map_or(self.default, |(_, mode)| *mode)
    }
}

/// How one element joins the stored version.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FieldMode {
    /// Present replaces; guarded by event time.
    #[default]
    Replace,
    /// Written only when the stored version has none; never stale.
    Fill,
    /// Array elements that the stored array lacks are added (identifiers by system and value); never stale.
    Union,
    /// Members of an object replace one by one; guarded by event time.
    Members,
    /// Encounter.location: a new active location completes the earlier one; guarded by event time.
    LocationHistory,
    /// The draft is the whole resource (`default` only): what it does not assert is removed; guarded by event time.
    Whole,
    /// Not written.
    Ignore,
}

impl FieldMode {
    /// The mode named in a rule file.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "replace" => Self::Replace,
            "fill" => Self::Fill,
            "union" => Self::Union,
            "members" => Self::Members,
            "location-history" => Self::LocationHistory,
            "whole" => Self::Whole,
            "ignore" => Self::Ignore,
            _ => return None,
        })
    }

    /// True when an older message must not write it.
    pub fn is_guarded(self) -> bool {
        matches!(self, Self::Replace | Self::Members | Self::LocationHistory | Self::Whole)
    }
}

/// What became of one atom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate<'a> {
    /// A rule put it into a resource; the rule's id.
    Mapped(&'a str),
    /// A rule leaves it out on purpose; the rule's id.
    Ignored(&'a str),
    /// No rule speaks of it.
    LeftOver,
}

/// What became of every non-empty atom of a message.
#[derive(Clone, Debug)]
pub struct Account {
    pub(crate) segments: Vec<Segment>,
    pub(crate) atoms: Vec<Atom>,
    pub(crate) marks: Vec<u16>,
    pub(crate) names: Arc<RuleNames>,
}

/// Names behind the marks of an account; index 0 is unused.
#[derive(Debug, Default)]
pub(crate) struct RuleNames {
    pub(crate) rules: Vec<(Box<str>, bool)>,
}

/// Totals of an account.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Atoms put into resources.
    pub mapped: usize,
    /// Atoms left out by a named rule.
    pub ignored: usize,
    /// Atoms that no rule speaks of.
    pub left_over: usize,
}

impl Account {
    /// Every atom with its place and fate, in message order.
    pub fn atoms(&self) -> impl Iterator<Item = (Place, Fate<'_>)> {
        self.atoms
            .iter()
            .zip(&self.marks)
            .map(|(atom, mark)| (place_of(&self.segments, atom), self.fate(*mark)))
    }

    /// How many atoms ended how.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for mark in &self.marks {
            match self.fate(*mark) {
                Fate::Mapped(_) => totals.mapped += 1,
                Fate::Ignored(_) => totals.ignored += 1,
                Fate::LeftOver => totals.left_over += 1,
            }
        }
        totals
    }

    fn fate(&self, mark: u16) -> Fate<'_> {
        match self.names.rules.get(usize::from(mark)) {
            Some((name, ignores)) if mark != 0 => {
                if *ignores {
                    Fate::Ignored(name)
                } else {
                    Fate::Mapped(name)
                }
            }
            _ => Fate::LeftOver,
        }
    }
}
