//! Large ranges of quantities in the order of results: an index holds the values of each parameter in that order.
//!
//! By values a range has to be sorted whole. In the order of results a page costs the rows that stand between its
//! matches, which are few where much of a parameter matches. Sizes decide which of the two, never what is found.
//! Only of quantities without a code. Not here: when this is asked (`choice`, `at_once`).

use super::arm::Arm;
use super::ask::{Connection, int};
use super::condition::{Measure, QuantityKey};
use super::matching::Matching;
use super::memory;
use super::plan::{Lead, SORTED_ROWS_MAX};
use super::sql::Sql;
use crate::error::ReadError;

impl Matching<'_> {
    /// Leads that bring what ranges of quantities hold without sorting more than a few rows of each; `None` where
    /// that would read too much, or where a range is not of quantities.
    pub(super) async fn in_order<C: Connection>(
        &self,
        ranges: &[Lead],
        connection: &mut C,
    ) -> Result<Option<Vec<Lead>>, ReadError> {
        match self.sizes_in_order(ranges, connection).await? {
            Some(sizes) => self.dense(ranges, &sizes, connection).await,
            None => Ok(None),
        }
    }

    /// The same for ranges of about these sizes.
    pub(super) async fn dense<C: Connection>(
        &self,
        ranges: &[Lead],
        sizes: &[usize],
        connection: &mut C,
    ) -> Result<Option<Vec<Lead>>, ReadError> {
        let large = sizes.iter().filter(|size| **size >= FEW_ROWS).count();
        let mut leads = Vec::with_capacity(ranges.len());
        for (lead, size) in ranges.iter().zip(sizes.iter().copied()) {
            let is_dense = size >= FEW_ROWS
                && (large == 1 && size >= SORTED_ROWS_MAX
                    || self.is_dense(lead, size, connection).await?);
            match turned(lead) {
                Some(turned) if is_dense => leads.push(turned),
                _ if size >= SORTED_ROWS_MAX => return Ok(None),
                _ => leads.push(lead.clone()),
            }
        }
        Ok(Some(leads))
    }

    /// About how many rows each range has, up to [`SORTED_ROWS_MAX`]; `None` where one is not of quantities. What is not
    /// remembered is counted in one round trip.
    pub(super) async fn sizes_in_order<C: Connection>(
        &self,
        ranges: &[Lead],
        connection: &mut C,
    ) -> Result<Option<Vec<usize>>, ReadError> {
        if ranges.is_empty() || !ranges.iter().all(|lead| turned(lead).is_some()) {
            return Ok(None);
        }
        let mut sizes = Vec::with_capacity(ranges.len());
        let Some(memory) = connection.sizes().filter(|_| C::ROUND_TRIPS) else {
            for lead in ranges {
                let one = std::slice::from_ref(lead);
                sizes.push(self.about(one, SORTED_ROWS_MAX, connection).await?);
            }
            return Ok(Some(sizes));
        };
        let key = |lead: &Lead| {
            let counting = self.counting::<C>(std::slice::from_ref(lead), SORTED_ROWS_MAX);
            memory::key(&counting.text, &counting.binds)
        };
        let keys: Vec<_> = ranges.iter().map(key).collect();
        let known: Vec<_> = keys.iter().map(|key| memory.size_of(*key)).collect();
        if known.iter().any(Option::is_none) {
            let most = i64::try_from(SORTED_ROWS_MAX).unwrap_or(i64::MAX);
            let mut sql = Sql::new(C::DIALECT, self.scope);
            for (at, lead) in ranges.iter().enumerate() {
                sql.push(if at == 0 {
                    "select count(*), "
                } else {
                    " union all select count(*), "
                });
                sql.push(&at.to_string()).push(" from (select 1");
                lead.arm.lead(&mut sql, self.of);
                sql.push(" limit ").int(most).push(") n");
            }
            for row in connection.ask(sql.finish()).await? {
                let [size, at] = [0, 1].map(|at| usize::try_from(int(&row, at)).unwrap_or(0));
                if let Some(key) = keys.get(at) {
                    memory.keep_size(*key, size);
                }
            }
        }
        // What was counted just now is remembered, if not as long as usual.
        let size = |key: &u64| memory.size_of(*key).unwrap_or(SORTED_ROWS_MAX);
        sizes.extend(keys.iter().map(size));
        Ok(Some(sizes))
    }

    /// Whether a page is found among fewer rows of the parameter than the range has.
    async fn is_dense<C: Connection>(
        &self,
        lead: &Lead,
        size: usize,
        connection: &mut C,
    ) -> Result<bool, ReadError> {
        let Arm::Quantity { param, .. } = lead.arm else { return Ok(false) };
        let most = if connection.sizes().is_some() { COUNTED_ROWS_MAX } else { COUNTED_EACH_TIME };
        let all = Lead::new(Arm::Quantities { param, key: None }, Vec::new());
        let rows = self.about(&[all], most, connection).await?;
        Ok(rows < most && rows.saturating_mul(PAGE_ROWS) <= size.saturating_mul(size))
    }
}

/// The lead in the order of results.
fn turned(lead: &Lead) -> Option<Lead> {
    match lead.arm {
        Arm::Quantity {
            param,
            key: key @ QuantityKey { code: 0, measure: Measure::Number(_), .. },
        } => {
            let arm = Arm::Quantities { param, key: Some(key) };
            Some(Lead { arm, ..lead.clone() })
        }
        _ => None,
    }
}

/// A range below this is sorted whole.
pub(super) const FEW_ROWS: usize = 200;
/// Rows of a page that the choice reckons with.
const PAGE_ROWS: usize = 50;
/// Rows of a parameter that are counted, where their number is remembered.
const COUNTED_ROWS_MAX: usize = 32_000;
/// And where it is not.
const COUNTED_EACH_TIME: usize = 4_000;
