//! `GET metadata`: what the executor really does (FHIR R4 capabilitystatement.html).
//!
//! Search parameters come from `registry::search::supported`, the tables the parser itself reads, so nothing is
//! listed that would be refused. Readable without login, as clients ask for it first.
//! Not here: routes (`super`).

use std::sync::LazyLock;

use bytes::Bytes;
use fhir::{Held, Instant, ParamKind, ResourceType, SearchParams, is_in_own_compartment};
use moka::sync::Cache;
use registry::search::{SupportedParam, filter_operators, refers_to, supported};
use serde_json::{Value, json};

use super::call::Call;
use super::parameters::others;
use super::part;
use super::reply::{self, Reply};
use super::terminology::capabilities;
use super::{operation, patch};
use crate::clock;
use crate::error::{Answered, Fault, FaultKind, brief};
use crate::subscription::SENDS_NOTHING;
use crate::telemetry::metrics::Interaction;

/// Answers the CapabilityStatement.
///
/// # Errors
/// 400 for another `mode` or parameter, 406.
pub async fn capability(call: Call) -> Reply {
    let call = call.as_interaction(Interaction::Capabilities)?;
    let body = stated(&call, call.http.query_string()).await?;
    Ok(reply::json(&call, 200, part::cut(call.part.as_ref(), body, true)))
}

/// The statement that a query asks for.
///
/// # Errors
/// 400 for another `mode` or parameter.
pub(super) async fn stated(call: &Call, query: &str) -> Answered<Bytes> {
    static MADE: LazyLock<Cache<(String, Mode, u64), Bytes>> =
        LazyLock::new(|| Cache::new(BASES_MAX));
    let (base, mode) = (call.base(), Mode::of(query, call.is_lenient())?);
    // One process has one configuration, so base, mode and parameters tell statements apart.
    let deletes_several = call.app.config.search.delete_matches_max > 1;
    let params = call.app.search_params.current();
    let set = &params.set;
    // Statements with custom parameters are made anew: they change while they are indexed.
    if mode == Mode::Full && !set.is_standard() {
        let params = call.app.search_params.refresh(&call.app).await?;
        let made = statement(&base, deletes_several, clock::now(), &params.set);
        return Ok(made.to_string().into());
    }
    Ok(MADE.get_with((base.clone(), mode, params.change), || match mode {
        Mode::Full => statement(&base, deletes_several, clock::now(), set).to_string().into(),
        Mode::Terminology => capabilities::statement(&base, clock::now()).to_string().into(),
    }))
}

/// Which statement (`mode`, FHIR R4 http.html#capabilities). The normative part is not told apart.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
enum Mode {
    Full,
    Terminology,
}

impl Mode {
    fn of(query: &str, is_lenient: bool) -> Answered<Self> {
        let mut mode = None;
        for (name, value) in others(query)? {
            let given = match (&*name, &*value) {
                ("mode", "full") => Self::Full,
                ("mode", "terminology") => Self::Terminology,
                ("mode", _) => {
                    return Err(Fault::new(FaultKind::Invalid, "mode is full or terminology"));
                }
                _ if is_lenient => continue,
                _ => {
                    let text = format!(
                        "metadata has no parameter {}; it has mode, _format, _pretty, _summary and _elements",
                        brief(&name)
                    );
                    return Err(Fault::new(FaultKind::Invalid, text).in_parameter(&name));
                }
            };
            if mode.replace(given).is_some_and(|before| before != given) {
                return Err(Fault::new(
                    FaultKind::Invalid,
                    "mode is full or terminology, not both",
                ));
            }
        }
        Ok(mode.unwrap_or(Self::Full))
    }
}

fn statement(base: &str, deletes_several: bool, date: Instant, set: &SearchParams) -> Value {
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date.to_string(),
        "publisher": "Sealway",
        "kind": "instance",
        "software": {"name": "Sealway", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "Sealway FHIR gateway", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "patchFormat": patch::ACCEPTED.split(", ").collect::<Vec<_>>(),
        "rest": [{
            "mode": "server",
            "documentation": DOCUMENTATION,
            "security": {
                "cors": false,
                "service": [{"coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "SMART-on-FHIR",
                }]}],
                "description": "Bearer tokens (JWT) of the configured issuers, with SMART scopes.",
            },
            "resource": ResourceType::stored()
                .map(|of| resource(of, deletes_several, set))
                .collect::<Vec<Value>>(),
            "interaction": [
                {"code": "transaction", "documentation": operation::told_of_transactions()},
                {"code": "batch", "documentation": "Entries may invoke every operation that is told of here."},
                {"code": "history-system"},
                {"code": "search-system"},
            ],
            "searchParam": common()
                .iter()
                .filter(|one| is_answered(one, set))
                .map(param)
                .chain([filter()])
                .collect::<Vec<Value>>(),
            "operation": operation::stated_of_system(),
            "compartment": ResourceType::all()
                .filter(|of| is_in_own_compartment(*of))
                .map(|of| format!("http://hl7.org/fhir/CompartmentDefinition/{}", of.name().to_lowercase()))
                .collect::<Vec<String>>(),
        }],
    })
}

fn resource(resource_type: ResourceType, deletes_several: bool, set: &SearchParams) -> Value {
    if resource_type == ResourceType::AUDIT_EVENT {
        return json!({
            "type": resource_type.name(),
            "documentation": "Rendered from the access journal; nobody writes them.",
            "interaction": [{"code": "search-type"}],
            "searchParam": [
                {"name": "date", "type": "date"},
                {"name": "patient", "type": "reference"},
                {"name": "agent", "type": "token"},
            ],
        });
    }
    let codes = [
        "read",
        "vread",
        "update",
        "patch",
        "delete",
        "history-instance",
        "history-type",
        "create",
        "search-type",
    ];
    let is_kept = policy::is_kept(resource_type);
    let codes = codes.into_iter().filter(|code| !(is_kept && *code == "delete"));
    let interactions: Vec<Value> = codes.map(|code| json!({"code": code})).collect();
    let mut params = searched(resource_type, set);
    params.push(filter());
    let mut statement = json!({
        "type": resource_type.name(),
        "interaction": interactions,
        "versioning": "versioned-update",
        "readHistory": true,
        "updateCreate": true,
        "conditionalCreate": true,
        "conditionalRead": "full-support",
        "conditionalUpdate": true,
        "conditionalDelete": match (is_kept, deletes_several) {
            (true, _) => "not-supported",
            (false, true) => "multiple",
            (false, false) => "single",
        },
        "referencePolicy": ["literal", "local"],
        "searchInclude": includes(resource_type),
        "searchRevInclude": revincludes(resource_type),
        "searchParam": params,
    });
    if resource_type == ResourceType::SUBSCRIPTION {
        statement["documentation"] = SENDS_NOTHING.into();
    }
    let operations = operation::stated(resource_type);
    if !operations.is_empty() {
        statement["operation"] = operations.into();
    }
    statement
}

/// The parameters of searches in a type.
fn searched(resource_type: ResourceType, set: &SearchParams) -> Vec<Value> {
    let params = supported(resource_type);
    let mut params: Vec<Value> =
        params.iter().filter(|one| is_answered(one, set)).map(param).collect();
    // Those whose index is not whole would be refused.
    let custom = set.custom_of(resource_type).filter(|param| set.progress(param).is_none());
    params.extend(custom.map(
        |param| json!({"name": param.code, "definition": param.url(), "type": param.kind.code()}),
    ));
    params
}

fn includes(resource_type: ResourceType) -> Vec<String> {
    let params = supported(resource_type);
    let references = params.iter().filter(|one| one.param.kind == ParamKind::Reference);
    std::iter::once("*".to_owned())
        .chain(references.map(|one| format!("{}:{}", resource_type.name(), one.param.code)))
        .collect()
}

/// Every reference of any type that may lead here, as `_revinclude` takes it.
fn revincludes(to: ResourceType) -> Vec<String> {
    let data = ResourceType::stored().filter(|of| *of != ResourceType::AUDIT_EVENT);
    let named = data.flat_map(|of| {
        let params = supported(of).into_iter().map(|one| one.param);
        let leading = params.filter(move |param| refers_to(param, to));
        leading.map(move |param| format!("{}:{}", of.name(), param.code))
    });
    std::iter::once("*".to_owned()).chain(named).collect()
}

/// Parameters that every type has, for searches in several.
fn common() -> Vec<SupportedParam> {
    let mut common = supported(ResourceType::BASIC);
    common.retain(|one| one.param.base.is_none());
    common
}

/// Whether the installation is set to answer it.
fn is_answered(supported: &SupportedParam, set: &SearchParams) -> bool {
    let param = supported.param;
    param.held != Held::InText || set.full_text().answers(param.code)
}

fn param(supported: &SupportedParam) -> Value {
    let kind = match supported.param.kind {
        ParamKind::Token => "token",
        ParamKind::Reference => "reference",
        ParamKind::Date => "date",
        ParamKind::Number => "number",
        ParamKind::Quantity => "quantity",
        ParamKind::String => "string",
        ParamKind::Uri => "uri",
        ParamKind::Composite => "composite",
        ParamKind::Special => "special",
    };
    let mut value = json!({"name": supported.param.code, "type": kind});
    if !supported.param.url().is_empty() {
        value["definition"] = json!(supported.param.url());
    }
    value
}

/// `_filter`, which every search takes, with the operators of each kind of parameter.
fn filter() -> Value {
    json!({"name": "_filter", "type": "special", "documentation": filter_operators()})
}

/// Base URLs whose statement is kept; clients use few.
const BASES_MAX: u64 = 16;

/// What has no place of its own in the statement: R4 defines no operations on versions.
const DOCUMENTATION: &str = "Beside what is listed: GET [type]/[id]/_history/[version]/$receipt proves that a version is under \
     the ledger, and GET [type]/$explain with the parameters of a search tells an operator how it is answered.";
