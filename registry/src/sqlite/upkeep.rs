//! Upkeep on SQLite.
//!
//! Not here: what it is for (`crate::upkeep`), the transaction (`writer`).

use bytes::Bytes;
use futures::future::BoxFuture;
use rusqlite::{Connection, params};

use super::reader::snapshot;
use super::store::SqliteStore;
use crate::error::ReadError;
use crate::upkeep::{ANSWERS_AT_ONCE, CHANGES_A_PAGE, ObjectPage, Upkeep};

impl Upkeep for SqliteStore {
    fn oldest_answer(&self) -> BoxFuture<'_, Result<Option<i64>, ReadError>> {
        self.read_with(|conn| {
            Ok(conn.query_row("select min(at_us) from idempotency", [], |row| row.get(0))?)
        })
    }

    fn object_envelopes(&self, after: u64) -> BoxFuture<'_, Result<ObjectPage, ReadError>> {
        self.read_with(move |conn| snapshot(conn, |conn| page(conn, after)))
    }
}

/// The first bytes tell an envelope of an object (docs/formats.md, "Payload envelope").
fn page(conn: &Connection, after: u64) -> Result<ObjectPage, ReadError> {
    let to = after.saturating_add(CHANGES_A_PAGE).cast_signed();
    let mut select = conn.prepare_cached(
        "select payload from resource_version
         where change > ?1 and change <= ?2 and substr(payload, 1, 2) = x'e501'
           and substr(payload, 3, 1) in (x'04', x'05', x'06')",
    )?;
    let rows =
        select.query_map(params![after.cast_signed(), to], |row| row.get::<_, Vec<u8>>(0))?;
    let envelopes = rows.map(|row| row.map(Bytes::from)).collect::<rusqlite::Result<_>>()?;
    let is_more = conn
        .prepare_cached("select 1 from resource_version where change > ?1 limit 1")?
        .exists([to])?;
    Ok(ObjectPage { envelopes, next: is_more.then_some(to.cast_unsigned()) })
}

/// Removes answers that were given before a time, the oldest first, as many as one job may.
pub(super) fn expire(conn: &Connection, before_us: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "delete from idempotency where (sender, control_id) in (
           select sender, control_id from idempotency where at_us < ?1 order by at_us limit ?2)",
    )?
    .execute([before_us, ANSWERS_AT_ONCE])?;
    Ok(())
}
