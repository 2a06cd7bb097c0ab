//! What each role may ever do, and why a right is missing.
//!
//! The rows of the table in `decide` as code. Not here: what a token grants (`scope`).

use fhir::ResourceType;

use crate::permit::Reason;
use crate::predicate::TypeSet;
use crate::principal::{Principal, Role};
use crate::scope::{Right, ScopeContext};

/// How far a context of scope reaches.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Everywhere,
    Compartment,
}

/// How far a context of scope reaches for a role; `None` where it does not count.
pub(crate) fn level(principal: &Principal, role: Role, context: ScopeContext) -> Option<Level> {
    match (role, context) {
        (Role::Clinician, ScopeContext::User) if is_practitioner(principal) => {
            Some(Level::Everywhere)
        }
        (Role::Clinician, ScopeContext::Patient) if principal.patient().is_some() => {
            Some(Level::Compartment)
        }
        (Role::Patient, ScopeContext::Patient | ScopeContext::User)
            if principal.patient().is_some() =>
        {
            Some(Level::Compartment)
        }
        (Role::System, ScopeContext::System) => Some(Level::Everywhere),
        (Role::Auditor, ScopeContext::System) => Some(Level::Everywhere),
        (Role::Auditor, ScopeContext::User) if principal.fhir_user().is_some() => {
            Some(Level::Everywhere)
        }
        _ => None,
    }
}

fn is_practitioner(principal: &Principal) -> bool {
    let practitioners = [ResourceType::PRACTITIONER, ResourceType::PRACTITIONER_ROLE];
    principal.fhir_user().is_some_and(|user| practitioners.contains(&user.resource_type))
}

/// The types on which a role may ever have a right.
pub(crate) fn allowed_types(role: Role, right: Right) -> TypeSet {
    let reads = matches!(right, Right::Read | Right::Search);
    match role {
        Role::Clinician | Role::System => {
            TypeSet::all().difference(&TypeSet::one(ResourceType::AUDIT_EVENT))
        }
        Role::Patient if reads => TypeSet::all(),
        Role::Auditor if reads => TypeSet::one(ResourceType::AUDIT_EVENT),
        Role::Patient | Role::Auditor | Role::Operator => TypeSet::NONE,
    }
}

/// Everything that is stored but the accesses.
pub(crate) fn data_types() -> TypeSet {
    ResourceType::stored().filter(|of| *of != ResourceType::AUDIT_EVENT).collect()
}

/// The most helpful of the reasons why a right is missing.
pub(crate) fn why_not(
    principal: &Principal,
    right: Right,
    resource_type: Option<ResourceType>,
) -> Reason {
    let scopes = principal.scopes();
    let role_allows = |role: &Role| {
        let types = allowed_types(*role, right);
        resource_type.map_or(!types.is_empty(), |rt| types.contains(rt))
    };
    if !principal.roles().iter().any(role_allows) {
        return Reason::Role;
    }
    let in_vain = |context, has: bool| scopes.names(context) && !has;
    if in_vain(ScopeContext::Patient, principal.patient().is_some()) {
        return Reason::NoPatient;
    }
    let user_fits = if principal.has_role(Role::Clinician) {
        is_practitioner(principal)
    } else {
        principal.has_role(Role::Patient) || principal.fhir_user().is_some()
    };
    if in_vain(ScopeContext::User, user_fits) {
        return Reason::NoFhirUser;
    }
    match scopes.refused().first() {
        Some(refused) => Reason::ScopeRefused(refused.reason),
        None => Reason::NoScope { right, resource_type },
    }
}
