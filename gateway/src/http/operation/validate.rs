//! `[type]/$validate` and `[type]/[id]/$validate` (FHIR R4 resource-operation-validate.html).
//!
//! The resource is the body, or `resource` of a `Parameters`, or the one that is stored. The answer is 200 with an
//! OperationOutcome, whatever it says; places are FHIRPath with line and column of the resource that was sent.
//! Not here: the rules (crate `profile`), enforcement on writes (`crate::validation`).

use std::sync::Arc;

use actix_web::web::Payload;
use bytes::Bytes;
use fhir::{
    Issue, IssueType, Kind, Node, NotStored, ReadLimits, ResourceKey, ResourceType, Severity, Tree,
    check_placed,
};
use policy::{AccessRequest, Operation, OperationTarget, Permit};
use profile::{Checks, Finding};
use serde_json::{Value, json};

use crate::access::{self, Access};
use crate::error::{Answered, Fault, FaultKind};
use crate::http::call::{Call, refusal, resource_key, resource_type};
use crate::http::parameters;
use crate::http::reply::{self, Reply};
use crate::limits::PREPARE_INLINE_BYTES_MAX;
use crate::telemetry::metrics::Interaction;
use crate::{terminology as definitions, validation, work};

/// Validates a resource as one of a type.
///
/// # Errors
/// 400, 401, 403, 408, 413, 415, 429, 503; on an instance 404 and 410 too.
pub(super) async fn validate(call: Call, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    // What is not stored has a form, too.
    let of = match ResourceType::parse_stored(call.type_name()) {
        Err(NotStored::NoEndpoint(of)) => of,
        _ => resource_type(call.type_name())?,
    };
    let key = match call.id() {
        "" => None,
        id => Some(resource_key(of.name(), id)?),
    };
    let target = key.clone().map_or(OperationTarget::Type(of), OperationTarget::Instance);
    let request = AccessRequest::Operation { operation: Operation::Validate, target };
    let (principal, permit) = call.permit(&request).await?;
    let mut asked = Asked::of_query(&call)?;
    if call.is_post() {
        let body = call.json_body(payload, call.app.config.server.body_bytes_max).await?;
        asked.take_body(body, of)?;
    }
    let access =
        Access::of(&principal, Interaction::Operation, &call.request_id).query("$validate");
    let access = match &key {
        Some(key) => access.on(key.clone()),
        None => access.of_type(of),
    };
    let answered = match asked.mode {
        Some(Mode::Delete) => deletion(&call, &permit, &principal, key.as_ref()).await,
        _ => resource(&call, &permit, &asked, of, key.as_ref()).await,
    };
    match answered {
        Ok(outcome) => {
            access::record(&call.app, access).await?;
            Ok(reply::json(&call, 200, outcome.to_string()))
        }
        Err(fault) => {
            access::record(&call.app, access.refused(fault.status())).await?;
            Err(fault)
        }
    }
}

/// What the resource is to be validated for (value set `resource-validation-mode`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Create,
    Update,
    Delete,
    Profile,
}

/// What was asked.
#[derive(Default)]
struct Asked {
    mode: Option<Mode>,
    profiles: Vec<String>,
    resource: Option<Tree>,
    /// The document's bytes before the resource was taken out of `Parameters`: lines count within the resource then.
    is_wrapped: bool,
}

impl Asked {
    fn of_query(call: &Call) -> Answered<Self> {
        let mut asked = Self::default();
        for (name, value) in parameters::others(call.query())? {
            asked.take(&name, &value)?;
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: &str) -> Answered<()> {
        match name {
            "profile" if self.profiles.len() >= PROFILES_MAX => {
                return Err(invalid(format!("at most {PROFILES_MAX} profiles may be named")));
            }
            "profile" => self.profiles.push(value.to_owned()),
            "mode" if self.mode.is_some() => return Err(invalid("mode may be given once")),
            "mode" => {
                self.mode = Some(match value {
                    "create" => Mode::Create,
                    "update" => Mode::Update,
                    "delete" => Mode::Delete,
                    "profile" => Mode::Profile,
                    _ => return Err(invalid("mode is create, update, delete or profile")),
                });
            }
            _ => return Err(invalid("$validate has the parameters resource, mode and profile")),
        }
        Ok(())
    }

    /// A resource as it is, or `Parameters` around it.
    fn take_body(&mut self, body: Vec<u8>, of: ResourceType) -> Answered<()> {
        if body.is_empty() {
            return Ok(());
        }
        let tree = Tree::parse(body).map_err(Fault::invalid)?;
        let parameters: Vec<Node<'_>> =
            tree.root().get("parameter").into_iter().flat_map(Node::children).collect();
        let named = |node: &Node<'_>, wanted: &str| {
            node.get("name").and_then(Node::as_str).is_some_and(|name| name == wanted)
        };
        let is_wrapper = fhir::type_of(tree.root()) == Some(ResourceType::PARAMETERS)
            && (of != ResourceType::PARAMETERS
                || parameters.iter().any(|one| named(one, "resource")));
        if !is_wrapper {
            self.resource = Some(tree);
            return Ok(());
        }
        let mut resource = None;
        for one in parameters {
            if named(&one, "resource") {
                let node =
                    one.get("resource").ok_or_else(|| invalid("resource takes a resource"))?;
                resource = Some(Tree::parse(node.raw().to_vec()).map_err(Fault::invalid)?);
                continue;
            }
            let name = one.get("name").and_then(Node::as_str).unwrap_or_default();
            let value = one.children().find(|child| {
                child.key().is_some_and(|key| key.starts_with("value"))
                    && child.kind() == Kind::String
            });
            let value = value
                .and_then(Node::as_str)
                .ok_or_else(|| invalid("mode and profile take text"))?;
            self.take(&name, &value)?;
        }
        self.resource = resource;
        self.is_wrapped = true;
        Ok(())
    }
}

async fn resource(
    call: &Call,
    permit: &Permit,
    asked: &Asked,
    of: ResourceType,
    key: Option<&ResourceKey>,
) -> Answered<Value> {
    if asked.mode == Some(Mode::Profile) && asked.profiles.is_empty() {
        return Err(invalid("mode profile needs a profile"));
    }
    let document = match (&asked.resource, key) {
        (Some(tree), _) => Arc::new(tree.clone()),
        (None, Some(key)) => {
            let stored = definitions::instance(&call.app, permit, key).await?;
            Arc::new(Tree::parse(stored.bytes().to_vec()).map_err(Fault::invalid)?)
        }
        (None, None) => return Err(invalid("send a resource to validate")),
    };
    let root = document.root();
    let own =
        identity(&document, asked, of, key).into_iter().map(|issue| (issue, root.span().start));
    let mut issues: Vec<(Issue, usize)> = own.collect();
    issues.extend(check_placed(root, &ReadLimits::default()));
    let mut findings = Vec::new();
    if fhir::type_of(document.root()).is_some() {
        let checks = Checks { profiles: asked.profiles.clone(), claims: true };
        findings = validation::validate(&call.app, &document, &checks).await?;
    }
    let mut told = all_of(&document, issues, findings);
    if let Some(xml) = call.xml_body().filter(|_| asked.resource.is_some()) {
        place_in_xml(xml, asked.is_wrapped, &mut told).await?;
    }
    Ok(outcome(&told))
}

/// An issue and where it is in what was sent.
type Told = (Issue, Option<(usize, usize)>);

/// What came as XML has the lines of the XML; within `Parameters` it has none.
async fn place_in_xml(xml: Bytes, is_wrapped: bool, told: &mut [Told]) -> Answered<()> {
    if is_wrapped {
        told.iter_mut().for_each(|(_, place)| *place = None);
        return Ok(());
    }
    let locations = told.iter().map(|(issue, _)| issue.expression.clone().unwrap_or_default());
    let locations: Vec<String> = locations.collect();
    let is_long = xml.len() > PREPARE_INLINE_BYTES_MAX;
    let places = work::run(is_long, move || fhir::lines_in_xml(&xml, locations)).await?;
    told.iter_mut().zip(places).for_each(|((_, place), found)| *place = found);
    Ok(())
}

/// Whether the resource is of the type, and has the id, that the URL and the mode demand.
fn identity(
    document: &Tree,
    asked: &Asked,
    of: ResourceType,
    key: Option<&ResourceKey>,
) -> Vec<Issue> {
    let root = document.root();
    let mut issues = Vec::new();
    if fhir::type_of(root).is_some_and(|found| found != of) {
        let text = format!("the resource is not of the type {of} of the URL");
        issues.push(Issue::error(IssueType::Invalid, text).at("resourceType"));
    }
    let id = root.get("id").and_then(Node::as_str);
    if asked.mode == Some(Mode::Update) && id.is_none() {
        let text = "an update needs the id of the resource";
        issues.push(Issue::error(IssueType::Required, text).at(format!("{of}.id")));
    }
    if let (Some(key), Some(id)) = (key, &id)
        && *key.id.as_str() != **id
    {
        let text = "the id of the resource is not that of the URL";
        issues.push(Issue::error(IssueType::Invalid, text).at(format!("{of}.id")));
    }
    issues
}

/// Whether the caller might delete the resource.
async fn deletion(
    call: &Call,
    permit: &Permit,
    principal: &policy::Principal,
    key: Option<&ResourceKey>,
) -> Answered<Value> {
    let key = key.ok_or_else(|| invalid("mode delete works on an instance"))?;
    definitions::instance(&call.app, permit, key).await?;
    let request = AccessRequest::Delete(key.clone());
    policy::decide(principal, &request).map_err(|deny| refusal(principal, &request, &deny))?;
    Ok(
        json!({"resourceType": "OperationOutcome", "issue": [all_is_well("the resource can be deleted")]}),
    )
}

/// What the strict reader says, and what rules say beside it.
fn all_of(document: &Tree, issues: Vec<(Issue, usize)>, findings: Vec<Finding>) -> Vec<Told> {
    let bytes = document.bytes();
    let is_new = |finding: &Finding| {
        !issues.iter().any(|(issue, _)| {
            issue.expression == finding.issue.expression && issue.code == finding.issue.code
        })
    };
    let findings: Vec<Finding> = findings.into_iter().filter(is_new).collect();
    let read = issues.into_iter().map(|(issue, at)| Finding { issue, at });
    let placed = |finding: Finding| {
        let place = finding.line_and_column(bytes);
        (finding.issue, Some(place))
    };
    read.chain(findings).map(placed).collect()
}

fn outcome(told: &[Told]) -> Value {
    let mut all: Vec<Value> = told.iter().map(|(issue, place)| rendered(issue, *place)).collect();
    let issues: Vec<Issue> = told.iter().map(|(issue, _)| issue.clone()).collect();
    if validation::is_valid(&issues) {
        all.push(all_is_well("the resource is valid"));
    }
    json!({"resourceType": "OperationOutcome", "issue": all})
}

fn rendered(issue: &Issue, place: Option<(usize, usize)>) -> Value {
    let mut value = json!({
        "severity": issue.severity.code(),
        "code": issue.code.code(),
        "details": {"text": issue.text},
        "diagnostics": issue.text,
    });
    if let Some(expression) = &issue.expression {
        value["expression"] = json!([expression]);
    }
    if let Some((line, column)) = place {
        value["extension"] = json!([
            {"url": LINE_URL, "valueInteger": line},
            {"url": COLUMN_URL, "valueInteger": column},
        ]);
    }
    value
}

fn all_is_well(text: &str) -> Value {
    let issue =
        Issue { severity: Severity::Information, ..Issue::error(IssueType::Informational, text) };
    rendered(&issue, None)
}

fn invalid(text: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Invalid, text.into())
}

/// Profiles that one request may name.
const PROFILES_MAX: usize = 20;
const LINE_URL: &str = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-line";
const COLUMN_URL: &str = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-col";
