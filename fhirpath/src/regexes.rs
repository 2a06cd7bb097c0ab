//! Regular expressions, compiled once for the expression that they stand in.
//!
//! Matching takes time linear in the text; a pattern that compiles to too much is refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use regex::{Regex, RegexBuilder};

use crate::error::EvaluationError;
use crate::eval::Context;

/// The compiled patterns of one expression.
#[derive(Debug, Default)]
pub(crate) struct Regexes {
    known: Mutex<HashMap<String, Arc<Regex>>>,
}

impl Regexes {
    /// A pattern in which `.` also stands for line ends.
    pub(crate) fn find(
        &self,
        pattern: &str,
        context: &Context<'_>,
    ) -> Result<Arc<Regex>, EvaluationError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(pattern) {
            return Ok(Arc::clone(known));
        }
        context.tick(COMPILE_STEPS)?;
        let built = RegexBuilder::new(pattern)
            .dot_matches_new_line(true)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build();
        let regex = Arc::new(built.map_err(|_| EvaluationError::Regex)?);
        if known.len() < KNOWN_MAX {
            known.insert(pattern.to_owned(), Arc::clone(&regex));
        }
        Ok(regex)
    }
}

/// What compiling counts.
const COMPILE_STEPS: usize = 2_000;
/// Memory of a compiled pattern; those of the standard with classes of Unicode need most of it.
const COMPILED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Patterns kept for one expression.
const KNOWN_MAX: usize = 16;
