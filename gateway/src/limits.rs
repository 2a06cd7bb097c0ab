//! Every limit that is not configuration, with its unit last.
//!
//! What a site may change is in `config::keys`; what protects the process is here.

/// Header bytes and URL bytes are bounded by actix (128 KiB of head); a longer URL than this gets 414.
pub const URL_BYTES_MAX: usize = 16 * 1024;

/// Entries of one bundle.
pub const BUNDLE_ENTRIES_MAX: usize = 20_000;

/// How often one submission is prepared before it is given back as busy.
pub const PREPARE_ATTEMPTS_MAX: u32 = 12;

/// Longest pause between two preparations.
pub const PREPARE_PAUSE_MS_MAX: u64 = 20;

/// Entries of a batch that run at the same time.
pub const BATCH_PARALLEL_MAX: usize = 16;

/// Bytes of a submission above which preparation leaves the I/O thread.
pub const PREPARE_INLINE_BYTES_MAX: usize = 24 * 1024;

/// Answers smaller than this are not compressed.
pub const GZIP_BYTES_MIN: usize = 1024;

/// Entries taken from outbox and journal at once.
pub const SEAL_BATCH_MAX: usize = 4096;

/// Outbox rows that one job of the registry's writer marks or removes: about a millisecond of its time.
pub const MARKED_AT_ONCE: usize = 128;

/// Pending entries from which the sealer counts as loaded.
pub const SEAL_LOADED_MIN: usize = 64;

/// Criteria of a conditional interaction, in bytes.
pub const CRITERIA_BYTES_MAX: usize = 4096;

/// One answer before compression; a bundle that grows past it is refused, not cut, but for contents that were written in
/// it: these are durable, and are left out with a note.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Contents that one search opens to sort by them, all together; they are in memory a few at a time.
pub const SORT_OPENED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Contents kept open in memory, all together with their envelopes.
pub const OPENED_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Longest content that is kept open.
pub const OPENED_CONTENT_BYTES_MAX: usize = 64 * 1024;

/// A content stays open in memory for at most this time.
pub const OPENED_SECONDS_MAX: u64 = 60;
