//! `PUT [type]/[id]` and `PUT [type]?criteria` (FHIR R4 http.html#update, #cond-update).
//!
//! `If-Match` names the version the client changed; `If-None-Match: *` only creates.
//! Not here: the write itself (`ingest`).

use actix_web::web::{Path, Payload};
use fhir::ResourceKey;
use policy::{AccessRequest, Permit, Principal};
use registry::page::StoredVersion;

use super::call::{Call, resource_key, resource_type};
use super::create::answer;
use super::etag;
use super::reply::Reply;
use super::{OF_TYPE, binary};
use crate::error::{Answered, Fault, FaultKind};
use crate::precondition::IfMatch;
use crate::submission::{Submission, Verb};
use crate::telemetry::metrics::Interaction;

/// Stores a version under a given id.
///
/// # Errors
/// 400, 401, 403, 404, 405, 412, 413, 415, 422, 429, 503.
pub async fn update(call: Call, path: Path<(String, String)>, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Update)?;
    let key = resource_key(&path.0, &path.1)?;
    let (principal, permit) = call.permit(&AccessRequest::Update(key.clone())).await?;
    let if_match = etag::if_match(&call.http)?;
    let only_new = etag::if_none_match_any(&call.http);
    if binary::is_content(&call.http, key.resource_type)
        && binary::named_context(&call.http, &call.bases())?.is_none()
    {
        let asked = Asked { key, if_match, only_new };
        return update_content(&call, asked, &principal, &permit, payload).await;
    }
    let body = call.resource_body(payload, key.resource_type, Some(&key.id)).await?;
    let verb = Verb::Update { key, if_match, only_new };
    let submission = Submission::single(verb, Some(body), &call.bases(), &call.request_id).await?;
    answer(&call, call.submit(submission, &principal).await?)
}

/// The update that a client asks for.
struct Asked {
    key: ResourceKey,
    if_match: Option<IfMatch>,
    only_new: bool,
}

/// Stores new content of a Binary that stays whose it is: its security context is taken from the version that is
/// current, and holds for no other.
async fn update_content(
    call: &Call,
    asked: Asked,
    principal: &Principal,
    permit: &Permit,
    payload: Payload,
) -> Reply {
    let content = call.content(payload).await?;
    let Asked { key, if_match, only_new } = asked;
    let mut attempt = 0;
    loop {
        let stored = call.app.store.read(permit, &key).await?;
        let (context, current) = match &stored {
            None => (Vec::new(), None),
            Some(stored) if stored.is_tombstone() => (Vec::new(), Some(stored.version)),
            Some(stored) => (context_of(call, stored).await?, Some(stored.version)),
        };
        let body = binary::wrapped(&call.http, Some(&key.id), &context, &content)?;
        let expected = current.map(|version| IfMatch::OneOf(vec![version]));
        let is_free = match &if_match {
            None => true,
            Some(IfMatch::Any) => current.is_some(),
            Some(IfMatch::OneOf(_)) => false,
        };
        let verb = Verb::Update {
            key: key.clone(),
            // The precondition of the client is asked as it is; where it leaves that open, nothing may come between.
            if_match: if is_free { expected.or(if_match.clone()) } else { if_match.clone() },
            only_new: only_new || (current.is_none() && if_match.is_none()),
        };
        let submission =
            Submission::single(verb, Some(body), &call.bases(), &call.request_id).await?;
        match call.submit(submission, principal).await {
            Err(fault)
                if fault.status() == 412 && is_free && !only_new && attempt < ATTEMPTS_MAX =>
            {
                attempt += 1;
            }
            done => return answer(call, done?),
        }
    }
}

async fn context_of(call: &Call, stored: &StoredVersion) -> Answered<Vec<u8>> {
    let body = call.app.payloads.open(stored).await.map_err(|fault| match fault.kind {
        FaultKind::Deleted => {
            let text = "the former content has been erased: say whose the new one is by X-Security-Context";
            Fault::new(FaultKind::Invalid, text)
        }
        _ => fault,
    })?;
    Ok(binary::context_of(&body))
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
    if binary::is_content(&call.http, resource_type)
        && binary::named_context(&call.http, &call.bases())?.is_none()
    {
        let text = "content for what matches comes with X-Security-Context, empty for none";
        return Err(Fault::new(FaultKind::Invalid, text).at("http.X-Security-Context"));
    }
    let if_match = etag::if_match(&call.http)?;
    let body = call.resource_body(payload, resource_type, None).await?;
    let verb = Verb::UpdateWhere { resource_type, query, if_match };
    let submission = Submission::single(verb, Some(body), &call.bases(), &call.request_id).await?;
    answer(&call, call.submit(submission, &principal).await?)
}

/// How often new content is tried again when the Binary changes meanwhile.
const ATTEMPTS_MAX: u32 = 8;
