//! `PUT [type]/[id]` and `PUT [type]?criteria` (FHIR R4 http.html#update, #cond-update).
//!
//! `If-Match` names the version the client changed; `If-None-Match: *` only creates.
//! Not here: the write itself (`ingest`).

use actix_web::web::{Path, Payload};
use fhir::ResourceKey;
use policy::{AccessRequest, Permit, Principal};
use registry::page::StoredVersion;

use super::binary;
use super::call::{Call, resource_key, resource_type};
use super::create::answer;
use super::etag;
use super::reply::Reply;
use crate::access::{self, Access};
use crate::error::{Answered, Fault, FaultKind};
use crate::precondition::{Newest, Preconditions};
use crate::submission::{Submission, Verb};
use crate::telemetry::metrics::Interaction;

/// Stores a version under a given id.
///
/// # Errors
/// 400, 401, 403, 404, 405, 412, 413, 415, 422, 429, 503.
pub async fn update(call: Call, path: Path<(String, String)>, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Update)?;
    call.expect_no_parameters()?;
    let key = resource_key(&path.0, &path.1)?;
    let (principal, permit) = call.permit(&AccessRequest::Update(key.clone())).await?;
    let preconditions = etag::preconditions(&call.http)?;
    if binary::is_content(&call.http, key.resource_type)
        && binary::named_context(&call.http, &call.bases())?.is_none()
    {
        let asked = Asked { key, preconditions };
        return update_content(&call, asked, &principal, &permit, payload).await;
    }
    let body = call.resource_body(payload, key.resource_type, Some(&key.id)).await?;
    let verb = Verb::Update { key, preconditions };
    let submission = Submission::single(verb, Some(body), &call.bases(), &call.request_id).await?;
    answer(&call, call.submit(submission, &principal).await?)
}

/// The update that a client asks for.
struct Asked {
    key: ResourceKey,
    preconditions: Preconditions,
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
    let Asked { key, preconditions } = asked;
    let mut attempt = 0;
    loop {
        let stored = call.app.store.read(permit, &key).await?;
        let context = match &stored {
            Some(stored) if !stored.is_tombstone() => context_of(call, stored).await?,
            _ => Vec::new(),
        };
        let body = binary::wrapped(&call.http, Some(&key.id), &context, &content)?;
        let pinned = pinned(call, (&key, stored.as_ref()), &preconditions, principal).await?;
        let verb = Verb::Update { key: key.clone(), preconditions: pinned };
        let submission =
            Submission::single(verb, Some(body), &call.bases(), &call.request_id).await?;
        match call.submit(submission, principal).await {
            // What the client demands is asked again of what came between.
            Err(fault)
                if fault.status() == 412
                    && (stored.is_some() || preconditions.admit_what_comes())
                    && attempt < ATTEMPTS_MAX =>
            {
                attempt += 1;
            }
            done => return answer(call, done?),
        }
    }
}

/// Nothing may come between the version that was read and the one that is made: the preconditions of the client, which
/// hold, with that of this version.
async fn pinned(
    call: &Call,
    (key, stored): (&ResourceKey, Option<&StoredVersion>),
    preconditions: &Preconditions,
    principal: &Principal,
) -> Answered<Preconditions> {
    let Some(stored) = stored else {
        // Absent or hidden, which only the commit may tell.
        let absent = Preconditions::absent();
        return Ok(Preconditions { if_none_match: absent.if_none_match, ..preconditions.clone() });
    };
    let newest = Newest {
        version: stored.version,
        deleted: stored.is_tombstone(),
        updated: Some(stored.updated),
    };
    if let Err(fault) = preconditions.check(Some(newest)) {
        let access = Access::of(principal, Interaction::Update, &call.request_id).on(key.clone());
        access::record(&call.app, access.refused(fault.status())).await?;
        return Err(fault);
    }
    Ok(Preconditions::at(stored.version))
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
    let query = call.needed_criteria()?;
    if binary::is_content(&call.http, resource_type)
        && binary::named_context(&call.http, &call.bases())?.is_none()
    {
        let text = "content for what matches comes with X-Security-Context, empty for none";
        return Err(Fault::new(FaultKind::Invalid, text).at("http.X-Security-Context"));
    }
    let preconditions = etag::preconditions(&call.http)?;
    let body = call.resource_body(payload, resource_type, None).await?;
    let verb = Verb::UpdateWhere { resource_type, query, preconditions };
    let submission = Submission::single(verb, Some(body), &call.bases(), &call.request_id).await?;
    answer(&call, call.submit(submission, &principal).await?)
}

/// How often new content is tried again when the Binary changes meanwhile.
const ATTEMPTS_MAX: u32 = 8;
