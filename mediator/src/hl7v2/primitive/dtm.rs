//! DTM, DT, TM and TS: timestamps with their own precision and offset.
//!
//! `YYYY[MM[DD[HH[MM[SS[.S…]]]]]][±ZZZZ]`. No offset is invented: without one, the offset of MSH-7 counts for the whole
//! message (HL7 v2.9 §2A.2.22), then the sender's zone; with neither, only the date is kept and a warning tells so. A
//! local time that a zone has twice (autumn) is the earlier one, one that it skips (spring) counts on by the offset
//! before the change, which makes it the later one.
//! FHIR wants minutes and seconds with any time, so `2026030112` becomes `12:00:00`.

use std::fmt::Write as _;

use super::zone::{Local, Zone};
use crate::{event_time::EventTime, warning::NO_OFFSET};

/// A timestamp as sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Dtm<'t> {
    year: u16,
    month: u8,
    day: u8,
    time: Option<Time<'t>>,
    offset_minutes: Option<i16>,
    digits: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Time<'t> {
    hour: u8,
    minute: u8,
    second: u8,
    fraction: &'t str,
}

/// Where a missing offset comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offsets {
    /// Offset of MSH-7, minutes east of UTC.
    pub(crate) message_minutes: Option<i16>,
    /// The site's zone.
    pub(crate) zone: Option<Zone>,
}

impl<'t> Dtm<'t> {
    /// `None` when the text is not a valid timestamp.
    pub(crate) fn parse(text: &'t str) -> Option<Self> {
        let text = text.trim();
        let (text, offset_minutes) = match text.rfind(['+', '-']) {
            Some(at) if at >= 4 => (&text[..at], Some(parse_offset(&text[at..])?)),
            _ => match text.strip_suffix('Z') {
                Some(text) => (text, Some(0)),
                None => (text, None),
            },
        };
        let (digits, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !digits.bytes().all(|b| b.is_ascii_digit())
            || !fraction.bytes().all(|b| b.is_ascii_digit())
            || (!fraction.is_empty() && digits.len() != 14)
            || fraction.len() > 9
            || !matches!(digits.len(), 4 | 6 | 8 | 10 | 12 | 14)
        {
            return None;
        }
        let two = |at: usize| digits.get(at..at + 2).and_then(|d| d.parse::<u8>().ok());
        let year: u16 = digits[..4].parse().ok()?;
        let (month, day) = (two(4).unwrap_or(0), two(6).unwrap_or(0));
        let time = two(8).map(|hour| Time {
            hour,
            minute: two(10).unwrap_or(0),
            second: two(12).unwrap_or(0),
            fraction,
        });
        let dtm = Self { year, month, day, time, offset_minutes, digits: digits.len() };
        dtm.is_plausible().then_some(dtm)
    }

    fn is_plausible(&self) -> bool {
        let month_ok = self.digits < 6 || (1..=12).contains(&self.month);
        let day_ok = self.digits < 8
            || (month_ok && self.day >= 1 && self.day <= days_in_month(self.year, self.month));
        let time_ok = self.time.is_none_or(|t| t.hour < 24 && t.minute < 60 && t.second < 60);
        self.year > 0 && month_ok && day_ok && time_ok
    }

    pub(crate) fn has_time(&self) -> bool {
        self.time.is_some()
    }

    pub(crate) fn offset_minutes(&self) -> Option<i16> {
        self.offset_minutes
    }

    /// FHIR `date`, as precise as sent, without any time.
    pub(crate) fn date(&self) -> String {
        let mut out = format!("{:04}", self.year);
        if self.digits >= 6 {
            let _ = write!(out, "-{:02}", self.month);
        }
        if self.digits >= 8 {
            let _ = write!(out, "-{:02}", self.day);
        }
        out
    }

    /// FHIR `dateTime` and what was odd about it.
    pub(crate) fn date_time(&self, offsets: &Offsets) -> (String, Option<&'static str>) {
        let Some(time) = self.time else { return (self.date(), None) };
        let (offset, warning) = self.resolve_offset(offsets);
        let Some(offset) = offset else { return (self.date(), warning) };
        let mut out = self.date();
        let _ = write!(out, "T{:02}:{:02}:{:02}", time.hour, time.minute, time.second);
        if !time.fraction.is_empty() {
            let _ = write!(out, ".{}", time.fraction);
        }
        let sign = if offset < 0 { '-' } else { '+' };
        let _ = write!(out, "{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60);
        (out, warning)
    }

    /// FHIR `instant`: `None` unless the time is known to the second with an offset.
    pub(crate) fn instant(&self, offsets: &Offsets) -> Option<String> {
        let (text, _) = self.date_time(offsets);
        (self.digits >= 14 && text.len() > 10).then_some(text)
    }

    /// True for a time of day to the second that only wants an offset.
    pub(crate) fn lacks_offset(&self, offsets: &Offsets) -> bool {
        self.digits >= 14 && self.resolve_offset(offsets).0.is_none()
    }

    /// What it says about the order of events.
    pub(crate) fn event_time(&self, offsets: &Offsets) -> EventTime {
        EventTime {
            micros: self.micros(offsets),
            width_us: self.width_us(),
            is_local: self.resolve_offset(offsets).0.is_none(),
        }
    }

    /// How many microseconds it leaves open.
    fn width_us(&self) -> i64 {
        let days = match self.digits {
            4 => 365 + i64::from(days_in_month(self.year, 2) == 29),
            6 => i64::from(days_in_month(self.year, self.month)),
            _ => 1,
        };
        let seconds = match self.digits {
            14 => return 0,
            12 => 60,
            10 => 3_600,
            _ => days * 86_400,
        };
        seconds * 1_000_000 - 1
    }

    /// Microseconds since 1970 UTC; a date without time counts as its first moment, no offset as UTC.
    pub(crate) fn micros(&self, offsets: &Offsets) -> i64 {
        let time = self.time.unwrap_or(Time { hour: 0, minute: 0, second: 0, fraction: "" });
        let offset = self.resolve_offset(offsets).0.unwrap_or(0);
        let mut micros: i64 = 0;
        for n in 0..6 {
            let digit = time.fraction.as_bytes().get(n).map_or(0, |b| i64::from(b - b'0'));
            micros = micros * 10 + digit;
        }
        (self.local_seconds() - i64::from(offset) * 60) * 1_000_000 + micros
    }

    fn local_seconds(&self) -> i64 {
        let time = self.time.unwrap_or(Time { hour: 0, minute: 0, second: 0, fraction: "" });
        let days = days_from_civil(self.year, self.month.max(1), self.day.max(1));
        days * 86_400
            + i64::from(time.hour) * 3_600
            + i64::from(time.minute) * 60
            + i64::from(time.second)
    }

    fn resolve_offset(&self, offsets: &Offsets) -> (Option<i16>, Option<&'static str>) {
        if self.offset_minutes.is_some() {
            return (self.offset_minutes, None);
        }
        if let Some(minutes) = offsets.message_minutes {
            return (Some(minutes), None);
        }
        match offsets.zone.as_ref().map(|z| z.at_local(self.local_seconds(), self.year)) {
            Some(Local::One(minutes)) => (Some(minutes), None),
            Some(Local::Gap(minutes)) => (Some(minutes), Some("time-in-daylight-saving-gap")),
            Some(Local::Twice(minutes)) => (Some(minutes), Some("time-exists-twice")),
            None => (None, Some(NO_OFFSET)),
        }
    }
}

/// FHIR `time` of a TM value.
pub(crate) fn time(text: &str) -> Option<String> {
    let clock = text.trim();
    let clock = clock.find(['+', '-']).map_or(clock, |at| &clock[..at]);
    let whole = format!("20000101{clock}");
    let dtm = Dtm::parse(&whole)?;
    let time = dtm.time?;
    let mut out = format!("{:02}:{:02}:{:02}", time.hour, time.minute, time.second);
    if !time.fraction.is_empty() {
        let _ = write!(out, ".{}", time.fraction);
    }
    Some(out)
}

fn parse_offset(text: &str) -> Option<i16> {
    let digits = text.get(1..)?;
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let minutes = digits[..2].parse::<i16>().ok()? * 60 + digits[2..].parse::<i16>().ok()?;
    let minutes = if text.starts_with('-') { -minutes } else { minutes };
    (minutes.abs() <= 14 * 60 && digits[2..].parse::<u8>().ok()? < 60).then_some(minutes)
}

fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
pub(crate) fn days_from_civil(year: u16, month: u8, day: u8) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let month = i64::from(month);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, offsets: &Offsets) -> Option<(String, Option<&'static str>)> {
        Dtm::parse(text).map(|d| d.date_time(offsets))
    }

    #[test]
    fn precision_and_offset_are_kept_and_none_invented() {
        let none = Offsets::default();
        assert_eq!(read("1980", &none), Some(("1980".to_owned(), None)));
        assert_eq!(read("198002", &none), Some(("1980-02".to_owned(), None)));
        assert_eq!(read("20260301", &none), Some(("2026-03-01".to_owned(), None)));
        let with = "20260301115530.120+0100";
        assert_eq!(read(with, &none), Some(("2026-03-01T11:55:30.120+01:00".to_owned(), None)));
        let (text, warning) = read("202603011155", &none).expect("valid");
        assert_eq!((text.as_str(), warning), ("2026-03-01", Some("no-offset-time-dropped")));
        let message = Offsets { message_minutes: Some(-300), zone: None };
        assert_eq!(read("202603011155", &message).expect("valid").0, "2026-03-01T11:55:00-05:00");
    }

    #[test]
    fn impossible_timestamps_are_refused() {
        for text in [
            "20260",
            "202603011",
            "20261301",
            "20260230",
            "2026030125",
            "0000",
            "",
            "x",
            "20260301+01",
            "20260301120000+9900",
            "2026030112.5",
            "é026",
        ] {
            assert_eq!(Dtm::parse(text), None, "{text}");
        }
        assert!(Dtm::parse("20240229").is_some());
    }

    #[test]
    fn microseconds_count_from_1970_utc() {
        let none = Offsets::default();
        let at = |t: &str| Dtm::parse(t).expect("valid").micros(&none);
        assert_eq!(at("19700101000000+0000"), 0);
        assert_eq!(at("20260301120000.5+0100"), 1_772_362_800_500_000);
        assert_eq!(at("19691231235959Z"), -1_000_000);
    }

    #[test]
    fn a_time_of_day_needs_no_date() {
        assert_eq!(time("1130").as_deref(), Some("11:30:00"));
        assert_eq!(time("113005.25+0100").as_deref(), Some("11:30:05.25"));
        assert_eq!(time("25"), None);
    }
}
