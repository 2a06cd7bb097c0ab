//! Reader threads: each has its connection and takes reads from bounded queues, one for each [`Cost`].
//!
//! Of the reads that may be begun the one that came first is; searches leave some readers to look-ups ([`Shares`]). A
//! read is a closure over the connection; it ends when its caller goes away, and at the latest after
//! [`READ_TIME_MAX`]. A read that panics is answered as unavailable and its reader goes on.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::check::is_damage;
use super::open::SqliteOptions;
use crate::cost::{Cost, HEAVY_WAITING_MAX, READ_TIME_MAX, Shares};
use crate::error::ReadError;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The reader threads.
pub(super) struct Readers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

struct Queue {
    waiting: Mutex<Waiting>,
    ready: Condvar,
    shares: Shares,
}

#[derive(Default)]
struct Waiting {
    /// By cost: the number of each in the order of arrival, and what it does.
    reads: [VecDeque<(u64, Read)>; COSTS.len()],
    arrived: u64,
    /// Reads that are running, by cost.
    running: [usize; COSTS.len()],
    closed: bool,
}

impl Readers {
    /// Opens the connections and starts the threads.
    pub(super) fn start(options: &SqliteOptions) -> rusqlite::Result<Self> {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            ready: Condvar::new(),
            shares: Shares::of(options.readers.max(1)),
        });
        let mut threads = Vec::with_capacity(options.readers);
        for _ in 0..options.readers.max(1) {
            let conn = options.reader()?;
            conn.progress_handler(STEPS_A_LOOK, Some(is_out_of_time))?;
            let queue = Arc::clone(&queue);
            threads.push(std::thread::spawn(move || queue.serve(&conn)));
        }
        Ok(Self { queue, threads })
    }

    /// Runs a read on the next free reader that may run what it costs, unless the caller is gone by then.
    pub(super) fn run<T: Send + 'static>(
        &self,
        cost: Cost,
        read: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ReadError>> {
        let (reply, answer) = oneshot::channel();
        let caller = Arc::new(());
        let waits = Arc::downgrade(&caller);
        let read: Read = Box::new(move |conn| {
            if reply.is_closed() {
                return;
            }
            CALLER.set(Some(waits));
            let _ = reply.send(read(conn));
        });
        if !self.queue.push(cost, read) {
            return async { Err(ReadError::Busy) }.boxed();
        }
        async move {
            let _waiting = caller;
            answer.await.unwrap_or_else(|_| Err(ReadError::Unavailable(ENDED.into())))
        }
        .boxed()
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
    fn push(&self, cost: Cost, read: Read) -> bool {
        let mut waiting = self.lock();
        let most = if cost == Cost::Heavy { HEAVY_WAITING_MAX } else { QUEUE_READS_MAX };
        if waiting.closed || waiting.reads[cost as usize].len() >= most {
            return false;
        }
        waiting.arrived += 1;
        let number = waiting.arrived;
        waiting.reads[cost as usize].push_back((number, read));
        drop(waiting);
        self.ready.notify_one();
        true
    }

    fn serve(&self, conn: &Connection) {
        while let Some((cost, read)) = self.next() {
            DEADLINE.set(Some(Instant::now() + READ_TIME_MAX));
            // The reply is dropped by a panic, which answers the caller; the hook has reported it.
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(conn)));
            DEADLINE.set(None);
            CALLER.set(None);
            if ended.is_err() || !conn.is_autocommit() {
                // A snapshot must not outlive its read: it would keep the log from beginning again.
                let _ = conn.execute_batch("rollback");
            }
            self.lock().running[cost as usize] -= 1;
            if cost != Cost::Point {
                // What had to wait for it may be begun by another reader.
                self.ready.notify_one();
            }
        }
    }

    fn next(&self) -> Option<(Cost, Read)> {
        let mut waiting = self.lock();
        loop {
            if let Some(next) = waiting.take(self.shares) {
                return Some(next);
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

impl Waiting {
    /// Takes the read that came first of those that may be begun.
    fn take(&mut self, shares: Shares) -> Option<(Cost, Read)> {
        let [_, searches, heavy] = self.running;
        let may = |cost: &Cost| match cost {
            Cost::Point => true,
            Cost::Search => searches + heavy < shares.searches,
            Cost::Heavy => searches + heavy < shares.searches && heavy < shares.heavy,
        };
        let first = |cost: &Cost| self.reads[*cost as usize].front().map(|(number, _)| *number);
        let waiting = COSTS.into_iter().filter(may).filter(|cost| first(cost).is_some());
        let cost = waiting.min_by_key(first)?;
        let (_, read) = self.reads[cost as usize].pop_front()?;
        self.running[cost as usize] += 1;
        Some((cost, read))
    }
}

thread_local! {
    /// When the running read has to end.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Alive while somebody waits for the running read.
    static CALLER: RefCell<Option<Weak<()>>> = const { RefCell::new(None) };
}

/// Runs reads on this thread's connection until a time; what runs longer is interrupted.
pub(super) fn until<T>(deadline: Instant, read: impl FnOnce() -> T) -> T {
    let before = DEADLINE.replace(Some(deadline));
    let done = read();
    DEADLINE.set(before);
    done
}

/// Asked by SQLite every now and then; true interrupts the statement.
pub(super) fn is_out_of_time() -> bool {
    let is_alone =
        || CALLER.with_borrow(|caller| caller.as_ref().is_some_and(|one| one.strong_count() == 0));
    DEADLINE.get().is_some_and(|deadline| Instant::now() > deadline) || is_alone()
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
            _ if is_too_long(&error) => Self::too_long(),
            _ if is_damage(&error) => Self::Damaged(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// Whether a statement is more than SQLite takes: what asks for it comes from the query, and comes again.
fn is_too_long(error: &rusqlite::Error) -> bool {
    let text = error.to_string();
    let told = ["Expression tree is too large", "parser stack overflow", "too many "];
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::TooBig)
        || told.iter().any(|part| text.contains(part))
}

/// Steps of SQLite's machine between two looks at the clock.
pub(super) const STEPS_A_LOOK: i32 = 20_000;
/// Reads of one cost that may wait.
const QUEUE_READS_MAX: usize = 4096;
const COSTS: [Cost; 3] = [Cost::Point, Cost::Search, Cost::Heavy];
const ENDED: &str = "the reader has ended";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn readers(number: usize) -> (Readers, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(|| fhir::Instant::from_micros(0));
        let mut options = SqliteOptions::new(folder.path().join("registry.db"), clock);
        options.readers = number;
        let _writer = options.writer().unwrap();
        (Readers::start(&options).unwrap(), folder)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    /// Runs until its caller goes away or its time is up.
    fn endless(conn: &Connection) -> Result<(), ReadError> {
        let text = "with recursive n (i) as (select 1 union all select i + 1 from n)
                    select count(*) from n";
        conn.query_row(text, [], |_| Ok(()))?;
        Ok(())
    }

    #[test]
    fn look_ups_and_light_searches_are_answered_while_heavy_searches_run_and_wait() {
        let (readers, _folder) = readers(3);

        runtime().block_on(async {
            let heavy: Vec<_> = (0..8).map(|_| readers.run(Cost::Heavy, endless)).collect();
            let light = readers.run(Cost::Search, |_| Ok(2));
            let look_up = readers.run(Cost::Point, |_| Ok(1));

            let both = futures::future::join(light, look_up);
            let both = tokio::time::timeout(READ_TIME_MAX / 2, both).await.unwrap();
            assert_eq!((both.0.unwrap(), both.1.unwrap()), (2, 1));

            let stuck = readers.run(Cost::Search, endless);
            let look_up = readers.run(Cost::Point, |_| Ok(3));
            assert_eq!(tokio::time::timeout(READ_TIME_MAX / 2, look_up).await.unwrap().unwrap(), 3);
            drop((heavy, stuck));
        });
    }

    #[test]
    fn what_nobody_waits_for_is_interrupted_and_not_begun() {
        let (readers, _folder) = readers(1);
        let begun = Arc::new(std::sync::atomic::AtomicUsize::new(0));

        runtime().block_on(async {
            let gone: Vec<_> = (0..20)
                .map(|_| {
                    let begun = Arc::clone(&begun);
                    readers.run(Cost::Search, move |conn| {
                        begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        endless(conn)
                    })
                })
                .collect();
            // The first has begun by now, and the others wait behind it.
            while begun.load(std::sync::atomic::Ordering::Relaxed) == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            drop(gone);
            let next = readers.run(Cost::Search, |_| Ok(()));
            tokio::time::timeout(READ_TIME_MAX / 2, next).await.unwrap().unwrap();
        });

        assert_eq!(begun.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn more_heavy_searches_than_may_wait_are_refused_as_busy() {
        let (readers, _folder) = readers(2);

        runtime().block_on(async {
            let most = HEAVY_WAITING_MAX + 1;
            let running: Vec<_> =
                (0..most + 1).map(|_| readers.run(Cost::Heavy, endless)).collect();
            let refused = readers.run(Cost::Heavy, endless).await;

            assert!(matches!(refused, Err(ReadError::Busy)));
            drop(running);
        });
    }

    #[test]
    fn what_is_too_long_for_a_statement_is_too_costly_and_not_to_be_tried_again() {
        let (readers, _folder) = readers(1);
        let ask = |text: String| {
            readers.run(Cost::Search, move |conn| Ok(conn.prepare(&text).map(|_| ())?))
        };

        let deep = format!("select {}", vec!["1"; 3_000].join(" or "));
        let many = format!("select 1 where 1 in ({})", vec!["?"; 40_000].join(","));
        for text in [deep, many] {
            let refused = runtime().block_on(ask(text));
            assert!(matches!(refused, Err(ReadError::TooCostly(_))), "{refused:?}");
        }
    }

    #[test]
    fn a_read_that_panics_is_answered_and_its_reader_goes_on() {
        let (readers, _folder) = readers(1);

        let panicked =
            runtime().block_on(readers.run(Cost::Point, |conn| -> Result<(), ReadError> {
                conn.execute_batch("begin")?;
                panic!("as a test")
            }));
        let next = runtime().block_on(readers.run(Cost::Point, |conn| Ok(conn.is_autocommit())));

        assert!(matches!(panicked, Err(ReadError::Unavailable(_))));
        assert!(next.unwrap(), "no snapshot is left open");
    }
}
