//! Conditional headers: `If-Match`, `If-None-Match`, `If-Modified-Since`.
//!
//! Weak tags are versions (`W/"3"`); a strong or bare form (`"3"`, `3`) means the same, because real
//! clients send it. Spec: FHIR R4 http.html, "Support for Versions"; RFC 9110 section 13.
//! Not here: deciding on them (`ingest` inside the commit, `read`).

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use fhir::VersionId;

use crate::error::{Answered, Fault, FaultKind};

/// The version that `If-Match` names; `None` when the header is absent or `*`.
///
/// # Errors
/// 400 when it names no version.
pub fn if_match(request: &HttpRequest) -> Answered<Option<VersionId>> {
    match header(request, IF_MATCH) {
        None | Some("*") => Ok(None),
        Some(text) => VersionId::parse_etag(text).map(Some).map_err(|_| {
            Fault::new(FaultKind::Invalid, "If-Match must name one version, such as W/\"3\"")
        }),
    }
}

/// True for `If-None-Match: *`: only when the resource does not exist.
pub fn if_none_match_any(request: &HttpRequest) -> bool {
    header(request, IF_NONE_MATCH) == Some("*")
}

/// True when `If-None-Match` lists this version: the client's copy is fresh (304).
pub fn is_fresh(request: &HttpRequest, version: VersionId) -> bool {
    let Some(text) = header(request, IF_NONE_MATCH) else { return false };
    text.split(',').map(str::trim).any(|tag| VersionId::parse_etag(tag) == Ok(version))
}

fn header(request: &HttpRequest, name: HeaderName) -> Option<&str> {
    request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}
