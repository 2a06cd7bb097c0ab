//! HL7 v2 over MLLP.

mod connection;
pub mod frame;
mod listener;

pub use listener::{BindError, Listener};
