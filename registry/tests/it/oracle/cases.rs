//! Queries made from what the product advertises and from the values that the corpus has.
//!
//! Every advertised parameter is asked with every modifier, prefix and form of value; chains, `_has`, includes
//! and sort keys are drawn from the same lists. What is advertised and unknown to the oracle is asked as well
//! and fails there by its name.

use fhir::ResourceType;
use registry::search::{SupportedParam, supported};

use super::dice::Dice;
use super::naive::Naive;
use super::params::{Kind, Param, param};
use super::phrase::phrase;

/// One search: decoded names and values.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Case {
    pub(crate) of: &'static str,
    pub(crate) pairs: Vec<(String, String)>,
}

impl Case {
    fn one(of: &'static str, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { of, pairs: vec![(name.into(), value.into())] }
    }

    /// Both at once.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self { of: self.of, pairs: [&self.pairs[..], &other.pairs].concat() }
    }

    /// The query string.
    pub(crate) fn query(&self) -> String {
        let pair = |(name, value): &(String, String)| format!("{name}={}", encode(value));
        self.pairs.iter().map(pair).collect::<Vec<_>>().join("&")
    }

    /// As a person would read it.
    pub(crate) fn shown(&self) -> String {
        let pair = |(name, value): &(String, String)| format!("{name}={value}");
        format!("{}?{}", self.of, self.pairs.iter().map(pair).collect::<Vec<_>>().join("&"))
    }
}

/// How one parameter is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Way {
    pub(crate) modifier: &'static str,
    pub(crate) prefix: &'static str,
}

/// Makes cases over one corpus.
pub(crate) struct Cases<'a> {
    pub(crate) oracle: &'a Naive,
    pub(crate) dice: Dice,
}

impl Cases<'_> {
    /// A parameter in all its ways.
    pub(crate) fn of_param(&mut self, of: &'static str, param: &SupportedParam) -> Vec<Case> {
        let all = ways(param).into_iter();
        all.filter_map(|way| self.asked(of, param.param.code, way)).collect()
    }

    /// A parameter in one of its ways.
    pub(crate) fn any_way(&mut self, of: &'static str, param: &SupportedParam) -> Option<Case> {
        let way = self.dice.pick(&ways(param));
        self.asked(of, param.param.code, way)
    }

    fn asked(&mut self, of: &'static str, code: &str, way: Way) -> Option<Case> {
        if let Some((modifier, value)) = self.own_column(of, code, way) {
            return Some(Case::one(of, with_modifier(code, modifier), value));
        }
        let known = self.known(of, code);
        let modifier = match way.modifier {
            "[type]" => self.dice.pick_any(&known.targets)?,
            other => other,
        };
        let mut alternatives = Vec::new();
        for _ in 0..if self.dice.chance(25) { 2 } else { 1 } {
            alternatives.push(phrase(self.oracle, &mut self.dice, of, known, way, modifier)?);
        }
        let value = if way.modifier == "missing" { &alternatives[..1] } else { &alternatives };
        Some(Case::one(of, with_modifier(code, modifier), value.join(",")))
    }

    /// `_id` and `_lastUpdated`, which no expression selects.
    fn own_column(&mut self, of: &str, code: &str, way: Way) -> Option<(&'static str, String)> {
        let all: Vec<_> = self.oracle.visible(of).collect();
        match code {
            "_id" => {
                let id = self.dice.pick_any(&all).map_or("nobody", |one| one.id());
                let other = if self.dice.chance(30) { ",r1,nobody" } else { "" };
                Some((way.modifier, format!("{id}{other}")))
            }
            "_lastUpdated" => {
                let time = self.dice.pick(&["2025", "2026", "2026-01-01", "2026-01-01T00:00:00Z"]);
                Some((way.modifier, format!("{}{time}", way.prefix)))
            }
            _ => None,
        }
    }

    fn known(&self, of: &str, code: &str) -> &'static Param {
        param(of, code).unwrap_or_else(|| panic!("{of} advertises {code}, which R4 has not"))
    }

    /// A chain of so many hops from a reference parameter, ending in any parameter asked in any way.
    pub(crate) fn chain(&mut self, of: &'static str, hops: usize) -> Option<Case> {
        let params: Vec<_> = supported_by(of).into_iter().filter(|one| one.chainable).collect();
        let reference = self.dice.pick_any(&params)?.param.code;
        let targets = reached(self.known(of, reference));
        let target = self.dice.pick_any(&targets)?;
        let inner = match hops {
            1 => self.any_param(target)?,
            _ => self.chain(target, hops - 1)?,
        };
        let (name, value) = inner.pairs.into_iter().next()?;
        let is_typed = targets.len() > 1;
        let hop = if is_typed { format!("{reference}:{target}") } else { reference.to_owned() };
        Some(Case::one(of, format!("{hop}.{name}"), value))
    }

    fn any_param(&mut self, of: &'static str) -> Option<Case> {
        let param = self.dice.pick_any(&supported_by(of))?;
        self.any_way(of, &param)
    }

    /// `_has`, nested so many times, ending in any parameter.
    pub(crate) fn has(&mut self, of: &'static str, levels: usize) -> Option<Case> {
        let (source, code) = self.dice.pick_any(&references_to(of))?;
        let inner = match levels {
            1 => self.any_param(source)?,
            _ => self.has(source, levels - 1)?,
        };
        let (name, value) = inner.pairs.into_iter().next()?;
        Some(Case::one(of, format!("_has:{source}:{code}:{name}"), value))
    }

    /// Sort keys, some of them backwards.
    pub(crate) fn sort(&mut self, of: &'static str, keys: usize) -> Option<Case> {
        let sortable = supported_by(of).into_iter().filter(|one| one.sortable);
        let codes: Vec<_> = sortable.map(|one| one.param.code).collect();
        let mut key = || {
            let sign = if self.dice.chance(50) { "-" } else { "" };
            Some(format!("{sign}{}", self.dice.pick_any(&codes)?))
        };
        let keys = (0..keys).map(|_| key()).collect::<Option<Vec<_>>>()?;
        Some(Case::one(of, "_sort", keys.join(",")))
    }

    /// An include or reverse include.
    pub(crate) fn include(&mut self, of: &'static str) -> Option<Case> {
        let references = supported_by(of).into_iter().filter(|one| one.chainable);
        let codes: Vec<_> = references.map(|one| one.param.code).collect();
        if self.dice.chance(50) {
            let code = self.dice.pick_any(&codes)?;
            let target = self.dice.pick_any(&reached(self.known(of, code)))?;
            let rule = match self.dice.roll(4) {
                0 => format!("{of}:{code}:{target}"),
                1 => "*".to_owned(),
                _ => format!("{of}:{code}"),
            };
            let name = if self.dice.chance(30) { "_include:iterate" } else { "_include" };
            return Some(Case::one(of, name, rule));
        }
        let (source, code) = self.dice.pick_any(&references_to(of))?;
        let target = if self.dice.chance(30) { format!(":{of}") } else { String::new() };
        let name = if self.dice.chance(30) { "_revinclude:iterate" } else { "_revinclude" };
        let rule =
            if self.dice.chance(10) { "*".to_owned() } else { format!("{source}:{code}{target}") };
        Some(Case::one(of, name, rule))
    }
}

/// What the product takes for a type.
pub(crate) fn supported_by(of: &str) -> Vec<SupportedParam> {
    supported(ResourceType::parse(of).expect("a type of R4"))
}

/// Types that a hop over the parameter may reach: accesses are in no index.
fn reached(param: &Param) -> Vec<&'static str> {
    param.targets.iter().copied().filter(|of| *of != ACCESS).collect()
}

const ACCESS: &str = "AuditEvent";

/// Types and codes of the reference parameters that may point to a type by its name.
fn references_to(of: &str) -> Vec<(&'static str, &'static str)> {
    let mut all = Vec::new();
    let sources = super::schema::schema().resources().into_iter();
    for source in sources.filter(|source| *source != ACCESS) {
        let params = supported_by(source).into_iter().filter(|one| one.chainable);
        let known = params.filter_map(|one| param(source, one.param.code));
        let to = known.filter(|param| param.targets.contains(&of));
        all.extend(to.map(|param| (source, param.code)));
    }
    all
}

/// All ways in which a parameter is advertised.
pub(crate) fn ways(param: &SupportedParam) -> Vec<Way> {
    let plain = Way { modifier: "", prefix: "" };
    let mut all = vec![plain];
    if ["Date", "Number", "Quantity"].contains(&&*format!("{:?}", param.param.kind)) {
        all.extend(PREFIXES.iter().map(|prefix| Way { modifier: "", prefix }));
    }
    all.extend(param.modifiers.iter().map(|modifier| Way { modifier, prefix: "" }));
    all
}

fn with_modifier(code: &str, modifier: &str) -> String {
    if modifier.is_empty() { code.to_owned() } else { format!("{code}:{modifier}") }
}

fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Kinds whose parameters make half of a composite.
pub(crate) const ORDERED: [Kind; 3] = [Kind::Date, Kind::Number, Kind::Quantity];
pub(crate) const PREFIXES: &[&str] = &["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
