//! What holds for every set of scopes.

use fhir::ResourceType;
use policy::{
    AccessRequest, Deny, Operation, OperationTarget, Principal, Reason, Role, TypeSet, Visibility,
    decide,
};
use proptest::prelude::*;

use crate::word::{Caller, WORDS, Word, callers, id, key, principal, requests};

/// What a decision lets see of the probes, as a set of bits; a refusal sees nothing.
fn access(principal: &Principal, request: &AccessRequest) -> u32 {
    let Ok(permit) = decide(principal, request) else { return 0 };
    let probes = [
        (ResourceType::OBSERVATION, vec![id("own")]),
        (ResourceType::OBSERVATION, vec![id("other")]),
        (ResourceType::OBSERVATION, vec![]),
        (ResourceType::ORGANIZATION, vec![]),
    ];
    let sees = |(i, (rt, patients)): (usize, &(ResourceType, Vec<_>))| {
        u32::from(permit.visibility().admits(*rt, patients)) << (i + 1)
    };
    1 | probes.iter().enumerate().map(sees).sum::<u32>()
}

fn is_mixed(words: &[Word]) -> bool {
    let any = |context: &str| words.iter().any(|word| word.context == context);
    any("patient") && any("system")
}

fn any_caller() -> impl Strategy<Value = Caller> {
    proptest::sample::select(callers())
}

fn any_words() -> impl Strategy<Value = Vec<Word>> {
    proptest::collection::vec(proptest::sample::select(WORDS.to_vec()), 0..6)
}

proptest! {
    /// The one exception is the mixture of `patient/` and `system/`, which is refused as a whole.
    #[test]
    fn adding_a_scope_never_removes_access(
        caller in any_caller(),
        words in any_words(),
        added in proptest::sample::select(WORDS.to_vec()),
    ) {
        let mut more = words.clone();
        more.push(added);
        prop_assume!(!is_mixed(&more));
        let (few, more) = (principal(caller, &words), principal(caller, &more));
        for request in requests() {
            let (before, after) = (access(&few, &request), access(&more, &request));
            prop_assert_eq!(before & after, before, "{:?}", request);
        }
    }

    #[test]
    fn the_order_of_scopes_changes_nothing(caller in any_caller(), words in any_words()) {
        let mut reversed = words.clone();
        reversed.reverse();
        let (one, other) = (principal(caller, &words), principal(caller, &reversed));
        for request in requests() {
            prop_assert_eq!(access(&one, &request), access(&other, &request), "{:?}", request);
        }
    }

    #[test]
    fn no_permit_of_a_patient_sees_everything(words in any_words(), context in any::<bool>()) {
        let caller = Caller { role: Role::Patient, patient: context, fhir_user: Some("Patient/own") };
        let patient = principal(caller, &words);
        for request in requests() {
            if let Ok(permit) = decide(&patient, &request) {
                let own = Visibility::Compartments(vec![id("own")]);
                prop_assert!(
                    *permit.visibility() == own
                        || request == AccessRequest::Capability && !context
                );
            }
        }
    }

    /// An include or a chain never sees more of a type than a search for the type would.
    #[test]
    fn no_type_of_a_permit_reaches_further_than_its_own_search(
        caller in any_caller(),
        words in any_words(),
    ) {
        let principal = principal(caller, &words);
        // What `$explain` tells holds nothing of any resource: it may look at all.
        for request in requests().into_iter().filter(|one| *one != AccessRequest::Explain) {
            let Ok(permit) = decide(&principal, &request) else { continue };
            let own_type = type_of(&request);
            for rt in permit.types().iter().filter(|rt| Some(*rt) != own_type) {
                let own = decide(&principal, &AccessRequest::Search(rt));
                let own = own.expect("a type of a permit may be searched");
                prop_assert!(
                    *permit.visibility() != Visibility::Everything
                        || *own.visibility() == Visibility::Everything
                );
            }
        }
    }
}

/// The type of the resource that a request names.
fn type_of(request: &AccessRequest) -> Option<ResourceType> {
    match request {
        AccessRequest::Read(key)
        | AccessRequest::HistoryInstance(key)
        | AccessRequest::Update(key)
        | AccessRequest::Patch(key)
        | AccessRequest::Delete(key)
        | AccessRequest::Operation { target: OperationTarget::Instance(key), .. } => {
            Some(key.resource_type)
        }
        AccessRequest::Vread(version) | AccessRequest::Receipt(version) => {
            Some(version.key.resource_type)
        }
        AccessRequest::MessageTasks => Some(ResourceType::TASK),
        _ => None,
    }
}

#[test]
fn a_permit_for_a_resource_names_its_type_and_no_compartment_names_groups() {
    for caller in callers() {
        for word in WORDS {
            let principal = principal(caller, &[word]);
            for request in requests() {
                let Ok(permit) = decide(&principal, &request) else { continue };
                if let Some(own_type) = type_of(&request) {
                    assert!(permit.types().contains(own_type), "{caller:?} {word:?} {request:?}");
                }
                if *permit.visibility() != Visibility::Everything {
                    let types = permit.types().union(permit.included_types());
                    assert!(!types.contains(ResourceType::GROUP), "{request:?}");
                }
            }
        }
    }
}

#[test]
fn roles_that_exclude_each_other_grant_nothing() {
    for alone in [Role::Patient, Role::System, Role::Auditor] {
        for other in Role::ALL.into_iter().filter(|other| *other != alone) {
            let mixed = Principal::builder("somebody")
                .role(alone)
                .role(other)
                .scopes("user/*.cruds")
                .patient(id("own"))
                .fhir_user(key("Practitioner/dr"))
                .build();

            let decision = decide(&mixed, &AccessRequest::Search(ResourceType::PATIENT));

            assert_eq!(decision, Err(Deny::Forbidden(Reason::ConflictingRoles)));
        }
    }
}

#[test]
fn a_clinician_may_also_operate() {
    let both = Principal::builder("somebody")
        .role(Role::Clinician)
        .role(Role::Operator)
        .scopes("user/*.rs")
        .fhir_user(key("Practitioner/dr"))
        .build();

    assert!(decide(&both, &AccessRequest::Operate).is_ok());
    assert!(decide(&both, &AccessRequest::Search(ResourceType::PATIENT)).is_ok());
}

#[test]
fn the_tasks_of_messages_open_one_type_and_nothing_beside_it() {
    let operator =
        Principal::builder("somebody").role(Role::Operator).scopes("user/*.cruds").build();

    let permit = decide(&operator, &AccessRequest::MessageTasks).unwrap();

    assert_eq!(*permit.types(), TypeSet::one(ResourceType::TASK));
    assert!(permit.included_types().is_empty() && !permit.update_as_create());
    assert!(decide(&operator, &AccessRequest::Search(ResourceType::TASK)).is_err());
    assert!(decide(&operator, &AccessRequest::Read(key("Binary/b"))).is_err());
}

#[test]
fn a_caller_without_role_or_scope_gets_the_capabilities_only() {
    let nobody = Principal::builder("somebody").build();
    let scoped = Principal::builder("somebody").scopes("system/*.cruds").build();

    for request in requests() {
        for caller in [&nobody, &scoped] {
            let expected = request == AccessRequest::Capability;
            assert_eq!(decide(caller, &request).is_ok(), expected, "{request:?}");
        }
    }
}

#[test]
fn an_update_creates_only_where_both_rights_are_granted() {
    let update = AccessRequest::Update(key("Observation/o"));
    let caller = Caller { role: Role::System, patient: false, fhir_user: None };
    let creates = |text: &'static str| {
        let word = Word { text, context: "system", type_name: "*", letters: "" };
        decide(&principal(caller, &[word]), &update).is_ok_and(|permit| permit.update_as_create())
    };

    assert!(creates("system/*.cruds"));
    assert!(creates("system/*.cu"));
    assert!(!creates("system/*.u"));
}

#[test]
fn a_refusal_says_which_claim_is_at_fault() {
    let reason = |role, scopes: &str| {
        let caller = Principal::builder("somebody").role(role).scopes(scopes).build();
        match decide(&caller, &AccessRequest::Search(ResourceType::OBSERVATION)) {
            Err(Deny::Forbidden(reason)) => reason.to_string(),
            other => panic!("{other:?}"),
        }
    };

    assert_eq!(
        reason(Role::Clinician, "user/*.rs"),
        "the token names no user that fits its role (claim fhirUser)"
    );
    assert_eq!(
        reason(Role::Clinician, "patient/*.rs"),
        "the token names no patient (claim patient)"
    );
    assert_eq!(reason(Role::Patient, "patient/*.rs"), "the token names no patient (claim patient)");
    assert_eq!(
        reason(Role::System, "system/Observation.rs?code=x"),
        "a search expression in a scope is not supported"
    );
    assert_eq!(
        reason(Role::System, "system/Patient.rs"),
        "no scope of the token grants search (s) on Observation"
    );
    assert_eq!(
        reason(Role::System, "patient/*.rs system/*.rs"),
        "the token mixes patient and system scopes"
    );
    assert_eq!(reason(Role::Auditor, "user/*.rs"), "the role of the caller does not allow this");
}

/// Erasing needs its own word and delete on everything; neither alone is enough, whatever the role.
#[test]
fn only_who_may_delete_everything_and_holds_the_scope_may_erase_a_patient() {
    let request = |text: &str| AccessRequest::Operation {
        operation: Operation::Purge,
        target: OperationTarget::Instance(key(text)),
    };
    let may = |role: Role, scopes: &str, text: &str| {
        let principal = Principal::builder("p")
            .role(role)
            .scopes(scopes)
            .fhir_user(key("Practitioner/d"))
            .patient(id("a"))
            .build();
        policy::decide(&principal, &request(text)).is_ok()
    };

    assert!(may(Role::System, "system/*.rd sealway/purge", "Patient/a"));
    assert!(may(Role::Clinician, "user/*.cruds sealway/purge", "Patient/a"));
    assert!(!may(Role::System, "system/*.cruds", "Patient/a"), "the scope is missing");
    assert!(!may(Role::System, "system/*.* system/Patient.cruds", "Patient/a"), "* is not it");
    assert!(!may(Role::System, "sealway/purge", "Patient/a"), "delete is missing");
    assert!(!may(Role::System, "system/Patient.cruds sealway/purge", "Patient/a"), "one type");
    assert!(!may(Role::Clinician, "patient/*.cruds sealway/purge", "Patient/a"), "one patient");
    assert!(!may(Role::Patient, "patient/*.cruds sealway/purge", "Patient/a"));
    assert!(!may(Role::Auditor, "system/*.cruds sealway/purge", "Patient/a"));
    assert!(!may(Role::Operator, "system/*.cruds sealway/purge", "Patient/a"));
    assert!(!may(Role::System, "system/*.cruds sealway/purge", "Observation/a"), "no compartment");
}
