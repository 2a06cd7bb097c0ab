//! `GET` of `[type]/[id]/_history/[version]` (FHIR R4 http.html#vread).
//!
//! Answers the exact bytes that were sealed for that version; a tombstone is 410.
//! Not here: the receipt of a version (`receipt`).

use actix_web::web::Path;
use fhir::{VersionId, VersionKey};
use policy::AccessRequest;

use super::call::{Call, resource_key};
use super::etag;
use super::reply::{self, Reply};
use crate::access::{self, Access};
use crate::error::{Answered, Fault};
use crate::telemetry::metrics::Interaction;

/// Answers one version.
///
/// # Errors
/// 400, 401, 403, 404, 410, 412, 503.
pub async fn vread(call: Call, path: Path<(String, String, String)>) -> Reply {
    let version = version_key(&path.0, &path.1, &path.2)?;
    let of = version.key.resource_type;
    let call = call.as_reading(Interaction::Vread, of)?;
    call.expect_no_parameters()?;
    let (principal, permit) = call.permit(&AccessRequest::Vread(version.clone())).await?;
    let found = call.app.store.vread(&permit, &version).await?;
    let access = Access::of(&principal, Interaction::Vread, &call.request_id)
        .on(version.key)
        .version(version.version);
    let Some(stored) = found else {
        access::record(&call.app, access.refused(404)).await?;
        return Err(Fault::not_found());
    };
    if stored.is_tombstone() {
        access::record(&call.app, access.refused(410)).await?;
        return Err(reply::gone_for(&stored));
    }
    if let Err(fault) = etag::expect(&call.http, stored.version, stored.updated) {
        access::record(&call.app, access.refused(fault.status())).await?;
        return Err(fault);
    }
    let body = call.app.payloads.open(&stored).await?;
    access::record(&call.app, access.seeing(&call.app.payloads, &stored)).await?;
    reply::of_type(&call, of, &stored, body)
}

/// Type, id and version in a path.
///
/// # Errors
/// 404 for an unknown type or a version that cannot exist, 400 for a malformed id.
pub fn version_key(name: &str, id: &str, version: &str) -> Answered<VersionKey> {
    let key = resource_key(name, id)?;
    let version = VersionId::parse(version).map_err(|_| Fault::not_found())?;
    Ok(VersionKey { key, version })
}
