//! Reads of a transaction on a connection: a reader's snapshot, or the writer's own transaction.

use std::time::{Duration, Instant};

use sqlx::PgConnection;

use super::{history, read};
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::reading::{Asked, NoReply, Reading, Reply, Unread, out_of_time};
use crate::search;

/// Answers all reads, or says which has no answer.
pub(super) async fn reply_all(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    asked: &[Asked],
) -> Result<Vec<Reply>, Unread> {
    let mut replies = Vec::with_capacity(asked.len());
    for (at, asked) in asked.iter().enumerate() {
        let reply = reply(conn, index_key, asked).await;
        replies.push(reply.map_err(|cause| Unread { at, cause })?);
    }
    Ok(replies)
}

/// The same within a time, for who holds others up meanwhile. The transaction has a savepoint: it is broken when a
/// statement runs out of time.
pub(super) async fn reply_within(
    time: Duration,
    conn: &mut PgConnection,
    index_key: &IndexKey,
    asked: &[Asked],
) -> Result<Vec<Reply>, Unread> {
    let unread = |at| move |cause| Unread { at, cause };
    let failed = |error: sqlx::Error| unread(0)(NoReply::Failed(error.into()));
    let limit = format!("set local statement_timeout = {}", time.as_millis());
    sqlx::raw_sql(sqlx::AssertSqlSafe(limit)).execute(&mut *conn).await.map_err(failed)?;
    let deadline = Instant::now() + time;
    let mut replies = Vec::with_capacity(asked.len());
    for (at, one) in asked.iter().enumerate() {
        if Instant::now() > deadline {
            return Err(unread(at)(out_of_time()));
        }
        let reply = reply(conn, index_key, one).await.map_err(|cause| match cause {
            NoReply::Failed(ReadError::TooCostly(_)) if Instant::now() > deadline => out_of_time(),
            other => other,
        });
        replies.push(reply.map_err(unread(at))?);
    }
    let reset = "set local statement_timeout to default";
    sqlx::raw_sql(reset).execute(conn).await.map_err(failed)?;
    Ok(replies)
}

async fn reply(
    mut conn: &mut PgConnection,
    index_key: &IndexKey,
    asked: &Asked,
) -> Result<Reply, NoReply> {
    let permit = &asked.permit;
    match &asked.reading {
        Reading::Current(key) => Reply::version(read::read(conn, index_key, permit, key).await?),
        Reading::Version(key) => Reply::version(read::vread(conn, index_key, permit, key).await?),
        Reading::History(query) => {
            Reply::history(history::history(conn, index_key, permit, query).await?)
        }
        Reading::Search(query) => {
            Ok(Reply::Search(search::run(query, permit, index_key, &mut conn).await?))
        }
    }
}
