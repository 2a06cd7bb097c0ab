//! Whether a resource meets the criteria of a conditional interaction, decided on its own bytes.
//!
//! The registry matches tokens and references by keyed hash; before such a match decides anything it is
//! verified here against the payload (DESIGN section 4). The same rule finds resources that the running
//! transaction itself creates, which the registry cannot see yet.
//! Texts and dates the registry keeps readable, so its answer counts for what is stored; for what the transaction makes
//! they are compared here. Parameters of the installation and the codes of value sets and hierarchies count as they were
//! read. Not here: chains, other modifiers, amounts: [`Verdict::Unknown`].

use std::collections::HashMap;

use fhir::{
    Extracted, Node, ParamId, ParamKind, ResourceId, ResourceType, SearchParam, SearchPrefix,
    Target, TimeRange, Token, Value, date_matches, fold,
};
use registry::search::{CodeAnswer, CodeQuestion, pairs};

use crate::criteria::Reading;

/// What the bytes say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// They meet the criteria.
    Holds,
    /// They do not.
    Fails,
    /// At least one criterion is of a kind that is not decided here; no other one fails.
    Unknown,
}

/// Decides `query` on a resource.
pub(crate) fn holds(
    query: &str,
    node: Node<'_>,
    of: ResourceType,
    base: &str,
    reading: &Reading,
) -> Verdict {
    let Ok(criteria) = pairs(query) else { return Verdict::Unknown };
    let mut found = Vec::new();
    reading.params.set.extract(node, of, base, &mut found);
    let own = node.get("id").and_then(Node::as_str);
    let candidate = Candidate { id: own.as_deref(), of, found: &found, made: false, reading };
    all_hold(&criteria, &candidate)
}

/// A resource that criteria are tried on.
struct Candidate<'c, 't> {
    id: Option<&'c str>,
    of: ResourceType,
    found: &'c [Extracted<'t>],
    /// Made by the transaction: nobody else has compared its texts and dates.
    made: bool,
    reading: &'c Reading,
}

/// What criteria found among the resources that a transaction makes, by operation.
pub(crate) struct Matched {
    /// Those that meet them.
    pub(crate) holds: Vec<usize>,
    /// Those that may.
    pub(crate) unknown: Vec<usize>,
}

/// Resources of one type that a transaction itself makes: extracted once, found by their codes, so that many
/// conditional references among many new resources stay linear.
pub(crate) struct Candidates<'t> {
    of: ResourceType,
    /// By operation.
    list: Vec<(usize, Vec<Extracted<'t>>)>,
    by_code: HashMap<(ParamId, String), Vec<usize>>,
    tests_left: usize,
}

impl<'t> Candidates<'t> {
    /// Of what operations make.
    pub(crate) fn of(
        of: ResourceType,
        made: impl Iterator<Item = (usize, Node<'t>)>,
        base: &str,
        reading: &Reading,
    ) -> Self {
        let (mut list, mut by_code) = (Vec::new(), HashMap::<_, Vec<usize>>::new());
        for (at, node) in made {
            let mut extracted = Vec::new();
            reading.params.set.extract(node, of, base, &mut extracted);
            for found in &extracted {
                if let Value::Token(Token { code: Some(code), .. }) = &found.value {
                    by_code.entry((found.param, code.to_string())).or_default().push(list.len());
                }
            }
            list.push((at, extracted));
        }
        Self { of, list, by_code, tests_left: MADE_HERE_TESTS_MAX }
    }

    /// Those that meet the criteria on their own bytes, of the operations that `id_of` gives an id: the others have made
    /// nothing yet. `None` when finding out would cost too much.
    pub(crate) fn matching<'i>(
        &mut self,
        query: &str,
        id_of: impl Fn(usize) -> Option<&'i ResourceId>,
        reading: &Reading,
    ) -> Option<Matched> {
        let mut matched = Matched { holds: Vec::new(), unknown: Vec::new() };
        let Ok(criteria) = pairs(query) else { return Some(matched) };
        let by_code = criteria.iter().find_map(|(name, value)| {
            let param = reading.params.set.find(self.of, name)?;
            self.with_code(param, value)
        });
        let places = by_code.unwrap_or_else(|| (0..self.list.len()).collect());
        self.tests_left = self.tests_left.checked_sub(places.len())?;
        for place in places {
            let (at, found) = &self.list[place];
            let Some(id) = id_of(*at) else { continue };
            let candidate =
                Candidate { id: Some(id.as_str()), of: self.of, found, made: true, reading };
            match all_hold(&criteria, &candidate) {
                Verdict::Holds => matched.holds.push(*at),
                Verdict::Unknown => matched.unknown.push(*at),
                Verdict::Fails => {}
            }
        }
        Some(matched)
    }

    /// Places of those with a code that the criterion names; `None` when it is not about codes.
    fn with_code(&self, param: &SearchParam, value: &str) -> Option<Vec<usize>> {
        if param.kind != ParamKind::Token {
            return None;
        }
        let mut places = Vec::new();
        for wanted in alternatives(value)? {
            let code = wanted.split_once('|').map_or(wanted, |(_, code)| code);
            if param.code == "_id" || code.is_empty() {
                return None;
            }
            places.extend(self.by_code.get(&(param.id, code.to_owned())).into_iter().flatten());
        }
        places.sort_unstable();
        places.dedup();
        Some(places)
    }
}

fn all_hold(criteria: &[(String, String)], candidate: &Candidate<'_, '_>) -> Verdict {
    let mut verdict = Verdict::Holds;
    for (name, value) in criteria {
        match criterion(name, value, candidate) {
            Verdict::Fails => return Verdict::Fails,
            Verdict::Unknown => verdict = Verdict::Unknown,
            Verdict::Holds => {}
        }
    }
    verdict
}

fn criterion(name: &str, value: &str, candidate: &Candidate<'_, '_>) -> Verdict {
    if name == "_id" {
        return verdict_of(value.split(',').any(|wanted| candidate.id == Some(wanted)));
    }
    let (name, modifier) = name.split_once(':').unwrap_or((name, ""));
    // What is made gets its time when it is committed, whatever its bytes say.
    if candidate.made && name == "_lastUpdated" {
        return Verdict::Unknown;
    }
    let params = &candidate.reading.params.set;
    let Some(param) = params.find(candidate.of, name) else { return Verdict::Unknown };
    let decided = match param.kind {
        ParamKind::Token if !modifier.is_empty() => {
            return coded(param, modifier, value, candidate);
        }
        ParamKind::Token | ParamKind::Reference | ParamKind::Uri => modifier.is_empty(),
        ParamKind::String => {
            let compared = matches!(modifier, "" | "exact" | "contains");
            compared && (candidate.made || value.chars().count() >= INDEXED_CHARS)
        }
        ParamKind::Date => candidate.made && modifier.is_empty() && !value.contains("ap"),
        _ => false,
    };
    if !decided {
        return Verdict::Unknown;
    }
    let Some(alternatives) = alternatives(value) else { return Verdict::Unknown };
    // Versions of references and canonicals are the registry's to compare.
    let versioned = |wanted: &&str| wanted.contains("/_history/") || wanted.contains('|');
    if param.kind == ParamKind::Reference && alternatives.iter().any(versioned) {
        return Verdict::Unknown;
    }
    let own = candidate.found.iter().filter(|found| found.param == param.id);
    let own: Vec<&Value<'_>> = own.map(|found| &found.value).collect();
    if own.is_empty() && param.alias_of().is_some() {
        return Verdict::Unknown;
    }
    let meets = |wanted: &str| own.iter().any(|value| equals(value, wanted, modifier));
    verdict_of(alternatives.into_iter().any(meets))
}

/// `:not`, and what terminology has answered: `:in`, `:not-in`, `:below`, `:above` (FHIR R4 search §3.1.1.4.3).
fn coded(
    param: &SearchParam,
    modifier: &str,
    value: &str,
    candidate: &Candidate<'_, '_>,
) -> Verdict {
    let Some(alternatives) = alternatives(value) else { return Verdict::Unknown };
    let own = candidate.found.iter().filter(|found| found.param == param.id);
    let own: Vec<&Token<'_>> = own
        .filter_map(|found| match &found.value {
            Value::Token(token) => Some(token),
            _ => None,
        })
        .collect();
    if own.is_empty() && param.alias_of().is_some() {
        return Verdict::Unknown;
    }
    let mut meets = false;
    for wanted in alternatives {
        if modifier == "not" {
            meets |= own.iter().any(|token| token_equals(token, wanted));
            continue;
        }
        let Some(question) = question(modifier, wanted) else { return Verdict::Unknown };
        let Some(Ok(codes)) = candidate.reading.codes.get(&question) else {
            return Verdict::Unknown;
        };
        meets |= own.iter().any(|token| codes.iter().any(|code| is_code(token, code)));
    }
    verdict_of(meets != matches!(modifier, "not" | "not-in"))
}

fn question(modifier: &str, wanted: &str) -> Option<CodeQuestion> {
    let (system, code) = match wanted.split_once('|') {
        Some((system, code)) => (Some(system.to_owned()), code.to_owned()),
        None => (None, wanted.to_owned()),
    };
    Some(match modifier {
        "in" | "not-in" => CodeQuestion::In(wanted.to_owned()),
        "below" => CodeQuestion::Below { system, code },
        "above" => CodeQuestion::Above { system, code },
        _ => return None,
    })
}

fn is_code(token: &Token<'_>, wanted: &CodeAnswer) -> bool {
    let own = token.system.as_deref().unwrap_or_default();
    match wanted {
        CodeAnswer::System(system) => own == system,
        CodeAnswer::Code { system, code } => {
            own == system && token.code.as_deref() == Some(code.as_str())
        }
    }
}

fn verdict_of(holds: bool) -> Verdict {
    if holds { Verdict::Holds } else { Verdict::Fails }
}

/// Values separated by commas; `None` when an escape makes plain splitting wrong.
fn alternatives(value: &str) -> Option<Vec<&str>> {
    (!value.contains('\\')).then(|| value.split(',').collect())
}

fn equals(value: &Value<'_>, wanted: &str, modifier: &str) -> bool {
    match value {
        Value::String(text) => match modifier {
            "exact" => text == wanted,
            "contains" => fold(text).contains(&*fold(wanted)),
            _ => fold(text).starts_with(&*fold(wanted)),
        },
        Value::Date(own) => {
            let (prefix, wanted) = SearchPrefix::split(wanted);
            TimeRange::parse(wanted).is_some_and(|wanted| date_matches(prefix, wanted, *own))
        }
        Value::Token(token) => token_equals(token, wanted),
        Value::Uri(uri) => uri.as_ref() == wanted,
        Value::Reference(Target::Local { resource_type, id, .. }) => {
            wanted.rsplit_once('/').map_or(wanted == id.as_ref(), |(path, wanted_id)| {
                wanted_id == id.as_ref() && path.rsplit('/').next() == Some(resource_type.name())
            })
        }
        Value::Reference(Target::Absolute { url, .. }) => url.as_ref() == wanted,
        _ => false,
    }
}

fn token_equals(token: &Token<'_>, wanted: &str) -> bool {
    let system = token.system.as_deref().unwrap_or_default();
    let code = token.code.as_deref().unwrap_or_default();
    match wanted.split_once('|') {
        None => code == wanted,
        Some((wanted_system, "")) => system == wanted_system,
        Some((wanted_system, wanted_code)) => system == wanted_system && code == wanted_code,
    }
}

/// Characters of a text that the registry compares; what is longer is compared here.
const INDEXED_CHARS: usize = 256;
/// Resources of a transaction that its conditional references without a code may be tried on, all together.
const MADE_HERE_TESTS_MAX: usize = 200_000;
