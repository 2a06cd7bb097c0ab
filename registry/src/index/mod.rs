//! Index rows: what a resource leaves in the search tables.
//!
//! [`index_rows`] makes them (`build`, `composite`), [`rows`] is the plain data that a write carries, [`terms`] its compact
//! list for differences and includes, [`param`] the numbers of the parameters.
//! Not here: SQL (`sqlite`, `postgres`), expressions (`fhir`).

mod build;
mod composite;
pub mod param;
pub(crate) mod position;
mod present;
pub mod rows;
pub(crate) mod table;
pub mod terms;
pub mod words;

pub(crate) use build::{AS_WRITTEN, SAMPLED, canonical_hash, indexed_text, is_ucum};
pub use build::{STRING_CHARS_MAX, index_rows, index_rows_with};
pub(crate) use composite::{
    instant, pair_hash, qualified_hash, sampled_form, system_hash, under_form,
};
pub(crate) use present::sets_of;
pub use rows::IndexRows;
