//! Checkpoints off the writer: pages go from the write-ahead log to the database on a thread of their own.
//!
//! The writer tells how long the log is. From `checkpoint_bytes` on, passive checkpoints copy and sync
//! beside the running writer until little is left; then the gate is closed for a moment, the rest is
//! copied and the log begins again. SQLite's own restart would wait for a pause that a busy writer
//! never makes. At [`WAL_BYTES_STOP`] the writer waits for the checkpointer, so the log is bounded.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::fail_stop::DiskState;
use super::open::{PAGE_BYTES, SqliteOptions};
use crate::error::OpenError;

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

/// Keeps the writer out while the log begins again.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct GateState {
    /// A group is being written.
    is_occupied: bool,
    /// No further group may begin.
    is_closed: bool,
}

impl Gate {
    fn update(&self, update: impl FnOnce(&mut GateState)) {
        update(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Waits until `holds`, then updates before anybody else can.
    fn update_when(&self, holds: impl Fn(&GateState) -> bool, update: impl FnOnce(&mut GateState)) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.changed.wait_while(state, |state| !holds(state));
        update(&mut held.unwrap_or_else(PoisonError::into_inner));
    }
}

/// The writer's end.
pub(super) struct Handle {
    wake: SyncSender<()>,
    gate: Arc<Gate>,
    pages: i32,
}

impl Handle {
    /// Waits while the gate is closed, and keeps it open until [`Handle::leave`].
    pub(super) fn enter(&self) {
        self.gate.update_when(|state| !state.is_closed, |state| state.is_occupied = true);
    }

    /// Lets the checkpointer in, and wakes it if the log has grown.
    pub(super) fn leave(&self) {
        let pages = WAL_PAGES.replace(0);
        let must_wait = i64::from(pages) * PAGE_BYTES >= WAL_BYTES_STOP;
        self.gate.update(|state| {
            state.is_occupied = false;
            state.is_closed |= must_wait;
        });
        if pages >= self.pages {
            // A full channel means that one is under way or waiting already.
            let _ = self.wake.try_send(());
        }
    }
}

/// Starts the thread; it ends when the handle is dropped, after a last, truncating checkpoint. Once
/// the disk has failed there are no more checkpoints.
pub(super) fn start(
    options: &SqliteOptions,
    disk: &'static DiskState,
) -> Result<(Handle, JoinHandle<()>), OpenError> {
    let conn = options.checkpointer()?;
    let (wake, woken) = sync_channel(1);
    let gate = Arc::new(Gate::default());
    let handle = Handle {
        wake,
        gate: Arc::clone(&gate),
        pages: i32::try_from(options.checkpoint_bytes / PAGE_BYTES.cast_unsigned())
            .unwrap_or(i32::MAX)
            .max(1),
    };
    let thread = std::thread::Builder::new()
        .name("registry-checkpoints".into())
        .spawn(move || run(&conn, &woken, &gate, disk))
        .map_err(|error| OpenError::Unavailable(error.to_string()))?;
    Ok((handle, thread))
}

fn run(conn: &Connection, woken: &Receiver<()>, gate: &Gate, disk: &DiskState) {
    while woken.recv().is_ok() {
        if disk.stopped().is_some() {
            gate.update(|state| state.is_closed = false);
            continue;
        }
        let copied = copy_beside_the_writer(conn);
        gate.update(|state| state.is_closed = true);
        gate.update_when(|state| !state.is_occupied, |_| ());
        let restarted = copied.and_then(|()| checkpoint(conn, "restart"));
        gate.update(|state| state.is_closed = false);
        if let Err(error) = restarted {
            tracing::warn!(error = %error, "a checkpoint of the registry did not finish");
        }
    }
    if disk.stopped().is_none()
        && let Err(error) = checkpoint(conn, "truncate")
    {
        tracing::warn!(error = %error, "the last checkpoint of the registry did not finish");
    }
}

/// Passive checkpoints until little is left, at most a few.
fn copy_beside_the_writer(conn: &Connection) -> rusqlite::Result<()> {
    for _ in 0..PASSIVE_ROUNDS_MAX {
        if checkpoint(conn, "passive")? <= REST_PAGES_MAX {
            break;
        }
    }
    Ok(())
}

/// Runs a checkpoint and gives the number of pages that it left in the log.
fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<i64> {
    conn.query_row(&format!("pragma wal_checkpoint({mode})"), [], |row| {
        Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)
    })
}

/// At this length of the log the writer waits.
const WAL_BYTES_STOP: i64 = 256 << 20;
/// Pages that are copied with the gate closed: 4 MiB.
const REST_PAGES_MAX: i64 = 512;
const PASSIVE_ROUNDS_MAX: usize = 4;
