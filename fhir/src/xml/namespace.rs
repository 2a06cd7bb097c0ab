//! Which namespace a name is in.
//!
//! Spec: Namespaces in XML 1.0 §3 to §6. Only the two that FHIR uses are told apart from all others.

use super::text::{Attribute, unescape};
use super::{DECLARATIONS_MAX, FHIR, XHTML};

/// What a namespace is to FHIR.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Space {
    None,
    Fhir,
    Xhtml,
    Other,
}

/// The declarations in force.
#[derive(Default)]
pub(super) struct Spaces {
    depth: usize,
    /// Depth of the element that declares it, prefix (empty for the default), namespace.
    declared: Vec<(usize, Box<str>, Space)>,
}

impl Spaces {
    /// Those of a narrative by itself, where the namespace goes without saying.
    pub(super) fn of_narrative() -> Self {
        Self { depth: 0, declared: vec![(0, "".into(), Space::Xhtml)] }
    }

    /// Goes into an element. To be followed by [`Spaces::leave`], also when it has no content.
    pub(super) fn enter(&mut self, attributes: &[Attribute<'_>]) -> Result<(), &'static str> {
        self.depth += 1;
        for attribute in attributes {
            let prefix = match attribute.name.strip_prefix("xmlns") {
                Some("") => "",
                Some(rest) => match rest.strip_prefix(':') {
                    Some(prefix) => prefix,
                    None => continue,
                },
                None => continue,
            };
            let space = match &*unescape(attribute.raw)? {
                FHIR => Space::Fhir,
                XHTML => Space::Xhtml,
                "" if prefix.is_empty() => Space::None,
                "" => return Err("takes a namespace from a prefix"),
                _ => Space::Other,
            };
            if matches!(prefix, "xml" | "xmlns") {
                return Err("gives a reserved prefix another namespace");
            }
            if self.declared.len() == DECLARATIONS_MAX {
                return Err("declares more than 64 namespaces");
            }
            self.declared.push((self.depth, prefix.into(), space));
        }
        Ok(())
    }

    /// Comes out of an element.
    pub(super) fn leave(&mut self) {
        while self.declared.last().is_some_and(|(depth, ..)| *depth == self.depth) {
            self.declared.pop();
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// Namespace and local name of an element.
    pub(super) fn of<'n>(&self, name: &'n str) -> Result<(Space, &'n str), &'static str> {
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        let found = self.declared.iter().rev().find(|(_, declared, _)| **declared == *prefix);
        match found {
            Some((_, _, space)) => Ok((*space, local)),
            None if prefix.is_empty() => Ok((Space::None, local)),
            None => Err("uses a prefix that is not declared"),
        }
    }
}
