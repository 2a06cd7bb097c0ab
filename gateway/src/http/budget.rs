//! One budget of memory for the bodies of all requests together, and for what is parsed of them.
//!
//! Each body is bounded (`body`), many at once are not: what would exceed the budget is refused with 429 before it
//! is kept. A body counts [`SHARE`] times. A claim is given back when its request ends.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Answered, Fault, FaultKind};

/// Memory for bodies.
pub struct Budget {
    units: Arc<Semaphore>,
}

/// A body's share, growing as it comes in.
pub struct Claim {
    units: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// Of this many bytes of memory.
    pub fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)) }
    }

    /// A share of nothing yet.
    pub fn claim(&self) -> Claim {
        Claim { units: Arc::clone(&self.units), held: None }
    }
}

impl Claim {
    /// Makes it cover a body of `bytes` in all.
    ///
    /// # Errors
    /// 429 when other bodies hold the rest of the budget.
    pub fn cover(&mut self, bytes: usize) -> Answered<()> {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = bytes.saturating_mul(SHARE).div_ceil(UNIT_BYTES);
        let more = wanted.saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let full = || Fault::new(FaultKind::Busy, "too many large bodies at once; retry later");
        let more = u32::try_from(more).map_err(|_| full())?;
        let more = Arc::clone(&self.units).try_acquire_many_owned(more).map_err(|_| full())?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

/// Memory that a body takes while it is read, in bodies: itself, its tree of nodes, what is made of it.
pub const SHARE: usize = 3;
/// What is counted at a time.
const UNIT_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_body_holds_another_cannot_have_until_it_is_given_back() {
        let budget = Budget::new(10 * SHARE * UNIT_BYTES);
        let (mut first, mut second) = (budget.claim(), budget.claim());
        first.cover(1).unwrap();
        first.cover(9 * UNIT_BYTES).unwrap();

        second.cover(UNIT_BYTES).unwrap();
        assert_eq!(second.cover(UNIT_BYTES + 1).unwrap_err().status(), 429);
        drop(first);
        second.cover(10 * UNIT_BYTES).unwrap();
        assert_eq!(second.cover(usize::MAX).unwrap_err().status(), 429);
    }
}
