//! Reads: a pool of connections on a runtime of its own, so that callers may come from any runtime and
//! a read runs to its end even when its caller went away.

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, Postgres};
use sqlx::{Connection, PgConnection};
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;

use crate::error::ReadError;

/// The pool and its runtime.
pub(super) struct Readers {
    runtime: Option<Runtime>,
    pool: PgPool,
}

impl Readers {
    pub(super) fn new(runtime: Runtime, pool: PgPool) -> Self {
        Self { runtime: Some(runtime), pool }
    }

    /// Runtime of the reads.
    pub(super) fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("the runtime lives until the readers are dropped").handle()
    }

    /// Runs a read on the next free connection; on another if that one turns out to be dead.
    pub(super) fn run<T: Send + 'static>(
        &self,
        mut read: impl for<'c> FnMut(&'c mut PgConnection) -> BoxFuture<'c, Result<T, ReadError>>
        + Send
        + 'static,
    ) -> BoxFuture<'static, Result<T, ReadError>> {
        let pool = self.pool.clone();
        answer_of(self.handle().spawn(async move {
            loop {
                let mut conn = acquire(&pool).await?;
                let result = read(&mut conn).await;
                if let Some(result) = settle(conn, result).await {
                    return result;
                }
            }
        }))
    }
}

fn answer_of<T: Send + 'static>(
    task: JoinHandle<Result<T, ReadError>>,
) -> BoxFuture<'static, Result<T, ReadError>> {
    async {
        let ended = |_| Err(ReadError::Unavailable("the read has ended".into()));
        task.await.unwrap_or_else(ended)
    }
    .boxed()
}

/// The result of a read, or `None` when the connection was dead: each is met once, then it is gone.
async fn settle<T>(
    mut conn: PoolConnection<Postgres>,
    result: Result<T, ReadError>,
) -> Option<Result<T, ReadError>> {
    if let Err(ReadError::Unavailable(text)) = &result
        && conn.ping().await.is_err()
    {
        tracing::warn!(error = text, "a connection was lost");
        drop(conn.detach());
        return None;
    }
    Some(result)
}

impl Drop for Readers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            let pool = self.pool.clone();
            // A thread of its own, as a runtime must not wait inside another.
            let closing = std::thread::spawn(move || {
                runtime.block_on(pool.close());
                runtime.shutdown_background();
            });
            // A panic was reported where it happened.
            let _ = closing.join();
        }
    }
}

async fn acquire(pool: &PgPool) -> Result<PoolConnection<Postgres>, ReadError> {
    pool.acquire().await.map_err(|error| match error {
        sqlx::Error::PoolTimedOut if pool.size() >= pool.options().get_max_connections() => {
            ReadError::Busy
        }
        other => other.into(),
    })
}

/// Runs several statements on one snapshot.
pub(super) async fn snapshot<T>(
    conn: &mut PgConnection,
    read: impl AsyncFnOnce(&mut PgConnection) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    sqlx::raw_sql("begin isolation level repeatable read read only").execute(&mut *conn).await?;
    let result = read(conn).await;
    sqlx::raw_sql("rollback").execute(conn).await?;
    result
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
