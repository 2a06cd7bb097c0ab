//! Everything that can go wrong in the pure part, one type for each operation.
//!
//! Not here: errors of storage and of the log (`storage`, `log`), verdicts on receipts (`verify`).

use crate::tile::TilePath;

/// Why bytes are not a log entry. Whoever wrote them is at fault, or they were damaged.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The length is wrong.
    #[error("an entry has 44 bytes, not {0}")]
    Length(usize),
    /// Written by another version of the format.
    #[error("entry version {0} is not known")]
    Version(u8),
    /// The kind is not defined.
    #[error("entry kind {0} is not known")]
    Kind(u8),
    /// The canonical form is not defined.
    #[error("canonical form {0} is not known")]
    Canon(u8),
    /// Reserved bits are set.
    #[error("entry flags {0:#04x} are not known")]
    Flags(u8),
}

/// Why bytes are not an entry bundle.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The length is not that of the width in the name.
    #[error("a bundle of this width cannot have {0} bytes")]
    Length(usize),
    /// An entry has another length than ours.
    #[error("entry {at} of the bundle has another length")]
    EntryLength {
        /// Position in the bundle.
        at: usize,
    },
    /// An entry is malformed.
    #[error("entry {at} of the bundle: {source}")]
    Entry {
        /// Position in the bundle.
        at: usize,
        /// What is wrong with it.
        source: EntryError,
    },
    /// A sequence number is not the index of its entry: something was left out or moved.
    #[error("entry {at} of the bundle has sequence number {sequence}")]
    Sequence {
        /// Position in the bundle.
        at: usize,
        /// The number found.
        sequence: u64,
    },
}

/// Why a name or bytes are not those of a tile.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// Not the one spelling of a tile's name.
    #[error("not the name of a tile")]
    Path,
    /// The length is not that of the width in the name.
    #[error("a tile of this width cannot have {0} bytes")]
    Length(usize),
}

/// Why a note or a key cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Not a signed note.
    #[error("not a signed note")]
    Form,
    /// Longer than is read.
    #[error("the note is too long")]
    TooLong,
    /// Not a verifier key.
    #[error("not a verifier key")]
    Key,
    /// No key that is known here has signed.
    #[error("no known key has signed")]
    UnknownKey,
    /// A known key's signature is wrong: the note was changed.
    #[error("the signature of {name} is wrong")]
    Signature {
        /// Name of the key.
        name: String,
    },
}

/// Why a note is not a checkpoint to rely on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The text is not a checkpoint.
    #[error("not a checkpoint")]
    Form,
    /// It is another log's.
    #[error("the checkpoint is of log {0}")]
    Origin(String),
    /// The note around it is malformed or not signed as needed.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// Why a Merkle proof does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The index or the older size lies outside the tree.
    #[error("the proof is about something outside the tree")]
    OutOfRange,
    /// Too few or too many hashes.
    #[error("the proof has the wrong length")]
    Length,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    RootDiffers,
}

/// Why a tile cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It should exist and does not.
    #[error("{0} is missing")]
    Missing(TilePath),
    /// Its hashes are malformed.
    #[error("{path}: {source}")]
    Tile {
        /// The tile.
        path: TilePath,
        /// What is wrong with it.
        source: TileError,
    },
    /// Its entries are malformed.
    #[error("{path}: {source}")]
    Bundle {
        /// The bundle.
        path: TilePath,
        /// What is wrong with it.
        source: BundleError,
    },
    /// It cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The tile or bundle.
        path: TilePath,
        /// The cause.
        source: std::io::Error,
    },
}

/// Why the right edge of a log could not be taken up again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TilingError {
    /// A tile is missing or malformed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The tiles do not lead to the signed root: they were changed, or belong to another log.
    #[error("the tiles do not re-derive the signed root at size {size}")]
    RootDiffers {
        /// Size of the checkpoint.
        size: u64,
    },
    /// An entry is not the one that its hash in the tree says.
    #[error("{path}: entry {at} of the bundle is not the one in the tree")]
    EntryDiffers {
        /// The bundle.
        path: TilePath,
        /// Position in the bundle.
        at: usize,
    },
}

/// Why bytes are not a receipt.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Longer than any receipt.
    #[error("a receipt has at most {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// Not the JSON of a receipt. The text says where, never what the file holds.
    #[error("not a receipt: line {line} column {column}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Another version of the format, or another kind of file.
    #[error("not a receipt of schema {}", crate::receipt::SCHEMA)]
    Schema,
    /// A field is malformed.
    #[error("field {0} is malformed")]
    Field(&'static str),
    /// The same content in other bytes: a receipt has one spelling.
    #[error("not the one spelling of this receipt")]
    Spelling,
}

/// Why bytes are not a trust file. The operator who gave it is at fault.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Not the JSON of a trust file.
    #[error("not a trust file: {0}")]
    Json(String),
    /// Another version of the format, or another kind of file.
    #[error("not a trust file of schema {}", crate::trust::SCHEMA)]
    Schema,
    /// A key is malformed.
    #[error("{0} is not a verifier key")]
    Key(String),
    /// A log's key has another name than its log.
    #[error("key {key} does not carry the name of log {origin}")]
    KeyName {
        /// Origin of the log.
        origin: String,
        /// Name of the key.
        key: String,
    },
    /// A log has no key that signs plainly.
    #[error("log {0} has no signing key")]
    NoKey(String),
    /// More witnesses are required than are listed.
    #[error("{required} witnesses are required and {listed} listed")]
    Witnesses {
        /// How many must sign.
        required: usize,
        /// How many could.
        listed: usize,
    },
}

/// Why an orderer did not take a checkpoint.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// It is smaller than one that was taken before, or equal in size with another root.
    #[error("checkpoint of size {size} does not follow the one of size {last}")]
    DoesNotFollow {
        /// Size submitted.
        size: u64,
        /// Size taken before.
        last: u64,
    },
}
