//! `PUT [type]/[id]` and `PUT [type]?criteria` (FHIR R4 http.html#update, #cond-update).
//!
//! `If-Match` names the version the client changed; `If-None-Match: *` only creates.
//! Not here: the write itself (`ingest`).

use actix_web::web::{Path, Payload};
use policy::AccessRequest;

use super::OF_TYPE;
use super::call::{Call, resource_key, resource_type};
use super::create::answer;
use super::etag;
use super::reply::Reply;
use crate::error::Fault;
use crate::submission::{Submission, Verb};
use crate::telemetry::metrics::Interaction;

/// Stores a version under a given id.
///
/// # Errors
/// 400, 401, 403, 404, 405, 412, 413, 415, 422, 429, 503.
pub async fn update(call: Call, path: Path<(String, String)>, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Update)?;
    let key = resource_key(&path.0, &path.1)?;
    let (principal, _) = call.permit(&AccessRequest::Update(key.clone())).await?;
    let if_match = etag::if_match(&call.http)?;
    let only_new = etag::if_none_match_any(&call.http);
    let body = call.resource_body(payload, key.resource_type, Some(&key.id)).await?;
    let verb = Verb::Update { key, if_match, only_new };
    let submission = Submission::single(verb, Some(body), &call.bases(), &call.request_id).await?;
    answer(&call, call.submit(submission, &principal).await?)
}

/// Stores a version of the one resource that matches, or a new one.
///
/// # Errors
/// As [`update`]; 412 when several match.
pub async fn update_where(call: Call, path: Path<String>, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Update)?;
    let resource_type = resource_type(&path)?;
    let principal = call.principal().await?;
    let query = call.criteria();
    if query.is_empty() {
        return Err(Fault::not_allowed("PUT needs an id or search criteria", OF_TYPE));
    }
    let if_match = etag::if_match(&call.http)?;
    let body = call.resource_body(payload, resource_type, None).await?;
    let verb = Verb::UpdateWhere { resource_type, query, if_match };
    let submission = Submission::single(verb, Some(body), &call.bases(), &call.request_id).await?;
    answer(&call, call.submit(submission, &principal).await?)
}
