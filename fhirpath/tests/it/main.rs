//! FHIRPath: behaviour in sentences, and HL7's own suite when it is at hand.

#![expect(clippy::unwrap_used, reason = "tests")]

mod budget;
mod language;
mod suite;
