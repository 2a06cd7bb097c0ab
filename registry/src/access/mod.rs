//! Accesses made durable before data leaves: an append-only [`Journal`] with group fsync.

mod check;
mod crowd;
mod files;
mod journal;
mod segment;

pub use check::{Damage, Piece, Reading};
pub use files::{Files, Folder};
pub use journal::{Journal, JournalEntry, JournalError, JournalRecord};
