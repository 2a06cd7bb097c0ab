//! `Composition/[id]/$document`, and `Composition/$document` with `id`: the document that a composition is the front page of
//! (FHIR R4 composition-operation-document.html, documents.html).
//!
//! A Bundle of type `document`: the composition, then what it refers to, each once. `persist=true`, by POST, stores it.
//! Whatever the caller may not see is absent, and a document with a part missing is refused.
//! Not here: signatures, documents of other documents' parts (`graph`).

use std::collections::HashSet;

use actix_web::http::header;
use actix_web::web::Payload;
use bytes::Bytes;
use fhir::{ParsedReference, ReferenceAt, ResourceId, ResourceKey, ResourceType, Tree, VersionKey};
use policy::{AccessRequest, Deny, Principal, TypeSet};

use super::input::Input;
use crate::access::{self, Access};
use crate::clock;
use crate::error::{Answered, Fault, FaultKind};
use crate::http::call::{Call, refusal};
use crate::http::create::only;
use crate::http::reply::{self, Reply};
use crate::limits::ANSWER_BYTES_MAX;
use crate::submission::{Submission, Verb};
use crate::telemetry::metrics::Interaction;

/// Answers the document of the composition in the path.
///
/// # Errors
/// 400, 401, 403, 404, 405, 410, 422, 503.
pub(super) async fn document(call: Call, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    let key = super::instance(&call, Some(ResourceType::COMPOSITION))?;
    let (principal, _) = call.permit(&AccessRequest::Read(key.clone())).await?;
    let input = Input::read(&call, payload).await?;
    input.expect_only(&["persist"])?;
    answer(call, &principal, key, &input).await
}

/// Answers the document of the composition that `id` names: an id, or the URL of one here.
///
/// # Errors
/// As [`document`].
pub(super) async fn document_named(call: Call, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    call.principal().await?;
    let input = Input::read(&call, payload).await?;
    input.expect_only(&["id", "persist"])?;
    let key = named(&input, &call.bases())?;
    let (principal, _) = call.permit(&AccessRequest::Read(key.clone())).await?;
    answer(call, &principal, key, &input).await
}

fn named(input: &Input, bases: &str) -> Answered<ResourceKey> {
    let wrong = |text: &str| Fault::new(FaultKind::Invalid, text).in_parameter("id");
    let Some(id) = input.text("id")? else {
        return Err(wrong("id must name the composition: its id, or its URL on this server"));
    };
    if let Ok(id) = ResourceId::parse(id) {
        return Ok(ResourceKey::new(ResourceType::COMPOSITION, id));
    }
    match ParsedReference::parse(id, bases) {
        ParsedReference::Local { key, .. } if key.resource_type == ResourceType::COMPOSITION => {
            Ok(key)
        }
        _ => Err(wrong("id must be that of a Composition, or its URL on this server")),
    }
}

async fn answer(call: Call, principal: &Principal, key: ResourceKey, input: &Input) -> Reply {
    let persist = input.parsed("persist", |text| text.parse::<bool>().ok())?.unwrap_or(false);
    if persist && !call.is_post() {
        let text = "persist=true stores the document, so it is asked by POST";
        return Err(Fault::new(FaultKind::MethodNotAllowed, text));
    }
    let mut access =
        Access::of(principal, Interaction::Operation, &call.request_id).on(key.clone());
    let made = assemble(&call, principal, &key, &mut access).await;
    match &made {
        Ok(_) => access::record(&call.app, access).await?,
        Err(fault) => access::record(&call.app, access.refused(fault.status())).await?,
    }
    let document = made?;
    if persist {
        store(&call, principal, document).await
    } else {
        Ok(reply::json(&call, 200, document))
    }
}

async fn assemble(
    call: &Call,
    principal: &Principal,
    key: &ResourceKey,
    access: &mut Access,
) -> Answered<Vec<u8>> {
    let (base, bases) = (call.base(), call.bases());
    let composition = read(call, principal, key, access).await?;
    let tree = Tree::parse(composition.to_vec())
        .map_err(|_| Fault::new(FaultKind::Internal, "a stored resource is damaged"))?;
    let mut out = head();
    entry(&base, key, &composition, &mut out);
    let place =
        |at: &ReferenceAt| fhir::reference_location(tree.root(), &at.span).unwrap_or_default();
    let parts = parts(&tree, key, &bases)?;
    expect_reached(principal, &parts).map_err(|(at, fault)| fault.placed(&place(at)))?;
    for (key, at) in &parts {
        let body =
            read(call, principal, key, access).await.map_err(|fault| match fault.status() {
                404 | 410 => {
                    let text = "the composition refers to a resource that is not there";
                    Fault::new(FaultKind::Unprocessable, text).placed(&place(at))
                }
                _ => fault,
            })?;
        out.push(b',');
        entry(&base, key, &body, &mut out);
        if out.len() > ANSWER_BYTES_MAX {
            return Err(too_large());
        }
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

/// What a composition refers to, each once, with the first reference to it.
fn parts(
    composition: &Tree,
    key: &ResourceKey,
    bases: &str,
) -> Answered<Vec<(ResourceKey, ReferenceAt)>> {
    let mut seen = HashSet::from([key.clone()]);
    let mut parts = Vec::new();
    for at in fhir::references(composition.root()) {
        if let ParsedReference::Local { key, .. } = ParsedReference::parse(&at.text, bases)
            && seen.insert(key.clone())
        {
            parts.push((key, at));
        }
    }
    // The composition is one of them.
    if parts.len() >= PARTS_MAX {
        return Err(too_large());
    }
    Ok(parts)
}

fn too_large() -> Fault {
    let text = format!(
        "a document has at most {PARTS_MAX} parts and {ANSWER_BYTES_MAX} bytes; this one has more"
    );
    Fault::new(FaultKind::Unprocessable, text)
}

/// Refuses a document with parts of types that the caller may not read at all, naming these types: the token tells them,
/// the composition names the parts, and whether these are stored is not looked at.
fn expect_reached<'p>(
    principal: &Principal,
    parts: &'p [(ResourceKey, ReferenceAt)],
) -> Result<(), (&'p ReferenceAt, Fault)> {
    let is_reached = |key: &ResourceKey| {
        let asked = AccessRequest::Read(key.clone());
        !matches!(policy::decide(principal, &asked), Err(Deny::Forbidden(_)))
    };
    let left_out: Vec<_> = parts.iter().filter(|(key, _)| !is_reached(key)).collect();
    let Some((_, first)) = left_out.first() else { return Ok(()) };
    let types: TypeSet = left_out.iter().map(|(key, _)| key.resource_type).collect();
    let names: Vec<&str> = types.iter().map(ResourceType::name).collect();
    let text = format!(
        "this document has parts of types that the token does not let its bearer read: {}",
        names.join(", ")
    );
    Err((first, Fault::new(FaultKind::Forbidden, text)))
}

/// One part, under the caller's own right to read it.
async fn read(
    call: &Call,
    principal: &Principal,
    key: &ResourceKey,
    access: &mut Access,
) -> Answered<Bytes> {
    let request = AccessRequest::Read(key.clone());
    let permit = policy::decide(principal, &request);
    let permit = permit.map_err(|deny| refusal(principal, &request, &deny))?;
    let stored = call.app.store.read(&permit, key).await?.ok_or_else(Fault::not_found)?;
    if stored.is_tombstone() {
        return Err(reply::gone());
    }
    let body = call.app.payloads.open(&stored).await?;
    access.saw(&call.app.payloads, &stored);
    Ok(body)
}

/// A document has an identity and a time of its own (FHIR R4 bundle.html, bdl-9 and bdl-10).
fn head() -> Vec<u8> {
    let (id, now) = (uuid::Uuid::now_v7(), clock::now());
    format!(
        "{{\"resourceType\":\"Bundle\",\"identifier\":{{\"system\":\"urn:ietf:rfc:3986\",\
         \"value\":\"urn:uuid:{id}\"}},\"type\":\"document\",\"timestamp\":\"{now}\",\"entry\":["
    )
    .into_bytes()
}

fn entry(base: &str, key: &ResourceKey, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"fullUrl\":");
    fhir::write_json_string(&format!("{base}/{key}"), out);
    out.extend_from_slice(b",\"resource\":");
    out.extend_from_slice(body);
    out.push(b'}');
}

/// Stores the document and says where it is.
async fn store(call: &Call, principal: &Principal, document: Vec<u8>) -> Reply {
    let resource_type = ResourceType::BUNDLE;
    let request = AccessRequest::Create(resource_type);
    let permit = policy::decide(principal, &request);
    permit.map_err(|deny| refusal(principal, &request, &deny))?;
    let verb = Verb::Create { resource_type, if_none_exist: None };
    let submission =
        Submission::single(verb, Some(document), &call.bases(), &call.request_id).await?;
    let written = only(call.submit(submission, principal).await?)?;
    let body = written.body().unwrap_or_default();
    let mut answer = reply::json(call, 200, body);
    if let (Some(key), Some(version)) = (written.key, written.version) {
        let location = format!("{}/{}", call.base(), VersionKey { key, version });
        let value = header::HeaderValue::from_str(&location);
        let lost = |_| Fault::new(FaultKind::Internal, "the document has no place");
        answer.headers_mut().insert(header::LOCATION, value.map_err(lost)?);
    }
    Ok(answer)
}

/// Resources of one document.
const PARTS_MAX: usize = 1_000;
