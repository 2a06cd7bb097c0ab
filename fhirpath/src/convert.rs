//! Conversion between the `System` types.
//!
//! Spec: FHIRPath N1 §5.5.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::element::decimal;
use crate::error::EvaluationError;
use crate::eval::{Found, Scope, answer, single};
use crate::functions::Function;
use crate::item::{Item, Quantity};
use crate::moment::{Moment, MomentKind};
use crate::parse::calendar_unit;

/// `toX()`: empty when it cannot be.
pub(crate) fn convert<'t>(function: Function, focus: &[Item<'t>], _: Scope<'_, 't>) -> Found<'t> {
    let item = single(focus.to_vec(), function.name())?;
    Ok(item.and_then(|item| to(function, &item.simple())).into_iter().collect())
}

/// `convertsToX()`
pub(crate) fn converts<'t>(function: Function, focus: &[Item<'t>], _: Scope<'_, 't>) -> Found<'t> {
    let to_function = match function {
        Function::ConvertsToBoolean => Function::ToBoolean,
        Function::ConvertsToInteger => Function::ToInteger,
        Function::ConvertsToDecimal => Function::ToDecimal,
        Function::ConvertsToText => Function::ToText,
        Function::ConvertsToDate => Function::ToDate,
        Function::ConvertsToDateTime => Function::ToDateTime,
        Function::ConvertsToTime => Function::ToTime,
        Function::ConvertsToQuantity => Function::ToQuantity,
        _ => return Err(EvaluationError::Type(function.name())),
    };
    let item = single(focus.to_vec(), function.name())?;
    Ok(answer(item.map(|item| to(to_function, &item.simple()).is_some())))
}

fn to<'t>(function: Function, item: &Item<'t>) -> Option<Item<'t>> {
    match function {
        Function::ToBoolean => boolean(item).map(Item::Boolean),
        Function::ToInteger => match item {
            Item::Integer(whole) => Some(Item::Integer(*whole)),
            Item::Boolean(value) => Some(Item::Integer(i64::from(*value))),
            Item::String(text) => text.parse().ok().map(Item::Integer),
            _ => None,
        },
        Function::ToDecimal => match item {
            Item::Decimal(value) => Some(Item::Decimal(*value)),
            Item::Integer(whole) => Some(Item::Decimal(Decimal::from(*whole))),
            Item::Boolean(value) => Some(Item::Decimal(Decimal::from(u8::from(*value)))),
            Item::String(text) => decimal(text).map(Item::Decimal),
            _ => None,
        },
        Function::ToText => written(item).map(|text| Item::String(text.into())),
        Function::ToDate => match item {
            Item::Moment(moment) => moment.to_date().map(Item::Moment),
            Item::String(text) => Moment::date_time(text)?.to_date().map(Item::Moment),
            _ => None,
        },
        Function::ToDateTime => match item {
            Item::Moment(moment) => moment.to_date_time().map(Item::Moment),
            Item::String(text) => Moment::date_time(text).map(Item::Moment),
            _ => None,
        },
        Function::ToTime => match item {
            Item::Moment(moment) if moment.kind() == MomentKind::Time => {
                Some(Item::Moment(*moment))
            }
            Item::String(text) => {
                Moment::time(text.strip_prefix('T').unwrap_or(text)).map(Item::Moment)
            }
            _ => None,
        },
        Function::ToQuantity => quantity(item).map(Item::Quantity),
        _ => None,
    }
}

fn boolean(item: &Item<'_>) -> Option<bool> {
    let word = match item {
        Item::Boolean(value) => return Some(*value),
        Item::Integer(whole) => whole.to_string(),
        Item::Decimal(value) => value.normalize().to_string(),
        Item::String(text) => text.to_ascii_lowercase(),
        _ => return None,
    };
    match word.as_str() {
        "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
        "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
        _ => None,
    }
}

/// As text, the way a literal is written.
pub(crate) fn written(item: &Item<'_>) -> Option<String> {
    Some(match item {
        Item::Boolean(value) => value.to_string(),
        Item::Integer(whole) => whole.to_string(),
        Item::Decimal(value) => value.to_string(),
        Item::String(text) => text.to_string(),
        Item::Moment(moment) => moment.text(),
        Item::Quantity(quantity) => match calendar_unit(&quantity.unit) {
            Some(_) => format!("{} {}", quantity.value, quantity.unit),
            None => format!("{} '{}'", quantity.value, quantity.unit),
        },
        _ => return None,
    })
}

fn quantity<'t>(item: &Item<'t>) -> Option<Quantity<'t>> {
    let one = |value| Quantity::literal(value, "1".to_owned());
    match item {
        Item::Quantity(quantity) => Some(quantity.clone()),
        Item::Integer(whole) => Some(one(Decimal::from(*whole))),
        Item::Decimal(value) => Some(one(*value)),
        Item::Boolean(value) => Some(one(Decimal::from(u8::from(*value)))),
        Item::String(text) => {
            let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
            let value = decimal(number)?;
            let unit = unit.trim();
            if unit.is_empty() {
                return Some(one(value));
            }
            let quoted = unit.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            let unit = quoted.or_else(|| calendar_unit(unit))?;
            value.to_f64()?;
            Some(Quantity::literal(value, unit.to_owned()))
        }
        _ => None,
    }
}
