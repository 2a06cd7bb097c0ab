//! Parameters of URLs where an interaction has none of its own: reads, vreads, writes of one resource, bundles.
//!
//! Spec: FHIR R4 http.html, "General parameters"; search.html, "Handling Errors". What is about the form of the answer
//! goes everywhere; anything else would change nothing and is refused, unless the caller prefers lenient handling. A
//! DELETE that was meant to have criteria must not delete what its path names.
//! Not here: searches (`registry::search`), the parts of resources (`part`), operations (`operation`).

use registry::search::pairs;

use super::call::Call;
use crate::error::{Answered, Fault, FaultKind};

/// Refuses parameters of the URL that an interaction on one resource, or a bundle, does not have.
///
/// # Errors
/// 400 that names the parameter.
pub(super) fn expect_none(call: &Call, query: &str) -> Answered<()> {
    let pairs = pairs(query)?;
    let unknown = pairs.iter().find(|(name, _)| !ABOUT_THE_ANSWER.contains(&name.as_str()));
    let Some((name, _)) = unknown.filter(|_| !call.is_lenient()) else { return Ok(()) };
    let text = format!(
        "the URL of one resource has no parameter {name}; it has _format and _pretty, a read also _summary and _elements"
    );
    Err(Fault::new(FaultKind::Invalid, text).in_parameter(name))
}

/// `_pretty` is a boolean.
///
/// # Errors
/// 400 for anything else.
pub(super) fn expect_pretty(query: &str) -> Answered<()> {
    match super::negotiate::param(query, "_pretty").as_deref() {
        None | Some("true" | "false") => Ok(()),
        Some(_) => {
            let text = "_pretty must be true or false";
            Err(Fault::new(FaultKind::Invalid, text).in_parameter("_pretty"))
        }
    }
}

/// `_` is what clients add so that no cache answers.
const ABOUT_THE_ANSWER: [&str; 5] = ["_format", "_pretty", "_summary", "_elements", "_"];
