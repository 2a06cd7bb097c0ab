//! Why a question of terminology has no answer.

use crate::canonical::Canonical;
use crate::shelf::Definition;

/// Something that has to be put on the shelf before the question can be answered.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Wanted {
    /// Of what kind.
    pub definition: Definition,
    /// Its `url`; all versions of it are wanted.
    pub url: Box<str>,
}

/// Why there is no answer. All but [`Refusal::Load`] are for the client.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody has looked for this yet: put what there is of it on the shelf and ask again.
    #[error("{} {} is not loaded", .0.definition.name(), .0.url)]
    Load(Wanted),
    /// There is no such definition here.
    #[error("{} {canonical} is not known here", .definition.name())]
    Unknown {
        /// Of what kind.
        definition: Definition,
        /// What was asked for.
        canonical: Canonical,
    },
    /// The code is not in the code system.
    #[error("{0}")]
    NoSuchCode(String),
    /// The definition says something that is not done here.
    #[error("{0}")]
    Unsupported(String),
    /// The question or the definition is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The answer would be too large or too dear.
    #[error("{0}")]
    TooCostly(String),
}
