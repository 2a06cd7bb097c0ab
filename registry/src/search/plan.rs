//! Which index leads: chosen by rules and by counts that stop early, never by planner statistics.
//!
//! A candidate is one condition (or several that one index answers together) as the leading table.
//! Counting stops at the best candidate so far, so choosing costs at most about one small page.

use fhir::{ResourceType, search_param};

use super::arm::Arm;
use super::arms::{arms, common_bounds, date_arms};
use super::clause::DateTest;
use super::condition::{Condition, Keys, QuantityKey};
use super::scope::Scope;
use crate::index::param::{index_params, root_composites, sort_index_param};

/// One leading range and the conditions that it already holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lead {
    pub(super) arm: Arm,
    /// Positions of conditions that need no probe.
    pub(super) covers: Vec<usize>,
    /// What the sort date of a regular row must be; its conditions are covered.
    pub(super) sort_date: Option<SortDate>,
}

/// Conditions on the type's sort date, as they read for a resource whose row is regular.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SortDate {
    pub(super) param: u16,
    /// Bounds of `nsort`: first inclusive, second exclusive.
    pub(super) bounds: (i64, i64),
    /// What the one row must pass, all of them.
    pub(super) tests: Vec<Vec<DateTest>>,
    /// Positions of the conditions.
    pub(super) places: Vec<usize>,
}

/// Leads that together deliver every match.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) leads: Vec<Lead>,
    /// Lower is tried first.
    rank: u8,
}

impl Lead {
    pub(super) fn new(arm: Arm, covers: Vec<usize>) -> Self {
        Self { arm, covers, sort_date: None }
    }
}

impl Candidate {
    pub(super) fn is_ordered(&self) -> bool {
        self.leads.iter().all(|lead| lead.arm.is_ordered())
    }

    /// The caller's compartments: no hidden row is read.
    pub(super) fn is_own(&self) -> bool {
        self.rank == OWN_RANK
    }

    /// Number of rows, where it is known without counting.
    pub(super) fn known_size(&self) -> Option<usize> {
        match &self.leads[..] {
            [Lead { arm: Arm::Ids(ids), .. }] => Some(ids.len()),
            [Lead { arm: Arm::Rids(rids), .. }] => Some(rids.len()),
            leads if leads.len() > COUNTED_ARMS_MAX => Some(ORDERED_ROWS_MAX),
            _ => None,
        }
    }

    /// The shape and the hashes of a long list of arms that differ in nothing but their hash.
    pub(super) fn long_list(&self) -> Option<(Arm, Vec<i64>)> {
        let first = self.leads.first().filter(|_| self.leads.len() > COUNTED_ARMS_MAX)?;
        let shape = first.arm.with_hash(0)?;
        let hash = |lead: &Lead| (lead.arm.with_hash(0)? == shape).then(|| lead.arm.hash())?;
        Some((shape.clone(), self.leads.iter().map(hash).collect::<Option<_>>()?))
    }

    /// Ranges that come in order.
    pub(super) fn in_order(leads: Vec<Lead>) -> Self {
        Self { leads, rank: u8::MAX }
    }

    /// All resources of the type; always possible.
    pub(super) fn whole_type() -> Self {
        Self { leads: vec![Lead::new(Arm::Type, Vec::new())], rank: u8::MAX }
    }
}

/// All candidates but the whole type, in the order in which they should be tried. In a `streamable`
/// order the conditions on the sort date lead nothing: they bound what is streamed.
pub(super) fn candidates(
    of: ResourceType,
    conditions: &[Condition],
    scope: &Scope,
    streamable: bool,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    patient_and_code(of, conditions, &mut found);
    code_and_quantity(of, conditions, &mut found);
    date_groups(conditions, sort_index_param(of).filter(|_| streamable), &mut found);
    for (at, condition) in conditions.iter().enumerate() {
        if let Some(rank) = rank(condition)
            && let Some(arms) = arms(condition)
        {
            let covers = if is_exact(condition) { vec![at] } else { Vec::new() };
            let leads = arms.into_iter().map(|arm| Lead::new(arm, covers.clone())).collect();
            found.push(Candidate { leads, rank });
        }
    }
    for condition in conditions {
        if let Condition::ReferredBy { among: Some(rids), .. } = condition {
            let leads = vec![Lead::new(Arm::Rids(rids.clone()), Vec::new())];
            found.push(Candidate { leads, rank: 0 });
        }
    }
    if let Some(patients) = scope.patients()
        && patients.len() <= COUNTED_ARMS_MAX
    {
        let mut arms: Vec<_> = patients.iter().map(|rid| Arm::Patient(*rid)).collect();
        arms.push(Arm::SharedCompartments(patients.to_vec()));
        if Scope::is_universal(of) {
            arms.push(Arm::NoCompartment);
        }
        let leads = arms.into_iter().map(|arm| Lead::new(arm, Vec::new())).collect();
        found.push(Candidate { leads, rank: OWN_RANK });
    }
    found.retain(|candidate| !candidate.leads.is_empty());
    found.sort_by_key(|candidate| candidate.rank);
    found
}

/// Whether the ranges of a condition hold it whole: those of several at once are of one of them only.
fn is_exact(condition: &Condition) -> bool {
    match condition {
        Condition::All(_) => false,
        Condition::Any(several) => several.iter().all(is_exact),
        _ => true,
    }
}

fn rank(condition: &Condition) -> Option<u8> {
    match condition {
        Condition::Ids(_) | Condition::Rids(_) => Some(0),
        Condition::Index { keys, not: false, .. } => match keys {
            Keys::Reference { .. } => Some(2),
            Keys::Token(_) | Keys::Uri(_) => Some(3),
            Keys::Quantity(_) | Keys::Number(_) | Keys::Near(_) => Some(4),
            Keys::String(_) => Some(4),
            Keys::Date(_) => None,
        },
        Condition::LastUpdated(_) | Condition::Sets { .. } => Some(4),
        Condition::Words { not: false, .. } => Some(4),
        Condition::Any(several) => {
            several.iter().map(nested_rank).collect::<Option<Vec<_>>>()?.into_iter().max()
        }
        Condition::All(several) => several.iter().filter_map(nested_rank).min(),
        _ => None,
    }
}

/// Of several alternatives a date leads by itself.
pub(super) fn nested_rank(condition: &Condition) -> Option<u8> {
    match condition {
        Condition::Index { keys: Keys::Date(_), not: false, .. } => Some(4),
        other => rank(other),
    }
}

/// References to a patient also stand under each code of the resource.
fn patient_and_code(of: ResourceType, conditions: &[Condition], found: &mut Vec<Candidate>) {
    let Some(code_param) = code_param(of) else { return };
    for (reference, condition) in conditions.iter().enumerate() {
        let Condition::Index { params, keys, not: false } = condition else { continue };
        let Keys::Reference { targets, patients: true } = keys else { continue };
        for (code, condition) in conditions.iter().enumerate() {
            let Condition::Index { params: other, keys: Keys::Token(tokens), not: false } =
                condition
            else {
                continue;
            };
            if *other != [code_param] || tokens.iter().any(|token| token.code.is_none()) {
                continue;
            }
            let exact = tokens.iter().all(|token| token.system.is_none());
            let covers = if exact { vec![reference, code] } else { vec![reference] };
            let mut leads = Vec::new();
            for (param, target) in pairs(params, targets) {
                for token in tokens {
                    let code = token.code.unwrap_or_default();
                    let arm = Arm::Reference { param, target, code };
                    leads.push(Lead::new(arm, covers.clone()));
                }
            }
            found.push(Candidate { leads, rank: 1 });
        }
    }
}

/// A code and a value of the resource are one range of their composite.
fn code_and_quantity(of: ResourceType, conditions: &[Condition], found: &mut Vec<Candidate>) {
    for composite in root_composites(of) {
        let of_param = |param: u16| move |(_, condition): &(usize, &Condition)| matches!(condition, Condition::Index { params, not: false, .. } if *params == [param]);
        let all = || conditions.iter().enumerate();
        let Some((code, token)) = all().find(of_param(composite.token)) else { continue };
        let Some((value, quantity)) = all().find(of_param(composite.quantity)) else { continue };
        let Condition::Index { keys: Keys::Token(tokens), .. } = token else { continue };
        let Condition::Index { keys: Keys::Quantity(quantities), .. } = quantity else { continue };
        // The two parameters know sampled data, unlike the composite.
        let unsampled = Condition::unsampled(composite.param);
        let unsampled = conditions.iter().position(|condition| *condition == unsampled);
        if tokens.iter().any(|token| token.code.is_none()) {
            continue;
        }
        let mut keys = Vec::new();
        for token in tokens {
            let sampled = unsampled.is_none();
            let with_code = |key: &QuantityKey| QuantityKey { sampled, ..key.under(token) };
            keys.extend(quantities.iter().map(with_code));
        }
        let params = vec![composite.param];
        let together = Condition::Index { params, keys: Keys::Quantity(keys), not: false };
        let leads = arms(&together).unwrap_or_default().into_iter();
        let covers: Vec<_> = [code, value].into_iter().chain(unsampled).collect();
        let leads = leads.map(|arm| Lead::new(arm, covers.clone())).collect();
        found.push(Candidate { leads, rank: 2 });
    }
}

/// All date conditions on one parameter lead together.
fn date_groups(conditions: &[Condition], except: Option<u16>, found: &mut Vec<Candidate>) {
    let mut done = Vec::new();
    for condition in conditions {
        let Condition::Index { params, keys: Keys::Date(_), not: false } = condition else {
            continue;
        };
        let excepted = except.is_some_and(|except| *params == [except]);
        if excepted || done.contains(&params) {
            continue;
        }
        done.push(params);
        let leads = params.iter().flat_map(|param| date_leads(*param, params, conditions));
        found.push(Candidate { leads: leads.collect(), rank: 4 });
    }
}

fn date_leads(param: u16, params: &[u16], conditions: &[Condition]) -> Vec<Lead> {
    let (places, tests) = dates_on(params, conditions);
    if params.len() > 1 {
        // A union of parameters: rows of the one say nothing about the other.
        let arms = date_arms(param, tests.into_iter().take(1).collect());
        return arms.into_iter().map(|arm| Lead::new(arm, vec![places[0]])).collect();
    }
    let regular_covers = places.clone();
    let mut arms = date_arms(param, tests).into_iter();
    let regular = arms.next().map(|arm| Lead::new(arm, regular_covers));
    let irregular = arms.next().map(|arm| Lead::new(arm, vec![places[0]]));
    regular.into_iter().chain(irregular).collect()
}

fn dates_on(params: &[u16], conditions: &[Condition]) -> (Vec<usize>, Vec<Vec<DateTest>>) {
    let of = |(at, condition): (usize, &Condition)| match condition {
        Condition::Index { params: own, keys: Keys::Date(tests), not: false } if own == params => {
            Some((at, tests.clone()))
        }
        _ => None,
    };
    conditions.iter().enumerate().filter_map(of).unzip()
}

/// What date conditions on the type's sort date mean for an ordered lead: what they say of regular
/// rows, and the lead of the irregular ones.
pub(super) fn sort_date(of: ResourceType, conditions: &[Condition]) -> Option<(SortDate, Lead)> {
    let param = sort_index_param(of)?;
    let (places, tests) = dates_on(&[param], conditions);
    let first = *places.first()?;
    let (from, below) = common_bounds(&tests);
    let irregular = Arm::Date { param, tests: vec![tests[0].clone()], bounds: None };
    // nsort = -lo: lo in [from, below) is nsort in (-below, -from].
    let bounds =
        (below.saturating_neg().saturating_add(1), from.saturating_neg().saturating_add(1));
    Some((SortDate { param, bounds, tests, places }, Lead::new(irregular, vec![first])))
}

/// The parameter whose codes the patient's reference rows repeat.
pub(crate) fn code_param(of: ResourceType) -> Option<u16> {
    let param = search_param(of, "code").filter(|param| param.kind == fhir::ParamKind::Token)?;
    <[u16; 1]>::try_from(index_params(of, param)).ok().map(|[number]| number)
}

fn pairs<'a>(params: &'a [u16], targets: &'a [i64]) -> impl Iterator<Item = (u16, i64)> + 'a {
    params.iter().flat_map(|param| targets.iter().map(|target| (*param, *target)))
}

const OWN_RANK: u8 = 5;
/// Rows up to which a candidate is counted that already has the order asked for.
pub(super) const ORDERED_ROWS_MAX: usize = 1_000;
/// Rows that are sorted whole; a larger range is streamed in the default order instead.
pub(super) const SORTED_ROWS_MAX: usize = 2_000;
/// A candidate as small as this is taken at once.
pub(super) const SMALL_ROWS: usize = 32;
/// Candidates with more arms are taken to be large without counting.
const COUNTED_ARMS_MAX: usize = 16;
