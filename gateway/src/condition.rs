//! Whether a resource meets the criteria of a conditional interaction, decided on its own bytes.
//!
//! The registry matches tokens and references by keyed hash; before such a match decides anything it is
//! verified here against the payload (DESIGN section 4). The same rule finds resources that the running
//! transaction itself creates, which the registry cannot see yet.
//! Not here: chains, modifiers, ranges: [`Verdict::Unknown`], and the registry's answer (kept readable) counts.

use std::collections::HashMap;

use fhir::{Extracted, ParamId, ParamKind, Target, Token, Value, extract, search_param};
use fhir::{Node, ResourceId, ResourceType};
use registry::search::pairs;

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
pub(crate) fn holds(query: &str, node: Node<'_>, rt: ResourceType, base: &str) -> Verdict {
    let Ok(criteria) = pairs(query) else { return Verdict::Unknown };
    let mut extracted = Vec::new();
    extract(node, rt, base, &mut extracted);
    all_hold(&criteria, node, rt, &extracted)
}

/// Resources of one type that a transaction itself makes: extracted once, found by their codes, so that many
/// conditional references among many new resources stay linear.
pub(crate) struct Candidates<'t> {
    of: ResourceType,
    list: Vec<(ResourceId, Node<'t>, Vec<Extracted<'t>>)>,
    by_code: HashMap<(ParamId, String), Vec<usize>>,
    tests_left: usize,
}

impl<'t> Candidates<'t> {
    /// Of what is made, by the ids it will have.
    pub(crate) fn of(
        of: ResourceType,
        made: impl Iterator<Item = (ResourceId, Node<'t>)>,
        base: &str,
    ) -> Self {
        let (mut list, mut by_code) = (Vec::new(), HashMap::<_, Vec<usize>>::new());
        for (id, node) in made {
            let mut extracted = Vec::new();
            extract(node, of, base, &mut extracted);
            for found in &extracted {
                if let Value::Token(Token { code: Some(code), .. }) = &found.value {
                    by_code.entry((found.param, code.to_string())).or_default().push(list.len());
                }
            }
            list.push((id, node, extracted));
        }
        Self { of, list, by_code, tests_left: MADE_HERE_TESTS_MAX }
    }

    /// Those that meet the criteria on their own bytes; `None` when finding out would cost too much.
    pub(crate) fn matching(&mut self, query: &str) -> Option<Vec<ResourceId>> {
        let Ok(criteria) = pairs(query) else { return Some(Vec::new()) };
        let by_code = criteria.iter().find_map(|(name, value)| self.with_code(name, value));
        let places = by_code.unwrap_or_else(|| (0..self.list.len()).collect());
        self.tests_left = self.tests_left.checked_sub(places.len())?;
        let met = places
            .into_iter()
            .map(|place| &self.list[place])
            .filter(|(_, node, own)| all_hold(&criteria, *node, self.of, own) == Verdict::Holds);
        Some(met.map(|(id, ..)| id.clone()).collect())
    }

    /// Places of those with a code that the criterion names; `None` when it is not about codes.
    fn with_code(&self, name: &str, value: &str) -> Option<Vec<usize>> {
        let param = search_param(self.of, name).filter(|p| p.kind == ParamKind::Token)?;
        let mut places = Vec::new();
        for wanted in alternatives(value)? {
            let code = wanted.split_once('|').map_or(wanted, |(_, code)| code);
            if name == "_id" || code.is_empty() {
                return None;
            }
            places.extend(self.by_code.get(&(param.id, code.to_owned())).into_iter().flatten());
        }
        places.sort_unstable();
        places.dedup();
        Some(places)
    }
}

fn all_hold(
    criteria: &[(String, String)],
    node: Node<'_>,
    rt: ResourceType,
    extracted: &[Extracted<'_>],
) -> Verdict {
    let mut verdict = Verdict::Holds;
    for (name, value) in criteria {
        match criterion(name, value, node, rt, extracted) {
            Verdict::Fails => return Verdict::Fails,
            Verdict::Unknown => verdict = Verdict::Unknown,
            Verdict::Holds => {}
        }
    }
    verdict
}

fn criterion(
    name: &str,
    value: &str,
    node: Node<'_>,
    rt: ResourceType,
    extracted: &[Extracted<'_>],
) -> Verdict {
    if name == "_id" {
        let id = node.get("id").and_then(Node::as_str);
        return verdict_of(value.split(',').any(|wanted| id.as_deref() == Some(wanted)));
    }
    let Some(param) = search_param(rt, name) else { return Verdict::Unknown };
    if !matches!(param.kind, ParamKind::Token | ParamKind::Reference | ParamKind::Uri) {
        return Verdict::Unknown;
    }
    let Some(alternatives) = alternatives(value) else { return Verdict::Unknown };
    let own = extracted.iter().filter(|found| found.param == param.id).map(|found| &found.value);
    let own: Vec<&Value<'_>> = own.collect();
    if own.is_empty() && param.alias_of().is_some() {
        return Verdict::Unknown;
    }
    verdict_of(alternatives.iter().any(|wanted| own.iter().any(|value| equals(value, wanted))))
}

fn verdict_of(holds: bool) -> Verdict {
    if holds { Verdict::Holds } else { Verdict::Fails }
}

/// Values separated by commas; `None` when an escape makes plain splitting wrong.
fn alternatives(value: &str) -> Option<Vec<&str>> {
    (!value.contains('\\')).then(|| value.split(',').collect())
}

fn equals(value: &Value<'_>, wanted: &str) -> bool {
    match value {
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

/// Resources of a transaction that its conditional references without a code may be tried on, all together.
const MADE_HERE_TESTS_MAX: usize = 200_000;
