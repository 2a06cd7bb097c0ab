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

use actix_web::web::Payload;
use fhir::{ResourceKey, ResourceType};
use futures::FutureExt;
use policy::{AccessRequest, Operation, OperationTarget, Permit, Principal};
use serde_json::Value;
use terminology::{Canonical, Definition, Refusal, Shelf, ValueSet};

use self::inputs::{Inputs, Parameter};
use super::call::{Call, resource_key};
use super::reply::{self, Reply};
use super::{operation, parameters};
use crate::access::{self, Access};
use crate::error::{Answered, Fault, FaultKind};
use crate::telemetry::metrics::Interaction;
use crate::terminology as service;

/// One row: constant of the type, its name and the operation's code, whether it is invoked on an instance, its module.
macro_rules! row {
    ($of:ident, $name:literal, $code:literal, $on_instance:literal, $module:ident) => {
        operation::Operation {
            code: $code,
            definition: concat!("http://hl7.org/fhir/OperationDefinition/", $name, "-", $code),
            of: Some(ResourceType::$of),
            on_instance: $on_instance,
            affects_state: false,
            run: |call, body| $module::answer(call, body).boxed_local(),
            in_transaction: None,
        }
    };
}

/// Their rows in the table of operations.
pub(super) const OPERATIONS: &[operation::Operation] = &[
    row!(CODE_SYSTEM, "CodeSystem", "lookup", false, lookup),
    row!(CODE_SYSTEM, "CodeSystem", "validate-code", false, code_system_validate_code),
    row!(CODE_SYSTEM, "CodeSystem", "validate-code", true, code_system_validate_code),
    row!(CODE_SYSTEM, "CodeSystem", "subsumes", false, subsumes),
    row!(CODE_SYSTEM, "CodeSystem", "subsumes", true, subsumes),
    row!(VALUE_SET, "ValueSet", "expand", false, expand),
    row!(VALUE_SET, "ValueSet", "expand", true, expand),
    row!(VALUE_SET, "ValueSet", "validate-code", false, value_set_validate_code),
    row!(VALUE_SET, "ValueSet", "validate-code", true, value_set_validate_code),
    row!(CONCEPT_MAP, "ConceptMap", "translate", false, translate),
    row!(CONCEPT_MAP, "ConceptMap", "translate", true, translate),
];

/// What a question is about: a definition that came with it, or one that it names.
enum Subject<T> {
    Given(Arc<T>),
    Named(Canonical),
}

/// A definition is shared, whatever it is.
impl<T> Clone for Subject<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Given(given) => Self::Given(Arc::clone(given)),
            Self::Named(named) => Self::Named(named.clone()),
        }
    }
}

impl<T> Subject<T> {
    /// The definition that came, else the one that is named; without both, `missing` says what to give.
    fn of(
        given: Option<Arc<T>>,
        named: impl FnOnce() -> Option<Canonical>,
        missing: &str,
    ) -> Answered<Self> {
        let named = || named().map(Self::Named);
        let missing = || Fault::new(FaultKind::Invalid, missing);
        given.map(Self::Given).or_else(named).ok_or_else(missing)
    }

    fn found(
        &self,
        find: impl FnOnce(&Canonical) -> Result<Arc<T>, Refusal>,
    ) -> Result<Arc<T>, Refusal> {
        match self {
            Self::Given(given) => Ok(Arc::clone(given)),
            Self::Named(named) => find(named),
        }
    }
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
    /// Permits and reads a request.
    async fn of(
        call: Call,
        about: (Definition, &'static str),
        payload: Payload,
        known: &[Parameter],
    ) -> Answered<Self> {
        let call = call.as_interaction(Interaction::Operation)?;
        let (about, name) = about;
        let key = match call.id() {
            "" => None,
            id => Some(resource_key(about.name(), id)?),
        };
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
                return Err(Fault::new(FaultKind::Invalid, text));
            }
            (None, None) => return Ok(None),
        };
        read(&value).map(|made| Some(Arc::new(made))).map_err(|refusal| self.refuse(&refusal))
    }

    /// The value set that is asked about.
    async fn value_set(&self) -> Answered<Subject<ValueSet>> {
        let given = self.definition("valueSet", ValueSet::of).await?;
        let named = || {
            let url = self.inputs.text("url").map(Canonical::parse)?;
            Some(url.or_version(self.inputs.text("valueSetVersion")))
        };
        Subject::of(given, named, "give url or valueSet")
    }

    fn access(&self) -> Access {
        let access = Access::of(&self.principal, Interaction::Operation, &self.call.request_id);
        let asked = format!("${}?{}", self.name, self.call.query());
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
                    let posted = self.call.is_post();
                    let body = posted.then(|| self.inputs.to_resource());
                    remote
                        .ask(&operation, &parameters::criteria(self.call.query()), body.as_ref())
                        .await?
                }
                _ => return Err(self.refuse(&refusal)),
            },
        };
        access::record(app, self.access()).await?;
        Ok(reply::json(&self.call, 200, resource.to_string()))
    }
}
