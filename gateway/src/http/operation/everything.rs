//! `Patient/[id]/$everything` and `Encounter/[id]/$everything` (FHIR R4 patient-operation-everything.html,
//! encounter-operation-everything.html).
//!
//! The resource, all that is in its compartment, and what those refer to (marked as included; on each page that needs
//! it). `start` and `end` are about when care was given, `_since` about when it was recorded. Pages by `_cursor`.
//! Not here: which resources are members (`members`), who may ask (`policy`).

use std::collections::BTreeSet;

use actix_web::web::Payload;
use bytes::Bytes;
use fhir::{
    Instant, Issue, IssueType, OperationOutcome, ParsedReference, ResourceKey, ResourceType,
    Severity, TimeRange, Tree, Value,
};
use futures::StreamExt;
use policy::{AccessRequest, Operation, OperationTarget, Permit, TypeSet};
use registry::page::{Cursor, HitMode, StoredVersion};

use super::input::Input;
use super::members::{Member, Members};
use crate::access::{self, Access};
use crate::error::{Answered, Fault, FaultKind};
use crate::http::bundle::Writer;
use crate::http::call::Call;
use crate::http::left_out;
use crate::http::reply::{self, Reply};
use crate::telemetry::metrics::Interaction;

/// Everything of a patient.
///
/// # Errors
/// 400, 401, 403, 404, 410, 503.
pub(super) async fn of_patient(call: Call, payload: Payload) -> Reply {
    everything(call, payload, ResourceType::PATIENT).await
}

/// Everything of an encounter.
///
/// # Errors
/// As [`of_patient`].
pub(super) async fn of_encounter(call: Call, payload: Payload) -> Reply {
    everything(call, payload, ResourceType::ENCOUNTER).await
}

async fn everything(call: Call, payload: Payload, of: ResourceType) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    let key = super::instance(&call, Some(of))?;
    let target = OperationTarget::Instance(key.clone());
    let request = AccessRequest::Operation { operation: Operation::Everything, target };
    let (principal, permit) = call.permit(&request).await?;
    let input = Input::read(&call, payload).await?;
    let asked = Asked::of(&input, &call)?;
    let access = Access::of(&principal, Interaction::Operation, &call.request_id)
        .on(key.clone())
        .query(call.query());
    let found = call.app.store.read(&permit, &key).await?;
    let status = match &found {
        None => 404,
        Some(stored) if stored.is_tombstone() => 410,
        Some(_) => 200,
    };
    let Some(own) = found.filter(|_| status == 200) else {
        access::record(&call.app, access.refused(status)).await?;
        return Err(if status == 410 { reply::gone() } else { Fault::not_found() });
    };
    let gathered = gather(&call, &permit, &asked, &key, own).await?;
    let left_out = left_out(of, &asked, &gathered, &permit);
    answer(&call, &input, gathered, left_out, access).await
}

/// Which types of the compartment, and of what its members refer to, the caller's scopes leave out.
pub(super) fn left_out(
    of: ResourceType,
    asked: &Asked,
    page: &Gathered,
    permit: &Permit,
) -> Option<Issue> {
    let members = fhir::compartment_members(of).chain([of]);
    let members = members.filter(|of| asked.types.contains(*of));
    left_out::told(members.chain(page.hidden.iter()), permit)
}

/// The parameters.
pub(super) struct Asked {
    pub(super) care: TimeRange,
    pub(super) since: Option<Instant>,
    pub(super) types: TypeSet,
    pub(super) count: usize,
    pub(super) cursor: Option<Cursor>,
}

impl Asked {
    pub(super) fn of(input: &Input, call: &Call) -> Answered<Self> {
        input.expect_only(&["start", "end", "_since", "_type", "_count", CURSOR])?;
        let mut care = TimeRange::ALL;
        if let Some(start) = input.parsed("start", TimeRange::parse)? {
            care.lo_us = start.lo_us;
        }
        if let Some(end) = input.parsed("end", TimeRange::parse)? {
            care.hi_us = end.hi_us;
        }
        let mut types = TypeSet::NONE;
        for name in input.texts("_type").flat_map(|list| list.split(',')) {
            let wrong = |why: &str| {
                Fault::new(FaultKind::Invalid, format!("_type: {why}")).in_parameter("_type")
            };
            let of =
                ResourceType::parse_stored(name.trim()).map_err(|why| wrong(&why.to_string()))?;
            if of == ResourceType::AUDIT_EVENT {
                return Err(wrong(
                    "AuditEvent is rendered from the access journal: search it by its own type",
                ));
            }
            types.insert(of);
        }
        let limits = &call.app.config.search;
        let count = input.parsed("_count", |text| text.parse::<u32>().ok())?;
        let count = count.unwrap_or(limits.count_max).clamp(1, limits.count_max);
        Ok(Self {
            care,
            since: input.parsed("_since", |text| {
                let exact = Instant::parse(text).ok();
                exact.or_else(|| TimeRange::parse(text).map(|one| Instant::from_micros(one.lo_us)))
            })?,
            types: if types.is_empty() { TypeSet::all() } else { types },
            count: count as usize,
            cursor: input.parsed(CURSOR, Cursor::decode)?,
        })
    }

    pub(super) fn wants(&self, stored: &StoredVersion) -> bool {
        self.types.contains(stored.key.resource_type)
            && self.since.is_none_or(|since| stored.updated >= since)
    }

    /// Whether care was given in the time asked for; what has no time is not left out.
    pub(super) fn is_in_time(&self, tree: &Tree, of: ResourceType) -> bool {
        if self.care == TimeRange::ALL {
            return true;
        }
        let param = fhir::sort_param(of).map(fhir::search_param_by_id);
        let Some(param) = param else { return true };
        let mut extracted = Vec::new();
        fhir::extract(tree.root(), of, "", &mut extracted);
        let mut times = fhir::values_of(param, &extracted).filter_map(|value| match value {
            Value::Date(range) => Some(range),
            _ => None,
        });
        let overlaps =
            |time: &TimeRange| time.lo_us < self.care.hi_us && time.hi_us > self.care.lo_us;
        match times.next() {
            None => true,
            Some(first) => overlaps(first) || times.any(overlaps),
        }
    }
}

/// One page.
pub(super) struct Gathered {
    pub(super) hits: Vec<(StoredVersion, Bytes, HitMode)>,
    pub(super) next: Option<Cursor>,
    pub(super) is_whole: bool,
    /// References to what was left out, since there are too many for one page.
    pub(super) left_out: usize,
    /// Types of what the page refers to and the caller may not see.
    pub(super) hidden: TypeSet,
}

impl Gathered {
    /// An empty page.
    pub(super) fn begin(asked: &Asked) -> Self {
        let (is_whole, hidden) = (asked.cursor.is_none(), TypeSet::NONE);
        Self { hits: Vec::new(), next: None, is_whole, left_out: 0, hidden }
    }
}

async fn gather(
    call: &Call,
    permit: &Permit,
    asked: &Asked,
    key: &ResourceKey,
    own: StoredVersion,
) -> Answered<Gathered> {
    let mut page = Gathered::begin(asked);
    let mut referred = BTreeSet::new();
    let mut bytes = 0;
    if asked.cursor.is_none() && asked.wants(&own) {
        let body = call.app.payloads.open(&own).await?;
        note_references(&parse(&body)?, &call.bases(), &mut referred);
        bytes += body.len();
        page.hits.push((own, body, HitMode::Match));
    }
    let members = Members { call, permit, of: key, types: asked.types, since: asked.since };
    let mut place = asked.cursor.clone().filter(|place| place.0 != AFTER_OWN);
    let mut looked = 0;
    'all: loop {
        let (found, more) = members.after(place.as_ref(), asked.count).await?;
        let versions: Vec<StoredVersion> = found.iter().map(|one| one.version.clone()).collect();
        call.app.payloads.fetch(&versions).await?;
        for Member { version, place: after } in found {
            let is_full = page.hits.len() >= asked.count
                || bytes > PAGE_BYTES_MAX
                || looked >= LOOKS_MAX
                || referred.len() > REFERRED_MAX;
            if is_full {
                // Before the first member the page goes on after the resource itself.
                page.next = place.or_else(|| Some(Cursor(AFTER_OWN.to_vec())));
                break 'all;
            }
            looked += 1;
            let body = call.app.payloads.open_listed(&version).await?;
            let tree = parse(&body)?;
            if asked.is_in_time(&tree, version.key.resource_type) {
                note_references(&tree, &call.bases(), &mut referred);
                bytes += body.len();
                page.hits.push((version, body, HitMode::Match));
            }
            place = Some(after);
        }
        if !more {
            break;
        }
    }
    page.is_whole &= page.next.is_none();
    include(call, permit, asked, Some(key), referred, &mut page).await?;
    Ok(page)
}

/// Adds what the page refers to and is no member itself.
pub(super) async fn include(
    call: &Call,
    permit: &Permit,
    asked: &Asked,
    of: Option<&ResourceKey>,
    mut referred: BTreeSet<ResourceKey>,
    page: &mut Gathered,
) -> Answered<()> {
    for (version, ..) in &page.hits {
        referred.remove(&version.key);
    }
    if let Some(of) = of {
        referred.remove(of);
    }
    referred.retain(|key| asked.types.contains(key.resource_type));
    let types: TypeSet = referred.iter().map(|key| key.resource_type).collect();
    page.hidden = types.difference(permit.included_types());
    page.left_out = referred.len().saturating_sub(INCLUDES_MAX);
    let reads = referred.into_iter().take(INCLUDES_MAX).map(async |key| {
        let found = call.app.store.read(permit, &key).await?;
        let Some(stored) = found.filter(|stored| !stored.is_tombstone()) else { return Ok(None) };
        let body = call.app.payloads.open_listed(&stored).await?;
        // A member comes as a match, on its own page.
        let patients = call.app.payloads.patients(&stored);
        let is_member = match of {
            Some(of) => of.resource_type == ResourceType::PATIENT && patients.contains(&of.id),
            None => !patients.is_empty(),
        };
        Ok::<_, Fault>((!is_member).then_some((stored, body, HitMode::Include)))
    });
    let mut reads = futures::stream::iter(reads).buffered(READS_PARALLEL_MAX);
    while let Some(read) = reads.next().await {
        page.hits.extend(read?);
    }
    Ok(())
}

pub(super) async fn answer(
    call: &Call,
    input: &Input,
    page: Gathered,
    left_out: Option<Issue>,
    mut access: Access,
) -> Reply {
    let base = call.base();
    let own = call.url();
    let kept = input.pairs().iter().filter(|(name, _)| name != CURSOR).cloned();
    let mut pairs: Vec<(String, String)> = kept.collect();
    let link = |pairs: &[(String, String)]| match pairs {
        [] => own.clone(),
        pairs => format!("{own}?{}", registry::search::render(pairs)),
    };
    let matches = page.hits.iter().filter(|(.., mode)| *mode == HitMode::Match).count();
    let mut out = Writer::new("searchset", page.is_whole.then_some(matches as u64));
    out.link("self", &call.linked(&link(input.pairs())));
    if let Some(next) = &page.next {
        pairs.push((CURSOR.to_owned(), next.encode()));
        out.link("next", &call.linked(&link(&pairs)));
    }
    for (version, body, mode) in &page.hits {
        access.saw(&call.app.payloads, version);
        out.hit(&base, &version.key, *mode, body);
        out.expect_bounded()?;
    }
    let mut issues = Vec::from_iter(left_out);
    if page.left_out > 0 {
        let text = format!(
            "{} resources that those of this page refer to were left out; read them by their references",
            page.left_out
        );
        let code = IssueType::Incomplete;
        issues.push(Issue { severity: Severity::Warning, code, text, expression: None });
    }
    if !issues.is_empty() {
        out.outcome(&OperationOutcome::render(&issues, Some(&call.request_id)));
    }
    access::record(&call.app, access).await?;
    Ok(reply::json(call, 200, out.finish()))
}

pub(super) fn parse(body: &Bytes) -> Answered<Tree> {
    Tree::parse(body.to_vec()).map_err(|_| {
        tracing::error!("a stored resource does not parse");
        Fault::new(FaultKind::Internal, "a stored resource is damaged")
    })
}

pub(super) fn note_references(tree: &Tree, base: &str, referred: &mut BTreeSet<ResourceKey>) {
    for at in fhir::references(tree.root()) {
        if let ParsedReference::Local { key, .. } = ParsedReference::parse(&at.text, base) {
            referred.insert(key);
        }
    }
}

const CURSOR: &str = registry::search::CURSOR;
/// Content of one page, without what it refers to.
pub(super) const PAGE_BYTES_MAX: usize = 16 << 20;
/// Members that one page looks at when a time leaves most of them out.
pub(super) const LOOKS_MAX: usize = 10_000;
/// Resources that one page adds because it refers to them.
/// Where a page goes on that had room for the resource itself only.
const AFTER_OWN: &[u8] = b"everything/after-own";
/// References beyond which a page takes no further member, so that what they refer to fits on it.
pub(super) const REFERRED_MAX: usize = 1_000;
const INCLUDES_MAX: usize = 2_000;
const READS_PARALLEL_MAX: usize = 16;
