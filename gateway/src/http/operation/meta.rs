//! `[type]/[id]/$meta`, `$meta-add` and `$meta-delete` (FHIR R4 resource-operations.html).
//!
//! Labels are sealed with the resource they stand in, so a change of labels makes a version, as the standard allows
//! (resource.html#Meta); one that changes nothing makes none. `If-Match` is heeded.
//! Not here: which labels are the same (`fhir::patch`), labels of types (`labels`), of old versions, which are not offered.

use actix_web::web::Payload;
use fhir::patch::PatchKind;
use fhir::{Node, Tree};
use policy::AccessRequest;

use super::input::Input;
use crate::access::{self, Access};
use crate::entry::ReadEntry;
use crate::error::{Answered, Fault, FaultKind};
use crate::http::call::Call;
use crate::http::create::only;
use crate::http::reply::{self, Reply};
use crate::patch::Patch;
use crate::precondition::Preconditions;
use crate::submission::{Submission, Verb};
use crate::telemetry::metrics::Interaction;

/// Answers the labels of the current version.
///
/// # Errors
/// 400, 401, 403, 404, 410, 503.
pub(super) async fn meta(call: Call, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    let key = super::instance(&call, None)?;
    let (principal, permit) = call.permit(&AccessRequest::Read(key.clone())).await?;
    Input::read(&call, payload).await?.expect_only(&[])?;
    let access = Access::of(&principal, Interaction::Operation, &call.request_id).on(key.clone());
    let found = call.app.store.read(&permit, &key).await?;
    let refused = match &found {
        None => Some(Fault::not_found()),
        Some(stored) if stored.is_tombstone() => Some(reply::gone_for(stored)),
        Some(_) => None,
    };
    if let Some(fault) = refused {
        access::record(&call.app, access.refused(fault.status())).await?;
        return Err(fault);
    }
    let stored = found.ok_or_else(Fault::not_found)?;
    let body = call.app.payloads.open(&stored).await?;
    let answer = labels(&body)?;
    access::record(&call.app, access.version(stored.version).seeing(&call.app.payloads, &stored))
        .await?;
    Ok(reply::json(&call, 200, answer))
}

/// Adds labels.
///
/// # Errors
/// As [`meta`], and 412, 422, 429.
pub(super) async fn add(call: Call, payload: Payload) -> Reply {
    change(call, payload, PatchKind::MetaAdd).await
}

/// Takes labels away.
///
/// # Errors
/// As [`add`].
pub(super) async fn delete(call: Call, payload: Payload) -> Reply {
    change(call, payload, PatchKind::MetaDelete).await
}

/// `$meta` in a transaction: a read of the resource once the transaction has written; [`labels`] are its answer.
///
/// # Errors
/// 400, 404.
pub(super) async fn as_read(call: Call, payload: Payload) -> Answered<Verb> {
    let call = call.as_interaction(Interaction::Operation)?;
    let key = super::instance(&call, None)?;
    Input::read(&call, payload).await?.expect_only(&[])?;
    Ok(Verb::Read(ReadEntry {
        url: key.to_string(),
        head: false,
        if_none_match: None,
        if_modified_since: None,
    }))
}

/// `$meta-add` in a transaction: a patch.
///
/// # Errors
/// 400, 404.
pub(super) async fn as_addition(call: Call, payload: Payload) -> Answered<Verb> {
    let call = call.as_interaction(Interaction::Operation)?;
    patch(&call, payload, PatchKind::MetaAdd).await
}

/// `$meta-delete` in a transaction: a patch.
///
/// # Errors
/// As [`as_addition`].
pub(super) async fn as_removal(call: Call, payload: Payload) -> Answered<Verb> {
    let call = call.as_interaction(Interaction::Operation)?;
    patch(&call, payload, PatchKind::MetaDelete).await
}

async fn patch(call: &Call, payload: Payload, kind: PatchKind) -> Answered<Verb> {
    let key = super::instance(call, None)?;
    let preconditions = Preconditions { if_match: call.if_match()?, ..Preconditions::default() };
    let input = Input::read(call, payload).await?;
    input.expect_only(&["meta"])?;
    let meta = input.object("meta").ok_or_else(|| {
        Fault::new(FaultKind::Invalid, "the operation needs the parameter meta, a valueMeta")
    })?;
    Ok(Verb::Patch { key, patch: Patch::new(kind, meta.raw().to_vec()), preconditions })
}

async fn change(call: Call, payload: Payload, kind: PatchKind) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    let key = super::instance(&call, None)?;
    let (principal, _) = call.permit(&AccessRequest::Patch(key)).await?;
    let verb = patch(&call, payload, kind).await?;
    let submission = Submission::single(verb, None, &call.bases(), &call.request_id).await?;
    let written = only(call.submit(submission, &principal).await?)?;
    let answer = labels(&written.body().unwrap_or_default())?;
    Ok(reply::json(&call, 200, answer))
}

/// `Parameters` with the `meta` of a resource.
///
/// # Errors
/// 500 when a stored resource is damaged.
pub(super) fn labels(body: &[u8]) -> Answered<Vec<u8>> {
    let damaged = || Fault::new(FaultKind::Internal, "a stored resource is damaged");
    let tree = Tree::parse(body.to_vec()).map_err(|_| damaged())?;
    let meta = tree.root().get("meta").map(Node::raw).ok_or_else(damaged)?;
    let head =
        b"{\"resourceType\":\"Parameters\",\"parameter\":[{\"name\":\"return\",\"valueMeta\":";
    Ok([head, meta, b"}]}"].concat())
}
