//! The embedded engine: one SQLite file, one writer thread, a few reader threads, a checkpointer.
//!
//! Durable at `commit` (`synchronous = full`), bounded in memory (caches 64 MiB) and in its log.
//! One process holds a database; another may read it with SQLite's own tools.
//! Not here: the SQL of searches (`search::sql`).

mod access_outbox;
mod checkpoint;
mod commit;
mod current;
mod history;
mod index_rows;
mod members;
mod migrate;
mod open;
mod read;
mod reader;
mod sealed;
mod search;
mod store;
mod write;
mod writer;

pub use crate::clock::Clock;
pub use open::{READERS_DEFAULT, SqliteOptions};
pub use store::SqliteStore;
