//! The command line: one subcommand a file.
//!
//! Data goes to stdout, narration to stderr; errors end with what to do next. Exit codes: 0 done, 1 unexpected,
//! 2 usage, 3 configuration, 4 authentication, 5 unreachable, 10 to 13 from `verify`, 20 partly done.
//! Not here: what the commands start (`app`, `http::server`).

pub mod config;
pub mod demo;
pub mod doctor;
pub mod health;
pub mod ledger;
pub mod load;
mod out;
pub mod reindex;
pub mod send;
pub mod serve;
pub mod token;
pub mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config::{ConfigError, Loaded, Sources};

/// FHIR gateway that seals every record and every access.
#[derive(Debug, Parser)]
#[command(name = "sealway", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try a gateway with synthetic data
    Demo(demo::DemoArgs),
    /// Run the gateway
    Serve(serve::ServeArgs),
    /// Load files into a running gateway
    Load(load::LoadArgs),
    /// Send one file and print the acknowledgement
    Send(send::SendArgs),
    /// Make a token of the development issuer
    Token(token::TokenArgs),
    /// Verify a receipt offline
    Verify(verify::VerifyArgs),
    /// Make the search index anew (stop the gateway first)
    Reindex(reindex::ReindexArgs),
    /// Look after the log
    Ledger(ledger::LedgerArgs),
    /// Show, check or begin a configuration
    Config(config::ConfigArgs),
    /// Check an installation
    Doctor(doctor::DoctorArgs),
    /// Exit 0 when the local gateway is ready
    Health(health::HealthArgs),
}

/// Options that choose the configuration.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigOptions {
    /// Configuration file [default: sealway.toml here, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of database, log and keys [default: sealway-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Database: `postgres://…`; SQLite in the data folder without it
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
}

impl ConfigOptions {
    /// Reads all layers, with further flags.
    ///
    /// # Errors
    /// [`ConfigError`] with its place.
    pub fn load(&self, mut flags: Vec<(&'static str, String)>) -> Result<Loaded, ConfigError> {
        if let Some(folder) = &self.data_dir {
            flags.push(("data_dir", folder.display().to_string()));
        }
        flags.extend(self.database.clone().map(|url| ("database.url", url)));
        crate::config::load(&Sources::from_environment(self.config.clone(), flags))
    }
}

/// Runs the process's command; gives the exit code.
pub fn run() -> u8 {
    let cli = Cli::parse();
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(args),
        Command::Load(args) => block_on(load::run(args)),
        Command::Send(args) => block_on(send::run(args)),
        Command::Token(args) => token::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Reindex(args) => block_on(reindex::run(args)),
        Command::Ledger(args) => ledger::run(args),
        Command::Config(args) => config::run(args),
        Command::Doctor(args) => block_on(doctor::run(args)),
        Command::Health(args) => health::run(&args),
    }
}

/// Says what is wrong with the configuration; exit code 3.
pub(crate) fn refuse_config(error: &dyn std::fmt::Display) -> u8 {
    out::note(format_args!("sealway: {error}"));
    out::note("  `sealway config show --origin` lists every setting and where it comes from");
    3
}

/// A file that should hold a token and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the token file {}: {error}", path.display())]
pub(crate) struct TokenFileError {
    path: PathBuf,
    error: std::io::Error,
}

impl TokenFileError {
    /// How to get a token.
    pub(crate) const NEXT: &str = "`sealway token --role system > token` makes one where the development issuer \
        runs; name its file with --token-file";
}

/// The bearer token of a client command: from this file, or else from `SEALWAY_TOKEN`.
pub(crate) fn bearer(file: Option<&Path>) -> Result<Option<String>, TokenFileError> {
    let Some(path) = file else { return Ok(std::env::var("SEALWAY_TOKEN").ok()) };
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) => Err(TokenFileError { path: path.to_path_buf(), error }),
    }
}

fn block_on(command: impl Future<Output = u8>) -> u8 {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            out::note(format_args!("sealway: cannot start: {error}"));
            1
        }
    }
}
