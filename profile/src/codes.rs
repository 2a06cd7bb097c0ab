//! Membership of codes, and R4's own code systems and value sets.
//!
//! Compiled in from `fhir-profiles/r4/codes.txt` (made by `fhir-profiles/tools/build_rule_table.py`), parsed once.
//! Spec: FHIR R4 terminologies.html. Not here: what is loaded at run time (`terminology`, behind [`Codes`]).

use std::collections::HashMap;
use std::sync::OnceLock;

use fhir::{CanonicalUnit, UCUM_SYSTEM};

/// Answer to the question whether a code is in a set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Membership {
    /// It is.
    In,
    /// It is not.
    NotIn,
    /// The set, or the part of it that matters, is not known here.
    Unknown,
}

/// Who knows value sets and code systems.
pub trait Codes {
    /// Whether a value set has a code; without system the code alone decides. A version after `|` is ignored.
    fn in_value_set(&self, value_set: &str, system: Option<&str>, code: &str) -> Membership;
    /// Whether a code system has a code.
    fn in_system(&self, system: &str, code: &str) -> Membership;
}

/// The value sets and code systems that R4 itself defines and lists in full.
#[derive(Clone, Copy, Debug, Default)]
pub struct R4Codes;

impl Codes for R4Codes {
    fn in_value_set(&self, value_set: &str, system: Option<&str>, code: &str) -> Membership {
        let table = table();
        let url = value_set.split('|').next().unwrap_or(value_set);
        if let Some(known) = grammar(url, code) {
            return known;
        }
        let Some(parts) = table.value_sets.get(url) else { return Membership::Unknown };
        let mut open = false;
        for (of, listed) in parts {
            if system.is_some_and(|system| system != *of && !of.is_empty()) {
                continue;
            }
            match listed {
                Listed::Open => match self.in_system(of, code) {
                    Membership::NotIn => {}
                    _ => open = true,
                },
                Listed::All => {
                    if self.in_system(of, code) == Membership::In {
                        return Membership::In;
                    }
                }
                Listed::Codes(codes) => {
                    if codes.binary_search(&&*escaped(code)).is_ok() {
                        return Membership::In;
                    }
                }
            }
        }
        if open { Membership::Unknown } else { Membership::NotIn }
    }

    fn in_system(&self, system: &str, code: &str) -> Membership {
        let url = system.split('|').next().unwrap_or(system);
        if url == UCUM_SYSTEM {
            return match CanonicalUnit::parse(code) {
                Some(_) => Membership::In,
                None if is_plain_unit(code) => Membership::NotIn,
                // Units without a canonical form (bel, neper, pH, …) are good and not told from bad ones.
                None => Membership::Unknown,
            };
        }
        match table().systems.get(url) {
            Some(codes) if codes.binary_search(&&*escaped(code)).is_ok() => Membership::In,
            Some(_) => Membership::NotIn,
            None => Membership::Unknown,
        }
    }
}

/// Whether a unit is made of letters alone and of none that have no canonical form.
fn is_plain_unit(code: &str) -> bool {
    code.split(['/', '.']).all(|part| {
        let special =
            (part.len() <= 2 && part.ends_with('B')) || (part.len() <= 3 && part.ends_with("Np"));
        !special && !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphabetic())
    })
}

/// Sets that a grammar defines: media types (RFC 6838 §4.2).
fn grammar(value_set: &str, code: &str) -> Option<Membership> {
    if value_set != "http://hl7.org/fhir/ValueSet/mimetypes" {
        return None;
    }
    let essence = code.split(';').next().unwrap_or(code).trim();
    let good = essence.split_once('/').is_some_and(|(kind, sub)| {
        let name = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&b))
        };
        name(kind) && name(sub)
    });
    // Short forms such as `xml` and `json` are in use where a format is named.
    let short = !essence.is_empty() && essence.bytes().all(|b| b.is_ascii_alphanumeric());
    Some(if good || short { Membership::In } else { Membership::NotIn })
}

struct Table {
    systems: HashMap<&'static str, Vec<&'static str>>,
    value_sets: HashMap<&'static str, Vec<(&'static str, Listed)>>,
}

enum Listed {
    All,
    Open,
    Codes(Vec<&'static str>),
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table { systems: HashMap::new(), value_sets: HashMap::new() };
        for line in TEXT.lines() {
            if let Some(system) = line.strip_prefix('+') {
                let mut words = system.split(' ');
                let url = words.next().unwrap_or_default();
                let mut codes: Vec<_> = words.collect();
                codes.sort_unstable();
                table.systems.insert(url, codes);
            } else if let Some(set) = line.strip_prefix('=') {
                let (url, parts) = set.split_once(' ').unwrap_or((set, ""));
                table.value_sets.insert(url, parts_of(parts));
            }
        }
        table
    })
}

fn parts_of(text: &'static str) -> Vec<(&'static str, Listed)> {
    let mut parts: Vec<(&str, Listed)> = Vec::new();
    for word in text.split(' ') {
        if let Some(system) = word.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            parts.push((system, Listed::Codes(Vec::new())));
            continue;
        }
        let Some((_, listed)) = parts.last_mut() else { continue };
        match (word, &mut *listed) {
            ("*", _) => *listed = Listed::All,
            ("?", _) => *listed = Listed::Open,
            (code, Listed::Codes(codes)) => codes.push(code),
            _ => {}
        }
    }
    for (_, listed) in &mut parts {
        if let Listed::Codes(codes) = listed {
            codes.sort_unstable();
        }
    }
    parts
}

/// The table's spelling of a code: no spaces.
fn escaped(code: &str) -> std::borrow::Cow<'_, str> {
    if code.contains([' ', '%']) {
        return code.replace('%', "%25").replace(' ', "%20").into();
    }
    code.into()
}

const TEXT: &str = include_str!("../../fhir-profiles/r4/codes.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_say_yes_no_or_that_they_do_not_know() {
        let set = |name: &str| format!("http://hl7.org/fhir/ValueSet/{name}");
        let gender = set("administrative-gender");
        let system = Some("http://hl7.org/fhir/administrative-gender");

        assert_eq!(R4Codes.in_value_set(&gender, system, "male"), Membership::In);
        assert_eq!(R4Codes.in_value_set(&format!("{gender}|4.0.1"), None, "male"), Membership::In);
        assert_eq!(R4Codes.in_value_set(&gender, system, "malee"), Membership::NotIn);
        assert_eq!(R4Codes.in_value_set(&gender, Some("http://x"), "male"), Membership::NotIn);
        let codes = set("observation-codes");
        let loinc = Some("http://loinc.org");
        assert_eq!(R4Codes.in_value_set(&codes, loinc, "85354-9"), Membership::Unknown);
        assert_eq!(R4Codes.in_value_set("http://x/vs", None, "a"), Membership::Unknown);
        let status = "http://terminology.hl7.org/CodeSystem/condition-clinical";
        assert_eq!(R4Codes.in_system(status, "active"), Membership::In);
        assert_eq!(R4Codes.in_system(status, "aktiv"), Membership::NotIn);
    }

    #[test]
    fn media_types_follow_their_grammar() {
        let set = "http://hl7.org/fhir/ValueSet/mimetypes";
        for good in ["text/plain", "application/fhir+json", "text/plain; charset=UTF-8"] {
            assert_eq!(R4Codes.in_value_set(set, None, good), Membership::In, "{good}");
        }
        assert_eq!(R4Codes.in_value_set(set, None, "text/"), Membership::NotIn);
    }
}
