//! Whether records come one by one or many at a time.
//!
//! Not here: what a group is and how it is written (`journal`).

use std::time::{Duration, Instant};

/// Whether many come at once: then a group waits a moment for more, at most as long as the last one took to be written. A
/// caller that is alone, or one of a few, is never kept waiting for others.
#[derive(Default)]
pub(super) struct Crowd {
    is_one: bool,
    written_in: Duration,
}

impl Crowd {
    /// Called by a group that has its first record: waits for more, or does not.
    pub(super) fn gather(&self) {
        if self.is_one {
            std::thread::sleep(self.written_in.min(GATHER_TIME_MAX));
        }
    }

    /// Called by a group that is complete.
    pub(super) fn counted(&mut self, records: usize) {
        self.is_one = records >= if self.is_one { CROWD_STAYS } else { CROWD_BEGINS };
    }

    /// Writes a group, and measures how long that takes.
    pub(super) fn writing<T>(&mut self, write: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let written = write();
        self.written_in = begun.elapsed();
        written
    }
}

/// How long a group waits for more at most.
const GATHER_TIME_MAX: Duration = Duration::from_micros(700);
/// Records of a group that came while the one before was written, from which on many come at once.
const CROWD_BEGINS: usize = 3;
/// Records of a group that waited, below which it did so in vain.
const CROWD_STAYS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_waits_for_more_only_while_many_come_at_once() {
        let mut crowd = Crowd::default();
        for (records, waits) in
            [(1, false), (2, false), (3, true), (4, true), (3, false), (2, false)]
        {
            crowd.counted(records);
            assert_eq!(crowd.is_one, waits, "after a group of {records}");
        }
    }
}
