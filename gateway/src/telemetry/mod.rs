//! Logs, traces and metrics, without patient data.
//!
//! Logs: `tracing`, pretty on a terminal and JSON elsewhere; paths appear as templates only.
//! Traces: OTLP over HTTP by a blocking exporter on its own thread, only when an endpoint is set.
//! Metrics: own atomics (`metrics`), Prometheus text at `/metrics`.
//! The only module that names an OpenTelemetry type.

pub mod metrics;

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use opentelemetry::metrics::MeterProvider;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{ConfigError, Telemetry};

use metrics::Metrics;

/// Keeps the exporters alive; dropping it flushes them.
pub struct Guard {
    tracer: Option<SdkTracerProvider>,
}

/// Keeps the export of metrics alive.
pub struct MetricsGuard(SdkMeterProvider);

/// Installs the process's subscriber. Call it once, before the runtime starts.
///
/// # Errors
/// [`ConfigError`] for an unknown format, filter or endpoint.
pub fn install(config: &Telemetry) -> Result<Guard, ConfigError> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|error| ConfigError(format!("telemetry.log_filter: {error}")))?;
    let json = match config.log_format.as_str() {
        "json" => true,
        "pretty" => false,
        "auto" => !std::io::stderr().is_terminal(),
        other => {
            let text = format!("telemetry.log_format must be auto, json or pretty, not {other:?}");
            return Err(ConfigError(text));
        }
    };
    let tracer = config.otlp_endpoint.as_deref().map(exporter).transpose()?;
    let spans = tracer
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("sealway")));
    let pretty_layer = (!json).then(|| {
        layer().with_writer(std::io::stderr).with_target(false).log_internal_errors(false)
    });
    let json_layer = json.then(|| {
        let json = layer().json().flatten_event(true).with_writer(std::io::stderr);
        // A log that nobody reads any more must not end the gateway.
        json.log_internal_errors(false)
    });
    let installed = tracing_subscriber::registry()
        .with(filter)
        .with(spans)
        .with(pretty_layer)
        .with(json_layer)
        .try_init();
    if installed.is_err() {
        tracing::debug!("a subscriber was installed before");
    }
    if tracer.is_some() {
        TRACED_PER_MILLE.store(config.trace_per_mille.min(1000) + 1, Ordering::Relaxed);
    }
    Ok(Guard { tracer })
}

fn exporter(endpoint: &str) -> Result<SdkTracerProvider, ConfigError> {
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(url)
        .build()
        .map_err(|error| ConfigError(format!("telemetry.otlp_endpoint: {error}")))?;
    // Spans are made for sampled requests only (`request_span`); all that are made are wanted.
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_resource(resource())
        .build())
}

fn resource() -> Resource {
    let name = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| "sealway".to_owned());
    Resource::builder().with_service_name(name).build()
}

/// The root span of a request: only when traces are exported, and for a `traceparent` or a sampled share, because
/// a span costs more than the rest of a small request. Its fields name no resource.
pub fn request_span(method: &str, headers: &dyn HeaderText) -> Span {
    let share = TRACED_PER_MILLE.load(Ordering::Relaxed);
    if share == 0 {
        return Span::none();
    }
    let parent = headers.text("traceparent").is_some();
    if !parent && !is_sampled(share - 1) {
        return Span::none();
    }
    let span = tracing::info_span!(
        "http.request",
        otel.kind = "server",
        http.request.method = method,
        http.route = tracing::field::Empty,
        http.response.status_code = tracing::field::Empty,
    );
    if parent {
        let context = TraceContextPropagator::new().extract(&Carrier(headers));
        if span.set_parent(context).is_err() {
            tracing::debug!("a traceparent was not taken over");
        }
    }
    span
}

/// Headers as the propagator asks for them.
pub trait HeaderText {
    /// Value of a header that is text.
    fn text(&self, name: &str) -> Option<&str>;
}

struct Carrier<'a>(&'a dyn HeaderText);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.text(key)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

fn is_sampled(per_mille: u32) -> bool {
    let mut noise = [0; 4];
    aws_lc_rs::rand::fill(&mut noise).expect("the system gives randomness");
    u32::from_le_bytes(noise) % 1000 < per_mille
}

/// Exports our counters over OTLP every minute; `None` without an endpoint.
///
/// # Errors
/// [`ConfigError`] when the exporter cannot be made.
pub fn export_metrics(
    config: &Telemetry,
    metrics: &Arc<Metrics>,
) -> Result<Option<MetricsGuard>, ConfigError> {
    let Some(endpoint) = config.otlp_endpoint.as_deref() else { return Ok(None) };
    let url = format!("{}/v1/metrics", endpoint.trim_end_matches('/'));
    // The exporter's blocking client must be made outside of the runtime.
    let made = std::thread::spawn(move || {
        opentelemetry_otlp::MetricExporter::builder().with_http().with_endpoint(url).build()
    });
    let exporter = made.join().map_err(|_| "cannot be made".to_owned());
    let exporter = exporter.and_then(|made| made.map_err(|error| error.to_string()));
    let exporter =
        exporter.map_err(|error| ConfigError(format!("telemetry.otlp_endpoint: {error}")))?;
    let provider = SdkMeterProvider::builder()
        .with_periodic_exporter(exporter)
        .with_resource(resource())
        .build();
    let meter = provider.meter("sealway");
    for (name, read) in metrics::EXPORTED {
        let metrics = Arc::clone(metrics);
        let gauge = meter.i64_observable_gauge(name);
        gauge.with_callback(move |observer| observer.observe(read(&metrics), &[])).build();
    }
    Ok(Some(MetricsGuard(provider)))
}

impl Drop for MetricsGuard {
    fn drop(&mut self) {
        let _flushed = self.0.shutdown();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(tracer) = self.tracer.take() {
            let _flushed = tracer.shutdown();
        }
    }
}

/// Share of requests to trace plus one; 0 while nothing is exported.
static TRACED_PER_MILLE: AtomicU32 = AtomicU32::new(0);
