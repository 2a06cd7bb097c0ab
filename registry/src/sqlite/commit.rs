//! One write set inside the group's transaction: first everything is checked, then it is written.
//!
//! A refused set has written nothing, so the sets of a group need no savepoints: SQLite's savepoints
//! copy every page that is touched again. When a statement fails against expectation the writer
//! rolls the group back and runs its sets one by one (`writer`).
//! Not here: the group and its durability (`writer`), what a write stores (`write`).

use std::collections::{HashMap, HashSet};

use fhir::{Instant, ResourceId, ResourceType};
use rusqlite::{Connection, OptionalExtension, params};

use super::current::{current, resolve_key};
use super::index_rows::Pending;
use super::reader::until;
use super::{access_outbox, erasure, read, reading, search};
use crate::clock::Clock;
use crate::cost::criteria_time;
use crate::error::CommitError;
use crate::finishing::finish_all;
use crate::hash::IndexKey;
use crate::params::search_parameter;
use crate::place::Current;
use crate::reading::READS_TIME_MAX;
use crate::write_set::{Committed, Dependency, Match, MatchOutcome, WriteSet};

/// Why a set did not go in.
pub(super) enum SetError {
    /// It was refused; the transaction is as before.
    Refused(CommitError),
    /// A statement failed; the transaction must be rolled back.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for SetError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

/// What the writer knows beyond the database, valid while nobody else writes.
pub(super) struct Numbers {
    next_rid: i64,
    next_change: i64,
    last_us: i64,
    pub(super) patients: HashMap<ResourceId, i64>,
}

impl Numbers {
    /// Reads the counters; to be repeated after every rollback.
    pub(super) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let next_rid =
            conn.query_row("select coalesce(max(rid), 0) + 1 from resource", [], |row| row.get(0))?;
        let last: Option<(i64, i64)> = conn
            .query_row(
                "select change, updated_us from resource_version order by change desc limit 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let (last_change, last_us) = last.unwrap_or((0, 0));
        Ok(Self { next_rid, next_change: last_change + 1, last_us, patients: HashMap::new() })
    }

    pub(super) fn take_rid(&mut self) -> i64 {
        self.next_rid += 1;
        self.next_rid - 1
    }

    pub(super) fn take_change(&mut self) -> i64 {
        self.next_change += 1;
        self.next_change - 1
    }

    /// Time of a set: now, but later than every time before.
    fn take_time(&mut self, clock: &Clock) -> Instant {
        self.last_us = clock().micros().max(self.last_us + 1);
        Instant::from_micros(self.last_us)
    }
}

/// The open transaction of a group.
pub(super) struct Group<'a> {
    pub(super) conn: &'a Connection,
    pub(super) index_key: &'a IndexKey,
    pub(super) clock: &'a Clock,
    pub(super) numbers: &'a mut Numbers,
    pub(super) pending: &'a mut Pending,
}

impl Group<'_> {
    /// Checks and writes one set, and answers its reads. These come after its writes, so a set with reads is the one
    /// kind that has to be taken back alone.
    pub(super) fn commit(&mut self, set: &mut WriteSet) -> Result<Committed, SetError> {
        if set.reads.is_empty() {
            return self.put(set);
        }
        self.pending.flush(self.conn)?;
        self.conn.execute_batch("savepoint reads")?;
        let (next_rid, next_change) = (self.numbers.next_rid, self.numbers.next_change);
        let done = self.put_and_read(set);
        if let Err(SetError::Refused(_)) = &done {
            self.pending.clear();
            self.conn.execute_batch("rollback to reads")?;
            (self.numbers.next_rid, self.numbers.next_change) = (next_rid, next_change);
            self.numbers.patients.clear();
        }
        self.conn.execute_batch("release reads")?;
        done
    }

    fn put_and_read(&mut self, set: &mut WriteSet) -> Result<Committed, SetError> {
        let committed = self.put(set)?;
        self.pending.flush(self.conn)?;
        let replies = reading::reply_within(READS_TIME_MAX, self.conn, self.index_key, &set.reads)
            .map_err(|unread| SetError::Refused(CommitError::Unread(unread)))?;
        Ok(Committed { replies, ..committed })
    }

    fn put(&mut self, set: &mut WriteSet) -> Result<Committed, SetError> {
        let currents = self.check(set)?;
        let updated = self.numbers.take_time(self.clock);
        let mut versions = Vec::with_capacity(set.writes.len());
        let finished = finish_all(&set.writes, updated);
        for ((write, known), finished) in set.writes.iter_mut().zip(currents).zip(finished) {
            let known = match known {
                // What was written before may refer to this patient, and have made a placeholder.
                None if write.key.resource_type == ResourceType::PATIENT => {
                    current(self.conn, self.index_key, &write.key)?
                }
                known => known,
            };
            versions.push(self.write(write, known, updated, &finished)?);
        }
        for key in &set.new_keys {
            self.conn
                .prepare_cached(
                    "insert into data_key (key_id, compartment, wrapped) values (?1, ?2, ?3)",
                )?
                .execute(params![key.key_id.cast_signed(), key.compartment, key.wrapped])?;
        }
        if let Some(first) = &set.idempotency {
            self.conn
                .prepare_cached(
                    "insert into idempotency (sender, control_id, answer, at_us)
                     values (?1, ?2, ?3, ?4)",
                )?
                .execute(params![first.sender, first.control_id, first.answer, updated.micros()])?;
        }
        if let Some(access) = &set.access {
            access_outbox::add(self.conn, access)?;
        }
        if let Some(step) = &set.erasing {
            self.erase(step)?;
        }
        Ok(Committed { versions, replies: Vec::new() })
    }

    fn check(&mut self, set: &WriteSet) -> Result<Vec<Option<Current>>, SetError> {
        if let Some(first) = &set.idempotency
            && let Some(answer) = first_answer(self.conn, &first.sender, &first.control_id)?
        {
            return Err(SetError::Refused(CommitError::AlreadyAnswered(answer)));
        }
        let mut keys = HashSet::with_capacity(set.writes.len());
        if let Some(twice) = set.writes.iter().find(|write| !keys.insert(&write.key)) {
            return Err(SetError::Refused(CommitError::Duplicate(twice.key.clone())));
        }
        for key in &set.new_keys {
            let taken = self
                .conn
                .prepare_cached("select 1 from data_key where compartment = ?1 or key_id = ?2")?
                .exists(params![key.compartment, key.key_id.cast_signed()])?;
            if taken {
                return Err(SetError::Refused(CommitError::Stale));
            }
        }
        let time = criteria_time(set.depends.iter().map(|dependency| &dependency.asked));
        until(std::time::Instant::now() + time, || {
            set.depends.iter().try_for_each(|dependency| self.check_dependency(dependency))
        })?;
        let mut currents = Vec::with_capacity(set.writes.len());
        for write in &set.writes {
            let found = current(self.conn, self.index_key, &write.key)?;
            if found.and_then(|row| row.version) != write.previous {
                return Err(SetError::Refused(CommitError::Stale));
            }
            currents.push(found);
        }
        if let Some(step) = &set.erasing {
            self.check_erasing(step)?;
        }
        Ok(currents)
    }

    fn check_dependency(&mut self, dependency: &Dependency) -> Result<(), SetError> {
        let found = match &dependency.asked {
            Match::Key(key) => resolve_key(self.conn, self.index_key, &dependency.permit, key)?,
            Match::Query(criteria) => {
                self.pending.flush(self.conn)?;
                let ids = search::matches(self.conn, self.index_key, &dependency.permit, criteria)
                    .map_err(|error| SetError::Refused(error.of_criteria()))?;
                MatchOutcome::Query(ids)
            }
            Match::SearchParams => {
                let newest = read::newest_change(self.conn, &[search_parameter()])?;
                MatchOutcome::SearchParams(newest)
            }
            Match::Erasures => MatchOutcome::Erasures(erasure::ended(self.conn)?),
        };
        if found == dependency.found { Ok(()) } else { Err(SetError::Refused(CommitError::Stale)) }
    }
}

/// First answer to (sender, control id).
pub(super) fn first_answer(
    conn: &Connection,
    sender: &str,
    control_id: &str,
) -> rusqlite::Result<Option<Vec<u8>>> {
    conn.prepare_cached("select answer from idempotency where sender = ?1 and control_id = ?2")?
        .query_row([sender, control_id], |row| row.get(0))
        .optional()
}
