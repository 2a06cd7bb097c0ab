//! Loading files into a running gateway, as any client would: over HTTP, with acknowledgements.
//!
//! Reads FHIR bundles and resources, NDJSON and HL7 v2 files, plain or packed (.gz, .bz2, .zst), from files and
//! folders. Synthea's hospital and practitioner files go first, since the others refer to them.
//! What the gateway refuses is written to a reject file with its place and reason; nothing is dropped silently.
//! Not here: the write path (`ingest`), progress on the terminal (`cli::load`).

mod answer;
mod reject;
mod sender;
mod source;
mod state;

pub use answer::{Refused, Trouble};
pub use reject::{RejectFile, Rejection};
pub use sender::{Answer, SendError, Sender};
pub use source::{Contents, Item, ItemKind, Part, SourceError, collect, contents, is_shared};
pub use state::{Before, LoadState};

/// Bytes of one file after unpacking.
pub const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Resources that one batch carries when single resources are loaded.
pub const BATCH_ENTRIES_MAX: usize = 100;
/// Folder levels below a given path.
pub const FOLDER_DEPTH_MAX: usize = 16;
