//! Functions on texts.
//!
//! Spec: FHIRPath N1 §5.6; `matches` finds a part, as HL7's own engine does, and `matchesFull` wants the whole.

use std::borrow::Cow;

use super::{Call, Function};
use crate::ast::Expr;
use crate::error::EvaluationError;
use crate::eval::{Found, Scope, answer, eval, single};
use crate::item::Item;
use crate::operators::text_steps;

pub(super) fn call<'t>(call: Call<'_, 't>) -> Found<'t> {
    let Call { function, focus, arguments, scope } = call;
    if function == Function::Join {
        return join(focus, arguments, scope);
    }
    let Some(item) = single(focus.to_vec(), function.name())? else { return Ok(Vec::new()) };
    let text = item.text().ok_or(EvaluationError::Type(function.name()))?;
    text_steps(text.len(), scope.context)?;
    match function {
        Function::Upper => one(text.to_uppercase()),
        Function::Lower => one(text.to_lowercase()),
        Function::Trim => one(text.trim().to_owned()),
        Function::Length => Ok(vec![Item::Integer(text.chars().count() as i64)]),
        Function::ToChars => {
            scope.context.tick(text.len())?;
            Ok(text.chars().map(|c| Item::String(c.to_string().into())).collect())
        }
        Function::Substring => substring(&text, arguments, scope),
        _ => with_text(function, &text, arguments, scope),
    }
}

fn with_text<'t>(
    function: Function,
    text: &str,
    arguments: &'t [Expr],
    scope: Scope<'_, 't>,
) -> Found<'t> {
    use Function as F;

    let Some(other) = argument(function, arguments, 0, scope)? else { return Ok(Vec::new()) };
    match function {
        F::IndexOf => {
            let place = text.find(&*other).map_or(-1, |at| text[..at].chars().count() as i64);
            Ok(vec![Item::Integer(place)])
        }
        F::StartsWith => Ok(answer(Some(text.starts_with(&*other)))),
        F::EndsWith => Ok(answer(Some(text.ends_with(&*other)))),
        F::ContainsText => Ok(answer(Some(text.contains(&*other)))),
        F::Split => {
            scope.context.tick(text.len())?;
            Ok(text.split(&*other).map(|part| Item::String(part.to_owned().into())).collect())
        }
        F::Matches => Ok(answer(Some(scope.regexes.find(&other, scope.context)?.is_match(text)))),
        F::MatchesFull => {
            let whole = scope.regexes.find(&format!("^(?:{other})$"), scope.context)?;
            Ok(answer(Some(whole.is_match(text))))
        }
        F::Replace | F::ReplaceMatches => {
            let Some(with) = argument(function, arguments, 1, scope)? else {
                return Ok(Vec::new());
            };
            let most = (text.len() + 1).saturating_mul(with.len() + 1);
            text_steps(most, scope.context)?;
            match function {
                F::Replace => one(text.replace(&*other, &with)),
                _ => one(scope
                    .regexes
                    .find(&other, scope.context)?
                    .replace_all(text, &*with)
                    .into_owned()),
            }
        }
        _ => Err(EvaluationError::Type(function.name())),
    }
}

fn substring<'t>(text: &str, arguments: &'t [Expr], scope: Scope<'_, 't>) -> Found<'t> {
    let mut numbers = Vec::new();
    for argument in arguments {
        match single(eval(argument, scope)?, "substring()")?.map(|item| item.simple()) {
            Some(Item::Integer(number)) => numbers.push(number),
            None => return Ok(Vec::new()),
            Some(_) => return Err(EvaluationError::Type("substring()")),
        }
    }
    let start = numbers.first().and_then(|start| usize::try_from(*start).ok());
    let Some(start) = start.filter(|start| *start < text.chars().count()) else {
        return Ok(Vec::new());
    };
    let length = numbers.get(1).map_or(usize::MAX, |most| usize::try_from(*most).unwrap_or(0));
    one(text.chars().skip(start).take(length).collect())
}

fn join<'t>(focus: &[Item<'t>], arguments: &'t [Expr], scope: Scope<'_, 't>) -> Found<'t> {
    let between = match arguments {
        [] => Cow::Borrowed(""),
        _ => argument(Function::Join, arguments, 0, scope)?.unwrap_or_default(),
    };
    let mut out = String::new();
    for (place, item) in focus.iter().enumerate() {
        if place > 0 {
            out.push_str(&between);
        }
        out.push_str(&item.text().ok_or(EvaluationError::Type("join()"))?);
        text_steps(out.len(), scope.context)?;
    }
    one(out)
}

/// An argument as text; `None` when it is empty.
fn argument<'t>(
    function: Function,
    arguments: &'t [Expr],
    place: usize,
    scope: Scope<'_, 't>,
) -> Result<Option<Cow<'t, str>>, EvaluationError> {
    let Some(argument) = arguments.get(place) else { return Ok(None) };
    match single(eval(argument, scope)?, function.name())? {
        Some(item) => item.text().map(Some).ok_or(EvaluationError::Type(function.name())),
        None => Ok(None),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what all functions answer")]
fn one<'t>(text: String) -> Found<'t> {
    Ok(vec![Item::String(text.into())])
}
