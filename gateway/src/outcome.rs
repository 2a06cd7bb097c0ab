//! `Fault` → OperationOutcome bytes, and outcomes of success.
//!
//! Shape: one issue each with the same sentence in `details.text` and `diagnostics`, `expression` where
//! known, and the request id as an extension (`fhir::OperationOutcome`).
//! Not here: which status goes with a fault (`error`).

use fhir::{Issue, IssueType, OperationOutcome, Severity};

use crate::error::Fault;

/// Body of a refusal.
pub fn of_fault(fault: &Fault, request_id: &str) -> Vec<u8> {
    OperationOutcome::render(&fault.issues, Some(request_id))
}

/// Body that says that something was done.
pub fn of_success(text: &str, request_id: &str) -> Vec<u8> {
    let issue = Issue {
        severity: Severity::Information,
        code: IssueType::Informational,
        text: text.to_owned(),
        expression: None,
    };
    OperationOutcome::render(&[issue], Some(request_id))
}
