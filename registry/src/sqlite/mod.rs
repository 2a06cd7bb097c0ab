//! The embedded engine: one SQLite file, one writer thread, a few reader threads, a checkpointer.
//!
//! Durable at `commit` (`synchronous = full`), bounded in memory (caches 64 MiB) and in its log.
//! After a write or sync that failed it only reads, until the next opening (`fail_stop`, `settle`).
//! One process holds a database; another may read it with SQLite's own tools.
//! Not here: the SQL of searches (`search::sql`).

mod access_outbox;
mod check;
mod checkpoint;
mod commit;
mod compartment;
mod current;
mod erasure;
mod fail_stop;
mod history;
mod index_rows;
mod marks;
mod members;
mod migrate;
mod open;
mod params;
mod read;
mod reader;
mod reading;
mod sealed;
mod search;
mod settle;
mod store;
mod text;
mod upkeep;
mod write;
mod writer;

pub use crate::clock::Clock;
pub use check::integrity;
pub use open::{READERS_DEFAULT, SqliteOptions};
pub use settle::Durable;
pub use store::SqliteStore;
