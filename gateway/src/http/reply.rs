//! Answers: stored bytes with their headers, searchsets, outcomes; gzip when the client takes it.
//!
//! Bodies are whole byte strings with a `Content-Length`, so HEAD and GET agree. A body that is indented
//! (`_pretty=true`), in XML or cut (`_summary`, `_elements`) is not the one that was sealed: a receipt verifies the
//! plain JSON one.
//! Not here: refusals (`guard` renders them).

use std::io::Write;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use fhir::{Instant, NotXml, VersionId, VersionKey, XmlForm};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::call::Call;
use super::negotiate::{self, Format};
use super::part;
use super::prefer::Return;
use crate::error::{Answered, Fault, FaultKind};
use crate::ingest::Written;
use crate::limits::{ANSWER_BYTES_MAX, GZIP_BYTES_MIN};
use crate::outcome;

/// Media type of every FHIR answer.
pub const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";

/// A FHIR body.
pub fn json(call: &Call, status: u16, body: impl Into<Bytes>) -> HttpResponse {
    finish(call, builder(status), body.into())
}

/// One version of a resource, or 304 when the client has it.
pub fn resource(call: &Call, version: VersionId, updated: Instant, body: Bytes) -> HttpResponse {
    if super::etag::is_fresh(&call.http, version) {
        let mut response = builder(304);
        tags(&mut response, version, updated);
        return response.finish();
    }
    let mut response = builder(200);
    tags(&mut response, version, updated);
    finish(call, response, part::cut(call.part.as_ref(), body, true))
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
    match (call.prefer().returns, written.body()) {
        (Some(Return::Outcome), _) => {
            let text = if written.status == 201 { "created" } else { "stored" };
            finish(call, response, outcome::of_success(text, &call.request_id).into())
        }
        (Some(Return::Representation) | None, Some(body)) => finish(call, response, body),
        _ => finish(call, response, Bytes::new()),
    }
}

/// 204 after a deletion.
pub fn deleted(version: Option<VersionId>) -> HttpResponse {
    let mut response = builder(204);
    if let Some(version) = version {
        response.insert_header((header::ETAG, version.etag()));
    }
    response.finish()
}

/// A gone resource: 410 with its last version, so that the caller can go back before it.
pub fn gone() -> Fault {
    Fault::new(FaultKind::Deleted, "the resource has been deleted")
}

/// A body of another media type.
pub fn plain(call: &Call, media: &str, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CONTENT_TYPE, media));
    send(call, response, body.into())
}

fn builder(status: u16) -> HttpResponseBuilder {
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

fn tags(response: &mut HttpResponseBuilder, version: VersionId, updated: Instant) {
    response.insert_header((header::ETAG, version.etag()));
    let seconds = u64::try_from(updated.micros() / 1_000_000).unwrap_or(0);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    response.insert_header(header::LastModified(time.into()));
}

/// A FHIR body in the form that is asked for, indented when that is asked for too and does not make it too large.
fn finish(call: &Call, mut response: HttpResponseBuilder, body: Bytes) -> HttpResponse {
    if call.format == Format::Xml && !body.is_empty() {
        return match xml(&body, call.pretty) {
            Ok(body) => {
                response.insert_header((header::CONTENT_TYPE, Format::Xml.media()));
                send(call, response, body)
            }
            Err(fault) => HttpResponse::from_error(fault),
        };
    }
    let indented = if call.pretty { fhir::pretty(&body, ANSWER_BYTES_MAX) } else { None };
    send(call, response, indented.map_or(body, Bytes::from))
}

/// A FHIR body as XML.
///
/// # Errors
/// 400 when it is too long, 406 when it is nothing that XML can show.
pub fn xml(json: &[u8], pretty: bool) -> Answered<Bytes> {
    let form = XmlForm { pretty, bytes_max: ANSWER_BYTES_MAX };
    let made = match fhir::json_to_xml(json, &form) {
        Err(NotXml::TooLong) if pretty => {
            fhir::json_to_xml(json, &XmlForm { pretty: false, ..form })
        }
        made => made,
    };
    made.map(Bytes::from).map_err(|error| match error {
        NotXml::TooLong => {
            let text = format!(
                "as XML the answer has more than {ANSWER_BYTES_MAX} bytes; ask for a smaller _count, or JSON"
            );
            Fault::new(FaultKind::Invalid, text)
        }
        _ => Fault::new(FaultKind::NotAcceptable, "this answer has no form in XML; ask for JSON"),
    })
}

fn send(call: &Call, mut response: HttpResponseBuilder, body: Bytes) -> HttpResponse {
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    let body = if body.len() >= GZIP_BYTES_MIN && negotiate::accepts_gzip(&call.http) {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
        response.insert_header((header::VARY, "accept-encoding"));
        gzip(&body)
    } else {
        body
    };
    if body.is_empty() {
        return response.finish();
    }
    // A builder that has no type yet carries FHIR JSON.
    let mut response = response.body(body);
    let headers = response.headers_mut();
    if !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(FHIR_JSON));
    }
    response
}

fn gzip(body: &Bytes) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("writing to memory does not fail").into()
}

/// Shorthand of handlers.
pub type Reply = Answered<HttpResponse>;
