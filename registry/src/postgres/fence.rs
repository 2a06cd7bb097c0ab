//! The right to seal: one process at a time takes what the outboxes hold to a log.
//!
//! A session's advisory lock, on a connection of its own that is looked after every second. The lock is one a
//! database, since the outboxes are, whatever the log is called. Whoever takes it raises the epoch, under the
//! writers' lock. What only the sequencer may do is refused inside the writer's transaction once the epoch there
//! is another: so a process that lost the lock and does not know it yet marks nothing.
//! Not here: what happens to sealing meanwhile (`gateway::sealer`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::sealed::{set_setting, setting};
use crate::error::SequencerError;

/// What this process knows of its right.
#[derive(Default)]
pub(super) struct Fence {
    /// Epoch of the last taking; 0 when this process never asked, as those that do not seal.
    epoch: AtomicU64,
    is_held: AtomicBool,
}

impl Fence {
    /// True while the connection with the lock lives, or when it was never asked for.
    pub(super) fn is_held(&self) -> bool {
        self.epoch.load(Ordering::Acquire) == 0 || self.is_held.load(Ordering::Acquire)
    }

    /// Asked without a lock: the epoch of the last taking, if the right is held and the database has the same.
    pub(super) async fn current(
        &self,
        conn: &mut PgConnection,
    ) -> Result<Option<u64>, sqlx::Error> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let is_current = self.is_current(conn).await?;
        // One that was taken meanwhile is told next time.
        Ok((is_current && self.epoch.load(Ordering::Acquire) == epoch).then_some(epoch))
    }

    /// Asked in the writer's transaction, under the writers' lock: may this process act as the sequencer?
    pub(super) async fn is_current(&self, conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
        match self.epoch.load(Ordering::Acquire) {
            0 => Ok(true),
            epoch => Ok(self.is_held() && stored_epoch(conn).await? == epoch),
        }
    }

    fn note(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
        self.is_held.store(true, Ordering::Release);
    }

    /// Takes the right on a runtime that lives as long as the store, and keeps it there.
    ///
    /// # Errors
    /// As [`Fence::take`].
    pub(super) fn begin(
        self: &Arc<Self>,
        session: &PgConnectOptions,
        on: &Handle,
    ) -> BoxFuture<'static, Result<(), SequencerError>> {
        let (fence, session) = (Arc::clone(self), session.clone());
        let taking = on.spawn(async move {
            let conn = fence.take(&session).await?;
            tokio::spawn(fence.keep(session, conn));
            Ok(())
        });
        async {
            let ended = |_| Err(SequencerError::Unavailable("the taking has ended".into()));
            taking.await.unwrap_or_else(ended)
        }
        .boxed()
    }

    /// Takes the right, waiting some seconds for a holder that is about to leave.
    ///
    /// # Errors
    /// [`SequencerError::Taken`] when another process has it.
    pub(super) async fn take(
        &self,
        connect: &PgConnectOptions,
    ) -> Result<PgConnection, SequencerError> {
        let begun = Instant::now();
        let mut conn = PgConnection::connect_with(connect).await?;
        while !try_lock(&mut conn).await? {
            if begun.elapsed() > TAKE_WAIT {
                return Err(SequencerError::Taken(holder(&mut conn).await));
            }
            sleep(TRY_PAUSE).await;
        }
        self.note(raise_epoch(&mut conn).await?);
        Ok(conn)
    }

    /// Looks after the connection with the lock; when it is lost, tries to take the right again.
    pub(super) async fn keep(self: Arc<Self>, connect: PgConnectOptions, mut conn: PgConnection) {
        loop {
            while is_alive(&mut conn).await {
                sleep(LOOK_PAUSE).await;
            }
            self.is_held.store(false, Ordering::Release);
            tracing::error!("the connection that holds the right to seal was lost");
            drop(conn);
            conn = loop {
                sleep(LOOK_PAUSE).await;
                match timeout(RETAKE_WAIT, retake(&connect)).await {
                    Ok(Ok(Some((conn, epoch)))) => {
                        tracing::info!("the right to seal is taken again");
                        self.note(epoch);
                        break conn;
                    }
                    Ok(Ok(None)) => tracing::error!("another gateway has taken the right to seal"),
                    Ok(Err(_)) | Err(_) => {}
                }
            };
        }
    }
}

/// Options of the connection with the lock: the server is to notice soon when this host is gone.
pub(super) fn session(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("sealway sequencer").options([
        ("synchronous_commit", "on"),
        ("lock_timeout", "10000"),
        ("idle_session_timeout", "0"),
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "3"),
        ("tcp_keepalives_count", "3"),
    ])
}

async fn retake(connect: &PgConnectOptions) -> Result<Option<(PgConnection, u64)>, sqlx::Error> {
    let mut conn = PgConnection::connect_with(connect).await?;
    if !try_lock(&mut conn).await? {
        return Ok(None);
    }
    let epoch = raise_epoch(&mut conn).await?;
    Ok(Some((conn, epoch)))
}

async fn is_alive(conn: &mut PgConnection) -> bool {
    let asked = timeout(LOOK_WAIT, sqlx::query("select 1").execute(conn)).await;
    matches!(asked, Ok(Ok(_)))
}

async fn try_lock(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(SEQUENCER_LOCK).fetch_one(conn).await
}

async fn raise_epoch(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let mut transaction = conn.begin().await?;
    // A mark of the former holder is committed now, or finds the new epoch.
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(WRITERS_LOCK)
        .execute(&mut *transaction)
        .await?;
    let epoch = stored_epoch(&mut transaction).await? + 1;
    set_setting(&mut transaction, EPOCH, &epoch.to_le_bytes()).await?;
    transaction.commit().await?;
    Ok(epoch)
}

async fn stored_epoch(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let value = setting(conn, EPOCH).await?;
    Ok(value.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes))
}

/// Who has the lock, as far as this role may see it.
async fn holder(conn: &mut PgConnection) -> String {
    let found: Result<Option<String>, sqlx::Error> = sqlx::query_scalar(
        "select coalesce('from ' || host(a.client_addr), 'on the server''s host') || ', since '
                || to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'
         from pg_locks l join pg_stat_activity a using (pid)
         where l.locktype = 'advisory' and l.granted and l.objsubid = 1
           and l.database = (select oid from pg_database where datname = current_database())
           and l.classid::bigint = $1 >> 32 and l.objid::bigint = $1 & 4294967295",
    )
    .bind(SEQUENCER_LOCK)
    .fetch_optional(conn)
    .await
    .map(Option::flatten);
    found.ok().flatten().unwrap_or_else(|| "from an unknown address".to_owned())
}

impl From<sqlx::Error> for SequencerError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// "sealseq" as bytes.
const SEQUENCER_LOCK: i64 = 32_481_091_427_460_465;
/// Lock of the writers (`commit`): "sealway" as bytes.
const WRITERS_LOCK: i64 = 32_481_091_427_721_593;
/// Setting: how often the right was taken.
const EPOCH: &str = "sequencer_epoch";
/// A gateway that stops, or was killed, is gone by then.
const TAKE_WAIT: Duration = Duration::from_secs(5);
const TRY_PAUSE: Duration = Duration::from_millis(100);
/// The connection is looked at this often, and has this long to answer.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
const LOOK_WAIT: Duration = Duration::from_secs(3);
const RETAKE_WAIT: Duration = Duration::from_secs(15);
