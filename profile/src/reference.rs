//! Which type a reference leads to, as far as its text or the document says it.
//!
//! Spec: FHIR R4 references.html (literal, contained, logical), bundle.html#references.

use fhir::{Node, ResourceType, type_of};

use crate::walk::Place;

/// What a reference leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'t> {
    /// A resource within the document.
    Here(Node<'t>),
    /// One of that type, elsewhere.
    Elsewhere(ResourceType),
    /// `#id` without such a contained resource.
    Missing,
    /// Nothing can be said.
    Unknown,
}

impl Target<'_> {
    /// The type, when it is known.
    pub(crate) fn resource_type(self) -> Option<ResourceType> {
        match self {
            Self::Here(node) => type_of(node),
            Self::Elsewhere(of) => Some(of),
            _ => None,
        }
    }
}

/// Where a Reference leads, from a resource that lies in a container (or is it).
pub(crate) fn target<'r, 'a: 'r>(reference: Node<'r>, place: &Place<'a>) -> Target<'r> {
    let said = reference.get("type").and_then(Node::as_str);
    let said = said.and_then(|name| ResourceType::parse(&name));
    let Some(text) = reference.get("reference").and_then(Node::as_str) else {
        return said.map_or(Target::Unknown, Target::Elsewhere);
    };
    if let Some(id) = text.strip_prefix('#') {
        let Some(node) = place.container.value() else { return Target::Unknown };
        if id.is_empty() {
            return Target::Here(node);
        }
        return place.contained(id).map_or(Target::Missing, Target::Here);
    }
    if let Some(node) = in_bundle(&text, reference) {
        return Target::Here(node);
    }
    match literal_type(&text).or(said) {
        Some(of) => Target::Elsewhere(of),
        None => Target::Unknown,
    }
}

fn in_bundle<'t>(text: &str, reference: Node<'t>) -> Option<Node<'t>> {
    let document = reference.tree().root();
    if type_of(document) != Some(ResourceType::BUNDLE) {
        return None;
    }
    let entries = document.get("entry").into_iter().flat_map(Node::children).take(ENTRIES_MAX);
    for entry in entries {
        let Some(url) = entry.get("fullUrl").and_then(Node::as_str) else { continue };
        let is_it = *url == *text
            || (!text.contains(':')
                && url.strip_suffix(text).is_some_and(|base| base.ends_with('/')));
        if is_it {
            return entry.get("resource");
        }
    }
    None
}

/// The type in `Patient/1`, `http://x/fhir/Patient/1` and `…/_history/2`.
pub(crate) fn literal_type(text: &str) -> Option<ResourceType> {
    let path = text.split_once("/_history/").map_or(text, |(path, _)| path);
    let mut parts = path.rsplit('/');
    parts.next().filter(|id| !id.is_empty())?;
    ResourceType::parse(parts.next()?)
}

/// Entries of a bundle that are searched for one reference.
const ENTRIES_MAX: usize = 2_000;
