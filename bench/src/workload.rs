//! The workloads: what is asked, in which order.
//!
//! Not here: the loop (`drive`), the bodies (`sample`, `synthea`).

mod crud;
mod flat;
mod import;
mod search;
mod stall;
mod transaction;

use std::io::Write as _;

use crate::{
    drive::{Limits, Run},
    machine::{Processes, disk_mib, fsync_ms},
    options::{RunOptions, Target, WorkloadName},
    report::{Results, Row, SCHEMA},
    synthea::Synthea,
};

/// What all workloads share.
#[derive(Debug)]
pub struct Bench {
    /// The command line.
    pub options: RunOptions,
    /// Where the server is.
    pub target: Target,
    /// Its processes.
    pub processes: Processes,
    /// The data; empty when no workload needs it.
    pub synthea: Synthea,
    rows: Vec<Row>,
}

impl Bench {
    /// Prepares a run: reads the token and the data.
    ///
    /// # Errors
    /// When the URL is not loopback, or a file cannot be read.
    pub fn new(options: RunOptions) -> Result<Self, String> {
        let token = options.token_file.as_ref().map(|path| {
            let text = std::fs::read_to_string(path);
            text.map_err(|error| format!("{}: {error}", path.display()))
        });
        let token = token.transpose()?.map(|text| text.trim().to_owned());
        let target = Target::parse(&options.url, token)?;
        let needs_data = |name: &WorkloadName| {
            use WorkloadName::{Crud, Flat, FlatFill, Stall, Transaction};
            !matches!(name, Crud | Transaction | Flat | FlatFill | Stall)
        };
        let synthea = if options.workloads.iter().any(needs_data) {
            Synthea::read(&options.data, options.bundles)?
        } else {
            Synthea::default()
        };
        let processes = Processes::new(options.pid.clone());
        Ok(Self { options, target, processes, synthea, rows: Vec::new() })
    }

    /// Runs the workloads and prints each row as it comes.
    ///
    /// # Errors
    /// When a workload cannot be set up, or the results cannot be written.
    pub async fn run(mut self) -> Result<Results, String> {
        let folder = self.options.data_dir.first().cloned().unwrap_or_else(std::env::temp_dir);
        let fsync_ms =
            fsync_ms(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load_average = load.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
        let before = (disk_mib(&self.options.data_dir), self.processes.rss_mib());
        println!("{}", Results::head());
        for workload in self.options.workloads.clone() {
            match workload {
                WorkloadName::Import => import::run(&mut self).await?,
                WorkloadName::Crud => crud::run(&mut self).await?,
                WorkloadName::Search => search::run(&mut self).await?,
                WorkloadName::Mix => search::mix(&mut self).await?,
                WorkloadName::Families => search::families(&mut self).await?,
                WorkloadName::Read => search::read(&mut self).await?,
                WorkloadName::Stall => stall::run(&mut self).await?,
                WorkloadName::Transaction => transaction::run(&mut self).await?,
                WorkloadName::FlatFill => flat::fill(&mut self).await?,
                WorkloadName::Flat => flat::run(&mut self).await,
            }
        }
        let after = (disk_mib(&self.options.data_dir), self.processes.rss_mib());
        let results = Results {
            schema: SCHEMA.to_owned(),
            name: self.options.name.clone(),
            url: self.options.url.clone(),
            fsync_ms,
            load_average,
            disk_mib: [before.0, after.0],
            rss_mib: [before.1, after.1],
            rows: self.rows,
        };
        println!("{}", results.foot());
        if let Some(path) = &self.options.json {
            let json = serde_json::to_vec_pretty(&results).map_err(|error| error.to_string())?;
            std::fs::write(path, json).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(results)
    }

    fn record(&mut self, row: Row) {
        println!("{}", Results::line(&row));
        let _ = std::io::stdout().flush();
        self.rows.push(row);
    }

    fn measuring<'r>(&'r self, workload: &'r str, class: &'r str) -> Run<'r> {
        let limits = Limits::unpaused(self.options.time(), self.options.requests);
        Run { workload, class, limits, processes: &self.processes }
    }
}
