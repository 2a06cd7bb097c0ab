//! Merkle trees and their proofs.
//!
//! Spec: RFC 6962 section 2.1; verification as in RFC 9162 sections 2.1.3.2 and 2.1.4.2.
//! Not here: where nodes are stored (`source`), what a root is signed with (`checkpoint`).

mod consistency;
mod inclusion;
mod tree;

pub use consistency::ConsistencyProof;
pub use inclusion::InclusionProof;
pub use tree::{Frontier, Nodes};
