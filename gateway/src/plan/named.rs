//! Which references of a resource are its own, and which of them name nothing.
//!
//! Spec: FHIR R4 bundle.html#references (URNs), http.html section 3.1.0.11.3 (conditional references). What names nothing
//! is refused at its place: stored, it would do so for ever.
//! Not here: what a reference leads to (`super`, `snapshot`), how it is rewritten (`prepare`).

use std::collections::HashSet;
use std::ops::Range;

use fhir::{LinkAt, LinkPlace, Node, ResourceType, links, reference_location, references};

use crate::error::{Answered, Fault, FaultKind};

/// Whether it is a URN of the two namespaces, whose names are the same in upper case (RFC 8141 §3.1).
pub(super) fn is_urn(reference: &str) -> bool {
    ["urn:uuid:", "urn:oid:"].iter().any(|prefix| {
        reference.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    })
}

/// A URN that no entry is named by: stored, it would name nothing for ever (FHIR R4 bundle.html#references).
pub(super) fn unnamed(node: Node<'_>, span: &Range<usize>) -> Fault {
    let text = "no entry of the transaction that stores a resource has this URN as its fullUrl; \
                name an entry by its fullUrl, or a stored resource by type and id";
    at_reference(Fault::new(FaultKind::Invalid, text), node, span)
}

/// Whether it is a conditional reference that asks for nothing: `Organization?`.
pub(super) fn is_without_criteria(reference: &str) -> bool {
    let name = reference.strip_suffix('?');
    name.is_some_and(|name| ResourceType::parse(name).is_some())
}

/// Refuses what a patch has made of a resource where it brings a conditional reference, which nothing looks up there.
///
/// # Errors
/// 400 at the reference.
pub(crate) fn expect_named(patched: Node<'_>, stored: Node<'_>) -> Answered<()> {
    let had: HashSet<String> = named(stored).into_iter().map(|link| link.text).collect();
    let is_conditional = |text: &str| {
        text.split_once('?').is_some_and(|(name, _)| ResourceType::parse(name).is_some())
    };
    let mut found = named(patched).into_iter();
    let wrong = found.find(|link| is_conditional(&link.text) && !had.contains(&link.text));
    let Some(wrong) = wrong else { return Ok(()) };
    let text = "a patch does not look up a conditional reference: name the resource by type and id";
    Err(at_reference(Fault::new(FaultKind::Invalid, text), patched, &wrong.span))
}

/// The references of a resource, without those in the entries of a stored Bundle: they are not its own.
pub(super) fn named(node: Node<'_>) -> Vec<LinkAt> {
    let is_bundle = node.get("resourceType").and_then(Node::as_str).as_deref() == Some("Bundle");
    if is_bundle {
        let mut found = links(node);
        found.retain(|link| link.place == LinkPlace::Reference);
        return found;
    }
    references(node).into_iter().map(whole).collect()
}

/// Stored, it would name nothing for ever (FHIR R4 http.html section 3.1.0.11.3).
pub(super) fn without_criteria(node: Node<'_>, span: &Range<usize>) -> Fault {
    let text =
        "a conditional reference needs criteria, such as Organization?identifier=system|value";
    at_reference(Fault::new(FaultKind::Invalid, text), node, span)
}

fn at_reference(fault: Fault, node: Node<'_>, span: &Range<usize>) -> Fault {
    match reference_location(node, span) {
        Some(place) => fault.placed(&place),
        None => fault,
    }
}

fn whole(found: fhir::ReferenceAt) -> LinkAt {
    LinkAt { span: found.span, text: found.text, place: LinkPlace::Reference }
}
