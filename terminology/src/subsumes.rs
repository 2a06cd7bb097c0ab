//! `CodeSystem/$subsumes`: how two codes of a system lie to each other.
//!
//! Spec: FHIR R4 codesystem-operation-subsumes.html, value set `concept-subsumption-outcome`.

use serde_json::{Value, json};

use crate::code_system::CodeSystem;
use crate::filter::reach;
use crate::lookup::no_such_code;
use crate::refusal::Refusal;

/// The outcome; a closed set of the standard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subsumption {
    /// The same concept.
    Equivalent,
    /// A includes B.
    Subsumes,
    /// B includes A.
    SubsumedBy,
    /// Neither.
    NotSubsumed,
}

impl Subsumption {
    /// The standard's code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Equivalent => "equivalent",
            Self::Subsumes => "subsumes",
            Self::SubsumedBy => "subsumed-by",
            Self::NotSubsumed => "not-subsumed",
        }
    }

    /// As a Parameters resource.
    #[must_use]
    pub fn to_resource(self) -> Value {
        json!({
            "resourceType": "Parameters",
            "parameter": [{"name": "outcome", "valueCode": self.code()}],
        })
    }
}

/// Tests two codes.
///
/// # Errors
/// [`Refusal::NoSuchCode`]; [`Refusal::Unsupported`] where the hierarchy does not mean is-a.
pub fn subsumes(system: &CodeSystem, a: &str, b: &str) -> Result<Subsumption, Refusal> {
    let place = |code: &str| system.place(code).ok_or_else(|| no_such_code(system, code));
    let (a, b) = (place(a)?, place(b)?);
    if a == b {
        return Ok(Subsumption::Equivalent);
    }
    if !system.is_subsuming() {
        let text = format!("the hierarchy of {} does not mean is-a", system.canonical());
        return Err(Refusal::Unsupported(text));
    }
    Ok(if reach(system, b, false).contains(&a) {
        Subsumption::Subsumes
    } else if reach(system, a, false).contains(&b) {
        Subsumption::SubsumedBy
    } else {
        Subsumption::NotSubsumed
    })
}
