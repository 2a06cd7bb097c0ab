//! Why the registry refused or failed.

use fhir::ResourceKey;

use crate::reading::Unread;

/// Why a write set was not committed. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Something that preparation read has changed meanwhile: prepare again and retry.
    #[error("the state that the write was prepared against has changed")]
    Stale,
    /// The same (sender, control id) was committed before: answer these bytes again.
    #[error("already committed")]
    AlreadyAnswered(Vec<u8>),
    /// The set holds two writes for one resource.
    #[error("{0} is written twice in one transaction")]
    Duplicate(ResourceKey),
    /// A read of the transaction has no answer, so nothing of it was written.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// A criterion costs more than a write may hold others up; the text says what to do. Retrying does not help.
    #[error("{0}")]
    TooCostly(String),
    /// The database is away, full, refused or stopped. Retrying is safe; when a disk or a connection failed
    /// at the commit itself, what was not acknowledged may be found there all the same.
    #[error("registry unavailable: {0}")]
    Unavailable(String),
    /// The writer's queue is full. Retrying later is safe.
    #[error("too many writes waiting")]
    Busy,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The query asks for what the executor does not do; the text names it.
    #[error("{0}")]
    Unsupported(String),
    /// The query is malformed; the text names the parameter.
    #[error("{0}")]
    Invalid(String),
    /// The caller may not search a type that the query names.
    #[error("{0}")]
    Forbidden(String),
    /// The query would cost more than its budget.
    #[error("too costly: {0}")]
    TooCostly(String),
    /// The query names a parameter whose index is not whole yet. Retrying later is safe.
    #[error("{0}")]
    NotIndexed(String),
    /// Too many reads wait. Retrying later is safe.
    #[error("too many reads waiting")]
    Busy,
    /// The database is away or answered nonsense.
    #[error("registry unavailable: {0}")]
    Unavailable(String),
    /// What the database holds cannot be read as what it should be.
    #[error("the registry is damaged: {0}")]
    Damaged(String),
}

impl ReadError {
    /// What a commit answers when one of its criteria could not be asked again.
    pub(crate) fn of_criteria(self) -> CommitError {
        match self {
            Self::TooCostly(text) => CommitError::TooCostly(text),
            other => CommitError::Unavailable(other.to_string()),
        }
    }

    /// A statement is more than the database takes: asking again will not help.
    pub(crate) fn too_long() -> Self {
        let text = "the search has more values or parameters than the database takes in one statement; \
                    ask for them in several searches";
        Self::TooCostly(text.into())
    }
}

/// Why the right to seal was not given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SequencerError {
    /// Another process has it: one gateway a database seals.
    #[error("another gateway ({0}) seals this database")]
    Taken(String),
    /// The database did not answer.
    #[error("registry unavailable: {0}")]
    Unavailable(String),
}

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file or server cannot be used as a registry.
    #[error("cannot open the registry: {0}")]
    Unavailable(String),
    /// What is there cannot be read as a database.
    #[error("the registry is damaged: {0}")]
    Damaged(String),
    /// Its index rows were made by other search parameters; index it again.
    #[error(
        "the database is indexed for the search parameters of another release: run `sealway reindex` once"
    )]
    OtherSearchTable,
    /// Its index rows were made with another setting `search.full_text`; index it again, or set it back.
    #[error(
        "the database is indexed with search.full_text = {stored}, not {wanted}: run `sealway reindex` once, or set it back"
    )]
    OtherFullText {
        /// As it is indexed.
        stored: &'static str,
        /// As it is configured.
        wanted: &'static str,
    },
    /// The schema is that of an earlier release, or not there yet, and was not to be changed.
    #[error(
        "the database does not have the schema of this release yet: start the gateway once, it brings it up to date"
    )]
    OlderSchema,
    /// What was to be made anew is not there: no gateway has run on this database.
    #[error("there is no database of Sealway here: name the one that a gateway has run on")]
    NoDatabase,
    /// A newer release, or another product, wrote the schema.
    #[error("schema migration {0} is unknown to this release or was altered")]
    UnknownSchema(i64),
}
