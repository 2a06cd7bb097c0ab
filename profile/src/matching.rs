//! Fixed values, patterns and bounds.
//!
//! Spec: FHIR R4 elementdefinition.html (`fixed[x]` exactly, `pattern[x]` at least, `minValue[x]`, `maxValue[x]`).

use std::cmp::Ordering;

use fhir::{Declared, Kind, Node};
use fhirpath::{Element, nodes_equal};

/// Whether a value is exactly another one.
pub(crate) fn is_fixed(value: Node<'_>, fixed: Node<'_>) -> bool {
    nodes_equal(value, fixed)
}

/// Whether a value has at least what a pattern has.
pub(crate) fn has_pattern(value: Node<'_>, pattern: Node<'_>) -> bool {
    match (value.kind(), pattern.kind()) {
        (Kind::Object, Kind::Object) => pattern.children().all(|member| {
            let found = value.get(member.key().unwrap_or_default());
            found.is_some_and(|found| has_pattern(found, member))
        }),
        (Kind::Array, Kind::Array) => {
            pattern.children().all(|wanted| value.children().any(|item| has_pattern(item, wanted)))
        }
        _ => nodes_equal(value, pattern),
    }
}

/// Order of a value and a bound of the same type; `None` when they cannot be compared.
pub(crate) fn compare(value: &Element<'_>, bound: Node<'_>) -> Option<Ordering> {
    let bound = Element::new(Some(bound), None, value.of());
    if value.of() == Declared::UNKNOWN {
        return None;
    }
    fhirpath::order(value, &bound)
}
