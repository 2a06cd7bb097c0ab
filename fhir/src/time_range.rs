//! The stretch of time that a partial date stands for.
//!
//! Spec: FHIR R4 search.html section 3.1.1.4.7: `2013` means the whole year. Half open, in microseconds since 1970 UTC.
//! A time without an offset is taken as UTC. Not here: strict datatype forms (`primitive`).

use crate::instant::{
    DAY_US, DateTimeParts, HOUR_US, MINUTE_US, SECOND_US, TimeParts, days_from_civil, days_in_month,
};

/// From `lo_us` (inclusive) to `hi_us` (exclusive).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TimeRange {
    /// First microsecond within.
    pub lo_us: i64,
    /// First microsecond after.
    pub hi_us: i64,
}

impl TimeRange {
    /// Range that holds every moment.
    pub const ALL: Self = Self { lo_us: i64::MIN, hi_us: i64::MAX };

    /// The range of a `date`, `dateTime` or `instant`, or of a search value, which may stop at the minute.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        DateTimeParts::parse(text).map(|parts| Self::of_parts(&parts))
    }

    /// The range of a `Period`; an absent end is open. `None` when an end is malformed or both are absent.
    #[must_use]
    pub fn period(start: Option<&str>, end: Option<&str>) -> Option<Self> {
        if start.is_none() && end.is_none() {
            return None;
        }
        let lo_us = match start {
            Some(text) => Self::parse(text)?.lo_us,
            None => i64::MIN,
        };
        let hi_us = match end {
            Some(text) => Self::parse(text)?.hi_us,
            None => i64::MAX,
        };
        Some(Self { lo_us, hi_us })
    }

    /// Whether the other range lies wholly within this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.lo_us <= other.lo_us && other.hi_us <= self.hi_us
    }

    pub(crate) fn of_parts(parts: &DateTimeParts) -> Self {
        let days = |year, month, day| days_from_civil(year, month, day) * DAY_US;
        let year = parts.year;
        let Some(month) = parts.month else {
            return Self { lo_us: days(year, 1, 1), hi_us: days(year + 1, 1, 1) };
        };
        let Some(day) = parts.day else {
            let lo_us = days(year, month, 1);
            return Self { lo_us, hi_us: lo_us + i64::from(days_in_month(year, month)) * DAY_US };
        };
        let midnight = days(year, month, day);
        let Some(time) = parts.time else {
            return Self { lo_us: midnight, hi_us: midnight + DAY_US };
        };
        let lo_us = midnight + of_day(&time);
        Self { lo_us, hi_us: lo_us + precision_us(&time) }
    }
}

fn of_day(time: &TimeParts) -> i64 {
    i64::from(time.hour) * HOUR_US
        + i64::from(time.minute) * MINUTE_US
        + i64::from(time.second.unwrap_or(0)) * SECOND_US
        + time.fraction_us
        - i64::from(time.offset_minutes.unwrap_or(0)) * MINUTE_US
}

fn precision_us(time: &TimeParts) -> i64 {
    match time.second {
        None => MINUTE_US,
        Some(_) => 10_i64.pow(6 - u32::from(time.fraction_digits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instant;

    fn ends(text: &str) -> (String, String) {
        let range = TimeRange::parse(text).unwrap();
        let show = |micros| Instant::from_micros(micros).to_string().replace(".000000Z", "Z");
        (show(range.lo_us), show(range.hi_us))
    }

    #[test]
    fn a_partial_date_covers_all_it_may_mean() {
        for (text, lo, hi) in [
            ("2013", "2013-01-01T00:00:00Z", "2014-01-01T00:00:00Z"),
            ("2012-02", "2012-02-01T00:00:00Z", "2012-03-01T00:00:00Z"),
            ("2013-12", "2013-12-01T00:00:00Z", "2014-01-01T00:00:00Z"),
            ("2013-01-14", "2013-01-14T00:00:00Z", "2013-01-15T00:00:00Z"),
            ("2013-01-14T10:00", "2013-01-14T10:00:00Z", "2013-01-14T10:01:00Z"),
            ("2013-01-14T10:00:09", "2013-01-14T10:00:09Z", "2013-01-14T10:00:10Z"),
            ("2013-01-14T00:30:00+01:00", "2013-01-13T23:30:00Z", "2013-01-13T23:30:01Z"),
            (
                "2013-01-14T10:00:00.25Z",
                "2013-01-14T10:00:00.250000Z",
                "2013-01-14T10:00:00.260000Z",
            ),
            ("9999", "9999-01-01T00:00:00Z", "10000-01-01T00:00:00Z"),
        ] {
            assert_eq!(ends(text), (lo.to_owned(), hi.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_open_period_reaches_to_the_end_of_time() {
        let open = TimeRange::period(Some("2013"), None).unwrap();

        assert_eq!(open.hi_us, i64::MAX);
        assert!(open.contains(&TimeRange::parse("2020-01-01").unwrap()));
        assert_eq!(TimeRange::period(None, None), None);
        assert_eq!(TimeRange::period(Some("x"), None), None);
    }

    #[test]
    fn impossible_dates_have_no_range() {
        for bad in ["2021-02-30", "2021-13", "2021-00", "0000", "21", "2021-1-1", "2021-01-01T"] {
            assert_eq!(TimeRange::parse(bad), None, "{bad}");
        }
    }
}
