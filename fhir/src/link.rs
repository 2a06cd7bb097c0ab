//! Links of a resource that a transaction rewrites: references, elements of type uri, url, oid and uuid, and the
//! addresses of links and images in the narrative.
//!
//! Spec: FHIR R4 http.html section 3.1.0.11.2. Elements of type canonical are no links, nor is what stands in the
//! entries of a bundle within the resource: those links are that bundle's own.
//! Not here: what a link will name.

use std::ops::Range;

use crate::element_table::{ElementTable, TypeId, TypeRef, element_table};
use crate::primitive::Primitive;
use crate::{Kind, Node, ResourceType};

/// One string of a resource that holds a link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LinkAt {
    /// Bytes of the JSON string in the document, quotes included.
    pub span: Range<usize>,
    /// The string with escapes resolved.
    pub text: String,
    /// Where it stands.
    pub place: LinkPlace,
}

/// Where a link stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LinkPlace {
    /// `Reference.reference`: the whole text.
    Reference,
    /// An element of type uri, url, oid or uuid: the whole text.
    Uri,
    /// Narrative: these parts of the text are addresses of `<a href>` and `<img src>`.
    Narrative(Vec<Range<usize>>),
}

/// All links of a resource that the reader has accepted, in document order, those in contained resources included.
#[must_use]
pub fn links(resource: Node<'_>) -> Vec<LinkAt> {
    let mut walk = Walk { table: element_table(), found: Vec::new() };
    walk.resource(resource);
    walk.found
}

/// Recursion is bounded by the depth of the document, which the parser has limited.
struct Walk {
    table: &'static ElementTable,
    found: Vec<LinkAt>,
}

impl Walk {
    fn resource(&mut self, node: Node<'_>) {
        let name = node.get("resourceType").and_then(Node::as_str);
        if let Some(of) = name.and_then(|name| ResourceType::parse(&name)) {
            self.object(node, self.table.of_resource(of), of == ResourceType::BUNDLE);
        }
    }

    fn object(&mut self, node: Node<'_>, id: TypeId, is_bundle: bool) {
        let of = self.table.type_def(id);
        for member in node.children() {
            let key = member.key().unwrap_or_default();
            if is_bundle && key == "entry" {
                continue;
            }
            if let Some(name) = key.strip_prefix('_') {
                if of.find(name).is_some() {
                    let items = member.items().filter(|item| item.kind() == Kind::Object);
                    items.for_each(|item| self.object(item, self.table.element, false));
                }
                continue;
            }
            let Some(property) = of.find(key) else { continue };
            for item in member.items() {
                match property.of {
                    TypeRef::Primitive(primitive) => self.primitive(item, key, primitive),
                    TypeRef::Object(id) => self.object(item, id, false),
                    TypeRef::Resource => self.resource(item),
                }
            }
        }
    }

    fn primitive(&mut self, node: Node<'_>, key: &str, primitive: Primitive) {
        let place = match primitive {
            Primitive::Uri | Primitive::Url | Primitive::Oid | Primitive::Uuid => LinkPlace::Uri,
            Primitive::String if key == "reference" => LinkPlace::Reference,
            Primitive::Xhtml => LinkPlace::Narrative(Vec::new()),
            _ => return,
        };
        let Some(text) = node.as_str() else { return };
        let place = match place {
            LinkPlace::Narrative(_) => match addresses(&text) {
                parts if parts.is_empty() => return,
                parts => LinkPlace::Narrative(parts),
            },
            whole => whole,
        };
        self.found.push(LinkAt { span: node.span(), text: text.into_owned(), place });
    }
}

/// Values of `href` of `<a>` and of `src` of `<img>`, without their quotes.
fn addresses(xhtml: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(open) = xhtml[from..].find('<').map(|at| from + at + 1) {
        let tag = &xhtml[open..];
        let wanted = match tag.find(|c: char| !c.is_ascii_alphanumeric()).map(|end| &tag[..end]) {
            Some("a") => "href",
            Some("img") => "src",
            _ => "",
        };
        from = open
            + attributes(tag, |name, value| {
                if name == wanted {
                    found.push(open + value.start..open + value.end);
                }
            });
    }
    found
}

/// Calls `each` for the attributes of a tag that starts after its `<`; gives the length of the tag.
fn attributes(tag: &str, mut each: impl FnMut(&str, Range<usize>)) -> usize {
    let mut from = 0;
    loop {
        let rest = &tag[from..];
        let Some(stop) = rest.find(['"', '\'', '>']) else { return tag.len() };
        if rest.as_bytes()[stop] == b'>' {
            return from + stop;
        }
        let quote = &rest[stop..=stop];
        let start = from + stop + 1;
        let Some(end) = tag[start..].find(quote).map(|length| start + length) else {
            return tag.len();
        };
        let name = rest[..stop].trim_end().trim_end_matches('=').trim_end();
        let name = name.rsplit(char::is_whitespace).next().unwrap_or_default();
        each(name, start..end);
        from = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;

    fn texts(json: &str) -> Vec<(String, &'static str)> {
        let tree = Tree::parse(json.into()).unwrap();
        let name = |place: &LinkPlace| match place {
            LinkPlace::Reference => "reference",
            LinkPlace::Uri => "uri",
            LinkPlace::Narrative(_) => "narrative",
        };
        links(tree.root()).into_iter().map(|link| (link.text, name(&link.place))).collect()
    }

    #[test]
    fn references_and_uris_are_links_and_canonicals_strings_and_ids_are_not() {
        let json = r#"{"resourceType":"DocumentReference","id":"urn-like","status":"current",
            "masterIdentifier":{"system":"urn:s","value":"urn:value"},
            "meta":{"profile":["http://canonical"]},
            "content":[{"attachment":{"url":"urn:uuid:1","title":"urn:title"}}],
            "subject":{"reference":"urn:uuid:2","display":"x"},
            "extension":[{"url":"http://e","valueUuid":"urn:uuid:3"},{"url":"http://c","valueCanonical":"urn:uuid:4"}],
            "_status":{"extension":[{"url":"http://b","valueReference":{"reference":"urn:uuid:5"}}]},
            "contained":[{"resourceType":"Patient","managingOrganization":{"reference":"urn:uuid:6"}}]}"#;

        let found = texts(json);

        let references: Vec<_> = found.iter().filter(|(_, kind)| *kind == "reference").collect();
        assert_eq!(references.len(), 3, "{found:?}");
        for uri in ["urn:s", "urn:uuid:1", "urn:uuid:3"] {
            assert!(found.contains(&(uri.to_owned(), "uri")), "{uri}");
        }
        for other in ["urn:value", "http://canonical", "urn:title", "urn:uuid:4", "urn-like"] {
            assert!(found.iter().all(|(text, _)| text != other), "{other}");
        }
    }

    #[test]
    fn entries_of_a_bundle_within_are_left_alone() {
        let json = r#"{"resourceType":"Bundle","type":"document","identifier":{"system":"urn:x"},
            "entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Basic","subject":{"reference":"urn:uuid:2"}}}]}"#;

        assert_eq!(texts(json), [("urn:x".to_owned(), "uri")]);
    }

    #[test]
    fn addresses_of_links_and_images_are_found_in_narrative() {
        let xhtml = r#"<div title="href='no'"><a class="x" href="urn:1">a > b</a><a name='n' href = 'urn:2'/><img
            src="urn:3" alt="src"/><abbr href="urn:no"/>href="urn:no"</div>"#;

        let found: Vec<&str> = addresses(xhtml).into_iter().map(|part| &xhtml[part]).collect();

        assert_eq!(found, ["urn:1", "urn:2", "urn:3"]);
    }

    #[test]
    fn narrative_that_breaks_off_is_no_panic() {
        for cut in
            ["<", "<a", "<a href", "<a href=", "<a href=\"", "<a href=\"x", "<ä href='ß'", "a<b"]
        {
            let _ = addresses(cut);
        }
    }
}
