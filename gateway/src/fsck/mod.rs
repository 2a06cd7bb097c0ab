//! `fsck`: everything that is stored against the ledger, and the ledger against itself.
//!
//! 1. The log re-derives from its files (`ledger::fsck`); each entry has its version or access record (`log`).
//! 2. Each access record opens, and is what its entry commits to (`accesses`).
//! 3. Each version opens, is what its entry commits to, and says of itself what its row says; versions count from 1
//!    without a gap; the current row is that of the newest (`versions`).
//! 4. Each erasure stands in the log, and what has no content any more was erased by one of them (`erasures`).
//! 5. The search index is the one that the current contents give, no row less, no row more (`index`).
//!
//! What the registry wrote and the log published last may not be recorded yet: a crash leaves that, and the next
//! start mends it. What is stored is not changed and nothing is repaired: the schema of an earlier release is refused,
//! and a log that SQLite left is made durable with the bytes it has (ADR 008), and kept. Lock files, SQLite's index of
//! its log and a missing folder of payloads are made. The gateway must be stopped.
//! Memory is bounded: tables are read in pages, in the order of their keys.

use std::path::Path;
use std::sync::Arc;

use ledger::{FileHead, Signer};
use registry::check::Checks;
use registry::error::ReadError;
use registry::params::ParamTable;
use registry::store::Store;
use repository::Keyring;

use self::accesses::Accesses;
use self::erasures::Erasures;
use self::index::Index;
use self::report::{About, Progress, Report};
use crate::app::{OpenError, expect_there, open_objects, open_store_to_check, sqlite_options};
use crate::config::Config;
use crate::keyfile;
use crate::payload::Payloads;
use crate::search_params::Loaded;

mod accesses;
mod content;
mod erasures;
mod index;
mod log;
mod report;
mod resources;
mod versions;
mod words;

pub(crate) use self::index::bases_in;
pub use self::report::Tell;

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Entries under the checkpoint.
    pub log_size: u64,
    /// Entries whose leaf is in the signed tree.
    pub entries_good: u64,
    /// Versions whose entry commits to their content.
    pub versions_good: u64,
    /// Access records whose entry commits to their content.
    pub accesses_good: u64,
    /// Erasures whose entry commits to what they say.
    pub erasures_good: u64,
    /// Versions whose content one of them took.
    pub versions_erased: u64,
    /// Access records that cannot be opened any more, since their key was erased.
    pub accesses_erased: u64,
    /// Rows of the search index that were compared; `None` when they were left out.
    pub index_rows: Option<u64>,
    /// How many things are wrong.
    pub problem_count: u64,
    /// What is wrong, each naming its place: the first twenty of each kind, then how many more.
    pub problems: Vec<String>,
}

/// How to check.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Leave out the search index.
    pub quick: bool,
    /// Is told every few seconds how much of what was checked.
    pub progress: Option<Tell>,
}

/// Checks the installation in `config.data_dir`.
///
/// # Errors
/// [`OpenError`] when something is not there or cannot be opened; what is there and is wrong is a finding.
pub async fn check(config: &Config, options: Options) -> Result<Findings, OpenError> {
    let data = &config.data_dir;
    let folder = data.join("log");
    let refused = |error: &dyn std::fmt::Display| OpenError::Ledger(error.to_string());
    expect_there(&folder, OpenError::Ledger)?;
    let _held = FileHead::open(&folder).map_err(|error| refused(&error))?;
    let origin = config.ledger.origin.as_str();
    for key in [data.join("keys/log"), config.kek_file()] {
        expect_there(&key, OpenError::Key)?;
    }
    let seed = keyfile::load_or_make(&data.join("keys/log"))?;
    let signer = Signer::from_seed(origin, &seed).map_err(|error| refused(&error))?;
    let keyring =
        Keyring::open(&config.kek_file()).map_err(|error| OpenError::Key(error.to_string()))?;
    let mut report = Report::default();
    let mut findings = Findings::default();
    let keys = signer.verifiers();
    let Some(store) = open(config, options, &mut report).await? else {
        log::alone(&folder, origin, &keys, &mut report, &mut findings)?;
        return Ok(told(findings, report));
    };
    let payloads = Payloads::new(keyring, open_objects(config)?, Arc::clone(&store));
    let progress = Progress::new(options.progress);
    let full_text = store.full_text();
    let params = Loaded::of(ParamTable::default(), full_text);
    let mut check = Check::new(&*store, &payloads, report, findings, progress, params);
    let table = check.rows("search_param", store.params().await)?;
    check.params = Loaded::of(table, full_text);
    check.all(&folder, &data.join("access"), origin, &keys, options).await?;
    Ok(told(check.findings, check.report))
}

/// The registry; `None` when its file is damaged beyond opening, which is reported.
async fn open(
    config: &Config,
    options: Options,
    report: &mut Report,
) -> Result<Option<Arc<dyn Store>>, OpenError> {
    if config.database.url.is_some() {
        return open_store_to_check(config).await.map(Some);
    }
    let file = config.data_dir.join("registry.sqlite");
    expect_there(&file, OpenError::Registry)?;
    let name = "registry.sqlite";
    // SQLite would take so short a file for a new database, and make it one.
    if let Some(file) = std::fs::metadata(&file).ok().filter(|file| file.len() < PAGE_BYTES_MIN) {
        report.add(About::Registry, name, format!("is cut to {} bytes", file.len()));
        return Ok(None);
    }
    let (quick, file) = (options.quick, sqlite_options(config));
    let asked = tokio::task::spawn_blocking(move || registry::sqlite::integrity(&file, quick));
    let asked = asked.await.map_err(|error| OpenError::Registry(error.to_string()))?;
    let damages = asked.map_err(|error| OpenError::Registry(error.to_string()))?;
    for damage in &damages {
        report.add(About::Registry, name, damage);
    }
    match open_store_to_check(config).await {
        Ok(store) => Ok(Some(store)),
        Err(OpenError::Damaged(_)) if !damages.is_empty() => Ok(None),
        Err(OpenError::Damaged(text)) => {
            report.add(About::Registry, name, text);
            Ok(None)
        }
        Err(error) if !damages.is_empty() => {
            report.add(About::Registry, name, error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn told(findings: Findings, report: Report) -> Findings {
    let (problem_count, problems) = report.into_lines();
    Findings { problem_count, problems, ..findings }
}

struct Check<'a> {
    store: &'a dyn Store,
    checks: &'a dyn Checks,
    payloads: &'a Payloads,
    findings: Findings,
    report: Report,
    progress: Progress,
    /// Search parameters in force.
    params: Loaded,
    erasures: Erasures,
    /// Data keys that were reported.
    bad_keys: std::collections::HashSet<u64>,
}

impl<'a> Check<'a> {
    fn new(
        store: &'a dyn Store,
        payloads: &'a Payloads,
        report: Report,
        findings: Findings,
        progress: Progress,
        params: Loaded,
    ) -> Self {
        let bad_keys = std::collections::HashSet::new();
        let checks = store.checks();
        let erasures = Erasures::default();
        Self { store, checks, payloads, findings, report, progress, params, erasures, bad_keys }
    }

    async fn all(
        &mut self,
        log: &Path,
        accesses: &Path,
        origin: &str,
        keys: &[ledger::Verifier],
        options: Options,
    ) -> Result<(), OpenError> {
        self.take_erasures().await?;
        let mut waiting = self.waiting().await?;
        let size = log::alone(log, origin, keys, &mut self.report, &mut self.findings)?;
        let mut accesses = Accesses::open(accesses, self).await?;
        self.log(log, size, &waiting, &mut accesses).await?;
        Accesses::moving(self).await?;
        let log_is_read = size > 0 || !self.report.holds(report::About::Log);
        self.check_erasures(&waiting, log_is_read).await?;
        let mut index = if options.quick { Index::off() } else { Index::sums() };
        self.versions(&mut waiting, &mut index).await?;
        self.leftover(waiting);
        self.keys().await?;
        self.index(index).await
    }

    /// A read's rows; nothing when they are damaged, which is reported.
    fn rows<T: Default>(
        &mut self,
        table: &str,
        read: Result<T, ReadError>,
    ) -> Result<T, OpenError> {
        match read {
            Ok(rows) => Ok(rows),
            Err(error @ ReadError::Damaged(_)) => {
                self.report.add(About::Registry, format!("table {table}"), error);
                Ok(T::default())
            }
            Err(error) => Err(OpenError::Registry(error.to_string())),
        }
    }
}

/// The smallest page of SQLite.
const PAGE_BYTES_MIN: u64 = 512;
/// Contents read at once; each may have 256 KiB.
const CONTENTS_A_PAGE: usize = 128;
/// Other rows read at once.
const PAGE: usize = 2_000;
