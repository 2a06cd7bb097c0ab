//! Logs, traces and metrics, without patient data.
//!
//! Logs: `tracing`, pretty on a terminal and JSON elsewhere; paths appear as templates only.
//! Traces: OTLP over HTTP by a blocking exporter on its own thread, only when an endpoint is set.
//! Metrics: own atomics (`metrics`), Prometheus text at `/metrics`.
//! The only module that names an OpenTelemetry type.

pub mod metrics;

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{ConfigError, Telemetry};

/// Keeps the exporters alive; dropping it flushes them.
pub struct Guard {
    tracer: Option<SdkTracerProvider>,
}

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
    let tracer = config.otlp_endpoint.as_deref().map(|url| exporter(url, config)).transpose()?;
    let spans = tracer
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("sealway")));
    let pretty_layer = (!json)
        .then(|| tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false));
    let json_layer = json.then(|| {
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)
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
    Ok(Guard { tracer })
}

fn exporter(endpoint: &str, config: &Telemetry) -> Result<SdkTracerProvider, ConfigError> {
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(url)
        .build()
        .map_err(|error| ConfigError(format!("telemetry.otlp_endpoint: {error}")))?;
    let share = f64::from(config.trace_per_mille.min(1000)) / 1000.0;
    let name = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| "sealway".to_owned());
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))))
        .with_resource(Resource::builder().with_service_name(name).build())
        .build())
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(tracer) = self.tracer.take() {
            let _flushed = tracer.shutdown();
        }
    }
}
