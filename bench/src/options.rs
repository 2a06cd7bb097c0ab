//! The command line.
//!
//! Not here: what the workloads do (`workload`).

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Load generator for FHIR servers on this machine.
#[derive(Debug, Parser)]
#[command(name = "sealway-bench", version, after_help = EXAMPLES)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run workloads against one server and print a table.
    Run(Box<RunOptions>),
    /// Wait for the first 200 on /metadata and print how long it took.
    Wait(WaitOptions),
    /// Print the runs of two servers side by side, with ratios.
    Compare(CompareOptions),
    /// Print the median fsync latency of the disk under a folder.
    Disk {
        /// The folder.
        folder: PathBuf,
    },
}

/// A family of requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum WorkloadName {
    /// Synthea bundles, hospital and practitioner files first.
    Import,
    /// Create, read, vread, update and delete of nine types.
    Crud,
    /// Each search class alone, then all of them mixed.
    Search,
    /// Only the mix of the search classes.
    Mix,
    /// The search families of HealthSamurai's benchmark, 24 requests a round.
    Families,
    /// Reads of imported patients and organisations.
    Read,
    /// Blaze's transaction of one patient and one observation.
    Transaction,
    /// What small requests wait for while transactions of 5,000 entries run.
    Stall,
    /// Store the corpus of `flat`, `--scale` times its filling.
    FlatFill,
    /// Query shapes whose matches do not grow with the corpus.
    Flat,
}

/// Options of a run.
#[derive(Args, Debug)]
pub struct RunOptions {
    /// Workloads, in this order.
    #[arg(required = true, value_enum)]
    pub workloads: Vec<WorkloadName>,
    /// Base URL of the server; loopback only.
    #[arg(long)]
    pub url: String,
    /// File that holds a bearer token.
    #[arg(long, env = "SEALWAY_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Numbers of clients, one run for each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16])]
    pub clients: Vec<usize>,
    /// Longest time of one class at one number of clients.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Most requests of one class at one number of clients.
    #[arg(long, default_value_t = 1_000_000)]
    pub requests: u64,
    /// Process of the server, with its children; may be repeated.
    #[arg(long)]
    pub pid: Vec<u32>,
    /// Folder in which the server keeps its data; may be repeated.
    #[arg(long)]
    pub data_dir: Vec<PathBuf>,
    /// Folder of Synthea bundles (`*.json` or `*.json.bz2`).
    #[arg(long, default_value = "../shared/data/synthea")]
    pub data: PathBuf,
    /// Most patient bundles to use.
    #[arg(long)]
    pub bundles: Option<usize>,
    /// How much filling `flat-fill` stores, in units of about 4,000 resources.
    #[arg(long, default_value_t = 1)]
    pub scale: usize,
    /// File to write the results to.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Name of the server in the results.
    #[arg(long, default_value = "server")]
    pub name: String,
}

/// Options of a wait.
#[derive(Args, Debug)]
pub struct WaitOptions {
    /// Base URL of the server; loopback only.
    #[arg(long)]
    pub url: String,
    /// Nanoseconds since 1970 at which the server was started (`date +%s%N`).
    #[arg(long)]
    pub since: Option<u64>,
    /// Process of the server: give up when it is gone.
    #[arg(long)]
    pub pid: Option<u32>,
    /// Seconds after which to give up.
    #[arg(long, default_value_t = 120)]
    pub seconds: u64,
}

/// Options of a comparison.
#[derive(Args, Debug)]
pub struct CompareOptions {
    /// Results of the first server; repeat for its runs.
    #[arg(long, required = true)]
    pub a: Vec<PathBuf>,
    /// Results of the second server; repeat for its runs.
    #[arg(long, required = true)]
    pub b: Vec<PathBuf>,
}

/// Where a server is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Address, always of this machine.
    pub address: SocketAddr,
    /// Host header.
    pub host: String,
    /// Path of the base URL, without a slash at its end.
    pub base: String,
    /// Bearer token.
    pub token: Option<String>,
}

impl Target {
    /// Reads a base URL.
    ///
    /// # Errors
    /// When it is not `http://` to a loopback address.
    pub fn parse(url: &str, token: Option<String>) -> Result<Self, String> {
        let refuse = || format!("{url} is not http:// to a loopback address with a port");
        let rest = url.strip_prefix("http://").ok_or_else(refuse)?;
        let (host, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address: SocketAddr =
            host.replace("localhost", "127.0.0.1").parse().map_err(|_| refuse())?;
        if !address.ip().is_loopback() {
            return Err(refuse());
        }
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { address, host: host.to_owned(), base, token })
    }
}

impl RunOptions {
    /// Longest time of one class at one number of clients.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

const EXAMPLES: &str = "\
Examples:
  sealway-bench run import --url http://127.0.0.1:8080/fhir --clients 4 --pid 1234
  sealway-bench run mix read --url http://127.0.0.1:8080/fhir --clients 1,16,64 --json run.json
  sealway-bench compare --a sealway-1.json --a sealway-2.json --b hfs-1.json --b hfs-2.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_accepted() {
        let target = Target::parse("http://127.0.0.1:8080/fhir/", None).unwrap();
        assert_eq!((target.base.as_str(), target.host.as_str()), ("/fhir", "127.0.0.1:8080"));
        assert!(Target::parse("http://localhost:8080", None).is_ok());
        assert!(Target::parse("http://[::1]:8080", None).is_ok());
        for other in ["http://10.0.0.1:80/", "https://127.0.0.1:1/", "http://example.org:80/", ""] {
            assert!(Target::parse(other, None).is_err(), "{other}");
        }
    }
}
