//! Operators between two expressions.
//!
//! Spec: FHIRPath N1 §6. Sums of quantities need equal units; other arithmetic of quantities is refused.

use std::cmp::Ordering;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::ast::{Expr, Op};
use crate::equality::{distinct, equal, equivalent, number, order};
use crate::error::EvaluationError;
use crate::eval::{Context, Found, Scope, answer, eval, single, truth};
use crate::item::{Item, Quantity};

/// Evaluates both sides, or as many as the operator needs.
pub(crate) fn binary<'t>(
    op: Op,
    left: &'t Expr,
    right: &'t Expr,
    scope: Scope<'_, 't>,
) -> Found<'t> {
    let left = eval(left, scope)?;
    if matches!(op, Op::And | Op::Or | Op::Xor | Op::Implies) {
        return logic(op, &left, right, scope);
    }
    let right = eval(right, scope)?;
    let context = scope.context;
    let tick = |steps| context.tick(steps);
    match op {
        Op::Union => {
            let mut both = left;
            both.extend(right);
            distinct(both, tick)
        }
        Op::Equal => Ok(answer(collections_equal(&left, &right, context)?)),
        Op::NotEqual => Ok(answer(collections_equal(&left, &right, context)?.map(|same| !same))),
        Op::Equivalent => Ok(answer(Some(collections_equivalent(&left, &right, context)?))),
        Op::NotEquivalent => Ok(answer(Some(!collections_equivalent(&left, &right, context)?))),
        Op::In => is_in(left, &right, context),
        Op::Contains => is_in(right, &left, context),
        Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual => {
            let (Some(left), Some(right)) = (single(left, op.name())?, single(right, op.name())?)
            else {
                return Ok(Vec::new());
            };
            let order = order(&left, &right).map_err(|()| EvaluationError::Type(op.name()))?;
            Ok(answer(order.map(|order| match op {
                Op::Less => order == Ordering::Less,
                Op::LessOrEqual => order != Ordering::Greater,
                Op::Greater => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })))
        }
        _ => arithmetic(op, single(left, op.name())?, single(right, op.name())?, context),
    }
}

fn logic<'t>(op: Op, left: &[Item<'t>], right: &'t Expr, scope: Scope<'_, 't>) -> Found<'t> {
    let left = truth(left)?;
    match (op, left) {
        (Op::And, Some(false)) => return Ok(answer(Some(false))),
        (Op::Or, Some(true)) | (Op::Implies, Some(false)) => return Ok(answer(Some(true))),
        _ => {}
    }
    let right = truth(&eval(right, scope)?)?;
    Ok(answer(match op {
        Op::And => match (left, right) {
            (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Op::Or => match (left, right) {
            (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Op::Xor => left.zip(right).map(|(left, right)| left != right),
        _ => match (left, right) {
            (_, Some(true)) => Some(true),
            (Some(true), right) => right,
            _ => None,
        },
    }))
}

fn collections_equal<'t>(
    left: &[Item<'t>],
    right: &[Item<'t>],
    context: &Context<'t>,
) -> Result<Option<bool>, EvaluationError> {
    if left.is_empty() || right.is_empty() {
        return Ok(None);
    }
    if left.len() != right.len() {
        return Ok(Some(false));
    }
    context.tick(left.len())?;
    let mut all = Some(true);
    for (left, right) in left.iter().zip(right) {
        match equal(left, right) {
            Some(false) => return Ok(Some(false)),
            Some(true) => {}
            None => all = None,
        }
    }
    Ok(all)
}

fn collections_equivalent<'t>(
    left: &[Item<'t>],
    right: &[Item<'t>],
    context: &Context<'t>,
) -> Result<bool, EvaluationError> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for item in left {
        context.tick(right.len())?;
        if !right.iter().any(|other| equivalent(item, other)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_in<'t>(item: Vec<Item<'t>>, of: &[Item<'t>], context: &Context<'t>) -> Found<'t> {
    context.tick(of.len())?;
    let item = single(item, "in")?;
    Ok(item
        .map(|item| Item::Boolean(of.iter().any(|other| equal(&item, other) == Some(true))))
        .into_iter()
        .collect())
}

fn arithmetic<'t>(
    op: Op,
    left: Option<Item<'t>>,
    right: Option<Item<'t>>,
    context: &Context<'t>,
) -> Found<'t> {
    if op == Op::Join {
        let text =
            |item: Option<Item<'t>>| item.map_or(Some("".into()), |item| item.simple().text());
        return match (text(left), text(right)) {
            (Some(left), Some(right)) => joined(&left, &right, context),
            _ => Err(EvaluationError::Type("&")),
        };
    }
    let (Some(left), Some(right)) = (left, right) else { return Ok(Vec::new()) };
    let (left, right) = (left.simple(), right.simple());
    let found = match (&left, &right) {
        (Item::String(left), Item::String(right)) if op == Op::Plus => {
            return joined(left, right, context);
        }
        (Item::Integer(left), Item::Integer(right)) if op != Op::Divide => whole(op, *left, *right),
        (Item::Moment(moment), Item::Quantity(quantity)) if matches!(op, Op::Plus | Op::Minus) => {
            let sign = if op == Op::Plus { 1 } else { -1 };
            let unit = crate::parse::calendar_unit(&quantity.unit).unwrap_or(&quantity.unit);
            let amount = quantity.value.trunc().to_i64();
            amount.and_then(|amount| moment.plus(sign * amount, unit)).map(Item::Moment)
        }
        (Item::Quantity(left), Item::Quantity(right)) => return quantities(op, left, right),
        _ => {
            let (Some(left), Some(right)) = (number(&left), number(&right)) else {
                return Err(EvaluationError::Type(op.name()));
            };
            decimals(op, left, right)
        }
    };
    Ok(found.into_iter().collect())
}

fn joined<'t>(left: &str, right: &str, context: &Context<'t>) -> Found<'t> {
    text_steps(left.len() + right.len(), context)?;
    Ok(vec![Item::String(format!("{left}{right}").into())])
}

/// Counts the work on a text, and refuses one that has grown too long.
pub(crate) fn text_steps(bytes: usize, context: &Context<'_>) -> Result<(), EvaluationError> {
    if bytes > TEXT_BYTES_MAX {
        return Err(EvaluationError::Budget);
    }
    context.tick(1 + bytes / 64)
}

fn whole(op: Op, left: i64, right: i64) -> Option<Item<'static>> {
    match op {
        Op::Plus => left.checked_add(right),
        Op::Minus => left.checked_sub(right),
        Op::Times => left.checked_mul(right),
        Op::Div => left.checked_div(right),
        _ => left.checked_rem(right),
    }
    .map(Item::Integer)
}

fn decimals(op: Op, left: Decimal, right: Decimal) -> Option<Item<'static>> {
    let found = match op {
        Op::Plus => left.checked_add(right),
        Op::Minus => left.checked_sub(right),
        Op::Times => left.checked_mul(right),
        Op::Divide => left.checked_div(right),
        Op::Div => {
            let whole = left.checked_div(right)?.trunc().to_i64()?;
            return Some(Item::Integer(whole));
        }
        _ => left.checked_rem(right),
    };
    found.map(|value| Item::Decimal(value.normalize()))
}

/// Sums need equal units; other operations between quantities need units to be computed and are refused.
fn quantities<'t>(op: Op, left: &Quantity<'t>, right: &Quantity<'t>) -> Found<'t> {
    let value = match op {
        Op::Plus if left.unit == right.unit => left.value.checked_add(right.value),
        Op::Minus if left.unit == right.unit => left.value.checked_sub(right.value),
        _ => return Err(EvaluationError::Type(op.name())),
    };
    let quantity = |value| Item::Quantity(Quantity { value, ..left.clone() });
    Ok(value.map(quantity).into_iter().collect())
}

/// Longest text that an expression may make.
const TEXT_BYTES_MAX: usize = 1024 * 1024;
