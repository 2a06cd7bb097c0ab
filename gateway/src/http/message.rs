//! `POST /hl7v2`: HL7 v2 messages and batches over HTTP.
//!
//! Spec: HL7 over HTTP (HAPI): the acknowledgement is the body; 200 for AA and CA, 500 for AE and CE, 400 for AR and
//! CR, and for a body that begins no message, whatever its acknowledgement, since it would fail again; 503 when the
//! gateway cannot store now. Forms: `application/hl7-v2`, `x-application/hl7-v2+er7`, `text/plain`.
//! docs/hl7v2.md tells them to clients.
//! Not here: what becomes of a message (`message`).

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Payload};
use policy::AccessRequest;

use super::call::Call;
use super::reply::Reply;
use crate::error::{Fault, FaultKind};
use crate::message::{Desk, State, receive};
use crate::telemetry::metrics::Interaction;

/// Receives one message or a batch.
///
/// # Errors
/// 401, 403, 408, 413, 415.
pub async fn post(mut call: Call, desk: Data<Desk>, payload: Payload) -> Reply {
    call.interaction = Interaction::Message;
    let (principal, _) = call.permit(&AccessRequest::Message).await?;
    let media = call.http.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let media = media.and_then(|m| m.split(';').next()).unwrap_or(FORM).trim();
    if !FORMS.contains(&media) {
        let text = "send application/hl7-v2 (segments end with CR or LF)";
        return Err(Fault::new(FaultKind::UnsupportedMediaType, text));
    }
    let bytes = call.body(payload, call.app.config.server.body_bytes_max).await?;
    let reply = receive(&call.app, &desk, &bytes, &principal).await;
    let status = match reply.state {
        State::Applied | State::Filtered => StatusCode::OK,
        State::Duplicate => repeated(reply.first.as_deref().unwrap_or_default()),
        State::Quarantined if !begins_message(&bytes) => StatusCode::BAD_REQUEST,
        State::Quarantined => StatusCode::INTERNAL_SERVER_ERROR,
        State::Rejected => StatusCode::BAD_REQUEST,
        State::Deferred => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok(HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, FORM))
        .body(reply.first.unwrap_or_default()))
}

/// A message, or a batch or file of them (HL7 v2.5 chapter 2, 2.10.3).
fn begins_message(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    [b"MSH", b"BHS", b"FHS"].iter().any(|name| body.starts_with(*name))
}

/// Status of a repeated acknowledgement: the one that it had the first time.
fn repeated(answer: &[u8]) -> StatusCode {
    let msa = answer.split(|byte| matches!(byte, b'\r' | b'\n')).find(|s| s.starts_with(b"MSA"));
    match msa.and_then(|msa| msa.get(4..6)) {
        Some(b"AE" | b"CE") => StatusCode::INTERNAL_SERVER_ERROR,
        Some(b"AR" | b"CR") => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

const FORM: &str = "application/hl7-v2";
const FORMS: [&str; 3] = [FORM, "x-application/hl7-v2+er7", "text/plain"];
