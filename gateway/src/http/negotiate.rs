//! Which form of answer the client accepts: JSON is the one offered.
//!
//! Equal or absent preferences choose JSON; a client that accepts only other forms gets 406.
//! `_format` in the query overrides the header (FHIR R4 http.html, "General parameters").
//! Not here: XML, which comes with its own codec.

use actix_web::HttpRequest;
use actix_web::http::header::{ACCEPT, ACCEPT_ENCODING};

use crate::error::{Answered, Fault, FaultKind};

/// Refuses a client that cannot take JSON.
///
/// # Errors
/// 406.
pub fn expect_accepts_json(request: &HttpRequest) -> Answered<()> {
    let format = request.query_string().split('&').find_map(|pair| pair.strip_prefix("_format="));
    if let Some(format) = format {
        let format = format.to_ascii_lowercase();
        return if format.contains("json") { Ok(()) } else { Err(only_json()) };
    }
    let mut named = false;
    for value in request.headers().get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            named = true;
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            if !refused && is_json(media) {
                return Ok(());
            }
        }
    }
    if named { Err(only_json()) } else { Ok(()) }
}

/// True when the query asks for an indented answer (`_pretty=true`).
pub fn wants_pretty(query: &str) -> bool {
    query.split('&').any(|pair| pair == "_pretty=true")
}

/// True when the answer may be gzipped.
pub fn accepts_gzip(request: &HttpRequest) -> bool {
    request.headers().get_all(ACCEPT_ENCODING).any(|value| {
        value.to_str().unwrap_or_default().split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            matches!(parts.next(), Some("gzip" | "*")) && !parts.any(|part| part == "q=0")
        })
    })
}

fn is_json(media: &str) -> bool {
    let media = media.to_ascii_lowercase();
    matches!(
        media.as_str(),
        "*/*"
            | "application/*"
            | "application/json"
            | "application/fhir+json"
            | "application/json+fhir"
            | "text/json"
    )
}

fn only_json() -> Fault {
    Fault::new(
        FaultKind::NotAcceptable,
        "answers are application/fhir+json; no other form is offered",
    )
}
