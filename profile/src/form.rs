//! What values must be beyond their form: absolute canonicals, links within narratives, mapped codes, units.
//!
//! Spec: FHIR R4 datatypes.html#canonical, #uuid, narrative.html#linking, conceptmap.html, ucum.org §1–§2.

use std::collections::HashSet;

use fhir::{IssueType, Node};
use fhirpath::Element;

use crate::codes::Membership;
use crate::walk::Walk;

impl Walk<'_> {
    /// A primitive by what its type demands.
    pub(crate) fn form(&self, at: Element<'_>) {
        let Some(text) = at.text() else { return };
        match at.of().name() {
            Some("canonical") if !text.starts_with('#') && !has_scheme(&text) => {
                let text = "a canonical URL must be absolute, or a fragment of this document";
                self.error(at.node(), IssueType::Value, text);
            }
            Some("uri" | "url" | "uuid")
                if text.strip_prefix("urn:uuid:").is_some_and(|uuid| !is_uuid(uuid)) =>
            {
                let text = "a UUID must be 36 lower case hexadecimal digits and hyphens";
                self.error(at.node(), IssueType::Value, text);
            }
            _ => {}
        }
    }

    /// Links and images of a narrative that lead to a fragment which it does not have.
    pub(crate) fn links(&self, at: Element<'_>) {
        let Some(text) = at.text() else { return };
        let mut names: HashSet<&str> = HashSet::new();
        let mut wanted: Vec<&str> = Vec::new();
        let mut rest = &*text;
        while let Some(start) = rest.find('<') {
            let tag = &rest[start..];
            let end = tag.find('>').unwrap_or(tag.len());
            let tag = &tag[..end];
            for key in ["id", "name"] {
                names.extend(attribute(tag, key));
            }
            for key in ["href", "src"] {
                wanted.extend(attribute(tag, key).and_then(|href| href.strip_prefix('#')));
            }
            rest = &rest[start + end..];
            if names.len() + wanted.len() > LINKS_MAX {
                return;
            }
        }
        wanted.retain(|target| !target.is_empty() && !names.contains(target));
        if wanted.is_empty() {
            return;
        }
        let ids = ids(at.node());
        if wanted.iter().any(|target| !ids.contains(target)) {
            let text = "a link of the narrative leads to something that is not in the resource";
            self.error(at.node(), IssueType::NotFound, text);
        }
    }

    /// A number that is said to be a URI must be one (FHIR R4 identifier-registry.html, `urn:ietf:rfc:3986`).
    pub(crate) fn identifier(&self, at: Element<'_>) {
        let Some(node) = at.value() else { return };
        let text = |key: &str| node.get(key).and_then(Node::as_str);
        let is_uri = text("system").is_some_and(|system| system == "urn:ietf:rfc:3986");
        if is_uri && text("value").is_some_and(|value| !has_scheme(&value)) {
            let text = "the value must be a full URI, as its system says";
            self.error(node, IssueType::Value, text);
        }
    }

    /// Codes of a map that their own code systems do not have.
    pub(crate) fn mapped_codes(&self, at: Element<'_>) {
        let Some(group) = at.value() else { return };
        let text = |node: Node<'_>, key: &str| {
            node.get(key).and_then(Node::as_str).map(|t| t.into_owned())
        };
        let (source, target) = (text(group, "source"), text(group, "target"));
        let elements = group.get("element").into_iter().flat_map(Node::children);
        for element in elements {
            self.mapped_code(element, source.as_deref());
            for each in element.get("target").into_iter().flat_map(Node::children) {
                self.mapped_code(each, target.as_deref());
            }
        }
    }

    fn mapped_code(&self, node: Node<'_>, system: Option<&str>) {
        let (Some(code), Some(system)) = (node.get("code"), system) else { return };
        let text = code.as_str().unwrap_or_default();
        if self.codes.in_system(system, &text) == Membership::NotIn {
            let text = "the code is not one of the code system of the group";
            self.error(code, IssueType::CodeInvalid, text);
        }
    }
}

/// The ids of all elements of a document.
fn ids(node: Node<'_>) -> HashSet<&str> {
    let text = std::str::from_utf8(node.tree().bytes()).unwrap_or_default();
    let after_key = text.split("\"id\"").skip(1);
    let value = |rest: &'_ str| -> Option<usize> {
        let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        Some(rest.len() - value.len())
    };
    after_key
        .filter_map(|rest| Some(&rest[value(rest)?..]))
        .filter_map(|value| value.split('"').next())
        .collect()
}

/// Whether a URI begins with a scheme (RFC 3986 §3.1).
fn has_scheme(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

/// The value of an attribute of a tag.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = tag;
    while let Some(at) = rest.find(name) {
        let before = rest[..at].chars().next_back();
        let after = rest[at + name.len()..].trim_start();
        rest = &rest[at + name.len()..];
        if !before.is_some_and(char::is_whitespace) {
            continue;
        }
        let Some(value) = after.strip_prefix('=').map(str::trim_start) else { continue };
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        return value[1..].split(quote).next();
    }
    None
}

/// Links and names of one narrative that are looked at.
const LINKS_MAX: usize = 4_000;
