//! Conditions → the leading ranges that together deliver every resource that passes.
//!
//! A condition may need several: their results are merged. What joins several conditions is led by one of them and probed
//! (`plan`). Not here: how a range reads in SQL (`arm`).

use super::arm::Arm;
use super::clause::DateTest;
use super::condition::{Condition, Keys, regular_bounds};
use super::plan::nested_rank;
use crate::index::param::WIDE;

/// Arms that together deliver all resources that pass the condition; `None` if it cannot lead.
pub(super) fn arms(condition: &Condition) -> Option<Vec<Arm>> {
    match condition {
        Condition::Ids(ids) => Some(vec![Arm::Ids(ids.clone())]),
        Condition::Rids(rids) => Some(vec![Arm::Rids(rids.clone())]),
        Condition::Sets { sets, .. } if sets.is_empty() => Some(vec![Arm::Rids(Vec::new())]),
        Condition::Sets { sets, .. } => Some(vec![Arm::Sets(sets.clone())]),
        Condition::LastUpdated(tests) => Some(vec![Arm::Updated(tests.clone())]),
        Condition::Index { params, keys, not: false } => {
            Some(params.iter().flat_map(|param| index_arms(*param, keys)).collect())
        }
        Condition::Words { query, narrative, not: false } => {
            Some(vec![Arm::Words { query: query.clone(), narrative: *narrative, most: i64::MAX }])
        }
        Condition::Any(several) => {
            let each = several.iter().map(arms).collect::<Option<Vec<_>>>();
            each.map(|arms| arms.into_iter().flatten().collect())
        }
        Condition::All(several) => {
            let leading = several.iter().filter_map(|one| Some((nested_rank(one)?, one)));
            leading.min_by_key(|(rank, _)| *rank).and_then(|(_, one)| arms(one))
        }
        _ => None,
    }
}

fn index_arms(param: u16, keys: &Keys) -> Vec<Arm> {
    match keys {
        Keys::Token(keys) => keys.iter().map(|key| Arm::Token { param, key: *key }).collect(),
        Keys::Reference { targets, .. } => {
            let one = |target: &i64| Arm::Reference { param, target: *target, code: 0 };
            targets.iter().map(one).collect()
        }
        Keys::Date(tests) => date_arms(param, vec![tests.clone()]),
        Keys::Number(tests) => both(param, tests, |param, test| Arm::Number { param, test: *test }),
        Keys::Quantity(keys) => both(param, keys, |param, key| {
            let param = key.param(param);
            Arm::Quantity { param, key: *key }
        }),
        Keys::String(tests) => {
            tests.iter().map(|test| Arm::String { param, test: test.clone() }).collect()
        }
        Keys::Uri(tests) => {
            tests.iter().map(|test| Arm::Uri { param, test: test.clone() }).collect()
        }
        Keys::Near(tests) => tests.iter().map(|test| Arm::Near { param, test: *test }).collect(),
    }
}

/// Arms for all date conditions on one parameter together: as a regular row is the only one of its
/// resource, it must pass them all. The irregular arm holds the first only; the rest is probed.
pub(super) fn date_arms(param: u16, tests: Vec<Vec<DateTest>>) -> Vec<Arm> {
    let bounds = common_bounds(&tests);
    let first = tests.first().cloned().unwrap_or_default();
    vec![
        Arm::Date { param, tests, bounds: Some(bounds) },
        Arm::Date { param, tests: vec![first], bounds: None },
    ]
}

/// Bounds of the lower end of a regular row that passes all tests.
pub(super) fn common_bounds(tests: &[Vec<DateTest>]) -> (i64, i64) {
    let meet = |(a, b): (i64, i64), (c, d): (i64, i64)| (a.max(c), b.min(d));
    tests.iter().map(|tests| regular_bounds(tests)).fold((i64::MIN, i64::MAX), meet)
}

fn both<T>(param: u16, keys: &[T], arm: impl Fn(u16, &T) -> Arm) -> Vec<Arm> {
    keys.iter().flat_map(|key| [arm(param, key), arm(param | WIDE, key)]).collect()
}
