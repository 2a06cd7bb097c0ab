//! Upkeep on PostgreSQL.
//!
//! Not here: what it is for (`crate::upkeep`), the transaction (`writer`).

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::PgConnection;

use super::store::PostgresStore;
use crate::error::ReadError;
use crate::upkeep::{ANSWERS_AT_ONCE, CHANGES_A_PAGE, ObjectPage, Upkeep};

impl Upkeep for PostgresStore {
    fn oldest_answer(&self) -> BoxFuture<'_, Result<Option<i64>, ReadError>> {
        self.readers.run(|conn| {
            async move {
                let oldest = sqlx::query_scalar("select min(at_us) from idempotency");
                Ok(oldest.fetch_one(conn).await?)
            }
            .boxed()
        })
    }

    fn object_envelopes(&self, after: u64) -> BoxFuture<'_, Result<ObjectPage, ReadError>> {
        self.readers.run(move |conn| page(conn, after).boxed())
    }
}

/// The first bytes tell an envelope of an object (docs/formats.md, "Payload envelope"). Whether there is more is asked
/// afterwards, so that what is committed in between is on the next page.
async fn page(conn: &mut PgConnection, after: u64) -> Result<ObjectPage, ReadError> {
    let to = after.saturating_add(CHANGES_A_PAGE).cast_signed();
    let envelopes: Vec<Vec<u8>> = sqlx::query_scalar(
        r"select payload from resource_version
          where change > $1 and change <= $2 and substr(payload, 1, 2) = '\xe501'::bytea
            and substr(payload, 3, 1) in ('\x04'::bytea, '\x05'::bytea, '\x06'::bytea)",
    )
    .bind(after.cast_signed())
    .bind(to)
    .fetch_all(&mut *conn)
    .await?;
    let is_more: bool =
        sqlx::query_scalar("select exists (select 1 from resource_version where change > $1)")
            .bind(to)
            .fetch_one(conn)
            .await?;
    let envelopes = envelopes.into_iter().map(Bytes::from).collect();
    Ok(ObjectPage { envelopes, next: is_more.then_some(to.cast_unsigned()) })
}

/// Removes answers that were given before a time, the oldest first, as many as one job may.
pub(super) async fn expire(conn: &mut PgConnection, before_us: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from idempotency where (sender, control_id) in (
           select sender, control_id from idempotency where at_us < $1 order by at_us limit $2)",
    )
    .bind(before_us)
    .bind(ANSWERS_AT_ONCE)
    .execute(conn)
    .await?;
    Ok(())
}
