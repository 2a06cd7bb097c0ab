//! Access records of commits: written with the data (`pending`), removed once they stand in the access journal.

use sqlx::{PgConnection, Row};

use super::read::{array, sql_limit};
use crate::error::ReadError;
use crate::outbox::AccessRow;
use crate::write_set::AccessRecord;

/// Records above an id that wait, ascending.
pub(super) async fn waiting(
    conn: &mut PgConnection,
    after: u64,
    limit: usize,
) -> Result<Vec<AccessRow>, ReadError> {
    let rows = sqlx::query(
        "select access_id, salt_id, entry, body from access_outbox
         where access_id > $1 order by access_id limit $2",
    )
    .bind(after.cast_signed())
    .bind(sql_limit(limit))
    .fetch_all(conn)
    .await?;
    let row = |row: &sqlx::postgres::PgRow| {
        let record = AccessRecord {
            salt_id: array(row.try_get(1)?)?,
            entry: array(row.try_get(2)?)?,
            body: row.try_get(3)?,
        };
        Ok(AccessRow { access_id: row.try_get::<i64, _>(0)?.cast_unsigned(), record })
    };
    rows.iter().map(row).collect()
}

/// Removes records in the open transaction; those that are gone already are no error.
pub(super) async fn clear(conn: &mut PgConnection, access_ids: &[u64]) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = access_ids.iter().map(|id| id.cast_signed()).collect();
    sqlx::query("delete from access_outbox where access_id = any($1)")
        .bind(ids)
        .execute(conn)
        .await?;
    Ok(())
}
