//! Functions on collections as a whole, on numbers, and on the tree.
//!
//! Spec: FHIRPath N1 §5.1, §5.3, §5.4, §5.7 (math), §5.8 (tree).

use rust_decimal::prelude::{FromPrimitive, ToPrimitive};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Call, Function};
use crate::equality::{distinct, equal, number};
use crate::error::EvaluationError;
use crate::eval::{Found, Scope, answer, eval, single, truth};
use crate::item::{Item, Quantity};
use crate::moment::Moment;
use crate::types::{TypeName, name_of};

pub(super) fn call<'t>(call: Call<'_, 't>) -> Found<'t> {
    use Function as F;

    let Call { function, focus, scope, .. } = call;
    let tick = |steps| scope.context.tick(steps);
    match function {
        F::Empty => Ok(answer(Some(focus.is_empty()))),
        F::Count => Ok(vec![Item::Integer(focus.len() as i64)]),
        F::Not => Ok(answer(truth(focus)?.map(|value| !value))),
        F::AllTrue => all(focus, true),
        F::AllFalse => all(focus, false),
        F::AnyTrue => any(focus, true),
        F::AnyFalse => any(focus, false),
        F::First => Ok(focus.first().cloned().into_iter().collect()),
        F::Last => Ok(focus.last().cloned().into_iter().collect()),
        F::Tail => Ok(focus.iter().skip(1).cloned().collect()),
        F::Single => single(focus.to_vec(), "single()").map(|item| item.into_iter().collect()),
        F::Distinct => distinct(focus.to_vec(), tick),
        F::IsDistinct => {
            let kept = distinct(focus.to_vec(), tick)?;
            Ok(answer(Some(kept.len() == focus.len())))
        }
        F::Type => Ok(focus.iter().map(type_of).collect()),
        F::Children => children(focus, scope),
        F::Descendants => descendants(focus, scope),
        F::Now => clock(scope, Some),
        F::Today => clock(scope, Moment::to_date),
        F::TimeOfDay => clock(scope, Moment::to_time),
        F::Sqrt | F::Exp | F::Ln | F::Log | F::Power => curve(call),
        F::Abs | F::Ceiling | F::Floor | F::Truncate | F::Round => math(call),
        _ => with_other(call),
    }
}

fn with_other<'t>(call: Call<'_, 't>) -> Found<'t> {
    use Function as F;

    let Call { function, focus, arguments, scope } = call;
    let tick = |steps| scope.context.tick(steps);
    let other = match arguments {
        [argument, ..] => eval(argument, scope)?,
        [] => return Err(EvaluationError::Type(function.name())),
    };
    let holds = |of: &[Item<'t>], item: &Item<'t>| {
        tick(of.len()).map(|()| of.iter().any(|other| equal(other, item) == Some(true)))
    };
    let count = || -> Result<usize, EvaluationError> {
        match single(other.clone(), function.name())?.map(|item| item.simple()) {
            Some(Item::Integer(count)) => Ok(usize::try_from(count).unwrap_or(0)),
            _ => Err(EvaluationError::Type(function.name())),
        }
    };
    if matches!(function, F::Skip | F::Take) && other.is_empty() {
        return Ok(Vec::new());
    }
    match function {
        F::Skip => Ok(focus.iter().skip(count()?).cloned().collect()),
        F::Take => Ok(focus.iter().take(count()?).cloned().collect()),
        F::SubsetOf => all_in(focus, &other, holds),
        F::SupersetOf => all_in(&other, focus, holds),
        F::Combine => Ok(focus.iter().cloned().chain(other).collect()),
        F::Union => distinct(focus.iter().cloned().chain(other).collect(), tick),
        F::Intersect | F::Exclude => {
            let mut kept = Vec::new();
            for item in focus {
                if holds(&other, item)? == (function == F::Intersect) {
                    kept.push(item.clone());
                }
            }
            if function == F::Intersect { distinct(kept, tick) } else { Ok(kept) }
        }
        _ => Err(EvaluationError::Type(function.name())),
    }
}

fn all_in<'t>(
    items: &[Item<'t>],
    of: &[Item<'t>],
    holds: impl Fn(&[Item<'t>], &Item<'t>) -> Result<bool, EvaluationError>,
) -> Found<'t> {
    for item in items {
        if !holds(of, item)? {
            return Ok(answer(Some(false)));
        }
    }
    Ok(answer(Some(true)))
}

fn all<'t>(focus: &[Item<'t>], wanted: bool) -> Found<'t> {
    let good = focus.iter().all(|item| matches!(item.simple(), Item::Boolean(is) if is == wanted));
    Ok(answer(Some(good)))
}

fn any<'t>(focus: &[Item<'t>], wanted: bool) -> Found<'t> {
    let good = focus.iter().any(|item| matches!(item.simple(), Item::Boolean(is) if is == wanted));
    Ok(answer(Some(good)))
}

fn type_of<'t>(item: &Item<'t>) -> Item<'t> {
    let (namespace, name) = name_of(item);
    Item::Type(TypeName { namespace: Some(namespace.to_owned()), name: name.to_owned() })
}

fn children<'t>(focus: &[Item<'t>], scope: Scope<'_, 't>) -> Found<'t> {
    let mut found = Vec::new();
    for item in focus {
        if let Item::Element(element) = item {
            element.children(|child| found.push(Item::Element(child)));
        }
    }
    scope.context.tick(focus.len() + found.len())?;
    Ok(found)
}

/// Children of children; the depth of a document is limited, so the rounds are.
fn descendants<'t>(focus: &[Item<'t>], scope: Scope<'_, 't>) -> Found<'t> {
    let mut found = Vec::new();
    let mut last = children(focus, scope)?;
    while !last.is_empty() {
        let next = children(&last, scope)?;
        found.append(&mut last);
        last = next;
    }
    Ok(found)
}

fn math<'t>(call: Call<'_, 't>) -> Found<'t> {
    let Call { function, focus, arguments, scope } = call;
    let Some(item) = single(focus.to_vec(), function.name())? else { return Ok(Vec::new()) };
    let (value, quantity) = match item.simple() {
        Item::Integer(whole) if function == Function::Round => (Decimal::from(whole), None),
        Item::Integer(whole) => {
            let whole = if function == Function::Abs { whole.checked_abs() } else { Some(whole) };
            return Ok(whole.map(Item::Integer).into_iter().collect());
        }
        Item::Decimal(value) => (value, None),
        Item::Quantity(quantity) => (quantity.value, Some(quantity)),
        _ => return Err(EvaluationError::Type(function.name())),
    };
    let whole = |value: Decimal| Ok(value.to_i64().map(Item::Integer).into_iter().collect());
    match function {
        Function::Abs => Ok(vec![match quantity {
            Some(quantity) => Item::Quantity(Quantity { value: value.abs(), ..quantity }),
            None => Item::Decimal(value.abs()),
        }]),
        Function::Ceiling => whole(value.ceil()),
        Function::Floor => whole(value.floor()),
        Function::Truncate => whole(value.trunc()),
        _ => {
            let digits = match arguments {
                [digits, ..] => single(eval(digits, scope)?, "round()")?,
                [] => None,
            };
            let digits = match digits.map(|item| item.simple()) {
                Some(Item::Integer(digits)) => u32::try_from(digits).unwrap_or(0).min(28),
                _ => 0,
            };
            let away = RoundingStrategy::MidpointAwayFromZero;
            Ok(vec![Item::Decimal(value.round_dp_with_strategy(digits, away))])
        }
    }
}

fn clock<'t>(scope: Scope<'_, 't>, part: impl Fn(Moment) -> Option<Moment>) -> Found<'t> {
    Ok(scope.context.now().and_then(part).map(Item::Moment).into_iter().collect())
}

/// Roots, powers and logarithms, within the precision of 64-bit floating point; empty where they have no value.
fn curve<'t>(call: Call<'_, 't>) -> Found<'t> {
    let Call { function, focus, arguments, scope } = call;
    let value = |items| -> Result<Option<f64>, EvaluationError> {
        let Some(item) = single(items, function.name())? else { return Ok(None) };
        let value = number(&item).ok_or(EvaluationError::Type(function.name()))?;
        Ok(value.to_f64())
    };
    let Some(base) = value(focus.to_vec())? else { return Ok(Vec::new()) };
    let other = match arguments {
        [argument, ..] => value(eval(argument, scope)?)?,
        [] => Some(0.0),
    };
    let Some(other) = other else { return Ok(Vec::new()) };
    let found = match function {
        Function::Sqrt => base.sqrt(),
        Function::Exp => base.exp(),
        Function::Ln => base.ln(),
        Function::Log => base.log(other),
        _ => base.powf(other),
    };
    Ok(Decimal::from_f64(found).map(Item::Decimal).into_iter().collect())
}
