//! Parameters of URLs that are about the answer, and what else a URL may say: for each interaction, asked by itself or
//! by the entry of a bundle.
//!
//! Spec: FHIR R4 http.html, "General parameters"; search.html, "Handling Errors". What is about the answer is no
//! criterion and no input. Anything else, where an interaction has neither, would change nothing and is refused, unless
//! the caller prefers lenient handling: a DELETE that was meant to have criteria must not delete what its path names.
//! Not here: what the values mean (`negotiate`, `part`), searches (`registry::search` reads all that they have).

use registry::search::{pairs, render};

use crate::error::{Answered, Fault, FaultKind, brief};

/// What a parameter says about the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Says {
    /// Whether it is JSON or XML. An entry has the form of its bundle.
    Form,
    /// Whether it is indented.
    Layout,
    /// Which part of each resource is given; at interactions that read (see [`super::part`]).
    Part,
    /// Nothing: clients add it so that no cache answers.
    Nothing,
}

/// The table.
const ABOUT_THE_ANSWER: [(&str, Says); 5] = [
    ("_format", Says::Form),
    ("_pretty", Says::Layout),
    ("_summary", Says::Part),
    ("_elements", Says::Part),
    ("_", Says::Nothing),
];

/// What a parameter of this name says about the answer; `None` for any other.
pub(crate) fn says(name: &str) -> Option<Says> {
    ABOUT_THE_ANSWER.iter().find(|(known, _)| *known == name).map(|(_, says)| *says)
}

/// The parameters that are not about the answer, decoded.
///
/// # Errors
/// 400 for a malformed query.
pub(crate) fn others(query: &str) -> Answered<Vec<(String, String)>> {
    let mut pairs = pairs(query)?;
    pairs.retain(|(name, _)| says(name).is_none());
    Ok(pairs)
}

/// The same as they were written: the criteria of a conditional interaction.
pub(crate) fn criteria(query: &str) -> String {
    let is_criterion = |pair: &&str| {
        // A malformed one stays, for who reads the criteria to refuse.
        !others(pair).is_ok_and(|left| left.is_empty())
    };
    let pairs: Vec<&str> = query.split('&').filter(is_criterion).collect();
    pairs.join("&")
}

/// Those that the links of an answer repeat, so that what they lead to is shown in the same form.
///
/// # Errors
/// 400 for a malformed query.
pub(super) fn repeated(query: &str) -> Answered<String> {
    let mut pairs = pairs(query)?;
    pairs.retain(|(name, _)| matches!(says(name), Some(Says::Form | Says::Layout)));
    // A plus sign that was not escaped came as a space, which no media type has.
    for (_, value) in pairs.iter_mut().filter(|(name, _)| says(name) == Some(Says::Form)) {
        *value = value.replace(' ', "+");
    }
    Ok(render(&pairs))
}

/// Refuses parameters of the URL that an interaction on one resource, or a bundle, does not have.
///
/// # Errors
/// 400 that names the parameter.
pub(crate) fn expect_none(query: &str, is_lenient: impl FnOnce() -> bool) -> Answered<()> {
    let others = others(query)?;
    let Some((name, _)) = others.first().filter(|_| !is_lenient()) else { return Ok(()) };
    let text = format!(
        "the URL of one resource has no parameter {}; it has _format and _pretty, a read also _summary and _elements",
        brief(name)
    );
    Err(Fault::new(FaultKind::Invalid, text).in_parameter(name))
}

/// `_pretty` is a boolean, and neither it nor `_format` says two things.
///
/// # Errors
/// 400 for anything else.
pub(crate) fn expect_form(query: &str) -> Answered<()> {
    let refused = |name: &str, text: &str| {
        Err(Fault::new(FaultKind::Invalid, text.to_owned()).in_parameter(name))
    };
    // A malformed query is told by who reads it whole.
    if !query.contains('%') && !["_format", "_pretty"].iter().any(|name| query.contains(name)) {
        return Ok(());
    }
    let pairs = pairs(query).unwrap_or_default();
    for name in ["_format", "_pretty"] {
        let mut given = pairs.iter().filter(|(one, _)| one == name).map(|(_, value)| &**value);
        let first = given.next();
        if given.any(|value| Some(value) != first) {
            return refused(name, &format!("{name} is given twice, with different values"));
        }
        if name == "_pretty" && !matches!(first, None | Some("true" | "false")) {
            return refused(name, "_pretty must be true or false");
        }
    }
    Ok(())
}
