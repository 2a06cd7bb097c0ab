//! The one writer: a thread that gathers what waits into one durable transaction (group commit).
//!
//! A group is what stands in the queue when the writer is free, at most [`GROUP_WRITES_MAX`] versions.
//! `begin immediate`, each job, `commit` with `synchronous = full`, then the answers. When `commit`
//! fails, every job of the group is answered with *unavailable* and nothing is assumed: counters are
//! read again. When a statement fails unexpectedly, the group is rolled back and run one by one, so
//! one set's failure does not hurt the others. Once the disk has failed (`fail_stop`) every job is refused.
//! Not here: what a set does (`commit`), checkpoints (`checkpoint`).

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{Notify, mpsc};

use super::commit::{Group, Numbers, SetError};
use super::fail_stop::DiskState;
use super::index_rows::Pending;
use super::open::SqliteOptions;
use super::reader::{STEPS_A_LOOK, is_out_of_time};
use super::{access_outbox, checkpoint, params, sealed, upkeep};
use crate::hash::IndexKey;
use crate::job::{Answer, GROUP_WRITES_MAX, Job, Outcome};

/// What the writer thread shares with the store.
pub(super) struct Shared {
    pub(super) options: SqliteOptions,
    pub(super) index_key: IndexKey,
    pub(super) outbox: Arc<Notify>,
    pub(super) checkpoints: checkpoint::Handle,
    pub(super) disk: &'static DiskState,
}

/// Serves the queue until all senders are gone.
pub(super) fn run(mut conn: Connection, mut queue: mpsc::Receiver<Job>, shared: &Shared) {
    loop {
        conn.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        conn.wal_hook(Some(checkpoint::note_wal_pages));
        let limited = conn.progress_handler(STEPS_A_LOOK, Some(is_out_of_time));
        match limited.and_then(|()| serve(&conn, &mut queue, shared)) {
            Ok(()) => return,
            Err(error) => tracing::error!(error = %error, "the registry's writer starts again"),
        }
        if let Some(cause) = shared.disk.stopped() {
            return refuse_all(&mut queue, &cause);
        }
        drop(conn);
        conn = reopen(&mut queue, shared);
        if queue.is_closed() && queue.is_empty() {
            return;
        }
    }
}

/// Answers everything with *unavailable* until all senders are gone.
fn refuse_all(queue: &mut mpsc::Receiver<Job>, cause: &str) {
    while let Some(job) = queue.blocking_recv() {
        Outcome::refused(job, cause).send();
    }
}

fn reopen(queue: &mut mpsc::Receiver<Job>, shared: &Shared) -> Connection {
    loop {
        match shared.options.writer() {
            Ok(conn) => return conn,
            Err(error) => {
                tracing::error!(error = %error, "the registry cannot be opened");
                while let Ok(job) = queue.try_recv() {
                    Outcome::refused(job, &error.to_string()).send();
                }
                std::thread::sleep(REOPEN_PAUSE);
            }
        }
    }
}

/// Runs groups until the queue is closed, or an error leaves the connection in doubt.
fn serve(
    conn: &Connection,
    queue: &mut mpsc::Receiver<Job>,
    shared: &Shared,
) -> rusqlite::Result<()> {
    let mut writer =
        Writer { conn, shared, numbers: Numbers::read(conn)?, pending: Pending::default() };
    while let Some(first) = queue.blocking_recv() {
        if let Some(cause) = shared.disk.stopped() {
            Outcome::refused(first, &cause).send();
            continue;
        }
        let mut size = first.writes();
        let mut group = vec![first];
        while size < GROUP_WRITES_MAX
            && let Ok(job) = queue.try_recv()
        {
            size += job.writes();
            group.push(job);
        }
        shared.checkpoints.enter();
        let outcome = writer.run_group(group);
        shared.checkpoints.leave();
        outcome?;
    }
    Ok(())
}

struct Writer<'a> {
    conn: &'a Connection,
    shared: &'a Shared,
    numbers: Numbers,
    pending: Pending,
}

impl Writer<'_> {
    /// `Err` only when the connection is in doubt; every job has its answer in any case.
    fn run_group(&mut self, mut jobs: Vec<Job>) -> rusqlite::Result<()> {
        match self.attempt(&mut jobs) {
            Ok(outcomes) => {
                self.answer(jobs, outcomes);
                Ok(())
            }
            Err(error) if jobs.len() > 1 && !is_general(&error) => {
                self.reset()?;
                for job in jobs {
                    let mut alone = vec![job];
                    match self.attempt(&mut alone) {
                        Ok(outcomes) => self.answer(alone, outcomes),
                        Err(error) => self.give_up(alone, &error)?,
                    }
                }
                Ok(())
            }
            Err(error) => self.give_up(jobs, &error),
        }
    }

    fn give_up(&mut self, jobs: Vec<Job>, error: &rusqlite::Error) -> rusqlite::Result<()> {
        tracing::error!(error = %error, jobs = jobs.len(), "a group was not committed");
        let cause = self.shared.disk.stopped().unwrap_or_else(|| error.to_string());
        for job in jobs {
            Outcome::refused(job, &cause).send();
        }
        self.reset()
    }

    /// Rolls back what may be open and reads the counters again.
    fn reset(&mut self) -> rusqlite::Result<()> {
        self.pending.clear();
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("rollback")?;
        }
        self.numbers = Numbers::read(self.conn)?;
        Ok(())
    }

    /// One durable transaction for all jobs; a job's outcome may be a refusal.
    fn attempt(&mut self, jobs: &mut [Job]) -> rusqlite::Result<Vec<Answer>> {
        self.conn.prepare_cached("begin immediate")?.execute([])?;
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs.iter_mut() {
            answers.push(self.attempt_job(job)?);
        }
        self.pending.flush(self.conn)?;
        self.conn.prepare_cached("commit")?.execute([])?;
        Ok(answers)
    }

    fn attempt_job(&mut self, job: &mut Job) -> rusqlite::Result<Answer> {
        let shared = self.shared;
        let mut group = Group {
            conn: self.conn,
            index_key: &shared.index_key,
            clock: &shared.options.clock,
            numbers: &mut self.numbers,
            pending: &mut self.pending,
        };
        match job {
            Job::Commit(set, _) => match group.commit(set) {
                Ok(committed) => Ok(Answer::Committed(Ok(committed))),
                Err(SetError::Refused(refusal)) => Ok(Answer::Committed(Err(refusal))),
                Err(SetError::Failed(error)) => Err(error),
            },
            Job::Sealed(ranges, _) => Ok(Answer::Done(sealed::mark(self.conn, ranges)?)),
            Job::Journaled(ids, _) => {
                access_outbox::clear(self.conn, ids)?;
                Ok(Answer::Done(Ok(())))
            }
            Job::Activate(activation, _) => {
                Ok(Answer::Done(params::activate(self.conn, activation)?))
            }
            Job::Reindex(step, _) => Ok(Answer::Done(group.reindex(step)?)),
            Job::Rebuild(_) => {
                params::rebuild(self.conn)?;
                Ok(Answer::Done(Ok(())))
            }
            Job::Expire(before_us, _) => {
                upkeep::expire(self.conn, *before_us)?;
                Ok(Answer::Done(Ok(())))
            }
            Job::Setting(name, value, _) => {
                self.conn
                    .prepare_cached("insert or replace into setting (name, value) values (?1, ?2)")?
                    .execute(rusqlite::params![*name, *value])?;
                Ok(Answer::Done(Ok(())))
            }
        }
    }

    fn answer(&self, jobs: Vec<Job>, answers: Vec<Answer>) {
        let any_committed = answers.iter().any(|answer| matches!(answer, Answer::Committed(Ok(_))));
        for (job, answer) in jobs.into_iter().zip(answers) {
            Outcome { job, answer }.send();
        }
        if any_committed {
            self.shared.outbox.notify_one();
        }
    }
}

/// True for errors that no other order of the same work would avoid.
fn is_general(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
        OutOfMemory, ReadOnly, SystemIoFailure,
    };
    matches!(
        error.sqlite_error_code(),
        Some(
            CannotOpen
                | DatabaseBusy
                | DatabaseCorrupt
                | DatabaseLocked
                | DiskFull
                | NotADatabase
                | OutOfMemory
                | ReadOnly
                | SystemIoFailure
        )
    )
}

const STATEMENTS_CACHED: usize = 128;
const REOPEN_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);
