//! The elements that search expressions walk through: their types, and the system a code implies.
//!
//! Source: `fhir-profiles/r4/search-elements.txt`; for custom parameters also the table of all elements, which the
//! reader checks resources against. Both are read once.

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

/// The element with this path, such as `Observation.value` or `HumanName.family`; any element of R4.
pub(crate) fn element(path: &str) -> Option<Element> {
    static TABLE: OnceLock<HashMap<&'static str, Element>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let lines = ELEMENTS.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(read_line).collect()
    });
    table.get(path).copied().or_else(|| any_element(path))
}

/// An element that no expression of R4 walks through, from the table of all elements.
fn any_element(path: &str) -> Option<Element> {
    static TABLE: OnceLock<HashMap<&'static str, Type>> = OnceLock::new();
    let table = TABLE.get_or_init(|| read_types(ALL_ELEMENTS));
    let (of, name) = path.rsplit_once('.')?;
    let mut of = table.get(of)?;
    loop {
        match of.elements.get(name) {
            Some(element) => return Some(*element),
            None => of = table.get(of.base)?,
        }
    }
}

/// A type or backbone element of the table of all elements.
#[derive(Default)]
struct Type {
    base: &'static str,
    elements: HashMap<&'static str, Element>,
}

/// Reads `elements.txt`; its form is described in `fhir-profiles/tools/build_element_table.py`.
fn read_types(text: &'static str) -> HashMap<&'static str, Type> {
    let mut systems: HashMap<&str, &str> = HashMap::new();
    let mut types: HashMap<&str, Type> = HashMap::new();
    let mut current = "";
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some(first) = words.next() else { continue };
        if let Some(name) = first.strip_prefix('=') {
            let mut named = words.filter_map(|word| word.strip_prefix('<')?.strip_suffix('>'));
            if let (Some(system), None) = (named.next(), named.next()) {
                systems.insert(name, system);
            }
        } else if let Some(name) = first.strip_prefix('@') {
            current = name;
            types.insert(name, Type { base: words.next().unwrap_or_default(), ..Type::default() });
        } else if let Some(of) = types.get_mut(current) {
            let choice = first.strip_suffix("[x]");
            let words: Vec<&str> = words.skip(2).collect();
            let bound = words.iter().find_map(|word| systems.get(word.strip_prefix('!')?));
            let is_type =
                |word: &&&str| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '@');
            let names = words.iter().filter(is_type);
            let names: Vec<&str> =
                names.map(|name| name.strip_prefix("System.").unwrap_or(name)).collect();
            let types = names.join(",").leak();
            let system = bound.copied().unwrap_or_default();
            of.elements.insert(
                choice.unwrap_or(first),
                Element { choice: choice.is_some(), types, system },
            );
        }
    }
    types
}

fn read_line(line: &'static str) -> Option<(&'static str, Element)> {
    let mut fields = line.split('\t');
    let (path, types, system) = (fields.next()?, fields.next()?, fields.next()?);
    let system = if system == "-" { "" } else { system };
    let choice = types.strip_prefix("[x]");
    Some((path, Element { choice: choice.is_some(), types: choice.unwrap_or(types), system }))
}

pub(super) const ELEMENTS: &str = include_str!("../../../fhir-profiles/r4/search-elements.txt");
const ALL_ELEMENTS: &str = include_str!("../../../fhir-profiles/r4/elements.txt");
