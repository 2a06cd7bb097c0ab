//! When an event happened by the sender's clock, and which of two events is certainly the older.
//!
//! A time is as precise as it was sent, and without an offset it is only known on the sender's own clock. HL7 v2 does
//! not say where that clock stands, so such a time and one with an offset are ordered only when every offset there is
//! (UTC-12 to UTC+14) gives the same order; two times without one are taken to be of one clock. What cannot be ordered
//! counts as not older: the order of arrival decides.
//! Not here: which field holds the time (`hl7v2::convert`), where the last one is kept (`merge`).

/// When an event happened by the sender's clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EventTime {
    /// The first microsecond that it may mean, since 1970: UTC, or as the sender's clock reads when `is_local`.
    pub micros: i64,
    /// How many microseconds it may mean: 0 for a time to the second, a day for a date.
    pub width_us: i64,
    /// True when its offset is not known.
    pub is_local: bool,
}

/// The last applied events of a resource, by either clock.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Applied {
    /// The newest with a known offset, UTC.
    pub(crate) utc_us: Option<i64>,
    /// The newest without one, as the sender's clock reads.
    pub(crate) local_us: Option<i64>,
}

impl EventTime {
    /// A moment that is known to the microsecond, UTC.
    pub fn at(micros: i64) -> Self {
        Self { micros, width_us: 0, is_local: false }
    }

    /// True when it is older than what was applied, whatever the offsets are.
    pub(crate) fn is_older_than(self, applied: Applied) -> bool {
        let latest = self.micros + self.width_us;
        let (utc, local) = match self.is_local {
            true => (latest + WEST_MAX_US, latest),
            false => (latest, latest + EAST_MAX_US),
        };
        applied.utc_us.is_some_and(|t| utc < t) || applied.local_us.is_some_and(|t| local < t)
    }
}

impl Applied {
    /// With one more event applied.
    pub(crate) fn with(mut self, time: EventTime) -> Self {
        let of = if time.is_local { &mut self.local_us } else { &mut self.utc_us };
        *of = Some(of.map_or(time.micros, |known| known.max(time.micros)));
        self
    }
}

const HOUR_US: i64 = 3_600_000_000;
/// A clock twelve hours behind UTC: what it reads is that much earlier than UTC.
const WEST_MAX_US: i64 = 12 * HOUR_US;
/// A clock fourteen hours ahead of UTC.
const EAST_MAX_US: i64 = 14 * HOUR_US;

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 12 * HOUR_US;

    fn local(micros: i64) -> EventTime {
        EventTime { is_local: true, ..EventTime::at(micros) }
    }

    #[test]
    fn times_of_one_clock_are_ordered_exactly() {
        for make in [EventTime::at, local] {
            let applied = Applied::default().with(make(NOON));

            assert!(make(NOON - 1).is_older_than(applied));
            assert!(!make(NOON).is_older_than(applied));
            assert!(!make(NOON + 1).is_older_than(applied));
        }
    }

    #[test]
    fn a_time_without_an_offset_is_older_only_where_every_offset_says_so() {
        // 12:00 on a clock at UTC-12 is 24:00 UTC, on one at UTC+14 it is 22:00 UTC of the day before.
        let utc = |hours: i64| Applied::default().with(EventTime::at(hours * HOUR_US));
        assert!(!local(NOON).is_older_than(utc(24)));
        assert!(local(NOON).is_older_than(utc(25)));

        let on_a_clock = Applied::default().with(local(NOON));
        assert!(!EventTime::at(-2 * HOUR_US).is_older_than(on_a_clock));
        assert!(EventTime::at(-3 * HOUR_US).is_older_than(on_a_clock));
    }

    #[test]
    fn an_older_event_is_known_by_its_own_clock_after_one_of_the_other() {
        let applied = Applied::default().with(EventTime::at(NOON)).with(local(NOON + HOUR_US));

        assert!(EventTime::at(NOON - 1).is_older_than(applied));
        assert!(local(NOON).is_older_than(applied));
        assert!(!EventTime::at(NOON + 1).is_older_than(applied));
    }

    #[test]
    fn a_date_is_not_older_than_a_time_of_its_day() {
        let day = EventTime { width_us: 24 * HOUR_US - 1, ..EventTime::at(0) };

        assert!(!day.is_older_than(Applied::default().with(EventTime::at(NOON))));
        assert!(day.is_older_than(Applied::default().with(EventTime::at(24 * HOUR_US))));
        let applied = Applied::default().with(EventTime::at(NOON)).with(day);
        assert_eq!(applied.utc_us, Some(NOON), "a date takes nothing back");
    }
}
