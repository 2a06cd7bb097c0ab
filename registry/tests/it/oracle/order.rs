//! Whether matches stand in the order that `_sort` asks for.
//!
//! Spec: FHIR R4 search § 3.1.1.5.1. The standard fixes the order of values only; that the lowest (descending:
//! the highest) of several values counts, and where resources without a value stand, is in `docs/search.md`.

use std::cmp::Ordering;

use super::compare::plain;
use super::naive::{Naive, Stored};
use super::params::{Kind, param};
use super::time::Decimal;
use super::value::Value;

/// Whether every match stands before all that must follow it.
pub(crate) fn is_sorted(all: &Naive, sort: &str, found: &[&Stored]) -> bool {
    let Some(one) = found.first() else { return true };
    let keys: Vec<_> = sort.split(',').filter(|key| !key.is_empty()).map(By::read).collect();
    let is_date = |by: &By<'_>| param(one.of(), by.code).is_some_and(|p| p.kind == Kind::Date);
    let dates: Vec<_> = keys.iter().map(is_date).collect();
    let rows: Vec<Vec<_>> = found
        .iter()
        .map(|stored| keys.iter().map(|by| value(all, stored, by.code, by.downwards)).collect())
        .collect();
    // Places of missing dates are the product's, so neighbours alone would not do.
    let step = if rows.len() > 200 { 1 } else { rows.len() };
    (0..rows.len()).all(|at| {
        let mut later = rows.iter().skip(at + 1).take(step);
        later.all(|other| precedes(&keys, &dates, &rows[at], other))
    })
}

struct By<'a> {
    code: &'a str,
    downwards: bool,
}

impl<'a> By<'a> {
    fn read(text: &'a str) -> Self {
        let code = text.strip_prefix('-');
        Self { code: code.unwrap_or(text), downwards: code.is_some() }
    }
}

fn precedes(
    keys: &[By<'_>],
    dates: &[bool],
    first: &[Option<Key>],
    second: &[Option<Key>],
) -> bool {
    for ((by, is_date), (a, b)) in keys.iter().zip(dates).zip(first.iter().zip(second)) {
        match (a, b) {
            // A resource without its clinical date may stand where its creation puts it.
            (None, _) | (_, None) if *is_date => return true,
            (None, None) => {}
            (None, Some(_)) => return false,
            (Some(_), None) => return true,
            (Some(a), Some(b)) => match a.cmp(b) {
                Ordering::Equal => {}
                order => return (order == Ordering::Greater) == by.downwards,
            },
        }
    }
    true
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Key {
    Number(Decimal),
    Time(i64),
    Text(String),
}

fn value(all: &Naive, stored: &Stored, code: &str, down: bool) -> Option<Key> {
    match code {
        "_id" => return Some(Key::Text(stored.id().to_owned())),
        "_lastUpdated" => return Some(Key::Time(stored.updated_us)),
        _ => {}
    }
    let param = param(stored.of(), code)?;
    let own = stored.values(param);
    let one = |value: &Value| match value {
        Value::Date(lo, _) => Some(Key::Time(*lo)),
        Value::Text(text) => Some(Key::Text(plain(text))),
        Value::Uri(uri) => Some(Key::Text(uri.clone())),
        Value::Token(token) => token.code.clone().map(Key::Text),
        Value::Number(lo, _) => Some(Key::Number(*lo)),
        Value::Reference(reference) => {
            let target = all.named(reference.local.as_deref()?).filter(|one| all.sees(one))?;
            Some(Key::Text(target.id().to_owned()))
        }
        Value::Quantity(quantity) => Some(Key::Number(quantity.lo)),
        _ => None,
    };
    // Where a period without a start stands, the standard does not say.
    if own.iter().any(|value| matches!(value, Value::Date(i64::MIN, _))) {
        return None;
    }
    let keys = own.iter().filter_map(one);
    if down { keys.max() } else { keys.min() }
}
