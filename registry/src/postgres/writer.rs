//! The writer of this process: a thread that gathers what waits into one durable transaction (group commit).
//!
//! A group is what stands in the queue when the writer is free, at most [`GROUP_WRITES_MAX`] versions, and
//! takes four round trips: begin with lock and counters, state, rows, commit. Writers of other
//! processes wait for the lock meanwhile. A statement that fails against expectation rolls the group
//! back, and its sets run one by one. A connection lost at `commit` leaves the outcome open: the
//! transaction's id then tells it.
//! Not here: what a set does (`commit`, `write`).

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::runtime::Builder;
use tokio::sync::{Notify, mpsc, oneshot};

use super::commit::{Draft, Group, Numbers, PREPARE, SetError};
use super::fence::Fence;
use super::known::Known;
use super::options::PostgresOptions;
use super::pending::Pending;
use super::{access_outbox, migrate, params, sealed, upkeep};
use crate::clock::Clock;
use crate::error::{CommitError, OpenError};
use crate::hash::IndexKey;
use crate::job::{Answer, GROUP_WRITES_MAX, Job, Outcome};
use crate::write_set::WriteSet;

/// The writer and its connection; `None` when it must be opened first.
pub(super) struct Writer {
    pub(super) conn: Option<PgConnection>,
    pub(super) connect: PgConnectOptions,
    pub(super) index_key: IndexKey,
    pub(super) clock: Clock,
    pub(super) outbox: Arc<Notify>,
    pub(super) fence: Arc<Fence>,
}

/// Starts the writer's thread; it tells the index key once the schema is there.
///
/// # Errors
/// [`OpenError::Unavailable`] without a thread.
pub(super) fn start(
    options: PostgresOptions,
    outbox: Arc<Notify>,
    fence: Arc<Fence>,
    queue: mpsc::Receiver<Job>,
) -> Result<(JoinHandle<()>, Opening), OpenError> {
    let failed = |error: std::io::Error| OpenError::Unavailable(error.to_string());
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (opened, opening) = oneshot::channel();
    // A thread, since write sets may be sent between threads but not shared.
    let writer = std::thread::Builder::new()
        .name("registry-writer".into())
        .spawn(move || runtime.block_on(open_and_write(options, outbox, fence, queue, opened)))
        .map_err(failed)?;
    Ok((writer, opening))
}

/// What the opening comes to.
pub(super) type Opening = oneshot::Receiver<Result<IndexKey, OpenError>>;

/// The life of the writer's thread: schema first, then the queue.
async fn open_and_write(
    options: PostgresOptions,
    outbox: Arc<Notify>,
    fence: Arc<Fence>,
    queue: mpsc::Receiver<Job>,
    opened: oneshot::Sender<Result<IndexKey, OpenError>>,
) {
    let connect = options.writer();
    let (connect, index_key) = match (connect, migrate::migrate(&options).await) {
        (Ok(connect), Ok(index_key)) => (connect, index_key),
        (Err(error), _) | (_, Err(error)) => return drop(opened.send(Err(error))),
    };
    if opened.send(Ok(index_key.clone())).is_ok() {
        let clock = options.clock;
        Writer { conn: None, connect, index_key, clock, outbox, fence }.run(queue).await;
    }
}

impl Writer {
    /// Serves the queue until all senders are gone.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.recv().await {
            let mut size = first.writes();
            let mut group = vec![first];
            while size < GROUP_WRITES_MAX
                && let Ok(job) = queue.try_recv()
            {
                size += job.writes();
                group.push(job);
            }
            self.run_group(group).await;
        }
        if let Some(conn) = self.conn.take() {
            // The server notices by itself when the farewell does not reach it.
            let _ = conn.close().await;
        }
    }

    async fn run_group(&mut self, jobs: Vec<Job>) {
        match self.attempt(&jobs).await {
            Ok(answers) => self.answer(jobs, answers),
            Err(error) if jobs.len() > 1 && !is_general(&error) => {
                tracing::warn!(error = %error, jobs = jobs.len(), "a group runs one by one");
                for job in jobs {
                    let alone = vec![job];
                    match self.attempt(&alone).await {
                        Ok(answers) => self.answer(alone, answers),
                        Err(error) => give_up(alone, &error),
                    }
                }
            }
            Err(error) => give_up(jobs, &error),
        }
    }

    /// One durable transaction for all jobs; a job's answer may be a refusal.
    async fn attempt(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, sqlx::Error> {
        let (mut conn, numbers) = self.begin().await?;
        let transaction = numbers.transaction.clone();
        match self.fill(&mut conn, numbers, jobs).await {
            Ok(answers) => match sqlx::raw_sql(COMMIT).execute(&mut conn).await {
                Ok(_) => {
                    self.conn = Some(conn);
                    Ok(answers)
                }
                Err(error) => {
                    drop(conn);
                    if self.is_committed(&transaction).await { Ok(answers) } else { Err(error) }
                }
            },
            Err(error) => {
                if !is_lost(&error) && sqlx::raw_sql("rollback").execute(&mut conn).await.is_ok() {
                    self.conn = Some(conn);
                }
                Err(error)
            }
        }
    }

    /// Begins on the connection at hand, or on a new one if that is dead.
    async fn begin(&mut self) -> Result<(PgConnection, Numbers), sqlx::Error> {
        if let Some(mut conn) = self.conn.take() {
            match Numbers::begin(&mut conn).await {
                Ok(numbers) => return Ok((conn, numbers)),
                Err(error) if !is_lost(&error) => return Err(error),
                Err(error) => tracing::warn!(error = %error, "the writer connects again"),
            }
        }
        let mut conn = self.connect().await?;
        let numbers = Numbers::begin(&mut conn).await?;
        Ok((conn, numbers))
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let connecting = async {
            let mut conn = PgConnection::connect_with(&self.connect).await?;
            sqlx::raw_sql(DURABLE).execute(&mut conn).await?;
            sqlx::raw_sql(PREPARE).execute(&mut conn).await?;
            Ok(conn)
        };
        let timed_out = |_| Err(sqlx::Error::PoolTimedOut);
        tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(timed_out)
    }

    async fn fill(
        &self,
        conn: &mut PgConnection,
        numbers: Numbers,
        jobs: &[Job],
    ) -> Result<Vec<Answer>, sqlx::Error> {
        let sets = sets_of(jobs);
        let known = if sets.is_empty() {
            Known::default()
        } else {
            Known::read(&sets, &self.index_key, conn).await?
        };
        let is_fenced_out =
            jobs.iter().any(Job::is_sequencers) && !self.fence.is_current(conn).await?;
        let (index_key, clock) = (&self.index_key, &self.clock);
        let pending = Pending::default();
        let draft = Draft { index_key, numbers, known, pending };
        let mut group = Group { conn, clock, draft };
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push(match job {
                job if is_fenced_out && job.is_sequencers() => {
                    Answer::Done(Err(CommitError::Unavailable(FENCED_OUT.into())))
                }
                Job::Commit(set, _) => match group.commit(set).await {
                    Ok(committed) => {
                        if set.erasing.is_some() {
                            group.draft.known =
                                Known::read(&sets, &self.index_key, group.conn).await?;
                        }
                        Answer::Committed(Ok(committed))
                    }
                    Err(SetError::Refused(refusal)) => Answer::Committed(Err(refusal)),
                    Err(SetError::Failed(error)) => return Err(error),
                },
                Job::Sealed(ranges, _) => Answer::Done(sealed::mark(group.conn, ranges).await?),
                Job::Journaled(ids, _) => {
                    access_outbox::clear(group.conn, ids).await?;
                    Answer::Done(Ok(()))
                }
                Job::Activate(activation, _) => Answer::Done(group.activate(activation).await?),
                Job::Reindex(step, _) => Answer::Done(group.reindex(step).await?),
                Job::Rebuild(_) => {
                    params::rebuild(group.conn).await?;
                    Answer::Done(Ok(()))
                }
                Job::Expire(before_us, _) => {
                    upkeep::expire(group.conn, *before_us).await?;
                    Answer::Done(Ok(()))
                }
                Job::Setting(name, value, _) => {
                    sealed::set_setting(group.conn, name, value).await?;
                    Answer::Done(Ok(()))
                }
            });
        }
        group.draft.pending.flush(group.conn).await?;
        Ok(answers)
    }

    /// Whether a transaction whose commit was not answered was committed. When that cannot be found
    /// out, the answer is *unavailable*, and a repetition finds what is there.
    async fn is_committed(&self, transaction: &str) -> bool {
        for _ in 0..FATE_TRIES {
            let asked = async {
                let mut conn = self.connect().await?;
                sqlx::query_scalar("select pg_xact_status($1::text::xid8)")
                    .bind(transaction)
                    .fetch_one(&mut conn)
                    .await
            };
            let fate: Result<Option<String>, sqlx::Error> = asked.await;
            match fate.as_ref().map(Option::as_deref) {
                Ok(Some("committed")) => return true,
                Ok(Some("aborted") | None) => return false,
                Ok(Some(_)) | Err(_) => tokio::time::sleep(FATE_PAUSE).await,
            }
        }
        false
    }

    fn answer(&self, jobs: Vec<Job>, answers: Vec<Answer>) {
        let any_committed = answers.iter().any(|answer| matches!(answer, Answer::Committed(Ok(_))));
        for (job, answer) in jobs.into_iter().zip(answers) {
            Outcome { job, answer }.send();
        }
        if any_committed {
            self.outbox.notify_one();
        }
    }
}

/// The write sets among jobs.
fn sets_of(jobs: &[Job]) -> Vec<&WriteSet> {
    let sets = jobs.iter().filter_map(|job| match job {
        Job::Commit(set, _) => Some(&**set),
        _ => None,
    });
    sets.collect()
}

fn give_up(jobs: Vec<Job>, error: &sqlx::Error) {
    tracing::error!(error = %error, jobs = jobs.len(), "a group was not committed");
    for job in jobs {
        Outcome::refused(job, &error.to_string()).send();
    }
}

/// True when the connection cannot be used again.
fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08"))
        }
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut => true,
        _ => false,
    }
}

/// True for errors that no other order of the same work would avoid: away, full, read-only, timed out.
fn is_general(error: &sqlx::Error) -> bool {
    let general = |code: &str| {
        code.starts_with("53") || code.starts_with("58") || GENERAL_CODES.contains(&code)
    };
    let database = error.as_database_error();
    is_lost(error) || database.and_then(|error| error.code()).is_some_and(|code| general(&code))
}

/// Read-only transaction, lock timeout, statement timeout.
const GENERAL_CODES: [&str; 3] = ["25006", "55P03", "57014"];
/// In a broken transaction `commit` rolls back without an error; the statement before it fails there.
const COMMIT: &str = "select 1; commit";
/// A server may be set to answer before its log is on disk; this session never is.
const DURABLE: &str = "select set_config('synchronous_commit', 'on', false)
where current_setting('synchronous_commit') = 'off'";
const FENCED_OUT: &str = "this process does not hold the right to seal any more";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const FATE_TRIES: u32 = 20;
const FATE_PAUSE: Duration = Duration::from_millis(200);
