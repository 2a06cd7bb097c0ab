//! What the log holds and the registry does not know yet is recognised by its bytes and recorded.

use std::collections::HashMap;

use registry::outbox::SealedRange;

use super::error::of_registry;
use super::{JOURNAL_MARK, SealError, Sealer};
use crate::limits::SEAL_BATCH_MAX;
use crate::payload::TENANT;

impl Sealer {
    /// Records what the log holds and the registry does not know yet.
    ///
    /// The journal's mark says: up to this position all of it stands below that index. So an unrecorded entry
    /// below the index that is no outbox row is a journal record already counted; one above it is the next.
    pub(super) async fn recover(&mut self) -> Result<(), SealError> {
        let mark = self.store.setting(JOURNAL_MARK).await.map_err(of_registry)?;
        let (journal_done, marked_end) = parse_mark(mark.as_deref());
        self.journal_done = journal_done;
        let recorded = self.store.sealed_size().await.map_err(of_registry)?;
        let published = self.log.size_published();
        if recorded > published {
            return Err(SealError::Behind { recorded, published });
        }
        let held = self.journal.position();
        if held < journal_done {
            // New records would get positions that count as sealed, and never be.
            return Err(SealError::JournalBehind { sealed: journal_done, held });
        }
        if published > 0 {
            self.expect_own_database().await?;
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

    /// A database that something was sealed of has the tenant's key, which is made before the first record. Without it
    /// the folder is another's, whose journal would recognise whatever its log holds.
    async fn expect_own_database(&self) -> Result<(), SealError> {
        let keys = self.store.compartment_keys(&[TENANT.to_owned()]).await.map_err(of_registry)?;
        if keys.is_empty() { Err(SealError::Foreign(0)) } else { Ok(()) }
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
}

/// Journal position and log index of the mark, zeros when there is none.
pub(crate) fn parse_mark(mark: Option<&[u8]>) -> (u64, u64) {
    let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    match mark {
        Some(mark) if mark.len() == 16 => (number(&mark[..8]), number(&mark[8..])),
        _ => (0, 0),
    }
}
