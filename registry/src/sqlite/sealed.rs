//! The outbox of ledger entries: read in order, and cleared once its rows are under a checkpoint.

use rusqlite::{Connection, OptionalExtension, params};

use super::read::sql_limit;
use crate::error::CommitError;
use crate::outbox::{OutboxRow, SEALED_SIZE, SealedRange, first_gap};

/// Rows above `after`, ascending.
pub(super) fn outbox(
    conn: &Connection,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<OutboxRow>> {
    conn.prepare_cached(
        "select outbox_id, change, entry from ledger_outbox
         where outbox_id > ?1 order by outbox_id limit ?2",
    )?
    .query_map(params![after.cast_signed(), sql_limit(limit)], |row| {
        Ok(OutboxRow {
            outbox_id: row.get::<_, i64>(0)?.cast_unsigned(),
            change: row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned),
            entry: row.get(2)?,
        })
    })?
    .collect()
}

/// Moves outbox rows to their place in the log. A range that is recorded already is left alone.
pub(super) fn mark(
    conn: &Connection,
    ranges: &[SealedRange],
) -> rusqlite::Result<Result<(), CommitError>> {
    let mut size = sealed_size(conn)?;
    if first_gap(ranges, size).is_some() {
        return Ok(Err(CommitError::Stale));
    }
    let mut insert = conn.prepare_cached(
        "insert into ledger_entry (log_index, change, salt_id)
         select ?1, change, salt_id from ledger_outbox where outbox_id = ?2",
    )?;
    let mut delete = conn.prepare_cached("delete from ledger_outbox where outbox_id = ?1")?;
    for range in ranges {
        for (log_index, outbox_id) in (range.first_index..).zip(&range.outbox_ids) {
            if log_index < size {
                continue;
            }
            if let Some(outbox_id) = outbox_id {
                insert.execute([log_index.cast_signed(), outbox_id.cast_signed()])?;
                delete.execute([outbox_id.cast_signed()])?;
            }
        }
        size = size.max(range.first_index + range.outbox_ids.len() as u64);
    }
    conn.prepare_cached("insert or replace into setting (name, value) values (?1, ?2)")?
        .execute(params![SEALED_SIZE, size.to_le_bytes().as_slice()])?;
    Ok(Ok(()))
}

/// Number of log entries recorded.
pub(super) fn sealed_size(conn: &Connection) -> rusqlite::Result<u64> {
    let value: Option<Vec<u8>> = setting(conn, SEALED_SIZE)?;
    Ok(value.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes))
}

/// A named value.
pub(super) fn setting(conn: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    conn.prepare_cached("select value from setting where name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}
