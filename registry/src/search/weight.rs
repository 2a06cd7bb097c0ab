//! What filters cost a statement: a bound on the tests that are written out, before anything is asked.
//!
//! Lists of ids, codes of one system, targets and uris are bound as one value and weigh next to nothing; each date,
//! number, text and quantity is a test of its own, evaluated for every row that is looked at.
//! Not here: what a search may cost in time (`sqlite::reader`, `postgres::readers`).

use std::collections::HashSet;

use super::clause::{Filter, Leg, Rest, SearchQuery, Tests, TokenTest, UriTest};
use super::condition::{Condition, Keys};
use super::plan::Candidate;
use super::probe::by_system;
use crate::error::ReadError;

/// Refuses a leg whose filters together are too many tests.
///
/// # Errors
/// [`ReadError::TooCostly`], saying what to do.
pub(super) fn check(leg: &Leg) -> Result<(), ReadError> {
    if weight_of(&leg.filters) > WEIGHT_MAX {
        let text = "the parameters of one search may not have so many values together; ask for them in several searches";
        return Err(ReadError::TooCostly(text.into()));
    }
    Ok(())
}

impl SearchQuery {
    /// Tests that the filters of the weightiest leg are in SQL, roughly.
    pub(crate) fn weight(&self) -> usize {
        self.legs.iter().map(|leg| weight_of(&leg.filters)).max().unwrap_or(0)
    }
}

/// Tests that filters together are in SQL, roughly.
pub(super) fn weight_of(filters: &[Filter]) -> usize {
    filters.iter().map(Filter::weight).sum()
}

impl Filter {
    /// Tests that the filter is in SQL, roughly.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Id(_) | Self::Words { .. } => 1,
            Self::LastUpdated(tests) => tests.len(),
            Self::Value { tests, .. } => tests.weight(),
            Self::Missing { params, .. } => params.len(),
            Self::Chain { targets, .. } => {
                HOP_WEIGHT + targets.iter().map(|(_, filter)| filter.weight()).sum::<usize>()
            }
            Self::Has { filter, .. } => HOP_WEIGHT + filter.weight(),
            Self::Any(several) | Self::All(several) => several.iter().map(Self::weight).sum(),
            Self::Not(inner) => inner.weight(),
        }
    }
}

impl Tests {
    fn weight(&self) -> usize {
        match self {
            Self::Token(tests) => systems(tests) * 3,
            Self::Reference(_) => 1,
            Self::Date(tests) => tests.len(),
            Self::Number(tests) => tests.len(),
            Self::Quantity(tests) => tests.len() * 2,
            Self::String(tests) => tests.len(),
            Self::Near(tests) => tests.len() * 2,
            Self::Uri(tests) => {
                1 + tests.iter().filter(|test| !matches!(test, UriTest::Exact(_))).count()
            }
            Self::Composite(pairs) => match pairs.first() {
                Some((_, Rest::Token(_) | Rest::Reference(_))) => 3,
                Some((_, Rest::String(_))) => pairs.len(),
                _ => pairs.len() * 2,
            },
        }
    }
}

/// Codes of one system are asked together.
fn systems(tests: &[TokenTest]) -> usize {
    let of = |test: &TokenTest| match test {
        TokenTest::SystemCode(system, _) => Some((true, system.clone())),
        TokenTest::System(system) => Some((false, system.clone())),
        TokenTest::NoSystem(_) => Some((true, String::new())),
        TokenTest::Code(_) | TokenTest::OfType(..) => None,
    };
    tests.iter().map(of).collect::<HashSet<_>>().len()
}

impl Condition {
    /// Tests that probing the condition is in SQL, roughly.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Ids(_) | Self::Rids(_) | Self::Words { .. } => 1,
            Self::LastUpdated(tests) => tests.len(),
            Self::Index { keys, .. } => match keys {
                Keys::Token(keys) => by_system(keys).len(),
                Keys::Reference { .. } | Keys::Uri(_) => 1,
                keys => keys.len(),
            },
            Self::Missing { params, .. } => params.len(),
            Self::Sets { each, .. } => each.iter().map(Self::weight).sum(),
            Self::ReferredBy { inner, .. } => HOP_WEIGHT + inner.weight(),
            Self::Refers { targets, .. } => {
                HOP_WEIGHT + targets.iter().map(|(_, inner)| inner.weight()).sum::<usize>()
            }
            Self::Any(several) | Self::All(several) => several.iter().map(Self::weight).sum(),
            Self::Not(inner) => inner.weight(),
        }
    }
}

impl Candidate {
    /// Many leads are as many statements, each with all that is to be probed: together they must not be longer than
    /// one walk through the type is slow.
    pub(super) fn is_writable(&self, conditions: &[Condition]) -> bool {
        let Some(first) = self.leads.first() else { return true };
        let probed = conditions.iter().enumerate().filter(|(at, _)| !first.covers.contains(at));
        let probed: usize = probed.map(|(_, condition)| condition.weight()).sum();
        self.leads.len() <= LEADS_FEW || self.leads.len() * probed <= LEADS_TESTS_MAX
    }
}

/// Leads that are few whatever they probe.
const LEADS_FEW: usize = 16;
/// Tests that the statements of many leads may hold together.
const LEADS_TESTS_MAX: usize = 100_000;
/// Tests that the filters of a search in one type may be.
pub const WEIGHT_MAX: usize = 10_000;
/// A reference that is followed, in tests.
const HOP_WEIGHT: usize = 10;
/// Weight from which a search waits in a queue of its own, so that it holds up no small one.
pub(crate) const HEAVY_WEIGHT: usize = 100;

#[cfg(test)]
mod tests {
    use super::super::{ParseOptions, parse};
    use super::*;

    fn weigh(of: &str, query: &str) -> Result<usize, ReadError> {
        let options = ParseOptions { now_us: 0, ..ParseOptions::default() };
        let of = fhir::ResourceType::parse(of).unwrap();
        parse(of, query, &options).map(|query| query.weight())
    }

    fn years(from: usize, count: usize) -> String {
        (from..from + count).map(|year| format!("{year}-01-01")).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn equal_filters_and_equal_values_count_once() {
        let once = weigh("Observation", "subject.name:contains=g").unwrap();

        assert_eq!(
            weigh("Observation", &["subject.name:contains=g"; 150].join("&")).unwrap(),
            once
        );
        assert_eq!(weigh("Patient", "birthdate=2000,2001,2000").unwrap(), 2);
    }

    #[test]
    fn one_parameter_may_list_two_thousand_values_but_not_each_of_many() {
        let one = format!("date={}", years(1000, 2000));
        let six = (0..6).map(|at| format!("date={}", years(1000 + at, 2000))).collect::<Vec<_>>();

        assert_eq!(weigh("Observation", &one).unwrap(), 2000);
        let refused = weigh("Observation", &six.join("&")).unwrap_err();
        assert!(
            matches!(&refused, ReadError::TooCostly(text) if text.contains("several searches"))
        );
    }
}
