//! Operations (FHIR R4 operations.html): one file each, one row each in `OPERATIONS`.
//!
//! Routes, the CapabilityStatement and the entries of bundles are made of the same rows, so nothing is told of that is not
//! answered. An operation that changes nothing is asked by GET, or by POST with `Parameters`; one that changes something
//! by POST only. What an operation is asked stands in its [`Call`], which may be the entry of a bundle: it never looks at
//! the HTTP request itself. Not here: operations on codes (`terminology`), `$receipt`, which is of a version (`receipt`).

mod document;
mod everything;
mod everything_all;
mod input;
pub(super) mod invoked;
mod labels;
mod lastn;
mod members;
mod meta;
mod purge;
mod reindex_status;
mod validate;

use actix_web::HttpRequest;
use actix_web::web::{Payload, ServiceConfig, to};
use fhir::{IssueType, ResourceKey, ResourceType};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};

use super::call::{Call, resource_key};
use super::reply::Reply;
use super::{GET, POST, place, terminology};
use crate::error::{Answered, Fault, FaultKind, brief};
use crate::submission::Verb;

/// One operation.
pub(super) struct Operation {
    /// Its code, without the dollar sign.
    pub(super) code: &'static str,
    /// Canonical URL of its `OperationDefinition`.
    pub(super) definition: &'static str,
    /// The type that it is of; `None` for every type that holds data.
    pub(super) of: Option<ResourceType>,
    /// Whether it is invoked on one resource; else on the type.
    pub(super) on_instance: bool,
    /// Whether it changes something.
    pub(super) affects_state: bool,
    /// Answers a call.
    pub(super) run: Run,
    /// As which interaction it takes part in a transaction; `None` where it does not.
    pub(super) in_transaction: Option<Plan>,
}

/// What answers an operation.
pub(super) type Run = fn(Call, Payload) -> LocalBoxFuture<'static, Reply>;
/// What makes an interaction of an operation.
pub(super) type Plan = fn(Call, Payload) -> LocalBoxFuture<'static, Answered<Verb>>;

/// All of them.
const OPERATIONS: &[Operation] = &[
    Operation {
        code: "everything",
        definition: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        of: Some(ResourceType::PATIENT),
        on_instance: true,
        affects_state: false,
        run: |call, body| everything::of_patient(call, body).boxed_local(),
        in_transaction: None,
    },
    Operation {
        code: "everything",
        definition: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        of: Some(ResourceType::PATIENT),
        on_instance: false,
        affects_state: false,
        run: |call, body| everything_all::of_patients(call, body).boxed_local(),
        in_transaction: None,
    },
    Operation {
        code: "everything",
        definition: "http://hl7.org/fhir/OperationDefinition/Encounter-everything",
        of: Some(ResourceType::ENCOUNTER),
        on_instance: true,
        affects_state: false,
        run: |call, body| everything::of_encounter(call, body).boxed_local(),
        in_transaction: None,
    },
    Operation {
        code: "purge",
        definition: "http://hl7.org/fhir/OperationDefinition/Patient-purge",
        of: Some(ResourceType::PATIENT),
        on_instance: true,
        affects_state: true,
        run: |call, body| purge::purge(call, body).boxed_local(),
        in_transaction: None,
    },
    Operation {
        code: "lastn",
        definition: "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
        of: Some(ResourceType::OBSERVATION),
        on_instance: false,
        affects_state: false,
        run: |call, body| lastn::lastn(call, body).boxed_local(),
        in_transaction: None,
    },
    Operation {
        code: "document",
        definition: "http://hl7.org/fhir/OperationDefinition/Composition-document",
        of: Some(ResourceType::COMPOSITION),
        on_instance: true,
        // `persist=true` stores the document: asked by POST alone, as the handler says.
        affects_state: false,
        run: |call, body| document::document(call, body).boxed_local(),
        in_transaction: None,
    },
    Operation {
        code: "document",
        definition: "http://hl7.org/fhir/OperationDefinition/Composition-document",
        of: Some(ResourceType::COMPOSITION),
        on_instance: false,
        affects_state: false,
        run: |call, body| document::document_named(call, body).boxed_local(),
        in_transaction: None,
    },
    Operation {
        code: "meta",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta",
        of: None,
        on_instance: true,
        affects_state: false,
        run: |call, body| meta::meta(call, body).boxed_local(),
        in_transaction: Some(|call, body| meta::as_read(call, body).boxed_local()),
    },
    Operation {
        code: "meta",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta",
        of: None,
        on_instance: false,
        affects_state: false,
        run: |call, body| labels::of_type(call, body).boxed_local(),
        in_transaction: None,
    },
    Operation {
        code: "meta-add",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
        of: None,
        on_instance: true,
        affects_state: true,
        run: |call, body| meta::add(call, body).boxed_local(),
        in_transaction: Some(|call, body| meta::as_addition(call, body).boxed_local()),
    },
    Operation {
        code: "meta-delete",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
        of: None,
        on_instance: true,
        affects_state: true,
        run: |call, body| meta::delete(call, body).boxed_local(),
        in_transaction: Some(|call, body| meta::as_removal(call, body).boxed_local()),
    },
    Operation {
        code: "validate",
        definition: VALIDATE,
        of: None,
        on_instance: false,
        affects_state: false,
        run: |call, body| validate::validate(call, body).boxed_local(),
        in_transaction: None,
    },
    Operation {
        code: "validate",
        definition: VALIDATE,
        of: None,
        on_instance: true,
        affects_state: false,
        run: |call, body| validate::validate(call, body).boxed_local(),
        in_transaction: None,
    },
    Operation {
        code: "reindex-status",
        definition: REINDEX_STATUS,
        of: Some(ResourceType::SEARCH_PARAMETER),
        on_instance: true,
        affects_state: false,
        run: |call, body| reindex_status::reindex_status(call, body).boxed_local(),
        in_transaction: None,
    },
];

/// All operations, those on codes too.
fn all() -> impl Iterator<Item = &'static Operation> {
    terminology::OPERATIONS.iter().chain(OPERATIONS)
}

/// The operation of that code on a type, on a resource of it, or on everything.
fn find(of: Option<ResourceType>, on_instance: bool, code: &str) -> Option<&'static Operation> {
    let Some(of) = of else {
        return (code == OF_SYSTEM.code && !on_instance).then_some(&OF_SYSTEM);
    };
    all().find(|one| {
        one.code == code && one.on_instance == on_instance && one.of.is_none_or(|own| own == of)
    })
}

const VALIDATE: &str = "http://hl7.org/fhir/OperationDefinition/Resource-validate";
/// There is no definition of HL7's for it.
const REINDEX_STATUS: &str = "urn:sealway:operation:reindex-status";

/// `$meta` of everything, which is of no type.
static OF_SYSTEM: Operation = Operation {
    code: "meta",
    definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta",
    of: None,
    on_instance: false,
    affects_state: false,
    run: |call, body| labels::of_system(call, body).boxed_local(),
    in_transaction: None,
};

/// What the CapabilityStatement says of operations on everything.
pub fn stated_of_system() -> Vec<Value> {
    vec![json!({"name": OF_SYSTEM.code, "definition": OF_SYSTEM.definition})]
}

/// Their routes; to be registered before those of resources, whose ids would match the names.
pub fn routes(config: &mut ServiceConfig) {
    let of_system = || to(|call, body| (OF_SYSTEM.run)(call, body));
    config.service(place(
        &format!("/${}", OF_SYSTEM.code),
        [(GET, of_system()), (POST, of_system())],
    ));
    for operation in all() {
        let of = operation.of.map_or("{type:[A-Z][A-Za-z]*}", |of| of.name());
        let id = if operation.on_instance { "/{id}" } else { "" };
        let path = format!("/{of}{id}/${}", operation.code);
        let route = || to(move |call, body| (operation.run)(call, body));
        if operation.affects_state {
            config.service(place(&path, [(POST, route())]));
        } else {
            config.service(place(&path, [(GET, route()), (POST, route())]));
        }
    }
}

/// Any other operation.
///
/// # Errors
/// 404, `not-supported`.
pub async fn not_offered(http: HttpRequest) -> Reply {
    let named = http.match_info().get("operation").unwrap_or_default();
    let text = format!(
        "the operation {} is not offered here; /metadata lists those that are, and where",
        brief(named)
    );
    let mut fault = Fault::new(FaultKind::NotFound, text);
    fault.issues.iter_mut().for_each(|issue| issue.code = IssueType::NotSupported);
    Err(fault)
}

/// What the CapabilityStatement says of the operations on a type.
pub fn stated(of: ResourceType) -> Vec<Value> {
    let own = all().filter(|operation| operation.of.is_none_or(|one| one == of));
    let mut stated: Vec<Value> = Vec::new();
    for one in own {
        // One that works on the type and on an instance is told once.
        let one = json!({"name": one.code, "definition": one.definition});
        if !stated.contains(&one) {
            stated.push(one);
        }
    }
    stated
}

/// What the CapabilityStatement says of operations in transactions.
pub fn told_of_transactions() -> String {
    let mut names: Vec<String> = all()
        .filter(|one| one.in_transaction.is_some())
        .map(|one| format!("${}", one.code))
        .collect();
    names.sort();
    names.dedup();
    format!("Of operations, entries may invoke {}.", names.join(", "))
}

/// The resource that an operation of this type, or of any, is invoked on.
fn instance(call: &Call, of: Option<ResourceType>) -> Answered<ResourceKey> {
    resource_key(of.map_or_else(|| call.type_name(), |of| of.name()), call.id())
}
