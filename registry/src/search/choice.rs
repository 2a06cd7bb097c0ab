//! What leads a search: chosen from its candidates by counts that stop early.
//!
//! Where statements are round trips, a count that was made a moment ago is good enough to choose by.
//! Not here: which candidates there are (`plan`), statements that answer (`matching`).

use std::collections::HashSet;

use super::arm::Arm;
use super::ask::{Connection, int};
use super::matching::{Matching, Plan};
use super::memory;
use super::plan::{
    Candidate, Lead, ORDERED_ROWS_MAX, SMALL_ROWS, SORTED_ROWS_MAX, candidates, sort_date,
};
use super::sql::{Bind, Sql, Statement};
use crate::error::ReadError;

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
        let only = (candidates.len() == 1 && streamable).then(|| candidates[0].leads.clone());
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
                None => self.about(&candidate.leads, most, connection).await?,
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
            None => {
                let ordered = match (&fallback, only) {
                    (None, Some(ranges)) => self.in_order(&ranges, connection).await?,
                    _ => None,
                };
                let ordered = ordered.map(Candidate::in_order).or(fallback);
                let candidate = ordered.unwrap_or_else(Candidate::whole_type);
                self.streamed(candidate, connection).await
            }
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
                None => self.about(&candidate.leads, most + 1, connection).await?,
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
            // Whether there are any is looked up on a snapshot, which is where it matters.
            let count = if connection.is_settled() {
                self.size_up_to(&irregular, ORDERED_ROWS_MAX, connection).await?
            } else {
                self.about(&irregular, ORDERED_ROWS_MAX, connection).await?
            };
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

    /// As [`Self::size_up_to`], as it was a moment ago where that is remembered: good enough to choose a lead.
    pub(super) async fn about<C: Connection>(
        &self,
        leads: &[Lead],
        most: usize,
        connection: &mut C,
    ) -> Result<usize, ReadError> {
        let Some(memory) = connection.sizes() else {
            return self.size_up_to(leads, most, connection).await;
        };
        let statement = self.counting::<C>(leads, most);
        let range = memory::key(&statement.text, &statement.binds);
        if let Some(size) = memory.size_of(range) {
            return Ok(size);
        }
        let size = self.size_up_to(leads, most, connection).await?;
        memory.keep_size(range, size);
        Ok(size)
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
        let rows = connection.ask(self.counting::<C>(leads, most)).await?;
        Ok(rows.first().map_or(0, |row| usize::try_from(int(row, 0)).unwrap_or(most)).min(most))
    }

    /// One statement that counts the rows of leads, at most `most`.
    pub(super) fn counting<C: Connection>(&self, leads: &[Lead], most: usize) -> Statement {
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let mut sql = Sql::new(C::DIALECT, self.scope);
        sql.push("select count(*) from (");
        for (at, lead) in leads.iter().enumerate() {
            sql.push(if at == 0 { "(select 1" } else { " union all (select 1" });
            lead.arm.lead(&mut sql, self.of);
            sql.push(" limit ").int(limit).push(")");
        }
        sql.push(" limit ").int(limit).push(") n");
        sql.finish()
    }
}
