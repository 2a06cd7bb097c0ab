//! Functions that evaluate an expression for each item.
//!
//! Spec: FHIRPath N1 §5.1, §5.2, §5.5.1 (`iif`), §7 (`aggregate`).

use super::{Call, Function};
use crate::ast::Expr;
use crate::equality::distinct;
use crate::error::EvaluationError;
use crate::eval::{Found, Scope, answer, eval, truth};
use crate::item::Item;

pub(super) fn call<'t>(call: Call<'_, 't>) -> Found<'t> {
    let Call { function, focus, arguments, scope } = call;
    match (function, arguments) {
        (Function::Exists, []) => Ok(answer(Some(!focus.is_empty()))),
        (Function::Exists, [criteria, ..]) => {
            Ok(answer(Some(!filter(focus, criteria, scope, true)?.is_empty())))
        }
        (Function::Where, [criteria, ..]) => filter(focus, criteria, scope, false),
        (Function::All, [criteria, ..]) => {
            for (place, item) in focus.iter().enumerate() {
                if truth(&each(item, place, criteria, scope)?)? != Some(true) {
                    return Ok(answer(Some(false)));
                }
            }
            Ok(answer(Some(true)))
        }
        (Function::Select, [projection, ..]) => {
            let mut found = Vec::new();
            for (place, item) in focus.iter().enumerate() {
                found.extend(each(item, place, projection, scope)?);
                scope.context.tick(1 + found.len() / ITEMS_A_STEP)?;
            }
            Ok(found)
        }
        (Function::Repeat, [projection, ..]) => repeat(focus, projection, scope),
        (Function::Aggregate, [aggregator, rest @ ..]) => {
            let mut total = match rest {
                [start, ..] => eval(start, scope)?,
                [] => Vec::new(),
            };
            for (place, item) in focus.iter().enumerate() {
                let inner = Scope {
                    focus: std::slice::from_ref(item),
                    index: Some(place),
                    total: Some(&total),
                    ..scope
                };
                let next = eval(aggregator, inner)?;
                scope.context.tick(next.len())?;
                total = next;
            }
            Ok(total)
        }
        (Function::Iif, [criteria, then, otherwise @ ..]) => {
            let inner = Scope { focus, ..scope };
            match (truth(&eval(criteria, inner)?)?, otherwise) {
                (Some(true), _) => eval(then, inner),
                (_, [otherwise, ..]) => eval(otherwise, inner),
                (_, []) => Ok(Vec::new()),
            }
        }
        (Function::Trace, _) => Ok(focus.to_vec()),
        _ => Err(EvaluationError::Type(function.name())),
    }
}

fn each<'t>(item: &Item<'t>, place: usize, expr: &'t Expr, scope: Scope<'_, 't>) -> Found<'t> {
    eval(expr, Scope { focus: std::slice::from_ref(item), index: Some(place), ..scope })
}

fn filter<'t>(
    focus: &[Item<'t>],
    criteria: &'t Expr,
    scope: Scope<'_, 't>,
    first_only: bool,
) -> Found<'t> {
    let mut found = Vec::new();
    for (place, item) in focus.iter().enumerate() {
        if truth(&each(item, place, criteria, scope)?)? == Some(true) {
            found.push(item.clone());
            if first_only {
                break;
            }
        }
    }
    Ok(found)
}

/// Each round adds what the last one found and was not known; the budget ends what never ends.
fn repeat<'t>(focus: &[Item<'t>], projection: &'t Expr, scope: Scope<'_, 't>) -> Found<'t> {
    let tick = |steps| scope.context.tick(steps);
    let mut found: Vec<Item<'t>> = Vec::new();
    let mut last = focus.to_vec();
    while !last.is_empty() {
        let mut new = Vec::new();
        for (place, item) in last.iter().enumerate() {
            new.extend(each(item, place, projection, scope)?);
        }
        let known = found.len();
        found.extend(new);
        found = distinct(found, tick)?;
        last = found[known..].to_vec();
    }
    Ok(found)
}

/// Items that are moved in about the time of a step.
const ITEMS_A_STEP: usize = 64;
