//! Queries made from what the product advertises and from the values that the corpus has.
//!
//! Every advertised parameter is asked with every modifier, prefix and form of value; chains, `_has`, includes
//! and sort keys are drawn from the same lists. What is advertised and unknown to the oracle is asked as well
//! and fails there by its name.

use fhir::ResourceType;
use registry::search::{SupportedParam, supported};

use super::dice::Dice;
use super::naive::Naive;
use super::params::{Kind, Param, compartment_codes, param};
use super::phrase::phrase;
use super::words;

/// One search: decoded names and values.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Case {
    /// The type; empty for several.
    pub(crate) of: &'static str,
    /// Whose compartment is searched, `Type/id`.
    pub(crate) owner: Option<String>,
    pub(crate) pairs: Vec<(String, String)>,
}

impl Case {
    pub(crate) fn one(of: &'static str, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { of, owner: None, pairs: vec![(name.into(), value.into())] }
    }

    /// Both at once.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let owner = self.owner.clone();
        Self { of: self.of, owner, pairs: [&self.pairs[..], &other.pairs].concat() }
    }

    /// What it includes.
    pub(crate) fn includes(&self) -> Vec<(String, String)> {
        self.pairs.iter().filter(|(name, _)| name.contains("include")).cloned().collect()
    }

    /// The query string.
    pub(crate) fn query(&self) -> String {
        let pair = |(name, value): &(String, String)| format!("{name}={}", encode(value));
        self.pairs.iter().map(pair).collect::<Vec<_>>().join("&")
    }

    /// As a person would read it.
    pub(crate) fn shown(&self) -> String {
        let pair = |(name, value): &(String, String)| format!("{name}={value}");
        let owner = self.owner.as_deref().map_or(String::new(), |owner| format!("{owner}/"));
        format!("{owner}{}?{}", self.of, self.pairs.iter().map(pair).collect::<Vec<_>>().join("&"))
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
        let is_string = || self.known(of, code).kind == Kind::String;
        if matches!(code, "_text" | "_content") || way.modifier == "text" && is_string() {
            let all: Vec<_> = self.oracle.visible(of).collect();
            let some = (0..1 + self.dice.roll(4) / 3).map(|_| {
                let one = self.dice.pick_any(&all);
                words::phrase(&mut self.dice, one, code)
            });
            let value = some.collect::<Vec<_>>().join(",");
            return Some(Case::one(of, with_modifier(code, way.modifier), value));
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
            "_id" | "_lastUpdated" if way.modifier == "missing" => {
                Some((way.modifier, self.dice.pick(&["true", "false"]).to_owned()))
            }
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

    pub(crate) fn known(&self, of: &str, code: &str) -> &'static Param {
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
            2 if self.dice.chance(30) => self.has(target, 1)?,
            _ => self.chain(target, hops - 1)?,
        };
        let (name, value) = inner.pairs.into_iter().next()?;
        let is_untyped = self.dice.chance(40) && reads_alike(&targets, target, &name);
        let is_typed = targets.len() > 1 && !is_untyped;
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
            2 if self.dice.chance(30) => self.chain(source, 1)?,
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

    /// With an include that starts from what another one brings.
    pub(crate) fn include_twice(&mut self, of: &'static str) -> Option<Case> {
        let one = self.include(of)?;
        let next = if one.pairs[0].0.starts_with("_include") {
            let code = one.pairs[0].1.split(':').nth(1).and_then(|code| param(of, code))?;
            // What starts from another type than the one that comes is refused (`refused`).
            let named = one.pairs[0].1.split(':').nth(2);
            let may_come =
                reached(code).into_iter().filter(|of| named.is_none_or(|one| one == *of));
            self.dice.pick_any(&may_come.collect::<Vec<_>>())?
        } else {
            let source = one.pairs[0].1.split(':').next()?;
            self.types().into_iter().find(|of| *of == source)?
        };
        let references = supported_by(next).into_iter().filter(|one| one.chainable);
        let codes: Vec<_> = references.map(|one| one.param.code).collect();
        let code = self.dice.pick_any(&codes)?;
        Some(one.and(&Case::one(of, "_include:iterate", format!("{next}:{code}"))))
    }

    /// Members of Lists, alone or with another condition.
    pub(crate) fn list(&mut self, of: &'static str) -> Case {
        let ids = self.dice.pick(&["r0", "r1", "List/r2", "r3,r4", "nobody"]);
        Case::one(of, "_list", ids)
    }

    /// A search over a few types.
    pub(crate) fn system(&mut self) -> Option<Case> {
        let all = self.types();
        let mut types: Vec<_> = (0..1 + self.dice.roll(3)).map(|_| self.dice.pick(&all)).collect();
        types.sort_unstable();
        types.dedup();
        let case = Case::one("", "_type", types.join(","));
        Some(self.over_several(&case, types.first()?))
    }

    /// A search in a compartment, of one type or of all.
    pub(crate) fn compartment(&mut self) -> Option<Case> {
        let owner =
            self.dice.pick(&["Patient", "Encounter", "Practitioner", "RelatedPerson", "Device"]);
        let owners: Vec<_> = self.oracle.visible(owner).map(|one| one.key.clone()).collect();
        let key = self.dice.pick_any(&owners)?;
        let members = self.types().into_iter();
        let members: Vec<_> =
            members.filter(|of| !compartment_codes(owner, of).is_empty()).collect();
        let member = self.dice.pick_any(&members)?;
        let of = if self.dice.chance(60) { member } else { "" };
        let case = Case { of, owner: Some(key), pairs: Vec::new() };
        if of.is_empty() {
            return Some(self.over_several(&case, member));
        }
        let param = self.dice.pick_any(&supported_by(of))?;
        let other = self.any_way(of, &param).filter(|_| self.dice.chance(50));
        Some(other.map_or(case.clone(), |other| case.and(&other)))
    }

    /// With conditions and an order that all types have.
    fn over_several(&mut self, case: &Case, of: &'static str) -> Case {
        let params = supported_by(of);
        let mut case = case.clone();
        let common: Vec<_> = params.iter().filter(|one| one.param.code.starts_with('_')).collect();
        if self.dice.chance(60)
            && let Some(param) = self.dice.pick_any(&common)
            && let Some(other) = self.any_way(of, param)
        {
            case = case.and(&other);
        }
        if self.dice.chance(40)
            && let Some(param) = self.dice.pick_any(&common)
            && let Some(filter) = self.compared(of, param, false).pop()
        {
            let pairs = filter.pairs;
            case = case.and(&Case { of: "", owner: None, pairs });
        }
        if self.dice.chance(50) {
            let keys = self.dice.pick(&[
                "_lastUpdated",
                "-_lastUpdated",
                "_id",
                "-_id,_lastUpdated",
                "_tag",
                "-_security,_id",
            ]);
            case = case.and(&Case::one("", "_sort", keys));
        }
        case
    }

    /// Types with resources that a search over several may meet.
    fn types(&self) -> Vec<&'static str> {
        let all = super::schema::schema().stored();
        all.filter(|of| *of != ACCESS && self.oracle.visible(of).next().is_some()).collect()
    }
}

/// What the product takes for a type.
pub(crate) fn supported_by(of: &str) -> Vec<SupportedParam> {
    supported(ResourceType::parse(of).expect("a type of R4"))
}

/// Types that a hop over the parameter may reach: accesses are in no index, and Parameters are not stored.
pub(crate) fn reached(param: &Param) -> Vec<&'static str> {
    param.targets.iter().copied().filter(|of| ![ACCESS, "Parameters"].contains(of)).collect()
}

const ACCESS: &str = "AuditEvent";

/// Types and codes of the reference parameters that may point to a type by its name.
pub(crate) fn references_to(of: &str) -> Vec<(&'static str, &'static str)> {
    let mut all = Vec::new();
    let sources = super::schema::schema().stored();
    for source in sources.filter(|source| *source != ACCESS) {
        let params = supported_by(source).into_iter().filter(|one| one.chainable);
        let known = params.filter_map(|one| param(source, one.param.code));
        let to = known.filter(|param| param.targets.contains(&of));
        all.extend(to.map(|param| (source, param.code)));
    }
    all
}

/// Whether all targets that have the parameter at the end of a chain read its values alike.
fn reads_alike(targets: &[&str], target: &str, name: &str) -> bool {
    let code = name.split(['.', ':']).next().unwrap_or(name);
    let Some(own) = param(target, code) else { return false };
    let others = targets.iter().filter_map(|of| param(of, code));
    !name.contains(['.', ':'])
        && others.clone().all(|other| other.kind == own.kind && other.parts.is_empty())
}

/// All ways in which a parameter is advertised.
pub(crate) fn ways(param: &SupportedParam) -> Vec<Way> {
    let plain = Way { modifier: "", prefix: "" };
    let mut all = vec![plain];
    all.extend(param.prefixes.iter().map(|prefix| Way { modifier: "", prefix }));
    let modifiers = param.modifiers.iter().chain(&param.code_modifiers);
    all.extend(modifiers.map(|modifier| Way { modifier, prefix: "" }));
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
