//! Binary: content as it is, not wrapped in a resource (FHIR R4 binary.html#rest).
//!
//! A read that does not name a FHIR media type gets the bytes under `Binary.contentType`; a body of another media type
//! becomes the content of a Binary. `X-Security-Context` is `Binary.securityContext`, both ways: new content that comes
//! without it stays whose the old was.
//! What is stored and sealed is the resource, its content in base64. Not here: the interactions (`read`, `create`, …).

use actix_web::HttpRequest;
use actix_web::http::header::{self, ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fhir::{Node, ParsedReference, ResourceId, ResourceType, Tree, write_json_string};

use super::call::Call;
use super::parameters::{Says, says};
use super::reply;
use crate::error::{Answered, Fault, FaultKind};

/// Whether a read of this type is answered with the content alone.
pub(super) fn wants_content(request: &HttpRequest, of: ResourceType) -> bool {
    if of != ResourceType::BINARY {
        return false;
    }
    let names = request.query_string().split('&').map(|pair| pair.split('=').next());
    if names.flatten().any(|name| matches!(says(name), Some(Says::Form | Says::Part))) {
        return false;
    }
    let mut ranges = request
        .headers()
        .get_all(ACCEPT)
        .flat_map(|value| value.to_str().unwrap_or_default().split(',').map(media));
    !ranges.any(|range| is_fhir(&range))
}

/// The content of a stored Binary; the headers of `answer` are kept.
///
/// # Errors
/// 500 when what is stored is no Binary with base64.
pub(super) fn content(call: &Call, body: &Bytes) -> Answered<actix_web::HttpResponse> {
    let damaged = || Fault::new(FaultKind::Internal, "a stored Binary is damaged");
    let tree = Tree::parse(body.to_vec()).map_err(|_| damaged())?;
    let text = |key| tree.root().get(key).and_then(Node::as_str);
    let packed: String = text("data").unwrap_or_default().split_ascii_whitespace().collect();
    let content = STANDARD.decode(packed).map_err(|_| damaged())?;
    let media = text("contentType").unwrap_or_default();
    let media = if is_plain(&media) { media.as_ref() } else { "application/octet-stream" };
    let mut answer = reply::plain(call, media, content);
    // Content of others is shown by nobody as a page of this server (security reference: sniffing, active content).
    let headers = answer.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    let context = tree.root().get("securityContext").and_then(|at| at.get("reference"));
    if let Some(context) = context.and_then(Node::as_str)
        && let Ok(value) = HeaderValue::from_str(&context)
    {
        headers.insert(SECURITY_CONTEXT, value);
    }
    Ok(answer)
}

/// Whether the body of a write to this type is content, by its media type.
pub(super) fn is_content(request: &HttpRequest, of: ResourceType) -> bool {
    let named = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    of == ResourceType::BINARY && named.is_some_and(|named| !is_fhir(&media(named)))
}

/// The security context that a write of content names: whole JSON of `Binary.securityContext`, empty for none.
///
/// # Errors
/// 400 for what is no reference to a resource.
pub(super) fn named_context(request: &HttpRequest, bases: &str) -> Answered<Option<Vec<u8>>> {
    let wrong = || {
        let text = "X-Security-Context is a reference such as Patient/1, or empty for none";
        Fault::new(FaultKind::Invalid, text).at("http.X-Security-Context")
    };
    let Some(value) = request.headers().get(SECURITY_CONTEXT) else { return Ok(None) };
    let context = value.to_str().map_err(|_| wrong())?.trim();
    if context.is_empty() {
        return Ok(Some(Vec::new()));
    }
    match ParsedReference::parse(context, bases) {
        _ if context.len() > CONTEXT_BYTES_MAX => return Err(wrong()),
        ParsedReference::Local { .. } | ParsedReference::Absolute { key: Some(_), .. } => {}
        _ => return Err(wrong()),
    }
    let mut json = b"{\"reference\":".to_vec();
    write_json_string(context, &mut json);
    json.push(b'}');
    Ok(Some(json))
}

/// The security context of a stored Binary, as [`named_context`] gives it.
pub(super) fn context_of(body: &Bytes) -> Vec<u8> {
    let tree = Tree::parse(body.to_vec()).ok();
    let context = tree.as_ref().and_then(|tree| tree.root().get("securityContext"));
    context.map(|context| context.raw().to_vec()).unwrap_or_default()
}

/// The Binary that content becomes, with the JSON of its security context.
///
/// # Errors
/// 400 when the media type cannot be kept.
pub(super) fn wrapped(
    request: &HttpRequest,
    id: Option<&ResourceId>,
    context: &[u8],
    content: &[u8],
) -> Answered<Vec<u8>> {
    let text = |name: HeaderName| request.headers().get(name).map(HeaderValue::to_str).transpose();
    let unreadable = |_| Fault::new(FaultKind::Invalid, "a header is not readable");
    let media = text(CONTENT_TYPE).map_err(unreadable)?.unwrap_or_default().trim();
    if !is_plain(media) {
        return Err(Fault::new(FaultKind::Invalid, "Content-Type is no media type"));
    }
    let mut out = Vec::with_capacity(content.len() / 3 * 4 + 256);
    out.extend_from_slice(b"{\"resourceType\":\"Binary\"");
    if let Some(id) = id {
        out.extend_from_slice(format!(",\"id\":\"{id}\"").as_bytes());
    }
    out.extend_from_slice(b",\"contentType\":");
    write_json_string(media, &mut out);
    if !context.is_empty() {
        out.extend_from_slice(b",\"securityContext\":");
        out.extend_from_slice(context);
    }
    if !content.is_empty() {
        out.extend_from_slice(b",\"data\":\"");
        let from = out.len();
        out.resize(from + content.len().div_ceil(3) * 4, 0);
        let written = STANDARD.encode_slice(content, &mut out[from..]);
        out.truncate(from + written.unwrap_or(0));
        out.push(b'"');
    }
    out.push(b'}');
    Ok(out)
}

/// Longest content whose Binary is no longer than a body may be.
pub(super) fn content_bytes_max(body_bytes_max: usize) -> usize {
    body_bytes_max.saturating_sub(WRAPPING_BYTES_MAX) / 4 * 3
}

/// A media type without its parameters.
fn media(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_fhir(media: &str) -> bool {
    matches!(
        media,
        "application/fhir+json"
            | "application/json+fhir"
            | "application/fhir+xml"
            | "application/xml+fhir"
            | "application/json"
            | "text/json"
    )
}

/// A media type with its parameters, as a header may have it and a `code` may hold it.
fn is_plain(media: &str) -> bool {
    media.contains('/')
        && media.len() <= MEDIA_BYTES_MAX
        && media.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

const SECURITY_CONTEXT: HeaderName = HeaderName::from_static("x-security-context");
/// What a Binary has beside its data: names, id, media type and a security context.
const WRAPPING_BYTES_MAX: usize = 4_096;
/// Longest media type.
const MEDIA_BYTES_MAX: usize = 200;
/// Longest reference of a security context.
const CONTEXT_BYTES_MAX: usize = 1_024;
