//! Large results in the order of one value: the value's own index is walked, nothing is sorted.
//!
//! Resources without the value come after all others, sorted by `rid`. A page backwards walks the other way, from what has
//! no value to the last that has one. Not here: orders of several keys (`groups`).

use super::arm::{Arm, sort_column};
use super::ask::{Cell, Connection};
use super::clause::{SortBy, SortKey, Table};

use super::matching::{Matching, Plan, dedup, distinct};
use super::order::{Order, Place, bind_of};
use super::plan::Lead;
use super::probe::without_rows;
use super::sql::{Sql, Statement};
use crate::error::ReadError;
use crate::index::param::WIDE;

impl Matching<'_> {
    /// A large result in the order of one value: its index is walked.
    pub(super) fn walk(
        &self,
        plan: &Plan,
        order: &Order,
        after: Option<&Place>,
    ) -> Option<Vec<Arm>> {
        let [SortKey { by, descending }] = &order.keys[..] else { return None };
        if plan.small {
            return None;
        }
        match by {
            SortBy::Id => Some(vec![Arm::ById]),
            SortBy::LastUpdated => Some(vec![Arm::ByUpdate]),
            SortBy::Value(table, params) => {
                let [param] = params[..] else { return None };
                if !order.reversed && after.is_some_and(is_valueless) {
                    return Some(Vec::new());
                }
                let arm = |param| Arm::Values { table: *table, param, descending: *descending };
                let ranged = matches!(table, Table::Date | Table::Number | Table::Quantity);
                let irregular = ranged.then(|| arm(param | WIDE));
                Some([arm(param)].into_iter().chain(irregular).collect())
            }
            _ => None,
        }
    }

    /// The first `count` matches after a place, from the arms of [`Matching::walk`].
    pub(super) async fn walked<C: Connection>(
        &self,
        arms: &[Arm],
        order: &Order,
        after: Option<&Place>,
        count: usize,
        connection: &mut C,
    ) -> Result<Vec<Place>, ReadError> {
        let has_valueless = matches!(order.keys[..], [SortKey { by: SortBy::Value(..), .. }]);
        let mut first = Vec::new();
        if order.reversed && has_valueless && after.is_none_or(is_valueless) {
            let missing = self.valueless_statement::<C>(order, after, count);
            let rows = connection.ask(missing).await?;
            first.extend(rows.into_iter().map(Place::of_row));
            if first.len() >= count {
                return Ok(first);
            }
        }
        let after_value = after.filter(|place| !order.reversed || !is_valueless(place));
        let mut found = Vec::new();
        for arm in arms {
            let statement =
                |from: Option<&Place>| self.walk_statement::<C>(arm, order, from, count);
            found.extend(distinct(statement, after_value.cloned(), count, connection).await?);
        }
        found.sort_by(|a, b| order.compare(a, b));
        dedup(&mut found);
        first.append(&mut found);
        let mut found = first;
        found.truncate(count);
        if found.len() < count && has_valueless && !order.reversed {
            let after = after.filter(|place| is_valueless(place));
            let missing = self.valueless_statement::<C>(order, after, count - found.len());
            let rows = connection.ask(missing).await?;
            found.extend(rows.into_iter().map(Place::of_row));
        }
        Ok(found)
    }

    fn walk_statement<C: Connection>(
        &self,
        arm: &Arm,
        order: &Order,
        after: Option<&Place>,
        count: usize,
    ) -> Statement {
        let column = match arm {
            Arm::Values { table, .. } => sort_column(*table),
            Arm::ById => "id",
            _ => "updated_us",
        };
        let descending = order.keys.iter().any(|key| key.descending) != order.reversed;
        let (way, sign) = if descending { (" desc", "<") } else { ("", ">") };
        let (rid_way, rid_sign) = if order.reversed { (" desc", "<") } else { ("", ">") };
        let mut sql = Sql::new(C::DIALECT, self.scope);
        sql.push(&format!("select d.nsort, d.rid, d.{column}"));
        self.body(&mut sql, &Lead::new(arm.clone(), Vec::new()));
        if let Some(place) = after
            && let Some(value) = place.keys.first().and_then(bind_of)
        {
            sql.push(&format!(" and d.{column} {sign}= ")).bind(value.clone());
            sql.push(&format!(" and (d.{column} {sign} ")).bind(value);
            sql.push(&format!(" or d.rid {rid_sign} ")).int(place.rid).push(")");
        }
        sql.push(&format!(" order by d.{column}{way}, d.rid{rid_way} limit "));
        sql.int(i64::try_from(count).unwrap_or(i64::MAX));
        sql.finish()
    }

    /// Matches without a value for the one sort key, which come last.
    fn valueless_statement<C: Connection>(
        &self,
        order: &Order,
        after: Option<&Place>,
        count: usize,
    ) -> Statement {
        let mut sql = Sql::new(C::DIALECT, self.scope);
        sql.push("select d.nsort, d.rid, null");
        self.body(&mut sql, &Lead::new(Arm::Type, Vec::new()));
        if let [SortKey { by: SortBy::Value(table, params), .. }] = &order.keys[..] {
            sql.push(" and ");
            without_rows(&mut sql, "d", params, *table);
        }
        let (way, sign) = if order.reversed { (" desc", "<") } else { ("", ">") };
        if let Some(after) = after {
            sql.push(&format!(" and d.rid {sign} ")).int(after.rid);
        }
        sql.push(&format!(" order by d.rid{way} limit "))
            .int(i64::try_from(count).unwrap_or(i64::MAX));
        sql.finish()
    }
}

/// The place of a resource that has no value for the one key.
fn is_valueless(place: &Place) -> bool {
    matches!(place.keys[..], [Cell::Null])
}
