//! `Prefer`: what to return after a write, and how to treat unknown search parameters.
//!
//! Spec: FHIR R4 http.html, "Managing Return Content" and search.html, "Handling Errors".
//! Not here: asynchronous answers.

use actix_web::http::header::HeaderMap;

/// What a write answers with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Return {
    /// No body.
    Minimal,
    /// The resource as stored.
    Representation,
    /// An OperationOutcome.
    Outcome,
}

/// The parts of `Prefer` that are heeded.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Prefer {
    /// `return=…`; `None` when absent: a single write then answers the resource, a bundle does not.
    pub returns: Option<Return>,
    /// `handling=lenient` or `handling=strict`; `None` when absent.
    pub lenient: Option<bool>,
}

impl Prefer {
    /// All `Prefer` lines of a request; what is unknown is ignored, as RFC 7240 says.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        for value in headers.get_all("prefer") {
            let parts = value.to_str().unwrap_or_default().split([',', ';']);
            for part in parts.map(str::trim) {
                match part {
                    "return=minimal" => prefer.returns = Some(Return::Minimal),
                    "return=representation" => prefer.returns = Some(Return::Representation),
                    "return=OperationOutcome" => prefer.returns = Some(Return::Outcome),
                    "handling=lenient" => prefer.lenient = Some(true),
                    "handling=strict" => prefer.lenient = Some(false),
                    _ => {}
                }
            }
        }
        prefer
    }
}
