//! What the elements of a parameter are worth in a search, by kind of parameter and type of element.
//!
//! Spec: FHIR R4 search § 3.1.1.4.6 to 3.1.1.4.14. Read from plain JSON; the choices that the standard
//! leaves open are those of `docs/search.md`.

use serde_json::Value as Json;

use super::params::{Kind, Param};
use super::path::{Node, root, select};
use super::schema::{choice_name, schema};
use super::time::{Decimal, range};
use super::vocabulary::BASE;

/// One value of a parameter.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Token(Token),
    Reference(Reference),
    /// Half-open, in microseconds.
    Date(i64, i64),
    /// Both ends inclusive.
    Number(Decimal, Decimal),
    Quantity(Quantity),
    Text(String),
    Uri(String),
    /// Degrees north and east.
    Position(f64, f64),
    /// Of one element, a list for each part.
    Composite(Vec<Vec<Value>>),
    /// The element is there and says nothing that could be compared: only `:missing` sees it.
    Nothing,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Token {
    pub(crate) system: Option<String>,
    pub(crate) code: Option<String>,
    /// Display, text of the concept, or text of the identifier's type.
    pub(crate) texts: Vec<String>,
    /// System and code of each type of an identifier.
    pub(crate) types: Vec<(Option<String>, Option<String>)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    /// `Type/id` of a resource here, without a version.
    pub(crate) local: Option<String>,
    /// Any other URL, without a version.
    pub(crate) url: Option<String>,
    /// After the bar of a canonical.
    pub(crate) version: Option<String>,
    /// It stands in a `canonical`, `uri` or `url`.
    pub(crate) canonical: bool,
    /// System and value of `Reference.identifier`.
    pub(crate) identifier: Option<(Option<String>, Option<String>)>,
    pub(crate) display: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Quantity {
    /// Both ends inclusive.
    pub(crate) lo: Decimal,
    pub(crate) hi: Decimal,
    pub(crate) system: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) unit: Option<String>,
}

/// All values of the parameter on a resource.
pub(crate) fn values(resource: &Json, param: &Param) -> Vec<Value> {
    let Some(expression) = &param.expression else { return Vec::new() };
    let resource = root(resource);
    let nodes = select(expression, resource, resource);
    if param.kind != Kind::Composite {
        let all = nodes.into_iter().flat_map(|node| of_node(param.kind, node));
        return all.filter(|value| is_meant(value, param)).collect();
    }
    let mut all = Vec::new();
    for node in nodes {
        let part = |(kind, expression): &(Kind, _)| {
            let nodes = select(expression, resource, node);
            nodes.into_iter().flat_map(|node| read(*kind, node)).collect::<Vec<_>>()
        };
        let mut parts: Vec<_> = param.parts.iter().map(part).collect();
        parts.iter_mut().for_each(|part| part.retain(is_coded));
        if parts.iter().all(|part| !part.is_empty()) {
            all.push(Value::Composite(parts));
        }
    }
    all
}

/// Composites pair codes: a token without one is no part of them.
fn is_coded(value: &Value) -> bool {
    !matches!(value, Value::Token(Token { code: None, .. }))
}

/// A reference to a type that the parameter does not name is none of its values.
fn is_meant(value: &Value, param: &Param) -> bool {
    let Value::Reference(Reference { local: Some(key), .. }) = value else { return true };
    // A parameter that names no types means all.
    param.targets.is_empty() || param.targets.iter().any(|of| key.split('/').next() == Some(of))
}

/// Values of an element; one that says nothing comparable is there all the same.
fn of_node(kind: Kind, node: Node<'_>) -> Vec<Value> {
    let values = read(kind, node);
    let is_empty = values.is_empty() && DATA_TYPES.contains(&node.of);
    if is_empty { vec![Value::Nothing] } else { values }
}

fn read(kind: Kind, node: Node<'_>) -> Vec<Value> {
    if node.of == "Extension" {
        return extension(kind, node);
    }
    match kind {
        Kind::Token => tokens(node),
        Kind::Reference => reference(node).into_iter().map(Value::Reference).collect(),
        Kind::Date => vec![date(node).map_or(Value::Nothing, |(lo, hi)| Value::Date(lo, hi))],
        Kind::Number => match node.of {
            "Range" => quantity(node).map(|q| Value::Number(q.lo, q.hi)).into_iter().collect(),
            _ => number(node.json).map(|n| Value::Number(n, n)).into_iter().collect(),
        },
        Kind::Quantity => vec![quantity(node).map_or(Value::Nothing, Value::Quantity)],
        Kind::String => strings(node),
        Kind::Uri => text(node.json).map(Value::Uri).into_iter().collect(),
        Kind::Special => {
            let degrees = |name: &str| node.json[name].as_f64();
            let both = degrees("latitude").zip(degrees("longitude"));
            both.map(|(north, east)| Value::Position(north, east)).into_iter().collect()
        }
        Kind::Composite => Vec::new(),
    }
}

fn extension(kind: Kind, node: Node<'_>) -> Vec<Value> {
    let types = schema().element("Extension", "value").map(|one| &one.types[..]).unwrap_or(&[]);
    let value = |of: &&'static str| {
        let json = node.json.get(choice_name("value", of))?;
        Some(of_node(kind, Node { json, of, set: None }))
    };
    types.iter().filter_map(value).flatten().collect()
}

/// Those that codes and texts are read from.
const DATA_TYPES: [&str; 8] = [
    "Address",
    "Annotation",
    "CodeableConcept",
    "Coding",
    "ContactPoint",
    "Dosage",
    "HumanName",
    "Identifier",
];

fn text(json: &Json) -> Option<String> {
    json.as_str().map(str::to_owned)
}

fn field(json: &Json, name: &str) -> Option<String> {
    text(&json[name])
}

fn list<'a>(json: &'a Json, name: &str) -> impl Iterator<Item = &'a Json> {
    json[name].as_array().into_iter().flatten()
}

fn token(system: Option<String>, code: Option<String>) -> Token {
    Token { system, code, ..Token::default() }
}

/// A truth value as a token.
pub(crate) fn boolean(value: bool) -> Value {
    Value::Token(truth(value))
}

fn truth(value: bool) -> Token {
    token(Some(BOOLEANS.to_owned()), Some(value.to_string()))
}

fn tokens(node: Node<'_>) -> Vec<Value> {
    let json = node.json;
    let found = match node.of {
        "boolean" => json.as_bool().map(truth).into_iter().collect(),
        "code" => {
            // A value set over several systems implies none.
            let set = node.set.map_or(&[][..], |set| schema().codes(set));
            let first = set.first().map(|(system, _)| *system);
            let system = first.filter(|first| set.iter().all(|(system, _)| system == first));
            vec![token(system.map(str::to_owned), text(json))]
        }
        "Coding" => vec![coding(json)],
        "CodeableConcept" => concept(json),
        "ContactPoint" => vec![token(field(json, "use"), field(json, "value"))],
        "Identifier" => vec![identifier(json)],
        // Of a choice, types that are no codes: a quantity among the values of a characteristic.
        _ if json.is_object() => Vec::new(),
        _ => vec![token(None, text(json).or_else(|| Some(json.to_string())))],
    };
    found.into_iter().map(Value::Token).collect()
}

fn coding(json: &Json) -> Token {
    let texts = field(json, "display").into_iter().collect();
    Token { texts, ..token(field(json, "system"), field(json, "code")) }
}

fn concept(json: &Json) -> Vec<Token> {
    let mut all: Vec<_> = list(json, "coding").map(coding).collect();
    if let Some(text) = field(json, "text") {
        all.push(Token { texts: vec![text], ..Token::default() });
    }
    all
}

fn identifier(json: &Json) -> Token {
    let types = list(&json["type"], "coding");
    Token {
        texts: field(&json["type"], "text").into_iter().collect(),
        types: types.map(|one| (field(one, "system"), field(one, "code"))).collect(),
        ..token(field(json, "system"), field(json, "value"))
    }
}

fn reference(node: Node<'_>) -> Option<Reference> {
    let json = node.json;
    match node.of {
        "Reference" => {
            let identifier = json.get("identifier");
            let mut found =
                field(json, "reference").map_or_else(Reference::default, |text| literal(&text));
            found.identifier = identifier.map(|one| (field(one, "system"), field(one, "value")));
            found.display = field(json, "display");
            Some(found)
        }
        "canonical" | "uri" | "url" => {
            let text = text(json)?;
            if text.starts_with('#') {
                return Some(Reference::default());
            }
            let (url, version) = match text.split_once('|') {
                Some((url, version)) => (url.to_owned(), Some(version.to_owned())),
                None => (text, None),
            };
            Some(Reference { url: Some(url), version, canonical: true, ..Reference::default() })
        }
        of => {
            let id = field(json, "id")?;
            Some(Reference { local: Some(format!("{of}/{id}")), ..Reference::default() })
        }
    }
}

/// A literal reference; versions do not count, fragments point to nothing that is stored.
pub(crate) fn literal(text: &str) -> Reference {
    let path = text.split("/_history/").next().unwrap_or(text);
    let path = path.strip_prefix(BASE).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
    let is_local = match path.split_once('/') {
        Some((of, id)) => schema().is_a(of, "Resource") && !id.contains('/'),
        None => false,
    };
    let path = Some(path.to_owned());
    match is_local {
        true => Reference { local: path, ..Reference::default() },
        false if text.contains(':') => Reference { url: path, ..Reference::default() },
        false => Reference::default(),
    }
}

fn date(node: Node<'_>) -> Option<(i64, i64)> {
    let json = node.json;
    let end = |name: &str| json[name].as_str().and_then(range);
    match node.of {
        "Period" => {
            let (start, end) = (end("start"), end("end"));
            start.or(end)?;
            Some((start.map_or(i64::MIN, |(lo, _)| lo), end.map_or(i64::MAX, |(_, hi)| hi)))
        }
        "Timing" => {
            let events = list(json, "event").filter_map(|event| event.as_str().and_then(range));
            let bounds = json["repeat"].get("boundsPeriod");
            let bounds = bounds.and_then(|json| date(Node { json, of: "Period", set: None }));
            events.chain(bounds).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        }
        _ => json.as_str().and_then(range),
    }
}

fn number(json: &Json) -> Option<Decimal> {
    json.is_number().then(|| Decimal::parse(&json.to_string()))?
}

fn quantity(node: Node<'_>) -> Option<Quantity> {
    let json = node.json;
    let units = |json: &Json| (field(json, "system"), field(json, "code"), field(json, "unit"));
    let (lo, hi, (system, code, unit)) = match node.of {
        "Money" => {
            let value = number(&json["value"])?;
            let currency = field(json, "currency");
            let system = currency.as_ref().map(|_| CURRENCIES.to_owned());
            (value, value, (system, currency.clone(), currency))
        }
        "Range" => {
            let (low, high) = (number(&json["low"]["value"]), number(&json["high"]["value"]));
            low.or(high)?;
            let units = units(if low.is_some() { &json["low"] } else { &json["high"] });
            (low.unwrap_or(Decimal::LOWEST), high.unwrap_or(Decimal::HIGHEST), units)
        }
        "SampledData" => {
            let (lo, hi) = samples(json)?;
            (lo, hi, units(&json["origin"]))
        }
        _ => {
            let value = number(&json["value"])?;
            let (lo, hi) = match json["comparator"].as_str() {
                Some("<=") => (Decimal::LOWEST, value),
                Some(">=") => (value, Decimal::HIGHEST),
                // A little less, a little more.
                Some("<") => (Decimal::LOWEST, Decimal(value.0 - 1)),
                Some(">") => (Decimal(value.0 + 1), Decimal::HIGHEST),
                _ => (value, value),
            };
            (lo, hi, units(json))
        }
    };
    Some(Quantity { lo, hi, system, code, unit })
}

/// Least and greatest sample; beyond the limits of detection everything is possible.
fn samples(json: &Json) -> Option<(Decimal, Decimal)> {
    let origin = number(&json["origin"]["value"])?.0;
    let factor = number(&json["factor"]).map_or(1, |factor| factor.0 / 10_i128.pow(18));
    let one = |sample: &str| match sample {
        "E" => None,
        "L" => Some(Decimal::LOWEST),
        "U" => Some(Decimal::HIGHEST),
        number => Some(Decimal(origin + Decimal::parse(number)?.0 * factor)),
    };
    let all: Vec<_> = json["data"].as_str()?.split(' ').filter_map(one).collect();
    Some((*all.iter().min()?, *all.iter().max()?))
}

fn strings(node: Node<'_>) -> Vec<Value> {
    let json = node.json;
    let parts: &[&str] = match node.of {
        "HumanName" => &["text", "family", "given", "prefix", "suffix"],
        "Address" => &["text", "line", "city", "district", "state", "postalCode", "country"],
        "Annotation" | "Dosage" | "CodeableConcept" => &["text"],
        "Coding" => &["display"],
        _ => return text(json).map(Value::Text).into_iter().collect(),
    };
    let items = |name: &&str| match &json[*name] {
        Json::Array(items) => items.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect::<Vec<_>>(),
    };
    let mut all: Vec<_> = parts.iter().flat_map(items).collect();
    if node.of == "CodeableConcept" {
        all.extend(list(json, "coding").filter_map(|coding| field(coding, "display")));
    }
    all.into_iter().map(Value::Text).collect()
}

const BOOLEANS: &str = "http://hl7.org/fhir/special-values";
const CURRENCIES: &str = "urn:iso:std:iso:4217";

/// The elements that a parameter reads, as JSON, for people.
pub(crate) fn root_of(resource: &Json, param: &Param) -> String {
    let Some(expression) = &param.expression else { return String::new() };
    let resource = root(resource);
    let nodes = select(expression, resource, resource);
    nodes.iter().map(|node| node.json.to_string()).collect::<Vec<_>>().join(" ")
}
