//! Dates, times, and dates with times, each as precise as it was written.
//!
//! Spec: FHIRPath N1 §4.1.6–8 (literals), §6.2 (comparison by precision), §6.6.5 (arithmetic).

use std::cmp::Ordering;
use std::fmt;

/// A point in time of some precision.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    kind: MomentKind,
    /// Year, month, day, hour, minute, milliseconds within the minute; as many as `precision` says are set.
    parts: [i64; 6],
    /// How many of the parts are written; for a time, counted from the year too.
    precision: usize,
    /// Minutes east of UTC.
    zone: Option<i64>,
    /// The seconds were written with a fraction.
    fraction: bool,
}

/// What a moment is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MomentKind {
    Date,
    DateTime,
    Time,
}

impl Moment {
    /// A literal without its `@`.
    pub(crate) fn literal(text: &str) -> Option<Self> {
        if let Some(time) = text.strip_prefix('T') {
            return Self::time(time);
        }
        if text.contains('T') { Self::date_time(text) } else { Self::date(text) }
    }

    /// `YYYY`, `YYYY-MM`, `YYYY-MM-DD`
    pub(crate) fn date(text: &str) -> Option<Self> {
        let mut parts = [0, 1, 1, 0, 0, 0];
        let mut precision = 0;
        for (place, word) in text.split('-').enumerate() {
            let width = if place == 0 { 4 } else { 2 };
            if place > 2 || word.len() != width || !word.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            parts[place] = word.parse().ok()?;
            precision = place + 1;
        }
        let good =
            (1..=12).contains(&parts[1]) && (1..=days_in(parts[0], parts[1])).contains(&parts[2]);
        let made = Self { kind: MomentKind::Date, parts, precision, zone: None, fraction: false };
        good.then_some(made)
    }

    /// A date, or a date with `T` and perhaps a time and a zone.
    pub(crate) fn date_time(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('T').unwrap_or((text, ""));
        let mut moment = Self::date(date)?;
        moment.kind = MomentKind::DateTime;
        if time.is_empty() {
            return Some(moment);
        }
        if moment.precision < 3 {
            return None;
        }
        let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
        moment.clock(&time[..zone_at])?;
        moment.zone = zone(&time[zone_at..])?;
        Some(moment)
    }

    /// `hh`, `hh:mm`, `hh:mm:ss`, `hh:mm:ss.fff`
    pub(crate) fn time(text: &str) -> Option<Self> {
        let parts = [0, 1, 1, 0, 0, 0];
        let kind = MomentKind::Time;
        let mut moment = Self { kind, parts, precision: 3, zone: None, fraction: false };
        moment.clock(text)?;
        Some(moment)
    }

    fn clock(&mut self, text: &str) -> Option<()> {
        for (place, word) in text.split(':').enumerate() {
            let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
            let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            if place > 2 || whole.len() != 2 || !digits(whole) || !digits(fraction) {
                return None;
            }
            let mut value: i64 = whole.parse().ok()?;
            if value > [23, 59, 60][place] || (place < 2 && !fraction.is_empty()) {
                return None;
            }
            if place == 2 {
                let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
                value = value * 1000 + millis.parse::<i64>().ok()?;
                self.fraction = word.contains('.');
            }
            self.parts[3 + place] = value;
            self.precision = 4 + place;
        }
        Some(())
    }

    /// Whether one is a time of day and the other has a date: then they are different.
    pub(crate) fn is_other_kind(self, other: Self) -> bool {
        (self.kind == MomentKind::Time) != (other.kind == MomentKind::Time)
    }

    pub(crate) fn kind(self) -> MomentKind {
        self.kind
    }

    /// Order by precision: `None` when they are equal as far as both are written, and one is more precise.
    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        if self.is_other_kind(other) {
            return None;
        }
        let (mut left, mut right) = (self, other);
        let timed = left.precision > 3 && right.precision > 3 && left.kind != MomentKind::Time;
        if timed && left.zone.is_some() != right.zone.is_some() {
            let apart = left.minutes() - right.minutes();
            return (apart.abs() > ZONES_MINUTES_MAX).then(|| apart.cmp(&0));
        }
        if timed && left.zone.is_some() {
            left = left.in_utc();
            right = right.in_utc();
        }
        let both = left.precision.min(right.precision);
        match left.parts[..both].cmp(&right.parts[..both]) {
            Ordering::Equal if left.precision != right.precision => None,
            order => Some(order),
        }
    }

    /// Minutes since the civil epoch, as written.
    fn minutes(self) -> i64 {
        let [year, month, day, hour, minute, _] = self.parts;
        (days_from_civil(year, month, day) * 24 + hour) * 60 + minute
    }

    fn in_utc(mut self) -> Self {
        let Some(zone) = self.zone.take() else { return self };
        self.set_minutes(self.minutes() - zone);
        self
    }

    fn set_minutes(&mut self, minutes: i64) {
        let (days, rest) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
        let (year, month, day) = civil_from_days(days);
        let millis = self.parts[5];
        self.parts = [year, month, day, rest / 60, rest % 60, millis];
    }

    /// The moment that lies some units later; `None` for a unit that is no duration or out of range.
    pub(crate) fn plus(mut self, amount: i64, unit: &str) -> Option<Self> {
        if amount.abs() > AMOUNT_MAX {
            return None;
        }
        let months = match unit {
            "year" | "a" => Some(amount * 12),
            "month" | "mo" => Some(amount),
            _ => None,
        };
        if let Some(months) = months {
            if self.kind == MomentKind::Time {
                return None;
            }
            let total = self.parts[0] * 12 + self.parts[1] - 1 + months;
            (self.parts[0], self.parts[1]) = (total.div_euclid(12), total.rem_euclid(12) + 1);
            self.parts[2] = self.parts[2].min(days_in(self.parts[0], self.parts[1]));
            return (1..=9999).contains(&self.parts[0]).then_some(self);
        }
        let millis = match unit {
            "week" | "wk" => 7 * DAY_MS,
            "day" | "d" => DAY_MS,
            "hour" | "h" => 3_600_000,
            "minute" | "min" => 60_000,
            "second" | "s" => 1000,
            "millisecond" | "ms" => 1,
            _ => return None,
        };
        let mut total = self.minutes() * 60_000 + self.parts[5] + amount * millis;
        if self.kind == MomentKind::Time {
            let start = days_from_civil(0, 1, 1) * DAY_MS;
            total = start + (total - start).rem_euclid(DAY_MS);
        }
        self.parts[5] = total.rem_euclid(60_000);
        self.set_minutes(total.div_euclid(60_000));
        (0..=9999).contains(&self.parts[0]).then_some(self)
    }

    /// The date of a date and time.
    pub(crate) fn to_date(self) -> Option<Self> {
        let precision = self.precision.min(3);
        let date = Self { kind: MomentKind::Date, precision, zone: None, ..self };
        (self.kind != MomentKind::Time).then_some(date)
    }

    /// The time of a date and time.
    pub(crate) fn to_time(self) -> Option<Self> {
        let mut parts = self.parts;
        parts[..3].copy_from_slice(&[0, 1, 1]);
        let time = Self { kind: MomentKind::Time, parts, zone: None, ..self };
        (self.precision > 3).then_some(time)
    }

    /// A date as a date and time of the same precision.
    pub(crate) fn to_date_time(self) -> Option<Self> {
        (self.kind != MomentKind::Time).then_some(Self { kind: MomentKind::DateTime, ..self })
    }

    pub(crate) fn text(self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Moment {
    /// As written in FHIR.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day, hour, minute, millis] = self.parts;
        let mut out = match (self.kind, self.precision) {
            (MomentKind::Time, _) => String::new(),
            (_, 1) => format!("{year:04}"),
            (_, 2) => format!("{year:04}-{month:02}"),
            _ => format!("{year:04}-{month:02}-{day:02}"),
        };
        if self.precision > 3 {
            if self.kind != MomentKind::Time {
                out.push('T');
            }
            out.push_str(&format!("{hour:02}"));
        }
        if self.precision > 4 {
            out.push_str(&format!(":{minute:02}"));
        }
        if self.precision > 5 {
            out.push_str(&format!(":{:02}", millis / 1000));
            if self.fraction {
                out.push_str(&format!(".{:03}", millis % 1000));
            }
        }
        match self.zone {
            Some(0) => out.push('Z'),
            Some(zone) => {
                let sign = if zone < 0 { '-' } else { '+' };
                out.push_str(&format!("{sign}{:02}:{:02}", zone.abs() / 60, zone.abs() % 60));
            }
            None => {}
        }
        f.write_str(&out)
    }
}

#[expect(clippy::option_option, reason = "no zone is not the same as a bad one")]
fn zone(text: &str) -> Option<Option<i64>> {
    if text.is_empty() {
        return Some(None);
    }
    if text == "Z" {
        return Some(Some(0));
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let sign = if text.starts_with('-') { -1 } else { 1 };
    Some(Some(sign * (hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?)))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

const DAY_MS: i64 = 86_400_000;
/// Largest number of units that is added.
const AMOUNT_MAX: i64 = 1_000_000_000;
/// Two places' clocks may be this far apart (UTC-12 to UTC+14).
const ZONES_MINUTES_MAX: i64 = 26 * 60;
