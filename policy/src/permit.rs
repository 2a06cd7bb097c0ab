//! The two answers of a decision: [`Permit`] and [`Deny`].
//!
//! A permit has no public constructor but [`Permit::maintenance`]; its fields are set in `decide` only.
//! Not here: the rules (`decide`).

use fhir::{ResourceId, ResourceType};

use crate::predicate::{TypeSet, Visibility};
use crate::scope::{PURGE_SCOPE, Right, ScopeRefusal};

/// Leave to do what was asked, and how far it reaches. Only [`crate::decide`] makes one for a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Permit {
    pub(crate) subject: Box<str>,
    pub(crate) visibility: Visibility,
    pub(crate) types: TypeSet,
    pub(crate) included: TypeSet,
    pub(crate) update_as_create: bool,
}

impl Permit {
    /// Leave to see everything, for the sequencer, `fsck` and reindexing. Never for a request:
    /// no answer that leaves the gateway may be made with it.
    pub fn maintenance() -> Self {
        Self {
            subject: "maintenance".into(),
            visibility: Visibility::Everything,
            types: TypeSet::all(),
            included: TypeSet::all(),
            update_as_create: false,
        }
    }

    /// Which resources exist for this request. To be rendered at every resource reference.
    pub fn visibility(&self) -> &Visibility {
        &self.visibility
    }

    /// Types that the request may touch: its own, and those that may be searched, for chains, reverse
    /// chains and conditions. A leg of another type is answered with 403.
    pub fn types(&self) -> &TypeSet {
        &self.types
    }

    /// Types that `_include` and `_revinclude` may bring along. Others are left out, which the answer tells.
    pub fn included_types(&self) -> &TypeSet {
        &self.included
    }

    /// Types that no scope would open here: accesses are searched by nobody beside others, and groups are no part of a
    /// compartment.
    pub fn closed_types(&self) -> TypeSet {
        let accesses = TypeSet::one(ResourceType::AUDIT_EVENT);
        match self.visibility {
            Visibility::Everything => accesses,
            Visibility::Compartments(_) => accesses.union(&TypeSet::one(ResourceType::GROUP)),
        }
    }

    /// True if an update of an absent resource may create it.
    pub fn update_as_create(&self) -> bool {
        self.update_as_create
    }

    /// True if a resource in these patients' compartments may be written under this permit.
    pub fn admits_write(&self, patients: &[ResourceId]) -> bool {
        self.visibility.admits_write(patients)
    }

    /// Who was permitted.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Deny {
    /// The instance is not visible: the same answer as for an absent one (404).
    #[error("not found")]
    NotFound,
    /// The type or the operation is not allowed (403). Says nothing about instances.
    #[error("{0}")]
    Forbidden(Reason),
    /// Nobody of this kind is offered the interaction, whatever the instance (405).
    #[error("this interaction is not offered")]
    NotOffered,
    /// The question cannot be decided now (503).
    #[error("access cannot be decided now")]
    Unavailable,
}

/// Why a type or operation is forbidden. Names nothing of the data.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The token names no role that the gateway knows.
    #[error("the token grants no role (claim roles)")]
    NoRole,
    /// Patient, system and auditor each stand alone.
    #[error("the token's roles exclude each other")]
    ConflictingRoles,
    /// `system/` scopes stand beside `patient/` scopes.
    #[error("the token mixes patient and system scopes")]
    MixedScopes,
    /// `patient/` scopes, or the role patient, without a patient in context.
    #[error("the token names no patient (claim patient)")]
    NoPatient,
    /// `user/` scopes without a `fhirUser` that fits the role.
    #[error("the token names no user that fits its role (claim fhirUser)")]
    NoFhirUser,
    /// A scope that might have granted it cannot be enforced.
    #[error("{0}")]
    ScopeRefused(ScopeRefusal),
    /// No scope grants it.
    #[error("no scope of the token grants {} ({}) on {}", .right.name(), .right.letter(), .resource_type.map_or("*", ResourceType::name))]
    NoScope {
        /// The missing right.
        right: Right,
        /// The type; `None` for all types.
        resource_type: Option<ResourceType>,
    },
    /// Erasing is a permission of its own.
    #[error("erasing a patient needs the scope {PURGE_SCOPE}, too")]
    NoPurge,
    /// The role never does this.
    #[error("the role of the caller does not allow this")]
    Role,
}
