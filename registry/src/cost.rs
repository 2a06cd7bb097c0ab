//! What a read costs those who wait behind it, told from its shape before it is begun.
//!
//! One caller's searches must not stop the reads and writes of all others: some readers (connections) are kept free of
//! searches, and of the rest some are kept free of those that are heavy by their shape. Within that, first come, first
//! served. Not here: the queues (`sqlite::reader`, `postgres::readers`), how filters are weighed (`search`).

use std::time::Duration;

use crate::reading::{Asked, Reading};
use crate::search::{HEAVY_WEIGHT, SearchQuery};
use crate::write_set::Match;

/// What a read costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cost {
    /// A few look-ups by key.
    Point,
    /// A search, or a page of what is many.
    Search,
    /// A search of many tests.
    Heavy,
}

impl Cost {
    pub(crate) fn of_search(query: &SearchQuery) -> Self {
        let is_heavy = query.opens() || query.weight() >= HEAVY_WEIGHT;
        if is_heavy { Self::Heavy } else { Self::Search }
    }

    pub(crate) fn of_matches(matches: &[Match]) -> Self {
        let criteria = matches.iter().filter_map(|asked| match asked {
            Match::Query(criteria) => Some(criteria.weight()),
            _ => None,
        });
        match criteria.max() {
            None => Self::Point,
            Some(weight) if weight >= HEAVY_WEIGHT => Self::Heavy,
            Some(_) => Self::Search,
        }
    }

    pub(crate) fn of_asked(asked: &[Asked]) -> Self {
        let each = asked.iter().map(|one| match &one.reading {
            Reading::Current(_) | Reading::Version(_) => Self::Point,
            Reading::History(_) => Self::Search,
            Reading::Search(query) => Self::of_search(query),
        });
        let dearer = |a: Self, b: Self| if a as u8 >= b as u8 { a } else { b };
        each.fold(Self::Point, dearer)
    }
}

/// Time that the criteria of one request may take: they are asked again while no other write is committed.
pub(crate) fn criteria_time<'a>(matches: impl IntoIterator<Item = &'a Match>) -> Duration {
    let criteria = matches.into_iter().filter(|asked| matches!(asked, Match::Query(_))).count();
    CRITERIA_TIME_MAX + CRITERION_TIME * u32::try_from(criteria).unwrap_or(u32::MAX)
}

/// How many of the readers may run what at the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// Searches, the heavy ones among them.
    pub(crate) searches: usize,
    /// Heavy searches.
    pub(crate) heavy: usize,
}

impl Shares {
    /// One in four readers is kept for look-ups, and half of the rest from heavy searches; of one, nothing can be kept.
    pub(crate) fn of(readers: usize) -> Self {
        let searches = readers.saturating_sub(readers.div_ceil(4)).max(1);
        Self { searches, heavy: (searches / 2).max(1) }
    }
}

/// Time that one read may take, in all its statements together; a search beyond it is too costly.
pub(crate) const READ_TIME_MAX: Duration = Duration::from_secs(10);
/// Time that criteria may take beyond what each of them takes as a rule.
const CRITERIA_TIME_MAX: Duration = Duration::from_secs(1);
/// Time that a criterion takes as a rule, on a busy machine.
const CRITERION_TIME: Duration = Duration::from_millis(20);
/// Heavy searches that may wait.
pub(crate) const HEAVY_WAITING_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use fhir::ResourceType;

    use super::*;
    use crate::error::ReadError;
    use crate::search::{Criteria, ParseOptions};

    #[test]
    fn a_reader_is_kept_for_look_ups_wherever_there_are_two() {
        let shares = |readers| (Shares::of(readers).searches, Shares::of(readers).heavy);

        assert_eq!(shares(1), (1, 1));
        assert_eq!(shares(2), (1, 1));
        assert_eq!(shares(3), (2, 1));
        assert_eq!(shares(5), (3, 1));
        assert_eq!(shares(10), (7, 3));
    }

    #[test]
    fn criteria_of_one_identifier_are_no_heavy_search() {
        let options = ParseOptions::default();
        let asked = |query: &str| Criteria::parse(ResourceType::PATIENT, query, &options);
        let one = asked("identifier=urn:mrn%7C1&active=true").unwrap();
        let hops = (0..9).map(|n| format!("organization.name=a{n}")).collect::<Vec<_>>();
        let most = asked(&hops.join("&")).unwrap();
        let values = (0..200).map(|n| format!("b{n}")).collect::<Vec<_>>();
        let refused = asked(&format!("name={}", values.join(",")));

        assert_eq!(Cost::of_matches(&[Match::SearchParams]), Cost::Point);
        assert_eq!(Cost::of_matches(&vec![Match::Query(one); 300]), Cost::Search);
        assert_eq!(Cost::of_matches(&[Match::Query(most)]), Cost::Search);
        assert!(matches!(refused, Err(ReadError::TooCostly(_))));
    }
}
