//! A site's time zone as a rule: a fixed offset or POSIX TZ text with daylight saving time.
//!
//! Forms: `+01:00`, `Z`, `CET-1CEST,M3.5.0,M10.5.0/3` (POSIX.1 §8.3, `M` rules only). Names such as `Europe/Berlin` are
//! looked up in the rule set (`zones.csv`) by the caller. Today's rule is applied to all years.

use super::dtm::days_from_civil;

/// When local clocks read what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Zone {
    standard_minutes: i16,
    daylight: Option<Daylight>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Daylight {
    minutes: i16,
    start: Change,
    end: Change,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Change {
    month: u8,
    week: u8,
    weekday: u8,
    seconds: i64,
}

/// What a local time means, in minutes east of UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Local {
    /// Exactly one moment.
    One(i16),
    /// It never showed on a clock; the offset before the change is taken.
    Gap(i16),
    /// It showed twice; the first is taken.
    Twice(i16),
}

impl Zone {
    /// Reads a fixed offset or POSIX TZ text; `None` when it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "Z" {
            return Some(Self { standard_minutes: 0, daylight: None });
        }
        if text.starts_with(['+', '-']) && text.len() == 6 && text.as_bytes()[3] == b':' {
            let hours = text[1..3].parse::<i16>().ok()?;
            let minutes = hours * 60 + text[4..6].parse::<i16>().ok()?;
            let minutes = if text.starts_with('-') { -minutes } else { minutes };
            return (minutes.abs() <= 840)
                .then_some(Self { standard_minutes: minutes, daylight: None });
        }
        let mut parts = text.split(',');
        let (standard, rest) = name_and_offset(parts.next()?)?;
        let standard_minutes = standard?;
        if rest.is_empty() {
            return Some(Self { standard_minutes, daylight: None });
        }
        let (minutes, rest) = name_and_offset(rest)?;
        let (start, end) = (Change::parse(parts.next()?)?, Change::parse(parts.next()?)?);
        let minutes = minutes.unwrap_or(standard_minutes + 60);
        if !rest.is_empty() || parts.next().is_some() {
            return None;
        }
        Some(Self { standard_minutes, daylight: Some(Daylight { minutes, start, end }) })
    }

    pub(crate) fn at_local(&self, seconds: i64, year: u16) -> Local {
        let Some(daylight) = &self.daylight else { return Local::One(self.standard_minutes) };
        let shift = i64::from(daylight.minutes - self.standard_minutes) * 60;
        let (start, end) = (daylight.start.seconds_in(year), daylight.end.seconds_in(year));
        if (start..start + shift).contains(&seconds) {
            return Local::Gap(self.standard_minutes);
        }
        if (end - shift..end).contains(&seconds) {
            return Local::Twice(daylight.minutes);
        }
        let summer = if start < end {
            (start..end).contains(&seconds)
        } else {
            !(end..start).contains(&seconds)
        };
        Local::One(if summer { daylight.minutes } else { self.standard_minutes })
    }
}

impl Change {
    fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once('/').unwrap_or((text, "2"));
        let mut numbers = day.strip_prefix('M')?.split('.').map(|n| n.parse::<u8>().ok());
        let (month, week, weekday) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let mut clock = time.split(':').map(|n| n.parse::<i64>().ok());
        let hours = clock.next()??;
        let minutes = clock.next().unwrap_or(Some(0))?;
        let valid = (1..=12).contains(&month) && (1..=5).contains(&week) && weekday < 7;
        (valid && hours.abs() < 168 && (0..60).contains(&minutes)).then_some(Self {
            month,
            week,
            weekday,
            seconds: hours * 3_600 + minutes * 60,
        })
    }

    /// Local seconds since 1970 of the change in a year, on the clock in force before it.
    fn seconds_in(self, year: u16) -> i64 {
        let first = days_from_civil(year, self.month, 1);
        let next = match self.month {
            12 => first + 31,
            month => days_from_civil(year, month + 1, 1),
        };
        // 1970-01-01 was a Thursday; Sunday counts 0.
        let weekday = (first + 4).rem_euclid(7);
        let mut day = first + (i64::from(self.weekday) - weekday).rem_euclid(7);
        day += 7 * i64::from(self.week - 1);
        while day >= next {
            day -= 7;
        }
        day * 86_400 + self.seconds
    }
}

/// `CET-1` → minutes east (POSIX counts west) and what follows; the offset may be absent.
fn name_and_offset(text: &str) -> Option<(Option<i16>, &str)> {
    let (name, rest) = match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>')?,
        None => text.split_at(text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len())),
    };
    if name.len() < 3 {
        return None;
    }
    let end = rest
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '+' | '-' | ':')))
        .unwrap_or(rest.len());
    let (offset, rest) = rest.split_at(end);
    if offset.is_empty() {
        return Some((None, rest));
    }
    let west = offset.starts_with('-');
    let mut numbers =
        offset.trim_start_matches(['+', '-']).split(':').map(|n| n.parse::<i16>().ok());
    let hours = numbers.next()??;
    let minutes = numbers.next().unwrap_or(Some(0))?;
    if hours > 14 || minutes > 59 {
        return None;
    }
    let minutes = hours * 60 + minutes;
    Some((Some(if west { minutes } else { -minutes }), rest))
}

#[cfg(test)]
mod tests {
    use super::{super::dtm::Dtm, super::dtm::Offsets, *};

    fn in_zone(zone: &str, text: &str) -> (String, Option<&'static str>) {
        let zone = Zone::parse(zone);
        assert!(zone.is_some());
        let offsets = Offsets { message_minutes: None, zone };
        Dtm::parse(text).expect("valid").date_time(&offsets)
    }

    #[test]
    fn daylight_saving_changes_gaps_and_doubles_are_known() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        assert_eq!(in_zone(berlin, "20260115120000").0, "2026-01-15T12:00:00+01:00");
        assert_eq!(in_zone(berlin, "20260715120000").0, "2026-07-15T12:00:00+02:00");
        let gap = in_zone(berlin, "20260329023000");
        assert_eq!(gap.0, "2026-03-29T02:30:00+01:00");
        assert_eq!(gap.1, Some("time-in-daylight-saving-gap"));
        let twice = in_zone(berlin, "20261025023000");
        assert_eq!(twice, ("2026-10-25T02:30:00+02:00".to_owned(), Some("time-exists-twice")));
        assert_eq!(in_zone("AEST-10AEDT,M10.1.0,M4.1.0/3", "20260115").0, "2026-01-15");
        assert_eq!(
            in_zone("AEST-10AEDT,M10.1.0,M4.1.0/3", "202601151200").0,
            "2026-01-15T12:00:00+11:00"
        );
        assert_eq!(
            in_zone("EST5EDT,M3.2.0,M11.1.0", "202601151200").0,
            "2026-01-15T12:00:00-05:00"
        );
        assert_eq!(in_zone("+05:30", "202601151200").0, "2026-01-15T12:00:00+05:30");
    }

    /// Expected offsets from the tz database itself, by another reader of it.
    #[test]
    fn odd_rules_of_the_tz_database_are_read() {
        for (zone, local, wanted) in [
            ("NST3:30NDT,M3.2.0,M11.1.0", "202607151200", "2026-07-15T12:00:00-02:30"),
            ("IST-2IDT,M3.4.4/26,M10.5.0", "202603270100", "2026-03-27T01:00:00+02:00"),
            ("IST-2IDT,M3.4.4/26,M10.5.0", "202603270300", "2026-03-27T03:00:00+03:00"),
            ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "202603282100", "2026-03-28T21:00:00-02:00"),
            ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "202603290000", "2026-03-29T00:00:00-01:00"),
            ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "202601151200", "2026-01-15T12:00:00+11:00"),
            ("EET-2EEST,M4.5.5/0,M10.5.4/24", "202610292200", "2026-10-29T22:00:00+03:00"),
            ("EET-2EEST,M4.5.5/0,M10.5.4/24", "202610301200", "2026-10-30T12:00:00+02:00"),
            ("<-04>4<-03>,M9.1.6/24,M4.1.6/24", "202606011200", "2026-06-01T12:00:00-04:00"),
            ("<+00>0<+02>-2,M3.5.0/1,M10.5.0/3", "202607011200", "2026-07-01T12:00:00+02:00"),
        ] {
            assert_eq!(in_zone(zone, local).0, wanted, "{zone}");
        }
    }

    #[test]
    fn other_texts_are_no_zone() {
        for text in [
            "",
            "Berlin",
            "CET-1CEST",
            "CET-1CEST,M3.5.0",
            "+1:00",
            "é",
            "CET-1CEST,M13.5.0,M1.1.1",
        ] {
            assert_eq!(Zone::parse(text), None, "{text}");
        }
    }
}
