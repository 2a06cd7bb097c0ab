//! A page in one statement: its places, their versions and the total.
//!
//! Where each statement is a round trip, a search that one statement can answer is asked so, and needs no snapshot
//! beyond that of the statement. Not here: walked and grouped orders, long lists of ranges, several types (`page`).

use fhir::ResourceType;
use policy::Permit;

use super::ask::{Cell, Connection, Row, int};
use super::clause::{Filter, ReferenceTest, SearchQuery, Tests, Total};
use super::cursor::{self, Start};
use super::hits::{self, Current, Loaded};
use super::include_at_once;
use super::matching::{Matching, Plan};
use super::memory::Memory;
use super::one_range::{self, Ranged};
use super::order::{Order, Place};
use super::page::{self, CHEAP_TOTAL_MAX, Matches, Planned};
use super::plan::{Candidate, Lead};
use super::presence::is_presence;
use super::resolve::{Limits, Resolver, has_hops};
use super::scope::Scope;
use super::sql::Sql;
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::page::Page;

/// What one statement brought: places in order, one more than the page holds if there are more.
pub(super) struct Taken {
    pub(super) found: Vec<(Place, Loaded)>,
    /// Matches of the whole search, if they were counted.
    pub(super) counted: Option<u64>,
    /// What the page includes, if the statement brought it.
    pub(super) included: Option<Vec<Loaded>>,
}

/// Answers a search without a snapshot, if one statement makes its page; `None` if it needs several.
///
/// # Errors
/// As [`page::run`].
pub async fn run_at_once<C: Connection>(
    query: &SearchQuery,
    permit: &Permit,
    key: &IndexKey,
    connection: &mut C,
) -> Result<Option<Page>, ReadError> {
    if !C::ROUND_TRIPS || query.opens() || !is_plain(query) {
        return Ok(None);
    }
    let scope = Scope::resolve(permit, key, connection).await?;
    let resolver = Resolver { scope: &scope, key, limits: Limits::default() };
    let legs = page::conditions(query, &resolver, connection).await?;
    let [(leg, conditions)] = &legs[..] else { return Ok(None) };
    let matching = Matching { of: leg.resource_type, conditions, scope: &scope };
    if matching.has_long_list() {
        return Ok(None);
    }
    let order = Order::of(&leg.sort);
    let start = cursor::start(query, key)?;
    if !query.includes.is_empty() && connection.memory().is_none() {
        return Ok(None);
    }
    let planned =
        match one_range::take(query, &matching, &order, start.as_ref(), connection).await? {
            Ranged::Page(taken) => {
                let matches = Matches::taken(taken, query, start.as_ref());
                return Ok(Some(matches.page(Vec::new(), query, key)));
            }
            Ranged::Large => {
                let plan = matching.streamed(Candidate::whole_type(), connection).await?;
                vec![Planned { order, matching, plan }]
            }
            Ranged::InOrder(leads) => {
                vec![Planned { order, matching, plan: Plan { leads, small: false } }]
            }
            Ranged::None => page::plans(&legs, &scope, connection).await?,
        };
    if planned.iter().any(|leg| !fits(leg, None)) {
        return Ok(None);
    }
    page::page(query, &planned, &scope, key, connection).await.map(Some)
}

/// Whether nothing but the resources of one type has to be looked at.
fn is_plain(query: &SearchQuery) -> bool {
    let [leg] = &query.legs[..] else { return false };
    query.count > 0
        && query.total != Total::Accurate
        && include_at_once::can_be(query, &Order::of(&leg.sort))
        && query.revincludes.is_empty()
        && !is_presence(&leg.filters)
        && !leg.filters.iter().any(|filter| has_hops(filter) || is_tree(filter))
}

/// Whether a reference is asked for with what is below or above it, which is looked up first.
fn is_tree(filter: &Filter) -> bool {
    match filter {
        Filter::Value { tests: Tests::Reference(tests), .. } => {
            tests.iter().any(|test| matches!(test, ReferenceTest::Tree(..)))
        }
        Filter::Any(several) | Filter::All(several) => several.iter().any(is_tree),
        Filter::Not(inner) => is_tree(inner),
        _ => false,
    }
}

/// Whether the places of a leg are one statement.
fn fits(leg: &Planned<'_>, after: Option<&Place>) -> bool {
    leg.plan.leads.len() <= LEADS_MAX
        && leg.matching.walk(&leg.plan, &leg.order, after).is_none()
        && leg.matching.front(&leg.plan, &leg.order).is_none()
}

/// The first `count` matches after a place with their versions, and the total where that is cheap; `None` where one
/// statement cannot tell.
pub(super) async fn take<C: Connection>(
    query: &SearchQuery,
    legs: &[Planned<'_>],
    start: Option<&Start>,
    connection: &mut C,
) -> Result<Option<Taken>, ReadError> {
    let ([leg], true) = (legs, C::ROUND_TRIPS) else { return Ok(None) };
    let after = start.map(|start| &start.place);
    if !fits(leg, after) {
        return Ok(None);
    }
    if leg.plan.leads.is_empty() {
        let included = Some(Vec::new());
        return Ok(Some(Taken { found: Vec::new(), counted: Some(0), included }));
    }
    let order = turned(&leg.order, start);
    let memory = connection.memory();
    let together = memory.is_some()
        && !query.includes.is_empty()
        && query.revincludes.is_empty()
        && include_at_once::can_be(query, &order);
    let brief = together || memory.as_ref().is_some_and(|memory| memory.pays());
    let scope = leg.matching.scope;
    let mut sql = Sql::new(C::DIALECT, scope);
    if together {
        sql.push(
            "with p (nsort, rid, khash, version, updated_us, change, total) as materialized (",
        );
    }
    columns(&mut sql, &order, brief);
    let counts =
        query.total == Total::Cheap && leg.plan.counts_cheaply(leg.matching.conditions.len());
    sql.push(", ");
    if counts {
        leg.matching.total(&mut sql, &leg.plan);
    } else {
        sql.push("null::bigint");
    }
    sql.push(" from (");
    leg.matching.places_of(&mut sql, &leg.plan, &order, after, limit(query));
    versions(&mut sql, leg.matching.of, brief);
    if together {
        let includes = include_at_once::effective(query, leg.matching.of, scope);
        include_at_once::close(&mut sql, &includes, &order, query.count);
    }
    let rows = connection.ask(sql.finish()).await?;
    let (rows, also) = if together { include_at_once::parted(rows) } else { (rows, Vec::new()) };
    let counted = rows.first().and_then(|row| match row.last() {
        Some(Cell::Int(total)) => u64::try_from(*total).ok(),
        _ => None,
    });
    let counted = counted.filter(|total| *total < CHEAP_TOTAL_MAX);
    let found = gather(rows, &order, brief, memory.as_deref(), connection).await?;
    let included = match memory {
        Some(memory) if together => {
            let first = found.iter().take(usize::try_from(query.count).unwrap_or(usize::MAX));
            let matches = first.map(|(place, _)| place.rid).collect();
            Some(include_at_once::loaded(&also, &matches, &memory, connection).await?)
        }
        _ => None,
    };
    Ok(Some(Taken { found, counted, included }))
}

/// `select …` of the places and their versions, `brief` if only which they are, up to the column that counts.
pub(super) fn columns(sql: &mut Sql<'_>, order: &Order, brief: bool) {
    sql.push("select m.nsort, m.rid");
    for at in 0..order.keys.len() {
        sql.push(&format!(", m.k{at}"));
    }
    sql.push(", ").push(if brief { hits::CURRENT } else { hits::COLUMNS });
}

/// The versions of the places before.
pub(super) fn versions(sql: &mut Sql<'_>, of: ResourceType, brief: bool) {
    sql.push(") m").beside("resource", "r", "r.rid = m.rid");
    if brief {
        sql.push(" where r.rid = m.rid and r.deleted = 0");
    } else {
        sql.beside("resource_version", "v", "v.change = r.change");
        sql.push(" where r.rid = m.rid and r.deleted = 0 and v.change = r.change");
    }
    sql.visible("r", of);
}

/// One more than the page holds.
pub(super) fn limit(query: &SearchQuery) -> i64 {
    i64::from(query.count) + 1
}

pub(super) fn turned(order: &Order, start: Option<&Start>) -> Order {
    if start.is_some_and(|start| start.backwards) { order.turned() } else { order.clone() }
}

/// Places and versions in order, from rows with one more column behind.
pub(super) async fn gather<C: Connection>(
    rows: Vec<Row>,
    order: &Order,
    brief: bool,
    memory: Option<&Memory>,
    connection: &mut C,
) -> Result<Vec<(Place, Loaded)>, ReadError> {
    let mut places = Vec::with_capacity(rows.len());
    let mut stored = Vec::with_capacity(rows.len());
    for mut row in rows {
        row.pop();
        let mut version = row.split_off((2 + order.keys.len()).min(row.len()));
        version.insert(0, Cell::Int(int(&row, 1)));
        places.push(Place::of_row(row));
        stored.push(version);
    }
    let loaded = match memory {
        Some(memory) if brief => {
            let current: Vec<_> = stored.iter().map(|row| Current::of_row(row)).collect();
            hits::remembered(&current, memory, connection).await?
        }
        memory => hits::loaded(stored, memory)?,
    };
    let mut found: Vec<_> = places.into_iter().zip(loaded).collect();
    found.sort_by(|(a, _), (b, _)| order.compare(a, b));
    Ok(found)
}

pub(super) fn malformed() -> ReadError {
    ReadError::Unavailable("malformed resource row".into())
}

impl Matching<'_> {
    /// Writes the places of all leads, each once, in order, at most `count`.
    fn places_of(
        &self,
        sql: &mut Sql<'_>,
        plan: &Plan,
        order: &Order,
        after: Option<&Place>,
        count: i64,
    ) {
        if order.is_default() {
            self.streamed_places(sql, plan, order, after, count);
            return;
        }
        sql.push("select m.* from (");
        for (at, lead) in plan.leads.iter().enumerate() {
            sql.push(if at == 0 {
                "select d.nsort, d.rid"
            } else {
                " union all select d.nsort, d.rid"
            });
            order.key_columns(sql);
            self.body(sql, lead);
        }
        sql.push(") m");
        if let Some(after) = after {
            order.after_keys(sql, after);
        }
        sql.push(" group by m.nsort, m.rid");
        for at in 0..order.keys.len() {
            sql.push(&format!(", m.k{at}"));
        }
        order.by_keys(sql);
        sql.push(" limit ").int(count);
    }

    /// In the default order no lead is read further than the page reaches.
    fn streamed_places(
        &self,
        sql: &mut Sql<'_>,
        plan: &Plan,
        order: &Order,
        after: Option<&Place>,
        count: i64,
    ) {
        let several = plan.leads.len() > 1;
        if several {
            sql.push("select d.nsort, d.rid from (");
        }
        for (at, lead) in plan.leads.iter().enumerate() {
            sql.push(match (several, at) {
                (false, _) => "",
                (true, 0) => "(",
                (true, _) => " union all (",
            });
            self.streamed_lead(sql, lead, order, after, count);
            sql.push(if several { ")" } else { "" });
        }
        if several {
            sql.push(") d group by d.nsort, d.rid");
            order.by_default(sql);
            sql.push(" limit ").int(count);
        }
    }

    fn streamed_lead(
        &self,
        sql: &mut Sql<'_>,
        lead: &Lead,
        order: &Order,
        after: Option<&Place>,
        count: i64,
    ) {
        sql.push("select d.nsort, d.rid");
        lead.arm.lead(sql, self.of);
        Self::bounds(sql, lead);
        if let Some(after) = after {
            order.after_default(sql, after, false);
        }
        self.probes(sql, lead);
        if !lead.arm.is_distinct() {
            sql.push(" group by d.nsort, d.rid");
        }
        order.by_default(sql);
        sql.push(" limit ").int(count);
    }

    /// Writes the number of matches of the one lead as an expression; counting stops where a total is not cheap.
    fn total(&self, sql: &mut Sql<'_>, plan: &Plan) {
        let Some(lead) = plan.leads.first() else { return };
        sql.push("(select count(*) from (select 1");
        self.body(sql, lead);
        if !lead.arm.is_distinct() {
            sql.push(" group by d.nsort, d.rid");
        }
        sql.push(" limit ").int(i64::try_from(CHEAP_TOTAL_MAX).unwrap_or(i64::MAX)).push(") n)");
    }
}

/// Leads that one statement holds.
pub(super) const LEADS_MAX: usize = 8;
