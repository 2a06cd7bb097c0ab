//! `GET SearchParameter/[id]/$reindex-status`: whether a search by it finds everything, and how far its index is.

use actix_web::web::Payload;
use fhir::ResourceType;
use policy::AccessRequest;
use registry::params::ParamState;
use serde_json::{Value, json};

use super::input::Input;
use crate::access::{self, Access};
use crate::error::Fault;
use crate::http::call::Call;
use crate::http::reply::{self, Reply};
use crate::telemetry::metrics::Interaction;

/// Answers a Parameters resource: `state`, and a `base` for each type with its own state, `done` and `total`.
///
/// # Errors
/// 400, 401, 403, 404, 410, 503.
pub(super) async fn reindex_status(call: Call, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    let key = super::instance(&call, Some(ResourceType::SEARCH_PARAMETER))?;
    let (principal, permit) = call.permit(&AccessRequest::Read(key.clone())).await?;
    Input::read(&call, payload).await?.expect_only(&[])?;
    let found = call.app.store.read(&permit, &key).await?;
    let access = Access::of(&principal, Interaction::Operation, &call.request_id);
    let access = access.on(key.clone()).query("$reindex-status");
    let Some(stored) = found else {
        access::record(&call.app, access.refused(404)).await?;
        return Err(Fault::not_found());
    };
    if stored.is_tombstone() {
        access::record(&call.app, access.refused(410)).await?;
        return Err(reply::gone());
    }
    let loaded = call.app.search_params.refresh(&call.app).await?;
    let table = &loaded.table;
    let own = table
        .params
        .iter()
        .filter(|row| row.source == key.id.as_str() && row.state != ParamState::Leaving);
    let mut parts = Vec::new();
    let mut state = "not-in-force";
    for row in own {
        let indexing = row.state == ParamState::Indexing;
        state = match (indexing, state) {
            (true, _) | (_, "indexing") => "indexing",
            _ => "ready",
        };
        let job = table.jobs.iter().find(|job| job.of == row.of).filter(|_| indexing);
        let mut part = vec![
            json!({"name": "type", "valueCode": row.of.name()}),
            json!({"name": "state", "valueCode": if indexing { "indexing" } else { "ready" }}),
        ];
        if let Some(job) = job {
            part.push(json!({"name": "done", "valueInteger": job.done}));
            part.push(json!({"name": "total", "valueInteger": job.total}));
        }
        parts.push(json!({"name": "base", "part": part}));
    }
    let mut parameters: Vec<Value> = vec![json!({"name": "state", "valueCode": state})];
    parameters.extend(parts);
    access::record(&call.app, access).await?;
    let body = json!({"resourceType": "Parameters", "parameter": parameters});
    Ok(reply::json(&call, 200, body.to_string()))
}
