//! Reader threads: each has its connection and takes reads from one bounded queue.
//!
//! A read is a closure over the connection; it runs to its end even when its caller went away, but not
//! beyond [`READ_TIME_MAX`]. A read that panics is answered as unavailable and its reader goes on.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::check::is_damage;
use super::open::SqliteOptions;
use crate::error::ReadError;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The reader threads.
pub(super) struct Readers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    ready: Condvar,
}

#[derive(Default)]
struct Waiting {
    reads: VecDeque<Read>,
    closed: bool,
}

impl Readers {
    /// Opens the connections and starts the threads.
    pub(super) fn start(options: &SqliteOptions) -> rusqlite::Result<Self> {
        let queue = Arc::new(Queue::default());
        let mut threads = Vec::with_capacity(options.readers);
        for _ in 0..options.readers.max(1) {
            let conn = options.reader()?;
            conn.progress_handler(STEPS_A_LOOK, Some(is_out_of_time))?;
            let queue = Arc::clone(&queue);
            threads.push(std::thread::spawn(move || queue.serve(&conn)));
        }
        Ok(Self { queue, threads })
    }

    /// Runs a read on the next free reader.
    pub(super) fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ReadError>> {
        let (reply, answer) = oneshot::channel();
        let read: Read = Box::new(move |conn| drop(reply.send(read(conn))));
        if !self.queue.push(read) {
            return async { Err(ReadError::Busy) }.boxed();
        }
        async { answer.await.unwrap_or_else(|_| Err(ReadError::Unavailable(ENDED.into()))) }.boxed()
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.ready.notify_all();
        for thread in self.threads.drain(..) {
            // A reader that panicked has reported it; there is nothing left to do.
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn push(&self, read: Read) -> bool {
        let mut waiting = self.lock();
        if waiting.closed || waiting.reads.len() >= QUEUE_READS_MAX {
            return false;
        }
        waiting.reads.push_back(read);
        drop(waiting);
        self.ready.notify_one();
        true
    }

    fn serve(&self, conn: &Connection) {
        while let Some(read) = self.next() {
            DEADLINE.set(Some(Instant::now() + READ_TIME_MAX));
            // The reply is dropped by a panic, which answers the caller; the hook has reported it.
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(conn)));
            DEADLINE.set(None);
            if ended.is_err() || !conn.is_autocommit() {
                // A snapshot must not outlive its read: it would keep the log from beginning again.
                let _ = conn.execute_batch("rollback");
            }
        }
    }

    fn next(&self) -> Option<Read> {
        let mut waiting = self.lock();
        loop {
            if let Some(read) = waiting.reads.pop_front() {
                return Some(read);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.ready.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

thread_local! {
    /// When the running read has to end.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs reads on this thread's connection until a time; what runs longer is interrupted.
pub(super) fn until<T>(deadline: Instant, read: impl FnOnce() -> T) -> T {
    DEADLINE.set(Some(deadline));
    let done = read();
    DEADLINE.set(None);
    done
}

/// Asked by SQLite every now and then; true interrupts the statement.
pub(super) fn is_out_of_time() -> bool {
    DEADLINE.get().is_some_and(|deadline| Instant::now() > deadline)
}

/// Runs several statements on one snapshot.
pub(super) fn snapshot<T>(
    conn: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    conn.prepare_cached("begin")?.execute([])?;
    let result = read(conn);
    // After an error the snapshot may be gone already, and what went wrong is what the caller must hear.
    let ended = conn.prepare_cached("commit").and_then(|mut commit| commit.execute([]));
    if result.is_ok() {
        ended?;
    }
    result
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => {
                Self::TooCostly("the search ran out of time".into())
            }
            _ if is_damage(&error) => Self::Damaged(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// Time that one read may take; a search beyond it is too costly.
const READ_TIME_MAX: Duration = Duration::from_secs(10);
/// Steps of SQLite's machine between two looks at the clock.
pub(super) const STEPS_A_LOOK: i32 = 20_000;
const QUEUE_READS_MAX: usize = 4096;
const ENDED: &str = "the reader has ended";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_read_that_panics_is_answered_and_its_reader_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(|| fhir::Instant::from_micros(0));
        let mut options = SqliteOptions::new(folder.path().join("registry.db"), clock);
        options.readers = 1;
        let _writer = options.writer().unwrap();
        let readers = Readers::start(&options).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

        let panicked = runtime.block_on(readers.run(|conn| -> Result<(), ReadError> {
            conn.execute_batch("begin")?;
            panic!("as a test")
        }));
        let next = runtime.block_on(readers.run(|conn| Ok(conn.is_autocommit())));

        assert!(matches!(panicked, Err(ReadError::Unavailable(_))));
        assert!(next.unwrap(), "no snapshot is left open");
    }
}
