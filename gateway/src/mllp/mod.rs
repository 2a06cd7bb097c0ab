//! HL7 v2 over MLLP.

pub mod frame;
