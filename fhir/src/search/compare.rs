//! How a search value with its prefix compares with a value of a resource.
//!
//! Spec: FHIR R4 search.html section 3.1.1.4.5 (prefixes), read with the ranges of the dates (3.1.1.4.7)
//! and numbers (3.1.1.4.6). These functions are what the SQL of `registry` must say.

use crate::TimeRange;

use super::decimal::NumberRange;

/// Prefix of an ordered search value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SearchPrefix {
    /// `eq`, or no prefix: the search range contains the value.
    Equal,
    /// `ne`: it does not.
    NotEqual,
    /// `gt`: some of the value is above the search range.
    Greater,
    /// `lt`: some of the value is below the search range.
    Less,
    /// `ge`: greater or equal.
    GreaterOrEqual,
    /// `le`: less or equal.
    LessOrEqual,
    /// `sa`: all of the value is above.
    StartsAfter,
    /// `eb`: all of the value is below.
    EndsBefore,
    /// `ap`: they overlap, the search range widened by a tenth.
    Approximate,
    /// `co`, an operator of `_filter` and no prefix: the value contains the search range.
    Contains,
}

impl SearchPrefix {
    /// Splits a prefix off; text without one is [`SearchPrefix::Equal`].
    #[must_use]
    pub fn split(text: &str) -> (Self, &str) {
        for (code, prefix) in PREFIXES {
            if let Some(rest) = text.strip_prefix(code) {
                return (prefix, rest);
            }
        }
        (Self::Equal, text)
    }

    /// The two letters.
    #[must_use]
    pub fn code(self) -> &'static str {
        PREFIXES.iter().find(|(_, prefix)| *prefix == self).map_or("eq", |(code, _)| code)
    }
}

/// Whether a date of a resource matches. For `ap` the query is widened before (`approximate_dates`).
#[must_use]
pub fn date_matches(prefix: SearchPrefix, query: TimeRange, value: TimeRange) -> bool {
    let contained = query.contains(&value);
    let above = value.hi_us > query.hi_us;
    let below = value.lo_us < query.lo_us;
    match prefix {
        SearchPrefix::Equal => contained,
        SearchPrefix::NotEqual => !contained,
        SearchPrefix::Greater => above,
        SearchPrefix::Less => below,
        SearchPrefix::GreaterOrEqual => above || contained,
        SearchPrefix::LessOrEqual => below || contained,
        SearchPrefix::StartsAfter => value.lo_us >= query.hi_us,
        SearchPrefix::EndsBefore => value.hi_us <= query.lo_us,
        SearchPrefix::Approximate => value.lo_us < query.hi_us && value.hi_us > query.lo_us,
        SearchPrefix::Contains => value.contains(&query),
    }
}

/// The range that `ap` means: widened at both ends by a tenth of the time between it and now, as
/// the standard recommends.
#[must_use]
pub fn approximate_dates(query: TimeRange, now_us: i64) -> TimeRange {
    let gap = if now_us < query.lo_us {
        query.lo_us.saturating_sub(now_us)
    } else {
        now_us.saturating_sub(query.hi_us).max(0)
    };
    let margin = gap / 10;
    TimeRange {
        lo_us: query.lo_us.saturating_sub(margin),
        hi_us: query.hi_us.saturating_add(margin),
    }
}

/// Whether a number or quantity of a resource matches. `eq`, `ne` use the implicit range of the
/// query, `ap` a tenth at either side, the others its exact value.
#[must_use]
pub fn number_matches(prefix: SearchPrefix, query: NumberRange, value: NumberRange) -> bool {
    let contained = query.lo <= value.lo && value.hi < query.hi;
    match prefix {
        SearchPrefix::Equal => contained,
        SearchPrefix::NotEqual => !contained,
        SearchPrefix::Greater => value.hi > query.value,
        SearchPrefix::Less => value.lo < query.value,
        SearchPrefix::GreaterOrEqual => value.hi >= query.value,
        SearchPrefix::LessOrEqual => value.lo <= query.value,
        SearchPrefix::StartsAfter => value.lo > query.value,
        SearchPrefix::EndsBefore => value.hi < query.value,
        SearchPrefix::Approximate => {
            let wide = approximate_number(query);
            value.hi >= wide.lo && value.lo <= wide.hi
        }
        SearchPrefix::Contains => value.lo <= query.value && value.hi >= query.value,
    }
}

/// The range that `ap` means for a number: a tenth of it at either side, or its implicit range if
/// that is wider.
#[must_use]
pub fn approximate_number(query: NumberRange) -> NumberRange {
    let margin = query.value.abs() / 10.0;
    NumberRange {
        lo: query.lo.min(query.value - margin),
        hi: query.hi.max(query.value + margin),
        value: query.value,
    }
}

const PREFIXES: [(&str, SearchPrefix); 9] = [
    ("eq", SearchPrefix::Equal),
    ("ne", SearchPrefix::NotEqual),
    ("gt", SearchPrefix::Greater),
    ("lt", SearchPrefix::Less),
    ("ge", SearchPrefix::GreaterOrEqual),
    ("le", SearchPrefix::LessOrEqual),
    ("sa", SearchPrefix::StartsAfter),
    ("eb", SearchPrefix::EndsBefore),
    ("ap", SearchPrefix::Approximate),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn dates(query: &str, value: &str) -> bool {
        let (prefix, text) = SearchPrefix::split(query);
        let value = match value.split_once("..") {
            Some((start, end)) => {
                let end_of = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
                TimeRange::period(end_of(start).as_deref(), end_of(end).as_deref())
            }
            None => TimeRange::parse(value),
        };
        date_matches(prefix, TimeRange::parse(text).unwrap(), value.unwrap())
    }

    fn numbers(query: &str, low: f64, high: f64) -> bool {
        let (prefix, text) = SearchPrefix::split(query);
        let value = NumberRange::between(Some(low), Some(high)).unwrap();
        number_matches(prefix, NumberRange::of_search_text(text).unwrap(), value)
    }

    #[test]
    fn the_standards_examples_for_dates_hold() {
        // Table of prefixes and the notes below it, search.html 3.1.1.4.5 and 3.1.1.4.7.
        assert!(dates("eq2013-01-14", "2013-01-14T00:00:00Z"));
        assert!(dates("eq2013-01-14", "2013-01-14T10:00:00Z"));
        assert!(!dates("eq2013-01-14", "2013-01-15T00:00:00Z"));
        assert!(dates("ne2013-01-14", "2013-01-15T00:00:00Z"));
        assert!(!dates("ne2013-01-14", "2013-01-14T00:00:00Z"));
        assert!(dates("lt2013-01-14T10:00", "2013-01-14"));
        assert!(dates("gt2013-01-14T10:00", "2013-01-14"));
        assert!(dates("ge2013-03-14", "2013-03-14..2013-03-20"));
        assert!(dates("ge2013-03-14", "..2013-03-20"));
        assert!(dates("ge2013-03-14", "2013-03-21.."));
        assert!(dates("le2013-03-14", "..2013-03-14"));
        assert!(dates("sa2013-03-14", "2013-03-15.."));
        assert!(!dates("sa2013-03-14", "..2013-03-15"));
        assert!(!dates("sa2013-03-14", "2013-03-14..2013-03-15"));
        assert!(dates("eb2013-03-14", "..2013-03-13"));
        assert!(!dates("eb2013-03-14", "2013-03-13.."));
    }

    #[test]
    fn a_year_does_not_equal_a_month_within_it() {
        assert!(dates("2013", "2013-05"));
        assert!(!dates("2013-05", "2013"));
        assert!(dates("ap2013-05", "2013"));
        assert!(!dates("gt2013", "2013-05"));
        assert!(dates("ge2013", "2013-05"));
    }

    #[test]
    fn about_then_widens_with_the_distance_from_now() {
        let day = |text| TimeRange::parse(text).unwrap();
        let now = day("2020-01-01").lo_us;

        let wide = approximate_dates(day("2019-09-23"), now);

        // 2019-09-24 to 2020-01-01 are 99 days; a tenth is 9.9 days.
        assert!(wide.contains(&day("2019-09-14")) && wide.contains(&day("2019-10-02")));
        assert!(!wide.contains(&day("2019-09-13")) && !wide.contains(&day("2019-10-04")));
    }

    #[test]
    fn the_standards_examples_for_numbers_hold() {
        // search.html 3.1.1.4.6 and 3.1.1.4.12.
        assert!(numbers("100", 99.5, 99.5) && numbers("100", 100.499, 100.499));
        assert!(!numbers("100", 100.5, 100.5) && !numbers("100", 99.499, 99.499));
        assert!(numbers("5.4", 5.35, 5.35) && numbers("5.4", 5.4, 5.4));
        assert!(!numbers("5.4", 5.45, 5.45));
        assert!(numbers("lt100", 99.9, 99.9) && !numbers("lt100", 100.0, 100.0));
        assert!(numbers("le100", 100.0, 100.0) && !numbers("le100", 100.1, 100.1));
        assert!(numbers("gt100", 100.1, 100.1) && !numbers("gt100", 100.0, 100.0));
        assert!(numbers("ge100", 100.0, 100.0));
        assert!(numbers("ne100", 100.5, 100.5) && !numbers("ne100", 100.2, 100.2));
        assert!(numbers("ap100", 90.0, 90.0) && numbers("ap100", 110.0, 110.0));
        assert!(!numbers("ap100", 89.9, 89.9));
    }

    #[test]
    fn ranges_overlap_for_gt_and_lie_beyond_for_sa() {
        assert!(numbers("gt5", 4.0, 6.0) && numbers("lt5", 4.0, 6.0));
        assert!(!numbers("sa5", 4.0, 6.0) && numbers("sa5", 5.1, 6.0));
        assert!(!numbers("eb5", 4.0, 6.0) && numbers("eb5", 4.0, 4.9));
        assert!(!numbers("5", 4.0, 6.0));
    }

    #[test]
    fn every_prefix_is_split_off_and_no_other() {
        for (code, prefix) in PREFIXES {
            assert_eq!(SearchPrefix::split(&format!("{code}5")), (prefix, "5"));
            assert_eq!(prefix.code(), code);
        }
        assert_eq!(SearchPrefix::split("5"), (SearchPrefix::Equal, "5"));
    }
}
