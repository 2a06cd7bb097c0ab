//! `Observation/$lastn`: the newest observations of each kind (FHIR R4 observation-operation-lastn.html).
//!
//! Needs a patient (or subject) and a category or code; any other parameter of an Observation search narrows further.
//! Observations that share a coding are of one kind, those without one by their text. Those as old as the last of a
//! kind come with it. Not here: what a search parameter means (`registry::search`).

use std::collections::HashMap;

use actix_web::web::Payload;
use bytes::Bytes;
use fhir::{Issue, Node, OperationOutcome, ResourceType, Tree};
use policy::{AccessRequest, Permit};
use registry::page::{HitMode, StoredVersion};
use registry::search::{ParseOptions, SearchTarget, Total, is_of_results, parse_pairs};

use super::input::Input;
use crate::access::{self, Access};
use crate::clock;
use crate::error::{Answered, Fault, FaultKind};
use crate::http::bundle::Writer;
use crate::http::call::Call;
use crate::http::reply::{self, Reply};
use crate::http::search::remarks;
use crate::telemetry::metrics::Interaction;

/// Answers the last observations.
///
/// # Errors
/// 400, 401, 403, 503.
pub(super) async fn lastn(call: Call, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    let of = ResourceType::OBSERVATION;
    let (principal, permit) = call.permit(&AccessRequest::Search(of)).await?;
    let input = Input::read(&call, payload).await?;
    let max =
        input.parsed("max", |text| text.parse().ok().filter(|max| (1..=MAX_MAX).contains(max)));
    let max = max?.unwrap_or(1);
    let pairs = criteria(&input)?;
    let mut kinds = Kinds::default();
    let remarks = scan(&call, &permit, pairs, max, &mut kinds).await?;
    let mut access = Access::of(&principal, Interaction::Operation, &call.request_id)
        .of_type(of)
        .query(&registry::search::render(input.pairs()));
    let base = call.base();
    let found: Vec<_> = kinds.list.into_iter().flat_map(|kind| kind.found).collect();
    let mut out = Writer::new("searchset", Some(found.len() as u64));
    let own = call.url();
    let own = format!("{own}?{}", registry::search::render(input.pairs()));
    out.link("self", &call.linked(&own));
    for (version, body) in &found {
        access.saw(&call.app.payloads, version);
        out.hit(&base, &version.key, HitMode::Match, body);
        out.expect_bounded()?;
    }
    if !remarks.is_empty() {
        out.outcome(&OperationOutcome::render(&remarks, Some(&call.request_id)));
    }
    access::record(&call.app, access).await?;
    Ok(reply::json(&call, 200, out.finish()))
}

/// The search that the groups are made of.
fn criteria(input: &Input) -> Answered<Vec<(String, String)>> {
    let plain = |name: &str| name.split([':', '.']).next().unwrap_or_default().to_owned();
    let pairs: Vec<_> = input.pairs().iter().filter(|(name, _)| name != "max").cloned().collect();
    let has = |names: &[&str]| pairs.iter().any(|(name, _)| names.contains(&plain(name).as_str()));
    let refuse = |text: &str| Err(Fault::new(FaultKind::Invalid, text));
    if let Some((name, _)) = pairs.iter().find(|(name, _)| is_of_results(name)) {
        return refuse(&format!("$lastn does not do {}", plain(name)));
    }
    if !has(&["patient", "subject"]) {
        return refuse("$lastn needs patient or subject");
    }
    if !has(&["category", "code", "combo-code", "component-code"]) {
        return refuse("$lastn needs category or code");
    }
    Ok(pairs)
}

/// Looks at all that match, newest first; gives what is to be said about the search.
async fn scan(
    call: &Call,
    permit: &Permit,
    pairs: Vec<(String, String)>,
    max: usize,
    kinds: &mut Kinds,
) -> Answered<Vec<Issue>> {
    let bases = call.bases();
    let lenient = call.is_lenient();
    let options = ParseOptions { base_url: &bases, lenient, now_us: clock::now_us(), codes: None };
    let mut query = parse_pairs(ResourceType::OBSERVATION, pairs, &options)?;
    query.count = SCAN_COUNT;
    query.total = Total::None;
    let mut looked = 0;
    loop {
        let page = call.app.store.search(permit, &query).await?;
        looked += page.hits.len();
        if looked > SCAN_MAX {
            let text =
                format!("$lastn looks at most at {SCAN_MAX} observations; narrow it by date");
            return Err(Fault::new(FaultKind::Invalid, text));
        }
        let versions: Vec<_> = page.hits.into_iter().map(|hit| hit.version).collect();
        call.app.payloads.fetch(&versions).await?;
        for version in versions {
            let body = call.app.payloads.open(&version).await?;
            kinds.add(version, body, max)?;
        }
        let Some(next) = page.next else {
            return Ok(remarks(&SearchTarget::Type(ResourceType::OBSERVATION), &query, permit));
        };
        query.cursor = Some(next);
    }
}

/// Observations by kind, in the order in which a kind was first met.
#[derive(Default)]
struct Kinds {
    list: Vec<Kind>,
    by_code: HashMap<String, usize>,
}

#[derive(Default)]
struct Kind {
    found: Vec<(StoredVersion, Bytes)>,
    /// When the last of them was observed.
    last_us: Option<i64>,
}

impl Kinds {
    fn add(&mut self, version: StoredVersion, body: Bytes, max: usize) -> Answered<()> {
        let tree = Tree::parse(body.to_vec())
            .map_err(|_| Fault::new(FaultKind::Internal, "a stored resource is damaged"))?;
        let codes = codes(tree.root());
        let known = codes.iter().find_map(|code| self.by_code.get(code).copied());
        let at = known.unwrap_or_else(|| {
            self.list.push(Kind::default());
            self.list.len() - 1
        });
        for code in codes {
            self.by_code.entry(code).or_insert(at);
        }
        let kind = &mut self.list[at];
        let time = fhir::sort_time(tree.root(), ResourceType::OBSERVATION);
        let ties = time.is_some() && time == kind.last_us;
        if kind.found.len() < max || ties && kind.found.len() < MAX_MAX {
            kind.last_us = time;
            kind.found.push((version, body));
        }
        Ok(())
    }
}

/// What tells its kind: each coding, or the text when there is none.
fn codes(observation: Node<'_>) -> Vec<String> {
    let text = |node: Node<'_>, key: &str| {
        node.get(key).and_then(Node::as_str).unwrap_or_default().into_owned()
    };
    let Some(code) = observation.get("code") else { return Vec::new() };
    let codings = code.get("coding").into_iter().flat_map(Node::children);
    let codings: Vec<String> = codings
        .filter(|coding| coding.get("code").is_some())
        .map(|coding| format!("{}|{}", text(coding, "system"), text(coding, "code")))
        .collect();
    match &codings[..] {
        [] => vec![format!("text {}", text(code, "text").trim().to_lowercase())],
        _ => codings,
    }
}

/// Most observations of one kind.
const MAX_MAX: usize = 1_000;
/// Observations that one request looks at.
const SCAN_MAX: usize = 20_000;
const SCAN_COUNT: u32 = 1_000;
