//! `sealway ledger fsck`: the log's structure and proofs, and every stored version against its entry.
//!
//! Works on a stopped gateway's folder. Tiles and checkpoint are re-derived; each stored version is opened,
//! hashed, and its commitment compared with the entry in the registry and in the log.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use clap::{Args, Subcommand};
use ledger::fsck::Expected;
use ledger::{FileTiles, FsckReport, fsck};

use super::{ConfigOptions, refuse_config};
use crate::app::App;
use crate::config::Config;
use crate::fsck::{VersionsReport, check_versions};

/// Look after the log.
#[derive(Args, Debug)]
pub struct LedgerArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Re-derive the log and check every stored version against it (stop the gateway first)
    Fsck {
        #[command(flatten)]
        options: ConfigOptions,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command: 0 when all is well, 10 when something was tampered with, 1 when it could not be checked.
pub fn run(args: LedgerArgs) -> u8 {
    let What::Fsck { options, json } = args.what;
    let config = match options.load(Vec::new()) {
        Ok(loaded) => loaded.config,
        Err(error) => return refuse_config(&error),
    };
    super::block_on(async {
        match check(config).await {
            Ok(findings) => findings.print(json),
            Err(text) => {
                eprintln!(
                    "sealway ledger fsck: {text}\n  stop the gateway first, and name its folder"
                );
                1
            }
        }
    })
}

struct Findings {
    log: FsckReport,
    versions: VersionsReport,
}

async fn check(config: Config) -> Result<Findings, String> {
    let folder = config.data_dir.join("log");
    if !folder.is_dir() {
        return Err(format!("{} is not there", folder.display()));
    }
    let app = App::open(config).await.map_err(|error| error.to_string())?;
    let versions = check_versions(&app).await.map_err(|fault| fault.to_string())?;
    let expected = expected(&app).await?;
    app.close().await;
    let log = check_log(&folder, &app, &expected)?;
    Ok(Findings { log, versions })
}

/// Body of every log index that the registry knows.
async fn expected(app: &App) -> Result<HashMap<u64, [u8; 36]>, String> {
    let mut bodies = HashMap::new();
    let mut after = 0;
    loop {
        let versions = app.store.scan_versions(after, SCAN_VERSIONS).await;
        let versions = versions.map_err(|error| error.to_string())?;
        let Some(last) = versions.last() else { return Ok(bodies) };
        after = last.change;
        for stored in versions {
            let key = fhir::VersionKey { key: stored.key.clone(), version: stored.version };
            let index = app.store.log_index(&key).await.map_err(|error| error.to_string())?;
            bodies.extend(index.map(|index| (index, stored.entry)));
        }
    }
}

fn check_log(
    folder: &Path,
    app: &Arc<App>,
    expected: &HashMap<u64, [u8; 36]>,
) -> Result<FsckReport, String> {
    let note = match std::fs::read(folder.join("checkpoint")) {
        Ok(note) => Some(note),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(format!("checkpoint: {error}")),
    };
    let origin = app.ledger.origin();
    let keys = app.ledger.trust().log(origin).map_or(&[][..], |log| &log.keys);
    let tiles = FileTiles::new(folder);
    let known = |index| match expected.get(&index) {
        Some(body) => Expected::Body(*body),
        None => Expected::Unknown,
    };
    Ok(fsck(&tiles, note.as_deref(), origin, keys, &known))
}

impl Findings {
    fn print(&self, json: bool) -> u8 {
        let of_log =
            self.log.problems.iter().map(|problem| format!("{}: {}", problem.file, problem.what));
        let problems: Vec<String> = of_log.chain(self.versions.problems.iter().cloned()).collect();
        if json {
            let report = serde_json::json!({
                "schema": "sealway.fsck/v1",
                "log_size": self.log.size,
                "entries_checked": self.log.entries_checked,
                "versions_good": self.versions.good,
                "versions_erased": self.versions.erased,
                "problems": problems,
            });
            println!("{report}");
        } else {
            println!("log       {} entries, {} checked", self.log.size, self.log.entries_checked);
            println!("versions  {} good, {} erased", self.versions.good, self.versions.erased);
            problems.iter().for_each(|problem| println!("✗ {problem}"));
            println!(
                "{}",
                if problems.is_empty() { "✓ all is well" } else { "✗ TAMPERED or damaged" }
            );
        }
        if problems.is_empty() { 0 } else { 10 }
    }
}

const SCAN_VERSIONS: usize = 500;
