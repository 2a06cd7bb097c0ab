//! Which roles a request may be granted to, for whoever is refused: the table in `decide`, read backwards.
//!
//! Says nothing of scopes and compartments, which limit a role further. Not here: the decision (`decide`).

use fhir::ResourceType;

use crate::predicate::TypeSet;
use crate::principal::Role;
use crate::request::{AccessRequest, Operation, OperationTarget};
use crate::role::{allowed_types, data_types};
use crate::scope::Right;

/// The roles to which a request may be granted; none where nobody may do it.
#[must_use]
pub fn roles_for(request: &AccessRequest) -> Vec<Role> {
    let one = |right, of: ResourceType| holding(right, &TypeSet::one(of));
    match request {
        AccessRequest::Capability | AccessRequest::Ledger => Role::ALL.to_vec(),
        AccessRequest::Operate | AccessRequest::MessageTasks | AccessRequest::Explain => {
            vec![Role::Operator]
        }
        AccessRequest::Observe => vec![Role::Auditor, Role::Operator],
        AccessRequest::Message => vec![Role::System],
        AccessRequest::Bundle => vec![Role::Clinician, Role::Patient, Role::System],
        AccessRequest::Read(key) | AccessRequest::HistoryInstance(key) => {
            one(Right::Read, key.resource_type)
        }
        AccessRequest::Vread(version) => one(Right::Read, version.key.resource_type),
        AccessRequest::Receipt(version) => {
            let mut roles = one(Right::Read, version.key.resource_type);
            roles.push(Role::Auditor);
            roles
        }
        AccessRequest::Search(of) | AccessRequest::HistoryType(of) | AccessRequest::Match(of) => {
            one(Right::Search, *of)
        }
        AccessRequest::SearchSystem | AccessRequest::HistorySystem => {
            holding(Right::Search, &data_types())
        }
        AccessRequest::SearchTypes(types) => {
            let mut roles = holding(Right::Search, types);
            roles.retain(|role| *role != Role::Patient || !types.contains(ResourceType::GROUP));
            roles
        }
        AccessRequest::Create(of) => one(Right::Create, *of),
        AccessRequest::Update(key) | AccessRequest::Patch(key) => {
            one(Right::Update, key.resource_type)
        }
        AccessRequest::Delete(key) => one(Right::Delete, key.resource_type),
        AccessRequest::AuditRead => one(Right::Search, ResourceType::AUDIT_EVENT),
        AccessRequest::Operation { operation, target } => of_operation(*operation, target),
    }
}

fn of_operation(operation: Operation, target: &OperationTarget) -> Vec<Role> {
    let types = match target {
        OperationTarget::System => data_types(),
        OperationTarget::Type(of) => TypeSet::one(*of),
        OperationTarget::Instance(key) => TypeSet::one(key.resource_type),
    };
    match (operation, target) {
        (Operation::Everything | Operation::Terminology, _)
        | (Operation::Validate, OperationTarget::Instance(_)) => holding(Right::Read, &types),
        (Operation::Validate, _) => holding(Right::Create, &types),
        (Operation::Purge, _) => holding(Right::Delete, &data_types()),
        (Operation::Match | Operation::Merge, _) => holding(Right::Update, &types),
        (Operation::Export, _) => vec![Role::System],
    }
}

fn holding(right: Right, types: &TypeSet) -> Vec<Role> {
    // A patient is always limited to a compartment, and groups are in none.
    let is_group = *types == TypeSet::one(ResourceType::GROUP);
    let holds = |role: &Role| {
        allowed_types(*role, right).contains_all(types) && !(is_group && *role == Role::Patient)
    };
    Role::ALL.into_iter().filter(holds).collect()
}
