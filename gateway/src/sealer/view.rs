//! The log as requests see it: its newest checkpoint, its tiles, and whether it still takes entries.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use ledger::{FileHead, FileTiles, InclusionProof, Log, SignedCheckpoint, Trust};

use super::SealError;

/// What readers need of the log.
pub struct Ledger {
    origin: String,
    tiles: FileTiles,
    trust: Trust,
    checkpoint: ArcSwapOption<SignedCheckpoint>,
    trouble: Mutex<Option<Trouble>>,
}

/// Why nothing is sealed now.
#[derive(Clone, Copy)]
struct Trouble {
    next_step: &'static str,
    refuses_writes: bool,
}

impl Ledger {
    /// Of an open log in `folder`.
    pub(super) fn of(log: &Log<FileTiles, FileHead>, folder: &Path) -> Self {
        Self {
            origin: log.origin().to_owned(),
            tiles: FileTiles::new(folder),
            trust: log.trust(),
            checkpoint: ArcSwapOption::from(log.checkpoint().cloned().map(Arc::new)),
            trouble: Mutex::new(None),
        }
    }

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

    /// Why nothing is sealed now and what to do about it; `None` when all is well.
    pub fn trouble(&self) -> Option<&'static str> {
        self.lock().map(|trouble| trouble.next_step)
    }

    /// True when no write may be accepted: sealing stopped, or too much waits for it.
    pub fn refuses_writes(&self) -> bool {
        self.lock().is_some_and(|trouble| trouble.refuses_writes)
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

    pub(super) fn publish(&self, checkpoint: SignedCheckpoint) {
        self.checkpoint.store(Some(Arc::new(checkpoint)));
    }

    pub(super) fn goes_on(&self) {
        *self.lock() = None;
    }

    /// Sealing is tried again. A registry that is away for a moment is told by its own check.
    pub(super) fn waits(&self, error: &SealError, refuses_writes: bool) {
        let is_quiet = matches!(error, SealError::Registry(_)) && !refuses_writes;
        let trouble = Trouble { next_step: error.next_step(), refuses_writes };
        *self.lock() = (!is_quiet).then_some(trouble);
    }

    pub(super) fn stop(&self, error: &SealError) {
        *self.lock() = Some(Trouble { next_step: error.next_step(), refuses_writes: true });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
