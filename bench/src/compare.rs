//! Two servers side by side, each over all its runs.
//!
//! Rates are of all runs together; percentiles are the median of the runs. Not here: running (`workload`).

use std::{fs, path::PathBuf};

use crate::report::{Results, Row};

/// The table of two servers, the first over the second.
///
/// # Errors
/// When a file cannot be read or is no result.
pub fn side_by_side(a: &[PathBuf], b: &[PathBuf]) -> Result<String, String> {
    let (a, b) = (read_all(a)?, read_all(b)?);
    let name = |runs: &[Results]| runs.first().map_or(String::new(), |run| run.name.clone());
    let (name_a, name_b) = (name(&a), name(&b));
    let mut text = format!(
        "{:<34} {:>36} {:>36} {:>7} {:>7} {:>7} {:>7}\n",
        "class @ clients",
        format!("{name_a}: per s (p50/p99 ms; cpu)"),
        format!("{name_b}: per s (p50/p99 ms; cpu)"),
        "rate",
        "p50",
        "p99",
        "cpu"
    );
    for (workload, class, clients) in keys(&a, &b) {
        let of = |runs: &[Results]| Cell::of(runs, &workload, &class, clients);
        let (cell_a, cell_b) = (of(&a), of(&b));
        text += &format!(
            "{:<34} {:>36} {:>36} {:>7} {:>7} {:>7} {:>7}\n",
            format!("{workload} {class} @{clients}"),
            cell_a.text(),
            cell_b.text(),
            ratio(cell_a.rate, cell_b.rate),
            ratio(cell_a.p50_ms, cell_b.p50_ms),
            ratio(cell_a.p99_ms, cell_b.p99_ms),
            ratio(cell_a.cpu, cell_b.cpu)
        );
    }
    text += "rate above 1 and p50, p99, cpu below 1 favour the first. Rates are resources/s for import, else requests/s.\n";
    for (name, runs) in [(name_a, a), (name_b, b)] {
        for run in runs {
            text += &format!("{name}: {}\n", run.foot());
        }
    }
    Ok(text)
}

struct Cell {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu: f64,
    failed: u64,
}

impl Cell {
    fn of(runs: &[Results], workload: &str, class: &str, clients: usize) -> Self {
        let is_it =
            |row: &&Row| row.workload == workload && row.class == class && row.clients == clients;
        let rows: Vec<&Row> = runs.iter().flat_map(|run| &run.rows).filter(is_it).collect();
        let per_resource = workload == "import";
        let units = |row: &&Row| if per_resource { row.resources } else { row.requests };
        let total: u64 = rows.iter().map(units).sum();
        let seconds: f64 = rows.iter().map(|row| row.seconds).sum();
        let cpu: f64 = rows.iter().map(|row| row.server_cpu_s).sum();
        Self {
            rate: total as f64 / seconds,
            p50_ms: median(rows.iter().map(|row| row.p50_ms)),
            p99_ms: median(rows.iter().map(|row| row.p99_ms)),
            cpu: cpu * 1000.0 / total as f64,
            failed: rows.iter().map(|row| row.failed).sum(),
        }
    }

    fn text(&self) -> String {
        if !self.rate.is_finite() {
            return "-".to_owned();
        }
        let failed =
            if self.failed == 0 { String::new() } else { format!(" {} failed", self.failed) };
        format!("{:.0} ({:.1}/{:.1}; {:.2}){failed}", self.rate, self.p50_ms, self.p99_ms, self.cpu)
    }
}

fn keys(a: &[Results], b: &[Results]) -> Vec<(String, String, usize)> {
    let mut keys = Vec::new();
    for row in a.iter().chain(b).flat_map(|run| &run.rows) {
        let key = (row.workload.clone(), row.class.clone(), row.clients);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

fn ratio(a: f64, b: f64) -> String {
    let ratio = a / b;
    if ratio.is_finite() { format!("{ratio:.2}") } else { "-".to_owned() }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<Results>, String> {
    let read = |path: &PathBuf| {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
    };
    paths.iter().map(read).collect()
}
