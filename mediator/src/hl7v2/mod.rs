//! HL7 v2: bytes to a grouped message, acknowledgements, and the passes that make resources of it.

pub mod ack;
pub mod batch;
pub mod charset;
pub mod delimiter;
pub mod escape;
pub mod header;

pub(crate) mod convert;
pub(crate) mod grammar;
pub(crate) mod message;
pub(crate) mod pass;
pub(crate) mod primitive;
pub(crate) mod tokenizer;
pub(crate) mod work;
