//! A page in one statement, where one range holds all matches.
//!
//! Not here: pages by several conditions (`at_once`), how a large range is read in order (`in_order`).

use super::ask::{Cell, Connection, int};
use super::at_once::{LEADS_MAX, Taken, columns, gather, limit, malformed, turned, versions};
use super::clause::SearchQuery;
use super::cursor::Start;
use super::in_order::FEW_ROWS;
use super::matching::Matching;
use super::memory;
use super::order::Order;
use super::page::CHEAP_TOTAL_MAX;
use super::plan::{Lead, SORTED_ROWS_MAX};
use super::sql::Sql;
use crate::error::ReadError;

/// What the one range that holds all matches brought.
pub(super) enum Ranged {
    /// The page.
    Page(Taken),
    /// It is too large to be sorted whole.
    Large,
    /// These bring the same, and need not be sorted whole.
    InOrder(Vec<Lead>),
    /// There is no such range.
    None,
}

/// A page by the one range that holds all matches, in the default order: it is sorted whole, and so neither
/// counted before nor read twice. Ranges that may be read in order are counted: nearly always that is remembered.
pub(super) async fn take<C: Connection>(
    query: &SearchQuery,
    matching: &Matching<'_>,
    order: &Order,
    start: Option<&Start>,
    connection: &mut C,
) -> Result<Ranged, ReadError> {
    let ranges = matching.only_range().filter(|leads| leads.len() <= LEADS_MAX);
    let is_alone = order.is_default() && query.includes.is_empty();
    let (Some(ranges), true) = (ranges, is_alone) else { return Ok(Ranged::None) };
    if let Some(sizes) = matching.sizes_in_order(&ranges, connection).await?
        && sizes.iter().sum::<usize>() >= FEW_ROWS
    {
        let leads = matching.dense(&ranges, &sizes, connection).await?;
        return Ok(leads.map_or(Ranged::Large, Ranged::InOrder));
    }
    let mut leads = ranges;
    let order = turned(order, start);
    let most = i64::try_from(SORTED_ROWS_MAX).unwrap_or(i64::MAX);
    if matching.scope.patients().is_none() {
        leads.iter_mut().for_each(|lead| lead.arm = lead.arm.clone().up_to(most));
    }
    let mut sql = Sql::new(C::DIALECT, matching.scope);
    sql.push("with c as (");
    for (at, lead) in leads.iter().enumerate() {
        sql.push(if at == 0 { "(" } else { " union all (" }).push("select d.nsort, d.rid");
        matching.body(&mut sql, lead);
        sql.push(" limit ").int(most).push(")");
    }
    let memory = connection.memory();
    let range = memory::key(sql.so_far().0, sql.so_far().1);
    if memory.as_ref().and_then(|memory| memory.size_of(range)) == Some(SORTED_ROWS_MAX) {
        return Ok(Ranged::Large);
    }
    let brief = memory.as_ref().is_some_and(|memory| memory.pays());
    close(&mut sql, query, matching, &order, start, brief);
    let mut found = connection.ask(sql.finish()).await?;
    let (total, size) = match found.first().map(Vec::as_slice) {
        Some([.., size, total]) => (total.clone(), int(std::slice::from_ref(size), 0)),
        Some(_) => return Err(malformed()),
        None if start.is_none() => (Cell::Int(0), 0),
        // Nothing after the place does not tell how large the range is: what was there has been deleted meanwhile.
        None => return Ok(Ranged::None),
    };
    if size >= most {
        if let Some(memory) = memory {
            memory.keep_size(range, SORTED_ROWS_MAX);
        }
        return Ok(Ranged::Large);
    }
    for row in &mut found {
        row.pop();
    }
    let counted = match total {
        Cell::Int(total) => u64::try_from(total).ok(),
        _ => None,
    };
    let found = gather(found, &order, brief, memory.as_deref(), connection).await?;
    Ok(Ranged::Page(Taken { found, counted, included: None }))
}

/// Ends `with c as (…`: the page of what is in `c`, beside each row how many rows there are and, if these are few, how many
/// resources. It is one walk through them: each part of a statement costs PostgreSQL more than the few rows it reads.
fn close(
    sql: &mut Sql<'_>,
    query: &SearchQuery,
    matching: &Matching<'_>,
    order: &Order,
    start: Option<&Start>,
    brief: bool,
) {
    sql.push(") ");
    columns(sql, order, brief);
    sql.push(", m.n, case when m.n < ").int(i64::try_from(CHEAP_TOTAL_MAX).unwrap_or(i64::MAX));
    sql.push(" then m.total end from (");
    if start.is_some() {
        sql.push("select * from (");
    }
    sql.push("select d.nsort, d.rid, (sum(count(*)) over ())::bigint as n, ");
    sql.push("count(*) over () as total from c d group by d.nsort, d.rid");
    if let Some(start) = start {
        sql.push(") d where true");
        order.after_default(sql, &start.place, false);
    }
    order.by_default(sql);
    sql.push(" limit ").int(limit(query));
    versions(sql, matching.of, brief);
}
