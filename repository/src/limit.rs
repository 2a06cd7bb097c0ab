//! Named limits of the repository.

/// Contents up to this size live in the database row; larger ones in the object store.
pub const INLINE_BYTES_MAX: usize = 256 * 1024;

/// Largest content of one version; a frame that claims more is not decompressed.
pub const CONTENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most compartments that one resource may be sealed for.
pub const KEY_SLOTS_MAX: usize = 4096;

/// Contents up to this size are compressed with the dictionary.
pub(crate) const DICTIONARY_CONTENT_BYTES_MAX: usize = 64 * 1024;

/// Most plaintext data keys in memory.
pub(crate) const CACHED_KEYS_MAX: usize = 4096;

/// A plaintext data key stays in memory for at most twice this time.
pub(crate) const CACHE_GENERATION_SECONDS: u64 = 150;

/// What sealing adds to the largest content of an object.
pub(crate) const OBJECT_OVERHEAD_BYTES_MAX: usize = 1024 * 1024;
