//! FHIRPath: behaviour in sentences, and HL7's own suite when it is at hand.

mod budget;
mod language;
mod suite;
