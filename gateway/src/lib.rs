//! gateway: composes everything: HTTP, MLLP, configuration, telemetry, command line.
//!
//! One write path ([`ingest::submit`]), one application ([`app::App`]), one table of refusals ([`error::FaultKind`]).
//! Not here: FHIR (`fhir`), decisions (`policy`), SQL (`registry`), payloads (`repository`), the log (`ledger`).

// `cli::out` writes without a panic when nobody reads.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod access;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
mod codes;
mod condition;
pub mod config;
mod criteria;
mod decide;
pub mod demo;
pub mod entry;
pub mod erasure;
pub mod error;
mod finish;
pub mod fsck;
pub mod gateway;
pub mod http;
pub mod ingest;
pub mod invocation;
mod keyfile;
pub mod limits;
pub mod load;
pub mod message;
pub mod mllp;
pub mod outcome;
pub mod patch;
mod patched;
pub mod payload;
mod plan;
pub mod posted;
pub mod precondition;
mod prepare;
pub mod sealer;
pub mod search_params;
mod snapshot;
pub mod submission;
mod subscription;
pub mod telemetry;
pub mod terminology;
pub mod tls;
pub mod upkeep;
pub mod validation;
mod work;
