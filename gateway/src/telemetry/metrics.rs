//! Counters, gauges and histograms as plain atomics, and their Prometheus text.
//!
//! Labels are bounded: interaction and status class, never a path, id or query.
//! Names: OpenTelemetry's for HTTP (`http_server_request_duration_seconds`), `sealway_` for our own.
//! Not here: what is measured where.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a request did; the label `interaction`. Closed, so that series are bounded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum Interaction {
    /// Everything outside the FHIR interactions.
    Other,
    /// `GET [type]/[id]`
    Read,
    /// `GET [type]/[id]/_history/[v]`
    Vread,
    /// `POST [type]`
    Create,
    /// `PUT [type]/[id]`
    Update,
    /// `PATCH [type]/[id]`
    Patch,
    /// `DELETE [type]/[id]`
    Delete,
    /// Any history.
    History,
    /// `GET [type]?…`, `POST [type]/_search`
    Search,
    /// `POST [base]`
    Bundle,
    /// `GET metadata`
    Capabilities,
    /// An operation such as `$receipt`.
    Operation,
    /// One HL7 v2 message.
    Message,
}

/// All metrics of one process.
#[derive(Default)]
pub struct Metrics {
    requests: [Series; INTERACTIONS.len()],
    /// Requests being answered.
    pub active: Gauge,
    /// Resource versions written.
    pub versions_written: Counter,
    /// Submissions that were prepared again.
    pub prepared_again: Counter,
    /// Access records written.
    pub access_records: Counter,
    /// Accesses refused because no record could be written.
    pub access_refused: Counter,
    /// Entries that wait for the log.
    pub ledger_pending: Gauge,
    /// Size of the published log.
    pub ledger_size: Gauge,
    /// Time of the last checkpoint, microseconds since 1970 UTC.
    pub checkpoint_at_us: Gauge,
    /// HL7 v2 messages received.
    pub messages_received: Counter,
    /// HL7 v2 messages refused or quarantined.
    pub messages_errors: Counter,
    /// Atoms of HL7 v2 messages that no rule speaks of.
    pub messages_left_over: Counter,
}

/// Monotone count.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Value now.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn signed(&self) -> i64 {
        i64::try_from(self.value()).unwrap_or(i64::MAX)
    }
}

/// Value that goes up and down.
#[derive(Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Sets it.
    pub fn set(&self, n: i64) {
        self.0.store(n, Relaxed);
    }

    /// Value now.
    pub fn value(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Counts and durations of one interaction.
#[derive(Default)]
struct Series {
    classes: [AtomicU64; 5],
    buckets: [AtomicU64; BUCKETS_MS.len() + 1],
    sum_us: AtomicU64,
}

impl Metrics {
    /// One answered request.
    pub fn answered(&self, interaction: Interaction, status: u16, took: Duration) {
        let series = &self.requests[interaction as usize];
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket =
            BUCKETS_MS.iter().position(|ms| took_us <= ms * 1000).unwrap_or(BUCKETS_MS.len());
        series.classes[class].fetch_add(1, Relaxed);
        series.buckets[bucket].fetch_add(1, Relaxed);
        series.sum_us.fetch_add(took_us, Relaxed);
    }

    /// Prometheus text, version 0.0.4.
    pub fn render(&self, now_us: i64) -> String {
        let mut out = String::with_capacity(8 * 1024);
        self.render_requests(&mut out);
        let age_s = match self.checkpoint_at_us.value() {
            0 => 0.0,
            at => seconds(u64::try_from(now_us.saturating_sub(at)).unwrap_or(0)),
        };
        let counters = [
            ("sealway_versions_written_total", &self.versions_written),
            ("sealway_prepared_again_total", &self.prepared_again),
            ("sealway_access_records_total", &self.access_records),
            ("sealway_access_refused_total", &self.access_refused),
            ("sealway_messages_received_total", &self.messages_received),
            ("sealway_messages_errors_total", &self.messages_errors),
            ("sealway_mapping_unmapped_fields_total", &self.messages_left_over),
        ];
        let gauges = [
            ("http_server_active_requests", &self.active),
            ("sealway_ledger_pending_entries", &self.ledger_pending),
            ("sealway_ledger_size_entries", &self.ledger_size),
        ];
        for (name, counter) in counters {
            line(&mut out, name, "counter", &counter.value().to_string());
        }
        for (name, gauge) in gauges {
            line(&mut out, name, "gauge", &gauge.value().to_string());
        }
        line(&mut out, "sealway_checkpoint_age_seconds", "gauge", &age_s.to_string());
        line(&mut out, "process_resident_memory_bytes", "gauge", &resident_bytes().to_string());
        let _infallible = writeln!(
            out,
            "# TYPE sealway_build_info gauge\nsealway_build_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        );
        out
    }

    fn render_requests(&self, out: &mut String) {
        out.push_str("# TYPE http_server_request_duration_seconds histogram\n");
        for (series, name) in self.requests.iter().zip(INTERACTIONS) {
            series.render(name, out);
        }
        out.push_str("# TYPE sealway_requests_total counter\n");
        for (series, name) in self.requests.iter().zip(INTERACTIONS) {
            for (class, count) in series.classes.iter().enumerate() {
                let count = count.load(Relaxed);
                if count > 0 {
                    let class = class + 1;
                    let _infallible = writeln!(
                        out,
                        "sealway_requests_total{{interaction=\"{name}\",status=\"{class}xx\"}} {count}"
                    );
                }
            }
        }
    }
}

impl Series {
    fn render(&self, name: &str, out: &mut String) {
        let metric = "http_server_request_duration_seconds";
        let mut total = 0;
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        if counts.iter().all(|count| *count == 0) {
            return;
        }
        for (count, limit_ms) in counts.iter().zip(BUCKETS_MS) {
            total += count;
            let limit_s = seconds(limit_ms * 1000);
            let _infallible =
                writeln!(out, "{metric}_bucket{{interaction=\"{name}\",le=\"{limit_s}\"}} {total}");
        }
        total += counts[BUCKETS_MS.len()];
        let sum_s = seconds(self.sum_us.load(Relaxed));
        let _infallible = writeln!(
            out,
            "{metric}_bucket{{interaction=\"{name}\",le=\"+Inf\"}} {total}\n\
             {metric}_sum{{interaction=\"{name}\"}} {sum_s}\n\
             {metric}_count{{interaction=\"{name}\"}} {total}"
        );
    }
}

fn line(out: &mut String, name: &str, kind: &str, value: &str) {
    let _infallible = writeln!(out, "# TYPE {name} {kind}\n{name} {value}");
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

/// Resident set of this process; 0 where `/proc` is absent.
pub fn resident_bytes() -> u64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    let pages: u64 = text.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    pages * 4096
}

/// Reads one value.
type Reading = fn(&Metrics) -> i64;

/// What is exported over OTLP: a name and how its value is read.
pub(super) const EXPORTED: [(&str, Reading); 8] = [
    ("http.server.active_requests", |metrics| metrics.active.value()),
    ("sealway.versions_written", |metrics| metrics.versions_written.signed()),
    ("sealway.access_records", |metrics| metrics.access_records.signed()),
    ("sealway.access_refused", |metrics| metrics.access_refused.signed()),
    ("sealway.messages_received", |metrics| metrics.messages_received.signed()),
    ("sealway.messages_errors", |metrics| metrics.messages_errors.signed()),
    ("sealway.ledger_pending_entries", |metrics| metrics.ledger_pending.value()),
    ("sealway.ledger_size_entries", |metrics| metrics.ledger_size.value()),
];

/// Label values, in the order of [`Interaction`].
const INTERACTIONS: [&str; 13] = [
    "other",
    "read",
    "vread",
    "create",
    "update",
    "patch",
    "delete",
    "history",
    "search",
    "bundle",
    "capabilities",
    "operation",
    "message",
];

/// Upper limits of the histogram, from OpenTelemetry's advice plus one below for reads.
const BUCKETS_MS: [u64; 14] =
    [1, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 10_000];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_in_its_bucket_and_class() {
        let metrics = Metrics::default();

        metrics.answered(Interaction::Read, 404, Duration::from_millis(3));
        let text = metrics.render(0);

        assert!(text.contains(
            "http_server_request_duration_seconds_bucket{interaction=\"read\",le=\"0.005\"} 1"
        ));
        assert!(text.contains(
            "http_server_request_duration_seconds_bucket{interaction=\"read\",le=\"0.001\"} 0"
        ));
        assert!(text.contains("sealway_requests_total{interaction=\"read\",status=\"4xx\"} 1"));
    }
}
