//! `GET [type]?…` and `POST [type]/_search` (FHIR R4 search.html).
//!
//! Hits are the stored bytes, concatenated. `self` echoes what was applied, `next` and `previous` carry an opaque
//! cursor. What was ignored is reported in the bundle. The access record is durable before the body leaves.
//! Not here: what a parameter means (`registry::search`), the paths of other searches (`search_system`,
//! `search_compartment`).

use actix_web::web::{Path, Payload};
use bytes::Bytes;
use fhir::{HTTP_PLACE, Issue, IssueType, OperationOutcome, ResourceType, Severity};
use policy::{AccessRequest, Permit, Principal, TypeSet};
use registry::page::{HitMode, Page};
use registry::search::{
    Misread, ParseOptions, SearchQuery, SearchTarget, code_questions, pairs, parse_placed,
    with_params,
};

use super::bundle::Writer;
use super::call::{Call, resource_type};
use super::left_out;
use super::message_tasks;
use super::part;
use super::reply::{self, Reply};
use super::sorted;
use crate::access::{self, Access, audit};
use crate::clock;
use crate::codes;
use crate::error::{Answered, Fault, FaultKind};
use crate::telemetry::metrics::Interaction;

/// Answers a search in a type.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn search(call: Call, path: Path<String>) -> Reply {
    let target = SearchTarget::Type(resource_type(&path)?);
    answer(call, &target).await
}

/// The same with parameters in a form; those of the URL count too.
///
/// # Errors
/// As [`search`], and 415 for another form.
pub async fn search_by_post(call: Call, path: Path<String>, payload: Payload) -> Reply {
    let target = SearchTarget::Type(resource_type(&path)?);
    answer_form(call, &target, payload).await
}

/// Answers a search with the parameters of the URL.
pub(super) async fn answer(call: Call, target: &SearchTarget) -> Reply {
    let call = call.as_interaction(Interaction::Search)?;
    let principal = call.principal().await?;
    let query = call.http.query_string().to_owned();
    let body = searchset(&call, target, &query, &principal).await?;
    Ok(reply::json(&call, 200, body))
}

/// Answers a search with the parameters of a form and of the URL.
pub(super) async fn answer_form(call: Call, target: &SearchTarget, payload: Payload) -> Reply {
    let mut call = call.as_interaction(Interaction::Search)?;
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
    let body = searchset(&call, target, query.trim_matches('&'), &principal).await?;
    Ok(reply::json(&call, 200, body))
}

/// The searchset for a query, recorded.
///
/// # Errors
/// As [`search`].
pub(super) async fn searchset(
    call: &Call,
    target: &SearchTarget,
    query: &str,
    principal: &Principal,
) -> Answered<Bytes> {
    if *target == SearchTarget::Type(ResourceType::AUDIT_EVENT) {
        return audit::searchset(call, query, principal).await;
    }
    let request = requested(principal, target, query)?;
    let permit = call.permit_of(principal, &request).await?;
    let limited;
    let query = match request {
        AccessRequest::MessageTasks => {
            limited = message_tasks::limited(query)?;
            limited.as_str()
        }
        _ => query,
    };
    let parsed = parse(call, principal, target, query).await?;
    let page = sorted::page(call, &permit, &parsed).await?;
    let versions: Vec<_> = page.hits.iter().map(|hit| hit.version.clone()).collect();
    call.app.payloads.fetch(&versions).await?;
    let access = Access::of(principal, Interaction::Search, &call.request_id);
    let mut access = recorded(access, target, query);
    let body = render(call, &permit, target, &parsed, &page, &mut access).await?;
    access::record(&call.app, access).await?;
    Ok(body.into())
}

/// An access that names what is searched.
pub(super) fn recorded(access: Access, target: &SearchTarget, query: &str) -> Access {
    let access = access.query(query);
    let access = match target.one_type() {
        Some(of) => access.of_type(of),
        None => access,
    };
    match target {
        SearchTarget::Compartment { owner, .. } => access.on(owner.clone()),
        _ => access,
    }
}

/// What is asked of the policy. Types that are named must all be permitted; of those that are not, the caller sees the
/// ones that a search of their own would show.
pub(super) fn requested(
    principal: &Principal,
    target: &SearchTarget,
    query: &str,
) -> Answered<AccessRequest> {
    let may = |of: &ResourceType| policy::decide(principal, &AccessRequest::Search(*of)).is_ok();
    let types = match target.named_types(&pairs(query)?)? {
        Some(types) => types,
        None => {
            let data = ResourceType::stored().filter(|of| *of != ResourceType::AUDIT_EVENT);
            let mut all: TypeSet = data.filter(may).collect();
            // Within a compartment there are no groups, even for a caller who may search them elsewhere.
            if policy::decide(principal, &AccessRequest::SearchTypes(all)).is_err() {
                all = all.difference(&TypeSet::one(ResourceType::GROUP));
            }
            return Ok(AccessRequest::SearchTypes(all));
        }
    };
    let refused = types.iter().find(|of| !may(of));
    Ok(match (refused, &types[..]) {
        (_, [of]) | (Some(of), _) => message_tasks::narrowed(principal, AccessRequest::Search(*of)),
        (None, several) => AccessRequest::SearchTypes(several.iter().copied().collect()),
    })
}

/// What the query asks for, with the configured sizes of pages.
///
/// # Errors
/// 400, naming the parameter; 503 while a custom one is indexed.
pub(super) async fn parse(
    call: &Call,
    principal: &Principal,
    target: &SearchTarget,
    query: &str,
) -> Answered<SearchQuery> {
    let bases = call.bases();
    let mut options = ParseOptions {
        base_url: &bases,
        lenient: call.is_lenient(),
        now_us: clock::now_us(),
        codes: None,
    };
    let limits = &call.app.config.search;
    let pairs = pairs(query)?;
    part::of_pairs(&pairs, Interaction::Search, target.one_type())?;
    let has_count = pairs.iter().any(|(name, _)| name == "_count");
    let params = call.app.search_params.for_query(&call.app, target.one_type(), &pairs).await?;
    params.check_limits(target.one_type(), &pairs)?;
    let questions = with_params(&params.set, || Ok(code_questions(target, &pairs, &options)))?;
    let answers = codes::answers(&call.app, principal, questions).await?;
    options.codes = Some(&answers);
    let read = |set| {
        let read = with_params(set, || Ok(parse_placed(target, pairs.clone(), &options)));
        read.unwrap_or_else(|error| Err(error.into()))
    };
    let parsed = match read(&params.set) {
        // What is unknown here may just have been defined by another process.
        Err(misread) => {
            let newer = call.app.search_params.refresh(&call.app).await?;
            if newer.change == params.change { Err(misread) } else { read(&newer.set) }
        }
        parsed => parsed,
    };
    let mut parsed = parsed.map_err(misread)?;
    if call.is_strict()
        && let Some(name) = parsed.ignored.first()
    {
        let text = format!("there is no search parameter {name:?}, and Prefer: handling=strict");
        return Err(Fault::new(FaultKind::Invalid, text).in_parameter(name));
    }
    if !has_count && parsed.count > 0 {
        parsed.count = limits.count_default;
    }
    parsed.count = parsed.count.min(limits.count_max);
    Ok(parsed)
}

fn misread(misread: Misread) -> Fault {
    let fault = Fault::from(misread.error);
    match misread.parameter {
        Some(name) => fault.in_parameter(&name),
        None => fault,
    }
}

/// The searchset of a page; what it shows is noted for the access record.
///
/// # Errors
/// 503 when a content cannot be had.
pub(super) async fn render(
    call: &Call,
    permit: &Permit,
    target: &SearchTarget,
    query: &SearchQuery,
    page: &Page,
    access: &mut Access,
) -> Answered<Vec<u8>> {
    let base = call.base();
    let own = match &*query.path {
        "" => base.clone(),
        path => format!("{base}/{path}"),
    };
    let part = part::of_pairs(&query.applied, Interaction::Search, target.one_type())?;
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
    for (at, hit) in page.hits.iter().enumerate() {
        let body = call.app.payloads.open_listed(&hit.version).await?;
        access.saw(&call.app.payloads, &hit.version);
        let is_asked = hit.mode == HitMode::Match;
        let body = part::cut(part.as_ref(), body, is_asked);
        if at == 0 {
            out.expect(page.hits.len(), &body);
        }
        out.hit(&base, &hit.version.key, hit.mode, &body);
        out.expect_bounded()?;
    }
    let issues = remarks(target, query, permit);
    if !issues.is_empty() {
        out.outcome(&OperationOutcome::render(&issues, Some(&call.request_id)));
    }
    Ok(out.finish())
}

/// What an answer says about the search itself: what of the query was ignored, and what the scopes left out.
pub(super) fn remarks(target: &SearchTarget, query: &SearchQuery, permit: &Permit) -> Vec<Issue> {
    let mut issues: Vec<Issue> = query.ignored.iter().map(|name| ignored(name)).collect();
    issues.extend(left_out::of_search(target, query, permit));
    issues
}

/// What was left out of the query.
fn ignored(name: &str) -> Issue {
    Issue {
        severity: Severity::Warning,
        code: IssueType::NotSupported,
        text: format!("the parameter {name:?} was ignored"),
        expression: Some(format!("{HTTP_PLACE}{name}")),
    }
}

const FORM_BYTES_MAX: usize = 256 * 1024;
