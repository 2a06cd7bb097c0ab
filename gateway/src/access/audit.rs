//! AuditEvents, rendered from the access journal when asked for.
//!
//! `GET AuditEvent?date=…&patient=…&agent=…&_count=…`, newest first. A page looks at a
//! bounded number of records, so it may hold few events and a `next` link. An auditor sees all; a patient those
//! that concern the own record. Who looks at them is recorded like any access.
//! Not here: what the query means (`filter`), how records are written (`super`), the AuditEvent's form (`fhir_typed`).

use bytes::Bytes;
use fhir::{Instant, ResourceKey, ResourceType};
use fhir_typed::{AuditEvent, AuditInteraction, AuditOutcome, audit_event_json};
use policy::{AccessRequest, Principal, Visibility};
use registry::page::HitMode;
use registry::search::{pairs, render as render_query};

use super::filter::{Filter, PAGE};
use super::{Access, Record, record};
use crate::error::{Answered, Fault, FaultKind};
use crate::http::bundle::Writer;
use crate::http::call::Call;
use crate::http::part;
use crate::telemetry::metrics::Interaction;

/// The searchset for a query on AuditEvents.
pub(crate) async fn searchset(call: &Call, query: &str, principal: &Principal) -> Answered<Bytes> {
    let permit = call.permit_of(principal, &AccessRequest::AuditRead).await?;
    let filter =
        Filter::parse(query, call.app.config.search.count_default as usize, &call.bases())?;
    if part::only_counts(query) {
        let text = "AuditEvents are not counted; _summary is true, text, data or false here";
        return Err(Fault::new(FaultKind::Invalid, text));
    }
    let part = part::of(query, Interaction::Search, Some(ResourceType::AUDIT_EVENT))?;
    let base = call.base();
    let mut out = Writer::new("searchset", None);
    let (found, next) = find(call, &filter, permit.visibility()).await?;
    let own = format!("{base}/AuditEvent");
    out.link("self", &if query.is_empty() { own.clone() } else { format!("{own}?{query}") });
    if let Some(next) = next {
        out.link("next", &next_link(&own, query, next)?);
    }
    for (id, one) in &found {
        let key = super::record_key(id);
        let body = render(&key, one, &call.app.config.ledger.origin)?;
        let body = part::cut(part.as_ref(), body.into(), true);
        out.hit(&base, &key, HitMode::Match, &body);
    }
    let access = Access::of(principal, Interaction::Search, &call.request_id)
        .of_type(ResourceType::AUDIT_EVENT)
        .query(query);
    record(&call.app, access).await?;
    Ok(out.finish().into())
}

/// Matching records, newest first, and where the next page starts.
async fn find(
    call: &Call,
    filter: &Filter,
    visibility: &Visibility,
) -> Answered<(Vec<([u8; 16], Record)>, Option<u64>)> {
    let journal = &call.app.journal;
    let unread = |error: &dyn std::fmt::Display| {
        tracing::error!(cause = %error, "the access records cannot be read");
        Fault::new(FaultKind::Unavailable, "the access records cannot be read now")
    };
    // What was committed a moment ago belongs to the answer.
    let newest = call.app.mover.settle().await.map_err(|error| unread(&error))?;
    let end = newest.max(journal.position()) + 1;
    let mut before = filter.before.map_or(end, |before| before.min(end));
    let mut found = Vec::new();
    let mut scanned = 0;
    while before > 1 && found.len() <= filter.count {
        let first = before.saturating_sub(SCAN_RECORDS as u64).max(1);
        let span = usize::try_from(before - first).unwrap_or(SCAN_RECORDS);
        let batch = journal.records(first - 1, span).await.map_err(|error| unread(&error))?;
        for entry in batch.into_iter().rev().filter(|entry| entry.position < before) {
            let body = match call.app.payloads.open_record(&entry.salt_id, &entry.body).await {
                Ok((body, _)) => body,
                Err(fault) if fault.kind == FaultKind::Deleted => continue,
                Err(fault) => return Err(fault),
            };
            let Some(one) = Record::parse(&body) else { continue };
            let Some(one) = visible_part(one, visibility) else { continue };
            if !filter.holds(&one) {
                continue;
            }
            if found.len() == filter.count {
                return Ok((found, Some(entry.position + 1)));
            }
            found.push((entry.salt_id, one));
        }
        before = first;
        scanned += span;
        if scanned >= SCANNED_RECORDS_MAX && before > 1 {
            return Ok((found, Some(before)));
        }
    }
    Ok((found, None))
}

/// The record as this caller may see it. An access that touched several patients names to each only that one,
/// and not the resources, which would tell of the others. A query may name patients that it did not find, so
/// it is for those who see everything.
fn visible_part(mut record: Record, visibility: &Visibility) -> Option<Record> {
    let Visibility::Compartments(own) = visibility else { return Some(record) };
    let touched = record.patients.len();
    record.patients.retain(|patient| own.iter().any(|id| id.as_str() == patient));
    if record.patients.is_empty() {
        return None;
    }
    record.query = None;
    if record.patients.len() < touched {
        record.resources.clear();
    }
    Some(record)
}

fn next_link(own: &str, query: &str, next: u64) -> Answered<String> {
    let mut pairs = pairs(query)?;
    pairs.retain(|(name, _)| name != PAGE);
    pairs.push((PAGE.to_owned(), next.to_string()));
    Ok(format!("{own}?{}", render_query(&pairs)))
}

fn render(key: &ResourceKey, record: &Record, observer: &str) -> Answered<Vec<u8>> {
    let event = AuditEvent {
        id: key.id.as_str().to_owned(),
        recorded: Instant::from_micros(record.at_us).to_string(),
        interaction: interaction(&record.interaction),
        outcome: match record.status {
            0 => AuditOutcome::Success,
            500.. => AuditOutcome::SeriousFailure,
            _ => AuditOutcome::MinorFailure,
        },
        user: record.subject.clone(),
        role: record.role.clone(),
        client: record.client.clone().unwrap_or_else(|| "unknown".to_owned()),
        address: String::new(),
        observer: observer.to_owned(),
        request_id: record.request_id.clone(),
        resources: record.resources.clone(),
        patients: record.patients.iter().map(|id| format!("Patient/{id}")).collect(),
        query: record.query.clone(),
    };
    audit_event_json(&event).map_err(|error| {
        tracing::error!(cause = %error, "an AuditEvent cannot be rendered");
        Fault::new(FaultKind::Internal, "an access record cannot be rendered")
    })
}

fn interaction(word: &str) -> AuditInteraction {
    match word {
        "read" => AuditInteraction::Read,
        "vread" => AuditInteraction::VersionRead,
        "history" => AuditInteraction::History,
        "search" => AuditInteraction::Search,
        "create" => AuditInteraction::Create,
        "update" => AuditInteraction::Update,
        "patch" => AuditInteraction::Patch,
        "delete" => AuditInteraction::Delete,
        "transaction" | "message" => AuditInteraction::Transaction,
        _ => AuditInteraction::Operation,
    }
}

/// Records opened at a time while looking.
const SCAN_RECORDS: usize = 512;
/// Records looked at for one page; what lies further back is behind its `next` link.
const SCANNED_RECORDS_MAX: usize = 32 * 1024;
