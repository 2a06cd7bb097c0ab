//! registry: metadata, search index, identity, outbox: everything SQL.
//!
//! One contract, [`store::Store`]; nothing runs without a `policy::Permit`.
//! Not here: payload encryption (`repository`), FHIR parsing (`fhir`), decisions (`policy`).

pub mod hash;
pub mod index;
