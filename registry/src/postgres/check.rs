//! Reads for a check of everything. Places in the log are looked up by key, never joined: a plan of a join over a
//! whole table would be made again for each page.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use fhir::{ResourceId, ResourceType};
use futures::FutureExt;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::access_outbox;
use super::known::{khash, patient_key};
use super::read::{array, sql_limit, wrapped_key};
use super::store::PostgresStore;
use crate::check::{
    Answer, Checks, Column, IndexRow, IndexTable, IndexValue, LogRow, ResourceRow, VersionRow,
};
use crate::cost::{Cost, READ_TIME_MAX};
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::index::rows::{
    DateRow, NumberRow, QuantityRow, ReferenceRow, StringRow, TokenRow, UriRow,
};
use crate::index::words::Words;
use crate::outbox::AccessRow;
use crate::place::Place;
use crate::write_set::WrappedKey;

impl Checks for PostgresStore {
    fn resources(&self, after: i64, limit: usize) -> Answer<'_, Vec<ResourceRow>> {
        self.readers
            .run_as(Cost::Search, READ_TIME_MAX, move |conn| resources(conn, after, limit).boxed())
    }

    fn versions(&self, after: (i64, i64), limit: usize) -> Answer<'_, Vec<VersionRow>> {
        self.readers
            .run_as(Cost::Search, READ_TIME_MAX, move |conn| versions(conn, after, limit).boxed())
    }

    fn patients<'a>(&'a self, ids: &'a [ResourceId]) -> Answer<'a, Vec<(ResourceId, i64)>> {
        if ids.is_empty() {
            return async { Ok(Vec::new()) }.boxed();
        }
        let asked = Arc::new((ids.to_vec(), crate::store::Store::index_key(self).clone()));
        self.readers.run_as(Cost::Search, READ_TIME_MAX, move |conn| {
            let asked = Arc::clone(&asked);
            async move { patients(conn, &asked.1, &asked.0).await }.boxed()
        })
    }

    fn log(&self, from: u64, limit: usize) -> Answer<'_, Vec<LogRow>> {
        self.readers.run_as(Cost::Search, READ_TIME_MAX, move |conn| log(conn, from, limit).boxed())
    }

    fn accesses(&self, after: u64, limit: usize) -> Answer<'_, Vec<AccessRow>> {
        self.readers.run_as(Cost::Search, READ_TIME_MAX, move |conn| {
            access_outbox::waiting(conn, after, limit).boxed()
        })
    }

    fn keys(&self, after: i64, limit: usize) -> Answer<'_, Vec<WrappedKey>> {
        self.readers
            .run_as(Cost::Search, READ_TIME_MAX, move |conn| keys(conn, after, limit).boxed())
    }

    fn index(
        &self,
        table: IndexTable,
        after: Option<IndexRow>,
        limit: usize,
    ) -> Answer<'_, Vec<IndexRow>> {
        let after = Arc::new(after);
        self.readers.run_as(Cost::Search, READ_TIME_MAX, move |conn| {
            let after = Arc::clone(&after);
            async move { index(conn, table, after.as_ref().as_ref(), limit).await }.boxed()
        })
    }

    fn other_words(&self, words: Vec<(i64, Words)>) -> Answer<'_, Vec<i64>> {
        let words = Arc::new(words);
        self.readers.run(move |conn| {
            let words = Arc::clone(&words);
            async move { other_words(conn, &words).await }.boxed()
        })
    }
}

async fn other_words(
    conn: &mut PgConnection,
    words: &[(i64, Words)],
) -> Result<Vec<i64>, ReadError> {
    let found = sqlx::query_scalar(
        "select u.rid from unnest($1, $2) u (rid, words) cross join search_text t
         where t.rid = u.rid and t.words <> u.words::tsvector",
    )
    .bind(words.iter().map(|(rid, _)| *rid).collect::<Vec<_>>())
    .bind(words.iter().map(|(_, words)| words.tsvector()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    Ok(found)
}

async fn resources(
    conn: &mut PgConnection,
    after: i64,
    limit: usize,
) -> Result<Vec<ResourceRow>, ReadError> {
    let rows = sqlx::query(
        "select r.rid, r.type, r.id, r.khash, r.version, r.change, r.updated_us, r.nsort, r.patient, r.deleted
         from resource r where r.rid > $1 order by r.rid limit $2",
    )
    .bind(after)
    .bind(sql_limit(limit))
    .fetch_all(&mut *conn)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push(ResourceRow {
            rid: row.try_get(0)?,
            type_code: i64::from(row.try_get::<i16, _>(1)?),
            id: row.try_get(2)?,
            khash: row.try_get(3)?,
            version: row.try_get(4)?,
            change: row.try_get(5)?,
            updated_us: row.try_get(6)?,
            nsort: row.try_get(7)?,
            patient: row.try_get(8)?,
            deleted: i64::from(row.try_get::<i16, _>(9)?),
            terms: None,
            present: (String::new(), 0),
        });
    }
    let rids: Vec<i64> = found.iter().map(|row| row.rid).collect();
    let listed: Vec<(i64, Vec<u8>, String, i64)> = sqlx::query_as(
        "select rid, terms, present, present_set from resource_terms where rid = any($1)",
    )
    .bind(rids)
    .fetch_all(conn)
    .await?;
    let listed = listed.into_iter().map(|(rid, terms, text, set)| (rid, (terms, (text, set))));
    let mut listed: HashMap<_, _> = listed.collect();
    for row in &mut found {
        if let Some((terms, present)) = listed.remove(&row.rid) {
            (row.terms, row.present) = (Some(terms), present);
        }
    }
    Ok(found)
}

async fn versions(
    conn: &mut PgConnection,
    (rid, version): (i64, i64),
    limit: usize,
) -> Result<Vec<VersionRow>, ReadError> {
    let rows = sqlx::query(
        "select rid, version, change, type, updated_us, action, patient, entry, salt_id, payload
         from resource_version where (rid, version) > ($1, $2) order by rid, version limit $3",
    )
    .bind(rid)
    .bind(version)
    .bind(sql_limit(limit))
    .fetch_all(&mut *conn)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push(VersionRow {
            rid: row.try_get(0)?,
            version: row.try_get(1)?,
            change: row.try_get(2)?,
            type_code: i64::from(row.try_get::<i16, _>(3)?),
            updated_us: row.try_get(4)?,
            action: i64::from(row.try_get::<i16, _>(5)?),
            patient: row.try_get(6)?,
            entry: array(row.try_get(7)?)?,
            salt_id: array(row.try_get(8)?)?,
            payload: Bytes::copy_from_slice(row.try_get(9)?),
            log_index: None,
        });
    }
    let changes: Vec<i64> = found.iter().map(|row| row.change).collect();
    let places: Vec<(i64, i64)> =
        sqlx::query_as("select change, log_index from ledger_entry where change = any($1)")
            .bind(changes)
            .fetch_all(conn)
            .await?;
    let places: HashMap<_, _> = places.into_iter().collect();
    for row in &mut found {
        row.log_index = places.get(&row.change).map(|index| index.cast_unsigned());
    }
    Ok(found)
}

async fn patients(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    ids: &[ResourceId],
) -> Result<Vec<(ResourceId, i64)>, ReadError> {
    let keys: Vec<_> = ids.iter().map(patient_key).collect();
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select r.id, r.rid from unnest($1, $2) k (khash, id)
         join resource r on r.khash = k.khash and r.type = $3 and r.id = k.id",
    )
    .bind(keys.iter().map(|key| khash(index_key, key)).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>())
    .bind(i16::from(ResourceType::PATIENT.code()))
    .fetch_all(conn)
    .await?;
    let parsed = |(id, rid): (String, i64)| Some((ResourceId::parse(&id).ok()?, rid));
    Ok(rows.into_iter().filter_map(parsed).collect())
}

async fn log(conn: &mut PgConnection, from: u64, limit: usize) -> Result<Vec<LogRow>, ReadError> {
    let rows: Vec<(i64, Option<i64>, Option<Vec<u8>>)> = sqlx::query_as(
        "select log_index, change,
                (select x.entry from erasure x where x.salt_id = e.salt_id and e.change is null)
         from ledger_entry e where log_index >= $1 order by log_index limit $2",
    )
    .bind(i64::try_from(from).unwrap_or(i64::MAX))
    .bind(sql_limit(limit))
    .fetch_all(&mut *conn)
    .await?;
    let changes: Vec<i64> = rows.iter().filter_map(|(_, change, _)| *change).collect();
    let entries = sqlx::query("select change, entry from resource_version where change = any($1)")
        .bind(changes)
        .fetch_all(conn)
        .await?;
    let mut bodies = HashMap::with_capacity(entries.len());
    for row in &entries {
        bodies.insert(row.try_get::<i64, _>(0)?, array(row.try_get(1)?)?);
    }
    let found = |(log_index, change, erasure): (i64, Option<i64>, Option<Vec<u8>>)| {
        let erasure = erasure.map(|entry| array(&entry)).transpose()?;
        Ok(LogRow {
            log_index: log_index.cast_unsigned(),
            change: change.map(i64::cast_unsigned),
            entry: change.and_then(|change| bodies.get(&change).copied()).or(erasure),
        })
    };
    rows.into_iter().map(found).collect()
}

async fn keys(
    conn: &mut PgConnection,
    after: i64,
    limit: usize,
) -> Result<Vec<WrappedKey>, ReadError> {
    let query = "select key_id, compartment, wrapped from data_key
                 where key_id > $1 order by key_id limit $2";
    let rows = sqlx::query_as(query).bind(after).bind(sql_limit(limit)).fetch_all(conn).await?;
    Ok(rows.into_iter().map(wrapped_key).collect())
}

async fn index(
    conn: &mut PgConnection,
    table: IndexTable,
    after: Option<&IndexRow>,
    limit: usize,
) -> Result<Vec<IndexRow>, ReadError> {
    // Names of tables and columns are ours; values are bound.
    let mut query = sqlx::query(AssertSqlSafe(table.select(after.is_some(), '$')));
    for column in after.map_or_else(Vec::new, IndexRow::key) {
        query = match column {
            Column::Param(number) => query.bind(number.cast_signed()),
            Column::Int(number) => query.bind(number),
            Column::Real(number) => query.bind(number),
            Column::Text(text) => query.bind(text.to_owned()),
        };
    }
    let rows = query.bind(sql_limit(limit)).fetch_all(conn).await?;
    rows.iter().map(|row| index_row(table, row)).collect()
}

/// A row of [`IndexTable::select`].
fn index_row(table: IndexTable, row: &PgRow) -> Result<IndexRow, ReadError> {
    let int = |at: usize| row.try_get::<i64, _>(at);
    let real = |at: usize| row.try_get::<f64, _>(at);
    let text = |at: usize| row.try_get::<String, _>(at).map(String::into_boxed_str);
    let param = || row.try_get::<i16, _>(0).map(i16::cast_unsigned);
    let place = |nsort, rid, patient| {
        Ok::<_, ReadError>(Place { nsort: int(nsort)?, rid: int(rid)?, patient: int(patient)? })
    };
    let (place, value) = match table {
        IndexTable::Token => {
            let row = TokenRow { param: param()?, code_hash: int(1)?, sys_hash: int(4)? };
            (place(2, 3, 5)?, IndexValue::Token(row))
        }
        IndexTable::Reference => {
            let row = ReferenceRow { param: param()?, target_hash: int(1)?, code_hash: int(2)? };
            (place(3, 4, 5)?, IndexValue::Reference(row))
        }
        IndexTable::Date => {
            let row = DateRow { param: param()?, lo: int(1)?, hi: int(2)? };
            (place(3, 4, 5)?, IndexValue::Date(row))
        }
        IndexTable::Number => {
            let row = NumberRow { param: param()?, lo: real(1)?, hi: real(2)? };
            (place(3, 4, 5)?, IndexValue::Number(row))
        }
        IndexTable::Quantity => {
            let row = QuantityRow {
                param: param()?,
                code_hash: int(1)?,
                lo: real(2)?,
                hi: real(3)?,
                unit_hash: int(6)?,
                sys_hash: int(7)?,
            };
            (place(4, 5, 8)?, IndexValue::Quantity(row))
        }
        IndexTable::String => {
            let row = StringRow { param: param()?, norm: text(1)?, exact: text(4)? };
            (place(2, 3, 5)?, IndexValue::String(row))
        }
        IndexTable::Uri => {
            (place(2, 3, 4)?, IndexValue::Uri(UriRow { param: param()?, uri: text(1)? }))
        }
        IndexTable::Compartment => {
            let of = i64::from(row.try_get::<i16, _>(1)?);
            (place(2, 3, 0)?, IndexValue::Compartment(of))
        }
        IndexTable::VersionCompartment => {
            let rid = row.try_get::<Option<i64>, _>(2)?.unwrap_or_default();
            let place = Place { nsort: 0, rid, patient: int(1)? };
            (place, IndexValue::VersionCompartment(int(0)?))
        }
        IndexTable::Terms => (Place { nsort: 0, rid: int(0)?, patient: 0 }, IndexValue::Terms),
        IndexTable::Text => (Place { nsort: 0, rid: int(0)?, patient: 0 }, IndexValue::Text),
    };
    Ok(IndexRow { place, value })
}
