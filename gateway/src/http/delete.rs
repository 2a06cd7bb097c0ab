//! `DELETE [type]/[id]` and `DELETE [type]?criteria` (FHIR R4 http.html#delete).
//!
//! 204 with the tombstone's `ETag`, also when there was nothing to delete; history stays readable.
//! Not here: erasure of the payload, which is a decision of its own.

use actix_web::web::Path;
use policy::AccessRequest;

use super::call::{Call, resource_key, resource_type};
use super::create::only;
use super::etag;
use super::reply::{self, Reply};
use crate::error::{Fault, FaultKind};
use crate::submission::{Submission, Verb};
use crate::telemetry::metrics::Interaction;

/// Deletes one resource.
///
/// # Errors
/// 400, 401, 403, 404, 412, 429, 503.
pub async fn delete(call: Call, path: Path<(String, String)>) -> Reply {
    let call = call.as_interaction(Interaction::Delete)?;
    let key = resource_key(&path.0, &path.1)?;
    let (principal, _) = call.permit(&AccessRequest::Delete(key.clone())).await?;
    let verb = Verb::Delete { key, if_match: etag::if_match(&call.http)? };
    let submission = Submission::single(verb, None, &call.base(), &call.request_id).await?;
    let written = only(call.submit(submission, &principal).await?)?;
    Ok(reply::deleted(written.version))
}

/// Deletes the one resource that matches, if any.
///
/// # Errors
/// As [`delete`]; 412 when several match.
pub async fn delete_where(call: Call, path: Path<String>) -> Reply {
    let call = call.as_interaction(Interaction::Delete)?;
    let resource_type = resource_type(&path)?;
    let principal = call.principal().await?;
    let query = call.http.query_string().to_owned();
    if query.is_empty() {
        return Err(Fault::new(
            FaultKind::MethodNotAllowed,
            "DELETE needs an id or search criteria",
        ));
    }
    let if_match = etag::if_match(&call.http)?;
    let verb = Verb::DeleteWhere { resource_type, query, if_match };
    let submission = Submission::single(verb, None, &call.base(), &call.request_id).await?;
    let written = only(call.submit(submission, &principal).await?)?;
    Ok(reply::deleted(written.version))
}
