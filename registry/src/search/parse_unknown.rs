//! What becomes of a parameter that nothing here reads: refused, unless it may be ignored and reported.
//!
//! Spec: FHIR R4 search § 3.1.1.1 (errors: a server may refuse or ignore what it does not know; `Prefer: handling`
//! chooses) and § 3.1.1.4.3 (a modifier that is not supported SHALL be refused, so also under lenient handling). What
//! is one of ours in another case or with a modifier is a slip that would answer everything: never ignored.

use fhir::{ResourceType, search_params};

use super::criteria::OF_RESULTS;
use crate::error::ReadError;

/// Whether the name may be ignored.
///
/// # Errors
/// [`ReadError::Invalid`], naming what was probably meant.
pub(super) fn ignore(of: ResourceType, name: &str, lenient: bool) -> Result<(), ReadError> {
    let refused =
        |why: &str| Err(ReadError::Invalid(format!("{of} has no search parameter {name:?}{why}")));
    let code = name.split([':', '.']).next().unwrap_or_default();
    let own = search_params(of).iter().map(|param| param.code);
    let own =
        OF_RESULTS.into_iter().chain(OTHERS).chain(own).find(|own| own.eq_ignore_ascii_case(code));
    match own {
        Some(own) if own == code => refused("; this one takes no modifier"),
        Some(own) => refused(&format!("; did you mean {own}?")),
        None if lenient || FOREIGN.contains(&name) => Ok(()),
        None => refused("; Prefer: handling=lenient ignores what is not known"),
    }
}

/// Whether what is known and not done may be ignored: a modifier never is.
pub(super) fn may_skip(name: &str, lenient: bool) -> bool {
    lenient && !name.contains(':')
}

/// Parameters that have one value, so that another one of the same name would have to be guessed about.
pub(super) fn is_single(name: &str) -> bool {
    ["_count", "_total", "_summary", "_format", "_pretty", "_contained"].contains(&name)
}

/// Names of R4 and ours that are no element's, beside those of results.
const OTHERS: [&str; 10] = [
    "_format", "_pretty", "_type", "_has", "_list", "_filter", "_query", "_text", "_content", "_id",
];
/// What a client library, fhirpy, sends to everybody and what changes no answer.
const FOREIGN: [&str; 1] = ["_totalMethod"];
