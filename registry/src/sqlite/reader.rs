//! Reader threads: each has its connection and takes reads from one bounded queue.
//!
//! A read is a closure over the connection; it runs to its end even when its caller went away.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use futures::FutureExt;
use futures::future::BoxFuture;
use rusqlite::Connection;
use tokio::sync::oneshot;

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
            read(conn);
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

/// Runs several statements on one snapshot.
pub(super) fn snapshot<T>(
    conn: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    conn.prepare_cached("begin")?.execute([])?;
    let result = read(conn);
    conn.prepare_cached("commit")?.execute([])?;
    result
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => {
                Self::TooCostly("the search ran out of time".into())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

const QUEUE_READS_MAX: usize = 4096;
const ENDED: &str = "the reader has ended";
