//! Operations (FHIR R4 operations.html): one file each, one row each in `OPERATIONS`.
//!
//! Routes and the CapabilityStatement are made of the same rows, so nothing is told of that is not answered. An operation
//! that changes nothing is asked by GET, or by POST with `Parameters`; one that changes something by POST only.
//! Not here: `$receipt`, which is of a version (`receipt`).

mod document;
mod everything;
mod input;
mod lastn;
mod members;
mod meta;
mod validate;

use actix_web::Route;
use actix_web::http::Method;
use actix_web::web::{ServiceConfig, to};
use fhir::{ResourceKey, ResourceType};
use serde_json::{Value, json};

use super::call::{Call, resource_key};
use super::place;
use crate::error::Answered;

/// One operation.
struct Operation {
    /// Its code, without the dollar sign.
    code: &'static str,
    /// Canonical URL of its `OperationDefinition`.
    definition: &'static str,
    /// The type that it is of; `None` for every type that holds data.
    of: Option<ResourceType>,
    /// Whether it is invoked on one resource; else on the type.
    on_instance: bool,
    /// Whether it changes something.
    affects_state: bool,
    route: fn() -> Route,
}

/// All of them.
const OPERATIONS: &[Operation] = &[
    Operation {
        code: "everything",
        definition: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        of: Some(ResourceType::PATIENT),
        on_instance: true,
        affects_state: false,
        route: || to(everything::of_patient),
    },
    Operation {
        code: "everything",
        definition: "http://hl7.org/fhir/OperationDefinition/Encounter-everything",
        of: Some(ResourceType::ENCOUNTER),
        on_instance: true,
        affects_state: false,
        route: || to(everything::of_encounter),
    },
    Operation {
        code: "lastn",
        definition: "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
        of: Some(ResourceType::OBSERVATION),
        on_instance: false,
        affects_state: false,
        route: || to(lastn::lastn),
    },
    Operation {
        code: "document",
        definition: "http://hl7.org/fhir/OperationDefinition/Composition-document",
        of: Some(ResourceType::COMPOSITION),
        on_instance: true,
        // `persist=true` stores the document: asked by POST alone, as the handler says.
        affects_state: false,
        route: || to(document::document),
    },
    Operation {
        code: "meta",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta",
        of: None,
        on_instance: true,
        affects_state: false,
        route: || to(meta::meta),
    },
    Operation {
        code: "meta-add",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
        of: None,
        on_instance: true,
        affects_state: true,
        route: || to(meta::add),
    },
    Operation {
        code: "meta-delete",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
        of: None,
        on_instance: true,
        affects_state: true,
        route: || to(meta::delete),
    },
    Operation {
        code: "validate",
        definition: VALIDATE,
        of: None,
        on_instance: false,
        affects_state: false,
        route: || to(validate::validate),
    },
    Operation {
        code: "validate",
        definition: VALIDATE,
        of: None,
        on_instance: true,
        affects_state: false,
        route: || to(validate::validate),
    },
];

const VALIDATE: &str = "http://hl7.org/fhir/OperationDefinition/Resource-validate";

/// Their routes; to be registered before those of resources, whose ids would match the names.
pub fn routes(config: &mut ServiceConfig) {
    for operation in OPERATIONS {
        let of = operation.of.map_or("{type:[A-Z][A-Za-z]*}", |of| of.name());
        let id = if operation.on_instance { "/{id}" } else { "" };
        let path = format!("/{of}{id}/${}", operation.code);
        let post = (Method::POST, (operation.route)());
        if operation.affects_state {
            config.service(place(&path, [post]));
        } else {
            config.service(place(&path, [(Method::GET, (operation.route)()), post]));
        }
    }
}

/// What the CapabilityStatement says of the operations on a type.
pub fn stated(of: ResourceType) -> Vec<Value> {
    let own = OPERATIONS.iter().filter(|operation| operation.of.is_none_or(|one| one == of));
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

/// The resource in the path of an operation that is of this type, or of any.
fn instance(call: &Call, of: Option<ResourceType>) -> Answered<ResourceKey> {
    let part = |name| call.http.match_info().get(name).unwrap_or_default();
    resource_key(of.map_or_else(|| part("type"), |of| of.name()), part("id"))
}
