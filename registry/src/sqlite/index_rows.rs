//! Index rows in and out: only the difference to the former version is written.
//!
//! Insertions wait in [`Pending`] until the end of the group and go in sorted by key; whoever reads
//! index rows in the same transaction flushes first. Deletions are written at once, so a resource
//! with pending rows is flushed before it changes again.

use std::collections::HashSet;

use rusqlite::{CachedStatement, Connection, params};

use crate::index::rows::{
    DateRow, IndexRows, NumberRow, QuantityRow, ReferenceRow, StringRow, TokenRow, UriRow,
};
use crate::index::words::Words;
use crate::place::Place;

/// Index rows to be inserted at the end of the group.
#[derive(Default)]
pub(super) struct Pending {
    tokens: Vec<(TokenRow, Place)>,
    references: Vec<(ReferenceRow, Place)>,
    dates: Vec<(DateRow, Place)>,
    numbers: Vec<(NumberRow, Place)>,
    quantities: Vec<(QuantityRow, Place)>,
    strings: Vec<(StringRow, Place)>,
    uris: Vec<(UriRow, Place)>,
    words: Vec<(i64, Words)>,
    rids: HashSet<i64>,
}

impl Pending {
    /// Queues all rows of a resource at its place.
    pub(super) fn add(&mut self, rows: IndexRows, place: Place) {
        fn queue<T>(to: &mut Vec<(T, Place)>, from: Vec<T>, place: Place) {
            to.extend(from.into_iter().map(|row| (row, place)));
        }
        if rows.count() > 0 {
            self.rids.insert(place.rid);
        }
        queue(&mut self.tokens, rows.tokens, place);
        queue(&mut self.references, rows.references, place);
        queue(&mut self.dates, rows.dates, place);
        queue(&mut self.numbers, rows.numbers, place);
        queue(&mut self.quantities, rows.quantities, place);
        queue(&mut self.strings, rows.strings, place);
        queue(&mut self.uris, rows.uris, place);
        if !rows.words.is_empty() {
            self.words.push((place.rid, rows.words));
        }
    }

    /// True if rows of this resource wait.
    pub(super) fn holds(&self, rid: i64) -> bool {
        self.rids.contains(&rid)
    }

    /// Forgets everything, after a rollback.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Inserts everything that waits, in the order of each table's key.
    pub(super) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        if self.rids.is_empty() {
            return Ok(());
        }
        self.rids.clear();
        flush_exact(self, conn)?;
        flush_ranges(self, conn)?;
        flush_texts(self, conn)?;
        flush_words(self, conn)
    }
}

fn flush_exact(pending: &mut Pending, conn: &Connection) -> rusqlite::Result<()> {
    pending.tokens.sort_unstable_by_key(|(row, place)| (row.param, row.code_hash, place.nsort));
    drain(&mut pending.tokens, conn, INSERT_TOKEN, |insert, row, at| {
        insert.execute(params![
            row.param,
            row.code_hash,
            at.nsort,
            at.rid,
            row.sys_hash,
            at.patient
        ])
    })?;
    pending.references.sort_unstable_by_key(|(row, place)| {
        (row.param, row.target_hash, row.code_hash, place.nsort)
    });
    drain(&mut pending.references, conn, INSERT_REFERENCE, |insert, row, at| {
        insert.execute(params![
            row.param,
            row.target_hash,
            row.code_hash,
            at.nsort,
            at.rid,
            at.patient
        ])
    })
}

fn flush_ranges(pending: &mut Pending, conn: &Connection) -> rusqlite::Result<()> {
    pending.dates.sort_unstable_by_key(|(row, _)| *row);
    drain(&mut pending.dates, conn, INSERT_DATE, |insert, row, at| {
        insert.execute(params![row.param, row.lo, row.hi, at.nsort, at.rid, at.patient])
    })?;
    pending.numbers.sort_unstable_by(|(a, _), (b, _)| a.order(b));
    drain(&mut pending.numbers, conn, INSERT_NUMBER, |insert, row, at| {
        insert.execute(params![row.param, row.lo, row.hi, at.nsort, at.rid, at.patient])
    })?;
    pending.quantities.sort_unstable_by(|(a, _), (b, _)| a.order(b));
    drain(&mut pending.quantities, conn, INSERT_QUANTITY, |insert, row, at| {
        insert.execute(params![
            row.param,
            row.code_hash,
            row.lo,
            row.hi,
            at.nsort,
            at.rid,
            row.unit_hash,
            row.sys_hash,
            at.patient
        ])
    })
}

fn flush_texts(pending: &mut Pending, conn: &Connection) -> rusqlite::Result<()> {
    pending.strings.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    drain(&mut pending.strings, conn, INSERT_STRING, |insert, row, at| {
        insert.execute(params![row.param, row.norm, at.nsort, at.rid, row.exact, at.patient])
    })?;
    pending.uris.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    drain(&mut pending.uris, conn, INSERT_URI, |insert, row, at| {
        insert.execute(params![row.param, row.uri, at.nsort, at.rid, at.patient])
    })
}

/// FTS5 wants ascending rows within a transaction: each step back ends a segment of its index.
fn flush_words(pending: &mut Pending, conn: &Connection) -> rusqlite::Result<()> {
    if pending.words.is_empty() {
        return Ok(());
    }
    pending.words.sort_unstable_by_key(|(rid, _)| *rid);
    let mut insert = conn.prepare_cached(INSERT_WORDS)?;
    for (rid, words) in pending.words.drain(..) {
        let (narrative, content) = words.columns();
        insert.execute(params![rid, narrative, content])?;
    }
    Ok(())
}

fn drain<T>(
    rows: &mut Vec<(T, Place)>,
    conn: &Connection,
    sql: &str,
    mut put: impl FnMut(&mut CachedStatement<'_>, &T, Place) -> rusqlite::Result<usize>,
) -> rusqlite::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = conn.prepare_cached(sql)?;
    for (row, place) in rows.drain(..) {
        put(&mut insert, &row, place)?;
    }
    Ok(())
}

/// Rows of the current version that are not in its list of terms: dates, numbers, strings, uris.
pub(super) fn listed_by_rid(
    conn: &Connection,
    rid: i64,
    into: &mut IndexRows,
) -> rusqlite::Result<()> {
    collect(conn, SELECT_DATES, rid, &mut into.dates, |row| {
        Ok(DateRow { param: row.get(0)?, lo: row.get(1)?, hi: row.get(2)? })
    })?;
    collect(conn, SELECT_NUMBERS, rid, &mut into.numbers, |row| {
        Ok(NumberRow { param: row.get(0)?, lo: row.get(1)?, hi: row.get(2)? })
    })?;
    collect(conn, SELECT_STRINGS, rid, &mut into.strings, |row| {
        Ok(StringRow { param: row.get(0)?, norm: row.get(1)?, exact: row.get(2)? })
    })?;
    collect(conn, SELECT_URIS, rid, &mut into.uris, |row| {
        Ok(UriRow { param: row.get(0)?, uri: row.get(1)? })
    })
}

fn collect<T>(
    conn: &Connection,
    sql: &str,
    rid: i64,
    into: &mut Vec<T>,
    read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<()> {
    let mut select = conn.prepare_cached(sql)?;
    for row in select.query_map([rid], |row| read(row))? {
        into.push(row?);
    }
    Ok(())
}

/// Deletes rows that stand at `place`.
pub(super) fn delete(conn: &Connection, rows: &IndexRows, at: Place) -> rusqlite::Result<()> {
    each(conn, DELETE_TOKEN, &rows.tokens, |delete, row| {
        delete.execute(params![row.param, row.code_hash, at.nsort, at.rid, row.sys_hash])
    })?;
    each(conn, DELETE_REFERENCE, &rows.references, |delete, row| {
        delete.execute(params![row.param, row.target_hash, row.code_hash, at.nsort, at.rid])
    })?;
    each(conn, DELETE_DATE, &rows.dates, |delete, row| {
        delete.execute(params![row.param, row.lo, row.hi, at.nsort, at.rid])
    })?;
    each(conn, DELETE_NUMBER, &rows.numbers, |delete, row| {
        delete.execute(params![row.param, row.lo, row.hi, at.nsort, at.rid])
    })?;
    each(conn, DELETE_QUANTITY, &rows.quantities, |delete, row| {
        delete.execute(params![
            row.param,
            row.code_hash,
            row.lo,
            row.hi,
            at.nsort,
            at.rid,
            row.unit_hash,
            row.sys_hash
        ])
    })?;
    each(conn, DELETE_STRING, &rows.strings, |delete, row| {
        delete.execute(params![row.param, row.norm, at.nsort, at.rid, row.exact])
    })?;
    each(conn, DELETE_URI, &rows.uris, |delete, row| {
        delete.execute(params![row.param, row.uri, at.nsort, at.rid])
    })?;
    let words = &[&rows.words][..usize::from(!rows.words.is_empty())];
    each(conn, DELETE_WORDS, words, |delete, _| delete.execute([at.rid]))
}

fn each<T>(
    conn: &Connection,
    sql: &str,
    rows: &[T],
    mut run: impl FnMut(&mut CachedStatement<'_>, &T) -> rusqlite::Result<usize>,
) -> rusqlite::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut statement = conn.prepare_cached(sql)?;
    for row in rows {
        run(&mut statement, row)?;
    }
    Ok(())
}

const INSERT_TOKEN: &str =
    "insert into search_token (param, code_hash, nsort, rid, sys_hash, patient)
 values (?1, ?2, ?3, ?4, ?5, ?6)";
const INSERT_REFERENCE: &str =
    "insert into search_reference (param, target_hash, code_hash, nsort, rid, patient)
 values (?1, ?2, ?3, ?4, ?5, ?6)";
const INSERT_DATE: &str = "insert into search_date (param, lo, hi, nsort, rid, patient)
 values (?1, ?2, ?3, ?4, ?5, ?6)";
const INSERT_NUMBER: &str = "insert into search_number (param, lo, hi, nsort, rid, patient)
 values (?1, ?2, ?3, ?4, ?5, ?6)";
const INSERT_QUANTITY: &str = "insert into search_quantity
 (param, code_hash, lo, hi, nsort, rid, unit_hash, sys_hash, patient)
 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const INSERT_STRING: &str = "insert into search_string (param, norm, nsort, rid, exact, patient)
 values (?1, ?2, ?3, ?4, ?5, ?6)";
const INSERT_URI: &str = "insert into search_uri (param, uri, nsort, rid, patient)
 values (?1, ?2, ?3, ?4, ?5)";
const INSERT_WORDS: &str =
    "insert into search_text (rowid, narrative, content) values (?1, ?2, ?3)";

const SELECT_DATES: &str = "select param, lo, hi from search_date where rid = ?1";
const SELECT_NUMBERS: &str = "select param, lo, hi from search_number where rid = ?1";
const SELECT_STRINGS: &str = "select param, norm, exact from search_string where rid = ?1";
const SELECT_URIS: &str = "select param, uri from search_uri where rid = ?1";

const DELETE_TOKEN: &str = "delete from search_token
 where param = ?1 and code_hash = ?2 and nsort = ?3 and rid = ?4 and sys_hash = ?5";
const DELETE_REFERENCE: &str = "delete from search_reference
 where param = ?1 and target_hash = ?2 and code_hash = ?3 and nsort = ?4 and rid = ?5";
const DELETE_DATE: &str = "delete from search_date
 where param = ?1 and lo = ?2 and hi = ?3 and nsort = ?4 and rid = ?5";
const DELETE_NUMBER: &str = "delete from search_number
 where param = ?1 and lo = ?2 and hi = ?3 and nsort = ?4 and rid = ?5";
const DELETE_QUANTITY: &str = "delete from search_quantity
 where param = ?1 and code_hash = ?2 and lo = ?3 and hi = ?4 and nsort = ?5 and rid = ?6
 and unit_hash = ?7 and sys_hash = ?8";
const DELETE_STRING: &str = "delete from search_string
 where param = ?1 and norm = ?2 and nsort = ?3 and rid = ?4 and exact = ?5";
const DELETE_URI: &str = "delete from search_uri
 where param = ?1 and uri = ?2 and nsort = ?3 and rid = ?4";
const DELETE_WORDS: &str = "delete from search_text where rowid = ?1";
