//! `_summary` and `_elements`: which part of each resource is answered.
//!
//! Spec: FHIR R4 search.html §3.1.1.5.8 and §3.1.1.5.9, http.html "General parameters". Offered where resources are
//! read: read, vread, history, search and the CapabilityStatement; elsewhere they are refused, not ignored.
//! An answer in part is no version that was sealed: its tag `SUBSETTED` says so, and a receipt verifies the whole one.
//! Not here: the cutting itself (`fhir::Subset`).

use bytes::Bytes;
use fhir::{ResourceType, Subset};
use registry::search::pairs;

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
    if param(query, SUMMARY).is_none() && param(query, ELEMENTS).is_none() {
        return Ok(None);
    }
    of_pairs(&pairs(query)?, interaction, resource_type)
}

/// The same of a query that is decoded.
///
/// # Errors
/// As [`of`].
pub fn of_pairs(
    pairs: &[(String, String)],
    interaction: Interaction,
    resource_type: Option<ResourceType>,
) -> Answered<Option<Subset>> {
    let values = |of: &str| -> Vec<&str> {
        pairs.iter().filter(|(name, _)| name == of).map(|(_, value)| &**value).collect()
    };
    let wrong = |text: &str| Fault::new(FaultKind::Invalid, text);
    let summary = match values(SUMMARY)[..] {
        [] => None,
        [one] => Some(one),
        _ => return Err(wrong("_summary occurs twice")),
    };
    let elements = values(ELEMENTS).join(",");
    let elements = (!values(ELEMENTS).is_empty()).then_some(&*elements);
    if elements.is_none() && matches!(summary, None | Some("false")) {
        return Ok(None);
    }
    match interaction {
        Interaction::Search | Interaction::History => {}
        Interaction::Read | Interaction::Vread | Interaction::Capabilities => {
            if summary == Some("count") {
                return Err(wrong("_summary=count is for searches and histories"));
            }
        }
        _ => {
            return Err(wrong("_summary and _elements are for read, vread, history and search"));
        }
    }
    let part = Subset::of(summary, elements, resource_type);
    let part = part.map_err(|error| wrong(&error.to_string()))?;
    let is_include = |name: &str| name.starts_with("_include") || name.starts_with("_revinclude");
    if summary == Some("text") && pairs.iter().any(|(name, _)| is_include(name)) {
        return Err(wrong("_summary=text cannot be combined with _include and _revinclude"));
    }
    Ok(part)
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

const SUMMARY: &str = "_summary";
const ELEMENTS: &str = "_elements";
