//! Numbers of JSON compared by value, however long they are: no rounding, no floating point.

use std::cmp::Ordering;

/// Whether two numbers as written are one: `1.10`, `1.1` and `11e-1`.
pub(super) fn same_number(one: &str, two: &str) -> bool {
    compare(one, two) == Some(Ordering::Equal)
}

/// Order of two numbers as written; `None` when one is no number or its exponent is beyond all use.
pub(super) fn compare(one: &str, two: &str) -> Option<Ordering> {
    let (one, two) = (Decimal::parse(one)?, Decimal::parse(two)?);
    let size = |number: &Decimal| if number.digits.is_empty() { 0 } else { 1 };
    let sign = |number: &Decimal| if number.negative { -size(number) } else { size(number) };
    Some(match sign(&one).cmp(&sign(&two)) {
        Ordering::Equal if one.negative => two.magnitude(&one),
        Ordering::Equal => one.magnitude(&two),
        unequal => unequal,
    })
}

/// `0.digits × 10^point`, digits without zeros at either end.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    point: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole.as_bytes(), fraction.as_bytes()].concat();
        if all.is_empty() || !all.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let leading = all.iter().take_while(|digit| **digit == b'0').count();
        let trailing = all[leading..].iter().rev().take_while(|digit| **digit == b'0').count();
        let digits = all[leading..all.len() - trailing].to_vec();
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?;
        let point = if digits.is_empty() { 0 } else { point.checked_add(exponent)? };
        Some(Self { negative, digits, point })
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value_not_by_text() {
        for same in [("1.10", "1.1"), ("1E5", "100000"), ("-0", "0.00"), ("0.001", "1e-3")] {
            assert!(same_number(same.0, same.1), "{same:?}");
        }
        let rising =
            ["-20", "-3", "-2.9", "0", "1e-9", "0.5", "9007199254740992", "9007199254740993"];
        for pair in rising.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Some(Ordering::Less), "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Some(Ordering::Greater), "{pair:?}");
        }
        assert_eq!(compare("x", "1"), None);
    }
}
