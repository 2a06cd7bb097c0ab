//! `POST [type]` (FHIR R4 http.html#create), with `If-None-Exist`.
//!
//! Criteria in the URL mean the same, so that none is ignored and a client that sends them there makes no duplicates.
//! 201 with `Location` and `ETag`; a conditional create that finds one match answers 200 with it.
//! Not here: the write itself (`ingest`).

use actix_web::web::{Path, Payload};
use fhir::ResourceType;
use policy::AccessRequest;

use super::call::{Call, resource_type};
use super::etag;
use super::reply::{self, Reply};
use crate::error::{Answered, Fault, FaultKind};
use crate::ingest::{Outcome, Written};
use crate::precondition::IF_NONE_EXIST;
use crate::submission::{Submission, Unless, Verb};
use crate::telemetry::metrics::Interaction;

/// Stores a new resource.
///
/// # Errors
/// 400, 401, 403, 412, 413, 415, 422, 429, 503.
pub async fn create(call: Call, path: Path<String>, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Create)?;
    let resource_type = resource_type(&path)?;
    let (principal, _) = call.permit(&AccessRequest::Create(resource_type)).await?;
    let body = call.resource_body(payload, resource_type, None).await?;
    let header = etag::none_exist(&call.http)?;
    let bases = call.bases();
    let if_none_exist = unless(header.as_deref(), call.criteria(), resource_type, &bases)?;
    let verb = Verb::Create { resource_type, if_none_exist };
    let submission = Submission::single(verb, Some(body), &bases, &call.request_id).await?;
    let outcome = call.submit(submission, &principal).await?;
    answer(&call, outcome)
}

/// The answer to a write of one resource.
///
/// # Errors
/// 500 when the write path answered for no entry, which it never does.
pub fn answer(call: &Call, outcome: Outcome) -> Reply {
    Ok(reply::written(call, &call.base(), &only(outcome)?))
}

/// The one entry of an outcome.
///
/// # Errors
/// 500 as above.
pub fn only(outcome: Outcome) -> Answered<Written> {
    let lost = || Fault::new(FaultKind::Internal, "the write has no outcome");
    outcome.entries.into_iter().next().ok_or_else(lost)
}

/// The criteria of a conditional create: those of `If-None-Exist` (of an entry: `ifNoneExist`), or, as some clients send
/// them, those of the URL.
///
/// # Errors
/// 400 where they stand in both, or in neither though there is the header; where a search in another place is meant.
pub(crate) fn unless(
    header: Option<&str>,
    in_url: String,
    of: ResourceType,
    bases: &str,
) -> Answered<Option<Unless>> {
    let Some(header) = header else {
        return Ok((!in_url.is_empty()).then_some(Unless { query: in_url, in_url: true }));
    };
    let invalid =
        |text: &str| Err(Fault::new(FaultKind::Invalid, text).in_parameter(IF_NONE_EXIST));
    if !in_url.is_empty() {
        return invalid("criteria stand in If-None-Exist or in the URL, not in both");
    }
    match behind_own_url(header.trim(), of, bases) {
        Some("") => invalid("If-None-Exist must hold search criteria"),
        Some(criteria) => Ok(Some(Unless { query: criteria.trim().to_owned(), in_url: false })),
        None => invalid(&format!(
            "If-None-Exist asks about {of} alone: write criteria such as identifier=system|value, \
             with nothing before them but {of}? or this server's own URL of {of} and a question mark"
        )),
    }
}

/// The criteria of a text with or without the URL of the type's searches, which is sent as well; `None` behind any other
/// URL. A value may have a question mark, too: what has an equals sign before it is a criterion.
fn behind_own_url<'t>(text: &'t str, of: ResourceType, bases: &str) -> Option<&'t str> {
    match text.split_once('?') {
        Some((url, criteria)) if !url.contains(['=', '&']) => {
            let path = fhir::below_base(url, bases).unwrap_or(url);
            (path.is_empty() || path == of.name()).then_some(criteria)
        }
        _ => Some(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_stand_alone_or_behind_the_url_of_their_own_type() {
        let of = ResourceType::ORGANIZATION;
        let bases = "http://h/fhir http://h/fhir/R4";
        let read = |text| unless(Some(text), String::new(), of, bases);
        for (text, expected) in [
            ("identifier=a", "identifier=a"),
            ("?identifier=a", "identifier=a"),
            ("Organization?identifier=a", "identifier=a"),
            ("http://h/fhir/Organization?identifier=a", "identifier=a"),
            ("http://h/fhir/R4/Organization?identifier=a", "identifier=a"),
            ("identifier=http://a?type=prov", "identifier=http://a?type=prov"),
            ("?identifier=http://a?type=prov", "identifier=http://a?type=prov"),
            ("active&name=a?b", "active&name=a?b"),
        ] {
            let found = read(text).unwrap().unwrap();
            assert_eq!((&*found.query, found.in_url), (expected, false), "{text}");
        }
        for text in [
            "Patient?identifier=a",
            "organization?identifier=a",
            "http://evil.example/Organization?identifier=a",
            "http://h/fhir/Patient?identifier=a",
            "http://h/fhirX/Organization?identifier=a",
            "Organization/o1?identifier=a",
            "foo?identifier=a",
            "name:exact?identifier=a",
            "identifier:missing?name=x",
            "?",
            "Organization?",
            "",
        ] {
            let fault = read(text).unwrap_err();
            assert_eq!(fault.status(), 400, "{text}");
            assert_eq!(fault.issues[0].expression.as_deref(), Some("http.If-None-Exist"));
        }
    }
}
