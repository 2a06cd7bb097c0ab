//! Conditional headers: `If-Match`, `If-None-Match`, `If-Modified-Since`.
//!
//! Tags are versions; a weak, strong or bare form (`W/"3"`, `"3"`, `3`) means the same, because real clients send all.
//! Spec: FHIR R4 http.html, "Support for Versions" and "Conditional Read"; RFC 9110 section 13.
//! Not here: what `If-Match` decides (`precondition`, `decide` inside the commit).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HttpDate, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use fhir::{Instant, VersionId};

use crate::error::Answered;
use crate::precondition::IfMatch;

/// What `If-Match` demands; `None` when the header is absent.
///
/// # Errors
/// 400 when it names no version.
pub fn if_match(request: &HttpRequest) -> Answered<Option<IfMatch>> {
    header(request, IF_MATCH).map(IfMatch::parse).transpose()
}

/// True for `If-None-Match: *`: only when the resource does not exist.
pub fn if_none_match_any(request: &HttpRequest) -> bool {
    header(request, IF_NONE_MATCH) == Some("*")
}

/// True when the client's copy is fresh (304): `If-None-Match` lists this version, or, without that header, nothing was
/// changed after `If-Modified-Since` (RFC 9110 §13.2.2). A time that is no HTTP date is ignored, as §13.1.3 says.
pub fn is_fresh(request: &HttpRequest, version: VersionId, updated: Instant) -> bool {
    if let Some(text) = header(request, IF_NONE_MATCH) {
        let mut tags = text.split(',').map(str::trim);
        return tags.any(|tag| tag == "*" || VersionId::parse_etag(tag) == Ok(version));
    }
    let since = header(request, IF_MODIFIED_SINCE).and_then(|text| text.parse::<HttpDate>().ok());
    since.is_some_and(|since| modified(updated) <= SystemTime::from(since))
}

/// `Last-Modified` of a version, which is exact to the second.
pub fn modified(updated: Instant) -> SystemTime {
    let seconds = u64::try_from(updated.micros() / 1_000_000).unwrap_or(0);
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn header(request: &HttpRequest, name: HeaderName) -> Option<&str> {
    request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}
