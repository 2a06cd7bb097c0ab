//! Equality, equivalence and order of items.
//!
//! Spec: FHIRPath N1 §6.1, §6.2. An unknown answer (empty) is `None`.

use std::cmp::Ordering;
use std::collections::HashSet;

use fhir::{Kind, Node};
use rust_decimal::Decimal;

use crate::element::decimal;
use crate::item::{Item, Quantity};
use crate::parse::calendar_unit;

/// `=` of two items.
pub(crate) fn equal(left: &Item<'_>, right: &Item<'_>) -> Option<bool> {
    if let (Item::Element(a), Item::Element(b)) = (left, right)
        && (a.value().is_none() || b.value().is_none())
    {
        return Some(a.value().is_none() && b.value().is_none() && nodes_equal(a.node(), b.node()));
    }
    match (left.simple(), right.simple()) {
        (Item::Boolean(a), Item::Boolean(b)) => Some(a == b),
        (Item::Integer(a), Item::Integer(b)) => Some(a == b),
        (Item::String(a), Item::String(b)) => Some(a == b),
        (Item::Moment(a), Item::Moment(b)) if a.is_other_kind(b) => Some(false),
        (Item::Moment(a), Item::Moment(b)) => a.compare(b).map(Ordering::is_eq),
        (Item::Quantity(a), Item::Quantity(b)) => {
            same_unit(&a, &b).map(|same| same && a.value == b.value)
        }
        // A moment beside a text: the text may be a date that a path without type reached.
        (Item::Moment(a), Item::String(b)) | (Item::String(b), Item::Moment(a)) => {
            Some(a.text() == *b)
        }
        (Item::Element(a), Item::Element(b)) => Some(nodes_equal(a.node(), b.node())),
        (Item::Type(a), Item::Type(b)) => Some(a == b),
        (a, b) => match (number(&a), number(&b)) {
            (Some(a), Some(b)) => Some(a == b),
            _ => Some(false),
        },
    }
}

/// `~` of two items.
pub(crate) fn equivalent(left: &Item<'_>, right: &Item<'_>) -> bool {
    match (left.simple(), right.simple()) {
        (Item::String(a), Item::String(b)) => folded(&a) == folded(&b),
        (Item::Moment(a), Item::Moment(b)) => a.compare(b).is_some_and(Ordering::is_eq),
        (Item::Quantity(a), Item::Quantity(b)) => {
            same_unit(&a, &b).unwrap_or(false) && about(a.value, b.value)
        }
        (Item::Element(a), Item::Element(b)) => nodes_equal(a.node(), b.node()),
        (a, b) => match (number(&a), number(&b)) {
            (Some(a), Some(b)) => about(a, b),
            _ => equal(&a, &b).unwrap_or(false),
        },
    }
}

/// Order of two items; an error text when their types have none.
pub(crate) fn order(left: &Item<'_>, right: &Item<'_>) -> Result<Option<Ordering>, ()> {
    match (left.simple(), right.simple()) {
        (Item::String(a), Item::String(b)) => Ok(Some(a.cmp(&b))),
        (Item::Moment(a), Item::Moment(b)) => Ok(a.compare(b)),
        (Item::Quantity(a), Item::Quantity(b)) => {
            Ok(same_unit(&a, &b).unwrap_or(false).then(|| a.value.cmp(&b.value)))
        }
        // A quantity without a value, or with a comparator, has no order.
        (Item::Element(_), Item::Element(_) | Item::Quantity(_)) => Ok(None),
        (Item::Quantity(_), Item::Element(_)) => Ok(None),
        (Item::Quantity(a), b) => Ok(number(&b).map(|b| a.value.cmp(&b))),
        (a, b) => match (number(&a), number(&b)) {
            (Some(a), Some(b)) => Ok(Some(a.cmp(&b))),
            _ => Err(()),
        },
    }
}

/// The items without repeats, the first of equals kept; `tick` is called for each comparison.
pub(crate) fn distinct<'t, E>(
    items: Vec<Item<'t>>,
    mut tick: impl FnMut(usize) -> Result<(), E>,
) -> Result<Vec<Item<'t>>, E> {
    let mut texts = HashSet::new();
    let mut others: Vec<usize> = Vec::new();
    let mut kept: Vec<Item<'t>> = Vec::new();
    for item in items {
        tick(1)?;
        if let Item::String(text) = item.simple() {
            if texts.insert(text.into_owned()) {
                kept.push(item);
            }
            continue;
        }
        let mut known = false;
        let weight = item.element().map_or(1, |e| 1 + e.node().span().len() / BYTES_A_STEP);
        for place in &others {
            tick(weight)?;
            if equal(&kept[*place], &item) == Some(true) {
                known = true;
                break;
            }
        }
        if !known {
            others.push(kept.len());
            kept.push(item);
        }
    }
    Ok(kept)
}

/// A number as a decimal.
pub(crate) fn number(item: &Item<'_>) -> Option<Decimal> {
    match item.simple() {
        Item::Integer(whole) => Some(Decimal::from(whole)),
        Item::Decimal(number) => Some(number),
        _ => None,
    }
}

/// Whether two quantities are in the same unit; `None` when their units cannot be compared.
fn same_unit(left: &Quantity<'_>, right: &Quantity<'_>) -> Option<bool> {
    let name = |quantity: &Quantity<'_>| match calendar_unit(&quantity.unit) {
        Some("second") => "s".to_owned(),
        Some("millisecond") => "ms".to_owned(),
        Some(unit) => unit.to_owned(),
        None => match &*quantity.unit {
            "wk" => "week".to_owned(),
            "d" => "day".to_owned(),
            "h" => "hour".to_owned(),
            "min" => "minute".to_owned(),
            other => other.to_owned(),
        },
    };
    (name(left) == name(right)).then_some(true)
}

fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Equal when both are rounded to the precision of the less precise one.
fn about(left: Decimal, right: Decimal) -> bool {
    let scale = left.normalize().scale().min(right.normalize().scale());
    left.round_dp(scale) == right.round_dp(scale)
}

/// Deep equality of JSON values: members in any order, numbers by value. Depth is limited by the document's.
#[must_use]
pub fn nodes_equal(left: Node<'_>, right: Node<'_>) -> bool {
    if left.kind() != right.kind() {
        return false;
    }
    match left.kind() {
        Kind::Object => {
            left.children().count() == right.children().count()
                && left.children().all(|member| {
                    let other = right.get(member.key().unwrap_or_default());
                    other.is_some_and(|other| nodes_equal(member, other))
                })
        }
        Kind::Array => {
            left.children().count() == right.children().count()
                && left.children().zip(right.children()).all(|(a, b)| nodes_equal(a, b))
        }
        Kind::String => left.as_str() == right.as_str(),
        Kind::Number => {
            let text = |node: Node<'_>| node.number_text().and_then(decimal);
            left.raw() == right.raw() || text(left).is_some_and(|value| text(right) == Some(value))
        }
        Kind::Bool | Kind::Null => left.raw() == right.raw(),
    }
}

/// Bytes of an element that are compared in about the time of a step.
const BYTES_A_STEP: usize = 128;
