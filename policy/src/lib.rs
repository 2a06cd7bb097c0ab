//! policy: who may see or do what. Pure: no I/O, no clock, no randomness.
//!
//! One gate: every interaction becomes an [`AccessRequest`]; [`decide`] answers a [`Permit`] or a
//! [`Deny`]. A `Permit` has no public constructor, and storage runs nothing without one, so a
//! forgotten check does not compile. It carries the [`Visibility`] that storage renders at every
//! resource reference: filtering afterwards leaks by counts, chains and includes.
//! Not here: tokens (`gateway::auth`), SQL (`registry`), compartment membership of a resource
//! (`fhir::patient_compartment`).

pub use decide::{decide, is_kept};
pub use needs::roles_for;
pub use permit::{Deny, Permit, Reason};
pub use predicate::{TypeSet, Visibility, universal_types};
pub use principal::{Principal, PrincipalBuilder, Role};
pub use request::{AccessRequest, Operation, OperationTarget};
pub use scope::{
    Grant, PURGE_SCOPE, RefusedScope, Right, Rights, SCOPE_TEXT_BYTES_MAX, ScopeContext,
    ScopeRefusal, Scopes,
};

mod decide;
mod needs;
mod permit;
mod predicate;
mod principal;
mod request;
mod role;
mod scope;
