//! Many leading ranges that differ in one hash: the heads of all are asked for at once, and only those ranges are
//! read that can reach the page.
//!
//! A page holds the first `count` rows of all ranges, and no row of a range comes before its head. So the ranges are
//! read in the order of their heads, until the page is full before the next head.

use std::collections::HashMap;

use super::ask::{Connection, int};
use super::matching::{Matching, Plan};
use super::order::{Order, Place};
use super::plan::Lead;
use super::sql::{Bind, Sql};
use crate::error::ReadError;

/// A leading range, and the sort key of its first row where that is known.
pub(super) struct Headed<'a> {
    pub(super) lead: &'a Lead,
    head: Option<i64>,
}

impl Headed<'_> {
    /// Whether no row of the range comes before the place, nor beside it.
    pub(super) fn is_beyond(&self, place: &Place, order: &Order) -> bool {
        self.head.is_some_and(|head| match order.reversed {
            true => head < place.nsort,
            false => head > place.nsort,
        })
    }
}

impl Matching<'_> {
    /// The leads in the order in which they should be read; those without a row are left out.
    pub(super) async fn by_heads<'a, C: Connection>(
        &self,
        plan: &'a Plan,
        order: &Order,
        after: Option<&Place>,
        connection: &mut C,
    ) -> Result<Vec<Headed<'a>>, ReadError> {
        let as_they_are = || plan.leads.iter().map(|lead| Headed { lead, head: None }).collect();
        if plan.leads.len() <= HEADED_LEADS_MIN || !order.is_default() {
            return Ok(as_they_are());
        }
        let Some(first) = plan.leads.iter().find(|lead| lead.arm.hash().is_some()) else {
            return Ok(as_they_are());
        };
        let shape = first.arm.with_hash(0);
        let alike =
            |lead: &&Lead| lead.arm.with_hash(0) == shape && lead.sort_date == first.sort_date;
        let (alike, others): (Vec<_>, Vec<_>) = plan.leads.iter().partition(alike);
        let Some(shape) = shape else { return Ok(as_they_are()) };
        let mut sql = Sql::new(C::DIALECT, self.scope);
        sql.push("select j.value, (select d.nsort");
        shape.lead_each(&mut sql, self.of);
        Self::bounds(&mut sql, first);
        if let Some(after) = after {
            order.after_default(&mut sql, after, false);
        }
        order.by_default(&mut sql);
        sql.push(" limit 1)");
        sql.each(Bind::Ints(alike.iter().filter_map(|lead| lead.arm.hash()).collect()));
        let rows = connection.ask(sql.finish()).await?;
        let heads: HashMap<_, _> = rows
            .iter()
            .filter(|row| !matches!(row.get(1), None | Some(super::ask::Cell::Null)))
            .map(|row| (int(row, 0), int(row, 1)))
            .collect();
        let mut headed: Vec<_> = alike
            .into_iter()
            .filter_map(|lead| {
                let head = Some(*heads.get(&lead.arm.hash()?)?);
                Some(Headed { lead, head })
            })
            .collect();
        headed.sort_by_key(|one| one.head);
        if order.reversed {
            headed.reverse();
        }
        let others = others.into_iter().map(|lead| Headed { lead, head: None });
        Ok(others.chain(headed).collect())
    }
}

/// Leads up to which each is simply read.
const HEADED_LEADS_MIN: usize = 32;
