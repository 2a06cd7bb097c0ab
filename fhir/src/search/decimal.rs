//! Decimal texts: their value, and the range that their significant digits stand for.
//!
//! Spec: FHIR R4 search.html section 3.1.1.4.6: `100` means [99.5, 100.5), `100.00` means
//! [99.995, 100.005) and `1e2` means [95, 105), so one digit with an exponent counts as two.

/// Bounds of a number: of a search value with its implicit precision (`hi` exclusive), or of a
/// value in a resource (`hi` inclusive; all three are equal unless it is a range).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberRange {
    /// Lower bound, inclusive; negative infinity if open.
    pub lo: f64,
    /// Upper bound; positive infinity if open.
    pub hi: f64,
    /// The number as written; the middle or the closed end of a range.
    pub value: f64,
}

impl NumberRange {
    /// A single number.
    #[must_use]
    pub fn exactly(value: f64) -> Self {
        Self { lo: value, hi: value, value }
    }

    /// From one bound to the other; an absent bound is open. `None` if both are absent.
    #[must_use]
    pub fn between(low: Option<f64>, high: Option<f64>) -> Option<Self> {
        let value = match (low, high) {
            (Some(low), Some(high)) => low + (high - low) / 2.0,
            (bound, other) => bound.or(other)?,
        };
        let lo = low.unwrap_or(f64::NEG_INFINITY);
        Some(Self { lo, hi: high.unwrap_or(f64::INFINITY), value })
    }

    /// The range that a number in a query stands for by its significant digits.
    #[must_use]
    pub fn of_search_text(text: &str) -> Option<Self> {
        let value = parse_decimal(text)?;
        let (mantissa, exponent) = scaled(text)?;
        let bound = |half: i128| format!("{}e{}", mantissa * 10 + half, exponent - 1).parse().ok();
        Some(Self { lo: bound(-5)?, hi: bound(5)?, value })
    }
}

/// The value of a decimal text: `[+-]digits[.digits][(e|E)[+-]digits]`, finite.
pub(crate) fn parse_decimal(text: &str) -> Option<f64> {
    let allowed = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
    let starts = text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit());
    if !starts || text.len() > DECIMAL_BYTES_MAX || !text.bytes().all(allowed) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// All digits as one integer, and the power of ten that belongs to it.
fn scaled(text: &str) -> Option<(i128, i32)> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, Some(exponent.parse::<i32>().ok()?)),
        None => (text, None),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent_of_last = exponent.unwrap_or(0) - i32::try_from(fraction.len()).ok()?;
    if exponent.is_some() && (-9..=9).contains(&mantissa) && fraction.is_empty() {
        return Some((mantissa * 10, exponent_of_last - 1));
    }
    Some((mantissa, exponent_of_last))
}

/// Longer texts would overflow the integer that holds all digits.
const DECIMAL_BYTES_MAX: usize = 36;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn significant_digits_give_the_ranges_of_the_standard() {
        for (text, lo, hi) in [
            ("100", 99.5, 100.5),
            ("100.00", 99.995, 100.005),
            ("1e2", 95.0, 105.0),
            ("5.4", 5.35, 5.45),
            ("5.40e-3", 0.005_395, 0.005_405),
            ("-7.0", -7.05, -6.95),
            ("0", -0.5, 0.5),
            ("+2", 1.5, 2.5),
        ] {
            let range = NumberRange::of_search_text(text).unwrap();
            assert_eq!((range.lo, range.hi), (lo, hi), "{text}");
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for bad in ["", "-", "1.2.3", "NaN", "inf", "1e", "0x1", " 1", "1e999", "--1", ".5"] {
            assert_eq!(NumberRange::of_search_text(bad), None, "{bad}");
        }
        assert_eq!(NumberRange::of_search_text(&"9".repeat(50)), None);
    }
}
