//! Large results in the order of several keys, of which the first has an index: the index is walked group by group.
//!
//! A group is what shares the first key. A stretch of the index holds whole groups but for its last, whose rest may lie
//! behind it: the whole ones are sorted by all keys, the last is asked for by its value. So a page costs its own
//! length and that of the group where it ends, not all matches. Resources without the first key come last, sorted
//! whole. A page backwards walks the other way, from those without the first key.

use super::arm::{Arm, sort_column};
use super::ask::{Cell, Connection, int};
use super::clause::{SortBy, Table};
use super::matching::{Matching, Plan, dedup};
use super::order::{Order, Place, bind_of};
use super::plan::Lead;
use super::probe::without_rows;
use super::sql::{Sql, Statement};
use crate::error::ReadError;
use crate::index::param::WIDE;

/// The first key as a column of leading ranges.
pub(super) struct Front {
    leads: Vec<Lead>,
    column: &'static str,
    /// The column is the key turned round.
    is_negated: bool,
    /// The column goes down.
    descending: bool,
}

/// A stretch of the index: rows whose groups are whole, and the key of the group that may go on.
struct Stretch {
    rids: Vec<i64>,
    open: Option<Cell>,
}

impl Matching<'_> {
    /// How the first of several keys is walked; `None` where sorting is cheap, or the only way.
    pub(super) fn front(&self, plan: &Plan, order: &Order) -> Option<Front> {
        let [first, _, ..] = &order.keys[..] else { return None };
        if plan.small {
            return None;
        }
        let descending = first.descending;
        let downwards = descending != order.reversed;
        let front =
            |leads, column| Front { leads, column, is_negated: false, descending: downwards };
        match &first.by {
            SortBy::Clinical => Some(Front {
                leads: plan.leads.clone(),
                column: "nsort",
                is_negated: true,
                descending: !downwards,
            }),
            SortBy::Id => Some(front(vec![Lead::new(Arm::ById, Vec::new())], "id")),
            SortBy::LastUpdated => {
                Some(front(vec![Lead::new(Arm::ByUpdate, Vec::new())], "updated_us"))
            }
            SortBy::Value(table, params) => {
                let [param] = params[..] else { return None };
                let arm = |param| Arm::Values { table: *table, param, descending };
                let ranged = matches!(table, Table::Date | Table::Number | Table::Quantity);
                let arms = [arm(param)].into_iter().chain(ranged.then(|| arm(param | WIDE)));
                let leads = arms.map(|arm| Lead::new(arm, Vec::new())).collect();
                Some(front(leads, sort_column(*table)))
            }
            SortBy::Target(..) | SortBy::Content(_) => None,
        }
    }

    /// The first `count` matches after a place.
    pub(super) async fn grouped<C: Connection>(
        &self,
        front: &Front,
        order: &Order,
        after: Option<&Place>,
        count: usize,
        connection: &mut C,
    ) -> Result<Vec<Place>, ReadError> {
        let mut found = Vec::new();
        let mut value = after.and_then(|place| place.keys.first()).cloned();
        let is_valueless = value == Some(Cell::Null);
        if order.reversed && is_valueless {
            value = None;
            if let Some(statement) = self.without_first::<C>(order, after, count) {
                let rows = connection.ask(statement).await?;
                found.extend(rows.into_iter().map(Place::of_row));
            }
        }
        if order.reversed || !is_valueless {
            if let Some(value) = &value {
                found = self.group(front, order, value, after, count, connection).await?;
            }
            while found.len() < count {
                let need = count - found.len();
                let stretch = self.stretch(front, value.as_ref(), need, connection).await?;
                found.extend(self.sorted(stretch.rids, order, connection).await?);
                value = stretch.open;
                let Some(open) = &value else { break };
                if found.len() < count {
                    let need = count - found.len();
                    found.extend(self.group(front, order, open, None, need, connection).await?);
                }
            }
        }
        if found.len() < count && !order.reversed {
            let after = after.filter(|_| is_valueless);
            let need = count - found.len();
            if let Some(statement) = self.without_first::<C>(order, after, need) {
                let rows = connection.ask(statement).await?;
                found.extend(rows.into_iter().map(Place::of_row));
            }
        }
        found.truncate(count);
        Ok(found)
    }

    /// Rows beyond a value of the first key, as far as `count` rows of each range reach.
    async fn stretch<C: Connection>(
        &self,
        front: &Front,
        value: Option<&Cell>,
        count: usize,
        connection: &mut C,
    ) -> Result<Stretch, ReadError> {
        let (way, sign) = if front.descending { (" desc", " < ") } else { ("", " > ") };
        let column = front.column;
        let mut read: Vec<(Cell, i64)> = Vec::new();
        let mut ends = Vec::new();
        for lead in &front.leads {
            let mut sql = Sql::new(C::DIALECT, self.scope);
            sql.push(&format!("select d.{column}, d.rid"));
            self.body(&mut sql, lead);
            if let Some(value) = value.and_then(|value| bind_of(&front.stored(value))) {
                sql.push(&format!(" and d.{column}{sign}")).bind(value);
            }
            sql.push(&format!(" order by d.{column}{way} limit "));
            sql.int(i64::try_from(count).unwrap_or(i64::MAX));
            let rows = connection.ask(sql.finish()).await?;
            let is_cut = rows.len() >= count;
            let rows = rows.into_iter().filter_map(|mut row| {
                let rid = int(&row, 1);
                (!row.is_empty()).then(|| (row.swap_remove(0), rid))
            });
            read.extend(rows);
            ends.extend(read.last().filter(|_| is_cut).map(|(value, _)| value.clone()));
        }
        let comes_first = |a: &Cell, b: &Cell| {
            let order = super::order::compare_cells(a, b, front.descending);
            order == std::cmp::Ordering::Less
        };
        let open = ends.into_iter().reduce(|a, b| if comes_first(&b, &a) { b } else { a });
        let is_whole = |value: &Cell| open.as_ref().is_none_or(|open| comes_first(value, open));
        let whole = read.iter().filter(|(value, _)| is_whole(value));
        let mut rids: Vec<_> = whole.map(|(_, rid)| *rid).collect();
        rids.sort_unstable();
        rids.dedup();
        Ok(Stretch { rids, open: open.map(|value| front.stored(&value)) })
    }

    /// Resources that were found to match, in order.
    pub(super) async fn sorted<C: Connection>(
        &self,
        rids: Vec<i64>,
        order: &Order,
        connection: &mut C,
    ) -> Result<Vec<Place>, ReadError> {
        if rids.is_empty() {
            return Ok(Vec::new());
        }
        let probed = Matching { of: self.of, conditions: &[], scope: self.scope };
        let count = rids.len();
        let lead = Lead::new(Arm::Rids(rids), Vec::new());
        let rows = connection.ask(probed.statement::<C>(&lead, order, None, None, count)).await?;
        Ok(rows.into_iter().map(Place::of_row).collect())
    }

    /// The first `count` matches of one value of the first key, after a place.
    async fn group<C: Connection>(
        &self,
        front: &Front,
        order: &Order,
        value: &Cell,
        after: Option<&Place>,
        count: usize,
        connection: &mut C,
    ) -> Result<Vec<Place>, ReadError> {
        let mut found = Vec::new();
        for lead in &front.leads {
            let Some(value) = bind_of(&front.stored(value)) else { continue };
            let mut sql = Sql::new(C::DIALECT, self.scope);
            sql.push("select m.* from (select distinct d.nsort, d.rid");
            order.key_columns(&mut sql);
            self.body(&mut sql, lead);
            sql.push(&format!(" and d.{} = ", front.column)).bind(value).push(") m");
            if let Some(after) = after {
                order.after_keys(&mut sql, after);
            }
            order.by_keys(&mut sql);
            sql.push(" limit ").int(i64::try_from(count).unwrap_or(i64::MAX));
            let rows = connection.ask(sql.finish()).await?;
            found.extend(rows.into_iter().map(Place::of_row));
        }
        found.sort_by(|a, b| order.compare(a, b));
        dedup(&mut found);
        found.truncate(count);
        Ok(found)
    }

    /// Matches without the first key; `None` where every resource has it.
    fn without_first<C: Connection>(
        &self,
        order: &Order,
        after: Option<&Place>,
        count: usize,
    ) -> Option<Statement> {
        let SortBy::Value(table, params) = &order.keys.first()?.by else { return None };
        let mut sql = Sql::new(C::DIALECT, self.scope);
        sql.push("select m.* from (select d.nsort, d.rid");
        order.key_columns(&mut sql);
        self.body(&mut sql, &Lead::new(Arm::Type, Vec::new()));
        sql.push(" and ");
        without_rows(&mut sql, "d", params, *table);
        sql.push(") m");
        if let Some(after) = after {
            order.after_keys(&mut sql, after);
        }
        order.by_keys(&mut sql);
        sql.push(" limit ").int(i64::try_from(count).unwrap_or(i64::MAX));
        Some(sql.finish())
    }
}

impl Front {
    /// The key as its column holds it, and back.
    fn stored(&self, value: &Cell) -> Cell {
        match value {
            Cell::Int(value) if self.is_negated => Cell::Int(value.saturating_neg()),
            other => other.clone(),
        }
    }
}
