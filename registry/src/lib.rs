//! registry: metadata, search index, identity, outbox: everything SQL.
//!
//! One contract, [`store::Store`]; nothing runs without a `policy::Permit`.
//! Not here: payload encryption (`repository`), FHIR parsing (`fhir`), decisions (`policy`).

pub mod access;
pub mod check;
pub mod clock;
mod compartment;
mod cost;
pub mod erasure;
pub mod error;
mod finishing;
pub mod hash;
mod history;
pub mod index;
mod job;
mod number_cursor;
pub mod outbox;
pub mod page;
pub mod params;
mod place;
pub mod postgres;
mod queue;
pub mod reading;
pub mod search;
pub mod sqlite;
pub mod store;
pub mod upkeep;
pub mod write_set;
