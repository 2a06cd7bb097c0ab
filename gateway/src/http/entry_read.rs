//! `GET` and `HEAD` inside a bundle: reads, histories and searches, each with its own permit and access record.
//!
//! In a transaction they are answered by its commit (`registry::reading`), in a batch each for itself. `ifNoneMatch` and
//! `ifModifiedSince` answer 304 (FHIR R4 bundle.html#Bundle.entry.request).
//! Not here: the interactions' own routes (`read`, `vread`, `search`).

use bytes::Bytes;
use fhir::{ResourceType, Subset};
use policy::{AccessRequest, Principal};
use registry::page::HistoryScope;
use registry::reading::{Asked, Reading, Reply};
use registry::search::{SearchQuery, SearchTarget};

use super::call::{Call, resource_key, resource_type};
use super::transaction::{EntryAnswer, status_line};
use super::vread::version_key;
use super::{capability, history, parameters, part, search, search_compartment};
use crate::access::{self, Access};
use crate::entry::ReadEntry;
use crate::error::{Answered, Fault, FaultKind};
use crate::ingest;
use crate::telemetry::metrics::Interaction;

/// A read of a bundle that the caller may do.
pub(super) struct Planned {
    /// What the registry is asked.
    pub(super) asked: Asked,
    entry: ReadEntry,
    access: Access,
    shown: Shown,
}

/// How the answer is shown.
enum Shown {
    /// Resources, whole or in part.
    Resources(Option<Subset>),
    /// The searchset of a query.
    Search(Box<(SearchTarget, SearchQuery)>),
}

/// Answers one entry of a batch.
///
/// # Errors
/// As the interaction itself.
pub(super) async fn read(
    call: &Call,
    entry: &ReadEntry,
    principal: &Principal,
) -> Answered<EntryAnswer> {
    let (path, query) = entry.url.split_once('?').unwrap_or((&entry.url, ""));
    if let Some(target) = search_target(path)? {
        let body = search::searchset(call, &target, query, principal).await?;
        return Ok(EntryAnswer::found(200, None, (!entry.head).then_some(body)));
    }
    if path == "metadata" {
        let part = part::of(query, Interaction::Capabilities, None)?;
        let body = part::cut(part.as_ref(), capability::stated(call, query).await?, true);
        return Ok(EntryAnswer::found(200, None, (!entry.head).then_some(body)));
    }
    let planned = plan(call, entry, principal).await?;
    let replies = call.app.store.read_together(vec![planned.asked.clone()]).await?;
    match replies.map(|mut replies| replies.pop()) {
        Ok(Some(reply)) => planned.answer(call, reply).await,
        Ok(None) => Err(Fault::new(FaultKind::Internal, "the read has no answer")),
        Err(unread) => {
            let fault = ingest::fault_of_read(unread.cause);
            access::record(&call.app, planned.access.refused(fault.status())).await?;
            Err(fault)
        }
    }
}

/// Leave for an entry; a denial is recorded as that of a request of its own.
///
/// # Errors
/// 400, 403, 404, and 501 for what bundles do not read.
pub(super) async fn plan(
    call: &Call,
    entry: &ReadEntry,
    principal: &Principal,
) -> Answered<Planned> {
    let (path, query) = entry.url.split_once('?').unwrap_or((&entry.url, ""));
    let steps: Vec<&str> = path.split('/').collect();
    match steps[..] {
        [name, id, "_history", version] => {
            parameters::expect_none(query, || call.is_lenient())?;
            let key = version_key(name, id, version)?;
            let permit = call.permit_of(principal, &AccessRequest::Vread(key.clone())).await?;
            let access = Access::of(principal, Interaction::Vread, &call.request_id)
                .on(key.key.clone())
                .version(key.version);
            let part = part::of(query, Interaction::Vread, Some(key.key.resource_type))?;
            let asked = Asked { permit, reading: Reading::Version(key) };
            Ok(Planned { asked, entry: entry.clone(), access, shown: Shown::Resources(part) })
        }
        [name, "_history"] => {
            let scope = HistoryScope::Type(resource_type(name)?);
            plan_history(call, entry, scope, query, principal).await
        }
        [name, id] => {
            parameters::expect_none(query, || call.is_lenient())?;
            let key = resource_key(name, id)?;
            let permit = call.permit_of(principal, &AccessRequest::Read(key.clone())).await?;
            let access = Access::of(principal, Interaction::Read, &call.request_id).on(key.clone());
            let part = part::of(query, Interaction::Read, Some(key.resource_type))?;
            let asked = Asked { permit, reading: Reading::Current(key) };
            Ok(Planned { asked, entry: entry.clone(), access, shown: Shown::Resources(part) })
        }
        [name, id, "_history"] => {
            let scope = HistoryScope::Instance(resource_key(name, id)?);
            plan_history(call, entry, scope, query, principal).await
        }
        ["_history"] => plan_history(call, entry, HistoryScope::System, query, principal).await,
        _ => match search_target(path)? {
            Some(target) => plan_search(call, entry, target, query, principal).await,
            None => {
                let text = "in a bundle GET reads, vreads, lists history and searches, in a batch also metadata; ask for anything else by itself";
                Err(Fault::new(FaultKind::Unsupported, text))
            }
        },
    }
}

async fn plan_history(
    call: &Call,
    entry: &ReadEntry,
    scope: HistoryScope,
    query: &str,
    principal: &Principal,
) -> Answered<Planned> {
    history::expect_versions(&scope)?;
    let access = Access::of(principal, Interaction::History, &call.request_id).query(query);
    let (request, access, of) = match &scope {
        HistoryScope::Instance(key) => {
            let request = AccessRequest::HistoryInstance(key.clone());
            (request, access.on(key.clone()), Some(key.resource_type))
        }
        HistoryScope::Type(of) => (AccessRequest::HistoryType(*of), access.of_type(*of), Some(*of)),
        HistoryScope::System => (AccessRequest::HistorySystem, access, None),
    };
    let permit = call.permit_of(principal, &request).await?;
    let shown = Shown::Resources(part::of(query, Interaction::History, of)?);
    let asked = history::parse(call, scope, query)?;
    history::expect_listing(&asked, principal)?;
    let reading = Reading::History(asked);
    Ok(Planned { asked: Asked { permit, reading }, entry: entry.clone(), access, shown })
}

async fn plan_search(
    call: &Call,
    entry: &ReadEntry,
    target: SearchTarget,
    query: &str,
    principal: &Principal,
) -> Answered<Planned> {
    let request = search::requested(principal, &target, query)?;
    let journal = target.one_type() == Some(ResourceType::AUDIT_EVENT);
    if journal || request == AccessRequest::MessageTasks {
        let text = "this search does not go into a transaction; send it in a batch or by itself";
        return Err(Fault::new(FaultKind::Unsupported, text));
    }
    let permit = call.permit_of(principal, &request).await?;
    let access = Access::of(principal, Interaction::Search, &call.request_id);
    let access = search::recorded(access, &target, query);
    let query = search::parse(call, principal, &target, query).await?;
    if query.opens() {
        let text = "this _sort opens contents, which a transaction does not; send it in a batch or by itself";
        return Err(Fault::new(FaultKind::Unsupported, text).in_parameter("_sort"));
    }
    let asked = Asked { permit, reading: Reading::Search(Box::new(query.clone())) };
    let shown = Shown::Search(Box::new((target, query)));
    Ok(Planned { asked, entry: entry.clone(), access, shown })
}

/// What a path searches; `None` when it is something else.
fn search_target(path: &str) -> Answered<Option<SearchTarget>> {
    let steps: Vec<&str> = path.split('/').collect();
    Ok(match steps[..] {
        [""] => Some(SearchTarget::System),
        [name] if !matches!(name, "_history" | "metadata") => {
            Some(SearchTarget::Type(resource_type(name)?))
        }
        [name, id, member] if !member.starts_with('_') => {
            Some(search_compartment::target(name, id, member)?)
        }
        _ => None,
    })
}

impl Planned {
    /// The entry of the answer, recorded.
    ///
    /// # Errors
    /// 503 when the access cannot be recorded, or the content not be had.
    pub(super) async fn answer(self, call: &Call, reply: Reply) -> Answered<EntryAnswer> {
        let Self { asked, entry, mut access, shown } = self;
        match (reply, shown) {
            (Reply::Version(stored), Shown::Resources(part)) => {
                if matches!(asked.reading, Reading::Current(_)) {
                    access = access.version(stored.version);
                }
                let body = call.app.payloads.open(&stored).await?;
                access::record(&call.app, access.seeing(&call.app.payloads, &stored)).await?;
                let fresh = entry.is_fresh(stored.version, stored.updated);
                let body = part::cut(part.as_ref(), body, true);
                let body = (!fresh && !entry.head).then_some(body);
                let status = if fresh { 304 } else { 200 };
                Ok(EntryAnswer::found(status, Some((&call.base(), &stored)), body))
            }
            (Reply::Search(page), Shown::Search(searched)) => {
                let (target, query) = *searched;
                let versions: Vec<_> = page.hits.iter().map(|hit| hit.version.clone()).collect();
                call.app.payloads.fetch(&versions).await?;
                let body = search::render(call, &asked.permit, &target, &query, &page, &mut access)
                    .await?;
                access::record(&call.app, access).await?;
                let body = (!entry.head).then(|| Bytes::from(body));
                Ok(EntryAnswer::found(200, None, body))
            }
            (Reply::History(page), Shown::Resources(part)) => {
                let (path, query) = entry.url.split_once('?').unwrap_or((&entry.url, ""));
                let own = format!("{}/{path}", call.base());
                let shown = (own.as_str(), query, part.as_ref());
                let body = history::render(call, shown, &page, &mut access).await?;
                access::record(&call.app, access).await?;
                let body = (!entry.head).then(|| Bytes::from(body));
                Ok(EntryAnswer::found(200, None, body))
            }
            _ => Err(Fault::new(FaultKind::Internal, "the read has another answer")),
        }
    }
}

impl EntryAnswer {
    /// What a read found, of this version.
    fn found(
        status: u16,
        of: Option<(&str, &registry::page::StoredVersion)>,
        resource: Option<Bytes>,
    ) -> Self {
        let mut response = format!("{{\"status\":\"{}\"", status_line(status));
        if let Some((_, stored)) = of {
            let (version, updated) = (stored.version, stored.updated);
            response.push_str(&format!(
                ",\"etag\":\"W/\\\"{version}\\\"\",\"lastModified\":\"{updated}\""
            ));
        }
        response.push('}');
        let full_url = of.map(|(base, stored)| format!("{base}/{}", stored.key));
        Self { full_url, resource, response: response.into_bytes() }
    }
}
