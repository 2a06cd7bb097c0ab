//! Points in time to the microsecond, and calendar arithmetic without a time library.
//!
//! Spec: FHIR R4 datatype `instant`, RFC 3339. A leap second counts as the first moment of the next minute.
//! Not here: partial dates (`time_range`), the clock (`gateway::clock`).

use std::fmt;

use crate::time_range::TimeRange;

/// Microseconds since 1970-01-01T00:00:00Z, within the years 1 to 9999 when parsed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(i64);

/// The text is not an `instant`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an instant is a date and time to the second at least, with a time zone")]
pub struct InvalidInstant;

impl Instant {
    /// The instant that many microseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Takes date and time to the second at least, with a time zone; digits beyond microseconds are cut off.
    ///
    /// # Errors
    /// [`InvalidInstant`] for any other text, impossible dates included.
    pub fn parse(text: &str) -> Result<Self, InvalidInstant> {
        let parts = DateTimeParts::parse(text).ok_or(InvalidInstant)?;
        let time = parts.time.ok_or(InvalidInstant)?;
        if time.second.is_none() || time.offset_minutes.is_none() {
            return Err(InvalidInstant);
        }
        Ok(Self(TimeRange::of_parts(&parts).lo_us))
    }
}

/// RFC 3339 in UTC with exactly six fractional digits and `Z`, always 27 bytes.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(DAY_US);
        let within = self.0.rem_euclid(DAY_US);
        let (year, month, day) = civil_from_days(days);
        let (seconds, micros) = (within / SECOND_US, within % SECOND_US);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

/// What a FHIR date or time text says, checked against the calendar.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DateTimeParts {
    pub(crate) year: i64,
    pub(crate) month: Option<u8>,
    pub(crate) day: Option<u8>,
    pub(crate) time: Option<TimeParts>,
}

/// The part after the `T`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TimeParts {
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    /// Absent only in search values, which may stop at the minute; 60 in a leap second.
    pub(crate) second: Option<u8>,
    pub(crate) fraction_us: i64,
    /// How many fractional digits were written, 0 to 6; further ones are cut off.
    pub(crate) fraction_digits: u8,
    pub(crate) offset_minutes: Option<i16>,
}

impl DateTimeParts {
    /// Years 0001 to 9999; a day must exist in its month.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let year = digits(bytes, 0, 4).filter(|year| *year > 0)?;
        let mut parts = Self { year: i64::from(year), month: None, day: None, time: None };
        if bytes.len() == 4 {
            return Some(parts);
        }
        let month = after(bytes, 4, b'-').filter(|month| (1..=12).contains(month))?;
        parts.month = Some(month);
        if bytes.len() == 7 {
            return Some(parts);
        }
        let last = days_in_month(parts.year, month);
        parts.day = Some(after(bytes, 7, b'-').filter(|day| (1..=last).contains(day))?);
        if bytes.len() == 10 {
            return Some(parts);
        }
        if bytes[10] != b'T' {
            return None;
        }
        parts.time = Some(TimeParts::parse(text.get(11..)?)?);
        Some(parts)
    }
}

impl TimeParts {
    /// `hh:mm[:ss[.fraction]][offset]`, the offset within 14 hours of UTC.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let hour = digits(bytes, 0, 2).filter(|hour| *hour < 24)? as u8;
        let minute = after(bytes, 2, b':').filter(|minute| *minute < 60)?;
        let mut parts = Self {
            hour,
            minute,
            second: None,
            fraction_us: 0,
            fraction_digits: 0,
            offset_minutes: None,
        };
        let mut at = 5;
        if bytes.get(at) == Some(&b':') {
            parts.second = Some(after(bytes, at, b':').filter(|second| *second <= 60)?);
            at += 3;
            if bytes.get(at) == Some(&b'.') {
                at = parts.take_fraction(bytes, at + 1)?;
            }
        }
        parts.offset_minutes = offset(&bytes[at..])?;
        Some(parts)
    }

    fn take_fraction(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        while let Some(digit) = bytes.get(at).filter(|b| b.is_ascii_digit()) {
            if self.fraction_digits < 6 {
                self.fraction_digits += 1;
                self.fraction_us = self.fraction_us * 10 + i64::from(digit - b'0');
            }
            at += 1;
        }
        self.fraction_us *= 10_i64.pow(6 - u32::from(self.fraction_digits));
        (at > from).then_some(at)
    }
}

/// Outer `None`: malformed; inner `None`: no offset written.
#[expect(clippy::option_option, reason = "malformed and absent are two different answers")]
fn offset(bytes: &[u8]) -> Option<Option<i16>> {
    match bytes {
        [] => Some(None),
        b"Z" => Some(Some(0)),
        [sign @ (b'+' | b'-'), rest @ ..] if rest.len() == 5 => {
            let hours = digits(rest, 0, 2)?;
            let minutes = after(rest, 2, b':').filter(|minutes| *minutes < 60)?;
            let total = i16::try_from(hours).ok()? * 60 + i16::from(minutes);
            let signed = if *sign == b'-' { -total } else { total };
            (total <= 14 * 60).then_some(Some(signed))
        }
        _ => None,
    }
}

fn after(bytes: &[u8], at: usize, separator: u8) -> Option<u8> {
    if bytes.get(at) != Some(&separator) {
        return None;
    }
    digits(bytes, at + 1, 2).map(|number| number as u8)
}

fn digits(bytes: &[u8], from: usize, count: usize) -> Option<u16> {
    let mut number = 0;
    for byte in bytes.get(from..from + count)? {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u16::from(byte - b'0');
    }
    Some(number)
}

/// Length of a month in the proleptic Gregorian calendar.
pub(crate) fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 (H. Hinnant, chrono-compatible low-level date algorithms).
pub(crate) fn days_from_civil(year: i64, month: u8, day: u8) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

pub(crate) const SECOND_US: i64 = 1_000_000;
pub(crate) const MINUTE_US: i64 = 60 * SECOND_US;
pub(crate) const HOUR_US: i64 = 60 * MINUTE_US;
pub(crate) const DAY_US: i64 = 24 * HOUR_US;

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> i64 {
        Instant::parse(text).unwrap().micros()
    }

    #[test]
    fn an_instant_is_written_in_utc_with_six_digits() {
        let instant = Instant::parse("2026-11-21T12:30:00.1234567+02:30").unwrap();

        assert_eq!(instant.to_string(), "2026-11-21T10:00:00.123456Z");
        assert_eq!(Instant::from_micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Instant::from_micros(0).to_string().len(), 27);
    }

    #[test]
    fn every_day_from_year_1_to_9999_survives_the_round_trip() {
        let (first, last) = (days_from_civil(1, 1, 1), days_from_civil(9999, 12, 31));
        for day in (first..=last).step_by(17) {
            let instant = Instant::from_micros(day * DAY_US + 1);
            assert_eq!(Instant::parse(&instant.to_string()), Ok(instant));
        }
        assert_eq!(micros("1970-01-01T00:00:00Z"), 0);
        assert_eq!(micros("2000-02-29T00:00:00Z"), 951_782_400 * SECOND_US);
    }

    #[test]
    fn a_leap_second_is_the_first_moment_of_the_next_minute() {
        assert_eq!(micros("2016-12-31T23:59:60Z"), micros("2017-01-01T00:00:00Z"));
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for bad in [
            "2026",
            "2026-11-21",
            "2026-11-21T10:00:00",
            "2026-11-21T10:00Z",
            "2026-02-30T10:00:00Z",
            "2025-02-29T10:00:00Z",
            "0000-01-01T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T10:00:61Z",
            "2026-11-21T10:00:00.Z",
            "2026-11-21T10:00:00+14:01",
            "2026-11-21T10:00:00+1400",
            "2026-11-21T10:00:00Zé",
            "2026-11-21t10:00:00Z",
            " 2026-11-21T10:00:00Z",
            "",
        ] {
            assert_eq!(Instant::parse(bad), Err(InvalidInstant), "{bad}");
        }
    }
}
