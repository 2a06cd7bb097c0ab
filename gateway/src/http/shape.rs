//! The last form of a FHIR body: XML, indentation, gzip.
//!
//! A small body is made on the spot. A large one leaves its handler as it is, and the guard has it made off the I/O
//! threads, since that takes milliseconds a megabyte.
//! Not here: which form is asked for (`negotiate`), headers of resources (`reply`).

use std::io::Write;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use fhir::{NotXml, XmlForm};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::call::Call;
use super::negotiate::Format;
use super::prefer::PREFERENCE_APPLIED;
use super::reply::FHIR_JSON;
use crate::error::{Answered, Fault, FaultKind};
use crate::limits::{ANSWER_BYTES_MAX, GZIP_BYTES_MIN};
use crate::work;

/// What is done to a body.
#[derive(Clone, Copy)]
struct Shape {
    xml: bool,
    pretty: bool,
    gzip: bool,
}

/// A FHIR body in the form that is asked for, indented when that is asked for too and does not make it too large.
pub fn finish(call: &Call, mut response: HttpResponseBuilder, body: Bytes) -> HttpResponse {
    let xml = call.format == Format::Xml && !body.is_empty();
    if xml {
        response.insert_header((header::CONTENT_TYPE, Format::Xml.media()));
    }
    send(call, response, body, Shape { xml, pretty: call.pretty, gzip: false })
}

/// A body of any media type, gzipped when the client takes that.
pub fn plain(call: &Call, response: HttpResponseBuilder, body: Bytes) -> HttpResponse {
    send(call, response, body, Shape { xml: false, pretty: false, gzip: false })
}

/// Makes the body that a handler has left as it is.
pub async fn settle(response: ServiceResponse<impl MessageBody + 'static>) -> ServiceResponse {
    let response = response.map_into_boxed_body();
    let shape = response.response().extensions().get::<Shape>().copied();
    let Some(shape) = shape else { return response };
    let (request, response) = response.into_parts();
    let (head, body) = response.into_parts();
    let made = match body.try_into_bytes() {
        Ok(body) => work::run(true, move || shape.make(body)).await.and_then(|made| made),
        Err(_) => Err(Fault::new(FaultKind::Internal, "the request failed")),
    };
    let response = match made {
        Ok((body, is_gzipped)) => {
            let mut response = head.set_body(BoxBody::new(body));
            mark_gzip(response.headers_mut(), is_gzipped);
            response
        }
        Err(fault) => HttpResponse::from_error(fault),
    };
    ServiceResponse::new(request, response)
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

impl Shape {
    /// The body in this form, and whether it is gzipped.
    fn make(self, body: Bytes) -> Answered<(Bytes, bool)> {
        let body = if self.xml {
            xml(&body, self.pretty)?
        } else if self.pretty {
            fhir::pretty(&body, ANSWER_BYTES_MAX).map_or(body, Bytes::from)
        } else {
            body
        };
        if self.gzip && body.len() >= GZIP_BYTES_MIN {
            return Ok((gzip(&body), true));
        }
        Ok((body, false))
    }
}

/// Tells which preferences had a say in the answer.
pub fn tell_preferences(call: &Call, response: &mut HttpResponseBuilder) {
    if let Some(applied) = call.preferences.header() {
        response.insert_header((PREFERENCE_APPLIED, applied));
    }
}

fn send(call: &Call, mut response: HttpResponseBuilder, body: Bytes, shape: Shape) -> HttpResponse {
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    tell_preferences(call, &mut response);
    if body.is_empty() {
        return response.finish();
    }
    let shape = Shape { gzip: call.accepts_gzip(), ..shape };
    let later = body.len() > MADE_AT_ONCE_BYTES_MAX && (shape.xml || shape.pretty || shape.gzip);
    let (body, is_gzipped) = match if later { Ok((body, false)) } else { shape.make(body) } {
        Ok(made) => made,
        Err(fault) => return HttpResponse::from_error(fault),
    };
    // A builder that has no type yet carries FHIR JSON.
    let mut response = response.body(body);
    let headers = response.headers_mut();
    if !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
    }
    mark_gzip(headers, is_gzipped);
    if later {
        response.extensions_mut().insert(shape);
    }
    response
}

fn mark_gzip(headers: &mut HeaderMap, is_gzipped: bool) {
    if is_gzipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
}

fn gzip(body: &Bytes) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("writing to memory does not fail").into()
}

/// Longest body that is given its form on an I/O thread: about a millisecond of XML.
const MADE_AT_ONCE_BYTES_MAX: usize = 128 * 1024;
