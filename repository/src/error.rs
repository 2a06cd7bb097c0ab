//! Why keys, envelopes or objects were refused. No variant carries content, names or keys.

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key file cannot be read or made.
    #[error("key file: {0}")]
    File(#[from] std::io::Error),
    /// Others than the owner may read the key file. `chmod 600` helps.
    #[error("key file may be read by others (mode {mode:03o}); it must be 600")]
    TooOpen {
        /// Permission bits found.
        mode: u32,
    },
    /// The key file does not hold a key.
    #[error("key file is malformed")]
    Malformed,
    /// The data key was wrapped under another key-encryption key.
    #[error("data key {key_id:016x} is wrapped under another key-encryption key")]
    OtherKey {
        /// Which data key.
        key_id: u64,
    },
    /// The wrapped key was altered, or belongs to another id or compartment.
    #[error("data key {key_id:016x} does not unwrap")]
    Refused {
        /// Which data key.
        key_id: u64,
    },
}

/// Why a content cannot be sealed.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No data key was given.
    #[error("no data key to seal under")]
    NoKey,
    /// The resource is in more compartments than can be sealed for.
    #[error("resource is in more than {} compartments", crate::KEY_SLOTS_MAX)]
    TooManyKeys,
    /// The content is larger than [`crate::CONTENT_BYTES_MAX`].
    #[error("content exceeds {} bytes", crate::CONTENT_BYTES_MAX)]
    TooLarge,
}

/// Why an envelope does not open.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The bytes are no envelope.
    #[error("envelope is malformed: {0}")]
    Malformed(&'static str),
    /// None of its keys was given: erased, or not fetched.
    #[error("no key of the envelope is known")]
    KeyMissing,
    /// The bytes were altered, or belong to another resource, version or object.
    #[error("envelope does not authenticate")]
    Refused,
    /// The content claims to be larger than [`crate::CONTENT_BYTES_MAX`].
    #[error("content exceeds {} bytes", crate::CONTENT_BYTES_MAX)]
    TooLarge,
}

/// Why the object store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such object.
    #[error("object is missing")]
    Missing,
    /// The object does not open.
    #[error("object: {0}")]
    Open(#[from] OpenError),
    /// The object cannot be sealed.
    #[error("object: {0}")]
    Seal(#[from] SealError),
    /// The store is away, full or refused. Retrying is safe.
    #[error("object store unavailable: {0}")]
    Unavailable(String),
}
