//! The elements that rules may target: every element of R4, with type, cardinality and required codes.
//!
//! Read from `fhir-profiles/r4/elements.txt`, the table behind the strict reader, so that a rule accepted here cannot
//! make a resource which the reader refuses for its shape.

use std::{collections::HashMap, sync::OnceLock};

/// One element of a resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Element {
    /// Datatype, or `BackboneElement`.
    pub(crate) kind: &'static str,
    pub(crate) is_array: bool,
    /// Value set of a required binding.
    pub(crate) binding: Option<&'static str>,
}

/// The element at a path such as `Patient.contact.name` or `Observation.valueQuantity.value`.
pub(crate) fn element(path: &str) -> Option<Element> {
    let mut steps = path.split('.');
    let mut of = steps.next()?;
    let mut found = None;
    for step in steps {
        let property = property(of, step)?;
        of = property.of;
        found = Some(property.element);
    }
    found
}

/// True when the required binding's value set has the code.
pub(crate) fn has_code(value_set: &str, code: &str) -> bool {
    let line = table().value_sets.get(value_set);
    line.is_none_or(|codes| codes.split(' ').any(|c| c == code))
}

struct Property {
    element: Element,
    /// Type whose elements come next on a path.
    of: &'static str,
}

fn property(of: &str, name: &str) -> Option<Property> {
    let definition = table().types.get(of)?;
    for line in &definition.lines {
        let mut words = line.split(' ');
        let (key, _min, max) = (words.next()?, words.next()?, words.next()?);
        let binding = line.split_once(" !").map(|(_, set)| set);
        let mut types = words.filter(|w| !w.starts_with('!'));
        let word = match key.strip_suffix("[x]") {
            Some(stem) => {
                let Some(suffix) = name.strip_prefix(stem) else { continue };
                types.find(|word| is_suffix(suffix, word))
            }
            None if key == name => types.next(),
            None => None,
        };
        let Some(word) = word else { continue };
        let kind = if word.starts_with('@') { "BackboneElement" } else { word };
        let element = Element { kind, is_array: max != "1", binding };
        return Some(Property { element, of: word.trim_start_matches('@') });
    }
    property(definition.base?, name)
}

/// `Quantity` of `valueQuantity` for the type word `Quantity`, `Boolean` for `boolean`.
fn is_suffix(suffix: &str, word: &str) -> bool {
    let mut letters = word.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    suffix.strip_prefix(|c| Some(c) == first).is_some_and(|rest| rest == letters.as_str())
}

#[derive(Default)]
struct Table {
    types: HashMap<&'static str, Definition>,
    value_sets: HashMap<&'static str, &'static str>,
}

#[derive(Default)]
struct Definition {
    base: Option<&'static str>,
    lines: Vec<&'static str>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::default();
        let mut open = "";
        for line in include_str!("../../../fhir-profiles/r4/elements.txt").lines() {
            let line = line.trim_end_matches(" +");
            if let Some(header) = line.strip_prefix('@') {
                let (name, base) =
                    header.split_once(' ').map_or((header, None), |(n, b)| (n, Some(b)));
                open = name;
                table.types.insert(name, Definition { base, lines: Vec::new() });
            } else if let Some(set) = line.strip_prefix('=') {
                let (name, codes) = set.split_once(' ').unwrap_or((set, ""));
                table.value_sets.insert(name, codes);
            } else if !line.starts_with('#') {
                table.types.entry(open).or_default().lines.push(line);
            }
        }
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_resolve_through_backbones_datatypes_choices_and_bases() {
        let at = |path| element(path).map(|e| (e.kind, e.is_array));
        assert_eq!(at("Patient.contact"), Some(("BackboneElement", true)));
        assert_eq!(at("Patient.contact.name.given"), Some(("string", true)));
        assert_eq!(at("Patient.extension"), Some(("Extension", true)));
        assert_eq!(at("Observation.valueQuantity"), Some(("Quantity", false)));
        assert_eq!(at("Encounter.period.start"), Some(("dateTime", false)));
        assert_eq!(at("Patient.deceasedBoolean"), Some(("boolean", false)));
        for wrong in ["Patient", "Patient.nam", "Patient.deceased", "Patient.deceasedString", "X.y"]
        {
            assert_eq!(element(wrong), None, "{wrong}");
        }
        assert!(
            has_code("administrative-gender", "female") && !has_code("administrative-gender", "f")
        );
    }
}
