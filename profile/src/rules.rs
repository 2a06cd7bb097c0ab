//! R4's own invariants, reference targets and bindings, by type and element.
//!
//! Compiled in from `fhir-profiles/r4/rules.txt` (made by `fhir-profiles/tools/build_rule_table.py`), parsed once;
//! expressions are compiled when first needed. Some are checked without their expression (`by_hand`, `walk`).

use std::collections::HashMap;
use std::sync::OnceLock;

use fhir::{Declared, Severity};
use fhirpath::Expression;

/// An invariant of the standard.
pub(crate) struct Invariant {
    pub(crate) key: &'static str,
    pub(crate) severity: Severity,
    /// What it says to people, in the words of the standard.
    pub(crate) human: &'static str,
    text: &'static str,
    compiled: OnceLock<Option<Expression>>,
}

impl Invariant {
    /// The expression; `None` only if the table had one that is not FHIRPath, which a test rules out.
    pub(crate) fn expression(&self) -> Option<&Expression> {
        self.compiled.get_or_init(|| Expression::compile(self.text).ok()).as_ref()
    }
}

/// The rules of a type.
#[derive(Default)]
pub(crate) struct TypeRules {
    /// Invariants on an object of the type, by place.
    pub(crate) own: Vec<u16>,
    elements: Vec<ElementRules>,
}

/// The rules of an element of a type.
pub(crate) struct ElementRules {
    name: &'static str,
    /// Invariants, each perhaps for one type of a choice only.
    pub(crate) invariants: Vec<(Option<&'static str>, u16)>,
    /// Types that a reference may lead to; empty for all.
    pub(crate) targets: Vec<&'static str>,
    /// Severity of a code out of the value set, and its URL.
    pub(crate) binding: Option<(Severity, &'static str)>,
}

impl TypeRules {
    pub(crate) fn element(&self, name: &str) -> Option<&ElementRules> {
        self.elements.iter().find(|element| element.name == name)
    }
}

/// All rules.
pub(crate) struct Rules {
    invariants: Vec<Invariant>,
    keys: HashMap<&'static str, u16>,
    types: Vec<TypeRules>,
}

impl Rules {
    pub(crate) fn invariant(&self, place: u16) -> &Invariant {
        &self.invariants[usize::from(place)]
    }

    /// The rules of a type; nothing for primitives and unknown types.
    pub(crate) fn of(&self, of: Declared) -> Option<&TypeRules> {
        self.types.get(of.place()?)
    }

    /// Whether an invariant of this key is one of the standard's.
    pub(crate) fn knows(&self, key: &str) -> bool {
        matches!(key, "ele-1" | "ext-1") || self.keys.contains_key(key)
    }

    fn parse(text: &'static str) -> Self {
        let mut rules = Self { invariants: Vec::new(), keys: HashMap::new(), types: Vec::new() };
        let mut current = None;
        for line in text.lines() {
            if let Some(invariant) = line.strip_prefix('!') {
                rules.invariant_line(invariant);
            } else if let Some(header) = line.strip_prefix('@') {
                current = rules.type_line(header);
            } else if let Some(place) = current.filter(|_| !line.starts_with('#')) {
                let element = rules.element_line(line);
                rules.types[place].elements.push(element);
            }
        }
        rules
    }

    fn invariant_line(&mut self, line: &'static str) {
        let mut words = line.splitn(3, ' ');
        let mut next = || words.next().expect("an invariant has a key, a severity and a text");
        let (name, severity, rest) = (next(), next(), next());
        let (text, human) = rest.split_once('\t').expect("an invariant says something to people");
        let severity = if severity == "e" { Severity::Error } else { Severity::Warning };
        let place = u16::try_from(self.invariants.len()).expect("R4 has few invariants");
        self.keys.insert(name, place);
        let key = name.split('#').next().unwrap_or(name);
        self.invariants.push(Invariant { key, severity, human, text, compiled: OnceLock::new() });
    }

    fn type_line(&mut self, header: &'static str) -> Option<usize> {
        let mut words = header.split(' ');
        let place = Declared::named(words.next()?)?.place()?;
        if self.types.len() <= place {
            self.types.resize_with(place + 1, TypeRules::default);
        }
        let keys = words.filter_map(|word| self.keys.get(word.strip_prefix('!')?).copied());
        self.types[place].own = keys.collect();
        Some(place)
    }

    fn element_line(&self, line: &'static str) -> ElementRules {
        let mut words = line.split(' ');
        let name = words.next().expect("an element has a name");
        let mut found =
            ElementRules { name, invariants: Vec::new(), targets: Vec::new(), binding: None };
        while let Some(word) = words.next() {
            if let Some(targets) = word.strip_prefix('>') {
                found.targets = targets.split('|').collect();
            } else if let Some(strength) = word.strip_prefix('?') {
                let severity = if strength == "r" { Severity::Error } else { Severity::Warning };
                found.binding = words.next().map(|url| (severity, url));
            } else if let Some((of, key)) = word.split_once('!') {
                let of = (!of.is_empty()).then_some(of);
                found.invariants.extend(self.keys.get(key).map(|place| (of, *place)));
            }
        }
        found
    }
}

/// The rules; parsed on the first call.
pub(crate) fn rules() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| Rules::parse(TEXT))
}

const TEXT: &str = include_str!("../../fhir-profiles/r4/rules.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invariant_of_the_standard_compiles() {
        for invariant in &rules().invariants {
            let compiled = Expression::compile(invariant.text);
            assert!(compiled.is_ok(), "{}: {:?}", invariant.key, compiled.err());
            assert!(invariant.human.len() > 4, "{} says nothing", invariant.key);
        }
        assert!(rules().invariants.len() > 200);
    }

    #[test]
    fn types_have_their_invariants_targets_and_bindings() {
        let observation = rules().of(Declared::named("Observation").unwrap()).unwrap();
        let keys: Vec<_> = observation.own.iter().map(|at| rules().invariant(*at).key).collect();

        assert!(keys.contains(&"obs-6") && keys.contains(&"dom-2"));
        let subject = observation.element("subject").unwrap();
        assert_eq!(subject.targets, ["Patient", "Group", "Device", "Location"]);
        let reason = observation.element("dataAbsentReason").unwrap();
        assert_eq!(reason.binding.unwrap().0, Severity::Warning);
        assert!(rules().knows("ele-1") && !rules().knows("us-core-1"));
    }
}
