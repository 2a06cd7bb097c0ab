//! `sealway reindex`: makes the whole search index anew from the contents.
//!
//! For the first start of a release with other search rules, and where `ledger fsck` found the index damaged. The
//! gateway has to be stopped; an interrupted run goes on where it stood. Exit 0 when the index is whole, 1 when it
//! could not be made, 3 for a refused configuration.
//! Not here: indexing for custom parameters while the gateway runs (`search_params::reindex`).

use std::time::{Duration, Instant};

use clap::Args;
use registry::access::{Journal, JournalError};

use super::{ConfigOptions, out, refuse_config};
use crate::app::{
    OpenError, expect_there, of_sequencer, open_keyring, open_objects, open_store_to_rebuild,
};
use crate::config::Config;
use crate::http::hosts::Hosts;
use crate::payload::Payloads;
use crate::search_params::Loaded;
use crate::search_params::reindex::Source;

/// Make the search index anew (stop the gateway first).
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sealway reindex --data-dir /var/lib/sealway\n\n\
    Exit codes: 0 the index is whole, 1 it could not be made, 3 the configuration is refused")]
pub struct ReindexArgs {
    #[command(flatten)]
    options: ConfigOptions,
}

/// Runs the command; the number is the exit code.
pub async fn run(args: ReindexArgs) -> u8 {
    let config = match args.options.load(Vec::new()) {
        Ok(loaded) => loaded.config,
        Err(error) => return refuse_config(&error),
    };
    match rebuild(&config).await {
        Ok(done) => {
            out::line(format_args!("the search index is whole: {done} resources"));
            0
        }
        Err(OpenError::Config(error)) => refuse_config(&error),
        Err(error) => {
            let next = "stop the gateway first, and name the folder that it runs on with --data-dir; its database with --database where that is PostgreSQL";
            out::note(format_args!("sealway reindex: {error}\n  {next}"));
            1
        }
    }
}

async fn rebuild(config: &Config) -> Result<u64, OpenError> {
    // Nothing is made where no gateway has run: the folder may be a slip.
    expect_there(
        &match config.database.url {
            None => config.data_dir.join("registry.sqlite"),
            Some(_) => config.data_dir.join("access"),
        },
        OpenError::Folder,
    )?;
    // Held for the time of the work: no gateway starts meanwhile.
    let _held = match Journal::open(&config.data_dir.join("access")) {
        Err(JournalError::Io(error)) if error.kind() == std::io::ErrorKind::ResourceBusy => {
            return Err(OpenError::Held(config.data_dir.clone()));
        }
        opened => opened.map_err(|error| OpenError::Folder(error.to_string()))?,
    };
    let hosts = Hosts::of(config)?;
    let store = open_store_to_rebuild(config).await?;
    store.take_sequencer().await.map_err(of_sequencer)?;
    let keyring = open_keyring(config, &*store).await?;
    let payloads = Payloads::new(keyring, open_objects(config)?, std::sync::Arc::clone(&store));
    let failed = |error: &dyn std::fmt::Display| OpenError::Registry(error.to_string());
    store.rebuild().await.map_err(|error| failed(&error))?;
    let source = Source { store: &*store, payloads: &payloads, hosts: &hosts };
    let (mut done, mut told) = (0, Instant::now());
    loop {
        let table = store.params().await.map_err(|error| failed(&error))?;
        let left: u64 = table.jobs.iter().map(|job| job.total.saturating_sub(job.done)).sum();
        let Some(job) = table.jobs.first().copied() else { break };
        let newest = table.newest;
        let step = source.step(&Loaded::of(table, store.full_text()), newest, job).await;
        let step = step.map_err(|fault| failed(&fault))?;
        done += step.seen;
        store.reindex(step).await.map_err(|error| failed(&error))?;
        if told.elapsed() > TOLD_EVERY {
            told = Instant::now();
            out::note(format_args!("{done} resources are indexed, about {left} are left"));
        }
    }
    store.end_rebuild().await.map_err(|error| failed(&error))?;
    Ok(done)
}

/// How often the progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(3);
