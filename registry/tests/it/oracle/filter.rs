//! `_filter` as the R4 page search_filter.html reads, evaluated resource by resource.
//!
//! The text becomes a tree, the tree is asked of each resource. What a name or operator means on a type is taken from
//! the standard's tables; what it is compared with, from `value`. Choices are those of `docs/search.md`.

use super::compare::{Question, date_holds, passes, plain, split, unescape};
use super::naive::{Naive, Stored};
use super::params::{Kind, Param, param};
use super::time::{Decimal, range};
use super::value::{Reference, Value};

/// Whether a resource passes a filter.
///
/// # Errors
/// Names what the oracle cannot read.
pub(crate) fn holds(all: &Naive, stored: &Stored, text: &str) -> Result<bool, String> {
    let mut letters = Letters { left: text };
    let tree = letters.tree();
    if !letters.left.trim().is_empty() || !is_readable(&tree, stored.of()) {
        return Err(format!("the oracle cannot read {text} on {}", stored.of()));
    }
    Ok(is_true(&tree, all, stored))
}

enum Tree {
    Both(Box<Tree>, Box<Tree>),
    Either(Box<Tree>, Box<Tree>),
    Inverse(Box<Tree>),
    Ask(Vec<Name>, String, String),
}

#[derive(Clone)]
struct Name {
    text: String,
    brackets: Option<std::rc::Rc<Tree>>,
}

struct Letters<'a> {
    left: &'a str,
}

impl Letters<'_> {
    fn tree(&mut self) -> Tree {
        let mut tree = self.one();
        loop {
            self.left = self.left.trim_start();
            if let Some(rest) = self.left.strip_prefix("and ") {
                self.left = rest;
                tree = Tree::Both(Box::new(tree), Box::new(self.one()));
            } else if let Some(rest) = self.left.strip_prefix("or ") {
                self.left = rest;
                tree = Tree::Either(Box::new(tree), Box::new(self.one()));
            } else {
                return tree;
            }
        }
    }

    fn one(&mut self) -> Tree {
        self.left = self.left.trim_start();
        for (sign, inverse) in [("not (", true), ("(", false)] {
            if let Some(rest) = self.left.strip_prefix(sign) {
                self.left = rest;
                let tree = self.tree();
                self.take(")");
                return if inverse { Tree::Inverse(Box::new(tree)) } else { tree };
            }
        }
        let mut names = Vec::new();
        loop {
            let text = self.until(&[' ', '.', '[']);
            let brackets = self.left.starts_with('[').then(|| {
                self.take("[");
                let tree = self.tree();
                self.take("]");
                std::rc::Rc::new(tree)
            });
            names.push(Name { text, brackets });
            if !self.left.starts_with('.') {
                break;
            }
            self.take(".");
        }
        self.take(" ");
        let operator = self.until(&[' ']);
        self.take(" ");
        let value = if self.left.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(self.left).into_iter::<String>();
            let value = values.next().expect("a string").expect("a string of JSON");
            let end = values.byte_offset();
            self.left = &self.left[end..];
            value
        } else {
            self.until(&[' ', ')', ']'])
        };
        Tree::Ask(names, operator, value)
    }

    fn until(&mut self, ends: &[char]) -> String {
        let end = self.left.find(ends).unwrap_or(self.left.len());
        let (text, rest) = self.left.split_at(end);
        self.left = rest;
        text.to_owned()
    }

    fn take(&mut self, sign: &str) {
        let rest = self.left.strip_prefix(sign);
        self.left = rest.unwrap_or_else(|| panic!("{sign:?} should stand before {}", self.left));
    }
}

fn is_true(tree: &Tree, all: &Naive, stored: &Stored) -> bool {
    match tree {
        Tree::Both(a, b) => is_true(a, all, stored) && is_true(b, all, stored),
        Tree::Either(a, b) => is_true(a, all, stored) || is_true(b, all, stored),
        Tree::Inverse(one) => !is_true(one, all, stored),
        Tree::Ask(names, operator, value) => ask(names, operator, value, all, stored),
    }
}

fn ask(names: &[Name], operator: &str, value: &str, all: &Naive, stored: &Stored) -> bool {
    let (first, rest) = names.split_first().expect("a name");
    if let Some((source, code, behind)) = has(first, rest) {
        let points = |one: &Reference| one.local.as_ref() == Some(&stored.key);
        let mut sources = all.visible(source);
        return sources.any(|other| {
            other.references(code).iter().any(points) && ask(&behind, operator, value, all, other)
        });
    }
    if let Some(pair) = pair(first, rest, stored.of(), value) {
        let own = stored.values_of(pair.composite);
        let holds = |values: &[Value], asked: &str| {
            let of = |one: &Value| Question { kind: kind_of(one), modifier: "", parts: &[] };
            values.iter().any(|one| passes(one, of(one), asked).unwrap_or(false))
        };
        return own.iter().any(|one| match one {
            Value::Composite(parts) => {
                holds(&parts[0], &pair.asked[0]) && holds(&parts[1], &pair.asked[1])
            }
            _ => false,
        });
    }
    if rest.is_empty() {
        return compares(stored, &first.text, operator, value);
    }
    let (code, only) = first.text.split_once(':').unwrap_or((&first.text, ""));
    stored.references(code).into_iter().filter_map(|one| all.named(&one.local?)).any(|other| {
        let is_meant = (only.is_empty() || other.of() == only) && all.sees(other);
        let reads = is_readable_path(rest, operator, value, other.of())
            && first.brackets.as_ref().is_none_or(|tree| is_readable(tree, other.of()));
        is_meant
            && reads
            && first.brackets.as_ref().is_none_or(|tree| is_true(tree, all, other))
            && ask(rest, operator, value, all, other)
    })
}

/// `_has:Type:reference:name`: type, reference and the path from there.
fn has<'a>(first: &'a Name, rest: &[Name]) -> Option<(&'a str, &'a str, Vec<Name>)> {
    let mut parts = first.text.strip_prefix("_has:")?.splitn(3, ':');
    let (source, code) = (parts.next()?, parts.next()?);
    let inner = Name { text: parts.next()?.to_owned(), brackets: first.brackets.clone() };
    Some((source, code, std::iter::once(inner).chain(rest.iter().cloned()).collect()))
}

/// What two children of one element must be.
struct Pair {
    composite: &'static str,
    asked: [String; 2],
}

/// The additional parameters of the page that R4 still has values for.
fn pair(first: &Name, rest: &[Name], of: &str, value: &str) -> Option<Pair> {
    let (composite, children) = match (of, &*first.text) {
        ("DocumentReference", "relatesTo") => ("relationship", ["code", "target"]),
        ("Group", "characteristic") => ("characteristic-value", ["code", "value"]),
        _ => return None,
    };
    let Tree::Ask(inner, _, inner_value) = first.brackets.as_deref()? else { return None };
    let asked = children
        .map(|child| if rest[0].text == child { value.to_owned() } else { inner_value.clone() });
    assert!(children.contains(&&*inner[0].text));
    Some(Pair { composite, asked })
}

/// Whether the names and operators of a tree have a meaning on a type.
fn is_readable(tree: &Tree, of: &str) -> bool {
    match tree {
        Tree::Both(a, b) | Tree::Either(a, b) => is_readable(a, of) && is_readable(b, of),
        Tree::Inverse(one) => is_readable(one, of),
        Tree::Ask(names, operator, value) => is_readable_path(names, operator, value, of),
    }
}

fn is_readable_path(names: &[Name], operator: &str, value: &str, of: &str) -> bool {
    let (first, rest) = names.split_first().expect("a name");
    if let Some((source, code, behind)) = has(first, rest) {
        return param(source, code).is_some_and(|param| param.targets.contains(&of))
            && is_readable_path(&behind, operator, value, source);
    }
    if pair(first, rest, of, value).is_some() {
        return true;
    }
    let (code, only) = first.text.split_once(':').unwrap_or((&first.text, ""));
    if rest.is_empty() {
        return match code {
            "_id" => ["eq", "ne", "pr"].contains(&operator),
            "_lastUpdated" => takes(Kind::Date, operator),
            _ => param(of, code).is_some_and(|param| takes(param.kind, operator)),
        };
    }
    let targets = param(of, code).map_or(&[][..], |param| &param.targets);
    targets.iter().filter(|target| only.is_empty() || **target == only).any(|target| {
        is_readable_path(rest, operator, value, target)
            && first.brackets.as_ref().is_none_or(|tree| is_readable(tree, target))
    })
}

/// The standard's table of operators by type; for the types that it leaves out, `docs/search.md`.
fn takes(kind: Kind, operator: &str) -> bool {
    let taken = match kind {
        Kind::String => "eq ne co sw ew gt lt ge le pr",
        Kind::Number => "eq ne co gt lt ge le ap sa eb pr",
        Kind::Date => "eq ne co gt lt ge le ap sa eb po pr",
        Kind::Token => "eq ne ss sb in ni pr",
        Kind::Reference => "re pr",
        Kind::Quantity => "eq ne gt lt ge le ap sa eb pr",
        Kind::Uri => "eq ne co sw ew pr",
        Kind::Composite => "eq",
        Kind::Special => "eq pr",
    };
    taken.split(' ').any(|one| one == operator)
}

fn compares(stored: &Stored, code: &str, operator: &str, value: &str) -> bool {
    match (code, operator) {
        ("_id" | "_lastUpdated", "pr") => return value == "true",
        ("_id", _) => return (stored.id() == value) == (operator == "eq"),
        ("_lastUpdated", _) => {
            return date((stored.updated_us, stored.updated_us + 1), operator, value);
        }
        _ => {}
    }
    let param = param(stored.of(), code).expect("a readable name");
    let own = stored.values(param);
    if operator == "pr" {
        return own.is_empty() != (value == "true");
    }
    let value = with_namespace(param, value);
    let any = |modifier: &str, asked: &str| {
        let parts: Vec<Kind> = param.parts.iter().map(|(kind, _)| *kind).collect();
        let question = Question { kind: param.kind, modifier, parts: &parts };
        own.iter().any(|one| passes(one, question, asked).expect("a known modifier"))
    };
    match (param.kind, operator) {
        (Kind::Token, "ne") => !own.is_empty() && !any("", &value),
        (Kind::Token, "ss") => any("below", &value),
        (Kind::Token, "sb") => any("above", &value),
        (Kind::Token, "in") => any("in", &value),
        (Kind::Token, "ni") => !any("in", &value),
        (Kind::Token | Kind::Reference | Kind::Composite, _) => any("", &value),
        (Kind::Quantity, _) => any("", &format!("{operator}{value}")),
        (Kind::Number, "co") => {
            let asked = Decimal::parse(&value).expect("a number");
            own.iter()
                .any(|one| matches!(one, Value::Number(lo, hi) if *lo <= asked && asked <= *hi))
        }
        (Kind::Number, _) => any("", &format!("{operator}{value}")),
        (Kind::Date, _) => own.iter().any(|one| match one {
            Value::Date(lo, hi) => date((*lo, *hi), operator, &value),
            _ => false,
        }),
        (Kind::String, _) => own.iter().any(|one| match one {
            Value::Text(text) => text_holds(&plain(text), operator, &plain(&value)),
            _ => false,
        }),
        (Kind::Uri, _) => own.iter().any(|one| match one {
            Value::Uri(uri) => text_holds(uri, operator, &value),
            _ => false,
        }),
        (Kind::Special, _) => any("", &value),
    }
}

fn date((lo, hi): (i64, i64), operator: &str, value: &str) -> bool {
    let (asked_lo, asked_hi) = range(value).unwrap_or_else(|| panic!("date {value}"));
    match operator {
        "co" => lo <= asked_lo && asked_hi <= hi,
        "po" => lo < asked_hi && asked_lo < hi,
        _ => date_holds((lo, hi), &format!("{operator}{value}")),
    }
}

fn text_holds(own: &str, operator: &str, asked: &str) -> bool {
    let order = own.chars().cmp(asked.chars());
    match operator {
        "eq" => own == asked,
        "ne" => own != asked,
        "co" => own.contains(asked),
        "sw" => own.starts_with(asked),
        "ew" => own.ends_with(asked),
        "gt" => order.is_gt(),
        "lt" => order.is_lt(),
        "ge" => order.is_ge(),
        _ => order.is_le(),
    }
}

/// `loinc`, `snomed`, `rxnorm` and `ucum` stand for their namespaces.
fn with_namespace(param: &Param, value: &str) -> String {
    let at = match param.kind {
        Kind::Token => 0,
        Kind::Quantity => 1,
        _ => return value.to_owned(),
    };
    let mut parts: Vec<String> = split(value, '|').into_iter().map(str::to_owned).collect();
    if parts.len() > at + 1 {
        let named = match &*unescape(&parts[at]) {
            "loinc" => Some("http://loinc.org"),
            "snomed" => Some("http://snomed.info/sct"),
            "rxnorm" => Some("http://www.nlm.nih.gov/research/umls/rxnorm"),
            "ucum" => Some("http://unitsofmeasure.org"),
            _ => None,
        };
        parts[at] = named.map_or_else(|| parts[at].clone(), str::to_owned);
    }
    parts.join("|")
}

fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Reference(_) => Kind::Reference,
        _ => Kind::Token,
    }
}
