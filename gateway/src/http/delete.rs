//! `DELETE [type]/[id]` and `DELETE [type]?criteria` (FHIR R4 http.html#delete).
//!
//! 204 with the tombstone's `ETag`, also when there was nothing to delete; history stays readable. Several matches are
//! deleted together, as far as the configuration allows (`search.delete_matches_max`), else they are a 412.
//! Not here: erasure of the payload, which is a decision of its own.

use actix_web::web::Path;
use fhir::{ResourceKey, ResourceType, VersionId};
use policy::{AccessRequest, Principal};
use registry::search::{Total, is_of_results, pairs};

use super::call::{Call, refusal, resource_key, resource_type};
use super::create::only;
use super::etag;
use super::prefer::Return;
use super::reply::{self, Reply};
use crate::criteria::Reading;
use crate::error::{Answered, Fault, FaultKind};
use crate::outcome;
use crate::submission::{Submission, Verb};
use crate::telemetry::metrics::Interaction;

/// Deletes one resource.
///
/// # Errors
/// 400, 401, 403, 404, 412, 429, 503.
pub async fn delete(call: Call, path: Path<(String, String)>) -> Reply {
    let call = call.as_interaction(Interaction::Delete)?;
    call.expect_no_parameters()?;
    let key = resource_key(&path.0, &path.1)?;
    let (principal, _) = call.permit(&AccessRequest::Delete(key.clone())).await?;
    let verb = Verb::Delete { key, preconditions: etag::preconditions(&call.http)? };
    let submission = Submission::single(verb, None, &call.bases(), &call.request_id).await?;
    let written = only(call.submit(submission, &principal).await?)?;
    Ok(answer(&call, written.version))
}

/// Deletes what matches, if anything does.
///
/// # Errors
/// As [`delete`]; 412 when more match than may be deleted at once.
pub async fn delete_where(call: Call, path: Path<String>) -> Reply {
    let call = call.as_interaction(Interaction::Delete)?;
    let resource_type = resource_type(&path)?;
    let principal = call.principal().await?;
    let query = call.needed_criteria()?;
    let preconditions = etag::preconditions(&call.http)?;
    if preconditions.is_empty()
        && let Some(count) = several(&call, &principal, resource_type, &query).await?
    {
        return Ok(reply::json(&call, 200, told(count, &call)));
    }
    let verb = Verb::DeleteWhere { resource_type, query, preconditions };
    let submission = Submission::single(verb, None, &call.bases(), &call.request_id).await?;
    let written = only(call.submit(submission, &principal).await?)?;
    Ok(answer(&call, written.version))
}

/// Deletes all that match, where that is more than one and so many may go at once; those that match then, when one of
/// them changes meanwhile. Gives their number; `None` when nothing was done, because at most one matches.
///
/// # Errors
/// As [`delete_where`].
pub(super) async fn several(
    call: &Call,
    principal: &Principal,
    of: ResourceType,
    query: &str,
) -> Answered<Option<usize>> {
    let mut attempt = 0;
    loop {
        let found = matches(call, principal, of, query).await?;
        let count = found.len();
        if count < 2 {
            return Ok(None);
        }
        let submission = Submission::deletions(found.into_iter(), &call.bases(), &call.request_id);
        match call.submit(submission, principal).await {
            Ok(_) => return Ok(Some(count)),
            Err(fault) if fault.status() == 412 && attempt < ATTEMPTS_MAX => attempt += 1,
            Err(fault) => return Err(fault),
        }
    }
}

/// Says that several were deleted.
pub(super) fn told(count: usize, call: &Call) -> Vec<u8> {
    outcome::of_success(&format!("{count} resources were deleted"), &call.request_id)
}

/// What the criteria match, at most as many as may be deleted; nothing where only one may, which the commit finds.
///
/// # Errors
/// 400, 403; 412 when more match.
pub(super) async fn matches(
    call: &Call,
    principal: &Principal,
    of: ResourceType,
    query: &str,
) -> Answered<Vec<(ResourceKey, VersionId)>> {
    if call.app.config.search.delete_matches_max < 2 {
        return Ok(Vec::new());
    }
    let request = AccessRequest::Match(of);
    let permit = policy::decide(principal, &request);
    let permit = permit.map_err(|deny| refusal(principal, &request, &deny))?;
    let invalid = |text: String| Fault::new(FaultKind::Invalid, text);
    if let Some((name, _)) = pairs(query)?.iter().find(|(name, _)| is_of_results(name)) {
        return Err(invalid(format!("criteria have no {name}")));
    }
    let base = call.bases();
    let reading = Reading::of(&call.app, principal, &[(of, query)], &base).await?;
    let mut parsed = reading.search(of, query, &base, &permit)?;
    if parsed.legs.iter().all(|leg| leg.filters.is_empty()) || !parsed.ignored.is_empty() {
        return Err(invalid("a conditional delete needs criteria that are all understood".into()));
    }
    let max = call.app.config.search.delete_matches_max;
    parsed.count = max.saturating_add(1);
    parsed.total = Total::None;
    let page = call.app.store.search(&permit, &parsed).await?;
    if page.hits.len() > max as usize {
        let text = format!("more than {max} resources match (search.delete_matches_max)");
        return Err(Fault::several(text));
    }
    let hits = page.hits.into_iter().map(|hit| (hit.version.key, hit.version.version));
    Ok(hits.collect())
}

/// 204, or an OperationOutcome for who prefers that.
fn answer(call: &Call, version: Option<VersionId>) -> actix_web::HttpResponse {
    let wanted = call.returns();
    // There is no resource to answer with, so that preference cannot be heeded.
    if let Some(heeded @ (Return::Minimal | Return::Outcome)) = wanted {
        call.preferences.returned(heeded);
    }
    if wanted != Some(Return::Outcome) {
        return reply::deleted(call, version);
    }
    let text = if version.is_some() { "deleted" } else { "there was nothing to delete" };
    let mut answer = reply::json(call, 200, outcome::of_success(text, &call.request_id));
    if let Some(tag) = version.and_then(|version| version.etag().parse().ok()) {
        answer.headers_mut().insert(actix_web::http::header::ETAG, tag);
    }
    answer
}

/// How often matches are looked for again.
pub(super) const ATTEMPTS_MAX: u32 = 3;
