//! Numbers: NM and SN → Quantity, Range, Ratio; reference ranges. Digits are kept as sent (1.50 stays 1.50).

use std::borrow::Cow;

use super::concept::coding_system;
use crate::{
    hl7v2::{message::Slice, work::Work},
    json::{Json, Object},
};

/// Units of a result: OBX-6.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unit<'m> {
    unit: Option<Cow<'m, str>>,
    system: Option<Cow<'m, str>>,
    code: Option<Cow<'m, str>>,
}

impl<'m> Unit<'m> {
    pub(crate) fn read(work: &Work<'m>, slice: Slice<'m>) -> Self {
        let (code, text) = (slice.component(1).text(), slice.component(2).text());
        let system = slice.component(3).text().map(|s| coding_system(work, s));
        let is_code = system.is_some();
        Self {
            unit: text.or_else(|| code.clone()),
            code: code.filter(|c| is_code && !c.contains(char::is_whitespace)),
            system,
        }
    }

    fn apply(&self, quantity: &mut Object<'m>) {
        if let Some(unit) = &self.unit {
            quantity.set("unit", Json::Text(unit.clone()));
        }
        if let (Some(system), Some(code)) = (&self.system, &self.code) {
            quantity.set("system", Json::Text(system.clone()));
            quantity.set("code", Json::Text(code.clone()));
        }
    }
}

/// A JSON number token for an NM, digits verbatim; `None` when the text is not a number.
pub(crate) fn decimal(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => digits.split_at(at),
        None => (digits, ""),
    };
    if !exponent.is_empty() {
        let power = exponent[1..].strip_prefix(['+', '-']).unwrap_or(&exponent[1..]);
        if power.is_empty() || power.len() > 3 || !power.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
    }
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let empty = whole.is_empty() && fraction.is_none_or(str::is_empty);
    if empty
        || !all_digits(whole)
        || !all_digits(fraction.unwrap_or_default())
        || mantissa.len() > 64
    {
        return None;
    }
    let trimmed = whole.trim_start_matches('0');
    let trimmed = if trimmed.is_empty() { "0" } else { trimmed };
    let fraction = fraction.filter(|f| !f.is_empty());
    if trimmed == whole && !text.starts_with('+') && (fraction.is_some() || !mantissa.contains('.'))
    {
        return Some(Cow::Borrowed(text));
    }
    let fraction = fraction.map(|f| format!(".{f}")).unwrap_or_default();
    Some(Cow::Owned(format!("{sign}{trimmed}{fraction}{exponent}")))
}

/// A Quantity of a text such as `1.50` or `<5`; `None` when it is neither.
pub(crate) fn quantity<'m>(text: &str, unit: &Unit<'m>) -> Option<Object<'m>> {
    let comparator = ["<=", ">=", "<", ">"].into_iter().find(|c| text.starts_with(c)).unwrap_or("");
    let value = decimal(&text[comparator.len()..])?;
    let mut quantity = Object::new();
    quantity.set("value", Json::Literal(Cow::Owned(value.into_owned())));
    quantity.set("comparator", Json::text(comparator));
    unit.apply(&mut quantity);
    Some(quantity)
}

/// SN: comparator, number, separator, number → the value's suffix (`Quantity`, `Range`, `Ratio`) and the value.
pub(crate) fn structured<'m>(
    slice: Slice<'m>,
    unit: &Unit<'m>,
) -> Option<(&'static str, Json<'m>)> {
    let [comparator, first, separator, second] =
        [1, 2, 3, 4].map(|n| slice.component(n).text().unwrap_or_default());
    let plain = Unit::default();
    match (&*separator, second.is_empty()) {
        ("", true) => {
            let comparator = if comparator == "=" { Cow::Borrowed("") } else { comparator };
            let known = matches!(&*comparator, "" | "<" | ">" | "<=" | ">=");
            let text = format!("{comparator}{first}");
            known.then(|| Some(("Quantity", Json::Object(quantity(&text, unit)?)))).flatten()
        }
        ("-", _) if comparator.is_empty() => {
            let range = range(&first, &second, unit)?;
            Some(("Range", Json::Object(range)))
        }
        (":" | "/", false) if comparator.is_empty() => {
            let ratio = Object::new()
                .with("numerator", Json::Object(quantity(&first, &plain)?))
                .with("denominator", Json::Object(quantity(&second, &plain)?));
            Some(("Ratio", Json::Object(ratio)))
        }
        _ => None,
    }
}

fn range<'m>(low: &str, high: &str, unit: &Unit<'m>) -> Option<Object<'m>> {
    let mut range = Object::new();
    for (key, text) in [("low", low), ("high", high)] {
        if !text.is_empty() {
            let value = decimal(text)?;
            let mut quantity =
                Object::new().with("value", Json::Literal(Cow::Owned(value.into_owned())));
            unit.apply(&mut quantity);
            range.set(key, Json::Object(quantity));
        }
    }
    (!range.is_empty()).then_some(range)
}

/// OBX-7: text always; low and high when it reads `12-16`, `<5`, `>3`.
pub(crate) fn reference_range<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    _: &'m str,
) -> Option<Json<'m>> {
    let unit = Unit::read(work, slice.segment().field(6));
    let text = slice.whole()?;
    let mut entry = Object::new();
    if let Some((low, high)) = text.split_once('-')
        && let (Some(_), Some(_)) = (decimal(low), decimal(high))
        && let Some(range) = range(low.trim(), high.trim(), &unit)
    {
        for key in ["low", "high"] {
            if let Some(value) = range.get(key) {
                entry.set(key, value.clone());
            }
        }
    } else if let Some(high) = text.strip_prefix("<=").and_then(decimal) {
        entry.set("high", bound(&high, &unit));
    } else if let Some(low) = text.strip_prefix(">=").and_then(decimal) {
        entry.set("low", bound(&low, &unit));
    }
    entry.set("text", Json::Text(text));
    Some(Json::Object(entry))
}

fn bound<'m>(value: &str, unit: &Unit<'m>) -> Json<'m> {
    let mut quantity = Object::new().with("value", Json::Literal(Cow::Owned(value.to_owned())));
    unit.apply(&mut quantity);
    Json::Object(quantity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_kept_and_only_json_is_repaired() {
        for (text, wanted) in [
            ("1.50", Some("1.50")),
            ("007", Some("7")),
            (".5", Some("0.5")),
            ("5.", Some("5")),
            ("+3", Some("3")),
            ("-0.10", Some("-0.10")),
            ("1E5", Some("1E5")),
            ("1,5", None),
            ("", None),
            (".", None),
            ("-", None),
            ("1e", None),
            ("NaN", None),
            ("0x1", None),
        ] {
            assert_eq!(decimal(text).as_deref(), wanted, "{text}");
        }
    }
}
