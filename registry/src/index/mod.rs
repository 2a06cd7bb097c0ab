//! Index rows: what a resource leaves in the search tables.
//!
//! [`rows`] is the plain data that a write carries, [`terms`] its compact list for differences and
//! includes. Not here: SQL (`sqlite`, `postgres`), expressions (`fhir::search_program`).

pub mod rows;
pub mod terms;

pub use rows::IndexRows;
