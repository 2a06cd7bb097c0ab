//! fhirbolt's typed R4 model, behind plain functions: for resources that the gateway writes or interprets itself.
//!
//! The only crate that names fhirbolt (its generics cost minutes to compile, once); no type of it is public.
//! Input is JSON that the strict reader of `fhir` has accepted, or that the gateway made: fhirbolt panics on
//! empty arrays and drops fields in lax mode, so raw input never comes here.
//! Not here: anything in the hot path; validation (`fhir::reader`).

mod audit_event;
mod check;

pub use audit_event::{AuditEvent, AuditInteraction, AuditOutcome, audit_event_json};
pub use check::{TypedError, check_json};
