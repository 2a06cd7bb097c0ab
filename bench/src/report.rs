//! Results: rows of a table, also as JSON.
//!
//! Schema `sealway.bench/v1`. Not here: comparing runs (`compare`).

use serde::{Deserialize, Serialize};

/// Results of one run of the program.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Results {
    /// `sealway.bench/v1`.
    pub schema: String,
    /// Name of the server.
    pub name: String,
    /// Base URL.
    pub url: String,
    /// Median fsync of the disk before the run, in milliseconds.
    pub fsync_ms: f64,
    /// Load average of the machine before the run.
    pub load_average: f64,
    /// Bytes on disk before and after, in MiB.
    pub disk_mib: [f64; 2],
    /// Memory of the server before and after, in MiB.
    pub rss_mib: [f64; 2],
    /// What was measured.
    pub rows: Vec<Row>,
}

/// One class of requests at one number of clients.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Row {
    /// Name of the workload.
    pub workload: String,
    /// Name of the class.
    pub class: String,
    /// Number of clients.
    pub clients: usize,
    /// Requests that succeeded; rates and percentiles are of these.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
    /// The first failure.
    pub failure: Option<String>,
    /// Resources moved.
    pub resources: u64,
    /// Length of the run.
    pub seconds: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// CPU of the server in the run.
    pub server_cpu_s: f64,
    /// CPU of the loader in the run.
    pub client_cpu_s: f64,
    /// Memory of the server after the run.
    pub rss_mib: f64,
}

/// Name of the format.
pub const SCHEMA: &str = "sealway.bench/v1";

impl Row {
    /// Requests a second.
    pub fn requests_per_s(&self) -> f64 {
        self.requests as f64 / self.seconds.max(1e-9)
    }

    /// Resources a second.
    pub fn resources_per_s(&self) -> f64 {
        self.resources as f64 / self.seconds.max(1e-9)
    }

    /// Seconds of the server's CPU for 1,000 requests.
    pub fn cpu_per_1000(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.server_cpu_s * 1000.0 / self.requests as f64 }
    }

    /// Milliseconds of the server's CPU for one resource.
    pub fn cpu_ms_per_resource(&self) -> f64 {
        if self.resources == 0 { 0.0 } else { self.server_cpu_s * 1000.0 / self.resources as f64 }
    }
}

impl Results {
    /// The head of the table.
    pub fn head() -> String {
        format!(
            "{:<12} {:<20} {:>4} {:>9} {:>6} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>6} {:>7}",
            "workload",
            "class",
            "n",
            "requests",
            "failed",
            "req/s",
            "res/s",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "cpu/1000",
            "cli %",
            "rss MiB"
        )
    }

    /// One line of the table.
    pub fn line(row: &Row) -> String {
        let client = 100.0 * row.client_cpu_s / row.seconds.max(1e-9);
        let mut line = format!(
            "{:<12} {:<20} {:>4} {:>9} {:>6} {:>9.1} {:>9.1} {:>8.2} {:>8.2} {:>8.2} {:>8.3} {:>6.1} {:>7.1}",
            row.workload,
            row.class,
            row.clients,
            row.requests,
            row.failed,
            row.requests_per_s(),
            row.resources_per_s(),
            row.p50_ms,
            row.p95_ms,
            row.p99_ms,
            row.cpu_per_1000(),
            client,
            row.rss_mib
        );
        if let Some(failure) = &row.failure {
            line += &format!("  first failure: {failure}");
        }
        line
    }

    /// The lines under the table.
    pub fn foot(&self) -> String {
        format!(
            "fsync median {:.2} ms, load average {:.2}; disk {:.1} -> {:.1} MiB; memory {:.1} -> {:.1} MiB",
            self.fsync_ms,
            self.load_average,
            self.disk_mib[0],
            self.disk_mib[1],
            self.rss_mib[0],
            self.rss_mib[1]
        )
    }
}
