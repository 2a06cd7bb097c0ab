//! The table of custom search parameters and the steps of its jobs on SQLite.
//!
//! Not here: what changes (`crate::params`), the transaction (`writer`).

use fhir::ResourceType;
use rusqlite::{Connection, params};

use super::commit::Group;
use super::current::{current, id_of};
use super::read::{sql_limit, stored};
use super::{read, sealed};
use crate::error::{CommitError, ReadError};
use crate::index::{IndexRows, table, terms};
use crate::params::{
    APPLIED, Activation, ParamRow, ParamState, ParamTable, ReindexJob, ReindexPage, ReindexStep,
    applied, plan, search_parameter,
};
use crate::place::Place;

/// All of it.
pub(super) fn table(conn: &Connection) -> Result<ParamTable, ReadError> {
    Ok(ParamTable {
        newest: read::newest_change(conn, &[search_parameter()])?,
        applied: applied(sealed::setting(conn, APPLIED)?),
        params: rows(conn)?,
        jobs: jobs(conn)?,
    })
}

/// Current resources of a type above a `rid`.
pub(super) fn page(
    conn: &Connection,
    of: ResourceType,
    after: i64,
    limit: usize,
) -> Result<ReindexPage, ReadError> {
    let mut select = conn.prepare_cached(
        "select v.change, v.type, v.version, v.updated_us, v.action, v.payload, v.entry, v.salt_id, v.rid
         from resource r join resource_version v on v.rid = r.rid and v.version = r.version
         where r.type = ?1 and r.deleted = 0 and r.rid > ?2
         order by r.rid limit ?3",
    )?;
    let mut rows = select.query(params![of.code(), after, sql_limit(limit)])?;
    let mut page = ReindexPage::default();
    while let Some(row) = rows.next()? {
        let rid = row.get(8)?;
        let id = id_of(conn, rid)?
            .ok_or_else(|| ReadError::Damaged("a version has no resource".into()))?;
        page.resources.push((rid, stored(row, id)?));
    }
    Ok(page)
}

/// Puts parameters in force.
pub(super) fn activate(
    conn: &Connection,
    activation: &Activation,
) -> rusqlite::Result<Result<(), CommitError>> {
    if read::newest_change(conn, &[search_parameter()])? != activation.change {
        return Ok(Err(CommitError::Stale));
    }
    let Some(changes) = plan(&rows(conn)?, &activation.wanted) else {
        return Ok(Err(CommitError::Unavailable("there are too many search parameters".into())));
    };
    for number in changes.leaving {
        conn.execute("update search_param set state = 3 where number = ?1", [number])?;
    }
    for row in &changes.added {
        conn.execute(
            "insert into search_param (number, type, code, definition, source, state)
             values (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                row.number,
                row.of.code(),
                row.code,
                row.definition,
                row.source,
                row.state.code()
            ],
        )?;
    }
    for of in changes.types {
        begin(conn, of)?;
    }
    conn.execute(
        "insert or replace into setting (name, value) values (?1, ?2)",
        params![APPLIED, activation.change.to_le_bytes().as_slice()],
    )?;
    Ok(Ok(()))
}

/// Removes all index rows and begins a job for each type; nothing where that was done before.
pub(super) fn rebuild(conn: &Connection) -> rusqlite::Result<()> {
    if sealed::setting(conn, table::SEARCH_TABLE)?.as_deref() == Some(&table::REBUILDING[..]) {
        return Ok(());
    }
    for name in table::DERIVED.into_iter().filter(|name| *name != WORDS) {
        conn.execute_batch(&format!("delete from {name}"))?;
    }
    conn.execute_batch(&format!("insert into {WORDS} ({WORDS}) values ('delete-all')"))?;
    // What is deleted is in no job: its list is empty, but there.
    conn.execute(
        "insert into resource_terms (rid, terms)
         select rid, ?1 from resource where deleted = 1 and version > 0",
        [terms::encode(&IndexRows::default())],
    )?;
    conn.execute_batch("delete from reindex_job")?;
    conn.execute_batch(REBUILD_JOBS)?;
    conn.execute(
        "insert or replace into setting (name, value) values (?1, ?2)",
        params![table::SEARCH_TABLE, table::REBUILDING.as_slice()],
    )?;
    Ok(())
}

/// Begins the job of a type, from its first resource; one without resources is done at once.
fn begin(conn: &Connection, of: ResourceType) -> rusqlite::Result<()> {
    let total: i64 = conn.query_row(
        "select count(*) from resource where type = ?1 and deleted = 0",
        [of.code()],
        |row| row.get(0),
    )?;
    if total == 0 {
        return end(conn, of);
    }
    conn.execute(
        "insert or replace into reindex_job (type, after, done, total) values (?1, 0, 0, ?2)",
        params![of.code(), total],
    )?;
    Ok(())
}

/// All rows of the type are as its parameters say.
fn end(conn: &Connection, of: ResourceType) -> rusqlite::Result<()> {
    conn.execute("delete from search_param where type = ?1 and state = 3", [of.code()])?;
    conn.execute("update search_param set state = 2 where type = ?1", [of.code()])?;
    conn.execute("delete from reindex_job where type = ?1", [of.code()])?;
    Ok(())
}

/// The table of FTS5, which is emptied in its own way.
const WORDS: &str = "search_text";
const REBUILD_JOBS: &str = "insert into reindex_job (type, after, done, total)
 select type, 0, 0, count(*) from resource where deleted = 0 group by type";

impl Group<'_> {
    /// One step of a job, with its progress.
    pub(super) fn reindex(
        &mut self,
        step: &mut ReindexStep,
    ) -> rusqlite::Result<Result<(), CommitError>> {
        let job = jobs(self.conn)?.into_iter().find(|job| job.of == step.of);
        let newest = read::newest_change(self.conn, &[search_parameter()])?;
        if job.is_none_or(|job| job.after != step.from) || newest != step.change {
            return Ok(Err(CommitError::Stale));
        }
        for one in &mut step.resources {
            let Some(row) = current(self.conn, self.index_key, &one.key)? else { continue };
            if row.version == Some(one.version) && !row.deleted {
                let place = Place { nsort: row.nsort, rid: row.rid, patient: row.patient };
                self.replace_rows(std::mem::take(&mut one.rows), Some(row), place)?;
            }
        }
        match step.to {
            Some(to) => {
                self.conn.execute(
                    "update reindex_job set after = ?2, done = done + ?3 where type = ?1",
                    params![step.of.code(), to, step.seen.cast_signed()],
                )?;
            }
            None => end(self.conn, step.of)?,
        }
        Ok(Ok(()))
    }
}

fn rows(conn: &Connection) -> rusqlite::Result<Vec<ParamRow>> {
    let mut select = conn.prepare_cached(
        "select number, type, code, definition, source, state from search_param order by number",
    )?;
    let found = select.query_map([], |row| {
        Ok(type_of(row.get(1)?).zip(ParamState::from_code(row.get(5)?)).map(|(of, state)| {
            Ok(ParamRow {
                number: row.get(0)?,
                of,
                code: row.get(2)?,
                definition: row.get(3)?,
                source: row.get(4)?,
                state,
            })
        }))
    })?;
    found.filter_map(Result::transpose).map(|row| row.and_then(|row| row)).collect()
}

fn jobs(conn: &Connection) -> rusqlite::Result<Vec<ReindexJob>> {
    let mut select =
        conn.prepare_cached("select type, after, done, total from reindex_job order by type")?;
    let found = select.query_map([], |row| {
        let (after, done, total): (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(type_of(row.get(0)?).map(|of| ReindexJob {
            of,
            after,
            done: done.cast_unsigned(),
            total: total.cast_unsigned(),
        }))
    })?;
    found.filter_map(Result::transpose).collect()
}

fn type_of(code: u8) -> Option<ResourceType> {
    ResourceType::from_code(code)
}
