//! `POST Patient/[id]/$purge`: erases a patient (OperationDefinition/Patient-purge, published with FHIR R5, R4 servers have it).
//!
//! `dryRun=true` tells how much would be erased and changes nothing. Else the answer is an OperationOutcome: 200 when
//! all is erased, 202 when it goes on (asking again tells how far it is). Asked for what was erased before it is 410.
//! Not here: the steps (`crate::erasure`), who may ask (`policy`).

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Payload;
use fhir::ResourceType;
use policy::{AccessRequest, Operation, OperationTarget};
use registry::erasure::{Erasure, Extent};
use serde_json::json;

use super::input::Input;
use crate::access::{self, Access};
use crate::erasure;
use crate::error::Fault;
use crate::http::call::Call;
use crate::http::reply::{self, Reply};
use crate::outcome;
use crate::telemetry::metrics::Interaction;

/// Erases a patient.
///
/// # Errors
/// 400, 401, 403, 404, 410, 503.
pub(super) async fn purge(call: Call, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    let key = super::instance(&call, Some(ResourceType::PATIENT))?;
    let target = OperationTarget::Instance(key.clone());
    let request = AccessRequest::Operation { operation: Operation::Purge, target };
    let (principal, _) = call.permit(&request).await?;
    let input = Input::read(&call, payload).await?;
    input.expect_only(&["dryRun"])?;
    let is_dry = input.parsed("dryRun", |text| text.parse::<bool>().ok())?.unwrap_or(false);
    let app = &call.app;
    // The patient's own key goes, so the record of it does not name him among the patients but as what was asked for.
    let access = Access::of(&principal, Interaction::Operation, &call.request_id)
        .on(key.clone())
        .query(if is_dry { "$purge?dryRun=true" } else { "$purge" });
    let found = app.store.erasures().extent(&key.id).await?;
    let running = erasure::unfinished(app, &key.id).await?;
    let refused = match &found {
        _ if running.is_some() => None,
        Some(Extent { versions: 1.., .. }) => None,
        Some(Extent { erased: 1.., .. }) => Some(reply::erased()),
        _ => Some(Fault::not_found()),
    };
    if let Some(fault) = refused {
        access::record(app, access.refused(fault.status())).await?;
        return Err(fault);
    }
    if is_dry {
        access::record(app, access).await?;
        return Ok(reply::json(&call, 200, extent(&found.unwrap_or_default())));
    }
    if running.is_none() {
        let record = access::seal(app, access, &[]).await?;
        if !erasure::begin(app, &key.id, record, &call.request_id).await? {
            // The end of an erasure came between the look at what is there and the look at what runs.
            let gone = app.store.erasures().extent(&key.id).await?;
            let is_erased = gone.is_some_and(|extent| extent.erased > 0);
            return Err(if is_erased { reply::erased() } else { Fault::not_found() });
        }
    } else {
        access::record(app, access).await?;
    }
    let done = erasure::awaited(app, &key.id, WAIT).await?;
    Ok(answer(&call, done.as_ref()))
}

/// What a dry run tells.
fn extent(found: &Extent) -> Vec<u8> {
    let Extent { resources, versions, shared, .. } = found;
    let number = |name: &str, value: &u64| json!({"name": name, "valueInteger": value});
    json!({"resourceType": "Parameters", "parameter": [
        number("resources", resources), number("versions", versions), number("shared", shared),
    ]})
    .to_string()
    .into_bytes()
}

fn answer(call: &Call, done: Option<&Erasure>) -> actix_web::HttpResponse {
    let (resources, versions) = done.map_or((0, 0), |one| (one.resources, one.versions));
    let counted = format!("{resources} resources with {versions} versions");
    let is_done = done.is_some_and(|one| one.ended.is_some());
    let text = if is_done {
        format!("the patient is erased: {counted}; the key of the record is destroyed")
    } else {
        format!("the patient is being erased: {counted} until now; ask again for the end of it")
    };
    let body = outcome::of_success(&text, &call.request_id);
    let mut answer = reply::json(call, if is_done { 200 } else { 202 }, body);
    if !is_done {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    }
    answer
}

/// How long a request waits for the end of it.
const WAIT: Duration = Duration::from_secs(10);
const RETRY_SECONDS: u64 = 5;
