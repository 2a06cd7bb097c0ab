//! The decision: [`decide`], the only maker of a [`Permit`].
//!
//! Role, scope and compartment are intersected; unknown or contradictory means deny. The role says
//! which contexts of scope count and how far they reach:
//!
//! | role | scopes that count | reach |
//! |---|---|---|
//! | clinician | `user/` with a practitioner as `fhirUser`; `patient/` with a patient in context | everything; that compartment |
//! | patient | `patient/`, `user/`: `r` and `s` only | own compartment, accesses to it |
//! | system | `system/` | everything; messages with `c` and `u` on all types |
//! | auditor | `user/`, `system/`: `r` and `s` of `AuditEvent` only | accesses, receipts, metrics |
//! | operator | none | the operator's plane, metrics, how a search is answered, the Tasks of messages that were not applied |
//!
//! Erasing a patient (`$purge`) needs delete on all types without limit, and the scope `sealway/purge` beside it.
//! Accesses (`AuditEvent`) are for auditors and the patient concerned; nobody writes them. Nor does anybody write what
//! is not stored (`Parameters`).
//! Not here: the table's rows as code (`role`), compartments of a resource (`fhir`), how visibility is rendered (`registry`).

use fhir::{ResourceKey, ResourceType};

use crate::permit::{Deny, Permit, Reason};
use crate::predicate::{TypeSet, Visibility};
use crate::principal::{Principal, Role};
use crate::request::AccessRequest;
use crate::role::{Level, allowed_types, data_types, level, why_not};
use crate::scope::{Right, ScopeContext};

mod operation;

/// Decides one request. A pure function of its arguments.
///
/// # Errors
/// [`Deny`], sorted by what the caller may learn from it.
pub fn decide(principal: &Principal, request: &AccessRequest) -> Result<Permit, Deny> {
    if matches!(request, AccessRequest::Capability) {
        return Ok(Reach::NOWHERE.permit(principal));
    }
    check_claims(principal).map_err(Deny::Forbidden)?;
    let reach = Reach::of(principal);
    match request {
        AccessRequest::Capability | AccessRequest::Ledger => Ok(Reach::NOWHERE.permit(principal)),
        AccessRequest::Operate if principal.has_role(Role::Operator) => {
            Ok(Reach::NOWHERE.permit(principal))
        }
        AccessRequest::Observe
            if principal.has_role(Role::Operator) || principal.has_role(Role::Auditor) =>
        {
            Ok(Reach::NOWHERE.permit(principal))
        }
        AccessRequest::MessageTasks if principal.has_role(Role::Operator) => Ok(Permit {
            visibility: Visibility::Everything,
            types: TypeSet::one(ResourceType::TASK),
            ..Reach::NOWHERE.permit(principal)
        }),
        AccessRequest::Explain if principal.has_role(Role::Operator) => Ok(Permit {
            visibility: Visibility::Everything,
            types: data_types(),
            ..Reach::NOWHERE.permit(principal)
        }),
        AccessRequest::Operate
        | AccessRequest::Observe
        | AccessRequest::MessageTasks
        | AccessRequest::Explain => Err(Deny::Forbidden(Reason::Role)),
        AccessRequest::Read(key) | AccessRequest::HistoryInstance(key) => {
            reach.instance(principal, Right::Read, key)
        }
        AccessRequest::Vread(version) => reach.instance(principal, Right::Read, &version.key),
        AccessRequest::Search(rt) | AccessRequest::HistoryType(rt) | AccessRequest::Match(rt) => {
            reach.on_type(principal, Right::Search, *rt)
        }
        AccessRequest::SearchSystem | AccessRequest::HistorySystem => {
            reach.on_all(principal, Right::Search)
        }
        AccessRequest::SearchTypes(types) => reach.on_types(principal, types),
        AccessRequest::Create(rt) => reach.create(principal, *rt),
        AccessRequest::Update(key) => reach.update(principal, key),
        AccessRequest::Patch(key) => reach.patch(principal, key),
        AccessRequest::Delete(key) => reach.delete(principal, key),
        AccessRequest::Bundle => reach.bundle(principal),
        AccessRequest::Message => reach.message(principal),
        AccessRequest::Receipt(version) => reach.receipt(principal, &version.key),
        AccessRequest::AuditRead => {
            reach.on_type(principal, Right::Search, ResourceType::AUDIT_EVENT)
        }
        AccessRequest::Operation { operation, target } => {
            reach.operation(principal, *operation, target)
        }
    }
}

/// Refuses claims that contradict each other, before anything is granted.
fn check_claims(principal: &Principal) -> Result<(), Reason> {
    let roles = principal.roles();
    if roles.is_empty() {
        return Err(Reason::NoRole);
    }
    let alone = [Role::Patient, Role::System, Role::Auditor];
    if roles.len() > 1 && roles.iter().any(|role| alone.contains(role)) {
        return Err(Reason::ConflictingRoles);
    }
    let scopes = principal.scopes();
    if scopes.names(ScopeContext::Patient) && scopes.names(ScopeContext::System) {
        return Err(Reason::MixedScopes);
    }
    if principal.has_role(Role::Patient) && principal.patient().is_none() {
        return Err(Reason::NoPatient);
    }
    Ok(())
}

/// Whether resources of the type are never deleted, by nobody.
pub fn is_kept(resource_type: ResourceType) -> bool {
    let kept = [ResourceType::AUDIT_EVENT, ResourceType::PROVENANCE, ResourceType::CONSENT];
    kept.contains(&resource_type)
}

/// Whether anybody writes resources of the type: accesses are recorded by the gateway alone, and what is not stored is no
/// resource of a server.
fn is_written(resource_type: ResourceType) -> bool {
    resource_type.is_stored() && resource_type != ResourceType::AUDIT_EVENT
}

/// The definitions that answers on codes are made of. They belong to no patient.
fn terminology() -> TypeSet {
    let names = ["CodeSystem", "ValueSet", "ConceptMap"];
    names.into_iter().filter_map(ResourceType::parse).collect()
}

/// A value set is made of code systems and of other value sets: who may ask for one gets what it says of them.
fn with_terminology(mut permit: Permit) -> Permit {
    permit.types = permit.types.union(&terminology());
    permit
}

/// How far the scopes of a principal reach: for each right the types without limit, and those
/// within the compartment of the patient in context.
struct Reach {
    everywhere: [TypeSet; 5],
    in_compartment: [TypeSet; 5],
}

impl Reach {
    const NOWHERE: Self =
        Self { everywhere: [TypeSet::NONE; 5], in_compartment: [TypeSet::NONE; 5] };

    fn of(principal: &Principal) -> Self {
        let mut reach = Self::NOWHERE;
        for grant in principal.scopes().grants() {
            for role in principal.roles() {
                let Some(level) = level(principal, *role, grant.context()) else { continue };
                for right in Right::ALL.into_iter().filter(|right| grant.rights().has(*right)) {
                    let types = grant.types().intersection(&allowed_types(*role, right));
                    let sets = match level {
                        Level::Everywhere => &mut reach.everywhere,
                        Level::Compartment => &mut reach.in_compartment,
                    };
                    sets[right as usize] = sets[right as usize].union(&types);
                }
            }
        }
        reach
    }

    /// Types with this right at any level.
    fn anywhere(&self, right: Right) -> TypeSet {
        self.everywhere[right as usize].union(&self.in_compartment[right as usize])
    }

    /// True if all `types` have all `rights` without limit.
    fn is_everywhere(&self, rights: &[Right], types: &TypeSet) -> bool {
        rights.iter().all(|right| self.everywhere[*right as usize].contains_all(types))
    }

    /// Leave within all that is granted without limit, or else within the compartment.
    fn permit(&self, principal: &Principal) -> Permit {
        self.permit_at(principal, self.is_unlimited())
    }

    fn is_unlimited(&self) -> bool {
        self.everywhere.iter().any(|types| !types.is_empty())
    }

    /// The types of a permit are those granted at its own level or a wider one, so that an include
    /// or a chain never sees more of a type than a search for it would. Within a compartment there
    /// are no groups: a member may not see who else is one.
    fn permit_at(&self, principal: &Principal, everywhere: bool) -> Permit {
        let of = |right: Right| {
            if everywhere { self.everywhere[right as usize] } else { self.anywhere(right) }
        };
        let (visibility, hidden) = if everywhere {
            (Visibility::Everything, TypeSet::NONE)
        } else {
            let own = principal.patient().cloned().into_iter().collect();
            (Visibility::Compartments(own), TypeSet::one(ResourceType::GROUP))
        };
        let types = of(Right::Search).difference(&hidden);
        Permit {
            subject: principal.subject().into(),
            visibility,
            types,
            included: types.union(&of(Right::Read)).difference(&hidden),
            update_as_create: false,
        }
    }

    /// Leave for all `rights` on all `types` at the widest level that has them.
    fn on(&self, principal: &Principal, rights: &[Right], types: &TypeSet) -> Result<Permit, Deny> {
        if self.is_everywhere(rights, types) {
            return Ok(self.permit_at(principal, true));
        }
        let missing = rights.iter().find(|right| !self.anywhere(**right).contains_all(types));
        match missing {
            None if *types == TypeSet::one(ResourceType::GROUP) => {
                Err(Deny::Forbidden(Reason::Role))
            }
            None => Ok(self.permit_at(principal, false)),
            Some(right) => {
                let only = types.iter().next().filter(|_| types.len() == 1);
                Err(Deny::Forbidden(why_not(principal, *right, only)))
            }
        }
    }

    fn on_type(
        &self,
        principal: &Principal,
        right: Right,
        rt: ResourceType,
    ) -> Result<Permit, Deny> {
        self.on(principal, &[right], &TypeSet::one(rt))
    }

    /// Leave to search several types together, at the widest level that has them all.
    fn on_types(&self, principal: &Principal, types: &TypeSet) -> Result<Permit, Deny> {
        if types.is_empty() {
            return Err(Deny::Forbidden(why_not(principal, Right::Search, None)));
        }
        let permit = self.on(principal, &[Right::Search], types)?;
        if !permit.types.contains_all(types) {
            return Err(Deny::Forbidden(Reason::Role));
        }
        Ok(permit)
    }

    /// Leave on every type that holds data.
    fn on_all(&self, principal: &Principal, right: Right) -> Result<Permit, Deny> {
        self.on(principal, &[right], &data_types())
    }

    /// Another patient than those visible, and any group for who sees a compartment only, is answered
    /// here as absent, without a look at the data.
    fn instance(
        &self,
        principal: &Principal,
        right: Right,
        key: &ResourceKey,
    ) -> Result<Permit, Deny> {
        let of_type = TypeSet::one(key.resource_type);
        if key.resource_type == ResourceType::GROUP
            && self.anywhere(right).contains_all(&of_type)
            && !self.is_everywhere(&[right], &of_type)
        {
            return Err(Deny::NotFound);
        }
        let mut permit = self.on(principal, &[right], &of_type)?;
        permit.types = permit.types.union(&of_type);
        let own = std::slice::from_ref(&key.id);
        if key.resource_type == ResourceType::PATIENT
            && !permit.visibility.admits(ResourceType::PATIENT, own)
        {
            return Err(Deny::NotFound);
        }
        Ok(permit)
    }

    fn create(&self, principal: &Principal, rt: ResourceType) -> Result<Permit, Deny> {
        if !is_written(rt) {
            return Err(Deny::NotOffered);
        }
        self.on_type(principal, Right::Create, rt)
    }

    /// A patient gets the same answer whatever the id: an update would tell which ids are taken.
    fn update(&self, principal: &Principal, key: &ResourceKey) -> Result<Permit, Deny> {
        if !is_written(key.resource_type) {
            return Err(Deny::NotOffered);
        }
        if principal.has_role(Role::Patient) {
            return Err(Deny::Forbidden(Reason::Role));
        }
        let mut permit = self.instance(principal, Right::Update, key)?;
        let one = TypeSet::one(key.resource_type);
        permit.update_as_create = permit.visibility == Visibility::Everything
            && self.is_everywhere(&[Right::Create, Right::Update], &one);
        Ok(permit)
    }

    fn patch(&self, principal: &Principal, key: &ResourceKey) -> Result<Permit, Deny> {
        if !is_written(key.resource_type) {
            return Err(Deny::NotOffered);
        }
        self.instance(principal, Right::Update, key)
    }

    /// What proves who did what under which consent is kept.
    fn delete(&self, principal: &Principal, key: &ResourceKey) -> Result<Permit, Deny> {
        if is_kept(key.resource_type) || !is_written(key.resource_type) {
            return Err(Deny::NotOffered);
        }
        self.instance(principal, Right::Delete, key)
    }

    fn bundle(&self, principal: &Principal) -> Result<Permit, Deny> {
        let any = Right::ALL.into_iter().any(|right| !self.anywhere(right).is_empty());
        if any && !principal.has_role(Role::Auditor) {
            Ok(self.permit(principal))
        } else {
            Err(Deny::Forbidden(why_not(principal, Right::Create, None)))
        }
    }

    /// The rules decide which types come out of a message, so every type must be granted.
    fn message(&self, principal: &Principal) -> Result<Permit, Deny> {
        if !principal.has_role(Role::System) {
            return Err(Deny::Forbidden(Reason::Role));
        }
        self.on(principal, &[Right::Create, Right::Update], &data_types())
    }

    /// A receipt opens to who may read the resource, and to the auditor for all of them.
    fn receipt(&self, principal: &Principal, key: &ResourceKey) -> Result<Permit, Deny> {
        if !principal.has_role(Role::Auditor) {
            return self.instance(principal, Right::Read, key);
        }
        let mut permit = self.on_type(principal, Right::Read, ResourceType::AUDIT_EVENT)?;
        permit.types = TypeSet::one(key.resource_type);
        permit.included = TypeSet::NONE;
        Ok(permit)
    }

    /// Leave only where no compartment limits it.
    fn unlimited(
        &self,
        principal: &Principal,
        rights: &[Right],
        types: &TypeSet,
    ) -> Result<Permit, Deny> {
        let permit = self.on(principal, rights, types)?;
        if permit.visibility == Visibility::Everything {
            Ok(permit)
        } else {
            Err(Deny::Forbidden(Reason::Role))
        }
    }
}
