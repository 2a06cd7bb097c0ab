//! The outbox of ledger entries: read in order, and cleared once its rows are under a checkpoint.

use sqlx::{PgConnection, Row};

use super::read::{array, sql_limit};
use crate::error::{CommitError, ReadError};
use crate::outbox::{OutboxRow, SEALED_SIZE, SealedRange, first_gap};

/// Rows above `after`, ascending.
pub(super) async fn outbox(
    conn: &mut PgConnection,
    after: u64,
    limit: usize,
) -> Result<Vec<OutboxRow>, ReadError> {
    let rows = sqlx::query(
        "select outbox_id, change, entry from ledger_outbox
         where outbox_id > $1 order by outbox_id limit $2",
    )
    .bind(after.cast_signed())
    .bind(sql_limit(limit))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(OutboxRow {
                outbox_id: row.try_get::<i64, _>(0)?.cast_unsigned(),
                change: row.try_get::<Option<i64>, _>(1)?.map(i64::cast_unsigned),
                entry: array(row.try_get(2)?)?,
            })
        })
        .collect()
}

/// Moves outbox rows to their place in the log. A range that is recorded already is left alone.
pub(super) async fn mark(
    conn: &mut PgConnection,
    ranges: &[SealedRange],
) -> Result<Result<(), CommitError>, sqlx::Error> {
    let mut size = sealed_size(conn).await?;
    if first_gap(ranges, size).is_some() {
        return Ok(Err(CommitError::Stale));
    }
    let (mut indexes, mut ids) = (Vec::new(), Vec::new());
    for range in ranges {
        for (log_index, outbox_id) in (range.first_index..).zip(&range.outbox_ids) {
            if let Some(outbox_id) = outbox_id
                && log_index >= size
            {
                indexes.push(log_index.cast_signed());
                ids.push(outbox_id.cast_signed());
            }
        }
        size = size.max(range.first_index + range.outbox_ids.len() as u64);
    }
    sqlx::query(
        // By `any`, as a join would be planned by what the statistics say of a table that is empty most of the time.
        "with moved as (
           delete from ledger_outbox where outbox_id = any($2) returning outbox_id, change, salt_id)
         insert into ledger_entry (log_index, change, salt_id)
         select u.log_index, m.change, m.salt_id
         from unnest($1, $2) u (log_index, outbox_id) join moved m on m.outbox_id = u.outbox_id",
    )
    .bind(indexes)
    .bind(ids)
    .execute(&mut *conn)
    .await?;
    set_setting(conn, SEALED_SIZE, &size.to_le_bytes()).await?;
    Ok(Ok(()))
}

/// Number of log entries recorded.
pub(super) async fn sealed_size(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let value = setting(conn, SEALED_SIZE).await?;
    Ok(value.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes))
}

/// A named value.
pub(super) async fn setting(
    conn: &mut PgConnection,
    name: &str,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar("select value from setting where name = $1")
        .bind(name)
        .fetch_optional(conn)
        .await
}

/// Sets a named value in the open transaction.
pub(super) async fn set_setting(
    conn: &mut PgConnection,
    name: &str,
    value: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into setting (name, value) values ($1, $2)
         on conflict (name) do update set value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(conn)
    .await?;
    Ok(())
}
