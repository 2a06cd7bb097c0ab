//! Access records of commits: written with the data, removed once they stand in the access journal.

use rusqlite::{Connection, params};

use super::read::sql_limit;
use crate::outbox::AccessRow;
use crate::write_set::AccessRecord;

/// Adds the record of a set in the open transaction.
pub(super) fn add(conn: &Connection, record: &AccessRecord) -> rusqlite::Result<()> {
    conn.prepare_cached("insert into access_outbox (salt_id, entry, body) values (?1, ?2, ?3)")?
        .execute(params![record.salt_id.as_slice(), record.entry.as_slice(), record.body])?;
    Ok(())
}

/// Records above an id that wait, ascending.
pub(super) fn waiting(
    conn: &Connection,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<AccessRow>> {
    conn.prepare_cached(
        "select access_id, salt_id, entry, body from access_outbox
         where access_id > ?1 order by access_id limit ?2",
    )?
    .query_map(params![after.cast_signed(), sql_limit(limit)], |row| {
        let record = AccessRecord { salt_id: row.get(1)?, entry: row.get(2)?, body: row.get(3)? };
        Ok(AccessRow { access_id: row.get::<_, i64>(0)?.cast_unsigned(), record })
    })?
    .collect()
}

/// Removes records in the open transaction; those that are gone already are no error.
pub(super) fn clear(conn: &Connection, access_ids: &[u64]) -> rusqlite::Result<()> {
    let mut delete = conn.prepare_cached("delete from access_outbox where access_id = ?1")?;
    for access_id in access_ids {
        delete.execute([access_id.cast_signed()])?;
    }
    Ok(())
}
