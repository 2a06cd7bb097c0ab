//! Matches of one type: which resources pass all conditions, in order, from a place on.
//!
//! Used for the page, for its count, and for the inner searches of chains and `_has`. Every
//! statement has one leading range ([`Lead`], chosen in `choice`), the caller's visibility and a probe for each
//! condition the range does not hold.

use std::collections::HashSet;

use fhir::ResourceType;

use super::arm::Arm;
use super::ask::{Connection, int};
use super::clause::Table;
use super::condition::Condition;
use super::order::{Order, Place};
use super::plan::{Lead, SortDate};
use super::probe::{by_rid, is_existence, probe};
use super::row_test;
use super::scope::Scope;
use super::sql::{Dialect, Sql, Statement};
use crate::error::ReadError;

/// Conditions on resources of one type, for one caller.
pub(super) struct Matching<'a> {
    pub(super) of: ResourceType,
    pub(super) conditions: &'a [Condition],
    pub(super) scope: &'a Scope,
}

/// The chosen leads.
pub(super) struct Plan {
    pub(super) leads: Vec<Lead>,
    /// Few enough rows to be sorted whole in any order.
    pub(super) small: bool,
}

impl Matching<'_> {
    /// The first `count` matches after a place.
    pub(super) async fn places<C: Connection>(
        &self,
        plan: &Plan,
        order: &Order,
        after: Option<&Place>,
        count: usize,
        connection: &mut C,
    ) -> Result<Vec<Place>, ReadError> {
        if let Some(walk) = self.walk(plan, order, after) {
            return self.walked(&walk, order, after, count, connection).await;
        }
        if let Some(front) = self.front(plan, order) {
            return self.grouped(&front, order, after, count, connection).await;
        }
        let mut found: Vec<Place> = Vec::new();
        for headed in self.by_heads(plan, order, after, connection).await? {
            let until = found.get(count.wrapping_sub(1)).cloned();
            let until = until.filter(|_| order.is_default());
            if until.as_ref().is_some_and(|until| headed.is_beyond(until, order)) {
                break;
            }
            let lead = headed.lead;
            self.run(lead, order, after.cloned(), until.as_ref(), count, &mut found, connection)
                .await?;
            if plan.leads.len() > 1 {
                found.sort_by(|a, b| order.compare(a, b));
                dedup(&mut found);
                found.truncate(count);
            }
        }
        Ok(found)
    }

    /// Adds the first `count` distinct matches of one lead.
    #[expect(clippy::too_many_arguments, reason = "the parts of one page of one lead")]
    async fn run<C: Connection>(
        &self,
        lead: &Lead,
        order: &Order,
        after: Option<Place>,
        until: Option<&Place>,
        count: usize,
        found: &mut Vec<Place>,
        connection: &mut C,
    ) -> Result<(), ReadError> {
        let statement =
            |after: Option<&Place>| self.statement::<C>(lead, order, after, until, count);
        let mut own = distinct(statement, after, count, connection).await?;
        own.truncate(count);
        found.append(&mut own);
        Ok(())
    }

    pub(super) fn statement<C: Connection>(
        &self,
        lead: &Lead,
        order: &Order,
        after: Option<&Place>,
        until: Option<&Place>,
        count: usize,
    ) -> Statement {
        let mut sql = Sql::new(C::DIALECT, self.scope);
        if order.is_default() {
            sql.push("select d.nsort, d.rid");
            let sorted_first = C::DIALECT == Dialect::Sqlite && self.sorts_first(lead);
            if sorted_first {
                sql.push(" from (select d.nsort, d.rid, d.patient");
            }
            lead.arm.lead(&mut sql, self.of);
            Self::bounds(&mut sql, lead);
            if let Some(after) = after {
                order.after_default(&mut sql, after, false);
            }
            if let Some(until) = until {
                order.after_default(&mut sql, until, true);
            }
            if sorted_first {
                order.by_default(&mut sql);
                sql.push(" limit ").int(i64::MAX).push(") d where 1 = 1");
            }
            self.probes(&mut sql, lead);
            if !sorted_first {
                order.by_default(&mut sql);
            }
        } else {
            sql.push("select m.* from (select d.nsort, d.rid");
            order.key_columns(&mut sql);
            self.body(&mut sql, lead);
            sql.push(") m");
            if let Some(after) = after {
                order.after_keys(&mut sql, after);
            }
            order.by_keys(&mut sql);
        }
        sql.push(" limit ").int(i64::try_from(count).unwrap_or(i64::MAX));
        sql.finish()
    }

    /// Sorting is cheap, probing is not: a small range is sorted, then probed in its order until the
    /// page is full. Only SQLite keeps the order of a sub-select, and only while every probe is an
    /// `exists` that cannot lead.
    fn sorts_first(&self, lead: &Lead) -> bool {
        let probed = self.conditions.iter().enumerate().filter(|(at, _)| !lead.covers.contains(at));
        !lead.arm.is_ordered() && probed.map(|(_, condition)| condition).all(is_existence)
    }

    /// ` from … where …` of a lead with all its conditions.
    pub(super) fn body(&self, sql: &mut Sql<'_>, lead: &Lead) {
        lead.arm.lead(sql, self.of);
        Self::bounds(sql, lead);
        self.probes(sql, lead);
    }

    pub(super) fn bounds(sql: &mut Sql<'_>, lead: &Lead) {
        if let Some(SortDate { bounds: (from, below), .. }) = &lead.sort_date {
            sql.push(" and d.nsort >= ").int(*from).push(" and d.nsort < ").int(*below);
        }
    }

    pub(super) fn probes(&self, sql: &mut Sql<'_>, lead: &Lead) {
        if let Some(SortDate { param, tests, .. }) = &lead.sort_date {
            sql.push(" and exists (select 1 from search_date p where ");
            let own = by_rid(sql, Table::Date, "d");
            sql.push(own).push(" = ").int(*param);
            for tests in tests {
                sql.push(" and ");
                row_test::dates(sql, "p", tests);
            }
            sql.each_time().push(")");
        }
        for (at, condition) in self.conditions.iter().enumerate() {
            if !lead.covers.contains(&at) {
                sql.push(" and ");
                probe(sql, "d", condition);
            }
        }
    }

    /// Number of matches; counting stops at `most`.
    pub(super) async fn count<C: Connection>(
        &self,
        plan: &Plan,
        most: Option<u64>,
        connection: &mut C,
    ) -> Result<u64, ReadError> {
        let limit = most.map_or(i64::MAX, |most| i64::try_from(most).unwrap_or(i64::MAX));
        if let [lead] = &plan.leads[..] {
            let mut sql = Sql::new(C::DIALECT, self.scope);
            sql.push("select count(*) from (select 1");
            self.body(&mut sql, lead);
            if !matches!(lead.arm, Arm::Type | Arm::Patient(_)) {
                sql.push(" group by d.nsort, d.rid");
            }
            sql.push(" limit ").int(limit).push(") n");
            let rows = connection.ask(sql.finish()).await?;
            return Ok(rows.first().map_or(0, |row| int(row, 0).unsigned_abs()));
        }
        let mut seen = HashSet::new();
        for lead in &plan.leads {
            let mut sql = Sql::new(C::DIALECT, self.scope);
            sql.push("select d.rid");
            self.body(&mut sql, lead);
            sql.push(" limit ").int(limit);
            let rows = connection.ask(sql.finish()).await?;
            seen.extend(rows.iter().map(|row| int(row, 0)));
        }
        let seen = u64::try_from(seen.len()).unwrap_or(u64::MAX);
        Ok(most.map_or(seen, |most| seen.min(most)))
    }

    /// The patients in whose compartments the matches are; `None` if there are more than `most` matches,
    /// or one in several compartments.
    pub(super) async fn patients<C: Connection>(
        &self,
        plan: &Plan,
        most: usize,
        connection: &mut C,
    ) -> Result<Option<Vec<i64>>, ReadError> {
        let mut left = i64::try_from(most).unwrap_or(i64::MAX);
        let mut found = HashSet::new();
        for lead in &plan.leads {
            let mut sql = Sql::new(C::DIALECT, self.scope);
            sql.push("select n.patient, count(*) from (select d.patient");
            self.body(&mut sql, lead);
            sql.push(" limit ").int(left.saturating_add(1)).push(") n group by n.patient");
            let rows = connection.ask(sql.finish()).await?;
            left -= rows.iter().map(|row| int(row, 1)).sum::<i64>();
            found.extend(rows.iter().map(|row| int(row, 0)));
            if left < 0 || found.contains(&-1) {
                return Ok(None);
            }
        }
        found.remove(&0);
        Ok(Some(found.into_iter().collect()))
    }
}

impl Plan {
    /// Whether counting costs no more than the rows it counts.
    pub(super) fn counts_cheaply(&self, conditions: usize) -> bool {
        matches!(&self.leads[..], [lead] if lead.sort_date.is_none() && lead.covers.len() == conditions)
    }
}

/// At least `count` distinct matches of one range after a place, or all there are: a resource may stand in it several
/// times, so it is asked again, by the statement after the last match, until enough are found.
pub(super) async fn distinct<C: Connection>(
    statement: impl Fn(Option<&Place>) -> Statement,
    mut after: Option<Place>,
    count: usize,
    connection: &mut C,
) -> Result<Vec<Place>, ReadError> {
    let mut found = Vec::new();
    loop {
        let rows = connection.ask(statement(after.as_ref())).await?;
        let is_all = rows.len() < count;
        found.extend(rows.into_iter().map(Place::of_row));
        dedup(&mut found);
        if is_all || found.len() >= count {
            return Ok(found);
        }
        after = found.last().cloned();
    }
}

/// Removes repeated resources that follow each other.
pub(super) fn dedup(places: &mut Vec<Place>) {
    places.dedup_by_key(|place| place.rid);
}
