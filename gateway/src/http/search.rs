//! `GET [type]?…` and `POST [type]/_search` (FHIR R4 search.html).
//!
//! Hits are the stored bytes, concatenated. `self` echoes what was applied, `next` and `previous` carry an opaque
//! cursor. What was ignored is reported in the bundle. The access record is durable before the body leaves.
//! Not here: what a parameter means (`registry::search`).

use actix_web::web::{Path, Payload};
use bytes::Bytes;
use fhir::{Issue, IssueType, OperationOutcome, ResourceType, Severity};
use policy::{AccessRequest, Principal};
use registry::page::{HitMode, Page};
use registry::search::{ParseOptions, SearchQuery, pairs, parse_pairs};

use super::bundle::Writer;
use super::call::{Call, refusal, resource_type};
use super::message_tasks;
use super::part;
use super::reply::{self, Reply};
use crate::access::{self, Access, audit};
use crate::clock;
use crate::error::{Answered, Fault, FaultKind};
use crate::telemetry::metrics::Interaction;

/// Answers a search in a type.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn search(call: Call, path: Path<String>) -> Reply {
    let call = call.as_interaction(Interaction::Search)?;
    let resource_type = resource_type(&path)?;
    let principal = call.principal().await?;
    let query = call.http.query_string().to_owned();
    let body = searchset(&call, resource_type, &query, &principal).await?;
    Ok(reply::json(&call, 200, body))
}

/// The same with parameters in a form; those of the URL count too.
///
/// # Errors
/// As [`search`], and 415 for another form.
pub async fn search_by_post(call: Call, path: Path<String>, payload: Payload) -> Reply {
    let mut call = call.as_interaction(Interaction::Search)?;
    let resource_type = resource_type(&path)?;
    let principal = call.principal().await?;
    let media = call.http.headers().get("content-type").and_then(|value| value.to_str().ok());
    let is_form = media.is_none_or(|media| media.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        let text = "_search takes application/x-www-form-urlencoded";
        return Err(Fault::new(FaultKind::UnsupportedMediaType, text));
    }
    let form = call.body(payload, FORM_BYTES_MAX).await?;
    let form = String::from_utf8(form)
        .map_err(|_| Fault::new(FaultKind::Invalid, "the form is not UTF-8"))?;
    let query = [call.http.query_string(), form.trim()].join("&");
    call.shown_as(&query)?;
    let body = searchset(&call, resource_type, query.trim_matches('&'), &principal).await?;
    Ok(reply::json(&call, 200, body))
}

/// Search in all types: not offered yet.
///
/// # Errors
/// 501, always.
pub async fn search_system(call: Call) -> Reply {
    let _ = call.permit(&AccessRequest::SearchSystem).await?;
    Err(Fault::new(FaultKind::Unsupported, "search names one type: GET [base]/[type]?…"))
}

/// The searchset for a query, recorded.
///
/// # Errors
/// As [`search`].
pub(super) async fn searchset(
    call: &Call,
    resource_type: ResourceType,
    query: &str,
    principal: &Principal,
) -> Answered<Bytes> {
    if resource_type == ResourceType::AUDIT_EVENT {
        return audit::searchset(call, query, principal).await;
    }
    let request = message_tasks::narrowed(principal, AccessRequest::Search(resource_type));
    let permit = match policy::decide(principal, &request) {
        Ok(permit) => permit,
        Err(deny) => {
            access::denied(&call.app, principal, &request, &call.request_id).await;
            return Err(refusal(&deny));
        }
    };
    let limited;
    let query = match request {
        AccessRequest::MessageTasks => {
            limited = message_tasks::limited(query)?;
            limited.as_str()
        }
        _ => query,
    };
    let parsed = parse(call, resource_type, query)?;
    let page = call.app.store.search(&permit, &parsed).await?;
    let versions: Vec<_> = page.hits.iter().map(|hit| hit.version.clone()).collect();
    call.app.payloads.fetch(&versions).await?;
    let mut access = Access::of(principal, Interaction::Search, &call.request_id)
        .of_type(resource_type)
        .query(query);
    let body = render(call, &parsed, &page, &mut access).await?;
    access::record(&call.app, access).await?;
    Ok(body.into())
}

/// A query with this request's options and the site's limits.
///
/// # Errors
/// 400.
pub(super) fn parse(
    call: &Call,
    resource_type: ResourceType,
    query: &str,
) -> Answered<SearchQuery> {
    let base = call.base();
    let options = ParseOptions {
        base_url: &base,
        lenient: call.prefer().lenient == Some(true),
        now_us: clock::now_us(),
        codes: None,
    };
    let limits = &call.app.config.search;
    let pairs = pairs(query)?;
    part::of_pairs(&pairs, Interaction::Search, Some(resource_type))?;
    let has_count = pairs.iter().any(|(name, _)| name == "_count");
    let mut parsed = parse_pairs(resource_type, pairs, &options)?;
    if !has_count && parsed.count > 0 {
        parsed.count = limits.count_default;
    }
    parsed.count = parsed.count.min(limits.count_max);
    Ok(parsed)
}

/// The searchset of a page; what it shows is noted for the access record.
///
/// # Errors
/// 503 when a content cannot be had.
pub(super) async fn render(
    call: &Call,
    query: &SearchQuery,
    page: &Page,
    access: &mut Access,
) -> Answered<Vec<u8>> {
    let base = call.base();
    let own = format!("{base}/{}", query.resource_type.name());
    let part = part::of_pairs(&query.applied, Interaction::Search, Some(query.resource_type))?;
    let link = |query: String| {
        if query.is_empty() { own.clone() } else { format!("{own}?{query}") }
    };
    let mut out = Writer::new("searchset", page.total);
    out.link("self", &link(query.self_query()));
    if let Some(next) = &page.next {
        out.link("next", &link(query.page_query(next)));
    }
    if let Some(previous) = &page.previous {
        out.link("previous", &link(query.page_query(previous)));
    }
    for hit in &page.hits {
        let body = call.app.payloads.open(&hit.version).await?;
        access.saw(&call.app.payloads, &hit.version);
        let is_asked = hit.mode == HitMode::Match;
        out.hit(&base, &hit.version.key, hit.mode, &part::cut(part.as_ref(), body, is_asked));
        out.expect_bounded()?;
    }
    if !query.ignored.is_empty() {
        out.outcome(&ignored(&query.ignored, &call.request_id));
    }
    Ok(out.finish())
}

/// What was left out of the query.
fn ignored(names: &[String], request_id: &str) -> Vec<u8> {
    let issues: Vec<Issue> = names
        .iter()
        .map(|name| Issue {
            severity: Severity::Warning,
            code: IssueType::NotSupported,
            text: format!("the parameter {name:?} was ignored"),
            expression: None,
        })
        .collect();
    OperationOutcome::render(&issues, Some(request_id))
}

const FORM_BYTES_MAX: usize = 256 * 1024;
