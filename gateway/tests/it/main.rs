//! The gateway in process: real parts, a temporary folder, an ephemeral port.

#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod bundle;
mod conditional;
mod crud;
mod hostile;
mod receipt;
mod search;
mod site;
