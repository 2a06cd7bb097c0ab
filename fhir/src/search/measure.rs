//! Dates, quantities, ranges and positions: the values that compare by order.
//!
//! Spec: FHIR R4 search.html sections 3.1.1.4.7 (only the outer limits of a `Timing` count) and
//! 3.1.1.4.11. Units are taken as written; `ucum` converts them.

use std::borrow::Cow;

use crate::{Node, TimeRange};

use super::decimal::{NumberRange, parse_decimal};
use super::extract::text;
use super::value::{Quantity, Value};

/// A `Period`; an absent end is open.
pub(super) fn period(node: Node<'_>) -> Option<TimeRange> {
    let (start, end) = (text(node, "start"), text(node, "end"));
    TimeRange::period(start.as_deref(), end.as_deref()).filter(|range| range.lo_us < range.hi_us)
}

/// From the first to the last moment that a `Timing` names, by its events or its bounds.
pub(super) fn timing(node: Node<'_>) -> Option<TimeRange> {
    let events = node.get("event").into_iter().flat_map(Node::children);
    let ranges = events.filter_map(|event| TimeRange::parse(&event.as_str()?));
    let bounds = node.get("repeat").and_then(|repeat| repeat.get("boundsPeriod"));
    ranges.chain(bounds.and_then(period)).reduce(|one, other| TimeRange {
        lo_us: one.lo_us.min(other.lo_us),
        hi_us: one.hi_us.max(other.hi_us),
    })
}

/// A `Quantity` or one of its specialisations.
pub(super) fn quantity(node: Node<'_>) -> Option<Quantity<'_>> {
    let number = NumberRange::exactly(0.0);
    let mut found = Quantity { number, system: None, code: None, unit: None, sampled: false };
    let (mut value, mut comparator) = (None, None);
    for member in node.children() {
        match member.key() {
            Some("value") => value = member.number_text().and_then(parse_decimal),
            Some("comparator") => comparator = member.as_str(),
            Some("system") => found.system = member.as_str(),
            Some("code") => found.code = member.as_str(),
            Some("unit") => found.unit = member.as_str(),
            _ => {}
        }
    }
    let value = value?;
    found.number = match comparator.as_deref() {
        Some("<=") => NumberRange::between(None, Some(value))?,
        Some(">=") => NumberRange::between(Some(value), None)?,
        // The number itself is none of them.
        Some("<") => NumberRange { lo: f64::NEG_INFINITY, hi: value.next_down(), value },
        Some(">") => NumberRange { lo: value.next_up(), hi: f64::INFINITY, value },
        _ => NumberRange::exactly(value),
    };
    Some(found)
}

/// Money: the currency is the unit.
pub(super) fn money(node: Node<'_>) -> Option<Quantity<'_>> {
    let value = node.get("value").and_then(Node::number_text).and_then(parse_decimal)?;
    let currency = text(node, "currency");
    let system = currency.as_ref().map(|_| Cow::Borrowed(CURRENCY_SYSTEM));
    let number = NumberRange::exactly(value);
    Some(Quantity { number, system, code: currency.clone(), unit: currency, sampled: false })
}

/// A `Range` with the unit of its low end, or of its high end where only that is given.
pub(super) fn range(node: Node<'_>) -> Option<Quantity<'_>> {
    let low = node.get("low").and_then(quantity);
    let high = node.get("high").and_then(quantity);
    let value = |end: &Option<Quantity<'_>>| end.as_ref().map(|end| end.number.value);
    let number = NumberRange::between(value(&low), value(&high))?;
    let unit = low.or(high)?;
    Some(Quantity { number, ..unit })
}

/// The least to the greatest value of `SampledData`, in the unit of its origin; samples above or
/// below the limits of detection open the range.
pub(super) fn sampled(node: Node<'_>) -> Option<Quantity<'_>> {
    let origin = node.get("origin").and_then(quantity)?;
    let number_of = |member| node.get(member).and_then(Node::number_text).and_then(parse_decimal);
    let factor = number_of("factor").unwrap_or(1.0);
    let data = text(node, "data")?;
    let (mut lo, mut hi) = (f64::INFINITY, f64::NEG_INFINITY);
    for sample in data.split_ascii_whitespace() {
        match sample {
            "E" => {}
            "L" => lo = f64::NEG_INFINITY,
            "U" => hi = f64::INFINITY,
            number => {
                let value = origin.number.value + parse_decimal(number)? * factor;
                (lo, hi) = (lo.min(value), hi.max(value));
            }
        }
    }
    let (low, high) = (Some(lo).filter(|v| v.is_finite()), Some(hi).filter(|v| v.is_finite()));
    Some(Quantity { number: NumberRange::between(low, high)?, sampled: true, ..origin })
}

/// `Location.position`.
pub(super) fn position<'t>(node: Node<'t>) -> Option<Value<'t>> {
    let degrees = |member| node.get(member).and_then(Node::number_text).and_then(parse_decimal);
    Some(Value::Position { latitude: degrees("latitude")?, longitude: degrees("longitude")? })
}

const CURRENCY_SYSTEM: &str = "urn:iso:std:iso:4217";
