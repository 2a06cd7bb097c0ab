//! `GET [type]/$explain?…`: how a search would be answered, for an operator.
//!
//! The answer is a `Parameters` resource: what was applied, what leads, each statement with placeholders and a
//! rough number of rows. The search sees everything, its account names nothing: no value, no id, no content, and no
//! number that tells of a single resource. The question itself is recorded, as it may name a patient.
//! Not here: the account (`registry::search`).

use actix_web::web::Path;
use policy::AccessRequest;
use registry::search::{ExplainedLeg, ExplainedStatement, Explanation, SearchTarget};
use serde_json::{Value, json};

use super::call::{Call, resource_type};
use super::reply::{self, Reply};
use super::search::parse;
use crate::access::{self, Access};
use crate::telemetry::metrics::Interaction;

/// Answers the account of a search.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn explain(call: Call, path: Path<String>) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    let resource_type = resource_type(&path)?;
    let (principal, permit) = call.permit(&AccessRequest::Explain).await?;
    let query = call.http.query_string();
    let target = SearchTarget::Type(resource_type);
    let parsed = parse(&call, &principal, &target, query).await?;
    let explanation = call.app.store.explain(&permit, &parsed).await?;
    let access = Access::of(&principal, Interaction::Operation, &call.request_id);
    access::record(&call.app, access.of_type(resource_type).query(query)).await?;
    Ok(reply::json(&call, 200, parameters(&explanation).to_string()))
}

fn parameters(explanation: &Explanation) -> Value {
    let applied = explanation.parameters.iter().map(|name| text("applied", name));
    let legs = explanation.legs.iter().map(leg);
    let statements = explanation.statements.iter().map(statement);
    let all: Vec<_> = applied.chain(legs).chain(statements).collect();
    match all[..] {
        [] => json!({"resourceType": "Parameters"}),
        _ => json!({"resourceType": "Parameters", "parameter": all}),
    }
}

fn leg(leg: &ExplainedLeg) -> Value {
    let mut parts =
        vec![json!({"name": "type", "valueCode": leg.resource_type}), text("plan", leg.plan)];
    parts.extend(leg.leads.iter().map(|lead| text("lead", lead)));
    parts.extend(
        leg.conditions
            .iter()
            .map(|(condition, held)| text(if *held { "held" } else { "probed" }, condition)),
    );
    json!({"name": "search", "part": parts})
}

fn statement(statement: &ExplainedStatement) -> Value {
    let part = [
        text("sql", &statement.sql),
        text("rows", statement.rows.text()),
        json!({"name": "duration-ms", "valueDecimal": statement.duration_ms}),
    ];
    json!({"name": "statement", "part": part})
}

fn text(name: &str, value: &str) -> Value {
    json!({"name": name, "valueString": value})
}
