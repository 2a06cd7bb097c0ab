//! The three hashes of a Merkle log, which must never be mistaken for each other.
//!
//! Spec: RFC 6962 section 2.1. A leaf is `SHA-256(0x00 ‖ entry)`, an inner node `SHA-256(0x01 ‖ left ‖ right)`.
//! The types do not convert; the named functions below are the only ways from one to another.
//! Not here: which nodes make a tree (`merkle`).

use std::fmt;

use sha2::{Digest, Sha256};

/// Hash of one log entry.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct LeafHash([u8; HASH_BYTES]);

/// Hash of a perfect or right-ragged subtree; a single leaf is the smallest subtree.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct NodeHash([u8; HASH_BYTES]);

/// Hash of a whole tree: what a checkpoint signs.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct RootHash([u8; HASH_BYTES]);

/// Length of every hash in the log.
pub const HASH_BYTES: usize = 32;

impl LeafHash {
    /// Hashes the bytes of an entry (RFC 6962 §2.1, prefix `0x00`).
    pub fn of(entry: &[u8]) -> Self {
        Self(Sha256::new_with_prefix([0x00]).chain_update(entry).finalize().into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl NodeHash {
    /// The subtree that is one leaf.
    pub fn leaf(leaf: LeafHash) -> Self {
        Self(leaf.0)
    }

    /// The subtree over two neighbours (RFC 6962 §2.1, prefix `0x01`).
    pub fn parent(left: &Self, right: &Self) -> Self {
        let digest = Sha256::new_with_prefix([0x01]).chain_update(left.0).chain_update(right.0);
        Self(digest.finalize().into())
    }

    /// A hash read from a tile or a proof; it means nothing until a root is computed from it.
    pub fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl RootHash {
    /// The root of the tree without leaves: the hash of nothing.
    pub fn empty() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// The root of a tree whose topmost node is `node`.
    pub fn of(node: NodeHash) -> Self {
        Self(node.0)
    }

    /// A root read from a checkpoint; it means nothing until its signature is verified.
    pub fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl fmt::Debug for LeafHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeafHash({})", hex::encode(self.0))
    }
}

impl fmt::Debug for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeHash({})", hex::encode(self.0))
    }
}

impl fmt::Debug for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootHash({})", hex::encode(self.0))
    }
}
