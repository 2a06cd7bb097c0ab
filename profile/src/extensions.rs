//! R4's own extensions: where they may stand and what they hold.
//!
//! Compiled in from `fhir-profiles/r4/extensions.txt` (made by `fhir-profiles/tools/build_rule_table.py`), parsed once.

use std::collections::HashMap;
use std::sync::OnceLock;

/// An extension of the standard.
pub(crate) struct Known {
    pub(crate) is_modifier: bool,
    /// Kind (`E` element, `X` extension, `P` FHIRPath) and what it names.
    pub(crate) contexts: Vec<(char, &'static str)>,
    /// Types of its value; empty when it has none.
    pub(crate) types: Vec<&'static str>,
    pub(crate) parts: Vec<Part>,
}

/// An extension within one.
pub(crate) struct Part {
    pub(crate) url: &'static str,
    pub(crate) min: usize,
    pub(crate) max: Option<usize>,
    pub(crate) types: Vec<&'static str>,
}

/// The extension of a URL.
pub(crate) fn known(url: &str) -> Option<&'static Known> {
    static TABLE: OnceLock<HashMap<&'static str, Known>> = OnceLock::new();
    TABLE.get_or_init(parse).get(url)
}

fn parse() -> HashMap<&'static str, Known> {
    let mut table: HashMap<&'static str, Known> = HashMap::new();
    let mut last = "";
    for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.trim_start().split(' ').collect();
        let [first, second, third, fourth] = words[..] else { continue };
        let types = |text: &'static str| text.split('|').filter(|word| *word != "-").collect();
        if line.starts_with(' ') {
            if let Some(known) = table.get_mut(last) {
                let (min, max) = (second.parse().unwrap_or(0), third.parse().ok());
                known.parts.push(Part { url: first, min, max, types: types(fourth) });
            }
            continue;
        }
        last = first;
        let contexts = third.split(';').filter_map(|context| {
            let (kind, name) = context.split_once(':')?;
            Some((kind.chars().next()?, name))
        });
        let known = Known {
            is_modifier: second == "m",
            contexts: contexts.collect(),
            types: types(fourth),
            parts: Vec::new(),
        };
        table.insert(first, known);
    }
    table
}

const TEXT: &str = include_str!("../../fhir-profiles/r4/extensions.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_have_contexts_values_and_parts() {
        let birth_place =
            known("http://hl7.org/fhir/StructureDefinition/patient-birthPlace").unwrap();
        assert_eq!(birth_place.contexts, [('E', "Patient")]);
        assert_eq!(birth_place.types, ["Address"]);
        let place = known("http://hl7.org/fhir/StructureDefinition/geolocation").unwrap();
        assert!(place.types.is_empty());
        assert_eq!(place.parts.len(), 2);
        assert!(known("http://x/unknown").is_none());
    }
}
