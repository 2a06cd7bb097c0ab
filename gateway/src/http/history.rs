//! History of an instance, a type, or everything (FHIR R4 http.html#history).
//!
//! Newest first; pages by `_page`, an opaque change number. Entries are the stored bytes of each version;
//! a tombstone is an entry without a resource.
//! Not here: `_at`, which is refused.

use actix_web::web::Path;
use fhir::Instant;
use policy::AccessRequest;
use registry::page::{HistoryQuery, HistoryScope};

use super::bundle::{self, Method};
use super::call::{Call, resource_key, resource_type};
use super::reply::{self, Reply};
use crate::access::{self, Access};
use crate::error::{Answered, Fault, FaultKind};
use crate::telemetry::metrics::Interaction;

/// History of one resource.
///
/// # Errors
/// 400, 401, 403, 404, 503.
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
    let query = parse(&call, scope)?;
    let page = call.app.store.history(&permit, &query).await?;
    let mut access = Access::of(&principal, Interaction::History, &call.request_id)
        .query(call.http.query_string());
    if let HistoryScope::Instance(key) = &query.scope {
        access = access.on(key.clone());
        if page.total == 0 {
            access::record(&call.app, access.refused(404)).await?;
            return Err(Fault::not_found());
        }
    } else if let HistoryScope::Type(resource_type) = &query.scope {
        access = access.of_type(*resource_type);
    }
    let base = call.base();
    let own = format!("{}{}", call.root(), call.http.path());
    let mut out = bundle::Writer::new("history", Some(page.total));
    out.link("self", &with_query(&own, call.http.query_string()));
    if let Some(next) = page.next {
        let count = query.count;
        out.link("next", &format!("{own}?_count={count}&{PAGE}={next}{}", since_part(&query)));
    }
    for stored in &page.versions {
        let body = match stored.is_tombstone() {
            true => None,
            false => Some(call.app.payloads.open(stored).await?),
        };
        access.saw(&call.app.payloads, stored);
        out.version(&base, stored, body.as_deref(), Method::of(stored.action));
        out.expect_bounded()?;
    }
    access::record(&call.app, access).await?;
    Ok(reply::json(&call, 200, out.finish()))
}

fn parse(call: &Call, scope: HistoryScope) -> Answered<HistoryQuery> {
    let limits = &call.app.config.search;
    let mut query =
        HistoryQuery { scope, since: None, count: limits.count_default, before_change: None };
    for (name, value) in registry::search::pairs(call.http.query_string())? {
        let wrong = || Fault::new(FaultKind::Invalid, format!("{name} is malformed"));
        match name.as_str() {
            "_count" => {
                let count: u32 = value.parse().map_err(|_| wrong())?;
                query.count = count.min(limits.count_max);
            }
            "_since" => query.since = Some(Instant::parse(&value).map_err(|_| wrong())?),
            PAGE => query.before_change = Some(value.parse().map_err(|_| wrong())?),
            "_format" | "_pretty" => {}
            _ => {
                let text = format!("history has no parameter {name}");
                return Err(Fault::new(FaultKind::Invalid, text));
            }
        }
    }
    Ok(query)
}

fn since_part(query: &HistoryQuery) -> String {
    query.since.map(|since| format!("&_since={since}")).unwrap_or_default()
}

fn with_query(url: &str, query: &str) -> String {
    if query.is_empty() { url.to_owned() } else { format!("{url}?{query}") }
}

const PAGE: &str = "_page";
