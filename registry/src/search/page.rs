//! One page of a search, and the ids that a conditional query finds.
//!
//! A search in several types is one search a type, in the same order: a place compares across types, as rows have
//! numbers of their own. Each leg brings a page, and the first of all are the page.

use std::collections::HashMap;

use fhir::{ResourceId, ResourceType};
use policy::Permit;

use super::ask::{Cell, Connection, Row, int};
use super::at_once::{self, Taken};
use super::by_content;
use super::clause::{Leg, SearchQuery, Total};
use super::condition::Condition;
use super::criteria::Criteria;
use super::cursor::{self, Start};
use super::hits::{self, Loaded};
use super::include;
use super::matching::{Matching, Plan};
use super::order::{Order, Place};
use super::resolve::{Limits, Resolver};
use super::scope::Scope;
use super::sql::{Bind, Sql};
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
    by_content::expect_none(query)?;
    let scope = Scope::resolve(permit, key, connection).await?;
    let resolver = Resolver { scope: &scope, key, limits };
    let legs = conditions(query, &resolver, connection).await?;
    let planned = plans(&legs, &scope, connection).await?;
    page(query, &planned, &scope, key, connection).await
}

/// The page that planned legs make.
pub(super) async fn page<C: Connection>(
    query: &SearchQuery,
    planned: &[Planned<'_>],
    scope: &Scope,
    key: &IndexKey,
    connection: &mut C,
) -> Result<Page, ReadError> {
    if query.count == 0 {
        let total = count(planned, None, connection).await?;
        return Ok(Page { total: Some(total), ..Page::default() });
    }
    let start = cursor::start(query, key)?;
    let matches = match at_once::take(query, planned, start.as_ref(), connection).await? {
        Some(mut taken) => {
            let included = taken.included.take();
            let mut matches = Matches::taken(taken, query, start.as_ref());
            if query.total == Total::Accurate {
                let cut = &matches.cut;
                matches.total = total(query, planned, cut, start.is_none(), connection).await?;
            }
            if let Some(included) = included {
                return Ok(matches.page(included, query, key));
            }
            matches
        }
        None => {
            let cut = slice(query, planned, start.as_ref(), connection).await?;
            let total = total(query, planned, &cut, start.is_none(), connection).await?;
            let loaded = load(&cut.found, scope, connection).await?;
            Matches { cut: cut.map(|(_, place)| place), loaded, total }
        }
    };
    let included = include::included(&matches.loaded, query, scope, connection).await?;
    Ok(matches.page(included, query, key))
}

/// The matches that one page holds.
#[derive(Clone)]
pub struct Matches {
    cut: Cut<Place>,
    pub(super) loaded: Vec<Loaded>,
    total: Option<u64>,
}

impl Matches {
    /// From what one statement brought.
    pub(super) fn taken(taken: Taken, query: &SearchQuery, start: Option<&Start>) -> Self {
        let Taken { found, counted, included: _ } = taken;
        let Cut { found, more_before, more_after } = Cut::of(found, query, start);
        let (found, loaded): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let total = match query.total {
            Total::None => None,
            _ if start.is_none() && !more_after => u64::try_from(found.len()).ok(),
            _ => counted,
        };
        Self { cut: Cut { found, more_before, more_after }, loaded, total }
    }

    pub(super) fn page(self, included: Vec<Loaded>, query: &SearchQuery, key: &IndexKey) -> Page {
        let Self { cut, loaded, total } = self;
        let hit = |mode: HitMode| move |loaded: Loaded| Hit { mode, version: loaded.version };
        let hits = loaded.into_iter().map(hit(HitMode::Match));
        let link = |place: Option<&Place>, backwards: bool| -> Option<Cursor> {
            let start = Start { place: place?.clone(), backwards };
            Some(cursor::seal(&start, query, key))
        };
        let places = cut.found.iter().filter(|_| query.each_place);
        let places = places.filter_map(|found| link(Some(found), false)).collect();
        Page {
            places,
            hits: hits.chain(included.into_iter().map(hit(HitMode::Include))).collect(),
            total,
            next: link(cut.found.last().filter(|_| cut.more_after), false),
            previous: link(cut.found.first().filter(|_| cut.more_before), true),
        }
    }
}

/// The conditions of each leg that the caller may search and that may find something.
pub(super) async fn conditions<'a, C: Connection>(
    query: &'a SearchQuery,
    resolver: &Resolver<'_>,
    connection: &mut C,
) -> Result<Vec<(&'a Leg, Vec<Condition>)>, ReadError> {
    let mut permitted = Vec::with_capacity(query.legs.len());
    for leg in &query.legs {
        match resolver.scope.require(leg.resource_type) {
            Ok(()) => permitted.push(leg),
            Err(_) if query.implied => {}
            Err(error) => return Err(error),
        }
    }
    if permitted.is_empty() {
        return Err(ReadError::Forbidden("searching is not permitted in any type".into()));
    }
    if permitted.len() > 1 {
        let existing = existing(&permitted, resolver.scope, connection).await?;
        permitted.retain(|leg| existing.contains(&i64::from(leg.resource_type.code())));
    }
    let mut legs = Vec::with_capacity(permitted.len());
    for leg in permitted {
        let of = leg.resource_type;
        legs.push((leg, resolver.conditions(of, &leg.filters, connection).await?));
    }
    Ok(legs)
}

/// Codes of the types that have a visible resource.
async fn existing<C: Connection>(
    legs: &[&Leg],
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<i64>, ReadError> {
    let mut sql = Sql::new(C::DIALECT, scope);
    let types = legs.iter().map(|leg| i64::from(leg.resource_type.code())).collect();
    sql.push("select j.value").each(Bind::Ints(types));
    sql.push(" where exists (select 1 from resource r").indexed_by("resource_by_type");
    sql.push(" where r.type = j.value and r.deleted = 0").visible_whatever("r").push(")");
    let rows = connection.ask(sql.finish()).await?;
    Ok(rows.iter().map(|row| int(row, 0)).collect())
}

/// One leg, ready to be asked.
pub(super) struct Planned<'a> {
    pub(super) order: Order,
    pub(super) matching: Matching<'a>,
    pub(super) plan: Plan,
}

/// Chooses what leads each leg.
pub(super) async fn plans<'a, C: Connection>(
    legs: &'a [(&'a Leg, Vec<Condition>)],
    scope: &'a Scope,
    connection: &mut C,
) -> Result<Vec<Planned<'a>>, ReadError> {
    let mut planned = Vec::with_capacity(legs.len());
    for (leg, conditions) in legs {
        let matching = Matching { of: leg.resource_type, conditions, scope };
        let order = Order::of(&leg.sort);
        let plan = matching.plan(order.reads_by_default(), connection).await?;
        planned.push(Planned { order, matching, plan });
    }
    Ok(planned)
}

/// What one page holds, and whether there is more.
#[derive(Clone)]
struct Cut<T> {
    found: Vec<T>,
    more_before: bool,
    more_after: bool,
}

impl<T> Cut<T> {
    fn map<U>(self, each: impl FnMut(T) -> U) -> Cut<U> {
        let Self { found, more_before, more_after } = self;
        Cut { found: found.into_iter().map(each).collect(), more_before, more_after }
    }

    /// Of what was found from the start on, one more than the page holds if there is more.
    fn of(mut found: Vec<T>, query: &SearchQuery, start: Option<&Start>) -> Self {
        let count = usize::try_from(query.count).unwrap_or(usize::MAX);
        let more = found.len() > count;
        found.truncate(count);
        if start.is_some_and(|start| start.backwards) {
            found.reverse();
            return Self { found, more_before: more, more_after: true };
        }
        Self { found, more_before: start.is_some(), more_after: more }
    }
}

async fn slice<C: Connection>(
    query: &SearchQuery,
    legs: &[Planned<'_>],
    start: Option<&Start>,
    connection: &mut C,
) -> Result<Cut<(ResourceType, Place)>, ReadError> {
    let backwards = start.is_some_and(|start| start.backwards);
    let count = usize::try_from(query.count).unwrap_or(usize::MAX);
    let after = start.map(|start| &start.place);
    let mut places: Vec<(ResourceType, Place)> = Vec::new();
    for leg in legs {
        let order = if backwards { leg.order.turned() } else { leg.order.clone() };
        let found = leg.matching.places(&leg.plan, &order, after, count + 1, connection).await?;
        places.extend(found.into_iter().map(|place| (leg.matching.of, place)));
        if legs.len() > 1 {
            places.sort_by(|(_, a), (_, b)| order.compare(a, b));
            places.truncate(count + 1);
        }
    }
    Ok(Cut::of(places, query, start))
}

/// The versions at these places, type by type, put back in order.
async fn load<C: Connection>(
    places: &[(ResourceType, Place)],
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<Loaded>, ReadError> {
    let mut by_type: Vec<(ResourceType, Vec<i64>)> = Vec::new();
    for (of, place) in places {
        match by_type.iter_mut().find(|(known, _)| known == of) {
            Some((_, rids)) => rids.push(place.rid),
            None => by_type.push((*of, vec![place.rid])),
        }
    }
    if let [(of, rids)] = &by_type[..] {
        return hits::load(*of, rids, scope, connection).await;
    }
    let mut loaded = HashMap::new();
    for (of, rids) in by_type {
        let found = hits::load(of, &rids, scope, connection).await?;
        loaded.extend(found.into_iter().map(|one| (one.rid, one)));
    }
    Ok(places.iter().filter_map(|(_, place)| loaded.remove(&place.rid)).collect())
}

/// The total, as exact as asked, or where it costs next to nothing.
async fn total<C: Connection>(
    query: &SearchQuery,
    legs: &[Planned<'_>],
    slice: &Cut<impl Sized>,
    first: bool,
    connection: &mut C,
) -> Result<Option<u64>, ReadError> {
    if query.total == Total::None {
        return Ok(None);
    }
    if first && !slice.more_after {
        return Ok(u64::try_from(slice.found.len()).ok());
    }
    if query.total == Total::Accurate {
        return count(legs, None, connection).await.map(Some);
    }
    let is_cheap = |leg: &Planned<'_>| leg.plan.counts_cheaply(leg.matching.conditions.len());
    if legs.len() > CHEAP_LEGS_MAX || !legs.iter().all(is_cheap) {
        return Ok(None);
    }
    let total = count(legs, Some(CHEAP_TOTAL_MAX), connection).await?;
    Ok((total < CHEAP_TOTAL_MAX).then_some(total))
}

/// Number of matches of all legs; counting stops at `most`.
async fn count<C: Connection>(
    legs: &[Planned<'_>],
    most: Option<u64>,
    connection: &mut C,
) -> Result<u64, ReadError> {
    let mut total = 0;
    for leg in legs {
        total += leg.matching.count(&leg.plan, most, connection).await?;
        if most.is_some_and(|most| total >= most) {
            break;
        }
    }
    Ok(total)
}

/// Ids of the resources that match criteria, ascending, at most as many as [`Criteria::matches_max`] says.
///
/// # Errors
/// As [`run`].
pub async fn matching_ids<C: Connection>(
    criteria: &Criteria,
    permit: &Permit,
    key: &IndexKey,
    connection: &mut C,
) -> Result<Vec<ResourceId>, ReadError> {
    let (of, filters) = (criteria.of(), criteria.filters());
    let scope = Scope::resolve(permit, key, connection).await?;
    let resolver = Resolver { scope: &scope, key, limits: Limits::default() };
    let conditions = resolver.conditions(of, filters, connection).await?;
    let matching = Matching { of, conditions: &conditions, scope: &scope };
    let plan = matching.plan(true, connection).await?;
    let order = Order::of(&[]);
    let places = matching.places(&plan, &order, None, criteria.matches_max(), connection).await?;
    let mut ids = ids(of, &places, &scope, connection).await?;
    ids.sort_unstable();
    Ok(ids)
}

/// Ids at these places, without what the resources hold.
async fn ids<C: Connection>(
    of: ResourceType,
    places: &[Place],
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<ResourceId>, ReadError> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(C::DIALECT, scope);
    sql.push("select r.id").each(Bind::Ints(places.iter().map(|place| place.rid).collect()));
    sql.beside("resource", "r", "r.rid = j.value");
    sql.push(" where r.rid = j.value and r.deleted = 0").visible("r", of);
    let rows = connection.ask(sql.finish()).await?;
    let id = |row: &Row| match &row[..] {
        [Cell::Text(id)] => ResourceId::parse(id).ok(),
        _ => None,
    };
    let ids: Option<Vec<_>> = rows.iter().map(id).collect();
    ids.ok_or_else(|| ReadError::Unavailable("malformed resource row".into()))
}

/// Resources that a conditional query finds unless it asks for more: more than one, so that a transaction which deletes or
/// changes some of them still knows whether one is left.
pub const MATCHES_MAX: usize = 16;
/// Totals up to which a total that nobody asked for is counted.
pub(super) const CHEAP_TOTAL_MAX: u64 = 100;
/// Types of a search up to which a total that nobody asked for is counted.
const CHEAP_LEGS_MAX: usize = 8;
