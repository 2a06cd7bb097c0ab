//! Filters of a composition: which concepts of a code system meet them.
//!
//! Spec: FHIR R4 valueset.html, value set `filter-operator`. A regular expression matches the whole value; it is
//! compiled within [`REGEX_BYTES_MAX`] and runs in linear time.

use std::collections::HashSet;

use regex::{Regex, RegexBuilder};

use crate::code_system::{CodeSystem, Concept};
use crate::refusal::Refusal;
use crate::value_set::Filter;

/// Codes of a hierarchy: the code itself and all below it, or all above it; `None` for an unknown code.
///
/// # Errors
/// [`Refusal::Unsupported`] where the hierarchy does not mean is-a.
pub fn members_of_hierarchy(
    system: &CodeSystem,
    code: &str,
    below: bool,
) -> Result<Option<Vec<Box<str>>>, Refusal> {
    if !system.is_subsuming() {
        let text = format!("the hierarchy of {} does not mean is-a", system.canonical());
        return Err(Refusal::Unsupported(text));
    }
    let Some(place) = system.place(code) else { return Ok(None) };
    let reached = reach(system, place, below);
    let codes = reached.into_iter().map(|at| system.concepts[at as usize].code.clone());
    let mut codes: Vec<Box<str>> = codes.collect();
    codes.sort_unstable();
    Ok(Some(codes))
}

/// A place and everything below or above it. Cycles end.
pub(crate) fn reach(system: &CodeSystem, from: u32, below: bool) -> HashSet<u32> {
    let mut seen = HashSet::from([from]);
    let mut open = vec![from];
    while let Some(place) = open.pop() {
        let concept = &system.concepts[place as usize];
        let next = if below { &concept.children } else { &concept.parents };
        open.extend(next.iter().filter(|at| seen.insert(**at)));
    }
    seen
}

/// A filter made ready for one code system.
pub(crate) enum Test {
    Among(HashSet<u32>),
    NotAmong(HashSet<u32>),
    Has { property: Box<str>, wanted: bool },
    Equals { property: Box<str>, values: Vec<Box<str>>, wanted: bool },
    Matches { property: Box<str>, pattern: Regex },
}

impl Test {
    pub(crate) fn of(filter: &Filter, system: &CodeSystem) -> Result<Self, Refusal> {
        let property = filter.property.clone();
        if !COMMON.contains(&&*property) && !system.has_property(&property) {
            let text = format!("{} has no property {property:?} to filter by", system.canonical());
            return Err(Refusal::Unsupported(text));
        }
        let codes = |text: &str| text.split(',').map(|code| code.trim().into()).collect();
        Ok(match &*filter.op {
            "=" => Self::Equals { property, values: vec![filter.value.clone()], wanted: true },
            "in" => Self::Equals { property, values: codes(&filter.value), wanted: true },
            "not-in" => Self::Equals { property, values: codes(&filter.value), wanted: false },
            "exists" => Self::Has { property, wanted: truth(&filter.value)? },
            "regex" => Self::Matches { property, pattern: pattern(&filter.value)? },
            "is-a" => Self::Among(hierarchy(filter, system, true)?),
            "descendent-of" => {
                let mut below = hierarchy(filter, system, true)?;
                system.place(&filter.value).map(|own| below.remove(&own));
                Self::Among(below)
            }
            "is-not-a" => Self::NotAmong(hierarchy(filter, system, true)?),
            "generalizes" => Self::Among(hierarchy(filter, system, false)?),
            other => return Err(Refusal::Unsupported(format!("the filter operator {other:?}"))),
        })
    }

    pub(crate) fn admits(&self, system: &CodeSystem, place: u32) -> bool {
        let concept: &Concept = &system.concepts[place as usize];
        match self {
            Self::Among(places) => places.contains(&place),
            Self::NotAmong(places) => !places.contains(&place),
            Self::Has { property, wanted } => {
                system.values(concept, property).is_empty() != *wanted
            }
            Self::Equals { property, values, wanted } => {
                let own = system.values(concept, property);
                own.iter().any(|own| values.iter().any(|value| **value == **own)) == *wanted
            }
            Self::Matches { property, pattern } => {
                system.values(concept, property).iter().any(|own| pattern.is_match(own))
            }
        }
    }
}

fn hierarchy(filter: &Filter, system: &CodeSystem, below: bool) -> Result<HashSet<u32>, Refusal> {
    if !matches!(&*filter.property, "concept" | "code") {
        let text = format!("the filter {} works on the property concept only", filter.op);
        return Err(Refusal::Unsupported(text));
    }
    if !system.is_subsuming() {
        let text = format!("the hierarchy of {} does not mean is-a", system.canonical());
        return Err(Refusal::Unsupported(text));
    }
    let place = system.place(&filter.value).ok_or_else(|| {
        Refusal::Invalid(format!(
            "a filter names {}#{}, which is unknown",
            system.url, filter.value
        ))
    })?;
    Ok(reach(system, place, below))
}

fn truth(text: &str) -> Result<bool, Refusal> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Refusal::Invalid("the value of the filter exists is true or false".to_owned())),
    }
}

fn pattern(text: &str) -> Result<Regex, Refusal> {
    let bounded = (text.len() <= REGEX_TEXT_BYTES_MAX).then_some(());
    let built = bounded.and_then(|()| {
        let whole = format!("^(?:{text})$");
        RegexBuilder::new(&whole)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX)
            .build()
            .ok()
    });
    built.ok_or_else(|| {
        Refusal::Invalid("a filter's regular expression is malformed or too large".to_owned())
    })
}

/// What every code system has, declared or not.
const COMMON: [&str; 9] = [
    "code",
    "concept",
    "display",
    "definition",
    "designation",
    "parent",
    "child",
    "inactive",
    "notSelectable",
];
/// A compiled regular expression.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Its text.
const REGEX_TEXT_BYTES_MAX: usize = 1_000;
