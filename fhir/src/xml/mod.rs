//! FHIR's XML: to JSON on the way in, from JSON on the way out.
//!
//! Spec: FHIR R4 xml.html and json.html, XML 1.0 (fifth edition), Namespaces in XML 1.0. Driven by the element table.
//! XML that comes in becomes JSON text, which then passes the strict reader like any other: what is stored and sealed
//! is that JSON. XML that leaves is a rendering of stored JSON. Neither direction recurses deeper than a limit, no
//! entity but the five of XML is known, a document type is refused.
//! Not here: which of the two a client wants (`gateway::http::negotiate`).

mod events;
mod frame;
mod namespace;
mod narrative;
mod output;
mod place;
mod reader;
mod rule;
mod text;
mod writer;

#[cfg(test)]
mod reader_tests;
#[cfg(test)]
mod writer_tests;

pub(crate) use narrative::html_character;
pub use place::{lines_in_xml, place_in_xml};
pub use reader::xml_to_json;
pub use writer::{NotXml, XmlForm, json_to_xml};

/// Namespace of all elements of resources.
const FHIR: &str = "http://hl7.org/fhir";
/// Namespace of narratives.
const XHTML: &str = "http://www.w3.org/1999/xhtml";
/// Deepest nesting of elements: that of the JSON which the strict reader takes, and its primitives.
const ELEMENTS_DEEP_MAX: usize = crate::DEPTH_MAX + 1;
/// Deepest nesting within a narrative.
const NARRATIVE_DEEP_MAX: usize = 128;
/// Attributes that one tag may have.
const ATTRIBUTES_MAX: usize = 64;
/// Namespace declarations that may be in force at one place.
const DECLARATIONS_MAX: usize = 64;
