//! `PATCH [type]/[id]` and `PATCH [type]?criteria` (FHIR R4 http.html#patch).
//!
//! JSON Patch, merge patch and FHIRPath Patch, told apart by the media type. A body that calls itself plain JSON is what
//! it looks like: a list is JSON Patch, an object a merge patch, `Parameters` a FHIRPath Patch.
//! Not here: what a patch does (`fhir::patch`), the write itself (`ingest`).

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Path, Payload};
use fhir::patch::{PatchKind, kind_of};
use policy::AccessRequest;

use super::call::{Call, resource_key, resource_type};
use super::create::answer;
use super::etag;
use super::reply::Reply;
use crate::error::{Answered, Fault, FaultKind};
use crate::patch::{Patch, kind_of_media};
use crate::submission::{Submission, Verb};
use crate::telemetry::metrics::Interaction;

/// Changes one resource.
///
/// # Errors
/// 400, 401, 403, 404, 405, 410, 412, 413, 415, 422, 429, 503.
pub async fn patch(call: Call, path: Path<(String, String)>, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Patch)?;
    call.expect_no_parameters()?;
    let key = resource_key(&path.0, &path.1)?;
    let (principal, _) = call.permit(&AccessRequest::Patch(key.clone())).await?;
    let preconditions = etag::preconditions(&call.http)?;
    let patch = read(&call, payload).await?;
    let verb = Verb::Patch { key, patch, preconditions };
    let submission = Submission::single(verb, None, &call.bases(), &call.request_id).await?;
    answer(&call, call.submit(submission, &principal).await?)
}

/// Changes the one resource that matches.
///
/// # Errors
/// As [`patch`]; 404 when none matches, 412 when several do.
pub async fn patch_where(call: Call, path: Path<String>, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Patch)?;
    let resource_type = resource_type(&path)?;
    let principal = call.principal().await?;
    let query = call.needed_criteria()?;
    let preconditions = etag::preconditions(&call.http)?;
    let patch = read(&call, payload).await?;
    let verb = Verb::PatchWhere { resource_type, query, patch, preconditions };
    let submission = Submission::single(verb, None, &call.bases(), &call.request_id).await?;
    answer(&call, call.submit(submission, &principal).await?)
}

async fn read(call: &Call, payload: Payload) -> Answered<Patch> {
    let named = call.http.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = named.unwrap_or("application/json").split(';').next().unwrap_or_default();
    let media = media.trim().to_ascii_lowercase();
    let named = match media.as_str() {
        "application/json" | "text/json" => None,
        "application/fhir+json"
        | "application/json+fhir"
        | "application/fhir+xml"
        | "application/xml+fhir"
        | "application/xml"
        | "text/xml" => {
            let body = call.json_body(payload, call.app.config.server.body_bytes_max).await?;
            return Ok(Patch::new(PatchKind::FhirPath, body));
        }
        media => Some(kind_of_media(media).ok_or_else(|| {
            Fault::new(FaultKind::UnsupportedMediaType, format!("send one of {ACCEPTED}"))
        })?),
    };
    let body = call.body(payload, call.app.config.server.body_bytes_max).await?;
    Ok(Patch::new(named.unwrap_or_else(|| kind_of(&body)), body))
}

/// Media types of patches (RFC 5789 §3.1, `Accept-Patch`).
pub(super) const ACCEPTED: &str = "application/json-patch+json, application/merge-patch+json, application/fhir+json, application/fhir+xml";
