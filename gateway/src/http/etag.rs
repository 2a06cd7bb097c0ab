//! Conditional headers: `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since`, `If-None-Exist`.
//!
//! Tags are versions; a weak, strong or bare form (`W/"3"`, `"3"`, `3`) means the same, because real clients send all.
//! One that says nothing about an interaction is refused: to leave it out would do more than the client asked for.
//! Spec: FHIR R4 http.html, "Support for Versions" and "Conditional Read"; RFC 9110 section 13.
//! Not here: whether they hold before a write (`precondition`, `decide` inside the commit).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::HttpDate;
use fhir::{Instant, VersionId};

use crate::error::{Answered, Fault, FaultKind};
use crate::precondition::{
    IF_MATCH, IF_NONE_EXIST, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, Newest, Preconditions, Tags,
};
use crate::telemetry::metrics::Interaction;

/// What the headers demand of the resource that is written.
///
/// # Errors
/// 400 for a tag that names no version and a time that is no HTTP date.
pub fn preconditions(request: &HttpRequest) -> Answered<Preconditions> {
    let tags = |name: &'static str| {
        let tags = header(request, name)?.map(|text| Tags::parse(&text, name)).transpose();
        tags.map_err(|fault| fault.in_parameter(name))
    };
    Ok(Preconditions {
        if_match: tags(IF_MATCH)?,
        if_none_match: tags(IF_NONE_MATCH)?,
        unmodified_since: unmodified_since(request)?,
    })
}

/// The time, unless there are tags: beside `If-Match` it MUST be ignored, whatever it says (RFC 9110 §13.1.4).
fn unmodified_since(request: &HttpRequest) -> Answered<Option<Instant>> {
    if request.headers().contains_key(IF_MATCH) {
        return Ok(None);
    }
    header(request, IF_UNMODIFIED_SINCE)?.map(|text| instant(&text)).transpose()
}

/// Refuses to answer with a version that the client does not expect: `If-Match`, `If-Unmodified-Since`.
///
/// # Errors
/// 412; 400 for what is malformed.
pub fn expect(request: &HttpRequest, version: VersionId, updated: Instant) -> Answered<()> {
    let tags = header(request, IF_MATCH)?.map(|text| Tags::parse(&text, IF_MATCH)).transpose();
    let since = unmodified_since(request)?;
    let if_match = tags.map_err(|fault| fault.in_parameter(IF_MATCH))?;
    let expected = Preconditions { if_match, if_none_match: None, unmodified_since: since };
    expected.check(Some(Newest { version, deleted: false, updated: Some(updated) }))
}

/// True when the client's copy is fresh (304): `If-None-Match` lists this version, or, without that header, nothing was
/// changed after `If-Modified-Since` (RFC 9110 §13.2.2). A time that is no HTTP date is ignored, as §13.1.3 says.
pub fn is_fresh(request: &HttpRequest, version: VersionId, updated: Instant) -> bool {
    if let Ok(Some(text)) = header(request, IF_NONE_MATCH) {
        let mut tags = text.split(',').map(str::trim);
        return tags.any(|tag| tag == "*" || VersionId::parse_etag(tag) == Ok(version));
    }
    let since = header(request, IF_MODIFIED_SINCE).ok().flatten();
    let since = since.and_then(|text| text.parse::<HttpDate>().ok());
    since.is_some_and(|since| modified(updated) <= SystemTime::from(since))
}

/// Refuses a conditional header that does not go with an interaction, or is no text. On any GET, one that saves sending a
/// copy again is heeded by sending it.
///
/// # Errors
/// 400 naming the header.
pub fn expect_heeded(request: &HttpRequest, interaction: Interaction) -> Answered<()> {
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    let path = request.path();
    let heeded: &[&str] = match interaction {
        Interaction::Read | Interaction::Vread => &[IF_MATCH, IF_UNMODIFIED_SINCE],
        Interaction::Update | Interaction::Patch | Interaction::Delete => {
            &[IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE]
        }
        Interaction::Create => &[IF_NONE_EXIST],
        Interaction::Operation if path.ends_with("/$meta-add") => &[IF_MATCH],
        Interaction::Operation if path.ends_with("/$meta-delete") => &[IF_MATCH],
        _ => &[],
    };
    for name in CONDITIONAL {
        let saves_a_copy = is_read && matches!(name, IF_NONE_MATCH | IF_MODIFIED_SINCE);
        if request.headers().contains_key(name) && !heeded.contains(&name) && !saves_a_copy {
            let text = format!("{name} does not go with this interaction; leave it out");
            return Err(Fault::new(FaultKind::Invalid, text).in_parameter(name));
        }
        // A time that cannot be read is ignored or refused where it counts (RFC 9110 §13.1.3, §13.1.4).
        if !matches!(name, IF_MODIFIED_SINCE | IF_UNMODIFIED_SINCE) {
            header(request, name)?;
        }
    }
    Ok(())
}

/// The criteria of `If-None-Exist`, as they stand in the header.
///
/// # Errors
/// 400 for a value that is no text and for two of them, which no list could join.
pub fn none_exist(request: &HttpRequest) -> Answered<Option<String>> {
    if request.headers().get_all(IF_NONE_EXIST).count() > 1 {
        let text = "If-None-Exist may be sent once; join its criteria by &";
        return Err(Fault::new(FaultKind::Invalid, text).in_parameter(IF_NONE_EXIST));
    }
    header(request, IF_NONE_EXIST)
}

/// `Last-Modified` of a version, which is exact to the second.
pub fn modified(updated: Instant) -> SystemTime {
    let seconds = u64::try_from(updated.micros() / 1_000_000).unwrap_or(0);
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn instant(text: &str) -> Answered<Instant> {
    let date = text.parse::<HttpDate>().map_err(|_| {
        let text = "If-Unmodified-Since must be a date such as Sat, 01 Jan 2028 00:00:00 GMT";
        Fault::new(FaultKind::Invalid, text).in_parameter(IF_UNMODIFIED_SINCE)
    })?;
    let since = SystemTime::from(date).duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Instant::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
}

/// The value of a header; several lines are one list (RFC 9110 §5.3).
fn header(request: &HttpRequest, name: &'static str) -> Answered<Option<String>> {
    let mut lines = Vec::new();
    for value in request.headers().get_all(name) {
        lines.push(value.to_str().map(str::trim).map_err(|_| {
            let text = format!("{name} has bytes that are no ASCII text; percent-encode others");
            Fault::new(FaultKind::Invalid, text).in_parameter(name)
        })?);
    }
    Ok((!lines.is_empty()).then(|| lines.join(", ")))
}

const IF_MODIFIED_SINCE: &str = "If-Modified-Since";
const CONDITIONAL: [&str; 5] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_NONE_EXIST];
