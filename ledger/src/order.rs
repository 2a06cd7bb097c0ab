//! Who decides the order of checkpoints between logs: one node alone, or a consortium.
//!
//! Spec: `docs/formats.md`; a lone node is its own policy, one of one. Same files and same proofs either way.
//! Not here: the consortium's engine (`consortium`).

use std::sync::{Mutex, PoisonError};

use crate::{checkpoint::SignedCheckpoint, error::SubmitError};

/// Takes published checkpoints and anchors them.
pub trait Orderer: Send + Sync {
    /// Hands over a published checkpoint. Returning does not mean that it is anchored.
    ///
    /// # Errors
    /// When it does not follow what was submitted before.
    fn submit(&self, checkpoint: &SignedCheckpoint) -> Result<(), SubmitError>;

    /// The newest checkpoint that is anchored; it covers every older one.
    fn anchored(&self) -> Option<SignedCheckpoint>;
}

/// The default: one node, anchored as soon as published.
#[derive(Debug, Default)]
pub struct LocalOrderer {
    last: Mutex<Option<SignedCheckpoint>>,
}

impl LocalOrderer {
    /// An orderer that continues after this checkpoint.
    pub fn new(last: Option<SignedCheckpoint>) -> Self {
        Self { last: Mutex::new(last) }
    }
}

impl Orderer for LocalOrderer {
    fn submit(&self, checkpoint: &SignedCheckpoint) -> Result<(), SubmitError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref() {
            let (old, new) = (last.checkpoint(), checkpoint.checkpoint());
            if new.size < old.size || (new.size == old.size && new.root != old.root) {
                return Err(SubmitError::DoesNotFollow { size: new.size, last: old.size });
            }
        }
        *last = Some(checkpoint.clone());
        Ok(())
    }

    fn anchored(&self) -> Option<SignedCheckpoint> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checkpoint, RootHash, Signer};

    #[test]
    fn a_smaller_or_different_checkpoint_is_not_taken() {
        let signer = Signer::from_seed("log.example/a", &[1; 32]).unwrap();
        let signed = |size, root: u8| {
            let root = RootHash::from_bytes([root; 32]);
            Checkpoint { origin: "log.example/a".to_owned(), size, root }.sign(&signer, 1)
        };
        let orderer = LocalOrderer::default();
        assert_eq!(orderer.anchored(), None);

        assert_eq!(orderer.submit(&signed(5, 1)), Ok(()));
        assert_eq!(orderer.submit(&signed(5, 1)), Ok(()));

        let refused = |size| Err(SubmitError::DoesNotFollow { size, last: 5 });
        assert_eq!(orderer.submit(&signed(5, 2)), refused(5));
        assert_eq!(orderer.submit(&signed(4, 1)), refused(4));
        assert_eq!(orderer.anchored(), Some(signed(5, 1)));
    }
}
