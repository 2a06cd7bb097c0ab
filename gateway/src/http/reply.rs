//! Answers: stored bytes with their headers, searchsets, outcomes.
//!
//! Bodies are whole byte strings with a `Content-Length`, so HEAD and GET agree. A body that is indented
//! (`_pretty=true`), in XML or cut (`_summary`, `_elements`) is not the one that was sealed: a receipt verifies the
//! plain JSON one.
//! Not here: refusals (`guard` renders them), XML, indentation and gzip (`shape`).

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use fhir::{Instant, ResourceType, VersionId, VersionKey};
use registry::page::StoredVersion;

use super::binary;
use super::call::Call;
use super::part;
use super::prefer::Return;
use super::shape::{self, finish};
use crate::error::{Answered, Fault, FaultKind};
use crate::ingest::Written;
use crate::outcome;

/// Media type of every FHIR answer.
pub const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";

/// A FHIR body.
pub fn json(call: &Call, status: u16, body: impl Into<Bytes>) -> HttpResponse {
    finish(call, builder(status), body.into())
}

/// One version of a resource, or 304 when the client has it.
pub fn resource(call: &Call, version: VersionId, updated: Instant, body: Bytes) -> HttpResponse {
    if super::etag::is_fresh(&call.http, version, updated) {
        let mut response = builder(304);
        tags(&mut response, version, updated);
        return response.finish();
    }
    let mut response = builder(200);
    tags(&mut response, version, updated);
    finish(call, response, part::cut(call.part.as_ref(), body, true))
}

/// The same for a stored version; a Binary may be answered as its content alone.
///
/// # Errors
/// 500 when a stored Binary is damaged.
pub fn of_type(call: &Call, of: ResourceType, stored: &StoredVersion, body: Bytes) -> Reply {
    let is_fresh = super::etag::is_fresh(&call.http, stored.version, stored.updated);
    if is_fresh || !binary::wants_content(&call.http, of) {
        return Ok(resource(call, stored.version, stored.updated, body));
    }
    let mut answer = binary::content(call, &body)?;
    let mut tagged = builder(200);
    tags(&mut tagged, stored.version, stored.updated);
    for (name, value) in tagged.finish().headers() {
        answer.headers_mut().insert(name.clone(), value.clone());
    }
    Ok(answer)
}

/// The answer to a create or update, as `Prefer` asks.
pub fn written(call: &Call, base: &str, written: &Written) -> HttpResponse {
    let mut response = builder(written.status);
    if let (Some(key), Some(version), Some(updated)) =
        (&written.key, written.version, written.updated)
    {
        tags(&mut response, version, updated);
        let location = format!("{base}/{}", VersionKey { key: key.clone(), version });
        response.insert_header((header::LOCATION, location));
    }
    let (wanted, body) = (call.returns(), written.body());
    if let Some(wanted) = wanted.filter(|one| *one != Return::Representation || body.is_some()) {
        call.preferences.returned(wanted);
    }
    match (wanted, body) {
        (Some(Return::Outcome), _) => {
            let text = if written.status == 201 { "created" } else { "stored" };
            finish(call, response, outcome::of_success(text, &call.request_id).into())
        }
        (Some(Return::Representation) | None, Some(body)) => finish(call, response, body),
        _ => finish(call, response, Bytes::new()),
    }
}

/// 204 after a deletion.
pub fn deleted(call: &Call, version: Option<VersionId>) -> HttpResponse {
    let mut response = builder(204);
    shape::tell_preferences(call, &mut response);
    if let Some(version) = version {
        response.insert_header((header::ETAG, version.etag()));
    }
    response.finish()
}

/// A gone resource: 410 with its last version, so that the caller can go back before it.
pub fn gone() -> Fault {
    Fault::new(FaultKind::Deleted, "the resource has been deleted")
}

/// An erased resource or version: 410, and there is nothing to go back to.
pub fn erased() -> Fault {
    Fault::new(FaultKind::Deleted, "the content has been erased")
}

/// What is told of a version without a content.
pub fn gone_for(stored: &StoredVersion) -> Fault {
    if stored.is_erased() { erased() } else { gone() }
}

/// A body of another media type.
pub fn plain(call: &Call, media: &str, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CONTENT_TYPE, media));
    shape::plain(call, response, body.into())
}

fn builder(status: u16) -> HttpResponseBuilder {
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

fn tags(response: &mut HttpResponseBuilder, version: VersionId, updated: Instant) {
    response.insert_header((header::ETAG, version.etag()));
    response.insert_header(header::LastModified(super::etag::modified(updated).into()));
}

/// Shorthand of handlers.
pub type Reply = Answered<HttpResponse>;
