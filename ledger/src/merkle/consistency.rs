//! Proof that one tree is a prefix of another: that nothing was changed or removed in between.
//!
//! Spec: RFC 6962 section 2.1.2 (making), RFC 9162 section 2.1.4.2 (checking).
//! Not here: trust in the roots (`verify`).

use super::tree::{Nodes, range, split};
use crate::{
    error::ProofError,
    hash::{NodeHash, RootHash},
};

/// The hashes that lead from the root of the older tree to that of the newer one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConsistencyProof {
    /// Size of the older tree.
    pub old_size: u64,
    /// Size of the newer tree.
    pub new_size: u64,
    /// Hashes in the order of RFC 6962; empty when either size is 0 or both are equal.
    pub path: Vec<NodeHash>,
}

impl ConsistencyProof {
    /// Makes the proof; `None` when `old_size` exceeds `new_size`.
    ///
    /// # Errors
    /// When a node cannot be read.
    pub fn make<N: Nodes>(
        old_size: u64,
        new_size: u64,
        nodes: &N,
    ) -> Result<Option<Self>, N::Error> {
        if old_size > new_size {
            return Ok(None);
        }
        let mut path = Vec::new();
        if old_size != 0 && old_size != new_size {
            let (mut lo, mut hi) = (0, new_size);
            while hi != old_size {
                let middle = lo + split(hi - lo);
                if old_size <= middle {
                    path.push(range(middle, hi, nodes)?);
                    hi = middle;
                } else {
                    path.push(range(lo, middle, nodes)?);
                    lo = middle;
                }
            }
            if lo != 0 {
                path.push(range(lo, hi, nodes)?);
            }
            path.reverse();
        }
        Ok(Some(Self { old_size, new_size, path }))
    }

    /// Checks that the tree with root `old` is a prefix of the tree with root `new`.
    ///
    /// # Errors
    /// When it is not, or the path has the wrong length.
    pub fn verify(&self, old: RootHash, new: RootHash) -> Result<(), ProofError> {
        if self.old_size > self.new_size {
            return Err(ProofError::OutOfRange);
        }
        if self.old_size == 0 || self.old_size == self.new_size {
            let from = if self.old_size == 0 { RootHash::empty() } else { new };
            let to = if self.new_size == 0 { RootHash::empty() } else { new };
            let holds = self.path.is_empty() && old == from && new == to;
            return if holds { Ok(()) } else { Err(ProofError::RootDiffers) };
        }
        let mut path = self.path.iter();
        let first = if self.old_size.is_power_of_two() {
            NodeHash::from_bytes(*old.as_bytes())
        } else {
            *path.next().ok_or(ProofError::Length)?
        };
        let (from, to) = self.climb(first, path.as_slice())?;
        if from == old && to == new { Ok(()) } else { Err(ProofError::RootDiffers) }
    }

    /// Both roots, computed from the largest subtree the two trees share.
    fn climb(
        &self,
        first: NodeHash,
        path: &[NodeHash],
    ) -> Result<(RootHash, RootHash), ProofError> {
        let shared = (self.old_size - 1).trailing_ones();
        let (mut at, mut last) = ((self.old_size - 1) >> shared, (self.new_size - 1) >> shared);
        let (mut from, mut to) = (first, first);
        for sibling in path {
            if last == 0 {
                return Err(ProofError::Length);
            }
            if at & 1 == 1 || at == last {
                from = NodeHash::parent(sibling, &from);
                to = NodeHash::parent(sibling, &to);
                let skip = if at & 1 == 1 { 0 } else { at.trailing_zeros().min(63) };
                at >>= skip;
                last >>= skip;
            } else {
                to = NodeHash::parent(&to, sibling);
            }
            at >>= 1;
            last >>= 1;
        }
        if last == 0 { Ok((RootHash::of(from), RootHash::of(to))) } else { Err(ProofError::Length) }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tree::tests::Naive, *};

    #[test]
    fn every_pair_of_small_trees_is_proven_consistent() {
        let tree = Naive::of(130);

        for new in 0..=130 {
            for old in 0..=new {
                let Ok(proof) = ConsistencyProof::make(old, new, &tree);
                let proof = proof.unwrap();

                assert_eq!(proof.verify(tree.root(old), tree.root(new)), Ok(()), "{old} {new}");
                if old != 0 && old != new {
                    assert_eq!(proof.path, oracle(old, &tree.0[..new as usize], true));
                }
            }
            let Ok(shrunk) = ConsistencyProof::make(new + 1, new, &tree);
            assert_eq!(shrunk, None);
        }
    }

    /// SUBPROOF of RFC 6962 §2.1.2, word for word.
    fn oracle(m: u64, leaves: &[crate::LeafHash], whole: bool) -> Vec<NodeHash> {
        let n = leaves.len() as u64;
        let mth = |leaves: &[crate::LeafHash]| {
            let tree = Naive(leaves.to_vec());
            NodeHash::from_bytes(*tree.root(leaves.len() as u64).as_bytes())
        };
        if m == n {
            return if whole { vec![] } else { vec![mth(leaves)] };
        }
        let k = split(n);
        let (left, right) = leaves.split_at(k as usize);
        let (mut path, sibling) = if m <= k {
            (oracle(m, left, whole), mth(right))
        } else {
            (oracle(m - k, right, false), mth(left))
        };
        path.push(sibling);
        path
    }

    #[test]
    fn another_history_is_refused() {
        let (tree, mut other) = (Naive::of(60), Naive::of(60));
        other.0[0] = crate::LeafHash::of(b"rewritten");

        for new in 1..=60 {
            for old in 1..=new {
                let Ok(proof) = ConsistencyProof::make(old, new, &tree);
                let proof = proof.unwrap();
                assert!(proof.verify(other.root(old), tree.root(new)).is_err());
                assert!(proof.verify(tree.root(old), other.root(new)).is_err());
                for at in 0..proof.path.len() {
                    let mut wrong = proof.clone();
                    wrong.path[at] = NodeHash::from_bytes([0; 32]);
                    assert!(wrong.verify(tree.root(old), tree.root(new)).is_err());
                    wrong.path.remove(at);
                    assert!(wrong.verify(tree.root(old), tree.root(new)).is_err());
                }
            }
        }
    }
}
