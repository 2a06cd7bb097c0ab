//! The ledger: a Merkle log of salted commitments, its proofs, receipts and their verification.
//!
//! Specs: RFC 6962 section 2.1 (hashing), C2SP tlog-tiles, tlog-checkpoint, signed-note and tlog-cosignature.
//! An entry is *sequenced* when it has an index, *integrated* when it is in the tree in memory, *published* when a
//! signed checkpoint on disk covers it, *anchored* when an orderer has decided that checkpoint. Only published
//! entries have proofs; an entry that is merely integrated is lost by a crash and is appended again from the outbox.
//! Without features the crate is pure: no I/O, no clock, no randomness. Feature `node` adds storage and the log.
//! Not here: what an entry commits to (entries are opaque), the outbox (`registry`), the consensus engine (`consortium`).

pub mod checkpoint;
pub mod commitment;
pub mod cosignature;
pub mod entry;
pub mod error;
pub mod fsck;
pub mod hash;
pub mod merkle;
pub mod note;
pub mod order;
pub mod receipt;
pub mod source;
pub mod tile;
pub mod tiling;
pub mod trust;
pub mod verify;

#[cfg(feature = "node")]
pub mod log;
#[cfg(feature = "node")]
pub mod memory;
#[cfg(feature = "node")]
pub mod storage;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use commitment::{Commitment, ContentHash, Salt, commit};
pub use entry::{Canon, Entry, EntryBody, Kind};
pub use error::{
    BundleError, CheckpointError, EntryError, NoteError, ProofError, ReceiptError, SourceError,
    SubmitError, TileError, TilingError, TrustError,
};
pub use fsck::{FsckReport, Problem, fsck};
pub use hash::{LeafHash, NodeHash, RootHash};
pub use merkle::{ConsistencyProof, Frontier, InclusionProof};
pub use note::{Note, Signer, Verifier};
pub use order::{LocalOrderer, Orderer};
pub use receipt::{Receipt, ResourceReference, Sealed};
pub use source::{TileSource, prove_consistency, prove_inclusion, read_entries, read_entry};
pub use tile::{TILE_WIDTH, TilePath};
pub use tiling::Tiling;
pub use trust::Trust;
pub use verify::{Outcome, Report, Step, Verdict, verify_receipt, verify_receipt_bytes};

#[cfg(feature = "node")]
pub use log::{AppendError, Log, OpenError, PublishError};
#[cfg(feature = "node")]
pub use storage::{FileHead, FileTiles, HeadStorage, StorageError, SwapError, TileStorage};
