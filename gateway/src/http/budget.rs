//! One budget of memory for the bodies of all requests together, and for what is parsed of them.
//!
//! Each body is bounded (`body`), many at once are not: what would exceed the budget is refused with 429 before it
//! is kept. A body counts [`SHARE`] times, as it comes in, not as it is announced. Small ones have a reserve of their
//! own, so that a few large or slow ones hold nobody up. A claim is given back when its request ends.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Answered, Fault, FaultKind};

/// Memory for bodies.
pub struct Budget {
    units: Arc<Semaphore>,
    /// For bodies up to [`SMALL_BYTES`].
    reserve: Arc<Semaphore>,
}

/// A body's share, growing as it comes in.
pub struct Claim {
    units: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    is_small: bool,
}

impl Budget {
    /// Of this many bytes of memory, and an eighth more for small bodies.
    pub fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units)),
            reserve: Arc::new(Semaphore::new(units / 8)),
        }
    }

    /// A share of nothing yet.
    pub fn claim(&self) -> Claim {
        let (units, reserve) = (Arc::clone(&self.units), Arc::clone(&self.reserve));
        Claim { units, reserve, held: None, is_small: true }
    }
}

impl Claim {
    /// Makes it cover a body of `bytes` in all.
    ///
    /// # Errors
    /// 429 when other bodies hold the rest of the budget.
    pub fn cover(&mut self, bytes: usize) -> Answered<()> {
        let wanted = bytes.saturating_mul(SHARE).div_ceil(UNIT_BYTES);
        if self.is_small && bytes <= SMALL_BYTES && self.grow(&Arc::clone(&self.reserve), wanted) {
            return Ok(());
        }
        if std::mem::take(&mut self.is_small) {
            self.held = None;
        }
        match self.grow(&Arc::clone(&self.units), wanted) {
            true => Ok(()),
            false => {
                let text = "too many large bodies at once; retry later";
                Err(Fault::new(FaultKind::Busy, text))
            }
        }
    }

    fn grow(&mut self, from: &Arc<Semaphore>, wanted: usize) -> bool {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(more) = u32::try_from(wanted.saturating_sub(held)) else { return false };
        let Ok(more) = Arc::clone(from).try_acquire_many_owned(more) else { return false };
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        true
    }
}

/// Memory that a body takes while it is read, in bodies: itself, its tree of nodes, what is made of it.
pub const SHARE: usize = 3;
/// Bodies up to this size draw on the reserve first.
const SMALL_BYTES: usize = 64 * 1024;
/// What is counted at a time.
const UNIT_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 128 * 1024;

    #[test]
    fn what_one_body_holds_another_cannot_have_until_it_is_given_back() {
        let budget = Budget::new(2 * LARGE * SHARE);
        let (mut first, mut second) = (budget.claim(), budget.claim());
        first.cover(1).unwrap();
        first.cover(LARGE + 1).unwrap();

        assert_eq!(second.cover(LARGE).unwrap_err().status(), 429);
        drop(first);
        second.cover(2 * LARGE).unwrap();
        assert_eq!(second.cover(usize::MAX).unwrap_err().status(), 429);
    }

    #[test]
    fn small_bodies_pass_while_large_ones_hold_the_budget() {
        let budget = Budget::new(16 * LARGE * SHARE);
        let (mut large, mut small, mut other) = (budget.claim(), budget.claim(), budget.claim());
        large.cover(16 * LARGE).unwrap();

        small.cover(10).unwrap();
        small.cover(SMALL_BYTES).unwrap();
        other.cover(SMALL_BYTES).unwrap();
        assert_eq!(small.cover(SMALL_BYTES + 1).unwrap_err().status(), 429, "it is small no more");
        drop(large);
        small.cover(SMALL_BYTES + 1).unwrap();
    }
}
