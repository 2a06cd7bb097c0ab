//! Steps of an erasure on SQLite, and what they are made from.
//!
//! Not here: which versions are erased and why (`crate::erasure`), the transaction (`writer`).

use std::collections::{BTreeMap, HashSet};

use fhir::{ResourceId, ResourceKey, ResourceType, VersionId};
use futures::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension, params};

use super::commit::{Group, SetError};
use super::current::current;
use super::read::sql_limit;
use super::reader::snapshot;
use super::store::SqliteStore;
use crate::erasure::{
    Erasable, Erasing, Erasure, Erasures, Extent, NewErasure, extent_sql, left_sql, page_sql,
};
use crate::error::{CommitError, ReadError};
use crate::hash::IndexKey;
use crate::index::IndexRows;
use crate::place::{Current, Place};
use crate::write_set::AccessRecord;

impl Erasures for SqliteStore {
    fn list(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<Erasure>, ReadError>> {
        self.read_with(move |conn| list(conn, after, limit))
    }

    fn page<'a>(
        &'a self,
        patient: &'a ResourceId,
        after: (i64, i64),
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Erasable>, ReadError>> {
        let (index_key, patient) = (self.index_key.clone(), patient.clone());
        self.read_with(move |conn| {
            snapshot(conn, |conn| page(conn, &index_key, &patient, after, limit))
        })
    }

    fn extent<'a>(
        &'a self,
        patient: &'a ResourceId,
    ) -> BoxFuture<'a, Result<Option<Extent>, ReadError>> {
        let (index_key, patient) = (self.index_key.clone(), patient.clone());
        self.read_with(move |conn| snapshot(conn, |conn| extent(conn, &index_key, &patient)))
    }
}

/// Number of the last erasure that has ended.
pub(super) fn ended(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("select coalesce(max(ended), 0) from erasure")?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(i64::cast_unsigned)
}

/// Erasures above a number, ascending.
fn list(conn: &Connection, after: u64, limit: usize) -> Result<Vec<Erasure>, ReadError> {
    let mut select = conn.prepare_cached(
        "select e.erasure_id, r.id, e.patient, e.key_id, e.salt_id, e.entry, e.body, e.resources,
                e.versions, e.ended
         from erasure e join resource r on r.rid = e.patient
         where e.erasure_id > ?1 order by e.erasure_id limit ?2",
    )?;
    let mut rows = select.query(params![after.cast_signed(), sql_limit(limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
        found.push(Erasure {
            erasure_id: number(0)?,
            patient: ResourceId::parse(row.get_ref(1)?.as_str().unwrap_or_default())
                .map_err(|_| ReadError::Damaged("the id of a patient".into()))?,
            rid: row.get(2)?,
            key_id: number(3)?,
            record: AccessRecord { salt_id: row.get(4)?, entry: row.get(5)?, body: row.get(6)? },
            resources: number(7)?,
            versions: number(8)?,
            ended: row.get::<_, Option<i64>>(9)?.map(i64::cast_unsigned),
        });
    }
    Ok(found)
}

/// A page of versions that have a payload.
fn page(
    conn: &Connection,
    index_key: &IndexKey,
    patient: &ResourceId,
    (rid, version): (i64, i64),
    limit: usize,
) -> Result<Vec<Erasable>, ReadError> {
    let Some(of) = patient_rid(conn, index_key, patient)? else { return Ok(Vec::new()) };
    let damaged = || ReadError::Damaged("a stored version".into());
    let mut select = conn.prepare_cached(&page_sql(of, '?'))?;
    let mut rows = select.query(params![rid, version, sql_limit(limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let of_type = ResourceType::from_code(row.get(1)?).ok_or_else(damaged)?;
        let id = ResourceId::parse(&row.get::<_, String>(2)?).map_err(|_| damaged())?;
        let number = VersionId::new(row.get::<_, i64>(3)?.cast_unsigned()).ok_or_else(damaged)?;
        found.push(Erasable {
            rid: row.get(0)?,
            key: ResourceKey::new(of_type, id),
            version: number,
            change: row.get::<_, i64>(4)?.cast_unsigned(),
            entry: row.get(5)?,
            payload: row.get::<_, Vec<u8>>(6)?.into(),
            is_alone: row.get::<_, i64>(7)? == of,
        });
    }
    Ok(found)
}

/// How much a compartment holds.
fn extent(
    conn: &Connection,
    index_key: &IndexKey,
    patient: &ResourceId,
) -> Result<Option<Extent>, ReadError> {
    let Some(of) = patient_rid(conn, index_key, patient)? else { return Ok(None) };
    let extent = conn.prepare_cached(&extent_sql(of, '?'))?.query_row([], |row| {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
        Ok(Extent {
            resources: number(0)?,
            versions: number(1)?,
            shared: number(2)?,
            erased: number(3)?,
        })
    })?;
    Ok(Some(extent))
}

fn patient_rid(
    conn: &Connection,
    index_key: &IndexKey,
    patient: &ResourceId,
) -> rusqlite::Result<Option<i64>> {
    let key = ResourceKey::new(ResourceType::PATIENT, patient.clone());
    Ok(current(conn, index_key, &key)?.map(|row| row.rid))
}

impl Group<'_> {
    /// Refuses a step that others were faster than: the erasure is not as it should be, or there is more to erase.
    pub(super) fn check_erasing(&mut self, step: &Erasing) -> Result<(), SetError> {
        self.pending.flush(self.conn)?;
        let stale = || Err(SetError::Refused(CommitError::Stale));
        let Some(patient) = patient_rid(self.conn, self.index_key, &step.patient)? else {
            return stale();
        };
        let runs = self
            .conn
            .prepare_cached("select 1 from erasure where patient = ?1 and ended is null")?
            .exists([patient])?;
        if runs == step.begin.is_some() {
            return stale();
        }
        if let Some(new) = &step.begin {
            let is_there = self
                .conn
                .prepare_cached("select 1 from data_key where key_id = ?1 and compartment = ?2")?
                .exists(params![new.key_id.cast_signed(), format!("Patient/{}", step.patient)])?;
            if !is_there {
                return stale();
            }
        }
        if step.end {
            let erased: HashSet<i64> =
                step.versions.iter().map(|(change, _)| change.cast_signed()).collect();
            let mut select = self.conn.prepare_cached(&left_sql(patient, '?'))?;
            let mut left = select.query([sql_limit(erased.len() + 1)])?;
            while let Some(row) = left.next()? {
                if !erased.contains(&row.get(0)?) {
                    return stale();
                }
            }
        }
        Ok(())
    }

    /// Does a step that was checked.
    pub(super) fn erase(&mut self, step: &Erasing) -> rusqlite::Result<()> {
        let Some(patient) = patient_rid(self.conn, self.index_key, &step.patient)? else {
            return Ok(());
        };
        if let Some(new) = &step.begin {
            self.begin_erasure(patient, new)?;
        }
        let mut touched: BTreeMap<i64, HashSet<i64>> = BTreeMap::new();
        for (change, payload) in &step.versions {
            let change = change.cast_signed();
            let rid: Option<i64> = self
                .conn
                .prepare_cached(
                    "update resource_version set payload = ?2 where change = ?1 returning rid",
                )?
                .query_row(params![change, payload], |row| row.get(0))
                .optional()?;
            if let Some(rid) = rid {
                touched.entry(rid).or_default().insert(change);
            }
        }
        let mut resources = 0;
        for (rid, changes) in &touched {
            let row = self.row(*rid)?;
            if row.version.is_some() && changes.contains(&row.change) {
                let place = Place { nsort: row.nsort, rid: *rid, patient: row.patient };
                self.replace_rows(IndexRows::default(), Some(row), place)?;
                self.conn
                    .prepare_cached("update resource set deleted = 1 where rid = ?1")?
                    .execute([rid])?;
                resources += 1;
            }
        }
        let versions = i64::try_from(step.versions.len()).unwrap_or(i64::MAX);
        self.conn
            .prepare_cached(
                "update erasure set resources = resources + ?2, versions = versions + ?3
                 where patient = ?1 and ended is null",
            )?
            .execute(params![patient, resources, versions])?;
        if step.end { self.end_erasure(patient) } else { Ok(()) }
    }

    fn begin_erasure(&self, patient: i64, new: &NewErasure) -> rusqlite::Result<()> {
        let AccessRecord { salt_id, entry, body } = &new.record;
        self.conn
            .prepare_cached(
                "insert into erasure (patient, key_id, salt_id, entry, body)
                 values (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                patient,
                new.key_id.cast_signed(),
                salt_id.as_slice(),
                entry.as_slice(),
                body
            ])?;
        self.conn
            .prepare_cached("insert into ledger_outbox (salt_id, entry) values (?1, ?2)")?
            .execute(params![salt_id.as_slice(), entry.as_slice()])?;
        Ok(())
    }

    fn end_erasure(&self, patient: i64) -> rusqlite::Result<()> {
        self.conn
            .prepare_cached(
                "delete from data_key where key_id in
                 (select key_id from erasure where patient = ?1 and ended is null)",
            )?
            .execute([patient])?;
        self.conn
            .prepare_cached("delete from former_patient where patient = ?1")?
            .execute([patient])?;
        self.conn
            .prepare_cached(
                "update erasure set ended = (select coalesce(max(ended), 0) + 1 from erasure)
                 where patient = ?1 and ended is null",
            )?
            .execute([patient])?;
        Ok(())
    }

    fn row(&self, rid: i64) -> rusqlite::Result<Current> {
        self.conn
            .prepare_cached(
                "select version, change, nsort, patient, deleted from resource where rid = ?1",
            )?
            .query_row([rid], |row| {
                Ok(Current {
                    rid,
                    version: VersionId::new(row.get::<_, i64>(0)?.cast_unsigned()),
                    change: row.get(1)?,
                    nsort: row.get(2)?,
                    patient: row.get(3)?,
                    deleted: row.get(4)?,
                })
            })
    }
}
