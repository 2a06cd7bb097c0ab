//! Terminology operations, one file each (FHIR R4 terminology-service.html).
//!
//! A `Question` has the caller's permit and in parameters; it is asked of `crate::terminology`, and its access record
//! is durable before the answer leaves, as that of every read.
//! Not here: what the answers are (crate `terminology`).

pub mod capabilities;
pub mod code_system_validate_code;
pub mod expand;
mod inputs;
pub mod lookup;
pub mod subsumes;
pub mod translate;
pub mod value_set_validate_code;

use std::sync::Arc;

use actix_web::web::{Path, Payload, ServiceConfig, to};
use fhir::{ResourceKey, ResourceType};
use policy::{AccessRequest, Operation, OperationTarget, Permit, Principal};
use serde_json::{Value, json};
use terminology::{Definition, Refusal, Shelf};

use self::inputs::{Inputs, Parameter};
use super::call::{Call, resource_key};
use super::reply::{self, Reply};
use super::{GET, POST, place};
use crate::access::{self, Access};
use crate::error::{Answered, Fault};
use crate::telemetry::metrics::Interaction;
use crate::terminology as service;

/// The operations of each type: type, code, whether it works on an instance too.
pub(super) const OPERATIONS: [(&str, &str, bool); 6] = [
    ("CodeSystem", "lookup", false),
    ("CodeSystem", "validate-code", true),
    ("CodeSystem", "subsumes", true),
    ("ValueSet", "expand", true),
    ("ValueSet", "validate-code", true),
    ("ConceptMap", "translate", true),
];

/// Their routes. They come before those of ids, which take any name.
pub(super) fn routes(config: &mut ServiceConfig) {
    macro_rules! operation {
        ($path:literal, $handler:expr) => {
            config.service(place($path, [(GET, to($handler)), (POST, to($handler))]))
        };
    }
    operation!("/CodeSystem/$lookup", lookup::of_type);
    operation!("/CodeSystem/$validate-code", code_system_validate_code::of_type);
    operation!("/CodeSystem/{id}/$validate-code", code_system_validate_code::of_instance);
    operation!("/CodeSystem/$subsumes", subsumes::of_type);
    operation!("/CodeSystem/{id}/$subsumes", subsumes::of_instance);
    operation!("/ValueSet/$expand", expand::of_type);
    operation!("/ValueSet/{id}/$expand", expand::of_instance);
    operation!("/ValueSet/$validate-code", value_set_validate_code::of_type);
    operation!("/ValueSet/{id}/$validate-code", value_set_validate_code::of_instance);
    operation!("/ConceptMap/$translate", translate::of_type);
    operation!("/ConceptMap/{id}/$translate", translate::of_instance);
}

/// `rest.resource.operation` of a type in the CapabilityStatement.
pub(super) fn advertised(resource_type: ResourceType) -> Vec<Value> {
    let own = OPERATIONS.iter().filter(|(name, ..)| *name == resource_type.name());
    own.map(|(name, code, _)| {
        json!({
            "name": code,
            "definition": format!("http://hl7.org/fhir/OperationDefinition/{name}-{code}"),
        })
    })
    .collect()
}

/// One operation on its way to its answer.
struct Question {
    call: Call,
    principal: Arc<Principal>,
    permit: Permit,
    inputs: Inputs,
    about: Definition,
    key: Option<ResourceKey>,
    name: &'static str,
}

impl Question {
    /// Permits and reads a request. `id` is that of the instance, if it is on one.
    async fn of(
        call: Call,
        about: (Definition, &'static str),
        id: Option<Path<String>>,
        payload: Payload,
        known: &[Parameter],
    ) -> Answered<Self> {
        let call = call.as_interaction(Interaction::Operation)?;
        let (about, name) = about;
        let key = id.map(|id| resource_key(about.name(), &id)).transpose()?;
        let target = match &key {
            Some(key) => OperationTarget::Instance(key.clone()),
            None => OperationTarget::Type(super::call::resource_type(about.name())?),
        };
        let request = AccessRequest::Operation { operation: Operation::Terminology, target };
        let (principal, permit) = call.permit(&request).await?;
        let inputs = Inputs::read(&call, payload, known).await?;
        Ok(Self { call, principal, permit, inputs, about, key, name })
    }

    fn refuse(&self, refusal: &Refusal) -> Fault {
        service::fault(refusal, self.about)
    }

    /// The definition that came with the request or is the instance it is on.
    async fn definition<T>(
        &self,
        parameter: &str,
        read: impl Fn(&Value) -> Result<T, Refusal>,
    ) -> Answered<Option<Arc<T>>> {
        let value = match (&self.key, self.inputs.resource(parameter)) {
            (Some(key), None) => {
                let loaded = service::instance(&self.call.app, &self.permit, key).await;
                match loaded {
                    Ok(loaded) => loaded.value().map_err(|refusal| self.refuse(&refusal))?,
                    Err(fault) => {
                        let status = fault.status();
                        access::record(&self.call.app, self.access().refused(status)).await?;
                        return Err(fault);
                    }
                }
            }
            (_, Some(given)) if given["resourceType"] == self.about.name() => given.clone(),
            (_, Some(_)) => {
                let text = format!("{parameter} takes a {}", self.about.name());
                return Err(Fault::new(crate::error::FaultKind::Invalid, text));
            }
            (None, None) => return Ok(None),
        };
        read(&value).map(|made| Some(Arc::new(made))).map_err(|refusal| self.refuse(&refusal))
    }

    fn access(&self) -> Access {
        let access = Access::of(&self.principal, Interaction::Operation, &self.call.request_id);
        let asked = format!("${}?{}", self.name, self.call.http.query_string());
        let access = access.query(asked.trim_end_matches('?'));
        match &self.key {
            Some(key) => access.on(key.clone()),
            None => match ResourceType::parse(self.about.name()) {
                Some(resource_type) => access.of_type(resource_type),
                None => access,
            },
        }
    }

    /// Asks, records the access and answers. What is not known here is asked of the external server, if there is one.
    async fn answer(
        self,
        question: impl Fn(&Shelf) -> Result<Value, Refusal> + Clone + Send + 'static,
    ) -> Reply {
        let app = &self.call.app;
        let resource = match service::ask(app, &self.permit, question).await? {
            Ok(resource) => resource,
            Err(refusal) => match (&app.terminology.remote, &refusal, &self.key) {
                (Some(remote), Refusal::Unknown { .. }, None) => {
                    let operation = format!("{}/${}", self.about.name(), self.name);
                    let posted = self.call.http.method() == actix_web::http::Method::POST;
                    let body = posted.then(|| self.inputs.to_resource());
                    remote.ask(&operation, self.call.http.query_string(), body.as_ref()).await?
                }
                _ => return Err(self.refuse(&refusal)),
            },
        };
        access::record(app, self.access()).await?;
        Ok(reply::json(&self.call, 200, resource.to_string()))
    }
}
