//! Who may invoke an operation.
//!
//! Not here: what a scope reaches (`super`), what an operation does (`gateway`).

use fhir::ResourceType;

use super::{Reach, terminology, with_terminology};
use crate::permit::{Deny, Permit, Reason};
use crate::predicate::TypeSet;
use crate::principal::{Principal, Role};
use crate::request::{Operation, OperationTarget};
use crate::role::data_types;
use crate::scope::Right;

impl Reach {
    pub(super) fn operation(
        &self,
        principal: &Principal,
        operation: Operation,
        target: &OperationTarget,
    ) -> Result<Permit, Deny> {
        let patients = TypeSet::one(ResourceType::PATIENT);
        match (operation, target) {
            (Operation::Everything, OperationTarget::Instance(key)) => {
                self.on_type(principal, Right::Search, key.resource_type)?;
                self.instance(principal, Right::Read, key)
            }
            (Operation::Everything, OperationTarget::Type(ResourceType::PATIENT)) => {
                self.on_type(principal, Right::Read, ResourceType::PATIENT)?;
                self.on_type(principal, Right::Search, ResourceType::PATIENT)
            }
            (Operation::Purge, OperationTarget::Instance(key))
                if key.resource_type == ResourceType::PATIENT =>
            {
                self.purge(principal)
            }
            (Operation::Validate, OperationTarget::Instance(key)) => {
                self.instance(principal, Right::Read, key)
            }
            (Operation::Validate, OperationTarget::Type(rt)) => {
                self.on_type(principal, Right::Create, *rt)
            }
            (Operation::Match | Operation::Merge | Operation::Export, _)
                if principal.has_role(Role::Patient) =>
            {
                Err(Deny::Forbidden(Reason::Role))
            }
            (Operation::Match, OperationTarget::Type(ResourceType::PATIENT)) => {
                self.unlimited(principal, &[Right::Search], &patients)
            }
            (Operation::Merge, OperationTarget::Type(ResourceType::PATIENT)) => {
                self.unlimited(principal, &[Right::Read, Right::Update], &patients)
            }
            (Operation::Export, OperationTarget::System | OperationTarget::Type(_)) => {
                if !principal.has_role(Role::System) {
                    return Err(Deny::Forbidden(Reason::Role));
                }
                self.unlimited(principal, &[Right::Read, Right::Search], &data_types())
            }
            (Operation::Terminology, OperationTarget::Type(rt)) if terminology().contains(*rt) => {
                self.on_type(principal, Right::Read, *rt).map(with_terminology)
            }
            (Operation::Terminology, OperationTarget::Instance(key))
                if terminology().contains(key.resource_type) =>
            {
                self.instance(principal, Right::Read, key).map(with_terminology)
            }
            _ => Err(Deny::NotOffered),
        }
    }

    /// What a patient's erasure takes may be of any type, so each must be granted; and nobody has it by granting `*`.
    fn purge(&self, principal: &Principal) -> Result<Permit, Deny> {
        let permit = self.unlimited(principal, &[Right::Read, Right::Delete], &data_types())?;
        if principal.scopes().may_purge() {
            Ok(permit)
        } else {
            Err(Deny::Forbidden(Reason::NoPurge))
        }
    }
}
