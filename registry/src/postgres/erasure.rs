//! Steps of an erasure on PostgreSQL, and what they are made from.
//!
//! Not here: which versions are erased and why (`crate::erasure`), the transaction (`writer`).

use std::collections::HashSet;
use std::sync::Arc;

use fhir::{ResourceId, ResourceKey, ResourceType, VersionId};
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::commit::{Group, SetError};
use super::known::{khash, patient_key};
use super::read::{array, sql_limit};
use super::readers::snapshot;
use super::store::PostgresStore;
use crate::erasure::{
    Erasable, Erasing, Erasure, Erasures, Extent, NewErasure, extent_sql, left_sql, page_sql,
};
use crate::error::{CommitError, ReadError};
use crate::hash::IndexKey;
use crate::index::IndexRows;
use crate::place::{Current, Place};
use crate::store::Store;
use crate::write_set::AccessRecord;

impl Erasures for PostgresStore {
    fn list(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<Erasure>, ReadError>> {
        self.readers.run(move |conn| list(conn, after, limit).boxed())
    }

    fn page<'a>(
        &'a self,
        patient: &'a ResourceId,
        after: (i64, i64),
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Erasable>, ReadError>> {
        let asked = Arc::new((self.index_key().clone(), patient.clone()));
        self.readers.run(move |conn| {
            let asked = Arc::clone(&asked);
            async move {
                snapshot(conn, async |conn| page(conn, &asked.0, &asked.1, after, limit).await)
                    .await
            }
            .boxed()
        })
    }

    fn extent<'a>(
        &'a self,
        patient: &'a ResourceId,
    ) -> BoxFuture<'a, Result<Option<Extent>, ReadError>> {
        let asked = Arc::new((self.index_key().clone(), patient.clone()));
        self.readers.run(move |conn| {
            let asked = Arc::clone(&asked);
            async move { snapshot(conn, async |conn| extent(conn, &asked.0, &asked.1).await).await }
                .boxed()
        })
    }
}

/// Number of the last erasure that has ended.
pub(super) async fn ended(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let ended: i64 =
        sqlx::query_scalar("select coalesce(max(ended), 0) from erasure").fetch_one(conn).await?;
    Ok(ended.cast_unsigned())
}

async fn list(
    conn: &mut PgConnection,
    after: u64,
    limit: usize,
) -> Result<Vec<Erasure>, ReadError> {
    let rows = sqlx::query(
        "select e.erasure_id, r.id, e.patient, e.key_id, e.salt_id, e.entry, e.body, e.resources,
                e.versions, e.ended
         from erasure e join resource r on r.rid = e.patient
         where e.erasure_id > $1 order by e.erasure_id limit $2",
    )
    .bind(after.cast_signed())
    .bind(sql_limit(limit))
    .fetch_all(conn)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let number = |at: usize| row.try_get::<i64, _>(at).map(i64::cast_unsigned);
        found.push(Erasure {
            erasure_id: number(0)?,
            patient: ResourceId::parse(row.try_get(1)?)
                .map_err(|_| ReadError::Damaged("the id of a patient".into()))?,
            rid: row.try_get(2)?,
            key_id: number(3)?,
            record: AccessRecord {
                salt_id: array(row.try_get(4)?)?,
                entry: array(row.try_get(5)?)?,
                body: row.try_get(6)?,
            },
            resources: number(7)?,
            versions: number(8)?,
            ended: row.try_get::<Option<i64>, _>(9)?.map(i64::cast_unsigned),
        });
    }
    Ok(found)
}

async fn page(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    patient: &ResourceId,
    (rid, version): (i64, i64),
    limit: usize,
) -> Result<Vec<Erasable>, ReadError> {
    let Some(of) = patient_rid(conn, index_key, patient).await? else { return Ok(Vec::new()) };
    let damaged = || ReadError::Damaged("a stored version".into());
    // Holds integers of ours only.
    let rows = sqlx::query(AssertSqlSafe(page_sql(of, '$')))
        .bind(rid)
        .bind(version)
        .bind(sql_limit(limit))
        .fetch_all(conn)
        .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let code = u8::try_from(row.try_get::<i16, _>(1)?).ok();
        let of_type = code.and_then(ResourceType::from_code).ok_or_else(damaged)?;
        let id = ResourceId::parse(row.try_get(2)?).map_err(|_| damaged())?;
        let number = VersionId::new(row.try_get::<i64, _>(3)?.cast_unsigned());
        found.push(Erasable {
            rid: row.try_get(0)?,
            key: ResourceKey::new(of_type, id),
            version: number.ok_or_else(damaged)?,
            change: row.try_get::<i64, _>(4)?.cast_unsigned(),
            entry: array(row.try_get(5)?)?,
            payload: row.try_get::<Vec<u8>, _>(6)?.into(),
            is_alone: row.try_get::<i64, _>(7)? == of,
        });
    }
    Ok(found)
}

async fn extent(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    patient: &ResourceId,
) -> Result<Option<Extent>, ReadError> {
    let Some(of) = patient_rid(conn, index_key, patient).await? else { return Ok(None) };
    let row = sqlx::query(AssertSqlSafe(extent_sql(of, '$'))).fetch_one(conn).await?;
    let number = |at: usize| row.try_get::<i64, _>(at).map(i64::cast_unsigned);
    Ok(Some(Extent {
        resources: number(0)?,
        versions: number(1)?,
        shared: number(2)?,
        erased: number(3)?,
    }))
}

async fn patient_rid(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    patient: &ResourceId,
) -> Result<Option<i64>, sqlx::Error> {
    let key = patient_key(patient);
    sqlx::query_scalar("select rid from resource where khash = $1 and type = $2 and id = $3")
        .bind(khash(index_key, &key))
        .bind(i16::from(key.resource_type.code()))
        .bind(key.id.as_str())
        .fetch_optional(conn)
        .await
}

impl Group<'_> {
    /// Refuses a step that others were faster than: the erasure is not as it should be, or there is more to erase.
    pub(super) async fn check_erasing(&mut self, step: &Erasing) -> Result<(), SetError> {
        self.draft.pending.flush(self.conn).await?;
        let stale = || Err(SetError::Refused(CommitError::Stale));
        let Some(patient) = patient_rid(self.conn, self.draft.index_key, &step.patient).await?
        else {
            return stale();
        };
        let runs: bool = sqlx::query_scalar(
            "select exists (select 1 from erasure where patient = $1 and ended is null)",
        )
        .bind(patient)
        .fetch_one(&mut *self.conn)
        .await?;
        if runs == step.begin.is_some() {
            return stale();
        }
        if let Some(new) = &step.begin {
            let is_there: bool = sqlx::query_scalar(
                "select exists (select 1 from data_key where key_id = $1 and compartment = $2)",
            )
            .bind(new.key_id.cast_signed())
            .bind(format!("Patient/{}", step.patient))
            .fetch_one(&mut *self.conn)
            .await?;
            if !is_there {
                return stale();
            }
        }
        if step.end {
            let erased: HashSet<i64> =
                step.versions.iter().map(|(change, _)| change.cast_signed()).collect();
            let left: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(left_sql(patient, '$')))
                .bind(sql_limit(erased.len() + 1))
                .fetch_all(&mut *self.conn)
                .await?;
            if left.iter().any(|change| !erased.contains(change)) {
                return stale();
            }
        }
        Ok(())
    }

    /// Does a step that was checked.
    pub(super) async fn erase(&mut self, step: &Erasing) -> Result<(), sqlx::Error> {
        self.draft.pending.flush(self.conn).await?;
        let Some(patient) = patient_rid(self.conn, self.draft.index_key, &step.patient).await?
        else {
            return Ok(());
        };
        if let Some(new) = &step.begin {
            self.begin_erasure(patient, new).await?;
        }
        let changes: Vec<i64> =
            step.versions.iter().map(|(change, _)| change.cast_signed()).collect();
        let payloads: Vec<&[u8]> =
            step.versions.iter().map(|(_, payload)| payload.as_slice()).collect();
        sqlx::query(
            "update resource_version v set payload = u.payload
             from unnest($1, $2) u (change, payload) where v.change = u.change",
        )
        .bind(&changes)
        .bind(payloads)
        .execute(&mut *self.conn)
        .await?;
        let resources = self.hide(&changes).await?;
        sqlx::query(
            "update erasure set resources = resources + $2, versions = versions + $3
             where patient = $1 and ended is null",
        )
        .bind(patient)
        .bind(sql_limit(resources))
        .bind(sql_limit(changes.len()))
        .execute(&mut *self.conn)
        .await?;
        if step.end { self.end_erasure(patient).await } else { Ok(()) }
    }

    /// Takes resources out of the index whose current version is one of these; tells how many.
    async fn hide(&mut self, changes: &[i64]) -> Result<usize, sqlx::Error> {
        let found: Vec<(i64, i64, i64, i64, i64, i16)> = sqlx::query_as(
            "select r.rid, r.version, r.change, r.nsort, r.patient, r.deleted
             from resource_version v join resource r on r.change = v.change and r.rid = v.rid
             where v.change = any($1)",
        )
        .bind(changes)
        .fetch_all(&mut *self.conn)
        .await?;
        let rids: Vec<i64> = found.iter().map(|(rid, ..)| *rid).collect();
        self.draft.known.read_former(&rids, self.conn).await?;
        for (rid, version, change, nsort, patient, deleted) in &found {
            let version = VersionId::new(version.cast_unsigned());
            let (rid, change, nsort, patient) = (*rid, *change, *nsort, *patient);
            let row = Current { rid, version, change, nsort, patient, deleted: *deleted != 0 };
            let place = Place { nsort, rid, patient };
            self.draft.replace_rows(IndexRows::default(), Some(row), place)?;
        }
        self.draft.pending.flush(self.conn).await?;
        sqlx::query("update resource set deleted = 1 where rid = any($1)")
            .bind(&rids)
            .execute(&mut *self.conn)
            .await?;
        Ok(rids.len())
    }

    async fn begin_erasure(&mut self, patient: i64, new: &NewErasure) -> Result<(), sqlx::Error> {
        let AccessRecord { salt_id, entry, body } = &new.record;
        sqlx::query(
            "insert into erasure (patient, key_id, salt_id, entry, body)
             values ($1, $2, $3, $4, $5)",
        )
        .bind(patient)
        .bind(new.key_id.cast_signed())
        .bind(salt_id.as_slice())
        .bind(entry.as_slice())
        .bind(body.as_slice())
        .execute(&mut *self.conn)
        .await?;
        sqlx::query("insert into ledger_outbox (salt_id, entry) values ($1, $2)")
            .bind(salt_id.as_slice())
            .bind(entry.as_slice())
            .execute(&mut *self.conn)
            .await?;
        Ok(())
    }

    async fn end_erasure(&mut self, patient: i64) -> Result<(), sqlx::Error> {
        for sql in [
            "delete from data_key where key_id in
             (select key_id from erasure where patient = $1 and ended is null)",
            "delete from former_patient where patient = $1",
        ] {
            sqlx::query(sql).bind(patient).execute(&mut *self.conn).await?;
        }
        let ended: Option<i64> = sqlx::query_scalar(
            "update erasure set ended = (select coalesce(max(ended), 0) + 1 from erasure)
             where patient = $1 and ended is null returning ended",
        )
        .bind(patient)
        .fetch_optional(&mut *self.conn)
        .await?;
        self.draft.numbers.ended = ended.map_or(self.draft.numbers.ended, i64::cast_unsigned);
        Ok(())
    }
}
