//! The engine for production: PostgreSQL 15 or newer, shared by any number of gateway processes.
//!
//! One writer a process gathers write sets into one transaction (group commit); between processes the
//! writers take turns by an advisory lock, so checks are free of races and change numbers ascend in
//! commit order (docs/adr/007-postgres-writer.md). Reads go through a pool, each on one snapshot.
//! One process at a time may seal what all commit (`fence`).
//! Not here: the SQL of searches (`search::sql`).

mod access_outbox;
mod batch;
mod check;
mod columns;
mod commit;
mod compartment;
mod erasure;
mod fence;
mod history;
mod known;
mod migrate;
mod options;
mod params;
mod pending;
mod read;
mod readers;
mod reading;
mod sealed;
mod searching;
mod store;
mod upkeep;
mod write;
mod writer;

pub use options::PostgresOptions;
pub use store::PostgresStore;
