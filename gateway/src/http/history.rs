//! History of an instance, a type, or everything (FHIR R4 http.html#history).
//!
//! Newest first; `_since` by the time of the change, `_at` by the time in which a version was current, pages by an
//! authenticated `_cursor`. Entries are the stored bytes of each version; a tombstone is an entry without a resource.
//! `_list` narrows it to what a List refers to now, for callers who may search Lists.

use actix_web::web::Path;
use fhir::{Instant, ResourceId, ResourceType, Subset, TimeRange};
use policy::{AccessRequest, Principal};
use registry::page::{Cursor, HistoryPage, HistoryQuery, HistoryScope};

use super::bundle::{self, Method};
use super::call::{Call, refusal, resource_key, resource_type};
use super::parameters::says;
use super::part;
use super::reply::{self, Reply};
use crate::access::{self, Access};
use crate::error::{Answered, Fault, FaultKind, brief};
use crate::telemetry::metrics::Interaction;

/// History of one resource.
///
/// # Errors
/// 400, 401, 403, 404, 501, 503.
pub async fn instance(call: Call, path: Path<(String, String)>) -> Reply {
    let key = resource_key(&path.0, &path.1)?;
    let request = AccessRequest::HistoryInstance(key.clone());
    history(call, HistoryScope::Instance(key), request).await
}

/// History of one type.
///
/// # Errors
/// As [`instance`].
pub async fn of_type(call: Call, path: Path<String>) -> Reply {
    let resource_type = resource_type(&path)?;
    let request = AccessRequest::HistoryType(resource_type);
    history(call, HistoryScope::Type(resource_type), request).await
}

/// History of everything.
///
/// # Errors
/// As [`instance`].
pub async fn of_system(call: Call) -> Reply {
    history(call, HistoryScope::System, AccessRequest::HistorySystem).await
}

async fn history(call: Call, scope: HistoryScope, request: AccessRequest) -> Reply {
    let call = call.as_interaction(Interaction::History)?;
    let (principal, permit) = call.permit(&request).await?;
    expect_versions(&scope)?;
    let query = parse(&call, scope, call.http.query_string())?;
    expect_listing(&query, &principal)?;
    let page = call.app.store.history(&permit, &query).await?;
    let mut access = Access::of(&principal, Interaction::History, &call.request_id)
        .query(call.http.query_string());
    if let HistoryScope::Instance(key) = &query.scope {
        access = access.on(key.clone());
        if !page.is_known {
            access::record(&call.app, access.refused(404)).await?;
            return Err(Fault::not_found());
        }
        // What was erased is not listed; where nothing else was, the resource is gone.
        let is_empty = page.versions.is_empty() && page.total == Some(0);
        let current = if is_empty { call.app.store.read(&permit, key).await? } else { None };
        if current.is_some_and(|stored| stored.is_erased()) {
            access::record(&call.app, access.refused(410)).await?;
            return Err(reply::erased());
        }
    } else if let HistoryScope::Type(resource_type) = &query.scope {
        access = access.of_type(*resource_type);
    }
    let own = format!("{}{}", call.root(), call.http.path());
    let shown = (own.as_str(), call.http.query_string(), call.part.as_ref());
    let body = render(&call, shown, &page, &mut access).await?;
    access::record(&call.app, access).await?;
    Ok(reply::json(&call, 200, body))
}

/// The bundle of a page under its own URL and query, its resources whole or in part; what it shows is noted for the
/// access record.
///
/// # Errors
/// 503 when a content cannot be had.
pub(super) async fn render(
    call: &Call,
    (own, query, part): (&str, &str, Option<&Subset>),
    page: &HistoryPage,
    access: &mut Access,
) -> Answered<Vec<u8>> {
    let base = call.base();
    let mut out = bundle::Writer::new("history", page.total);
    out.link("self", &with_query(own, query));
    let counts = part::only_counts(query);
    if counts && page.total.is_none() {
        let text = "these versions are too many to be counted; _summary=count is for fewer";
        return Err(Fault::new(FaultKind::Invalid, text));
    }
    if let Some(next) = page.next.as_ref().filter(|_| !counts) {
        out.link("next", &next_link(own, query, next));
    }
    for stored in page.versions.iter().filter(|_| !counts) {
        let body = match stored.is_tombstone() {
            true => None,
            false => Some(part::cut(part, call.app.payloads.open_listed(stored).await?, true)),
        };
        access.saw(&call.app.payloads, stored);
        out.version(&base, stored, body.as_deref(), Method::of(stored.action));
        out.expect_bounded()?;
    }
    Ok(out.finish())
}

/// Accesses are rendered from the journal and never change: they have no versions.
///
/// # Errors
/// 501.
pub(super) fn expect_versions(scope: &HistoryScope) -> Answered<()> {
    let of = match scope {
        HistoryScope::Instance(key) => key.resource_type,
        HistoryScope::Type(of) => *of,
        HistoryScope::System => return Ok(()),
    };
    if of == ResourceType::AUDIT_EVENT {
        let text = "an AuditEvent has no history; it is never changed";
        return Err(Fault::new(FaultKind::Unsupported, text));
    }
    Ok(())
}

/// Whether the caller may ask what a List refers to, if that is asked.
///
/// # Errors
/// 403, 405.
pub(super) fn expect_listing(query: &HistoryQuery, principal: &Principal) -> Answered<()> {
    let asked = query.list.as_ref().map(|_| AccessRequest::Search(ResourceType::LIST));
    let Some(asked) = asked else { return Ok(()) };
    let denied = policy::decide(principal, &asked).err();
    denied.map_or(Ok(()), |deny| Err(refusal(principal, &asked, &deny)))
}

/// What the parameters of a history ask for.
///
/// # Errors
/// 400.
pub(super) fn parse(call: &Call, scope: HistoryScope, text: &str) -> Answered<HistoryQuery> {
    let limits = &call.app.config.search;
    let count = limits.count_default;
    let mut query = HistoryQuery { scope, since: None, at: None, list: None, count, cursor: None };
    let mut seen = Vec::new();
    for (name, value) in registry::search::pairs(text)? {
        let wrong = |wanted: &str| {
            Fault::new(FaultKind::Invalid, format!("{name} must be {wanted}")).in_parameter(&name)
        };
        match name.as_str() {
            "_count" => {
                let wanted = "the most versions of a page, a whole number such as 50";
                let count: u32 = value.parse().map_err(|_| wrong(wanted))?;
                query.count = count.min(limits.count_max);
            }
            "_since" => {
                let wanted = "an instant such as 2026-01-31T12:00:00Z";
                query.since = Some(since(&value).ok_or_else(|| wrong(wanted))?);
            }
            "_at" => {
                let wanted = "a date or time such as 2026-01-31, without a prefix";
                let range = TimeRange::parse(&plus(&value));
                query.at = Some(range.ok_or_else(|| wrong(wanted))?);
            }
            "_list" => {
                let id = value.strip_prefix("List/").unwrap_or(&value);
                let id = ResourceId::parse(id).map_err(|_| wrong("the id of a List"))?;
                query.list = Some(id);
            }
            // The order of the standard, newest first, is the one that is done.
            "_sort" if value == "-_lastUpdated" => {}
            CURSOR => {
                let cursor = Cursor::decode(&value);
                query.cursor = Some(cursor.ok_or_else(|| wrong("that of a next link"))?);
            }
            name if says(name).is_some() => {}
            _ => return Err(refused(&name).in_parameter(&name)),
        }
        if seen.contains(&name) && name != "_elements" {
            let twice = Fault::new(FaultKind::Invalid, format!("{name} occurs twice"));
            return Err(twice.in_parameter(&name));
        }
        seen.push(name);
    }
    Ok(query)
}

/// An instant, or the beginning of a less exact time, which real clients send.
fn since(value: &str) -> Option<Instant> {
    let value = plus(value);
    let exact = Instant::parse(&value).ok();
    exact.or_else(|| TimeRange::parse(&value).map(|range| Instant::from_micros(range.lo_us)))
}

/// The sign of an offset: a client that does not escape its `+` sends a space.
fn plus(value: &str) -> String {
    value.replace(' ', "+")
}

fn refused(name: &str) -> Fault {
    let text = match name {
        "_sort" => "history is sorted newest first: _sort=-_lastUpdated".to_owned(),
        _ => {
            let name = brief(name);
            format!("history has no parameter {name}; it has _since, _at, _list, _count")
        }
    };
    Fault::new(FaultKind::Invalid, text)
}

/// The client's own parameters with the new place.
fn next_link(own: &str, query: &str, next: &Cursor) -> String {
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with(CURSOR));
    let cursor = format!("{CURSOR}={}", next.encode());
    let pairs: Vec<&str> = kept.chain([cursor.as_str()]).collect();
    format!("{own}?{}", pairs.join("&"))
}

fn with_query(url: &str, query: &str) -> String {
    if query.is_empty() { url.to_owned() } else { format!("{url}?{query}") }
}

const CURSOR: &str = "_cursor";
