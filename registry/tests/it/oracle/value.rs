//! Values of the parameters that the oracle knows, read from the JSON by hand.
//!
//! Nothing of the product's extraction, tables or comparison is used here.

use serde_json::Value as Json;

/// One value of a parameter.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Token {
        system: Option<String>,
        code: Option<String>,
    },
    Reference(String),
    /// Half-open, in microseconds.
    Date(i64, i64),
    Quantity {
        value: f64,
        system: Option<String>,
        code: Option<String>,
        unit: Option<String>,
    },
    Text(String),
    Uri(String),
}

/// All values of `code` on a resource; `None` for a parameter the oracle does not know.
#[expect(clippy::too_many_lines, reason = "one table, a line a parameter")]
pub(crate) fn values(resource: &Json, code: &str) -> Option<Vec<Value>> {
    let name = resource["resourceType"].as_str()?;
    let at = |path: &str| all(resource, path);
    let tokens = |path: &str| at(path).into_iter().flat_map(concept).collect::<Vec<_>>();
    let codes = |path: &str, system: &str| {
        let of = |node: &Json| Value::Token {
            system: Some(system.to_owned()),
            code: node.as_str().map(str::to_owned),
        };
        at(path).into_iter().map(of).collect::<Vec<_>>()
    };
    let references = |path: &str| at(path).into_iter().filter_map(reference).collect::<Vec<_>>();
    let only = |path: &str, of: &str| {
        let mut found = references(path);
        found
            .retain(|v| matches!(v, Value::Reference(text) if text.starts_with(&format!("{of}/"))));
        found
    };
    let dates = |path: &str| at(path).into_iter().filter_map(date).collect::<Vec<_>>();
    let texts = |paths: &[&str]| {
        let text = |node: &Json| node.as_str().map(|text| Value::Text(text.to_owned()));
        paths.iter().flat_map(|path| at(path)).filter_map(text).collect::<Vec<_>>()
    };
    let uris = |path: &str| {
        let uri = |node: &Json| node.as_str().map(|text| Value::Uri(text.to_owned()));
        at(path).into_iter().filter_map(uri).collect::<Vec<_>>()
    };
    Some(match (name, code) {
        (_, "_tag") => tokens("meta.tag"),
        (_, "_profile") => uris("meta.profile"),
        (_, "identifier") => at("identifier").into_iter().map(identifier).collect(),
        ("Patient" | "Practitioner", "name") => {
            texts(&["name.text", "name.family", "name.given", "name.prefix", "name.suffix"])
        }
        ("Patient" | "Practitioner", "family") => texts(&["name.family"]),
        ("Patient" | "Practitioner", "given") => texts(&["name.given"]),
        ("Patient", "gender") => codes("gender", "http://hl7.org/fhir/administrative-gender"),
        ("Patient", "birthdate") => dates("birthDate"),
        ("Patient", "address-city") => texts(&["address.city"]),
        ("Organization", "name") => texts(&["name", "alias"]),
        ("Organization", "address-city") => texts(&["address.city"]),
        ("Observation" | "Condition" | "Procedure", "code") => tokens("code"),
        ("Observation", "category") => tokens("category"),
        ("Observation", "status") => codes("status", "http://hl7.org/fhir/observation-status"),
        ("Observation", "date") => [dates("effectiveDateTime"), dates("effectivePeriod")].concat(),
        ("Observation", "value-quantity") => quantities(at("valueQuantity")),
        ("Observation", "component-code") => tokens("component.code"),
        ("Observation", "combo-code") => [tokens("code"), tokens("component.code")].concat(),
        ("Observation", "component-value-quantity") => quantities(at("component.valueQuantity")),
        ("Observation" | "Condition" | "Encounter" | "Procedure", "subject") => {
            references("subject.reference")
        }
        ("Observation" | "Condition" | "Encounter" | "Procedure", "patient") => {
            only("subject.reference", "Patient")
        }
        ("Observation" | "Condition" | "Procedure", "encounter") => {
            references("encounter.reference")
        }
        ("Encounter", "status") => codes("status", "http://hl7.org/fhir/encounter-status"),
        ("Encounter", "class") => tokens("class"),
        ("Encounter", "type") => tokens("type"),
        ("Encounter", "date") => dates("period"),
        ("Encounter", "service-provider") => references("serviceProvider.reference"),
        ("Encounter", "participant") => references("participant.individual.reference"),
        ("Condition", "clinical-status") => tokens("clinicalStatus"),
        ("Condition", "onset-date") => [dates("onsetDateTime"), dates("onsetPeriod")].concat(),
        ("Condition", "recorded-date") => dates("recordedDate"),
        ("Procedure", "date") => [dates("performedDateTime"), dates("performedPeriod")].concat(),
        _ => return None,
    })
}

/// The parameter that the default order follows.
pub(crate) fn clinical(name: &str) -> Option<&'static str> {
    match name {
        "Observation" | "Encounter" | "Procedure" => Some("date"),
        "Condition" => Some("recorded-date"),
        _ => None,
    }
}

/// Nodes at a dotted path, lists flattened.
pub(crate) fn all<'a>(node: &'a Json, path: &str) -> Vec<&'a Json> {
    let mut nodes = vec![node];
    for name in path.split('.') {
        let step = |node: &'a Json| match node.get(name) {
            Some(Json::Array(items)) => items.iter().collect::<Vec<_>>(),
            Some(one) => vec![one],
            None => Vec::new(),
        };
        nodes = nodes.into_iter().flat_map(step).collect();
    }
    nodes
}

fn text(node: &Json, name: &str) -> Option<String> {
    node[name].as_str().map(str::to_owned)
}

fn concept(node: &Json) -> Vec<Value> {
    let coding =
        |node: &Json| Value::Token { system: text(node, "system"), code: text(node, "code") };
    match node["coding"].as_array() {
        Some(codings) => codings.iter().map(coding).collect(),
        None if node.get("code").is_some() => vec![coding(node)],
        None => vec![Value::Token { system: None, code: None }],
    }
}

fn identifier(node: &Json) -> Value {
    Value::Token { system: text(node, "system"), code: text(node, "value") }
}

fn reference(node: &Json) -> Option<Value> {
    let text = node.as_str()?;
    let key = text.split("/_history/").next()?;
    Some(Value::Reference(key.to_owned()))
}

fn quantities(nodes: Vec<&Json>) -> Vec<Value> {
    let one = |node: &Json| {
        Some(Value::Quantity {
            value: node["value"].to_string().parse().ok()?,
            system: text(node, "system"),
            code: text(node, "code"),
            unit: text(node, "unit"),
        })
    };
    nodes.into_iter().filter_map(one).collect()
}

fn date(node: &Json) -> Option<Value> {
    if let Some(text) = node.as_str() {
        return range(text).map(|(lo, hi)| Value::Date(lo, hi));
    }
    let lo = node["start"].as_str().and_then(range).map_or(i64::MIN, |(lo, _)| lo);
    let hi = node["end"].as_str().and_then(range).map_or(i64::MAX, |(_, hi)| hi);
    Some(Value::Date(lo, hi))
}

/// Half-open range of a date, time or partial date; without an offset it is UTC.
pub(crate) fn range(text: &str) -> Option<(i64, i64)> {
    const SECOND: i64 = 1_000_000;
    let number = |text: &str| text.parse::<i64>().ok();
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let parts: Vec<i64> = day.split('-').map(number).collect::<Option<_>>()?;
    let day_us = |y, m, d| days(y, m, d) * 86_400 * SECOND;
    let Some(time) = time else {
        return Some(match parts[..] {
            [y] => (day_us(y, 1, 1), day_us(y + 1, 1, 1)),
            [y, 12] => (day_us(y, 12, 1), day_us(y + 1, 1, 1)),
            [y, m] => (day_us(y, m, 1), day_us(y, m + 1, 1)),
            [y, m, d] => (day_us(y, m, d), day_us(y, m, d) + 86_400 * SECOND),
            _ => return None,
        });
    };
    let [y, m, d] = parts[..] else { return None };
    let (clock, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], &time[at..]),
        None => (time, "Z"),
    };
    let offset_minutes = match offset {
        "Z" => 0,
        other => {
            let (hours, minutes) = other[1..].split_once(':')?;
            let minutes = number(hours)? * 60 + number(minutes)?;
            if other.starts_with('-') { -minutes } else { minutes }
        }
    };
    let mut fields = clock.split(':');
    let hour = number(fields.next()?)?;
    let minute = number(fields.next()?)?;
    let base = day_us(y, m, d) + ((hour * 60 + minute - offset_minutes) * 60) * SECOND;
    let Some(seconds) = fields.next() else { return Some((base, base + 60 * SECOND)) };
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let unit = SECOND / 10_i64.pow(u32::try_from(fraction.len()).ok()?);
    let lo = base + number(whole)? * SECOND + number(fraction).unwrap_or(0) * unit;
    Some((lo, lo + unit))
}

/// Days since 1970-01-01, counted year by year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let years = if year >= 1970 {
        (1970..year).map(|y| if leap(y) { 366 } else { 365 }).sum::<i64>()
    } else {
        -(year..1970).map(|y| if leap(y) { 366 } else { 365 }).sum::<i64>()
    };
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before: i64 = lengths.iter().take(usize::try_from(month - 1).unwrap_or(0)).sum();
    years + before + day - 1
}
