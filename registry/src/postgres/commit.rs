//! One write set inside the group's transaction: first everything is checked, then it is put down as pending.
//!
//! A refused set has put down nothing, so the sets of a group need no savepoints. When a statement
//! fails against expectation the writer rolls the group back and runs its sets one by one (`writer`).
//! Not here: the group, its lock and its durability (`writer`), what a write stores (`write`).

use std::collections::HashSet;

use fhir::Instant;
use policy::Permit;
use sqlx::{PgConnection, Row};
use tokio::task::yield_now;

use super::known::Known;
use super::pending::{FirstAnswer, Pending};
use super::reading;
use crate::clock::Clock;
use crate::error::{CommitError, ReadError};
use crate::finishing::{Finishing, PARALLEL_WRITES_MIN, finish_all, parts};
use crate::hash::IndexKey;
use crate::place::Current;
use crate::reading::{NoReply, READS_TIME_MAX};
use crate::search::{self, Criteria};
use crate::write_set::{
    Committed, CommittedVersion, Dependency, Match, MatchOutcome, Write, WriteSet,
};

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
    pub(super) clock: &'a Clock,
    pub(super) draft: Draft<'a>,
}

/// What the group will change and what it knows of what is there: all that is made without asking the server.
pub(super) struct Draft<'a> {
    pub(super) index_key: &'a IndexKey,
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
        self.draft.pending.flush(self.conn).await?;
        sqlx::raw_sql("savepoint reads").execute(&mut *self.conn).await?;
        let before = (self.draft.numbers.clone(), self.draft.known.clone());
        let done = self.put_and_read(set).await;
        if let Err(SetError::Refused(_)) = &done {
            self.draft.pending = Pending::default();
            sqlx::raw_sql("rollback to reads").execute(&mut *self.conn).await?;
            (self.draft.numbers, self.draft.known) = before;
        }
        sqlx::raw_sql("release reads").execute(&mut *self.conn).await?;
        done
    }

    async fn put_and_read(&mut self, set: &WriteSet) -> Result<Committed, SetError> {
        let committed = self.put(set).await?;
        self.draft.pending.flush(self.conn).await?;
        let replies =
            reading::reply_within(READS_TIME_MAX, self.conn, self.draft.index_key, &set.reads)
                .await;
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
        let updated = self.draft.numbers.take_time(self.clock);
        self.learn_former(&set.writes).await?;
        let versions = if set.writes.len() < PARALLEL_WRITES_MIN {
            let finished = set.writes.iter().zip(finish_all(&set.writes, updated));
            let versions =
                finished.map(|(write, finished)| self.draft.write(write, updated, finished));
            versions.collect::<Result<_, _>>()?
        } else {
            self.write_in_parts(&set.writes, updated).await?
        };
        for key in &set.new_keys {
            self.draft.known.add_data_key(&key.compartment, key.key_id);
            self.draft.pending.data_key(key.key_id, &key.compartment, &key.wrapped);
        }
        if let Some(first) = &set.idempotency {
            self.draft.known.add_first_answer(&first.sender, &first.control_id, &first.answer);
            self.draft.pending.first_answer(FirstAnswer {
                sender: first.sender.clone(),
                control_id: first.control_id.clone(),
                answer: first.answer.clone(),
                at_us: updated.micros(),
            });
        }
        if let Some(access) = &set.access {
            self.draft.pending.access(access.clone());
        }
        if let Some(step) = &set.erasing {
            self.erase(step).await?;
        }
        if self.draft.pending.is_large() {
            self.draft.pending.flush(self.conn).await?;
        }
        Ok(Committed { versions, replies: Vec::new() })
    }

    /// Reads the rows of former versions that are not known any more: earlier sets of the group have changed them.
    async fn learn_former(&mut self, writes: &[Write]) -> Result<(), sqlx::Error> {
        let rows = writes.iter().filter_map(|write| self.draft.known.row(&write.key));
        let rows = rows.filter(|row| row.version.is_some()).map(|row| row.rid);
        let unknown: Vec<i64> = rows.filter(|rid| !self.draft.known.has_former(*rid)).collect();
        if unknown.iter().any(|rid| self.draft.pending.holds(*rid)) {
            self.draft.pending.flush(self.conn).await?;
        }
        self.draft.known.read_former(&unknown, self.conn).await
    }

    /// Sends each part of a large set as soon as it is made: the server works while the next one is.
    async fn write_in_parts(
        &mut self,
        writes: &[Write],
        updated: Instant,
    ) -> Result<Vec<CommittedVersion>, SetError> {
        let mut finishing = Finishing::begin(writes, updated);
        let mut versions = Vec::with_capacity(writes.len());
        let mut made = self.draft.pending.take_statements()?;
        for part in parts(writes) {
            let (conn, draft) = (&mut *self.conn, &mut self.draft);
            let making = async {
                let finished = finishing.next().await.map_err(|error| {
                    sqlx::Error::Protocol(format!("a version was not made: {error}"))
                })?;
                for (at, (write, finished)) in part.iter().zip(finished).enumerate() {
                    versions.push(draft.write(write, updated, finished)?);
                    if at % WRITES_BETWEEN_SENDS == 0 {
                        yield_now().await;
                    }
                }
                draft.pending.take_statements()
            };
            // What is being sent goes to its end, whatever becomes of the next part.
            let (sent, next) = futures::join!(made.run(conn), making);
            sent?;
            made = next?;
        }
        made.run(self.conn).await?;
        Ok(versions)
    }

    async fn check(&mut self, set: &WriteSet) -> Result<(), SetError> {
        let refused = |error| Err(SetError::Refused(error));
        if let Some(first) = &set.idempotency
            && let Some(answer) = self.draft.known.first_answer(&first.sender, &first.control_id)
        {
            return refused(CommitError::AlreadyAnswered(answer.clone()));
        }
        let mut keys = HashSet::with_capacity(set.writes.len());
        if let Some(twice) = set.writes.iter().find(|write| !keys.insert(&write.key)) {
            return refused(CommitError::Duplicate(twice.key.clone()));
        }
        let mut new_keys = set.new_keys.iter();
        if new_keys.any(|key| self.draft.known.has_data_key(&key.compartment, key.key_id)) {
            return refused(CommitError::Stale);
        }
        for write in &set.writes {
            let version = self.draft.known.row(&write.key).and_then(|row: Current| row.version);
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
            Match::Key(key) => Ok(self.draft.known.resolve(&dependency.permit, key)),
            Match::Query(criteria) => self.find_matches(&dependency.permit, criteria).await,
            Match::SearchParams => Ok(MatchOutcome::SearchParams(self.newest_param().await?)),
            Match::Erasures => Ok(MatchOutcome::Erasures(self.draft.numbers.ended)),
        }
    }

    /// Asks the database; what waits goes there first if the query could see it.
    async fn find_matches(
        &mut self,
        permit: &Permit,
        criteria: &Criteria,
    ) -> Result<MatchOutcome, SetError> {
        if !criteria.is_of_one_type() || self.draft.pending.types().contains(&criteria.of()) {
            self.draft.pending.flush(self.conn).await?;
        }
        let conn = &mut &mut *self.conn;
        match search::matching_ids(criteria, permit, self.draft.index_key, conn).await {
            Ok(ids) => Ok(MatchOutcome::Query(ids)),
            // The transaction may be broken: it must not be committed.
            Err(ReadError::Unavailable(text) | ReadError::Damaged(text)) => {
                Err(SetError::Failed(sqlx::Error::Protocol(text)))
            }
            Err(error) => Err(SetError::Refused(error.of_criteria())),
        }
    }
}

/// What is being sent gets a turn after so many writes.
const WRITES_BETWEEN_SENDS: usize = 8;
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
