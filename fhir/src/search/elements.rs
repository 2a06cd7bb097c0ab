//! The elements that search expressions walk through: their types, and the system a code implies.
//!
//! Source: `fhir-profiles/r4/search-elements.txt`. Not here: the table of all elements, which the
//! reader checks resources against.

use std::collections::HashMap;
use std::sync::OnceLock;

/// One element of a type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element {
    /// Whether its JSON names end in the type, such as `valueQuantity`.
    pub(crate) choice: bool,
    /// Type codes, separated by commas; `@` and a path for an element defined elsewhere.
    pub(crate) types: &'static str,
    /// The system that the required binding of a code implies; empty if none.
    pub(crate) system: &'static str,
}

/// The element with this path, such as `Observation.value` or `HumanName.family`.
pub(crate) fn element(path: &str) -> Option<Element> {
    static TABLE: OnceLock<HashMap<&'static str, Element>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let lines = ELEMENTS.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(read_line).collect()
    });
    table.get(path).copied()
}

fn read_line(line: &'static str) -> Option<(&'static str, Element)> {
    let mut fields = line.split('\t');
    let (path, types, system) = (fields.next()?, fields.next()?, fields.next()?);
    let system = if system == "-" { "" } else { system };
    let choice = types.strip_prefix("[x]");
    Some((path, Element { choice: choice.is_some(), types: choice.unwrap_or(types), system }))
}

pub(super) const ELEMENTS: &str = include_str!("../../../fhir-profiles/r4/search-elements.txt");
