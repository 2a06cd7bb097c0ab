//! `_summary` and `_elements`: which part of each resource is answered.
//!
//! Spec: FHIR R4 search.html §3.1.1.5.8 and §3.1.1.5.9, http.html "General parameters". Offered where resources are
//! read: read, vread, history, search and the CapabilityStatement; elsewhere they are refused, not ignored.
//! An answer in part is no version that was sealed: its tag `SUBSETTED` says so, and a receipt verifies the whole one.
//! Not here: the cutting itself (`fhir::Subset`).

use bytes::Bytes;
use fhir::{ResourceType, Subset};
use registry::search::{pairs, render};

use super::negotiate::param;
use crate::error::{Answered, Fault, FaultKind};
use crate::telemetry::metrics::Interaction;

/// The part that a query asks for; `None` for whole resources.
///
/// # Errors
/// 400 for a value that the standard does not have, a name of no element, or at an interaction without parts.
pub fn of(
    query: &str,
    interaction: Interaction,
    resource_type: Option<ResourceType>,
) -> Answered<Option<Subset>> {
    let (summary, elements) = (param(query, SUMMARY), param(query, ELEMENTS));
    if summary.is_none() && elements.is_none() {
        return Ok(None);
    }
    let wrong = |text: &str| Fault::new(FaultKind::Invalid, text);
    let counts = only_counts(query);
    match interaction {
        Interaction::Search | Interaction::History => {}
        Interaction::Read | Interaction::Vread | Interaction::Capabilities if counts => {
            return Err(wrong("_summary=count is for searches and histories"));
        }
        Interaction::Read | Interaction::Vread | Interaction::Capabilities => {}
        _ => {
            return Err(wrong("_summary and _elements are for read, vread, history and search"));
        }
    }
    let part = Subset::of(summary.as_deref(), elements.as_deref(), resource_type);
    let part = part.map_err(|error| wrong(&error.to_string()))?;
    if summary.as_deref() == Some("text") && has_includes(query)? {
        return Err(wrong("_summary=text cannot be combined with _include and _revinclude"));
    }
    Ok(part)
}

fn has_includes(query: &str) -> Answered<bool> {
    let is_one = |name: &str| name.starts_with("_include") || name.starts_with("_revinclude");
    Ok(pairs(query)?.iter().any(|(name, _)| is_one(name)))
}

/// True when only the number of resources is asked for (`_summary=count`).
pub fn only_counts(query: &str) -> bool {
    param(query, SUMMARY).as_deref() == Some("count")
}

/// The part of a resource's bytes; the bytes themselves where no part is asked for.
pub fn cut(part: Option<&Subset>, body: Bytes, is_asked: bool) -> Bytes {
    match part {
        Some(part) => part.apply(&body, is_asked).into(),
        None => body,
    }
}

/// The parameters of a query that say how an answer is shown, as a query.
///
/// # Errors
/// 400 for a malformed query.
pub fn repeated(query: &str) -> Answered<String> {
    let mut pairs = pairs(query)?;
    pairs.retain(|(name, value)| is_of_form(name, value));
    Ok(render(&pairs))
}

/// Parameters that say how an answer is shown, not what is found. Links repeat them.
pub fn is_of_form(name: &str, value: &str) -> bool {
    match name {
        "_format" | "_pretty" | ELEMENTS => true,
        // The count is a matter of the search itself.
        SUMMARY => value != "count",
        _ => false,
    }
}

const SUMMARY: &str = "_summary";
const ELEMENTS: &str = "_elements";
