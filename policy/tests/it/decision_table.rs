//! role × scope × request against a naive table that knows no sets and no levels.

use std::collections::{BTreeSet, HashMap, HashSet};

use policy::{
    AccessRequest, Deny, Operation, OperationTarget, Reason, Role, Visibility, decide, roles_for,
};

use crate::word::{Caller, WORDS, Word, callers, id, principal, requests};

/// What the table expects.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Expected {
    Forbidden,
    NotOffered,
    NotFound,
    /// Permitted, sees no patient.
    Nothing,
    /// Permitted within the compartment of the patient in context.
    Own,
    /// Permitted on everything.
    All,
}

use Expected::{All, Forbidden, NotFound, NotOffered, Nothing, Own};

#[test]
fn every_decision_is_the_one_of_the_table() {
    let mut sets: Vec<Vec<Word>> = vec![Vec::new()];
    for (i, first) in WORDS.iter().enumerate() {
        sets.push(vec![*first]);
        sets.extend(WORDS[i + 1..].iter().map(|second| vec![*first, *second]));
    }
    let requests = requests();
    let mut told_to: HashSet<&AccessRequest> = HashSet::new();
    let mut decisions = 0;
    let mut grantable: HashMap<&AccessRequest, BTreeSet<&str>> =
        requests.iter().map(|request| (request, BTreeSet::new())).collect();
    for caller in callers() {
        for words in &sets {
            let principal = principal(caller, words);
            for request in &requests {
                let expected = table(caller, words, request);
                let decision = decide(&principal, request);
                if decision == Err(Deny::Forbidden(Reason::Role)) {
                    told_to.insert(request);
                }
                let found = outcome(caller, &decision);
                assert_eq!(found, expected, "{caller:?} {words:?} {request:?}");
                if let Some(roles) = grantable.get_mut(request)
                    && matches!(found, All | Own | Nothing)
                {
                    roles.insert(caller.role.name());
                }
                decisions += 1;
            }
        }
    }
    assert!(decisions > 1_000_000);
    // What a refusal says would do is what some token of that role can do; it says so where the role is wrong.
    let mut nobody = BTreeSet::new();
    for (request, roles) in grantable {
        let told: BTreeSet<&str> = roles_for(request).into_iter().map(Role::name).collect();
        let shown = format!("{request:?}");
        let is_others = shown.contains("\"other\"");
        if is_others {
            assert!(told.is_superset(&roles), "{shown}");
        } else if !roles.is_empty() {
            assert_eq!(told, roles, "{shown}");
        } else if !told.is_empty() && told_to.contains(request) && !is_told_all_the_same(request) {
            nobody.insert(format!("{shown} {told:?}"));
        }
    }
    assert!(nobody.is_empty(), "{nobody:#?}");
}

/// What no caller here is granted although roles are told: `$purge` takes a scope that is not among the words, a search in
/// no type is never asked, and a patient hears of the role before the others hear that there is no such operation there.
fn is_told_all_the_same(request: &AccessRequest) -> bool {
    let AccessRequest::Operation { operation, target } = request else {
        return matches!(request, AccessRequest::SearchTypes(types) if types.is_empty());
    };
    let is_patient = matches!(target, OperationTarget::Type(of) if of.name() == "Patient");
    match operation {
        Operation::Purge => true,
        Operation::Match | Operation::Merge => !is_patient,
        Operation::Export => matches!(target, OperationTarget::Instance(_)),
        _ => false,
    }
}

fn outcome(caller: Caller, decision: &Result<policy::Permit, Deny>) -> Expected {
    match decision {
        Err(Deny::Forbidden(_)) => Forbidden,
        Err(Deny::NotFound) => NotFound,
        Err(Deny::NotOffered) => NotOffered,
        Err(Deny::Unavailable) => unreachable!("nothing is undecidable yet"),
        Ok(permit) => match permit.visibility() {
            Visibility::Everything => All,
            Visibility::Compartments(patients)
                if permit.types().is_empty()
                    && permit.included_types().is_empty()
                    && !caller.patient =>
            {
                assert!(patients.is_empty());
                Nothing
            }
            Visibility::Compartments(patients) => {
                assert!(patients.is_empty() || *patients == [id("own")]);
                if patients.is_empty() || permit.included_types().is_empty() {
                    Nothing
                } else {
                    Own
                }
            }
        },
    }
}

fn table(caller: Caller, words: &[Word], request: &AccessRequest) -> Expected {
    if *request == AccessRequest::Capability {
        return Nothing;
    }
    let any = |context: &str| words.iter().any(|word| word.context == context);
    if any("patient") && any("system") || caller.role == Role::Patient && !caller.patient {
        return Forbidden;
    }
    let on = |right: char, type_name: &str| level(caller, words, right, type_name);
    let is_patient = caller.role == Role::Patient;
    match request {
        AccessRequest::Capability | AccessRequest::Ledger => Nothing,
        AccessRequest::Operate
        | AccessRequest::Observe
        | AccessRequest::MessageTasks
        | AccessRequest::Explain => operating(caller, request),
        AccessRequest::Read(key) | AccessRequest::HistoryInstance(key) => {
            instance(on('r', key.resource_type.name()), key)
        }
        AccessRequest::Vread(version) => {
            instance(on('r', version.key.resource_type.name()), &version.key)
        }
        AccessRequest::Receipt(_) if caller.role == Role::Auditor => on('r', "AuditEvent"),
        AccessRequest::Receipt(version) => {
            instance(on('r', version.key.resource_type.name()), &version.key)
        }
        AccessRequest::Search(rt) | AccessRequest::HistoryType(rt) | AccessRequest::Match(rt) => {
            of_type(on('s', rt.name()), rt.name())
        }
        AccessRequest::SearchTypes(types) => {
            let levels: Vec<_> = types.iter().map(|rt| (rt.name(), on('s', rt.name()))).collect();
            together(levels.into_iter())
        }
        AccessRequest::AuditRead => on('s', "AuditEvent"),
        AccessRequest::SearchSystem | AccessRequest::HistorySystem => on('s', "*"),
        AccessRequest::Create(rt) if UNWRITTEN.contains(&rt.name()) => NotOffered,
        AccessRequest::Create(rt) => visible(of_type(on('c', rt.name()), rt.name()), caller, words),
        AccessRequest::Update(key) if UNWRITTEN.contains(&key.resource_type.name()) => NotOffered,
        AccessRequest::Update(_) if is_patient => Forbidden,
        AccessRequest::Patch(key) if UNWRITTEN.contains(&key.resource_type.name()) => NotOffered,
        AccessRequest::Update(key) | AccessRequest::Patch(key) => {
            visible(instance(on('u', key.resource_type.name()), key), caller, words)
        }
        AccessRequest::Delete(key)
            if UNWRITTEN.contains(&key.resource_type.name())
                || key.resource_type.name() == "Provenance" =>
        {
            NotOffered
        }
        AccessRequest::Delete(key) => {
            visible(instance(on('d', key.resource_type.name()), key), caller, words)
        }
        AccessRequest::Bundle => bundle(caller, words),
        AccessRequest::Message if caller.role == Role::System => on('c', "*").min(on('u', "*")),
        AccessRequest::Message => Forbidden,
        AccessRequest::Operation { operation, target } => {
            operation_table(caller, words, *operation, target)
        }
    }
}

fn operating(caller: Caller, request: &AccessRequest) -> Expected {
    match request {
        AccessRequest::Observe if caller.role == Role::Auditor => Nothing,
        _ if caller.role != Role::Operator => Forbidden,
        AccessRequest::MessageTasks | AccessRequest::Explain => All,
        _ => Nothing,
    }
}

/// The least of the levels holds for all, so a group is only seen where all are.
fn together<'a>(types: impl Iterator<Item = (&'a str, Expected)> + Clone) -> Expected {
    let least = types.clone().map(|(_, level)| level).min().unwrap_or(Forbidden);
    let has_group = types.clone().any(|(name, _)| name == "Group");
    if has_group { of_type(least, "Group") } else { least }
}

/// The widest level at which any one right on the type is granted.
fn level(caller: Caller, words: &[Word], right: char, type_name: &str) -> Expected {
    let granted = |context: &str| {
        words.iter().any(|word| {
            word.context == context
                && word.letters.contains(right)
                && (word.type_name == "*" || word.type_name == type_name)
        })
    };
    let audit = type_name == "AuditEvent";
    let reading = "rs".contains(right);
    let practitioner = caller.fhir_user.is_some_and(|user| user.starts_with("Practitioner/"));
    match caller.role {
        Role::Clinician if audit => Forbidden,
        Role::Clinician if granted("user") && practitioner => All,
        Role::Clinician if granted("patient") && caller.patient => Own,
        Role::Patient if reading && (granted("user") || granted("patient")) => Own,
        Role::System if !audit && granted("system") => All,
        Role::Auditor if audit && reading && granted("system") => All,
        Role::Auditor if audit && reading && granted("user") && caller.fhir_user.is_some() => All,
        _ => Forbidden,
    }
}

fn instance(level: Expected, key: &fhir::ResourceKey) -> Expected {
    let other = key.resource_type.name() == "Patient" && key.id.as_str() == "other";
    let hidden = other || key.resource_type.name() == "Group";
    if level == Own && hidden { NotFound } else { level }
}

/// Within a compartment there are no groups.
fn of_type(level: Expected, type_name: &str) -> Expected {
    if level == Own && type_name == "Group" { Forbidden } else { level }
}

/// A write permit within a compartment looks like one that sees nothing if nothing may be read.
fn visible(level: Expected, caller: Caller, words: &[Word]) -> Expected {
    let reads = |right| {
        words.iter().any(|word| {
            word.type_name != "Group"
                && word.letters.contains(right)
                && level_of_word(caller, words, word, right) >= Own
        })
    };
    if level == Own && !reads('r') && !reads('s') { Nothing } else { level }
}

fn level_of_word(caller: Caller, words: &[Word], word: &Word, right: char) -> Expected {
    level(caller, words, right, if word.type_name == "*" { "Observation" } else { word.type_name })
}

fn bundle(caller: Caller, words: &[Word]) -> Expected {
    if caller.role == Role::Auditor {
        return Forbidden;
    }
    let mut best = Forbidden;
    for word in words {
        for right in word.letters.chars() {
            best = best.max(level_of_word(caller, words, word, right));
        }
    }
    visible(best, caller, words)
}

fn operation_table(
    caller: Caller,
    words: &[Word],
    operation: Operation,
    target: &OperationTarget,
) -> Expected {
    let on = |right: char, type_name: &str| level(caller, words, right, type_name);
    let patient = caller.role == Role::Patient;
    let unlimited = |level: Expected| if level == All { All } else { Forbidden };
    match (operation, target) {
        (Operation::Everything, OperationTarget::Instance(key)) => {
            let name = key.resource_type.name();
            let searches = of_type(on('s', name), name);
            if searches == Forbidden { Forbidden } else { instance(on('r', name), key) }
        }
        (Operation::Everything, OperationTarget::Type(rt)) if rt.name() == "Patient" => {
            let searches = visible(of_type(on('s', "Patient"), "Patient"), caller, words);
            if on('r', "Patient") == Forbidden { Forbidden } else { searches }
        }
        // None of these words is the one that is needed.
        (Operation::Purge, OperationTarget::Instance(key))
            if key.resource_type.name() == "Patient" =>
        {
            Forbidden
        }
        (Operation::Validate, OperationTarget::Instance(key)) => {
            instance(on('r', key.resource_type.name()), key)
        }
        (Operation::Validate, OperationTarget::Type(rt)) => {
            visible(of_type(on('c', rt.name()), rt.name()), caller, words)
        }
        (Operation::Match | Operation::Merge | Operation::Export, _) if patient => Forbidden,
        (Operation::Match, OperationTarget::Type(rt)) if rt.name() == "Patient" => {
            unlimited(on('s', "Patient"))
        }
        (Operation::Merge, OperationTarget::Type(rt)) if rt.name() == "Patient" => {
            unlimited(on('r', "Patient").min(on('u', "Patient")))
        }
        (Operation::Export, OperationTarget::System | OperationTarget::Type(_)) => {
            let both = on('r', "*").min(on('s', "*"));
            if caller.role == Role::System { unlimited(both) } else { Forbidden }
        }
        _ => NotOffered,
    }
}

/// What nobody writes: accesses, and the one type without an end-point.
const UNWRITTEN: [&str; 2] = ["AuditEvent", "Parameters"];
