//! Rows that wait for the ledger or the access journal: written in the transaction of the data, drained by the sequencer.

use crate::write_set::AccessRecord;

/// One entry that waits for its place in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutboxRow {
    /// Ascending id; on PostgreSQL a lower one may appear after a higher one.
    pub outbox_id: u64,
    /// Change number of the version it commits to; `None` for other entries.
    pub change: Option<u64>,
    /// Entry without its sequence number.
    pub entry: [u8; 36],
}

/// An access record that waits for its place in the access journal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessRow {
    /// Ascending id; on PostgreSQL a lower one may appear after a higher one.
    pub access_id: u64,
    /// The record.
    pub record: AccessRecord,
}

/// Outbox rows that now stand in the log, in log order from `first_index`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealedRange {
    /// Log index of the first.
    pub first_index: u64,
    /// Outbox ids in log order; `None` stands for an entry of another source (access journal).
    pub outbox_ids: Vec<Option<u64>>,
}

/// The first range that would leave a gap after `size` entries.
pub(crate) fn first_gap(ranges: &[SealedRange], mut size: u64) -> Option<usize> {
    for (at, range) in ranges.iter().enumerate() {
        if range.first_index > size {
            return Some(at);
        }
        size = size.max(range.first_index + range.outbox_ids.len() as u64);
    }
    None
}

/// Setting that counts the recorded log entries.
pub(crate) const SEALED_SIZE: &str = "sealed_size";
