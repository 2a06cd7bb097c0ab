//! References between resources: their grammar, and where they stand in a resource.
//!
//! Spec: FHIR R4 references.html. Literal references are relative (`Patient/1`), absolute (`https://…/Patient/1`),
//! `urn:uuid:` or `urn:oid:`, to a contained resource (`#x`), or conditional (`Patient?identifier=…`, in transactions only).
//! Not here: resolving them.

use std::ops::Range;

use crate::location::location;
use crate::{Kind, Node, ResourceId, ResourceKey, ResourceType, VersionId, below_base};

/// Where a resource holds a literal reference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReferenceAt {
    /// Bytes of the JSON string in the document, quotes included.
    pub span: Range<usize>,
    /// The reference with escapes resolved.
    pub text: String,
}

/// All `Reference.reference` values below the node in document order, those in contained resources included.
#[must_use]
pub fn references(node: Node<'_>) -> Vec<ReferenceAt> {
    let tree = node.tree();
    let end = node.slot().skip;
    let mut found = Vec::new();
    for place in node.place..end {
        let member = Node { tree, place };
        if member.kind() == Kind::String && member.key() == Some("reference") {
            let text = member.as_str().map(|text| text.into_owned()).unwrap_or_default();
            found.push(ReferenceAt { span: member.span(), text });
        }
    }
    found
}

/// Where in its document a string below the node stands, such as one of [`references`], as FHIRPath.
#[must_use]
pub fn reference_location(node: Node<'_>, span: &Range<usize>) -> Option<String> {
    let tree = node.tree();
    let mut members = (node.place..node.slot().skip).map(|place| Node { tree, place });
    members.find(|member| member.span() == *span).map(location)
}

/// What a literal reference names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ParsedReference {
    /// A resource of this server, perhaps a certain version: relative, or absolute under our base.
    Local {
        /// Which resource.
        key: ResourceKey,
        /// Which version; `None` for whatever is current.
        version: Option<VersionId>,
    },
    /// A resource elsewhere, by its URL without the version.
    Absolute {
        /// The whole URL as written.
        url: String,
        /// Type and id where the URL ends like one of a FHIR server.
        key: Option<ResourceKey>,
    },
    /// `urn:uuid:…` or `urn:oid:…`.
    Urn(String),
    /// `#id`: a contained resource; empty for the container itself.
    Contained(String),
    /// `Type?query`: whatever one resource matches; only in transactions.
    Conditional {
        /// Type of the resource wanted.
        resource_type: ResourceType,
        /// The query after the question mark, as written.
        query: String,
    },
    /// None of these forms.
    Malformed,
}

impl ParsedReference {
    /// Takes a reference apart; `bases` are our own (see [`below_base`]).
    #[must_use]
    pub fn parse(text: &str, bases: &str) -> Self {
        if let Some(id) = text.strip_prefix('#') {
            return Self::Contained(id.to_owned());
        }
        if text.starts_with("urn:uuid:") || text.starts_with("urn:oid:") {
            return Self::Urn(text.to_owned());
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Self::parse_absolute(text, bases);
        }
        if let Some((name, query)) = text.split_once('?') {
            return match ResourceType::parse(name) {
                Some(resource_type) if !query.is_empty() => {
                    Self::Conditional { resource_type, query: query.to_owned() }
                }
                _ => Self::Malformed,
            };
        }
        Self::parse_local(text).unwrap_or(Self::Malformed)
    }

    fn parse_absolute(text: &str, bases: &str) -> Self {
        if let Some(local) = below_base(text, bases).and_then(Self::parse_local) {
            return local;
        }
        let path = text.split_once("/_history/").map_or(text, |(path, _)| path);
        let mut steps = path.rsplitn(3, '/');
        let (id, name) = (steps.next(), steps.next());
        let key = match (name.and_then(ResourceType::parse), id.map(ResourceId::parse)) {
            (Some(resource_type), Some(Ok(id))) => Some(ResourceKey { resource_type, id }),
            _ => None,
        };
        Self::Absolute { url: text.to_owned(), key }
    }

    fn parse_local(text: &str) -> Option<Self> {
        let (key, version) = match text.split_once("/_history/") {
            Some((key, version)) => (key, Some(VersionId::parse(version).ok()?)),
            None => (text, None),
        };
        Some(Self::Local { key: ResourceKey::parse(key).ok()?, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;

    const BASE: &str = "https://our.example/fhir";

    fn local(text: &str, version: Option<u64>) -> ParsedReference {
        let version = version.and_then(VersionId::new);
        ParsedReference::Local { key: ResourceKey::parse(text).unwrap(), version }
    }

    #[test]
    fn relative_and_own_absolute_references_are_local() {
        for text in ["Patient/1", "https://our.example/fhir/Patient/1"] {
            assert_eq!(ParsedReference::parse(text, BASE), local("Patient/1", None));
        }
        let both = format!("{BASE} {BASE}/R4");
        for text in ["https://our.example/fhir/Patient/1", "https://our.example/fhir/R4/Patient/1"]
        {
            assert_eq!(ParsedReference::parse(text, &both), local("Patient/1", None));
        }
        let versioned = ParsedReference::parse("Patient/1/_history/4", "https://our.example/fhir/");
        assert_eq!(versioned, local("Patient/1", Some(4)));
    }

    #[test]
    fn foreign_references_keep_their_url() {
        let text = "https://other.example/fhir/Patient/1/_history/2";
        let ParsedReference::Absolute { url, key } = ParsedReference::parse(text, BASE) else {
            panic!("absolute")
        };
        assert_eq!(url, text);
        assert_eq!(key, ResourceKey::parse("Patient/1").ok());
        let near = ParsedReference::parse("https://our.example/fhirX/Patient/1", BASE);
        assert!(matches!(near, ParsedReference::Absolute { .. }));
    }

    #[test]
    fn urns_fragments_and_queries_are_told_apart() {
        let parse = |text| ParsedReference::parse(text, BASE);
        assert_eq!(parse("urn:uuid:x"), ParsedReference::Urn("urn:uuid:x".into()));
        assert_eq!(parse("#p"), ParsedReference::Contained("p".into()));
        assert_eq!(
            parse("Practitioner?identifier=a|b"),
            ParsedReference::Conditional {
                resource_type: ResourceType::PRACTITIONER,
                query: "identifier=a|b".into()
            }
        );
    }

    #[test]
    fn what_names_nothing_is_malformed() {
        for bad in [
            "",
            "Patient",
            "Patient/",
            "Foo/1",
            "Patient?",
            "Foo?a=b",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "Patient/1/2",
            "Patient/1/_history/x",
            "/Patient/1",
        ] {
            assert_eq!(ParsedReference::parse(bad, BASE), ParsedReference::Malformed, "{bad}");
        }
    }

    #[test]
    fn all_references_of_a_resource_are_found_with_their_spans() {
        let text = r#"{"a":{"reference":"Patient\/1"},"b":[{"c":{"reference":"urn:uuid:2"}}],"reference":{}}"#;
        let tree = Tree::parse(text.into()).unwrap();

        let found = references(tree.root());

        let texts: Vec<&str> = found.iter().map(|r| r.text.as_str()).collect();
        assert_eq!(texts, ["Patient/1", "urn:uuid:2"]);
        assert_eq!(&text[found[0].span.clone()], r#""Patient\/1""#);
    }
}
