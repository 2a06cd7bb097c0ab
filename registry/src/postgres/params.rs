//! The table of custom search parameters and the steps of its jobs on PostgreSQL.
//!
//! Not here: what changes (`crate::params`), the transaction (`writer`).

use std::collections::HashMap;

use fhir::{ResourceKey, ResourceType, VersionId};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::commit::Group;
use super::known::khash;
use super::read::{newest_change, sql_limit, stored};
use super::sealed;
use crate::error::{CommitError, ReadError};
use crate::index::{IndexRows, table, terms};
use crate::params::{
    APPLIED, Activation, ParamRow, ParamState, ParamTable, ReindexJob, ReindexPage, ReindexStep,
    applied, plan, search_parameter,
};
use crate::place::{Current, Place};

/// All of it, on the snapshot of the connection.
pub(super) async fn table(conn: &mut PgConnection) -> Result<ParamTable, ReadError> {
    Ok(ParamTable {
        newest: newest_change(&mut *conn, &[search_parameter()]).await?,
        applied: applied(sealed::setting(&mut *conn, APPLIED).await?),
        params: rows(&mut *conn).await?,
        jobs: jobs(conn).await?,
    })
}

/// Current resources of a type above a `rid`.
pub(super) async fn page(
    conn: &mut PgConnection,
    of: ResourceType,
    after: i64,
    limit: usize,
) -> Result<ReindexPage, ReadError> {
    let found = sqlx::query(
        "select v.change, v.type, v.version, v.updated_us, v.action, v.payload, v.entry, v.salt_id, r.id, r.rid
         from resource r join resource_version v on v.rid = r.rid and v.version = r.version
         where r.type = $1 and r.deleted = 0 and r.rid > $2
         order by r.rid limit $3",
    )
    .bind(i16::from(of.code()))
    .bind(after)
    .bind(sql_limit(limit))
    .fetch_all(conn)
    .await?;
    let one = |row| Ok((Row::try_get(row, 9)?, stored(row)?));
    Ok(ReindexPage { resources: found.iter().map(one).collect::<Result<_, ReadError>>()? })
}

impl Group<'_> {
    /// Puts parameters in force.
    pub(super) async fn activate(
        &mut self,
        activation: &Activation,
    ) -> Result<Result<(), CommitError>, sqlx::Error> {
        self.draft.pending.flush(self.conn).await?;
        if self.newest_param().await? != activation.change {
            return Ok(Err(CommitError::Stale));
        }
        let Some(changes) = plan(&rows(self.conn).await?, &activation.wanted) else {
            let text = "there are too many search parameters";
            return Ok(Err(CommitError::Unavailable(text.into())));
        };
        for number in changes.leaving {
            sqlx::query("update search_param set state = 3 where number = $1")
                .bind(number.cast_signed())
                .execute(&mut *self.conn)
                .await?;
        }
        for row in &changes.added {
            sqlx::query(
                "insert into search_param (number, type, code, definition, source, state)
                 values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(row.number.cast_signed())
            .bind(i16::from(row.of.code()))
            .bind(&row.code)
            .bind(&row.definition)
            .bind(&row.source)
            .bind(i16::from(row.state.code()))
            .execute(&mut *self.conn)
            .await?;
        }
        for of in changes.types {
            begin(of, self.conn).await?;
        }
        sealed::set_setting(self.conn, APPLIED, &activation.change.to_le_bytes()).await?;
        Ok(Ok(()))
    }

    /// One step of a job, with its progress.
    pub(super) async fn reindex(
        &mut self,
        step: &ReindexStep,
    ) -> Result<Result<(), CommitError>, sqlx::Error> {
        self.draft.pending.flush(self.conn).await?;
        let job = jobs(self.conn).await?.into_iter().find(|job| job.of == step.of);
        let newest = self.newest_param().await?;
        if job.is_none_or(|job| job.after != step.from) || newest != step.change {
            return Ok(Err(CommitError::Stale));
        }
        let currents = self.currents(step).await?;
        let rids: Vec<i64> = currents.values().map(|row| row.rid).collect();
        self.draft.known.read_former(&rids, self.conn).await?;
        for one in &step.resources {
            let Some(row) = currents.get(&one.key) else { continue };
            if row.version == Some(one.version) && !row.deleted {
                let place = Place { nsort: row.nsort, rid: row.rid, patient: row.patient };
                self.draft.replace_rows(one.rows.clone(), Some(*row), place)?;
            }
            // What was read is not what is there any more.
            let _ = self.draft.known.take_former(row.rid);
        }
        self.draft.pending.flush(self.conn).await?;
        match step.to {
            Some(to) => {
                sqlx::query("update reindex_job set after = $2, done = done + $3 where type = $1")
                    .bind(i16::from(step.of.code()))
                    .bind(to)
                    .bind(step.seen.cast_signed())
                    .execute(&mut *self.conn)
                    .await?;
            }
            None => end(step.of, self.conn).await?,
        }
        Ok(Ok(()))
    }

    /// Newest change of the SearchParameters, as the group leaves it.
    pub(super) async fn newest_param(&mut self) -> Result<u64, sqlx::Error> {
        if let Some(newest) = self.draft.known.newest_param {
            return Ok(newest);
        }
        let newest: Option<i64> =
            sqlx::query_scalar("select max(change) from resource_version where type = $1")
                .bind(i16::from(search_parameter().code()))
                .fetch_one(&mut *self.conn)
                .await?;
        let newest = newest.unwrap_or(0).cast_unsigned();
        self.draft.known.newest_param = Some(newest);
        Ok(newest)
    }

    async fn currents(
        &mut self,
        step: &ReindexStep,
    ) -> Result<HashMap<ResourceKey, Current>, sqlx::Error> {
        let keys: HashMap<&str, &ResourceKey> =
            step.resources.iter().map(|one| (one.key.id.as_str(), &one.key)).collect();
        let hashes: Vec<i64> = keys.values().map(|key| khash(self.draft.index_key, key)).collect();
        let found = sqlx::query(
            "select id, rid, version, change, nsort, patient, deleted from resource
             where khash = any($1) and type = $2",
        )
        .bind(hashes)
        .bind(i16::from(step.of.code()))
        .fetch_all(&mut *self.conn)
        .await?;
        let mut currents = HashMap::with_capacity(found.len());
        for row in &found {
            let Some(key) = keys.get(row.try_get::<&str, _>(0)?) else { continue };
            let current = Current {
                rid: row.try_get(1)?,
                version: VersionId::new(row.try_get::<i64, _>(2)?.cast_unsigned()),
                change: row.try_get(3)?,
                nsort: row.try_get(4)?,
                patient: row.try_get(5)?,
                deleted: row.try_get::<i16, _>(6)? != 0,
            };
            currents.insert((*key).clone(), current);
        }
        Ok(currents)
    }
}

/// Removes all index rows and begins a job for each type; nothing where that was done before.
pub(super) async fn rebuild(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mark: Option<Vec<u8>> = sqlx::query_scalar("select value from setting where name = $1")
        .bind(table::SEARCH_TABLE)
        .fetch_optional(&mut *conn)
        .await?;
    if mark.as_deref() == Some(&table::REBUILDING[..]) {
        return Ok(());
    }
    sqlx::raw_sql(AssertSqlSafe(format!("truncate {}", table::DERIVED.join(", "))))
        .execute(&mut *conn)
        .await?;
    // What is deleted is in no job: its list is empty, but there.
    sqlx::query(
        "insert into resource_terms (rid, terms)
         select rid, $1 from resource where deleted = 1 and version > 0",
    )
    .bind(terms::encode(&IndexRows::default()))
    .execute(&mut *conn)
    .await?;
    sqlx::query("delete from reindex_job").execute(&mut *conn).await?;
    sqlx::query(
        "insert into reindex_job (type, after, done, total)
         select type, 0, 0, count(*) from resource where deleted = 0 group by type",
    )
    .execute(&mut *conn)
    .await?;
    sealed::set_setting(conn, table::SEARCH_TABLE, &table::REBUILDING).await
}

/// Begins the job of a type, from its first resource; one without resources is done at once.
async fn begin(of: ResourceType, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let code = i16::from(of.code());
    let total: i64 =
        sqlx::query_scalar("select count(*) from resource where type = $1 and deleted = 0")
            .bind(code)
            .fetch_one(&mut *conn)
            .await?;
    if total == 0 {
        return end(of, conn).await;
    }
    sqlx::query(
        "insert into reindex_job (type, after, done, total) values ($1, 0, 0, $2)
         on conflict (type) do update set after = 0, done = 0, total = excluded.total",
    )
    .bind(code)
    .bind(total)
    .execute(conn)
    .await?;
    Ok(())
}

/// All rows of the type are as its parameters say.
async fn end(of: ResourceType, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    for sql in [
        "delete from search_param where type = $1 and state = 3",
        "update search_param set state = 2 where type = $1",
        "delete from reindex_job where type = $1",
    ] {
        sqlx::query(sql).bind(i16::from(of.code())).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn rows(conn: &mut PgConnection) -> Result<Vec<ParamRow>, sqlx::Error> {
    let found = sqlx::query(
        "select number, type, code, definition, source, state from search_param order by number",
    )
    .fetch_all(conn)
    .await?;
    let mut params = Vec::with_capacity(found.len());
    for row in &found {
        let state = u8::try_from(row.try_get::<i16, _>(5)?).ok().and_then(ParamState::from_code);
        let (Some(of), Some(state)) = (type_of(row.try_get(1)?), state) else { continue };
        params.push(ParamRow {
            number: row.try_get::<i16, _>(0)?.cast_unsigned(),
            of,
            code: row.try_get(2)?,
            definition: row.try_get(3)?,
            source: row.try_get(4)?,
            state,
        });
    }
    Ok(params)
}

async fn jobs(conn: &mut PgConnection) -> Result<Vec<ReindexJob>, sqlx::Error> {
    let found = sqlx::query("select type, after, done, total from reindex_job order by type")
        .fetch_all(conn)
        .await?;
    let mut jobs = Vec::with_capacity(found.len());
    for row in &found {
        let Some(of) = type_of(row.try_get(0)?) else { continue };
        jobs.push(ReindexJob {
            of,
            after: row.try_get(1)?,
            done: row.try_get::<i64, _>(2)?.cast_unsigned(),
            total: row.try_get::<i64, _>(3)?.cast_unsigned(),
        });
    }
    Ok(jobs)
}

fn type_of(code: i16) -> Option<ResourceType> {
    ResourceType::from_code(u8::try_from(code).ok()?)
}
