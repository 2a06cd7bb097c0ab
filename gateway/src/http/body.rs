//! Request bodies, bounded in size (also after decompression), in time, and all of them together.
//!
//! `Content-Encoding: gzip` and `deflate` are undone; anything else is 415. A body that grows past its
//! limit while it is decompressed is refused with 413 without being kept.
//! Not here: what the bytes mean.

use std::io::Read;
use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::{HttpRequest, web};
use futures::StreamExt;

use super::budget::Claim;
use crate::error::{Answered, Fault, FaultKind};

/// The whole body as identity bytes, at most `bytes_max`.
///
/// # Errors
/// 408 when it comes too slowly, 413 when it is too large, 415 for an unknown encoding, 429 when the budget is used up.
pub async fn read(
    request: &HttpRequest,
    payload: web::Payload,
    bytes_max: usize,
    timeout_ms: u64,
    claim: &mut Claim,
) -> Answered<Vec<u8>> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let length = header(CONTENT_LENGTH).and_then(|text| text.parse::<usize>().ok());
    if length.is_some_and(|length| length > bytes_max) {
        return Err(too_large(bytes_max));
    }
    let encoding = header(CONTENT_ENCODING).unwrap_or("identity").trim();
    let limit = Duration::from_millis(timeout_ms);
    let raw = tokio::time::timeout(limit, collect(payload, length.unwrap_or(0), bytes_max, claim))
        .await
        .map_err(|_| Fault::new(FaultKind::Timeout, "the body came too slowly"))??;
    match encoding.to_ascii_lowercase().as_str() {
        "identity" | "" => Ok(raw),
        "gzip" | "x-gzip" => {
            inflate(flate2::read::MultiGzDecoder::new(&raw[..]), raw.len(), bytes_max, claim)
        }
        "deflate" => inflate(flate2::read::ZlibDecoder::new(&raw[..]), raw.len(), bytes_max, claim),
        _ => Err(Fault::new(FaultKind::UnsupportedMediaType, "content encodings: gzip, deflate")),
    }
}

async fn collect(
    mut payload: web::Payload,
    expected: usize,
    bytes_max: usize,
    claim: &mut Claim,
) -> Answered<Vec<u8>> {
    let mut body = Vec::with_capacity(expected.min(bytes_max).min(LONG_BYTES));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Fault::new(FaultKind::Invalid, "the body broke off"))?;
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        claim.cover(body.len() + chunk.len())?;
        make_room(&mut body, chunk.len(), bytes_max);
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn inflate(
    mut from: impl Read,
    packed: usize,
    bytes_max: usize,
    claim: &mut Claim,
) -> Answered<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        make_room(&mut body, INFLATED_BYTES_STEP, bytes_max);
        let part = &mut (&mut from).take(INFLATED_BYTES_STEP as u64);
        let read = part.read_to_end(&mut body);
        let read =
            read.map_err(|_| Fault::new(FaultKind::Invalid, "the compressed body is damaged"))?;
        if body.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if read == 0 {
            return Ok(body);
        }
        claim.cover(packed + body.len())?;
    }
}

/// A body that grows long gets room for the longest at once: what is not used is never touched, and growing by
/// doubling would hold it twice.
fn make_room(body: &mut Vec<u8>, more: usize, bytes_max: usize) {
    let wanted = body.len() + more;
    if wanted > body.capacity() && wanted > LONG_BYTES {
        body.reserve_exact(bytes_max.max(wanted) + INFLATED_BYTES_STEP - body.len());
    }
}

fn too_large(bytes_max: usize) -> Fault {
    Fault::new(FaultKind::TooLarge, format!("the body is larger than {bytes_max} bytes"))
}

/// Decompressed bytes after which limit and budget are asked again.
const INFLATED_BYTES_STEP: usize = 64 * 1024;
/// A body beyond this is long.
const LONG_BYTES: usize = 1 << 20;
