//! Stretches of time that dates stand for, and exact decimals: the two things search compares by order.
//!
//! Spec: FHIR R4 search § 3.1.1.4.6 and 3.1.1.4.7.

/// Half-open range of a date, time or partial date in microseconds; without an offset it is UTC.
pub(crate) fn range(text: &str) -> Option<(i64, i64)> {
    let number = |text: &str| text.parse::<i64>().ok();
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let parts: Vec<i64> = day.split('-').map(number).collect::<Option<_>>()?;
    let day_us = |y, m, d| days(y, m, d) * 86_400 * SECOND;
    let Some(time) = time else {
        return Some(match parts[..] {
            [y] => (day_us(y, 1, 1), day_us(y + 1, 1, 1)),
            [y, 12] => (day_us(y, 12, 1), day_us(y + 1, 1, 1)),
            [y, m] => (day_us(y, m, 1), day_us(y, m + 1, 1)),
            [y, m, d] => (day_us(y, m, d), day_us(y, m, d) + 86_400 * SECOND),
            _ => return None,
        });
    };
    let [y, m, d] = parts[..] else { return None };
    let (clock, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], &time[at..]),
        None => (time, "Z"),
    };
    let offset_minutes = match offset {
        "Z" => 0,
        other => {
            let (hours, minutes) = other[1..].split_once(':')?;
            let minutes = number(hours)? * 60 + number(minutes)?;
            if other.starts_with('-') { -minutes } else { minutes }
        }
    };
    let mut fields = clock.split(':');
    let hour = number(fields.next()?)?;
    let minute = number(fields.next()?)?;
    let base = day_us(y, m, d) + ((hour * 60 + minute - offset_minutes) * 60) * SECOND;
    let Some(seconds) = fields.next() else { return Some((base, base + 60 * SECOND)) };
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let unit = SECOND / 10_i64.pow(u32::try_from(fraction.len()).ok()?);
    let lo = base + number(whole)? * SECOND + number(fraction).unwrap_or(0) * unit;
    Some((lo, lo + unit))
}

/// Days since 1970-01-01, counted year by year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let length = |y: i64| if leap(y) { 366 } else { 365 };
    let years: i64 = if year >= 1970 {
        (1970..year).map(length).sum()
    } else {
        -(year..1970).map(length).sum::<i64>()
    };
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before: i64 = lengths.iter().take(usize::try_from(month - 1).unwrap_or(0)).sum();
    years + before + day - 1
}

/// A moment as `2010-01-01T10:00:00.250000Z`; years from 1000 to 9999.
pub(crate) fn moment(micros: i64) -> String {
    let (day, rest) = (micros.div_euclid(86_400 * SECOND), micros.rem_euclid(86_400 * SECOND));
    let mut year = 1970 + day.div_euclid(366);
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days(year, *month, 1) <= day).unwrap_or(1);
    let of_month = day - days(year, month, 1) + 1;
    let (seconds, fraction) = (rest / SECOND, rest % SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{of_month:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}

/// An exact decimal: so many units of 10⁻¹⁸.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Decimal(pub(crate) i128);

impl Decimal {
    /// Below and above everything.
    pub(crate) const LOWEST: Self = Self(i128::MIN);
    pub(crate) const HIGHEST: Self = Self(i128::MAX);

    /// `[+-]digits[.digits][e[+-]digits]`
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (digits, exponent) = scientific(text)?;
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let units: i128 = format!("{whole}{fraction}").parse().ok()?;
        let power = 18 + exponent - i32::try_from(fraction.len()).ok()?;
        Some(Self(units.checked_mul(10_i128.checked_pow(u32::try_from(power).ok()?)?)?))
    }

    /// So many times as much; the two ends stay where they are.
    pub(crate) fn times(self, factor: i128) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// Without the little that `<` and `>` add.
    pub(crate) fn rounded(self) -> Self {
        if [Self::LOWEST, Self::HIGHEST].contains(&self) {
            return self;
        }
        Self((self.0 + 10).div_euclid(1_000) * 1_000)
    }

    /// Without an exponent and without zeros at the end; `None` for the two ends of the line.
    pub(crate) fn text(self) -> Option<String> {
        if [Self::LOWEST, Self::HIGHEST].contains(&self) {
            return None;
        }
        let (units, sign) = (self.0.unsigned_abs(), if self.0 < 0 { "-" } else { "" });
        let text = format!("{sign}{}.{:018}", units / 10_u128.pow(18), units % 10_u128.pow(18));
        Some(text.trim_end_matches('0').trim_end_matches('.').to_owned())
    }

    /// Half of the last place written: `100` has 0.5, `5.40` has 0.005; of `1e2` the standard says 5.
    pub(crate) fn half_of_last_place(text: &str) -> Option<Self> {
        let (digits, exponent) = scientific(text)?;
        let fraction = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let mut power = 18 + exponent - i32::try_from(fraction).ok()?;
        if text.contains(['e', 'E']) && fraction == 0 && digits.trim_start_matches('-').len() == 1 {
            power -= 1;
        }
        Some(Self(10_i128.checked_pow(u32::try_from(power).ok()?)? / 2))
    }
}

fn scientific(text: &str) -> Option<(&str, i32)> {
    match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => Some((digits, exponent.parse().ok()?)),
        None => Some((text, 0)),
    }
}

const SECOND: i64 = 1_000_000;
