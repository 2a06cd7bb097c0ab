//! What XHTML a narrative may hold.
//!
//! Spec: FHIR R4 narrative.html: rules txt-1 (elements and attributes) and txt-2 (some content), `htmlChecks()`.
//! A single pass over the tags; whether it is one well-formed `div` the strict reader has checked.

/// What is wrong with a narrative.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NarrativeFault {
    /// An element that is not of the allowed ones (scripts, forms, frames, …), by its name, cut short.
    #[error("the element <{0}> is not allowed")]
    Element(String),
    /// An attribute that is not allowed (events, …), of which element.
    #[error(
        "the element <{0}> has an attribute that is not allowed, or one without a quoted value"
    )]
    Attribute(String),
    /// Tags that are not closed in order.
    #[error("the tags are not closed in order")]
    Tags,
    /// Neither text nor an image.
    #[error("there is neither text nor an image")]
    Empty,
}

/// What is wrong with the text of a `div`; `None` when nothing is.
#[must_use]
pub fn narrative_fault(div: &str) -> Option<NarrativeFault> {
    let mut rest = div;
    let mut open: Vec<&str> = Vec::new();
    let mut has_content = false;
    while let Some(at) = rest.find('<') {
        has_content |= !open.is_empty() && is_content(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("<!--") {
            let Some(end) = after.find("-->") else { return Some(NarrativeFault::Tags) };
            rest = &after[end + 3..];
            continue;
        }
        if rest.starts_with("<?") || rest.starts_with("<![CDATA[") {
            let Some(end) = rest.find('>') else { return Some(NarrativeFault::Tags) };
            rest = &rest[end + 1..];
            continue;
        }
        let Some(end) = tag_end(rest) else { return Some(NarrativeFault::Tags) };
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name.trim_end()) {
                return Some(NarrativeFault::Tags);
            }
            continue;
        }
        let closed = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let name = tag.split(|c: char| c.is_whitespace()).next().unwrap_or_default();
        if !ELEMENTS.contains(&name) {
            return Some(NarrativeFault::Element(brief(name)));
        }
        if has_attribute_fault(name, &tag[name.len()..]) {
            return Some(NarrativeFault::Attribute(brief(name)));
        }
        has_content |= name == "img";
        if !closed {
            open.push(name);
        }
        if open.len() > DEPTH_MAX {
            return Some(NarrativeFault::Tags);
        }
    }
    if !open.is_empty() {
        return Some(NarrativeFault::Tags);
    }
    (!has_content).then_some(NarrativeFault::Empty)
}

fn is_content(text: &str) -> bool {
    text.chars().any(|c| !c.is_whitespace())
}

/// The `>` that ends a tag, not one within quotes.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// A name for a message.
fn brief(name: &str) -> String {
    name.chars().filter(char::is_ascii_graphic).take(NAME_CHARS_MAX).collect()
}

fn has_attribute_fault(element: &str, text: &str) -> bool {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else { return true };
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
        let Some(quote) = quote else { return true };
        let Some(end) = after[1..].find(quote) else { return true };
        let name = name.trim_end();
        let of_element = OF_ELEMENT.iter().any(|(of, known)| *of == element && *known == name);
        if !ATTRIBUTES.contains(&name) && !of_element && !name.starts_with("xmlns") {
            return true;
        }
        rest = after[1 + end + 1..].trim_start();
    }
    false
}

/// Elements of chapters 7–11 (but 4) and 15 of HTML 4.0, and `a` and `img`, as txt-1 lists them.
const ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "address",
    "b",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "kbd",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "ul",
    "var",
    "u",
    "s",
    "strike",
    "del",
    "ins",
    "map",
    "area",
    "bdo",
    "center",
    "font",
    "style",
];
const ATTRIBUTES: &[&str] = &[
    "title",
    "style",
    "class",
    "id",
    "lang",
    "xml:lang",
    "dir",
    "accesskey",
    "tabindex",
    "align",
    "valign",
    "width",
    "height",
    "border",
    "cellpadding",
    "cellspacing",
    "bgcolor",
    "char",
    "charoff",
    "span",
    "abbr",
    "axis",
    "headers",
    "scope",
    "rowspan",
    "colspan",
    "summary",
    "frame",
    "rules",
    "nowrap",
    "clear",
    "color",
    "face",
    "size",
    "data-fhir",
    "xml:space",
    "xml:base",
];
const OF_ELEMENT: &[(&str, &str)] = &[
    ("a", "href"),
    ("a", "name"),
    ("a", "charset"),
    ("a", "type"),
    ("a", "hreflang"),
    ("a", "rel"),
    ("a", "rev"),
    ("a", "target"),
    ("a", "shape"),
    ("a", "coords"),
    ("img", "src"),
    ("img", "alt"),
    ("img", "longdesc"),
    ("img", "name"),
    ("img", "usemap"),
    ("img", "ismap"),
    ("img", "hspace"),
    ("img", "vspace"),
    ("blockquote", "cite"),
    ("q", "cite"),
    ("map", "name"),
    ("area", "href"),
    ("area", "alt"),
    ("area", "shape"),
    ("area", "coords"),
    ("ol", "start"),
    ("ol", "type"),
    ("ul", "type"),
    ("li", "value"),
    ("li", "type"),
];
/// Longest name of an element in a message.
const NAME_CHARS_MAX: usize = 24;
/// Deepest nesting of tags.
const DEPTH_MAX: usize = 256;
