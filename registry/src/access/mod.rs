//! Accesses made durable before data leaves: an append-only [`Journal`] with group fsync.

mod files;
mod journal;
mod segment;

pub use files::{Files, Folder};
pub use journal::{Journal, JournalEntry, JournalError, JournalRecord};
