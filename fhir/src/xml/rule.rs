//! What an element must be like by itself, and how it is said that it is not.
//!
//! Spec: FHIR R4 xml.html and the element table. Not here: what is open around it (`reader`), the values' forms, which
//! the strict reader checks.

use super::namespace::Space;
use super::text::{Broken, position};
use crate::element_table::{Property, TypeRef};
use crate::issue::{Issue, IssueType};
use crate::json_scan::number_end;
use crate::json_text::write_json_string;
use crate::primitive::Primitive;

/// The JSON text of a primitive value. Strings are left to the strict reader, what is no JSON is refused here.
pub(super) fn scalar(primitive: Primitive, text: &str) -> Result<Vec<u8>, &'static str> {
    match primitive {
        Primitive::Boolean if matches!(text, "true" | "false") => Ok(text.into()),
        Primitive::Boolean => Err("this must be true or false"),
        Primitive::Decimal
        | Primitive::Integer
        | Primitive::PositiveInt
        | Primitive::UnsignedInt => match number_end(text.as_bytes(), 0) {
            Some(end) if end == text.len() => Ok(text.into()),
            _ => Err("this must be a number"),
        },
        _ => {
            let mut out = Vec::with_capacity(text.len() + 2);
            write_json_string(text, &mut out);
            Ok(out)
        }
    }
}

/// What keeps an element from standing where it does.
pub(super) fn misplaced(
    property: &'static Property,
    last: Option<&'static Property>,
    space: Space,
) -> Option<&'static str> {
    let is_div = property.of == TypeRef::Primitive(Primitive::Xhtml);
    let again = last.is_some_and(|last| std::ptr::eq(last, property));
    if space != (if is_div { Space::Xhtml } else { Space::Fhir }) {
        Some(if is_div { NOT_XHTML } else { NOT_FHIR })
    } else if is_attribute(property) {
        Some("in XML this is an attribute")
    } else if last.is_some_and(|last| last.slot > property.slot) {
        Some("the elements stand in another order than the standard's")
    } else if again && !property.is_list {
        Some("this must not occur more than once")
    } else {
        None
    }
}

/// Values that XML writes as attributes: an element's id and an extension's URL.
pub(super) fn is_attribute(property: &Property) -> bool {
    matches!(property.of, TypeRef::Primitive(Primitive::SystemString | Primitive::SystemUri))
}

/// The issue of a document that is broken.
pub(super) fn said(text: &[u8], broken: &Broken) -> Issue {
    let (line, column) = position(text, broken.at);
    let words = format!("the XML text {} (line {line}, column {column})", broken.what);
    Issue::error(IssueType::Structure, words)
}

/// An issue of an element at its place.
pub(super) fn placed(all: &[u8], at: usize, code: IssueType, text: &str, path: String) -> Issue {
    let (line, column) = position(all, at);
    let issue = Issue::error(code, format!("{text} (line {line}, column {column})"));
    if path.is_empty() { issue } else { issue.at(path) }
}

pub(super) const NOT_FHIR: &str = "the element is not in the namespace http://hl7.org/fhir";
const NOT_XHTML: &str = "the element is not in the namespace http://www.w3.org/1999/xhtml";
