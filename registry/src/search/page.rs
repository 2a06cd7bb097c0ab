//! One page of a search, and the ids that a conditional query finds.

use fhir::{ResourceId, ResourceType};
use policy::Permit;

use super::ask::Connection;
use super::clause::{SearchQuery, Total};
use super::cursor::{self, Start};
use super::hits::{self, Loaded};
use super::matching::{Matching, Plan};
use super::order::{Order, Place};
use super::parse::{ParseOptions, parse};
use super::resolve::{Limits, Resolver};
use super::scope::Scope;
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::page::{Cursor, Hit, HitMode, Page};

/// Answers a search. The connection must stay on one snapshot from the first statement to the last.
///
/// # Errors
/// [`ReadError::Invalid`] for a foreign cursor, [`ReadError::Forbidden`] for a type that the permit does
/// not name, [`ReadError::TooCostly`] beyond a limit, [`ReadError::Unavailable`] from the database.
pub async fn run<C: Connection>(
    query: &SearchQuery,
    permit: &Permit,
    key: &IndexKey,
    connection: &mut C,
) -> Result<Page, ReadError> {
    run_within(Limits::default(), query, permit, key, connection).await
}

/// [`run`] with limits of one's own.
pub(super) async fn run_within<C: Connection>(
    limits: Limits,
    query: &SearchQuery,
    permit: &Permit,
    key: &IndexKey,
    connection: &mut C,
) -> Result<Page, ReadError> {
    let of = query.resource_type;
    let scope = Scope::resolve(permit, key, connection).await?;
    scope.require(of)?;
    let resolver = Resolver { scope: &scope, key, limits };
    let conditions = resolver.conditions(of, &query.filters, connection).await?;
    let matching = Matching { of, conditions: &conditions, scope: &scope };
    let streamable = Order::of(&query.sort).is_default();
    let plan = matching.plan(streamable, connection).await?;
    if query.count == 0 {
        let total = matching.count(&plan, None, connection).await?;
        return Ok(Page { total: Some(total), ..Page::default() });
    }
    let start = match &query.cursor {
        Some(cursor) => Some(cursor::open(cursor, query, key)?),
        None => None,
    };
    let slice = slice(query, &matching, &plan, start.as_ref(), connection).await?;
    let total = total(query, &matching, &plan, &slice, start.is_none(), connection).await?;
    let rids: Vec<_> = slice.places.iter().map(|place| place.rid).collect();
    let matches = hits::load(of, &rids, &scope, connection).await?;
    let (includes, revincludes) = (&query.includes, &query.revincludes);
    let included = hits::included(of, &matches, includes, revincludes, &scope, connection).await?;
    let hit = |mode: HitMode| move |loaded: Loaded| Hit { mode, version: loaded.version };
    let matches = matches.into_iter().map(hit(HitMode::Match));
    let link = |place: Option<&Place>, backwards: bool| -> Option<Cursor> {
        let start = Start { place: place?.clone(), backwards };
        Some(cursor::seal(&start, query, key))
    };
    Ok(Page {
        hits: matches.chain(included.into_iter().map(hit(HitMode::Include))).collect(),
        total,
        next: link(slice.places.last().filter(|_| slice.more_after), false),
        previous: link(slice.places.first().filter(|_| slice.more_before), true),
    })
}

/// The places of one page.
struct Slice {
    places: Vec<Place>,
    more_before: bool,
    more_after: bool,
}

async fn slice<C: Connection>(
    query: &SearchQuery,
    matching: &Matching<'_>,
    plan: &Plan,
    start: Option<&Start>,
    connection: &mut C,
) -> Result<Slice, ReadError> {
    let order = Order::of(&query.sort);
    let backwards = start.is_some_and(|start| start.backwards);
    let order = if backwards { order.turned() } else { order };
    let count = usize::try_from(query.count).unwrap_or(usize::MAX);
    let after = start.map(|start| &start.place);
    let mut places = matching.places(plan, &order, after, count + 1, connection).await?;
    let more = places.len() > count;
    places.truncate(count);
    if backwards {
        places.reverse();
        return Ok(Slice { places, more_before: more, more_after: true });
    }
    Ok(Slice { places, more_before: start.is_some(), more_after: more })
}

/// The total, as exact as asked, or where it costs next to nothing.
async fn total<C: Connection>(
    query: &SearchQuery,
    matching: &Matching<'_>,
    plan: &Plan,
    slice: &Slice,
    first: bool,
    connection: &mut C,
) -> Result<Option<u64>, ReadError> {
    if query.total == Total::None {
        return Ok(None);
    }
    if first && !slice.more_after {
        return Ok(u64::try_from(slice.places.len()).ok());
    }
    if query.total == Total::Accurate {
        return matching.count(plan, None, connection).await.map(Some);
    }
    if !plan.counts_cheaply(matching.conditions.len()) {
        return Ok(None);
    }
    let total = matching.count(plan, Some(CHEAP_TOTAL_MAX), connection).await?;
    Ok((total < CHEAP_TOTAL_MAX).then_some(total))
}

/// At most [`MATCHES_MAX`] ids of the resources that match a conditional query, ascending.
///
/// # Errors
/// As [`run`]; also when the query names nothing but result parameters, or an unknown parameter.
pub async fn matching_ids<C: Connection>(
    of: ResourceType,
    query: &str,
    permit: &Permit,
    key: &IndexKey,
    connection: &mut C,
) -> Result<Vec<ResourceId>, ReadError> {
    let options = ParseOptions { base_url: "", lenient: false, now_us: 0, codes: None };
    let query = parse(of, query, &options)?;
    if query.filters.is_empty() || !query.ignored.is_empty() {
        return Err(ReadError::Invalid("a conditional query must name known parameters".into()));
    }
    let scope = Scope::resolve(permit, key, connection).await?;
    let resolver = Resolver { scope: &scope, key, limits: Limits::default() };
    let conditions = resolver.conditions(of, &query.filters, connection).await?;
    let matching = Matching { of, conditions: &conditions, scope: &scope };
    let plan = matching.plan(true, connection).await?;
    let order = Order::of(&[]);
    let places = matching.places(&plan, &order, None, MATCHES_MAX, connection).await?;
    let rids: Vec<_> = places.iter().map(|place| place.rid).collect();
    let found = hits::load(of, &rids, &scope, connection).await?;
    let mut ids: Vec<_> = found.into_iter().map(|loaded| loaded.version.key.id).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Resources that a conditional query finds at most: more than one, so that a transaction which deletes or changes some
/// of them still knows whether one is left.
pub const MATCHES_MAX: usize = 16;
/// Totals up to which a total that nobody asked for is counted.
const CHEAP_TOTAL_MAX: u64 = 250;
