//! `POST [type]` (FHIR R4 http.html#create), with `If-None-Exist`.
//!
//! Criteria in the URL mean the same, so that none is ignored and a client that sends them there makes no duplicates.
//! 201 with `Location` and `ETag`; a conditional create that finds one match answers 200 with it.
//! Not here: the write itself (`ingest`).

use actix_web::web::{Path, Payload};
use policy::AccessRequest;

use super::call::{Call, resource_type};
use super::etag;
use super::reply::{self, Reply};
use crate::error::{Answered, Fault, FaultKind};
use crate::ingest::{Outcome, Written};
use crate::precondition::IF_NONE_EXIST;
use crate::submission::{Submission, Verb};
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
    let if_none_exist = if_none_exist(header.as_deref(), call.criteria())?;
    let verb = Verb::Create { resource_type, if_none_exist };
    let submission = Submission::single(verb, Some(body), &call.bases(), &call.request_id).await?;
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
/// 400 where they stand in both, or in neither though there is the header.
pub(crate) fn if_none_exist(header: Option<&str>, in_url: String) -> Answered<Option<String>> {
    let invalid =
        |text: &str| Err(Fault::new(FaultKind::Invalid, text).in_parameter(IF_NONE_EXIST));
    // `http://base/Patient?identifier=x` and `?identifier=x` are sent as well; a value may have a question mark, too.
    let in_header = header.map(|text| match text.split_once('?') {
        Some((url, criteria)) if !url.contains(['=', '&']) => criteria.trim(),
        _ => text.trim(),
    });
    match in_header {
        None => Ok((!in_url.is_empty()).then_some(in_url)),
        Some(_) if !in_url.is_empty() => {
            invalid("criteria stand in If-None-Exist or in the URL, not in both")
        }
        Some("") => invalid("If-None-Exist must hold search criteria"),
        Some(criteria) => Ok(Some(criteria.to_owned())),
    }
}
