//! Checkpoints off the writer: pages go from the write-ahead log to the database on a thread of their own.
//!
//! The writer tells how long the log is. From `checkpoint_bytes` on, one passive checkpoint copies
//! and syncs everything beside the running writer, then a restarting one finishes the little that
//! came meanwhile and lets the log begin again, so it stays below `WAL_BYTES_MAX`.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::open::{PAGE_BYTES, SqliteOptions, WAL_BYTES_MAX, wal_path};

thread_local! {
    /// Pages in the log after the last commit of this thread.
    static WAL_PAGES: Cell<i32> = const { Cell::new(0) };
}

/// Hook of the writer's connection; runs on its thread after each commit.
#[expect(clippy::unnecessary_wraps, reason = "the signature that SQLite's hook has in rusqlite")]
pub(super) fn note_wal_pages(_wal: &Wal, pages: i32) -> rusqlite::Result<()> {
    WAL_PAGES.set(pages);
    Ok(())
}

/// Wakes the checkpointer.
pub(super) struct Handle {
    wake: SyncSender<()>,
    pages: i32,
}

impl Handle {
    /// Asks for a checkpoint if the log has grown; called by the writer after each group.
    pub(super) fn offer(&self) {
        if WAL_PAGES.get() >= self.pages {
            // A full channel means that one is under way or waiting already.
            let _ = self.wake.try_send(());
        }
    }
}

/// Starts the thread; it ends when the handle is dropped, after a last, truncating checkpoint.
pub(super) fn start(options: &SqliteOptions) -> rusqlite::Result<(Handle, JoinHandle<()>)> {
    let conn = options.checkpointer()?;
    let wal = wal_path(&options.path);
    let (wake, woken) = sync_channel(1);
    let thread = std::thread::spawn(move || {
        run(&conn, &woken, || std::fs::metadata(&wal).map_or(0, |file| file.len()));
    });
    let pages = options.checkpoint_bytes / PAGE_BYTES.cast_unsigned();
    let pages = i32::try_from(pages).unwrap_or(i32::MAX).max(1);
    Ok((Handle { wake, pages }, thread))
}

fn run(conn: &Connection, woken: &Receiver<()>, wal_bytes: impl Fn() -> u64) {
    while woken.recv().is_ok() {
        let oversized = wal_bytes() > WAL_BYTES_MAX.cast_unsigned();
        let finish = if oversized { "truncate" } else { "restart" };
        if let Err(error) = checkpoint(conn, "passive").and_then(|()| checkpoint(conn, finish)) {
            tracing::warn!(error = %error, "a checkpoint of the registry did not finish");
        }
    }
    if let Err(error) = checkpoint(conn, "truncate") {
        tracing::warn!(error = %error, "the last checkpoint of the registry did not finish");
    }
}

fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<()> {
    conn.query_row(&format!("pragma wal_checkpoint({mode})"), [], |_| Ok(()))
}
