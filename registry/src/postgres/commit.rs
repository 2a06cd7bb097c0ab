//! One write set inside the group's transaction: first everything is checked, then it is put down as pending.
//!
//! A refused set has put down nothing, so the sets of a group need no savepoints. When a statement
//! fails against expectation the writer rolls the group back and runs its sets one by one (`writer`).
//! Not here: the group, its lock and its durability (`writer`), what a write stores (`write`).

use std::collections::HashSet;

use fhir::Instant;
use policy::Permit;
use sqlx::{PgConnection, Row};

use super::known::Known;
use super::pending::{FirstAnswer, Pending};
use super::reading;
use crate::clock::Clock;
use crate::error::{CommitError, ReadError};
use crate::finishing::{Finishing, PARALLEL_WRITES_MIN, PART_WRITES, finish_all};
use crate::hash::IndexKey;
use crate::place::Current;
use crate::reading::{NoReply, READS_TIME_MAX};
use crate::search::{self, Criteria};
use crate::write_set::{Committed, CommittedVersion, Dependency, Match, MatchOutcome, WriteSet};

/// Why a set did not go in.
pub(super) enum SetError {
    /// It was refused; the transaction is as before.
    Refused(CommitError),
    /// A statement failed; the transaction must be rolled back.
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for SetError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

/// Counters of the database, valid while the writer's lock is held.
#[derive(Clone)]
pub(super) struct Numbers {
    next_rid: i64,
    next_change: i64,
    last_us: i64,
    /// Id of the transaction, to ask for its fate.
    pub(super) transaction: String,
    /// Number of the last erasure that has ended.
    pub(super) ended: u64,
}

impl Numbers {
    /// Begins a transaction, waits for the writer's lock and reads the counters: one round trip. Each
    /// statement has its own snapshot, so the counters are those that the last writer left.
    pub(super) async fn begin(conn: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let rows = sqlx::raw_sql(BEGIN).fetch_all(conn).await?;
        let row = rows.last().ok_or(sqlx::Error::RowNotFound)?;
        Ok(Self {
            next_rid: row.try_get::<i64, _>(0)? + 1,
            next_change: row.try_get::<i64, _>(1)? + 1,
            last_us: row.try_get(2)?,
            transaction: row.try_get(3)?,
            ended: row.try_get::<i64, _>(4)?.cast_unsigned(),
        })
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
    pub(super) conn: &'a mut PgConnection,
    pub(super) index_key: &'a IndexKey,
    pub(super) clock: &'a Clock,
    pub(super) numbers: Numbers,
    pub(super) known: Known,
    pub(super) pending: Pending,
}

impl Group<'_> {
    /// Checks and writes one set, and answers its reads. These come after its writes, so a set with reads is the one
    /// kind that has to be taken back alone.
    pub(super) async fn commit(&mut self, set: &WriteSet) -> Result<Committed, SetError> {
        if set.reads.is_empty() {
            return self.put(set).await;
        }
        self.pending.flush(self.conn).await?;
        sqlx::raw_sql("savepoint reads").execute(&mut *self.conn).await?;
        let before = (self.numbers.clone(), self.known.clone());
        let done = self.put_and_read(set).await;
        if let Err(SetError::Refused(_)) = &done {
            self.pending = Pending::default();
            sqlx::raw_sql("rollback to reads").execute(&mut *self.conn).await?;
            (self.numbers, self.known) = before;
        }
        sqlx::raw_sql("release reads").execute(&mut *self.conn).await?;
        done
    }

    async fn put_and_read(&mut self, set: &WriteSet) -> Result<Committed, SetError> {
        let committed = self.put(set).await?;
        self.pending.flush(self.conn).await?;
        let replies =
            reading::reply_within(READS_TIME_MAX, self.conn, self.index_key, &set.reads).await;
        match replies {
            Ok(replies) => Ok(Committed { replies, ..committed }),
            Err(unread) => match unread.cause {
                // The transaction may be broken: it must not be committed.
                NoReply::Failed(ReadError::Unavailable(text) | ReadError::Damaged(text)) => {
                    Err(SetError::Failed(sqlx::Error::Protocol(text)))
                }
                _ => Err(SetError::Refused(CommitError::Unread(unread))),
            },
        }
    }

    async fn put(&mut self, set: &WriteSet) -> Result<Committed, SetError> {
        self.check(set).await?;
        let updated = self.numbers.take_time(self.clock);
        let mut versions = Vec::with_capacity(set.writes.len());
        if set.writes.len() < PARALLEL_WRITES_MIN {
            let finished = finish_all(&set.writes, updated);
            for (write, finished) in set.writes.iter().zip(finished) {
                versions.push(self.write(write, updated, finished).await?);
            }
        } else {
            self.write_in_parts(set, updated, &mut versions).await?;
        }
        for key in &set.new_keys {
            self.known.add_data_key(&key.compartment, key.key_id);
            self.pending.data_key(key.key_id, &key.compartment, &key.wrapped);
        }
        if let Some(first) = &set.idempotency {
            self.known.add_first_answer(&first.sender, &first.control_id, &first.answer);
            self.pending.first_answer(FirstAnswer {
                sender: first.sender.clone(),
                control_id: first.control_id.clone(),
                answer: first.answer.clone(),
                at_us: updated.micros(),
            });
        }
        if let Some(access) = &set.access {
            self.pending.access(access.clone());
        }
        if let Some(step) = &set.erasing {
            self.erase(step).await?;
        }
        if self.pending.is_large() {
            self.pending.flush(self.conn).await?;
        }
        Ok(Committed { versions, replies: Vec::new() })
    }

    /// Sends each part of a large set as soon as it is finished: the server works while the next one is made.
    async fn write_in_parts(
        &mut self,
        set: &WriteSet,
        updated: Instant,
        versions: &mut Vec<CommittedVersion>,
    ) -> Result<(), SetError> {
        let mut finishing = Finishing::begin(&set.writes, updated);
        for part in set.writes.chunks(PART_WRITES) {
            let finished = finishing.next().await.map_err(|error| {
                SetError::Failed(sqlx::Error::Protocol(format!("a version was not made: {error}")))
            })?;
            for (write, finished) in part.iter().zip(finished) {
                versions.push(self.write(write, updated, finished).await?);
            }
            self.pending.flush(self.conn).await?;
        }
        Ok(())
    }

    async fn check(&mut self, set: &WriteSet) -> Result<(), SetError> {
        let refused = |error| Err(SetError::Refused(error));
        if let Some(first) = &set.idempotency
            && let Some(answer) = self.known.first_answer(&first.sender, &first.control_id)
        {
            return refused(CommitError::AlreadyAnswered(answer.clone()));
        }
        let mut keys = HashSet::with_capacity(set.writes.len());
        if let Some(twice) = set.writes.iter().find(|write| !keys.insert(&write.key)) {
            return refused(CommitError::Duplicate(twice.key.clone()));
        }
        let mut new_keys = set.new_keys.iter();
        if new_keys.any(|key| self.known.has_data_key(&key.compartment, key.key_id)) {
            return refused(CommitError::Stale);
        }
        for write in &set.writes {
            let version = self.known.row(&write.key).and_then(|row: Current| row.version);
            if version != write.previous {
                return refused(CommitError::Stale);
            }
        }
        for dependency in &set.depends {
            if self.find(dependency).await? != dependency.found {
                return refused(CommitError::Stale);
            }
        }
        match &set.erasing {
            Some(step) => self.check_erasing(step).await,
            None => Ok(()),
        }
    }

    async fn find(&mut self, dependency: &Dependency) -> Result<MatchOutcome, SetError> {
        match &dependency.asked {
            Match::Key(key) => Ok(self.known.resolve(&dependency.permit, key)),
            Match::Query(criteria) => self.find_matches(&dependency.permit, criteria).await,
            Match::SearchParams => Ok(MatchOutcome::SearchParams(self.newest_param().await?)),
            Match::Erasures => Ok(MatchOutcome::Erasures(self.numbers.ended)),
        }
    }

    /// Asks the database; what waits goes there first if the query could see it.
    async fn find_matches(
        &mut self,
        permit: &Permit,
        criteria: &Criteria,
    ) -> Result<MatchOutcome, SetError> {
        if !criteria.is_of_one_type() || self.pending.types().contains(&criteria.of()) {
            self.pending.flush(self.conn).await?;
        }
        let conn = &mut &mut *self.conn;
        match search::matching_ids(criteria, permit, self.index_key, conn).await {
            Ok(ids) => Ok(MatchOutcome::Query(ids)),
            // The transaction may be broken: it must not be committed.
            Err(ReadError::Unavailable(text) | ReadError::Damaged(text)) => {
                Err(SetError::Failed(sqlx::Error::Protocol(text)))
            }
            Err(error) => Err(SetError::Refused(error.of_criteria())),
        }
    }
}

/// The number is the writer's lock: "sealway" as bytes.
const BEGIN: &str = "begin isolation level read committed read write;
select pg_advisory_xact_lock(32481091427721593);
execute sealway_numbers";
/// Prepares what [`BEGIN`] executes, once a session: to plan it takes longer than to run it.
pub(super) const PREPARE: &str = "prepare sealway_numbers as
select coalesce((select max(rid) from resource), 0),
       coalesce((select max(change) from resource_version), 0),
       coalesce((select updated_us from resource_version order by change desc limit 1), 0),
       pg_current_xact_id()::text,
       coalesce((select max(ended) from erasure), 0)";
