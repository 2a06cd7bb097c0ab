//! A tree that only grows, kept as the roots of its perfect subtrees.
//!
//! Spec: RFC 6962 section 2.1. A tree of `n` leaves has one perfect subtree for each bit set in `n`, the largest leftmost.
//! Not here: proofs (`inclusion`, `consistency`).

use crate::hash::{LeafHash, NodeHash, RootHash};

/// The right edge of a tree: enough to append to it and to know its root.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Frontier {
    size: u64,
    /// Roots of the perfect subtrees, the largest first.
    peaks: Vec<NodeHash>,
}

/// Something that knows the root of every perfect subtree of a tree.
pub trait Nodes {
    /// Why a node cannot be had.
    type Error;

    /// Root of the perfect subtree over leaves `[index << level, (index + 1) << level)`, which the tree must contain.
    ///
    /// # Errors
    /// When the node cannot be read.
    fn node(&self, level: u32, index: u64) -> Result<NodeHash, Self::Error>;
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of `size` leaves whose perfect subtrees have these roots, the largest first.
    ///
    /// `None` when their number is not the number of bits set in `size`.
    pub fn from_peaks(size: u64, peaks: Vec<NodeHash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends one leaf.
    pub fn push(&mut self, leaf: LeafHash) {
        self.push_node(NodeHash::leaf(leaf));
    }

    /// Appends a node as if it were a leaf: for subtrees whose leaves are nodes of a larger tree.
    pub(crate) fn push_node(&mut self, mut node: NodeHash) {
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each bit set in the size");
            node = NodeHash::parent(&left, &node);
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// Root of the tree as it is.
    pub fn root(&self) -> RootHash {
        self.top().map_or_else(RootHash::empty, RootHash::of)
    }

    /// The topmost node; none in an empty tree.
    pub(crate) fn top(&self) -> Option<NodeHash> {
        let fold = |right: NodeHash, left: NodeHash| NodeHash::parent(&left, &right);
        self.peaks.iter().rev().copied().reduce(fold)
    }

    /// Roots of the perfect subtrees, the largest first.
    pub(crate) fn peaks(&self) -> &[NodeHash] {
        &self.peaks
    }
}

/// Hash of the subtree over leaves `[lo, hi)`, where `lo` is a multiple of the power of two that covers the range.
pub(super) fn range<N: Nodes>(lo: u64, hi: u64, nodes: &N) -> Result<NodeHash, N::Error> {
    let width = hi - lo;
    if width.is_power_of_two() {
        let level = width.trailing_zeros();
        return nodes.node(level, lo >> level);
    }
    let middle = lo + split(width);
    Ok(NodeHash::parent(&range(lo, middle, nodes)?, &range(middle, hi, nodes)?))
}

/// The largest power of two smaller than `width`, which is at least 2 (RFC 6962 §2.1).
pub(super) fn split(width: u64) -> u64 {
    1 << (u64::BITS - 1 - (width - 1).leading_zeros())
}

#[cfg(test)]
pub(super) mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Leaves in memory: every node recomputed from the definition, as an oracle.
    pub(crate) struct Naive(pub(crate) Vec<LeafHash>);

    impl Naive {
        pub(crate) fn of(size: u64) -> Self {
            Self((0..size).map(|i| LeafHash::of(&i.to_be_bytes())).collect())
        }

        /// MTH of RFC 6962 §2.1, word for word.
        pub(crate) fn root(&self, size: u64) -> RootHash {
            if size == 0 { RootHash::empty() } else { RootHash::of(mth(&self.0[..size as usize])) }
        }
    }

    impl Nodes for Naive {
        type Error = Infallible;

        fn node(&self, level: u32, index: u64) -> Result<NodeHash, Infallible> {
            let (lo, hi) = ((index << level) as usize, ((index + 1) << level) as usize);
            Ok(mth(&self.0[lo..hi]))
        }
    }

    fn mth(leaves: &[LeafHash]) -> NodeHash {
        if let [leaf] = leaves {
            return NodeHash::leaf(*leaf);
        }
        let mut k = 1;
        while k * 2 < leaves.len() {
            k *= 2;
        }
        NodeHash::parent(&mth(&leaves[..k]), &mth(&leaves[k..]))
    }

    /// The leaves and roots of the certificate-transparency test suite (`merkletree/merkle_tree_test.cc`).
    #[test]
    fn roots_are_those_of_the_certificate_transparency_vectors() {
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Frontier::new();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex::encode(tree.root().as_bytes()), empty);

        for (leaf, root) in leaves.iter().zip(roots) {
            tree.push(LeafHash::of(&hex::decode(leaf).unwrap()));

            assert_eq!(hex::encode(tree.root().as_bytes()), root);
        }
    }

    #[test]
    fn the_frontier_agrees_with_the_definition_at_every_size() {
        let naive = Naive::of(300);
        let mut tree = Frontier::new();

        for size in 0..=300 {
            assert_eq!(tree.root(), naive.root(size));
            assert_eq!(Frontier::from_peaks(size, tree.peaks().to_vec()), Some(tree.clone()));
            if size < 300 {
                tree.push(naive.0[size as usize]);
            }
        }
    }

    #[test]
    fn a_frontier_with_the_wrong_number_of_peaks_is_refused() {
        assert_eq!(Frontier::from_peaks(5, vec![]), None);
        assert_eq!(Frontier::from_peaks(0, vec![NodeHash::from_bytes([0; 32])]), None);
    }
}
