//! `GET` inside a bundle: reads and searches, each with its own permit and access record.
//!
//! Not here: the interactions' own routes (`read`, `vread`, `search`).

use bytes::Bytes;
use policy::{AccessRequest, Permit, Principal};

use super::call::{Call, refusal, resource_key, resource_type};
use super::search;
use super::transaction::EntryAnswer;
use super::vread::version_key;
use crate::access::{self, Access};
use crate::error::{Answered, Fault, FaultKind};
use crate::telemetry::metrics::Interaction;

/// Answers one entry.
///
/// # Errors
/// As the interaction itself.
pub(super) async fn read(call: &Call, url: &str, principal: &Principal) -> Answered<EntryAnswer> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let steps: Vec<&str> = path.split('/').collect();
    match steps[..] {
        [name, id, "_history", version] => version_of(call, name, id, version, principal).await,
        [name, id] => current(call, name, id, principal).await,
        [name] => {
            let resource_type = resource_type(name)?;
            let body = search::searchset(call, resource_type, query, principal).await?;
            Ok(found(body, None))
        }
        _ => Err(Fault::new(FaultKind::Unsupported, "bundles read, vread and search only")),
    }
}

async fn current(
    call: &Call,
    name: &str,
    id: &str,
    principal: &Principal,
) -> Answered<EntryAnswer> {
    let key = resource_key(name, id)?;
    let request = AccessRequest::Read(key.clone());
    let permit = permit(call, principal, &request).await?;
    let found_version = call.app.store.read(&permit, &key).await?;
    answer(call, Access::of(principal, Interaction::Read, &call.request_id).on(key), found_version)
        .await
}

async fn version_of(
    call: &Call,
    name: &str,
    id: &str,
    version: &str,
    principal: &Principal,
) -> Answered<EntryAnswer> {
    let key = version_key(name, id, version)?;
    let request = AccessRequest::Vread(key.clone());
    let permit = permit(call, principal, &request).await?;
    let found_version = call.app.store.vread(&permit, &key).await?;
    let access = Access::of(principal, Interaction::Vread, &call.request_id)
        .on(key.key)
        .version(key.version);
    answer(call, access, found_version).await
}

/// Leave for an entry; a denial is recorded as that of a request of its own.
async fn permit(call: &Call, principal: &Principal, request: &AccessRequest) -> Answered<Permit> {
    match policy::decide(principal, request) {
        Ok(permit) => Ok(permit),
        Err(deny) => {
            access::denied(&call.app, principal, request, &call.request_id).await;
            Err(refusal(&deny))
        }
    }
}

async fn answer(
    call: &Call,
    access: Access,
    stored: Option<registry::page::StoredVersion>,
) -> Answered<EntryAnswer> {
    let Some(stored) = stored else {
        access::record(&call.app, access.refused(404)).await?;
        return Err(Fault::not_found());
    };
    if stored.is_tombstone() {
        access::record(&call.app, access.refused(410)).await?;
        return Err(super::reply::gone());
    }
    let body = call.app.payloads.open(&stored).await?;
    access::record(&call.app, access.seeing(&call.app.payloads, &stored)).await?;
    Ok(found(body, Some((&call.base(), &stored))))
}

fn found(body: Bytes, of: Option<(&str, &registry::page::StoredVersion)>) -> EntryAnswer {
    let mut response = "{\"status\":\"200 OK\"".to_owned();
    if let Some((_, stored)) = of {
        let (version, updated) = (stored.version, stored.updated);
        response
            .push_str(&format!(",\"etag\":\"W/\\\"{version}\\\"\",\"lastModified\":\"{updated}\""));
    }
    response.push('}');
    EntryAnswer {
        full_url: of.map(|(base, stored)| format!("{base}/{}", stored.key)),
        resource: Some(body),
        response: response.into_bytes(),
    }
}
