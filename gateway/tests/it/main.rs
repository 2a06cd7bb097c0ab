//! The gateway in process: real parts, a temporary folder, an ephemeral port.

#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod bases;
mod binary;
mod bundle;
mod capability;
mod changed;
mod cli;
mod cluster;
mod conditional;
mod crash;
mod crud;
mod demo;
mod fence;
mod fsck;
mod history;
mod hostile;
mod invoked;
mod load;
mod lost_key;
mod message;
mod named;
mod operation;
mod outage;
mod patch;
mod precondition;
mod process;
mod purge;
mod receipt;
mod sealing;
mod search;
mod search_params;
mod search_wide;
mod serial;
mod site;
mod sorted;
mod terminology;
mod tls;
mod told;
mod transaction;
mod unchanged;
mod upkeep;
mod validate;
mod words;
mod xml;
