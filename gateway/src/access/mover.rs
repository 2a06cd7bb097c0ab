//! Access records of commits on their way from the registry to the access journal, where all records stand.
//!
//! Appended, then removed: a crash in between leaves a record in both. The sequencer never reads past what
//! [`Mover::settle`] answered, so such a record is behind the journal's sealed part, is recognised there by its
//! salt id after the restart, and is only removed.
//! Not here: how a record gets into its commit (`ingest`), its place in the log (`sealer`).

use std::collections::HashSet;
use std::sync::Arc;

use registry::access::{Journal, JournalError};
use registry::error::{CommitError, ReadError};
use registry::outbox::AccessRow;
use registry::store::Store;
use tokio::sync::{Mutex, MutexGuard};

use crate::limits::{MARKED_AT_ONCE, SEAL_BATCH_MAX};
use crate::sealer::{JOURNAL_MARK, parse_mark};

/// Moves records, one mover at a time.
pub struct Mover {
    store: Arc<dyn Store>,
    journal: Arc<Journal>,
    /// The last move may have been cut off between its two halves.
    in_doubt: Mutex<bool>,
}

/// Why records did not move. They wait where they are.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The registry was not read.
    #[error("registry: {0}")]
    Read(#[from] ReadError),
    /// The registry did not remove what was moved.
    #[error("registry: {0}")]
    Clear(#[from] CommitError),
    /// The journal took nothing.
    #[error("access journal: {0}")]
    Journal(#[from] JournalError),
    /// The move panicked, or the process ends.
    #[error("the access records were not moved")]
    Interrupted,
}

impl Mover {
    /// Between a registry and the journal beside it.
    pub fn new(store: Arc<dyn Store>, journal: Arc<Journal>) -> Self {
        Self { store, journal, in_doubt: Mutex::new(true) }
    }

    /// Moves all records that wait. Gives a journal position up to which no record waits in the registry, too.
    /// It goes on when the caller does not wait for it.
    ///
    /// # Errors
    /// [`MoveError`]; the next call finishes what this one began.
    pub async fn settle(self: &Arc<Self>) -> Result<u64, MoveError> {
        let mover = Arc::clone(self);
        let moving = tokio::spawn(async move { mover.move_all().await });
        moving.await.unwrap_or(Err(MoveError::Interrupted))
    }

    async fn move_all(&self) -> Result<u64, MoveError> {
        let mut in_doubt = self.in_doubt.lock().await;
        loop {
            let rows = self.store.access_outbox(SEAL_BATCH_MAX).await?;
            if rows.is_empty() {
                *in_doubt = false;
                return Ok(self.journal.position());
            }
            self.take(rows, &mut in_doubt).await?;
        }
    }

    async fn take(
        &self,
        rows: Vec<AccessRow>,
        in_doubt: &mut MutexGuard<'_, bool>,
    ) -> Result<(), MoveError> {
        let known = if **in_doubt { self.unsealed().await? } else { HashSet::new() };
        **in_doubt = true;
        let ids: Vec<_> = rows.iter().map(|row| row.access_id).collect();
        let new = rows.into_iter().map(|row| row.record);
        let new = new.filter(|record| !known.contains(&record.salt_id));
        let appends = new.map(|one| self.journal.append(one.salt_id, one.entry, one.body));
        // All are waited for, whatever becomes of one: what is in doubt later must be in the journal or nowhere.
        let appended = futures::future::join_all(appends).await;
        appended.into_iter().collect::<Result<Vec<_>, _>>()?;
        for part in ids.chunks(MARKED_AT_ONCE) {
            self.store.clear_accesses(part.to_vec()).await?;
        }
        **in_doubt = false;
        Ok(())
    }

    /// Salt ids of the journal's records that the log is not known to hold.
    async fn unsealed(&self) -> Result<HashSet<[u8; 16]>, MoveError> {
        let mark = self.store.setting(JOURNAL_MARK).await?;
        let (mut after, _) = parse_mark(mark.as_deref());
        let mut known = HashSet::new();
        loop {
            let records = self.journal.records(after, SEAL_BATCH_MAX).await?;
            let Some(last) = records.last() else { return Ok(known) };
            after = last.position;
            known.extend(records.iter().map(|record| record.salt_id));
        }
    }
}

#[cfg(test)]
mod tests {
    use registry::sqlite::{SqliteOptions, SqliteStore};
    use registry::write_set::{AccessRecord, WriteSet};

    use super::*;

    fn record(byte: u8) -> AccessRecord {
        AccessRecord { salt_id: [byte; 16], entry: [byte; 36], body: vec![byte; 99] }
    }

    /// A registry in which records 1 and 2 wait, and an empty journal.
    async fn waiting(folder: &std::path::Path) -> (Arc<dyn Store>, Arc<Journal>) {
        let clock = Arc::new(crate::clock::now);
        let options = SqliteOptions::new(folder.join("registry.sqlite"), clock);
        let store = SqliteStore::open(options).unwrap();
        for byte in [1, 2] {
            let access = Some(record(byte));
            let (writes, depends, new_keys) = (Vec::new(), Vec::new(), Vec::new());
            let set = WriteSet {
                writes,
                depends,
                new_keys,
                idempotency: None,
                access,
                reads: Vec::new(),
                erasing: None,
            };
            store.commit(set).await.unwrap();
        }
        (Arc::new(store), Arc::new(Journal::open(&folder.join("access")).unwrap()))
    }

    async fn assert_both_moved_once(store: &dyn Store, journal: &Journal) {
        assert!(store.access_outbox(9).await.unwrap().is_empty());
        let mut found: Vec<_> = journal.records(0, 9).await.unwrap();
        found.sort_by_key(|record| record.salt_id);
        let found = found.into_iter().map(|one| (one.salt_id, one.entry, one.body));
        let wanted = [1, 2].map(record).map(|one| (one.salt_id, one.entry, one.body));
        assert_eq!(found.collect::<Vec<_>>(), wanted);
    }

    #[tokio::test]
    async fn what_waits_is_moved_once() {
        let folder = tempfile::tempdir().unwrap();
        let (store, journal) = waiting(folder.path()).await;
        let mover = Arc::new(Mover::new(Arc::clone(&store), Arc::clone(&journal)));

        assert_eq!(mover.settle().await.unwrap(), 2);
        assert_eq!(mover.settle().await.unwrap(), 2);

        assert_both_moved_once(&*store, &journal).await;
    }

    #[tokio::test]
    async fn what_was_appended_before_a_crash_is_not_appended_again() {
        let folder = tempfile::tempdir().unwrap();
        let (store, journal) = waiting(folder.path()).await;
        let AccessRecord { salt_id, entry, body } = record(2);
        journal.append(salt_id, entry, body).await.unwrap();
        let mover = Arc::new(Mover::new(Arc::clone(&store), Arc::clone(&journal)));

        mover.settle().await.unwrap();

        assert_both_moved_once(&*store, &journal).await;
    }

    #[tokio::test]
    async fn a_move_that_nobody_waits_for_any_more_is_not_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (store, journal) = waiting(folder.path()).await;
        let mover = Arc::new(Mover::new(Arc::clone(&store), Arc::clone(&journal)));

        for pause_us in [0, 50, 200] {
            let patience = std::time::Duration::from_micros(pause_us);
            // Given up at some moment, or done: both are fine.
            let _ = tokio::time::timeout(patience, mover.settle()).await;
        }
        mover.settle().await.unwrap();

        assert_both_moved_once(&*store, &journal).await;
    }
}
