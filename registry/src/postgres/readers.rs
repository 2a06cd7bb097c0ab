//! Reads: a few lanes, each a thread with a runtime and connections of its own, so that callers may come from any
//! runtime, a read runs to its end even when its caller went away, and no read moves between threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle as Thread;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, Postgres};
use sqlx::{Connection, PgConnection};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};

use super::options::{ACQUIRE_TIMEOUT, PostgresOptions};
use crate::error::{OpenError, ReadError};

/// The lanes.
pub(super) struct Readers {
    lanes: Vec<Lane>,
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
    idle: Mutex<Vec<PoolConnection<Postgres>>>,
    /// As many as the pool may open.
    free: Semaphore,
    /// Reads that were begun and have no answer yet.
    begun: AtomicUsize,
}

impl Readers {
    /// Starts the lanes; connections are made when they are first needed.
    ///
    /// # Errors
    /// [`OpenError::Unavailable`] without threads, or for an address that cannot be read.
    pub(super) fn start(options: &PostgresOptions) -> Result<Self, OpenError> {
        let connections = usize::try_from(options.max_connections.max(1)).unwrap_or(1);
        let lanes = connections.min(LANES);
        let share = |lane: usize| connections / lanes + usize::from(lane < connections % lanes);
        let lanes = (0..lanes).map(|lane| Lane::start(options, share(lane)));
        Ok(Self { lanes: lanes.collect::<Result<_, _>>()? })
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

    /// Runs a read on the next free connection; on another if that one turns out to be dead.
    pub(super) fn run<T: Send + 'static>(
        &self,
        read: impl for<'c> FnMut(&'c mut PgConnection) -> BoxFuture<'c, Result<T, ReadError>>
        + Send
        + 'static,
    ) -> BoxFuture<'static, Result<T, ReadError>> {
        let lane = self.least();
        let work = Arc::clone(&lane.work);
        let (reply, answer) = oneshot::channel();
        work.begun.fetch_add(1, Ordering::Relaxed);
        lane.handle.spawn(async move {
            work.run(read, reply).await;
        });
        async { answer.await.unwrap_or_else(|_| Err(ended())) }.boxed()
    }
}

impl Lane {
    fn start(options: &PostgresOptions, connections: usize) -> Result<Self, OpenError> {
        let failed = |error: std::io::Error| OpenError::Unavailable(error.to_string());
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let pool = {
            let _entered = runtime.enter();
            options.pool(connections).connect_lazy_with(options.reader()?)
        };
        let work = Arc::new(Work {
            pool,
            idle: Mutex::new(Vec::with_capacity(connections)),
            free: Semaphore::new(connections),
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
        mut read: impl for<'c> FnMut(&'c mut PgConnection) -> BoxFuture<'c, Result<T, ReadError>>,
        reply: oneshot::Sender<Result<T, ReadError>>,
    ) {
        let (result, used) = loop {
            let (permit, mut conn) = match self.acquire().await {
                Ok(acquired) => acquired,
                Err(error) => break (Err(error), None),
            };
            let result = read(&mut conn).await;
            if let Err(ReadError::Unavailable(text)) = &result
                && is_lost(&mut conn, text.clone()).await
            {
                drop(conn.detach());
                continue;
            }
            break (result, Some((permit, conn)));
        };
        self.begun.fetch_sub(1, Ordering::Relaxed);
        // Whoever asked may be gone.
        let _ = reply.send(result);
        let Some((permit, mut conn)) = used else { return };
        // A transaction that was dropped is rolled back now.
        if conn.should_flush()
            && let Err(error) = conn.ping().await
        {
            tracing::warn!(%error, "a connection was lost");
            drop(conn.detach());
        } else if !self.pool.is_closed() {
            self.idle().push(conn);
        }
        drop(permit);
    }

    async fn acquire(&self) -> Result<(Permit<'_>, PoolConnection<Postgres>), ReadError> {
        let permit = tokio::time::timeout(ACQUIRE_TIMEOUT, self.free.acquire()).await;
        let permit = permit.map_err(|_| ReadError::Busy)?.map_err(|_| ended())?;
        let idle = self.idle().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => self.pool.acquire().await?,
        };
        Ok((permit, conn))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<PoolConnection<Postgres>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connections as soon as their reads have ended.
    async fn close(&self) {
        let closing = self.pool.close();
        self.idle().clear();
        closing.await;
    }
}

/// Leave to use one connection.
type Permit<'a> = tokio::sync::SemaphorePermit<'a>;

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
            Some("57014") => Self::TooCostly("the search ran out of time".into()),
            // Data or an index that the server finds corrupted.
            Some("XX001" | "XX002") => Self::Damaged(error.to_string()),
            _ if matches!(error, sqlx::Error::ColumnDecode { .. }) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// Threads that drive the connections of reads.
const LANES: usize = 2;
