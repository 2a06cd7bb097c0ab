//! Matches of one type: which resources pass all conditions, in order, from a place on.
//!
//! Used for the page, for its count, and for the inner searches of chains and `_has`. Every
//! statement has one leading range ([`Lead`]), the caller's visibility and a probe for each
//! condition the range does not hold.

use std::collections::HashSet;

use fhir::ResourceType;

use super::arm::Arm;
use super::ask::{Connection, int};
use super::condition::Condition;
use super::order::{Order, Place};
use super::plan::{
    Candidate, Lead, ORDERED_ROWS_MAX, SMALL_ROWS, SORTED_ROWS_MAX, SortDate, candidates, sort_date,
};
use super::probe::{is_existence, probe};
use super::row_test;
use super::scope::Scope;
use super::sql::{Bind, Dialect, Sql, Statement};
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
    /// Chooses what leads; `streamable` if the default order is asked for, either way round.
    pub(super) async fn plan<C: Connection>(
        &self,
        streamable: bool,
        connection: &mut C,
    ) -> Result<Plan, ReadError> {
        let candidates = candidates(self.of, self.conditions, self.scope, streamable);
        if let [only] = &candidates[..]
            && streamable
            && only.is_ordered()
            && only.leads.len() == 1
        {
            return self.streamed(only.clone(), connection).await;
        }
        let mut best: Option<(usize, Candidate)> = None;
        let mut fallback = None;
        for mut candidate in candidates {
            self.existing(&mut candidate, connection).await?;
            if !candidate.is_writable(self.conditions) {
                continue;
            }
            let ordered = candidate.is_ordered();
            let most = if ordered && streamable { ORDERED_ROWS_MAX } else { SORTED_ROWS_MAX };
            let most = best.as_ref().map_or(most, |(size, _)| most.min(*size));
            let size = match candidate.known_size() {
                Some(size) => size,
                None => self.size_up_to(&candidate.leads, most, connection).await?,
            };
            if ordered && (fallback.is_none() || candidate.is_own()) {
                fallback = Some(candidate.clone());
            }
            if size < most {
                best = Some((size, candidate));
                if size <= SMALL_ROWS {
                    break;
                }
            }
        }
        match best {
            Some((size, candidate)) if size <= SMALL_ROWS || !streamable => {
                Ok(Plan { leads: candidate.leads, small: true })
            }
            Some((_, candidate)) => {
                let plan = self.streamed(candidate, connection).await?;
                Ok(Plan { small: true, ..plan })
            }
            None => self.streamed(fallback.unwrap_or_else(Candidate::whole_type), connection).await,
        }
    }

    /// The leads of the only candidate, if they hold all conditions and do not come in order. Those of irregular
    /// dates are few, whatever they leave to be probed.
    pub(super) fn only_range(&self) -> Option<Vec<Lead>> {
        let mut candidates = candidates(self.of, self.conditions, self.scope, true);
        let only = candidates.pop().filter(|only| candidates.is_empty() && !only.is_ordered())?;
        let holds = |lead: &Lead| {
            lead.covers.len() == self.conditions.len()
                || matches!(lead.arm, Arm::Date { bounds: None, .. })
        };
        only.leads.iter().all(holds).then_some(only.leads)
    }

    /// Whether what leads is looked up first.
    pub(super) fn has_long_list(&self) -> bool {
        let candidates = candidates(self.of, self.conditions, self.scope, false);
        candidates.iter().any(|candidate| candidate.long_list().is_some())
    }

    /// Whether an index leads to at most `most` rows that hold all matches.
    pub(super) async fn is_small<C: Connection>(
        &self,
        most: usize,
        connection: &mut C,
    ) -> Result<bool, ReadError> {
        let mut candidates = candidates(self.of, self.conditions, self.scope, false);
        if self.conditions.is_empty() {
            candidates = vec![Candidate::whole_type()];
        }
        for candidate in candidates {
            let size = match candidate.known_size() {
                Some(size) => size,
                None => self.size_up_to(&candidate.leads, most + 1, connection).await?,
            };
            if size <= most {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A long list of codes or targets without those that nobody has: one statement, a seek each.
    async fn existing<C: Connection>(
        &self,
        candidate: &mut Candidate,
        connection: &mut C,
    ) -> Result<(), ReadError> {
        let Some((shape, hashes)) = candidate.long_list() else { return Ok(()) };
        let mut sql = Sql::new(C::DIALECT, self.scope);
        sql.push("select j.value").each(Bind::Ints(hashes));
        sql.push(" where exists (select 1");
        shape.lead_each(&mut sql, self.of);
        sql.push(")");
        let rows = connection.ask(sql.finish()).await?;
        let existing: HashSet<_> = rows.iter().map(|row| int(row, 0)).collect();
        candidate.leads.retain(|lead| lead.arm.hash().is_some_and(|hash| existing.contains(&hash)));
        Ok(())
    }

    /// A large ordered range: bounded by the conditions on the sort date, if any.
    pub(super) async fn streamed<C: Connection>(
        &self,
        candidate: Candidate,
        connection: &mut C,
    ) -> Result<Plan, ReadError> {
        let mut leads = candidate.leads;
        if let Some((regular, irregular)) = sort_date(self.of, self.conditions) {
            let irregular = vec![irregular];
            let count = self.size_up_to(&irregular, ORDERED_ROWS_MAX, connection).await?;
            if count < ORDERED_ROWS_MAX {
                for lead in &mut leads {
                    lead.covers.extend(&regular.places);
                    lead.sort_date = Some(regular.clone());
                }
                // Without a snapshot there may be some by the time they are read.
                let counts = count > 0 || !connection.is_settled();
                leads.extend(irregular.into_iter().filter(|_| counts));
            }
        }
        Ok(Plan { leads, small: false })
    }

    async fn size_up_to<C: Connection>(
        &self,
        leads: &[Lead],
        most: usize,
        connection: &mut C,
    ) -> Result<usize, ReadError> {
        if C::ROUND_TRIPS && leads.len() > 1 {
            return self.size_together(leads, most, connection).await;
        }
        let mut size = 0;
        for lead in leads {
            let mut sql = Sql::new(C::DIALECT, self.scope);
            sql.push("select count(*) from (select 1");
            lead.arm.counted(&mut sql, self.of, most - size);
            let rest = i64::try_from(most - size).unwrap_or(i64::MAX);
            sql.push(" limit ").int(rest).push(") n");
            let rows = connection.ask(sql.finish()).await?;
            size += rows.first().map_or(0, |row| usize::try_from(int(row, 0)).unwrap_or(0));
            if size >= most {
                return Ok(most);
            }
        }
        Ok(size)
    }

    async fn size_together<C: Connection>(
        &self,
        leads: &[Lead],
        most: usize,
        connection: &mut C,
    ) -> Result<usize, ReadError> {
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let mut sql = Sql::new(C::DIALECT, self.scope);
        sql.push("select count(*) from (");
        for (at, lead) in leads.iter().enumerate() {
            sql.push(if at == 0 { "(select 1" } else { " union all (select 1" });
            lead.arm.lead(&mut sql, self.of);
            sql.push(" limit ").int(limit).push(")");
        }
        sql.push(" limit ").int(limit).push(") n");
        let rows = connection.ask(sql.finish()).await?;
        Ok(rows.first().map_or(0, |row| usize::try_from(int(row, 0)).unwrap_or(most)).min(most))
    }

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
        mut after: Option<Place>,
        until: Option<&Place>,
        count: usize,
        found: &mut Vec<Place>,
        connection: &mut C,
    ) -> Result<(), ReadError> {
        let mut own = Vec::new();
        loop {
            let statement = self.statement::<C>(lead, order, after.as_ref(), until, count);
            let rows = connection.ask(statement).await?;
            let complete = rows.len() < count;
            own.extend(rows.into_iter().map(Place::of_row));
            dedup(&mut own);
            if complete || own.len() >= count {
                break;
            }
            after = own.last().cloned();
        }
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
            sql.push(" and exists (select 1 from search_date p where p.rid = d.rid");
            sql.push(" and p.param = ").int(*param);
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

/// Removes repeated resources that follow each other.
pub(super) fn dedup(places: &mut Vec<Place>) {
    places.dedup_by_key(|place| place.rid);
}
