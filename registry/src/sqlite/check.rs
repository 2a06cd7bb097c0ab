//! Reads for a check of everything, and SQLite's own check of its file.

use std::path::Path;

use bytes::Bytes;
use fhir::{ResourceId, ResourceKey, ResourceType};
use futures::FutureExt;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, Row, params, params_from_iter};

use super::current::current;
use super::open::{PAGE_BYTES, SqliteOptions};
use super::read::{sql_limit, wrapped_key};
use super::store::SqliteStore;
use super::{access_outbox, settle, text};
use crate::check::{
    Answer, Checks, Column, IndexRow, IndexTable, IndexValue, LogRow, ResourceRow, VersionRow,
};
use crate::cost::Cost;
use crate::error::OpenError;
use crate::hash::IndexKey;
use crate::index::rows::{
    DateRow, NumberRow, QuantityRow, ReferenceRow, StringRow, TokenRow, UriRow,
};
use crate::index::words::Words;
use crate::outbox::AccessRow;
use crate::place::Place;
use crate::write_set::WrappedKey;

impl Checks for SqliteStore {
    fn resources(&self, after: i64, limit: usize) -> Answer<'_, Vec<ResourceRow>> {
        self.search_with(Cost::Search, move |conn| Ok(resources(conn, after, limit)?))
    }

    fn versions(&self, after: (i64, i64), limit: usize) -> Answer<'_, Vec<VersionRow>> {
        self.search_with(Cost::Search, move |conn| Ok(versions(conn, after, limit)?))
    }

    fn patients<'a>(&'a self, ids: &'a [ResourceId]) -> Answer<'a, Vec<(ResourceId, i64)>> {
        if ids.is_empty() {
            return async { Ok(Vec::new()) }.boxed();
        }
        let (ids, key) = (ids.to_vec(), crate::store::Store::index_key(self).clone());
        self.search_with(Cost::Search, move |conn| Ok(patients(conn, &key, ids)?))
    }

    fn log(&self, from: u64, limit: usize) -> Answer<'_, Vec<LogRow>> {
        self.search_with(Cost::Search, move |conn| Ok(log(conn, from, limit)?))
    }

    fn accesses(&self, after: u64, limit: usize) -> Answer<'_, Vec<AccessRow>> {
        self.search_with(Cost::Search, move |conn| Ok(access_outbox::waiting(conn, after, limit)?))
    }

    fn keys(&self, after: i64, limit: usize) -> Answer<'_, Vec<WrappedKey>> {
        self.search_with(Cost::Search, move |conn| Ok(keys(conn, after, limit)?))
    }

    fn index(
        &self,
        table: IndexTable,
        after: Option<IndexRow>,
        limit: usize,
    ) -> Answer<'_, Vec<IndexRow>> {
        self.search_with(Cost::Search, move |conn| Ok(index(conn, table, after.as_ref(), limit)?))
    }

    fn other_words(&self, words: Vec<(i64, Words)>) -> Answer<'_, Vec<i64>> {
        self.read_with(move |conn| Ok(text::other_words(conn, words)?))
    }
}

/// What `pragma integrity_check` (`quick_check` without indexes) says against the file; empty when it is sound.
/// Blocks while it reads the whole file. A log is made durable first and left beside the file.
///
/// # Errors
/// [`OpenError::Unavailable`] when the file cannot be opened, or its log not be made durable; damage that keeps it
/// from being read is an answer.
pub fn integrity(options: &SqliteOptions, quick: bool) -> Result<Vec<String>, OpenError> {
    let file = options.path.as_path();
    let mut damages = torn(file)
        .map_err(|error| OpenError::Unavailable(format!("{}: {error}", file.display())))?;
    let options = match settle::for_checking(options) {
        Ok((options, _)) => options,
        Err(OpenError::Damaged(text)) => {
            damages.push(text);
            return Ok(damages);
        }
        Err(error) => return Err(error),
    };
    let said = |conn: &Connection| -> rusqlite::Result<Vec<String>> {
        let name = if quick { "quick_check" } else { "integrity_check" };
        conn.prepare(&format!("pragma {name}({DAMAGES_MAX})"))?
            .query_map([], |row| row.get(0))?
            .collect()
    };
    match options.plain().and_then(|conn| said(&conn)) {
        Ok(lines) => damages.extend(lines.into_iter().filter(|line| line != "ok")),
        Err(error) if is_damage(&error) => damages.push(error.to_string()),
        Err(error) => {
            return Err(OpenError::Unavailable(format!("{}: {error}", file.display())));
        }
    }
    Ok(damages)
}

/// The file ends within a page. With a write-ahead log beside it a cut of the power may leave that, and is mended.
fn torn(file: &Path) -> std::io::Result<Vec<String>> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        return Ok(Vec::new());
    }
    let length = std::fs::metadata(file)?.len();
    let rest = length % PAGE_BYTES.unsigned_abs();
    let torn = || format!("{length} bytes end {rest} bytes into a page");
    Ok((rest > 0).then(torn).into_iter().collect())
}

/// True when the file, or a value in it, is not what it should be.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase),
        None => matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..)
        ),
    }
}

fn resources(conn: &Connection, after: i64, limit: usize) -> rusqlite::Result<Vec<ResourceRow>> {
    conn.prepare_cached(
        "select r.rid, r.type, r.id, r.khash, r.version, r.change, r.updated_us, r.nsort, r.patient,
                r.deleted, t.terms, coalesce(t.present, ''), coalesce(t.present_set, 0)
         from resource r left join resource_terms t on t.rid = r.rid
         where r.rid > ?1 order by r.rid limit ?2",
    )?
    .query_map(params![after, sql_limit(limit)], |row| {
        Ok(ResourceRow {
            rid: row.get(0)?,
            type_code: row.get(1)?,
            id: row.get(2)?,
            khash: row.get(3)?,
            version: row.get(4)?,
            change: row.get(5)?,
            updated_us: row.get(6)?,
            nsort: row.get(7)?,
            patient: row.get(8)?,
            deleted: row.get(9)?,
            terms: row.get(10)?,
            present: (row.get(11)?, row.get(12)?),
        })
    })?
    .collect()
}

fn versions(
    conn: &Connection,
    (rid, version): (i64, i64),
    limit: usize,
) -> rusqlite::Result<Vec<VersionRow>> {
    conn.prepare_cached(
        "select v.rid, v.version, v.change, v.type, v.updated_us, v.action, v.patient, v.entry,
                v.salt_id, v.payload, e.log_index
         from resource_version v left join ledger_entry e on e.change = v.change
         where (v.rid, v.version) > (?1, ?2) order by v.rid, v.version limit ?3",
    )?
    .query_map(params![rid, version, sql_limit(limit)], |row| {
        Ok(VersionRow {
            rid: row.get(0)?,
            version: row.get(1)?,
            change: row.get(2)?,
            type_code: row.get(3)?,
            updated_us: row.get(4)?,
            action: row.get(5)?,
            patient: row.get(6)?,
            entry: row.get(7)?,
            salt_id: row.get(8)?,
            payload: Bytes::from(row.get::<_, Vec<u8>>(9)?),
            log_index: row.get::<_, Option<i64>>(10)?.map(i64::cast_unsigned),
        })
    })?
    .collect()
}

fn patients(
    conn: &Connection,
    index_key: &IndexKey,
    ids: Vec<ResourceId>,
) -> rusqlite::Result<Vec<(ResourceId, i64)>> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let key = ResourceKey::new(ResourceType::PATIENT, id);
        if let Some(row) = current(conn, index_key, &key)? {
            found.push((key.id, row.rid));
        }
    }
    Ok(found)
}

fn log(conn: &Connection, from: u64, limit: usize) -> rusqlite::Result<Vec<LogRow>> {
    conn.prepare_cached(
        "select e.log_index, e.change, coalesce(v.entry, x.entry)
         from ledger_entry e left join resource_version v on v.change = e.change
           left join erasure x on x.salt_id = e.salt_id and e.change is null
         where e.log_index >= ?1 order by e.log_index limit ?2",
    )?
    .query_map(params![i64::try_from(from).unwrap_or(i64::MAX), sql_limit(limit)], |row| {
        Ok(LogRow {
            log_index: row.get::<_, i64>(0)?.cast_unsigned(),
            change: row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned),
            entry: row.get(2)?,
        })
    })?
    .collect()
}

fn keys(conn: &Connection, after: i64, limit: usize) -> rusqlite::Result<Vec<WrappedKey>> {
    conn.prepare_cached(
        "select key_id, compartment, wrapped from data_key
         where key_id > ?1 order by key_id limit ?2",
    )?
    .query_map(params![after, sql_limit(limit)], wrapped_key)?
    .collect()
}

fn index(
    conn: &Connection,
    table: IndexTable,
    after: Option<&IndexRow>,
    limit: usize,
) -> rusqlite::Result<Vec<IndexRow>> {
    let value = |column| match column {
        Column::Param(number) => Value::Integer(i64::from(number)),
        Column::Int(number) => Value::Integer(number),
        Column::Real(number) => Value::Real(number),
        Column::Text(text) => Value::Text(text.to_owned()),
    };
    let mut bound: Vec<Value> =
        after.map_or_else(Vec::new, |row| row.key().into_iter().map(value).collect());
    bound.push(Value::Integer(sql_limit(limit)));
    conn.prepare_cached(&table.select(after.is_some(), '?'))?
        .query_map(params_from_iter(bound), |row| index_row(table, row))?
        .collect()
}

/// A row of [`IndexTable::select`].
fn index_row(table: IndexTable, row: &Row<'_>) -> rusqlite::Result<IndexRow> {
    let place = |nsort, rid, patient| {
        Ok::<_, rusqlite::Error>(Place {
            nsort: row.get(nsort)?,
            rid: row.get(rid)?,
            patient: row.get(patient)?,
        })
    };
    let (place, value) = match table {
        IndexTable::Token => {
            let (param, code_hash, sys_hash) = (row.get(0)?, row.get(1)?, row.get(4)?);
            (place(2, 3, 5)?, IndexValue::Token(TokenRow { param, code_hash, sys_hash }))
        }
        IndexTable::Reference => {
            let (param, target_hash, code_hash) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let row = ReferenceRow { param, target_hash, code_hash };
            (place(3, 4, 5)?, IndexValue::Reference(row))
        }
        IndexTable::Date => {
            let (param, lo, hi) = (row.get(0)?, row.get(1)?, row.get(2)?);
            (place(3, 4, 5)?, IndexValue::Date(DateRow { param, lo, hi }))
        }
        IndexTable::Number => {
            let (param, lo, hi) = (row.get(0)?, row.get(1)?, row.get(2)?);
            (place(3, 4, 5)?, IndexValue::Number(NumberRow { param, lo, hi }))
        }
        IndexTable::Quantity => {
            let value = QuantityRow {
                param: row.get(0)?,
                code_hash: row.get(1)?,
                lo: row.get(2)?,
                hi: row.get(3)?,
                unit_hash: row.get(6)?,
                sys_hash: row.get(7)?,
            };
            (place(4, 5, 8)?, IndexValue::Quantity(value))
        }
        IndexTable::String => {
            let (param, norm, exact) = (row.get(0)?, row.get(1)?, row.get(4)?);
            (place(2, 3, 5)?, IndexValue::String(StringRow { param, norm, exact }))
        }
        IndexTable::Uri => {
            let (param, uri) = (row.get(0)?, row.get(1)?);
            (place(2, 3, 4)?, IndexValue::Uri(UriRow { param, uri }))
        }
        IndexTable::Compartment => (place(2, 3, 0)?, IndexValue::Compartment(row.get(1)?)),
        IndexTable::VersionCompartment => {
            let rid = row.get::<_, Option<i64>>(2)?.unwrap_or_default();
            let place = Place { nsort: 0, rid, patient: row.get(1)? };
            (place, IndexValue::VersionCompartment(row.get(0)?))
        }
        IndexTable::Terms => (Place { nsort: 0, rid: row.get(0)?, patient: 0 }, IndexValue::Terms),
        IndexTable::Text => (Place { nsort: 0, rid: row.get(0)?, patient: 0 }, IndexValue::Text),
    };
    Ok(IndexRow { place, value })
}

/// Damages of the file that are named.
const DAMAGES_MAX: usize = 100;
