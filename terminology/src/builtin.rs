//! The code systems and value sets that FHIR R4 defines, from the table `fhir-profiles/r4/terminology.txt`.
//!
//! The table is kept as text; a definition is read when it is first asked for, and kept. Its form is described at the
//! head of its script. Definitions (prose) and concept maps are not in it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use serde_json::{Value, json};

use crate::canonical::Canonical;
use crate::code_system::{CodeSystem, Concept, Content};
use crate::value_set::{Enumerated, Filter, Include, ValueSet};

/// Urls of R4's own code systems.
pub fn builtin_code_systems() -> impl Iterator<Item = &'static str> {
    TABLE.code_systems.keys().copied()
}

/// Urls of R4's own value sets.
pub fn builtin_value_sets() -> impl Iterator<Item = &'static str> {
    TABLE.value_sets.keys().copied()
}

pub(crate) fn code_system(url: &str) -> Option<&'static Arc<CodeSystem>> {
    let place = TABLE.code_systems.get(url)?;
    Some(place.made.get_or_init(|| Arc::new(read_code_system(place.text))))
}

pub(crate) fn value_set(url: &str) -> Option<&'static Arc<ValueSet>> {
    let place = TABLE.value_sets.get(url)?;
    Some(place.made.get_or_init(|| Arc::new(read_value_set(place.text))))
}

/// A definition's lines, and what they make.
struct Place<T> {
    text: &'static str,
    made: OnceLock<Arc<T>>,
}

struct Table {
    code_systems: HashMap<&'static str, Place<CodeSystem>>,
    value_sets: HashMap<&'static str, Place<ValueSet>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { code_systems: HashMap::new(), value_sets: HashMap::new() };
    let starts: Vec<usize> = TEXT
        .match_indices('\n')
        .map(|(at, _)| at + 1)
        .filter(|at| TEXT[*at..].starts_with("C\t") || TEXT[*at..].starts_with("V\t"))
        .collect();
    for (n, start) in starts.iter().enumerate() {
        let text = &TEXT[*start..starts.get(n + 1).copied().unwrap_or(TEXT.len())];
        let url = field(text.lines().next().unwrap_or_default(), 1).unwrap_or_default();
        if text.starts_with('C') {
            table.code_systems.insert(url, Place { text, made: OnceLock::new() });
        } else {
            table.value_sets.insert(url, Place { text, made: OnceLock::new() });
        }
    }
    table
});

/// A field of a line; `None` for `-`.
fn field(line: &'static str, at: usize) -> Option<&'static str> {
    line.split('\t').nth(at).filter(|text| *text != "-")
}

fn read_code_system(text: &'static str) -> CodeSystem {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let url = field(head, 1).unwrap_or_default();
    let mut concepts: Vec<Concept> = Vec::new();
    let mut above: Vec<u32> = Vec::new();
    for line in lines {
        let depth: usize = field(line, 0).and_then(|depth| depth.parse().ok()).unwrap_or(0);
        let place = u32::try_from(concepts.len()).unwrap_or(u32::MAX);
        above.truncate(depth);
        let parent = above.last().copied();
        above.push(place);
        if let Some(parent) = parent {
            concepts[parent as usize].children.push(place);
        }
        concepts.push(read_concept(line, parent));
    }
    let system = CodeSystem {
        url: url.into(),
        version: field(head, 2).map(Into::into),
        name: field(head, 3).unwrap_or(url).into(),
        status: "active".into(),
        language: Some("en".into()),
        content: field(head, 4).and_then(Content::parse).unwrap_or(Content::Fragment),
        supplements: None,
        case_sensitive: field(head, 5).map(|case| case == "1"),
        hierarchy_meaning: field(head, 6).map(Into::into),
        properties: Vec::new(),
        concepts,
        by_code: HashMap::new(),
        folded: HashMap::new(),
    };
    system.indexed()
}

fn read_concept(line: &'static str, parent: Option<u32>) -> Concept {
    let flags = field(line, 3).unwrap_or_default();
    let (marks, further) = match flags.split_once('>') {
        Some((marks, _)) => (marks.trim(), flags.split_whitespace()),
        None => (flags, "".split_whitespace()),
    };
    let mut properties: Vec<(Box<str>, Value)> = Vec::new();
    for (mark, status) in [('r', "retired"), ('d', "deprecated")] {
        if marks.contains(mark) {
            properties.push(("status".into(), json!({"code": "status", "valueCode": status})));
        }
    }
    let children = further.filter_map(|word| word.strip_prefix('>'));
    properties
        .extend(children.map(|code| ("child".into(), json!({"code": "child", "valueCode": code}))));
    Concept {
        code: field(line, 1).unwrap_or_default().into(),
        display: field(line, 2).map(Into::into),
        properties,
        parents: parent.into_iter().collect(),
        is_abstract: marks.contains('a'),
        is_inactive: marks.contains('r') || marks.contains('i'),
        ..Concept::default()
    }
}

fn read_value_set(text: &'static str) -> ValueSet {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let url = field(head, 1).unwrap_or_default();
    let (mut includes, mut excludes): (Vec<Include>, Vec<Include>) = Default::default();
    let mut excluding = false;
    for line in lines {
        let mark = field(line, 0).unwrap_or_default();
        if matches!(mark, "i" | "x") {
            excluding = mark == "x";
            let system = field(line, 1).map(|url| Canonical::new(url, field(line, 2)));
            let parts = if excluding { &mut excludes } else { &mut includes };
            parts.push(Include { system, ..Include::default() });
            continue;
        }
        let parts = if excluding { &mut excludes } else { &mut includes };
        let Some(part) = parts.last_mut() else { continue };
        let text = |at: usize| -> Box<str> { field(line, at).unwrap_or_default().into() };
        match mark {
            "c" => part.concepts.push(Enumerated {
                code: text(1),
                display: field(line, 2).map(Into::into),
                designations: Vec::new(),
            }),
            "f" => part.filters.push(Filter { property: text(1), op: text(2), value: text(3) }),
            _ => part.value_sets.push(Canonical::parse(&text(1))),
        }
    }
    let version = field(head, 2);
    ValueSet {
        url: url.into(),
        version: version.map(Into::into),
        status: "active".into(),
        head: json!({"url": url, "version": version, "name": field(head, 3), "status": "active"}),
        definition: Value::Null,
        inactive: None,
        includes,
        excludes,
        given: None,
    }
}

const TEXT: &str = include_str!("../../fhir-profiles/r4/terminology.txt");

#[cfg(test)]
mod tests {
    use super::*;

    /// Counted in the package with a script of its own: 1,052 complete code systems with concepts, 1,314 compositions.
    #[test]
    fn the_table_has_all_definitions_of_r4() {
        assert_eq!(builtin_code_systems().count(), 1_052);
        assert_eq!(builtin_value_sets().count(), 1_314);
    }

    #[test]
    fn gender_has_the_four_codes_of_the_standard() {
        let gender = code_system("http://hl7.org/fhir/administrative-gender").unwrap();

        let codes: Vec<&str> = gender.concepts().iter().map(|c| &*c.code).collect();
        assert_eq!(codes, ["male", "female", "other", "unknown"]);
        assert_eq!(gender.version.as_deref(), Some("4.0.1"));
    }
}
