//! The naive search: every resource against every parameter, straight from the R4 search page.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::value::{Value, all, clinical, range, values};

/// A resource as the oracle keeps it.
pub(crate) struct Stored {
    pub(crate) key: String,
    pub(crate) json: Json,
    pub(crate) patients: Vec<String>,
    pub(crate) updated_us: i64,
}

/// Everything that was written.
pub(crate) struct Naive {
    pub(crate) resources: Vec<Stored>,
    places: HashMap<String, usize>,
    /// The patient who asks; `None` sees everything.
    pub(crate) patient: Option<String>,
}

impl Naive {
    pub(crate) fn new(resources: Vec<Stored>) -> Self {
        let places = resources.iter().enumerate().map(|(at, one)| (one.key.clone(), at)).collect();
        Self { resources, places, patient: None }
    }

    /// The resource of a key.
    pub(crate) fn named(&self, key: &str) -> Option<&Stored> {
        self.places.get(key).map(|at| &self.resources[*at])
    }

    /// Keys of all visible matches, in the order asked for (equal keys in any order).
    pub(crate) fn search<'a>(&'a self, of: &str, filters: &[(String, String)]) -> Vec<&'a Stored> {
        let visible = self.resources.iter().filter(|stored| self.sees(stored));
        let of_type = visible.filter(|stored| stored.json["resourceType"] == of);
        let filters: Vec<_> = filters
            .iter()
            .filter(|(name, _)| !["_sort", "_count", "_total"].contains(&name.as_str()))
            .collect();
        of_type
            .filter(|stored| filters.iter().all(|(name, value)| self.holds(stored, name, value)))
            .collect()
    }

    fn sees(&self, stored: &Stored) -> bool {
        const UNIVERSAL: [&str; 4] = ["Organization", "Practitioner", "Location", "Medication"];
        let Some(patient) = &self.patient else { return true };
        match &stored.patients[..] {
            [] => UNIVERSAL.contains(&stored.json["resourceType"].as_str().unwrap_or("")),
            own => own.contains(patient),
        }
    }

    fn holds(&self, stored: &Stored, name: &str, value: &str) -> bool {
        if let Some(rest) = name.strip_prefix("_has:") {
            let parts: Vec<_> = rest.splitn(3, ':').collect();
            let [source, reference, inner] = parts[..] else { panic!("{name}") };
            return self.resources.iter().filter(|other| self.sees(other)).any(|other| {
                other.json["resourceType"] == source
                    && refers(other, reference, &stored.key)
                    && self.holds(other, inner, value)
            });
        }
        if let Some((reference, inner)) = name.split_once('.') {
            let (code, only) = reference.split_once(':').unwrap_or((reference, ""));
            let own = values(&stored.json, code).unwrap_or_default();
            let keys = own.iter().filter_map(|value| match value {
                Value::Reference(key) => Some(key),
                _ => None,
            });
            let targets = keys.filter_map(|key| self.named(key)).filter(|other| self.sees(other));
            return targets.into_iter().any(|other| {
                (only.is_empty() || other.json["resourceType"] == only)
                    && (inner.starts_with('_') || values(&other.json, bare(inner)).is_some())
                    && self.holds(other, inner, value)
            });
        }
        let (code, modifier) = name.split_once(':').unwrap_or((name, ""));
        let id = stored.key.split('/').nth(1).unwrap_or("");
        let alternatives: Vec<_> = value.split(',').collect();
        if code == "_id" {
            return alternatives.contains(&id);
        }
        if code == "_lastUpdated" {
            let own = (stored.updated_us, stored.updated_us + 1);
            return alternatives.iter().any(|value| date_holds(own, value));
        }
        if let Some(kind) = code.strip_suffix("code-value-quantity") {
            return alternatives.iter().any(|value| composite(&stored.json, kind, value));
        }
        let own = values(&stored.json, code).unwrap_or_else(|| panic!("oracle lacks {name}"));
        if modifier == "missing" {
            return own.is_empty() == (value == "true");
        }
        let any = alternatives.iter().any(|value| own.iter().any(|own| test(own, modifier, value)));
        if modifier == "not" { !any } else { any }
    }

    /// Whether the keys stand in the order asked for.
    pub(crate) fn is_sorted(&self, sort: &str, found: &[&Stored]) -> bool {
        found.windows(2).all(|pair| precedes(sort, pair[0], pair[1]))
    }
}

/// `code$quantity` of the resource itself, of one component, or (combo) of either.
fn composite(json: &Json, kind: &str, asked: &str) -> bool {
    let (code, quantity) = asked.split_once('$').expect("a pair");
    let holds = |node: &Json| {
        let has = |code: &str, asked: &str| {
            values(node, code).unwrap_or_default().iter().any(|own| test(own, "", asked))
        };
        has("code", code) && has("value-quantity", quantity)
    };
    let component = |node: &&Json| {
        let mut node = (*node).clone();
        node["resourceType"] = "Observation".into();
        holds(&node)
    };
    let components = all(json, "component");
    match kind {
        "" => holds(json),
        "component-" => components.iter().any(component),
        _ => holds(json) || components.iter().any(component),
    }
}

fn bare(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

fn refers(stored: &Stored, code: &str, target: &str) -> bool {
    let own = values(&stored.json, code).unwrap_or_default();
    own.iter().any(|value| matches!(value, Value::Reference(text) if text == target))
}

fn test(own: &Value, modifier: &str, asked: &str) -> bool {
    match own {
        Value::Token { system, code } => {
            let (asked_system, asked_code) = match asked.split_once('|') {
                Some((system, code)) => (Some(system), code),
                None => (None, asked),
            };
            let code_holds = asked_code.is_empty() || code.as_deref() == Some(asked_code);
            code_holds
                && match asked_system {
                    None => true,
                    Some("") => system.is_none(),
                    Some(asked) => system.as_deref() == Some(asked),
                }
        }
        Value::Reference(text) => {
            let (of, id) = text.split_once('/').unwrap_or(("", text));
            let asked = asked.strip_prefix("http://example.org/fhir/").unwrap_or(asked);
            if modifier.is_empty() {
                text == asked || id == asked
            } else {
                of == modifier && (text == asked || id == asked)
            }
        }
        Value::Date(lo, hi) => date_holds((*lo, *hi), asked),
        Value::Quantity { value, system, code, unit } => {
            let mut parts = asked.split('|');
            let number = parts.next().unwrap_or("");
            let asked_system = parts.next().unwrap_or("");
            let asked_unit = parts.next().unwrap_or("");
            let unit_holds = asked_unit.is_empty()
                || code.as_deref() == Some(asked_unit)
                || (asked_system.is_empty() && unit.as_deref() == Some(asked_unit));
            let system_holds = asked_system.is_empty() || system.as_deref() == Some(asked_system);
            number_holds(*value, number) && unit_holds && system_holds
        }
        Value::Text(text) => match modifier {
            "exact" => text == asked,
            "contains" => plain(text).contains(&plain(asked)),
            _ => plain(text).starts_with(&plain(asked)),
        },
        Value::Uri(uri) => match modifier {
            "below" => uri == asked || uri.starts_with(&format!("{asked}/")),
            _ => uri == asked,
        },
    }
}

fn prefix(text: &str) -> (&str, &str) {
    let known = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"];
    match known.into_iter().find(|prefix| text.starts_with(prefix)) {
        Some(prefix) => (prefix, &text[2..]),
        None => ("eq", text),
    }
}

fn date_holds((lo, hi): (i64, i64), asked: &str) -> bool {
    let (prefix, text) = prefix(asked);
    let (asked_lo, asked_hi) = range(text).unwrap_or_else(|| panic!("date {text}"));
    let within = asked_lo <= lo && hi <= asked_hi;
    match prefix {
        "eq" => within,
        "ne" => !within,
        "gt" => hi > asked_hi,
        "lt" => lo < asked_lo,
        "ge" => within || hi > asked_hi,
        "le" => within || lo < asked_lo,
        "sa" => lo >= asked_hi,
        _ => hi <= asked_lo,
    }
}

fn number_holds(value: f64, asked: &str) -> bool {
    let (prefix, text) = prefix(asked);
    let number: f64 = text.parse().unwrap_or_else(|_| panic!("number {text}"));
    let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let half = 0.5 / 10_f64.powi(i32::try_from(decimals).unwrap_or(0));
    let within = number - half <= value && value < number + half;
    match prefix {
        "eq" => within,
        "ne" => !within,
        "gt" | "sa" => value > number,
        "lt" | "eb" => value < number,
        "ge" => value >= number,
        _ => value <= number,
    }
}

/// Lower case without the accents that the corpus has.
fn plain(text: &str) -> String {
    let bare = |c: char| match c {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        other => other,
    };
    let lower = text.to_lowercase().chars().map(bare).collect::<String>();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether two neighbours stand right; without a value a resource comes last.
fn precedes(sort: &str, first: &Stored, second: &Stored) -> bool {
    if sort.is_empty() {
        return newest(first) >= newest(second);
    }
    for key in sort.split(',') {
        let (code, descending) = match key.strip_prefix('-') {
            Some(code) => (code, true),
            None => (key, false),
        };
        let name = first.json["resourceType"].as_str().unwrap_or("");
        if clinical(name) == Some(code) {
            // A resource without the date stands where its creation puts it.
            let (a, b) = (newest(first), newest(second));
            if a != b {
                return (a > b) == descending;
            }
            continue;
        }
        let (a, b) = (sort_value(first, code, descending), sort_value(second, code, descending));
        match (a, b) {
            (None, None) => {}
            (None, Some(_)) => return false,
            (Some(_), None) => return true,
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => return (a > b) == descending,
        }
    }
    true
}

/// Lower end of the clinical date, else the time of creation.
fn newest(stored: &Stored) -> i64 {
    let name = stored.json["resourceType"].as_str().unwrap_or("");
    let dates = clinical(name).and_then(|code| values(&stored.json, code)).unwrap_or_default();
    let lower = |value: &Value| match value {
        Value::Date(i64::MIN, hi) => Some(*hi),
        Value::Date(lo, _) => Some(*lo),
        _ => None,
    };
    dates.iter().filter_map(lower).min().unwrap_or(stored.updated_us)
}

#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum SortValue {
    Number(f64),
    Time(i64),
    Text(String),
}

fn sort_value(stored: &Stored, code: &str, descending: bool) -> Option<SortValue> {
    if code == "_id" {
        return stored.key.split('/').nth(1).map(|id| SortValue::Text(id.to_owned()));
    }
    if code == "_lastUpdated" {
        return Some(SortValue::Time(stored.updated_us));
    }
    let of = |value: Value| match value {
        Value::Date(lo, _) => Some(SortValue::Time(lo)),
        Value::Text(text) => Some(SortValue::Text(plain(&text))),
        Value::Uri(uri) => Some(SortValue::Text(uri)),
        Value::Quantity { value, .. } => Some(SortValue::Number(value)),
        _ => None,
    };
    let mut all: Vec<_> = values(&stored.json, code)?.into_iter().filter_map(of).collect();
    all.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    if descending { all.pop() } else { all.into_iter().next() }
}
