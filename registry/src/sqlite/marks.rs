//! What an SQLite database says of itself: the hash key of its index, and the rules its index rows were made by.
//!
//! Not here: the schema (`migrate`), the rules themselves (`index::table`).

use fhir::FullText;
use rusqlite::{Connection, params};

use super::sealed;
use crate::error::OpenError;
use crate::hash::{INDEX_KEY_GONE, IndexKey};
use crate::index::table;

/// The installation's hash key; made by the first opening, from SQLite's random source.
pub(super) fn index_key(conn: &Connection) -> Result<IndexKey, OpenError> {
    let is_used = conn.prepare("select 1 from resource limit 1")?.exists([])?;
    if is_used && sealed::setting(conn, INDEX_KEY)?.is_none() {
        return Err(OpenError::Damaged(INDEX_KEY_GONE.to_owned()));
    }
    conn.execute(
        "insert or ignore into setting (name, value) values (?1, randomblob(16))",
        params![INDEX_KEY],
    )?;
    stored_index_key(conn)
}

/// The hash key that is there.
pub(super) fn stored_index_key(conn: &Connection) -> Result<IndexKey, OpenError> {
    let bytes = sealed::setting(conn, INDEX_KEY)?.and_then(|bytes| bytes.try_into().ok());
    let damaged = || OpenError::Damaged("the index key is missing or malformed".into());
    bytes.map(IndexKey::from_bytes).ok_or_else(damaged)
}

/// Refuses index rows of other rules; an empty database is taken over.
pub(super) fn check_search_table(conn: &Connection, full_text: FullText) -> Result<(), OpenError> {
    let (stored, mark) = (expect_search_table(conn, full_text)?, table::mark(full_text));
    if stored.as_ref() != Some(&mark) {
        conn.execute(
            "insert or replace into setting (name, value) values (?1, ?2)",
            params![table::SEARCH_TABLE, mark],
        )?;
    }
    Ok(())
}

/// Refuses index rows of other rules; gives what the database says of its own.
pub(super) fn expect_search_table(
    conn: &Connection,
    full_text: FullText,
) -> Result<Option<Vec<u8>>, OpenError> {
    let stored = sealed::setting(conn, table::SEARCH_TABLE)?;
    let is_empty = !conn.prepare("select 1 from resource limit 1")?.exists([])?;
    table::check(stored.as_deref(), is_empty, full_text)?;
    Ok(stored)
}

const INDEX_KEY: &str = "index_key";
