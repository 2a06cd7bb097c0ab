//! What can go wrong with an expression. Texts name places in the expression, never data.

/// Why an expression was not compiled.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The text is not FHIRPath; the place is counted in bytes.
    #[error("{what} at character {at} of the expression")]
    Syntax {
        /// What was expected or found.
        what: String,
        /// Place in the text, from 1.
        at: usize,
    },
    /// A function that FHIRPath or FHIR does not define, or that this engine does not do.
    #[error("the function {0}() is not known")]
    UnknownFunction(String),
    /// A function with too few or too many arguments.
    #[error("the function {0}() is called with the wrong number of arguments")]
    Arguments(String),
    /// Longer or deeper than an expression may be.
    #[error("the expression is too long or too deep")]
    TooLarge,
}

/// Why an evaluation has no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// The step limit of the context was reached.
    #[error("the evaluation took more steps than are allowed")]
    Budget,
    /// An operation on one value found several.
    #[error("{0} needs one value and found several")]
    NotSingle(&'static str),
    /// An operation on values of types it is not defined for.
    #[error("{0} is not defined for values of these types")]
    Type(&'static str),
    /// A variable that the context does not have.
    #[error("the variable %{0} is not known")]
    Variable(String),
    /// A regular expression that is malformed or too large.
    #[error("the regular expression cannot be used")]
    Regex,
}
