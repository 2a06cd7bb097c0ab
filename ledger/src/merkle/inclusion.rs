//! Proof that an entry is in a tree.
//!
//! Spec: RFC 6962 section 2.1.1 (making), RFC 9162 section 2.1.3.2 (checking). At most 63 hashes.
//! Not here: trust in the root (`verify`).

use super::tree::{Nodes, range, split};
use crate::{
    error::ProofError,
    hash::{LeafHash, NodeHash, RootHash},
};

/// The hashes that lead from one leaf to the root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InclusionProof {
    /// Index of the leaf.
    pub index: u64,
    /// Size of the tree.
    pub size: u64,
    /// Siblings from the leaf upwards.
    pub path: Vec<NodeHash>,
}

impl InclusionProof {
    /// Makes the proof for leaf `index` of the tree with `size` leaves; `None` when there is no such leaf.
    ///
    /// # Errors
    /// When a node cannot be read.
    pub fn make<N: Nodes>(index: u64, size: u64, nodes: &N) -> Result<Option<Self>, N::Error> {
        if index >= size {
            return Ok(None);
        }
        let (mut lo, mut hi, mut path) = (0, size, Vec::new());
        while hi - lo > 1 {
            let middle = lo + split(hi - lo);
            if index < middle {
                path.push(range(middle, hi, nodes)?);
                hi = middle;
            } else {
                path.push(range(lo, middle, nodes)?);
                lo = middle;
            }
        }
        path.reverse();
        Ok(Some(Self { index, size, path }))
    }

    /// Checks that `leaf` is in the tree with this root.
    ///
    /// # Errors
    /// When it is not, or the path has the wrong length.
    pub fn verify(&self, leaf: LeafHash, root: RootHash) -> Result<(), ProofError> {
        if self.computed_root(leaf)? == root { Ok(()) } else { Err(ProofError::RootDiffers) }
    }

    /// The root that this proof gives for `leaf`.
    ///
    /// # Errors
    /// When the index is not in the tree, or the path has the wrong length.
    pub fn computed_root(&self, leaf: LeafHash) -> Result<RootHash, ProofError> {
        if self.index >= self.size {
            return Err(ProofError::OutOfRange);
        }
        let (mut node, mut at, mut last) = (NodeHash::leaf(leaf), self.index, self.size - 1);
        for sibling in &self.path {
            if last == 0 {
                return Err(ProofError::Length);
            }
            if at & 1 == 1 || at == last {
                node = NodeHash::parent(sibling, &node);
                let skip = if at & 1 == 1 { 0 } else { at.trailing_zeros().min(63) };
                at >>= skip;
                last >>= skip;
            } else {
                node = NodeHash::parent(&node, sibling);
            }
            at >>= 1;
            last >>= 1;
        }
        if last == 0 { Ok(RootHash::of(node)) } else { Err(ProofError::Length) }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tree::tests::Naive, *};

    #[test]
    fn every_leaf_of_every_small_tree_is_proven() {
        let tree = Naive::of(130);

        for size in 0..=130 {
            for index in 0..size {
                let Ok(proof) = InclusionProof::make(index, size, &tree);
                let proof = proof.unwrap();
                let leaf = tree.0[index as usize];

                assert_eq!(proof.verify(leaf, tree.root(size)), Ok(()), "{index} of {size}");
                assert_eq!(proof.path, oracle(index as usize, &tree, 0, size as usize));
            }
            let Ok(beyond) = InclusionProof::make(size, size, &tree);
            assert_eq!(beyond, None);
        }
    }

    /// PATH of RFC 6962 §2.1.1, word for word.
    fn oracle(m: usize, tree: &Naive, lo: usize, hi: usize) -> Vec<NodeHash> {
        if hi - lo == 1 {
            return vec![];
        }
        let k = split((hi - lo) as u64) as usize;
        let part = |lo: usize, hi: usize| {
            let leaves = Naive(tree.0[lo..hi].to_vec());
            NodeHash::from_bytes(*leaves.root((hi - lo) as u64).as_bytes())
        };
        let (mut path, sibling) = if m < k {
            (oracle(m, tree, lo, lo + k), part(lo + k, hi))
        } else {
            (oracle(m - k, tree, lo + k, hi), part(lo, lo + k))
        };
        path.push(sibling);
        path
    }

    #[test]
    fn a_proof_holds_for_nothing_but_its_leaf_index_size_and_path() {
        let tree = Naive::of(70);
        for size in 1..=70 {
            for index in 0..size {
                let Ok(proof) = InclusionProof::make(index, size, &tree);
                let proof = proof.unwrap();
                let (leaf, root) = (tree.0[index as usize], tree.root(size));
                let refused = |proof: &InclusionProof| proof.verify(leaf, root).is_err();

                assert!(proof.verify(LeafHash::of(b"other"), root).is_err());
                assert!(refused(&InclusionProof { index: size, ..proof.clone() }));
                if size > 1 {
                    assert!(refused(&InclusionProof { index: index ^ 1, ..proof.clone() }));
                }
                for at in 0..proof.path.len() {
                    let mut wrong = proof.clone();
                    wrong.path[at] = NodeHash::from_bytes([0; 32]);
                    assert!(refused(&wrong));
                    wrong.path.remove(at);
                    assert!(refused(&wrong));
                }
                let mut longer = proof.clone();
                longer.path.push(NodeHash::from_bytes([0; 32]));
                assert!(refused(&longer));
            }
        }
    }
}
