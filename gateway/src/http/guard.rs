//! Round every request: request id, accepted host, time limit, panic, metrics, refusals with a body.
//!
//! A request id from the client is kept when it is short and plain; otherwise a fresh one is made.
//! Every refusal, also one of the framework's own (404, 405, …), leaves as an OperationOutcome.
//! Not here: authentication (`call`), routes (`super`).

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use futures::FutureExt;
use tracing::Instrument;

use super::allow;
use super::line;
use super::negotiate::{self, Format};
use super::shape;
use crate::app::App;
use crate::error::{Fault, FaultKind};
use crate::limits::URL_BYTES_MAX;
use crate::outcome;
use crate::telemetry::metrics::Interaction;
use crate::telemetry::{self, HeaderText};

/// Id of one request, echoed in `X-Request-Id` and in every OperationOutcome.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// The middleware; see the module.
///
/// # Errors
/// Only what the framework renders itself: a refusal that happened before or instead of a handler.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let app = request.app_data::<web::Data<App>>().expect("the app is registered").clone();
    let id = request_id(&request);
    request.extensions_mut().insert(RequestId(id.clone()));
    let running = Running::begin(&app);
    let span = telemetry::request_span(request.method().as_str(), &Headers(&request));
    let answer = answer(request, next, &app, &id).instrument(span.clone()).await;
    drop(running);
    let mut response = match answer {
        Ok(response) => response,
        Err(refusal) => {
            app.metrics.answered(Interaction::Other, refusal.fault.status(), started.elapsed());
            return Err(refusal.into());
        }
    };
    let interaction = response.request().extensions().get::<Interaction>().copied();
    let status = response.status().as_u16();
    // The route is a template: the log names no resource.
    tracing::debug!(
        request.id = id,
        http.route = response.request().match_pattern(),
        http.response.status_code = status,
        duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        "answered"
    );
    if !span.is_disabled() {
        span.record("http.response.status_code", status);
        // The paths are tried once more for it.
        span.record("http.route", response.request().match_pattern());
    }
    app.metrics.answered(interaction.unwrap_or(Interaction::Other), status, started.elapsed());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    Ok(response)
}

/// Headers for the propagator of traces.
struct Headers<'a>(&'a ServiceRequest);

impl HeaderText for Headers<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }
}

/// Counts a request as active until it is dropped, also when the client goes away.
struct Running<'a>(&'a App);

impl<'a> Running<'a> {
    fn begin(app: &'a App) -> Self {
        app.metrics.active.add(1);
        Self(app)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.metrics.active.add(-1);
    }
}

async fn answer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    app: &App,
    id: &str,
) -> Result<ServiceResponse<BoxBody>, Refusal> {
    let format = format_of(request.request());
    let refuse = |fault| Refusal { fault, id: id.to_owned(), format };
    if request.uri().path_and_query().is_some_and(|path| path.as_str().len() > URL_BYTES_MAX) {
        return Err(refuse(Fault::new(
            FaultKind::UriTooLong,
            "the URL is too long; use POST _search",
        )));
    }
    if !app.hosts.accepts(host(&request)) {
        return Err(refuse(Fault::new(
            FaultKind::Misdirected,
            "this host name is not served here; set server.public_url or server.hosts",
        )));
    }
    let limit = Duration::from_millis(app.config.server.request_timeout_ms);
    let running = AssertUnwindSafe(tokio::time::timeout(limit, next.call(request))).catch_unwind();
    match running.await {
        Ok(Ok(Ok(response))) => Ok(with_outcome(shape::settle(response).await, id, format).await),
        Ok(Ok(Err(error))) => Err(refuse(of_framework(&error))),
        Ok(Err(_elapsed)) => {
            Err(refuse(Fault::new(FaultKind::Unavailable, "the answer took too long; retry later")))
        }
        Err(_panic) => {
            tracing::error!(request.id = id, "a handler panicked");
            Err(refuse(Fault::new(FaultKind::Internal, "the request failed")))
        }
    }
}

/// Gives a refusal its body: the fault's, or one made from the framework's bare status.
async fn with_outcome(
    response: ServiceResponse<impl MessageBody + 'static>,
    id: &str,
    format: Format,
) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let response = response.map_into_boxed_body();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let fault = match response.response().error() {
        Some(error) => of_framework(error),
        None if response.headers().contains_key(header::CONTENT_TYPE) => return response,
        None => of_status(status),
    };
    let allowed =
        allow::of(response.request()).filter(|_| status == StatusCode::METHOD_NOT_ALLOWED);
    let fault = line::told(response.request(), fault).await;
    let chosen = response.request().extensions().get::<Format>().copied();
    let mut rendered = render(&fault, id, chosen.unwrap_or(format));
    if fault.kind == FaultKind::UnsupportedMediaType && response.request().method() == Method::PATCH
    {
        // RFC 5789 §2.2.
        let accepted = HeaderValue::from_static(super::patch::ACCEPTED);
        rendered.headers_mut().insert(HeaderName::from_static("accept-patch"), accepted);
    }
    if let Some(allowed) = allowed.and_then(|methods| methods.parse().ok()) {
        rendered.headers_mut().insert(header::ALLOW, allowed);
    }
    response.into_response(rendered)
}

/// The form of an outcome: the one that the client takes, JSON when it takes none.
fn format_of(request: &HttpRequest) -> Format {
    negotiate::answer_format(request.headers(), request.query_string()).unwrap_or_default()
}

fn render(fault: &Fault, id: &str, format: Format) -> HttpResponse {
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if let Some(seconds) = fault.retry_after_s() {
        response.insert_header((header::RETRY_AFTER, seconds.to_string()));
    }
    if let Some(challenge) = &fault.challenge {
        response.insert_header((header::WWW_AUTHENTICATE, challenge.to_string()));
    }
    let json = outcome::of_fault(fault, id);
    let xml = (format == Format::Xml).then(|| shape::xml(&json, false).ok()).flatten();
    let format = if xml.is_some() { format } else { Format::Json };
    response.insert_header((header::CONTENT_TYPE, format.media()));
    response.body(xml.unwrap_or_else(|| json.into()))
}

fn of_framework(error: &Error) -> Fault {
    match error.as_error::<Fault>() {
        Some(fault) => fault.clone(),
        None => of_status(error.as_response_error().status_code()),
    }
}

fn of_status(status: StatusCode) -> Fault {
    let (kind, text) = match status.as_u16() {
        404 => (FaultKind::NotFound, "nothing is served at this path"),
        405 => (FaultKind::MethodNotAllowed, "this method is not offered at this path"),
        408 => (FaultKind::Timeout, "the request came too slowly"),
        413 => (FaultKind::TooLarge, "the body is too large"),
        414 => (FaultKind::UriTooLong, "the URL is too long"),
        415 => (FaultKind::UnsupportedMediaType, "this media type is not understood"),
        status if status < 500 => (FaultKind::Invalid, "the request is malformed"),
        _ => (FaultKind::Internal, "the request failed"),
    };
    Fault::new(kind, text)
}

fn request_id(request: &ServiceRequest) -> String {
    let plain = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    given.filter(plain).map_or_else(|| uuid::Uuid::now_v7().simple().to_string(), str::to_owned)
}

fn host(request: &ServiceRequest) -> Option<&str> {
    let from_header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    from_header.or_else(|| request.uri().authority().map(|authority| authority.as_str()))
}

/// A fault on its way out of the middleware.
#[derive(Debug)]
struct Refusal {
    fault: Fault,
    id: String,
    format: Format,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.fault.fmt(out)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = render(&self.fault, &self.id, self.format);
        if let Ok(value) = HeaderValue::from_str(&self.id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    }
}

impl ResponseError for Fault {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
