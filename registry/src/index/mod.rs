//! Index rows: what a resource leaves in the search tables.
//!
//! [`index_rows`] makes them, [`rows`] is the plain data that a write carries, [`terms`] its compact
//! list for differences and includes, [`param`] the numbers of the parameters.
//! Not here: SQL (`sqlite`, `postgres`), expressions (`fhir`).

mod build;
pub mod param;
pub mod rows;
pub(crate) mod table;
pub mod terms;

pub(crate) use build::indexed_text;
pub use build::{STRING_CHARS_MAX, index_rows};
pub use rows::IndexRows;
