//! `GET` and `HEAD` of `[type]/[id]` (FHIR R4 http.html#read).
//!
//! The access record is durable before the body leaves. A deleted resource is 410, an absent or
//! invisible one the same 404; `If-None-Match` answers 304, `If-Match` 412. For an operator each Task but those of messages is absent.
//! Not here: versions (`vread`).

use actix_web::web::Path;
use policy::AccessRequest;

use super::call::{Call, resource_key};
use super::etag;
use super::message_tasks;
use super::reply::{self, Reply};
use crate::access::{self, Access};
use crate::error::Fault;
use crate::telemetry::metrics::Interaction;

/// Answers the current version.
///
/// # Errors
/// 400, 401, 403, 404, 410, 412, 503.
pub async fn read(call: Call, path: Path<(String, String)>) -> Reply {
    let key = resource_key(&path.0, &path.1)?;
    let of = key.resource_type;
    let call = call.as_reading(Interaction::Read, of)?;
    call.expect_no_parameters()?;
    let principal = call.principal().await?;
    let request = message_tasks::narrowed(&principal, AccessRequest::Read(key.clone()));
    let (principal, permit) = call.permit(&request).await?;
    let found = call.app.store.read(&permit, &key).await?;
    let access = Access::of(&principal, Interaction::Read, &call.request_id).on(key);
    let Some(stored) = found else {
        access::record(&call.app, access.refused(404)).await?;
        return Err(Fault::not_found());
    };
    let is_limited = request == AccessRequest::MessageTasks;
    if stored.is_tombstone() {
        // What was deleted can no longer be told apart from other Tasks: it is absent to who sees only some.
        let status = if is_limited { 404 } else { 410 };
        access::record(&call.app, access.refused(status)).await?;
        return Err(if is_limited { Fault::not_found() } else { reply::gone_for(&stored) });
    }
    let body = call.app.payloads.open(&stored).await?;
    if is_limited && !message_tasks::is_one(&body) {
        access::record(&call.app, access.refused(404)).await?;
        return Err(Fault::not_found());
    }
    if let Err(fault) = etag::expect(&call.http, stored.version, stored.updated) {
        access::record(&call.app, access.refused(fault.status())).await?;
        return Err(fault);
    }
    access::record(&call.app, access.version(stored.version).seeing(&call.app.payloads, &stored))
        .await?;
    reply::of_type(&call, of, &stored, body)
}
