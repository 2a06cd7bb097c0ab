//! The sequencer: outboxes and access journal → log → checkpoint → recorded; one function also in recovery.
//!
//! One thread drains what waits, appends it, publishes a checkpoint (every second, every 200 ms under load) and
//! then records where everything stands. A crash between these steps is repaired at the next start: the log's
//! entries that are not recorded yet are recognised by their bytes (commitments are random, hence unique), so none
//! is appended twice and none is lost.
//!
//! For want of space or of the registry it tries again, and writes go on until too much waits; after a failed write
//! or fsync of the log it stops, and writes are refused until a restart.
//! Not here: tiles and proofs (`ledger`), the outbox itself (`registry`).

mod error;
mod recover;
mod view;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::{FileHead, FileTiles, Log, Signer};
use registry::access::Journal;
use registry::outbox::SealedRange;
use registry::store::Store;
use tokio::sync::watch;

use self::error::{of_commit, of_move, of_publish, of_registry};
use crate::access::mover::Mover;
use crate::app::OpenError;
use crate::clock;
use crate::config;
use crate::keyfile;
use crate::limits::{MARKED_AT_ONCE, SEAL_BATCH_MAX, SEAL_LOADED_MIN};
use crate::telemetry::metrics::Metrics;

pub use error::SealError;
pub(crate) use recover::parse_mark;
pub use view::Ledger;

/// The sequencer of one log.
pub struct Sealer {
    log: Log<FileTiles, FileHead>,
    ledger: Arc<Ledger>,
    store: Arc<dyn Store>,
    journal: Arc<Journal>,
    mover: Arc<Mover>,
    metrics: Arc<Metrics>,
    /// Highest outbox id that is in the log.
    outbox_done: u64,
    /// Highest journal position that is in the log.
    journal_done: u64,
    /// The registry may not have recorded all that the log holds.
    behind: bool,
    /// The taking of the right to seal under which the last round was begun.
    epoch: Option<u64>,
    /// What is in the log's memory and not published yet, because the disk had no room.
    appended: Option<Appended>,
    backlog_max: u64,
    idle: Duration,
    loaded: Duration,
}

/// One thing that waits for its place.
struct Waiting {
    entry: [u8; 36],
    outbox_id: Option<u64>,
}

/// Entries that the log has taken, and how far outbox and journal are in it with them.
struct Appended {
    range: SealedRange,
    outbox_done: u64,
    journal_done: u64,
}

impl Sealer {
    /// Opens the log in `folder` and finishes what an earlier run left.
    ///
    /// # Errors
    /// [`OpenError`] when the log cannot be used, or does not agree with the registry.
    pub async fn open(
        folder: &Path,
        key: &Path,
        settings: &config::Ledger,
        store: Arc<dyn Store>,
        journal: Arc<Journal>,
        mover: Arc<Mover>,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Arc<Ledger>), OpenError> {
        let refused = |error: &dyn std::fmt::Display| OpenError::Ledger(error.to_string());
        let origin = settings.origin.as_str();
        let seed = keyfile::load_or_make(key)?;
        let signer = Signer::from_seed(origin, &seed).map_err(|error| refused(&error))?;
        let head = FileHead::open(folder).map_err(|error| refused(&error))?;
        let log = Log::open(FileTiles::new(folder), head, signer, origin)
            .map_err(|error| refused(&error))?;
        let ledger = Arc::new(Ledger::of(&log, folder));
        let mut sealer = Self {
            log,
            ledger: Arc::clone(&ledger),
            store,
            journal,
            mover,
            metrics,
            outbox_done: 0,
            journal_done: 0,
            behind: true,
            epoch: None,
            appended: None,
            backlog_max: settings.backlog_max,
            idle: Duration::from_millis(settings.checkpoint_ms),
            loaded: Duration::from_millis(settings.checkpoint_loaded_ms),
        };
        sealer
            .recover()
            .await
            .map_err(|error| OpenError::Ledger(format!("{error}: {}", error.next_step())))?;
        Ok((sealer, ledger))
    }

    /// Seals until told to stop, then once more. Blocks on the disk: run it on a thread of its own.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let stopping = *stop.borrow();
            match self.seal().await {
                Ok(0) if stopping => return,
                Ok(_) => self.ledger.goes_on(),
                Err(error) if error.is_passing() && !stopping && self.store.stopped().is_none() => {
                    tracing::warn!(cause = %error, "nothing was sealed; trying again");
                    self.behind |= !matches!(error, SealError::NoRoom(_));
                    self.ledger.waits(&error, self.is_backlog_full().await);
                    tokio::time::sleep(self.idle).await;
                }
                Err(error) => {
                    tracing::error!(cause = %error, "sealing stopped; writes are refused");
                    self.ledger.stop(&error);
                    return;
                }
            }
            if !stopping {
                self.wait(Instant::now(), &mut stop).await;
            }
        }
    }

    /// Waits for work, then until a checkpoint is due: sooner when much waits.
    async fn wait(&self, last: Instant, stop: &mut watch::Receiver<bool>) {
        let due_loaded = tokio::time::Instant::from_std(last + self.loaded);
        let due_idle = tokio::time::Instant::from_std(last + self.idle);
        tokio::select! {
            () = self.store.outbox_changed() => {}
            () = self.journal.changed() => {}
            () = tokio::time::sleep(self.idle) => {}
            _ = stop.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep_until(due_loaded) => {}
            _ = stop.changed() => return,
        }
        if self.is_loaded().await {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep_until(due_idle) => {}
            _ = stop.changed() => {}
        }
    }

    async fn is_loaded(&self) -> bool {
        let rows = self.store.outbox(self.outbox_done, SEAL_LOADED_MIN).await;
        let waiting = rows.map_or(0, |rows| rows.len());
        waiting >= SEAL_LOADED_MIN
            || self.journal.position().saturating_sub(self.journal_done) >= SEAL_LOADED_MIN as u64
    }

    /// Appends what waits, publishes, records. Gives the number of entries.
    ///
    /// # Errors
    /// [`SealError`]; the log is then left alone until the next start.
    pub async fn seal(&mut self) -> Result<usize, SealError> {
        let epoch = self.held_epoch().await?;
        // Lost and taken again since the last round: somebody else may have sealed in between.
        self.behind |= self.epoch.replace(epoch) != Some(epoch);
        if self.behind {
            self.recover().await?;
        }
        let appended = match self.appended.take() {
            Some(appended) => appended,
            None => match self.append().await? {
                Some(appended) => appended,
                None => return Ok(0),
            },
        };
        let held = self.held_epoch().await;
        if !matches!(held, Ok(held) if held == epoch) {
            self.appended = Some(appended);
            return Err(held.err().unwrap_or(SealError::Fenced));
        }
        let time_ms = u64::try_from(clock::now_us() / 1000).unwrap_or(0);
        let checkpoint = match self.log.publish(time_ms) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                self.appended = Some(appended);
                return Err(of_publish(&error));
            }
        };
        self.ledger.publish(checkpoint);
        let Appended { range, outbox_done, journal_done } = appended;
        let count = range.outbox_ids.len();
        self.record(range, journal_done).await?;
        self.outbox_done = outbox_done;
        self.journal_done = journal_done;
        self.metrics.ledger_size.set(i64::try_from(self.log.size()).unwrap_or(i64::MAX));
        self.metrics.checkpoint_at_us.set(clock::now_us());
        Ok(count)
    }

    /// The taking under which the right to seal is held now, as the database has it.
    async fn held_epoch(&self) -> Result<u64, SealError> {
        let epoch = self.store.sequencer_epoch().await.map_err(of_registry)?;
        epoch.ok_or(SealError::Fenced)
    }

    /// Brings what waits into the log's memory; `None` when nothing does.
    async fn append(&mut self) -> Result<Option<Appended>, SealError> {
        let first_index = self.log.size();
        let (waiting, outbox_done, journal_done) = self.waiting().await?;
        if waiting.is_empty() && self.ledger.checkpoint().is_some() {
            return Ok(None);
        }
        let entries: Vec<[u8; 36]> = waiting.iter().map(|one| one.entry).collect();
        self.log.append(&entries).map_err(|error| SealError::Log(error.to_string()))?;
        let outbox_ids = waiting.iter().map(|one| one.outbox_id).collect();
        let range = SealedRange { first_index, outbox_ids };
        Ok(Some(Appended { range, outbox_done, journal_done }))
    }

    /// Whether more waits than may. Outbox ids ascend, so two rows tell; gaps in them count as rows.
    async fn is_backlog_full(&self) -> bool {
        let journaled = self.journal.position().saturating_sub(self.journal_done);
        if journaled >= self.backlog_max {
            return true;
        }
        let Ok(first) = self.store.outbox(self.outbox_done, 1).await else { return false };
        let Some(first) = first.first().map(|row| row.outbox_id) else { return false };
        let last = self.store.outbox(first + self.backlog_max.saturating_sub(2), 1).await;
        last.is_ok_and(|last| !last.is_empty())
    }

    async fn waiting(&self) -> Result<(Vec<Waiting>, u64, u64), SealError> {
        let settled = self.mover.settle().await.map_err(of_move)?;
        let mut waiting = Vec::new();
        let (mut outbox_done, mut journal_done) = (self.outbox_done, self.journal_done);
        while waiting.len() < ENTRIES_A_CHECKPOINT_MAX {
            let rows = self.store.outbox(outbox_done, SEAL_BATCH_MAX).await.map_err(of_registry)?;
            let full = rows.len() == SEAL_BATCH_MAX;
            for row in rows {
                outbox_done = outbox_done.max(row.outbox_id);
                waiting.push(Waiting { entry: row.entry, outbox_id: Some(row.outbox_id) });
            }
            if !full {
                break;
            }
        }
        while waiting.len() < ENTRIES_A_CHECKPOINT_MAX {
            let rest = settled.saturating_sub(journal_done);
            let limit =
                usize::try_from(rest).map_or(SEAL_BATCH_MAX, |rest| rest.min(SEAL_BATCH_MAX));
            let records = self.journal.entries(journal_done, limit).await;
            let records = records.map_err(|error| SealError::Journal(error.to_string()))?;
            let full = records.len() == SEAL_BATCH_MAX;
            for record in records {
                journal_done = record.position;
                waiting.push(Waiting { entry: record.entry, outbox_id: None });
            }
            if !full {
                break;
            }
        }
        let count = i64::try_from(waiting.len()).unwrap_or(i64::MAX);
        self.metrics.ledger_pending.set(count);
        Ok((waiting, outbox_done, journal_done))
    }

    /// First how far the journal is in the log, then the outbox rows: see [`Sealer::recover`]. Few rows at a time, as
    /// the one writer does nothing else meanwhile.
    async fn record(&self, range: SealedRange, journal_done: u64) -> Result<(), SealError> {
        let end = range.first_index + range.outbox_ids.len() as u64;
        if journal_done != self.journal_done {
            let mark = [journal_done.to_be_bytes(), end.to_be_bytes()].concat();
            self.store.set_setting(JOURNAL_MARK, &mark).await.map_err(of_commit)?;
        }
        let SealedRange { mut first_index, outbox_ids } = range;
        for part in outbox_ids.chunks(MARKED_AT_ONCE) {
            let part = SealedRange { first_index, outbox_ids: part.to_vec() };
            first_index += part.outbox_ids.len() as u64;
            self.store.mark_sealed(vec![part]).await.map_err(of_commit)?;
        }
        Ok(())
    }
}

/// Setting: journal position, and the log index below which all of the journal up to it stands.
pub(crate) const JOURNAL_MARK: &str = "journal_sealed";
/// Entries under one checkpoint; what exceeds it waits for the next.
const ENTRIES_A_CHECKPOINT_MAX: usize = 64 * 1024;
