//! Large results in the order of one value: the value's own index is walked, nothing is sorted.
//!
//! Resources without the value come after all others, sorted by `rid`. Backwards pages are sorted whole instead
//! (`matching`). Not here: orders of several keys (`groups`).

use super::arm::{Arm, sort_column};
use super::ask::{Cell, Connection};
use super::clause::{SortBy, SortKey, Table};

use super::matching::{Matching, Plan, dedup};
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
        if plan.small || order.reversed {
            return None;
        }
        match by {
            SortBy::LastUpdated => Some(vec![Arm::ByUpdate]),
            SortBy::Value(table, params) => {
                let [param] = params[..] else { return None };
                if after.is_some_and(|place| matches!(place.keys[..], [Cell::Null])) {
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
        let mut found = Vec::new();
        for arm in arms {
            let mut from = after.cloned();
            let mut own = Vec::new();
            loop {
                let statement = self.walk_statement::<C>(arm, order, from.as_ref(), count);
                let rows = connection.ask(statement).await?;
                let complete = rows.len() < count;
                own.extend(rows.into_iter().map(Place::of_row));
                dedup(&mut own);
                if complete || own.len() >= count {
                    break;
                }
                from = own.last().cloned();
            }
            found.append(&mut own);
        }
        found.sort_by(|a, b| order.compare(a, b));
        dedup(&mut found);
        found.truncate(count);
        let valueless = matches!(order.keys[..], [SortKey { by: SortBy::Value(..), .. }]);
        if found.len() < count && valueless {
            let after = after.filter(|place| matches!(place.keys[..], [Cell::Null]));
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
            _ => "updated_us",
        };
        let descending = order.keys.iter().any(|key| key.descending);
        let (way, sign) = if descending { (" desc", "<") } else { ("", ">") };
        let mut sql = Sql::new(C::DIALECT, self.scope);
        sql.push(&format!("select d.nsort, d.rid, d.{column}"));
        self.body(&mut sql, &Lead::new(arm.clone(), Vec::new()));
        if let Some(place) = after
            && let Some(value) = place.keys.first().and_then(bind_of)
        {
            sql.push(&format!(" and d.{column} {sign}= ")).bind(value.clone());
            sql.push(&format!(" and (d.{column} {sign} ")).bind(value);
            sql.push(" or d.rid > ").int(place.rid).push(")");
        }
        sql.push(&format!(" order by d.{column}{way}, d.rid limit "));
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
        if let Some(after) = after {
            sql.push(" and d.rid > ").int(after.rid);
        }
        sql.push(" order by d.rid limit ").int(i64::try_from(count).unwrap_or(i64::MAX));
        sql.finish()
    }
}
