//! Scopes written out by hand, so that the tests do not lean on the parser they test.

use fhir::{ResourceId, ResourceKey, ResourceType, VersionId, VersionKey};
use policy::{AccessRequest, Operation, OperationTarget, Principal, Role, TypeSet};

/// One scope with its meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Word {
    pub(crate) text: &'static str,
    pub(crate) context: &'static str,
    pub(crate) type_name: &'static str,
    pub(crate) letters: &'static str,
}

const fn word(
    text: &'static str,
    context: &'static str,
    type_name: &'static str,
    letters: &'static str,
) -> Word {
    Word { text, context, type_name, letters }
}

/// Scopes that the tables combine; those without letters grant nothing.
pub(crate) const WORDS: [Word; 34] = [
    word("patient/*.rs", "patient", "*", "rs"),
    word("patient/*.cruds", "patient", "*", "cruds"),
    word("patient/*.*", "patient", "*", "cruds"),
    word("patient/*.read", "patient", "*", "rs"),
    word("patient/Patient.r", "patient", "Patient", "r"),
    word("patient/Patient.s", "patient", "Patient", "s"),
    word("patient/Observation.rs", "patient", "Observation", "rs"),
    word("patient/Observation.cud", "patient", "Observation", "cud"),
    word("patient/AuditEvent.rs", "patient", "AuditEvent", "rs"),
    word("patient/Observation.rs?code=x", "patient", "Observation", ""),
    word("patient/Observation.sr", "patient", "Observation", ""),
    word("patient/Nothing.rs", "patient", "Nothing", ""),
    word("user/*.rs", "user", "*", "rs"),
    word("user/*.cruds", "user", "*", "cruds"),
    word("user/*.write", "user", "*", "cud"),
    word("user/Patient.rs", "user", "Patient", "rs"),
    word("user/Patient.u", "user", "Patient", "u"),
    word("user/Observation.crs", "user", "Observation", "crs"),
    word("user/Observation.d", "user", "Observation", "d"),
    word("user/Organization.r", "user", "Organization", "r"),
    word("user/AuditEvent.rs", "user", "AuditEvent", "rs"),
    word("user/Patient.rs?name=x", "user", "Patient", ""),
    word("system/*.rs", "system", "*", "rs"),
    word("system/*.cruds", "system", "*", "cruds"),
    word("system/*.cu", "system", "*", "cu"),
    word("system/Patient.cru", "system", "Patient", "cru"),
    word("system/Observation.s", "system", "Observation", "s"),
    word("system/Provenance.cd", "system", "Provenance", "cd"),
    word("system/AuditEvent.rs", "system", "AuditEvent", "rs"),
    word("system/AuditEvent.cruds", "system", "AuditEvent", "cruds"),
    word("patient/Group.cruds", "patient", "Group", "cruds"),
    word("user/Group.rs", "user", "Group", "rs"),
    word("openid", "", "", ""),
    word("launch/patient", "", "", ""),
];

/// Who asks, beside the scopes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) role: Role,
    pub(crate) patient: bool,
    pub(crate) fhir_user: Option<&'static str>,
}

/// All combinations of role, patient in context and `fhirUser`.
pub(crate) fn callers() -> Vec<Caller> {
    let users = [None, Some("Practitioner/dr"), Some("RelatedPerson/kin")];
    let mut callers = Vec::new();
    for role in Role::ALL {
        for patient in [false, true] {
            callers.extend(users.map(|fhir_user| Caller { role, patient, fhir_user }));
        }
    }
    callers
}

/// The principal of a caller with these scopes.
pub(crate) fn principal(caller: Caller, words: &[Word]) -> Principal {
    let text: Vec<_> = words.iter().map(|word| word.text).collect();
    let mut builder = Principal::builder("somebody").role(caller.role).scopes(&text.join(" "));
    if caller.patient {
        builder = builder.patient(id("own"));
    }
    if let Some(user) = caller.fhir_user {
        builder = builder.fhir_user(key(user));
    }
    builder.build()
}

/// Requests of every kind, on types that differ in treatment.
pub(crate) fn requests() -> Vec<AccessRequest> {
    let mut requests = vec![
        AccessRequest::Capability,
        AccessRequest::HistorySystem,
        AccessRequest::SearchSystem,
        AccessRequest::Bundle,
        AccessRequest::Message,
        AccessRequest::AuditRead,
        AccessRequest::Ledger,
        AccessRequest::Operate,
        AccessRequest::Observe,
        AccessRequest::MessageTasks,
        AccessRequest::Explain,
    ];
    let types = |names: &[&str]| -> TypeSet {
        names.iter().filter_map(|name| ResourceType::parse(name)).collect()
    };
    requests.extend(
        [
            types(&[]),
            types(&["Observation"]),
            types(&["Patient", "Observation"]),
            types(&["Observation", "Group"]),
            types(&["Patient", "AuditEvent"]),
        ]
        .map(AccessRequest::SearchTypes),
    );
    let keys = [
        "Patient/own",
        "Patient/other",
        "Observation/o",
        "Organization/g",
        "Provenance/p",
        "Group/g",
        "AuditEvent/a",
        "Parameters/p",
    ];
    for text in keys {
        let key = key(text);
        let version = VersionKey { key: key.clone(), version: VersionId::new(1).expect("one") };
        requests.extend([
            AccessRequest::Read(key.clone()),
            AccessRequest::Vread(version.clone()),
            AccessRequest::HistoryInstance(key.clone()),
            AccessRequest::HistoryType(key.resource_type),
            AccessRequest::Search(key.resource_type),
            AccessRequest::Match(key.resource_type),
            AccessRequest::Create(key.resource_type),
            AccessRequest::Update(key.clone()),
            AccessRequest::Patch(key.clone()),
            AccessRequest::Delete(key.clone()),
            AccessRequest::Receipt(version),
        ]);
        requests.extend(operations(&key));
    }
    requests
}

fn operations(key: &ResourceKey) -> Vec<AccessRequest> {
    let names = [
        Operation::Everything,
        Operation::Purge,
        Operation::Validate,
        Operation::Match,
        Operation::Merge,
        Operation::Export,
    ];
    let targets = [
        OperationTarget::System,
        OperationTarget::Type(key.resource_type),
        OperationTarget::Instance(key.clone()),
    ];
    let on =
        |operation| targets.clone().map(|target| AccessRequest::Operation { operation, target });
    names.into_iter().flat_map(on).collect()
}

/// A key known to be valid.
pub(crate) fn key(text: &str) -> ResourceKey {
    let (type_name, id_text) = text.split_once('/').expect("Type/id");
    ResourceKey { resource_type: ResourceType::parse(type_name).expect("a type"), id: id(id_text) }
}

/// An id known to be valid.
pub(crate) fn id(text: &str) -> ResourceId {
    ResourceId::parse(text).expect("an id")
}
