//! What a terminology answers for `:in`, `:not-in`, `:above` and `:below` on tokens.
//!
//! Spec: FHIR R4 search § 3.1.1.4.3 (modifiers of token). The parser asks a [`CodeSets`]; an answer becomes ordinary
//! codes to look for. As a terminology may have to be read first, [`code_questions`] tells beforehand
//! what a query will ask. Without a terminology these modifiers are refused.
//! Not here: value sets and code systems.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use super::parse::{ParseOptions, parse_at};
use super::target::SearchTarget;

/// A question about codes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum CodeQuestion {
    /// Codes of a value set, by canonical URL (perhaps with `|version`) or as `ValueSet/id`.
    In(String),
    /// The code and all that it subsumes.
    Below {
        /// System of the code, when given.
        system: Option<String>,
        /// The code.
        code: String,
    },
    /// The code and all that subsume it.
    Above {
        /// System of the code, when given.
        system: Option<String>,
        /// The code.
        code: String,
    },
}

/// One code of an answer, or all of a system.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CodeAnswer {
    /// A code of a system.
    Code {
        /// Its system.
        system: String,
        /// The code.
        code: String,
    },
    /// Any code of the system.
    System(String),
}

/// A terminology. Errors are words for the client: which value set or code is not known, and why.
pub trait CodeSets: Debug + Sync {
    /// The codes that the question means, at most [`ANSWER_CODES_MAX`].
    ///
    /// # Errors
    /// What is unknown or cannot be expanded.
    fn codes(&self, question: &CodeQuestion) -> Result<Vec<CodeAnswer>, String>;
}

/// Answers that were found beforehand.
impl CodeSets for HashMap<CodeQuestion, Result<Vec<CodeAnswer>, String>> {
    fn codes(&self, question: &CodeQuestion) -> Result<Vec<CodeAnswer>, String> {
        self.get(question).cloned().unwrap_or_else(|| Err("is not answered".to_owned()))
    }
}

/// The questions that reading this query will ask, each once; none of a query that is refused.
pub fn code_questions(
    target: &SearchTarget,
    pairs: &[(String, String)],
    options: &ParseOptions<'_>,
) -> Vec<CodeQuestion> {
    let asks =
        |name: &str| name == "_filter" || MODIFIERS.iter().any(|modifier| name.ends_with(modifier));
    if !pairs.iter().any(|(name, _)| asks(name)) {
        return Vec::new();
    }
    let asked = Asked::default();
    let options = ParseOptions { codes: Some(&asked), ..*options };
    let _ = parse_at(target, pairs.to_vec(), &options);
    asked.0.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct Asked(Mutex<Vec<CodeQuestion>>);

impl CodeSets for Asked {
    fn codes(&self, question: &CodeQuestion) -> Result<Vec<CodeAnswer>, String> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.contains(question) {
            asked.push(question.clone());
        }
        Ok(Vec::new())
    }
}

const MODIFIERS: [&str; 4] = [":in", ":not-in", ":above", ":below"];
/// Codes that one answer may have.
pub const ANSWER_CODES_MAX: usize = 10_000;
