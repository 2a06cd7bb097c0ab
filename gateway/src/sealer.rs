//! The sequencer: outboxes and access journal → log → checkpoint → recorded; one function also in recovery.
//!
//! One thread drains what waits, appends it, publishes a checkpoint (every second, every 200 ms under load) and
//! then records where everything stands. A crash between these steps is repaired at the next start: the log's
//! entries that are not recorded yet are recognised by their bytes (commitments are random, hence unique), so none
//! is appended twice and none is lost.
//! Not here: tiles and proofs (`ledger`), the outbox itself (`registry`).

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use ledger::{FileHead, FileTiles, InclusionProof, Log, SignedCheckpoint, Signer, Trust};
use registry::access::{Journal, JournalError};
use registry::outbox::SealedRange;
use registry::store::Store;
use tokio::sync::watch;

use crate::access::mover::{MoveError, Mover};
use crate::app::OpenError;
use crate::clock;
use crate::config;
use crate::keyfile;
use crate::limits::{SEAL_BATCH_MAX, SEAL_LOADED_MIN};
use crate::telemetry::metrics::Metrics;

/// What readers need of the log: its newest checkpoint and its tiles.
pub struct Ledger {
    origin: String,
    tiles: FileTiles,
    trust: Trust,
    checkpoint: ArcSwapOption<SignedCheckpoint>,
    stopped: Mutex<Option<String>>,
}

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
    idle: Duration,
    loaded: Duration,
}

/// Why sealing stopped. Nothing is lost: the outbox and the journal keep what waits.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The registry did not answer.
    #[error("registry: {0}")]
    Registry(String),
    /// The journal was not read.
    #[error("access journal: {0}")]
    Journal(String),
    /// The log refused or failed.
    #[error("log: {0}")]
    Log(String),
    /// The log holds an entry that neither outbox nor journal know.
    #[error("entry {0} of the log is of unknown origin")]
    Foreign(u64),
}

/// One thing that waits for its place.
struct Waiting {
    entry: [u8; 36],
    outbox_id: Option<u64>,
}

impl Ledger {
    /// Origin line of the checkpoints.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Who has to be trusted to believe this log.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Where the tiles are.
    pub fn tiles(&self) -> &FileTiles {
        &self.tiles
    }

    /// The newest published checkpoint.
    pub fn checkpoint(&self) -> Option<Arc<SignedCheckpoint>> {
        self.checkpoint.load_full()
    }

    /// Why the log is not written any more, if so.
    pub fn stopped(&self) -> Option<String> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Proof that entry `index` is under the newest checkpoint; `None` when it is not yet. Reads files.
    ///
    /// # Errors
    /// A sentence about the tile that cannot be used.
    pub fn prove(
        &self,
        index: u64,
    ) -> Result<Option<(InclusionProof, Arc<SignedCheckpoint>)>, String> {
        let Some(checkpoint) = self.checkpoint() else { return Ok(None) };
        let proof = ledger::prove_inclusion(index, checkpoint.size(), &self.tiles)
            .map_err(|error| error.to_string())?;
        Ok(proof.map(|proof| (proof, checkpoint)))
    }
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
        let ledger = Arc::new(Ledger {
            origin: origin.to_owned(),
            tiles: FileTiles::new(folder),
            trust: log.trust(),
            checkpoint: ArcSwapOption::from(log.checkpoint().cloned().map(Arc::new)),
            stopped: Mutex::new(None),
        });
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
            idle: Duration::from_millis(settings.checkpoint_ms),
            loaded: Duration::from_millis(settings.checkpoint_loaded_ms),
        };
        sealer.recover().await.map_err(|error| refused(&error))?;
        Ok((sealer, ledger))
    }

    /// Seals until told to stop, then once more. Blocks on the disk: run it on a thread of its own.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let stopping = *stop.borrow();
            match self.seal().await {
                Ok(0) if stopping => return,
                Ok(_) => {}
                Err(SealError::Registry(cause)) if !stopping => {
                    tracing::warn!(
                        cause,
                        "the registry did not take part in sealing; trying again"
                    );
                    tokio::time::sleep(self.idle).await;
                    self.behind = true;
                }
                Err(error) => {
                    tracing::error!(cause = %error, "sealing stopped; writes go on and wait");
                    self.note_stop(&error);
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
        if self.behind {
            self.recover().await?;
        }
        let first_index = self.log.size();
        let (waiting, outbox_done, journal_done) = self.waiting().await?;
        if waiting.is_empty() && self.ledger.checkpoint().is_some() {
            return Ok(0);
        }
        let entries: Vec<[u8; 36]> = waiting.iter().map(|one| one.entry).collect();
        let time_ms = u64::try_from(clock::now_us() / 1000).unwrap_or(0);
        let of_log = |error: &dyn std::fmt::Display| SealError::Log(error.to_string());
        self.log.append(&entries).map_err(|error| of_log(&error))?;
        let checkpoint = self.log.publish(time_ms).map_err(|error| of_log(&error))?;
        self.ledger.checkpoint.store(Some(Arc::new(checkpoint)));
        let range = SealedRange {
            first_index,
            outbox_ids: waiting.iter().map(|one| one.outbox_id).collect(),
        };
        self.record(range, journal_done).await?;
        self.outbox_done = outbox_done;
        self.journal_done = journal_done;
        self.metrics.ledger_size.set(i64::try_from(self.log.size()).unwrap_or(i64::MAX));
        self.metrics.checkpoint_at_us.set(clock::now_us());
        Ok(waiting.len())
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

    /// First how far the journal is in the log, then the outbox rows: see [`Sealer::recover`].
    async fn record(&self, range: SealedRange, journal_done: u64) -> Result<(), SealError> {
        let end = range.first_index + range.outbox_ids.len() as u64;
        if journal_done != self.journal_done {
            let mark = [journal_done.to_be_bytes(), end.to_be_bytes()].concat();
            self.store.set_setting(JOURNAL_MARK, &mark).await.map_err(of_commit)?;
        }
        self.store.mark_sealed(vec![range]).await.map_err(of_commit)
    }

    /// Records what the log holds and the registry does not know yet.
    ///
    /// The journal's mark says: up to this position all of it stands below that index. So an unrecorded entry
    /// below the index that is no outbox row is a journal record already counted; one above it is the next.
    async fn recover(&mut self) -> Result<(), SealError> {
        let mark = self.store.setting(JOURNAL_MARK).await.map_err(of_registry)?;
        let (journal_done, marked_end) = parse_mark(mark.as_deref());
        self.journal_done = journal_done;
        let recorded = self.store.sealed_size().await.map_err(of_registry)?;
        let published = self.log.size_published();
        if recorded > published {
            let text =
                format!("the registry has recorded {recorded} entries, the log holds {published}");
            return Err(SealError::Log(text));
        }
        if recorded < published {
            let range = self.recognise(recorded, published, marked_end).await?;
            tracing::info!(
                ledger.first_index = recorded,
                ledger.size = published,
                "entries published before the last stop are now recorded"
            );
            let (range, journal_done) = range;
            self.record(range, journal_done).await?;
            self.journal_done = journal_done;
        }
        self.metrics.ledger_size.set(i64::try_from(published).unwrap_or(i64::MAX));
        self.behind = false;
        Ok(())
    }

    async fn recognise(
        &self,
        from: u64,
        to: u64,
        marked_end: u64,
    ) -> Result<(SealedRange, u64), SealError> {
        let mut rows = HashMap::new();
        let mut after = 0;
        loop {
            let batch = self.store.outbox(after, SEAL_BATCH_MAX).await.map_err(of_registry)?;
            let Some(last) = batch.last() else { break };
            after = last.outbox_id;
            rows.extend(batch.iter().map(|row| (row.entry, row.outbox_id)));
        }
        let limit = usize::try_from(to - from).unwrap_or(usize::MAX);
        let records = self.journal.entries(self.journal_done, limit).await;
        let records = records.map_err(|error| SealError::Journal(error.to_string()))?;
        let mut records = records.into_iter().peekable();
        let mut journal_done = self.journal_done;
        let mut outbox_ids = Vec::new();
        for index in from..to {
            let entry = self.log.entry(index).map_err(|error| SealError::Log(error.to_string()))?;
            let entry = entry.ok_or(SealError::Foreign(index))?.body36();
            let outbox_id = rows.get(&entry).copied();
            if outbox_id.is_none() && index >= marked_end {
                match records.next_if(|record| record.entry == entry) {
                    Some(record) => journal_done = record.position,
                    None => return Err(SealError::Foreign(index)),
                }
            }
            outbox_ids.push(outbox_id);
        }
        Ok((SealedRange { first_index: from, outbox_ids }, journal_done))
    }

    fn note_stop(&self, error: &SealError) {
        let mut stopped = self.ledger.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        *stopped = Some(error.to_string());
    }
}

pub(crate) fn parse_mark(mark: Option<&[u8]>) -> (u64, u64) {
    let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    match mark {
        Some(mark) if mark.len() == 16 => (number(&mark[..8]), number(&mark[8..])),
        _ => (0, 0),
    }
}

fn of_registry(error: registry::error::ReadError) -> SealError {
    SealError::Registry(error.to_string())
}

fn of_move(error: MoveError) -> SealError {
    match error {
        MoveError::Read(_) | MoveError::Clear(_) | MoveError::Journal(JournalError::Busy) => {
            SealError::Registry(error.to_string())
        }
        MoveError::Journal(error) => SealError::Journal(error.to_string()),
    }
}

fn of_commit(error: registry::error::CommitError) -> SealError {
    SealError::Registry(error.to_string())
}

/// Setting: journal position, and the log index below which all of the journal up to it stands.
pub(crate) const JOURNAL_MARK: &str = "journal_sealed";
/// Entries under one checkpoint; what exceeds it waits for the next.
const ENTRIES_A_CHECKPOINT_MAX: usize = 64 * 1024;
