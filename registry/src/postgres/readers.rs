//! Reads: a few lanes, each a thread with a runtime and connections of its own, so that callers may come from any
//! runtime and no read moves between threads.
//!
//! Searches leave some connections of each lane to look-ups ([`Shares`]). A read has one time limit, whatever number
//! of statements it is; beyond it, or when its caller went away, its statement is cancelled from another connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle as Thread;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, Postgres};
use sqlx::{Connection, PgConnection};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::options::{ACQUIRE_TIMEOUT, PostgresOptions};
use crate::cost::{Cost, Shares};
use crate::error::{OpenError, ReadError};

/// The lanes.
pub(super) struct Readers {
    lanes: Vec<Lane>,
    time: Duration,
}

/// One thread and what it drives.
struct Lane {
    work: Arc<Work>,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<Thread<()>>,
}

/// Connections of one lane. Those that are idle stay here: the pool would ask the server after each use.
struct Work {
    pool: PgPool,
    idle: Mutex<Vec<Session>>,
    /// Searches that are not heavy and run at the same time: more than there are processors only slow each other.
    turns: Semaphore,
    /// As many as the pool may open.
    free: Semaphore,
    /// Of these, what searches may take.
    searches: Semaphore,
    /// And of these, what heavy ones may take.
    heavy: Semaphore,
    /// Reads that were begun and have no answer yet.
    begun: AtomicUsize,
}

/// One connection and its number at the server, by which its statements can be cancelled.
struct Session {
    conn: PoolConnection<Postgres>,
    pid: i32,
}

impl Readers {
    /// Starts the lanes; connections are made when they are first needed.
    ///
    /// # Errors
    /// [`OpenError::Unavailable`] without threads, or for an address that cannot be read.
    pub(super) fn start(options: &PostgresOptions) -> Result<Self, OpenError> {
        let connections = usize::try_from(options.max_connections.max(1)).unwrap_or(1);
        let lanes = (connections / 2).clamp(1, LANES);
        let share = |lane: usize| connections / lanes + usize::from(lane < connections % lanes);
        let lanes = (0..lanes).map(|lane| Lane::start(options, share(lane), lanes));
        let lanes = lanes.collect::<Result<_, _>>()?;
        Ok(Self { lanes, time: options.read_timeout })
    }

    /// A runtime that lives as long as the readers.
    pub(super) fn handle(&self) -> &Handle {
        &self.least().handle
    }

    /// The lane with the least to do.
    fn least(&self) -> &Lane {
        let begun = |lane: &&Lane| lane.work.begun.load(Ordering::Relaxed);
        self.lanes.iter().min_by_key(begun).expect("there is a lane")
    }

    /// Runs a look-up: [`Readers::run_as`] with the cost of one.
    pub(super) fn run<T: Send + 'static>(
        &self,
        read: impl for<'c> FnMut(&'c mut PgConnection) -> BoxFuture<'c, Result<T, ReadError>>
        + Send
        + 'static,
    ) -> BoxFuture<'static, Result<T, ReadError>> {
        self.run_as(Cost::Point, self.time, read)
    }

    /// Runs a read on the next free connection that may be had for what it costs, within a time; on another if that
    /// one turns out to be dead.
    pub(super) fn run_as<T: Send + 'static>(
        &self,
        cost: Cost,
        time: Duration,
        read: impl for<'c> FnMut(&'c mut PgConnection) -> BoxFuture<'c, Result<T, ReadError>>
        + Send
        + 'static,
    ) -> BoxFuture<'static, Result<T, ReadError>> {
        let time = time.min(self.time);
        let lane = self.least();
        let work = Arc::clone(&lane.work);
        let (reply, answer) = oneshot::channel();
        work.begun.fetch_add(1, Ordering::Relaxed);
        lane.handle.spawn(async move {
            work.run(cost, time, read, reply).await;
        });
        async { answer.await.unwrap_or_else(|_| Err(ended())) }.boxed()
    }
}

impl Lane {
    fn start(
        options: &PostgresOptions,
        connections: usize,
        lanes: usize,
    ) -> Result<Self, OpenError> {
        let failed = |error: std::io::Error| OpenError::Unavailable(error.to_string());
        // Read before there is a runtime, which must not be dropped where the caller waits.
        let session = options.reader()?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let pool = {
            let _entered = runtime.enter();
            options.pool(connections).connect_lazy_with(session)
        };
        let shares = Shares::of(connections);
        let work = Arc::new(Work {
            pool,
            idle: Mutex::new(Vec::with_capacity(connections)),
            turns: Semaphore::new(turns(lanes)),
            free: Semaphore::new(connections),
            searches: Semaphore::new(shares.searches),
            heavy: Semaphore::new(shares.heavy),
            begun: AtomicUsize::new(0),
        });
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let closing = Arc::clone(&work);
        let drive = move || {
            runtime.block_on(async move {
                // An error says that the readers were dropped, which is what is waited for.
                let _ = stopped.await;
                closing.close().await;
            });
        };
        let name = "registry-reads".to_owned();
        let thread = std::thread::Builder::new().name(name).spawn(drive).map_err(failed)?;
        Ok(Self { work, handle, stop: Some(stop), thread: Some(thread) })
    }
}

impl Work {
    async fn run<T>(
        &self,
        cost: Cost,
        time: Duration,
        mut read: impl for<'c> FnMut(&'c mut PgConnection) -> BoxFuture<'c, Result<T, ReadError>>,
        mut reply: oneshot::Sender<Result<T, ReadError>>,
    ) {
        let (result, used) = loop {
            let acquired = tokio::select! {
                biased;
                () = reply.closed() => break (Err(ended()), None),
                acquired = self.acquire(cost) => acquired,
            };
            let (permits, mut session) = match acquired {
                Ok(acquired) => acquired,
                Err(error) => break (Err(error), None),
            };
            let answered = self.read_within(time, &mut session, &mut read, &mut reply).await;
            let Some(result) = answered else {
                drop(session.conn.detach());
                break (Err(out_of_time()), None);
            };
            if let Err(ReadError::Unavailable(text)) = &result
                && is_lost(&mut session.conn, text.clone()).await
            {
                drop(session.conn.detach());
                continue;
            }
            break (result, Some((permits, session)));
        };
        self.begun.fetch_sub(1, Ordering::Relaxed);
        // Whoever asked may be gone.
        let _ = reply.send(result);
        let Some((permits, mut session)) = used else { return };
        // A transaction that was dropped is rolled back now.
        if session.conn.should_flush()
            && let Err(error) = session.conn.ping().await
        {
            tracing::warn!(%error, "a connection was lost");
            drop(session.conn.detach());
        } else if !self.pool.is_closed() {
            self.idle().push(session);
        }
        drop(permits);
    }

    /// Runs a read until its time is up or its caller is gone, and then cancels what the server does for it. `None`
    /// where it cannot be cancelled: the connection must not be used again.
    async fn read_within<T>(
        &self,
        time: Duration,
        session: &mut Session,
        read: &mut impl for<'c> FnMut(&'c mut PgConnection) -> BoxFuture<'c, Result<T, ReadError>>,
        reply: &mut oneshot::Sender<Result<T, ReadError>>,
    ) -> Option<Result<T, ReadError>> {
        let deadline = Instant::now() + time;
        let mut running = read(&mut session.conn);
        let gone = async {
            reply.closed().await;
            // What is nearly done is cheaper to end than to cancel.
            tokio::time::sleep(CANCEL_PAUSE).await;
        };
        tokio::select! {
            biased;
            result = &mut running => return Some(result),
            () = tokio::time::sleep_until(deadline.into()) => {}
            () = gone => {}
        }
        for _ in 0..CANCELS_MAX {
            let cancelled = self.cancel(session.pid).await;
            if let Ok(result) = tokio::time::timeout(CANCEL_PAUSE, &mut running).await {
                drop(running);
                // A cancellation that comes late meets this statement, not the next read.
                let _ = session.conn.ping().await;
                session.conn.ping().await.ok()?;
                return Some(result);
            }
            if let Err(error) = cancelled {
                tracing::warn!(%error, "a read that took too long could not be cancelled");
                break;
            }
        }
        None
    }

    async fn cancel(&self, pid: i32) -> Result<(), sqlx::Error> {
        let mut conn = PgConnection::connect_with(&self.pool.connect_options()).await?;
        sqlx::query("select pg_cancel_backend($1)").bind(pid).execute(&mut conn).await?;
        conn.close().await
    }

    async fn acquire(&self, cost: Cost) -> Result<(Permits<'_>, Session), ReadError> {
        let permits = tokio::time::timeout(ACQUIRE_TIMEOUT, self.permits(cost)).await;
        let permits = permits.map_err(|_| ReadError::Busy)?.map_err(|_| ended())?;
        let idle = self.idle().pop();
        let session = match idle {
            Some(session) => session,
            None => self.open().await?,
        };
        Ok((permits, session))
    }

    async fn open(&self) -> Result<Session, ReadError> {
        loop {
            let mut conn = self.pool.acquire().await?;
            let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *conn).await;
            match pid {
                Ok(pid) => return Ok(Session { conn, pid }),
                // One that the pool had: each that died meanwhile is met once.
                Err(error) => {
                    tracing::warn!(%error, "a connection was lost");
                    drop(conn.detach());
                }
            }
        }
    }

    async fn permits(&self, cost: Cost) -> Result<Permits<'_>, tokio::sync::AcquireError> {
        let heavy = match cost {
            Cost::Heavy => Some(self.heavy.acquire().await?),
            _ => None,
        };
        let search = match cost {
            Cost::Point => None,
            _ => Some(self.searches.acquire().await?),
        };
        let free = self.free.acquire().await?;
        // Where the database waits for its disks, or has processors of its own, nobody waits long for a turn.
        let turn = match cost {
            Cost::Search => tokio::time::timeout(TURN_WAIT_MAX, self.turns.acquire()).await.ok(),
            _ => None,
        };
        Ok((turn.transpose()?, heavy, search, free))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connections as soon as their reads have ended.
    async fn close(&self) {
        let closing = self.pool.close();
        self.idle().clear();
        closing.await;
    }
}

/// Leave to use one connection: a turn, as a heavy search, as a search, at all.
type Permits<'a> = (Leave<'a>, Leave<'a>, Leave<'a>, SemaphorePermit<'a>);
type Leave<'a> = Option<SemaphorePermit<'a>>;

/// Turns of one lane of so many.
fn turns(lanes: usize) -> usize {
    (std::thread::available_parallelism().map_or(lanes, usize::from) / lanes).max(1)
}

fn out_of_time() -> ReadError {
    ReadError::TooCostly("the search ran out of time".into())
}

fn ended() -> ReadError {
    ReadError::Unavailable("the read has ended".into())
}

/// Whether the connection was dead: each is met once, then it is gone.
async fn is_lost(conn: &mut PgConnection, error: String) -> bool {
    let lost = conn.ping().await.is_err();
    if lost {
        tracing::warn!(error, "a connection was lost");
    }
    lost
}

impl Drop for Readers {
    fn drop(&mut self) {
        for lane in &mut self.lanes {
            // Its thread has ended if nobody listens.
            let _ = lane.stop.take().map(|stop| stop.send(()));
        }
        for thread in self.lanes.iter_mut().filter_map(|lane| lane.thread.take()) {
            // A panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// Runs several statements on one snapshot.
pub(super) async fn snapshot<T>(
    conn: &mut PgConnection,
    read: impl AsyncFnOnce(&mut PgConnection) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let mut transaction =
        conn.begin_with("begin isolation level repeatable read read only").await?;
    // Dropped, it is rolled back together with the round trip that returns the connection to the pool.
    read(&mut transaction).await
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some("57014") => out_of_time(),
            // Class 54: a limit of the server that the statement is beyond.
            Some(code) if code.starts_with("54") => Self::too_long(),
            // Data or an index that the server finds corrupted.
            Some("XX001" | "XX002") => Self::Damaged(error.to_string()),
            _ if matches!(error, sqlx::Error::ColumnDecode { .. }) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// Between two attempts to cancel a statement.
const CANCEL_PAUSE: Duration = Duration::from_millis(200);
const CANCELS_MAX: usize = 10;
/// Longest wait of a search for its turn while connections are free.
const TURN_WAIT_MAX: Duration = Duration::from_millis(2);
/// Threads that drive the connections of reads.
const LANES: usize = 2;
