//! `sealway ledger fsck`: re-derives the log and checks everything stored against it.
//!
//! Works on a stopped gateway's folder. Exit 0 when all is well, 10 when something was tampered with or is
//! damaged, 5 when the database server is away, 1 when it could not be checked for another reason.

use clap::{Args, Subcommand};

use super::{ConfigOptions, out, refuse_config};
use crate::app::OpenError;
use crate::fsck::{self, Findings};

/// Look after the log.
#[derive(Args, Debug)]
pub struct LedgerArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Re-derive the log and check everything that is stored against it (stop the gateway first)
    Fsck {
        #[command(flatten)]
        options: ConfigOptions,
        /// Leave out the search index
        #[arg(long)]
        quick: bool,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command; the number is the exit code.
pub fn run(args: LedgerArgs) -> u8 {
    let What::Fsck { options, quick, json } = args.what;
    let config = match options.load(Vec::new()) {
        Ok(loaded) => loaded.config,
        Err(error) => return refuse_config(&error),
    };
    super::block_on(async {
        let options = fsck::Options { quick, progress: Some(tell) };
        match fsck::check(&config, options).await {
            Ok(findings) => print(&findings, json),
            Err(OpenError::Config(error)) => refuse_config(&error),
            Err(error @ OpenError::Registry(_)) if config.database.url.is_some() => {
                out::note(format_args!(
                    "sealway ledger fsck: {error}\n  is the database server up?"
                ));
                5
            }
            Err(error @ OpenError::OlderSchema(_)) => {
                out::note(format_args!("sealway ledger fsck: {error}"));
                1
            }
            Err(error) => {
                out::note(format_args!(
                    "sealway ledger fsck: {error}\n  stop the gateway first, and name its folder with --data-dir; its database with --database where that is PostgreSQL"
                ));
                1
            }
        }
    })
}

fn tell(done: u64, what: &str) {
    out::note(format_args!("{done} {what} checked"));
}

fn print(found: &Findings, json: bool) -> u8 {
    if json {
        let report = serde_json::json!({
            "schema": "sealway.fsck/v1",
            "log_size": found.log_size,
            "entries_good": found.entries_good,
            "versions_good": found.versions_good,
            "accesses_good": found.accesses_good,
            "accesses_erased": found.accesses_erased,
            "erasures_good": found.erasures_good,
            "versions_erased": found.versions_erased,
            "index_rows": found.index_rows,
            "problem_count": found.problem_count,
            "problems": found.problems,
        });
        out::line(report);
    } else {
        out::line(format_args!(
            "log       {} entries, {} good",
            found.log_size, found.entries_good
        ));
        out::line(format_args!("versions  {} good", found.versions_good));
        out::line(format_args!("accesses  {} good", found.accesses_good));
        if found.erasures_good > 0 {
            out::line(format_args!(
                "erasures  {} good; {} versions and {} access records erased with them",
                found.erasures_good, found.versions_erased, found.accesses_erased
            ));
        }
        match found.index_rows {
            Some(rows) => out::line(format_args!("index     {rows} rows compared")),
            None => out::line("index     not compared"),
        }
        found.problems.iter().for_each(|problem| out::line(format_args!("✗ {problem}")));
        let well = found.problems.is_empty();
        out::line(if well { "✓ all is well" } else { "✗ tampered with or damaged" });
    }
    if found.problems.is_empty() { 0 } else { 10 }
}
