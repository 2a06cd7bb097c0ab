//! What is asked: the closed enum of all interactions.
//!
//! Every HTTP interaction, entry of a bundle, message, chain leg and export becomes one of these.
//! Adding a variant makes every `match` that must think of it fail to compile.

use fhir::{ResourceKey, ResourceType, VersionKey};

use crate::predicate::TypeSet;

/// One interaction with the gateway.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum AccessRequest {
    /// `GET /metadata`.
    Capability,
    /// `GET` or `HEAD` of a resource.
    Read(ResourceKey),
    /// `GET` of one version.
    Vread(VersionKey),
    /// History of one resource.
    HistoryInstance(ResourceKey),
    /// History of a type.
    HistoryType(ResourceType),
    /// History of everything.
    HistorySystem,
    /// Search in a type.
    Search(ResourceType),
    /// Search in all types.
    SearchSystem,
    /// Search in these types together: a search below the base or in a compartment.
    SearchTypes(TypeSet),
    /// `POST` of a new resource.
    Create(ResourceType),
    /// `PUT`, also as create.
    Update(ResourceKey),
    /// `PATCH`.
    Patch(ResourceKey),
    /// `DELETE`.
    Delete(ResourceKey),
    /// Resolution of a condition (`If-None-Exist`, conditional URL or reference): tells what exists.
    Match(ResourceType),
    /// A batch or transaction as such; its entries are decided one by one.
    Bundle,
    /// A message in another format (HL7 v2, `$process-message`).
    Message,
    /// The receipt of one version.
    Receipt(VersionKey),
    /// Read or search of `AuditEvent`.
    AuditRead,
    /// Checkpoints, tiles and proofs of the log.
    Ledger,
    /// Screens and commands of the operator.
    Operate,
    /// How a search would be answered (`$explain`): statements and rough numbers, no values and no contents.
    Explain,
    /// What the gateway says of itself: metrics and checks in detail.
    Observe,
    /// Read or search of the Tasks that the gateway makes of messages it did not apply. Whoever asks this shows
    /// no other Task.
    MessageTasks,
    /// An operation.
    Operation {
        /// Which.
        operation: Operation,
        /// On what.
        target: OperationTarget,
    },
}

/// Operations that exist here.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    /// `$everything` of a patient, or of all that may be seen.
    Everything,
    /// `$purge` of a patient.
    Purge,
    /// `$validate`.
    Validate,
    /// `$match` of patients.
    Match,
    /// `$merge` of patients.
    Merge,
    /// Bulk `$export`.
    Export,
    /// `$lookup`, `$validate-code`, `$subsumes`, `$expand` and `$translate`.
    Terminology,
}

/// What an operation is invoked on.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum OperationTarget {
    /// The base.
    System,
    /// A type.
    Type(ResourceType),
    /// A resource.
    Instance(ResourceKey),
}
