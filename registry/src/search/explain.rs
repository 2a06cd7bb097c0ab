//! How a search is answered, for the operator: what leads, what is probed, the statements and the rows they gave.
//!
//! The search is run as it would be for a caller who sees everything, and what it asks of the database is noted on
//! the way. No value of the query, no id and no content is in the account: texts hold placeholders, numbers of rows
//! are told in [`Rows`], and the search itself goes on from a stand-in wherever fewer than 32 rows were found. So the
//! account is the same whether nothing matches or a few do, and tells nothing of a single resource.
//! Not here: the search (`page`).

use std::time::Instant;

use policy::Permit;

use super::arm::Arm;
use super::ask::{Cell, Connection, Row, int};
use super::by_content;
use super::clause::{SearchQuery, Table};
use super::condition::{Condition, Keys};
use super::page::{self, Planned};
use super::probe::name;
use super::resolve::{Limits, Resolver};
use super::scope::Scope;
use super::sql::{Dialect, Statement};
use crate::error::ReadError;
use crate::hash::IndexKey;

/// The account of one search.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// Names of the parameters that are applied, modifiers included.
    pub parameters: Vec<String>,
    /// One for each type that is searched and has resources.
    pub legs: Vec<ExplainedLeg>,
    /// What was asked of the database, in its order.
    pub statements: Vec<ExplainedStatement>,
}

/// How one type is searched.
#[derive(Clone, Debug)]
pub struct ExplainedLeg {
    /// Its name.
    pub resource_type: &'static str,
    /// In words: whether a range is sorted whole, streamed or walked.
    pub plan: &'static str,
    /// Index ranges that lead.
    pub leads: Vec<String>,
    /// Conditions, and whether a leading range holds them or each row is probed.
    pub conditions: Vec<(String, bool)>,
}

/// One statement.
#[derive(Clone, Debug)]
pub struct ExplainedStatement {
    /// Its text, with placeholders.
    pub sql: String,
    /// What it gave, or counted.
    pub rows: Rows,
    /// How long it took, rounded up.
    pub duration_ms: u64,
}

/// A number of rows, told so that it says nothing of a single resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rows {
    /// Below 32, none among them.
    Few,
    /// 32 to 999.
    Hundreds,
    /// 1,000 and more.
    Thousands,
}

impl Rows {
    fn of(number: u64) -> Self {
        match number {
            0..32 => Self::Few,
            32..1_000 => Self::Hundreds,
            _ => Self::Thousands,
        }
    }

    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Few => "fewer than 32",
            Self::Hundreds => "32 to 999",
            Self::Thousands => "1000 or more",
        }
    }
}

/// Runs the first page of a search and tells how.
///
/// # Errors
/// As [`page::run`].
pub async fn explain<C: Connection>(
    query: &SearchQuery,
    permit: &Permit,
    key: &IndexKey,
    connection: &mut C,
) -> Result<Explanation, ReadError> {
    let scope = Scope::resolve(permit, key, connection).await?;
    let resolver = Resolver { scope: &scope, key, limits: Limits::default() };
    let mut observed = Observed { inner: connection, statements: Vec::new() };
    let legs = page::conditions(query, &resolver, &mut observed).await?;
    let planned = page::plans(&legs, &scope, &mut observed).await?;
    let explained = planned.iter().map(leg).collect();
    if query.opens() {
        by_content::all(&planned, &scope, &mut observed).await?;
    } else {
        page::page(query, &planned, &scope, key, &mut observed).await?;
    }
    let mut parameters: Vec<_> = query.applied.iter().map(|(name, _)| name.clone()).collect();
    parameters.dedup();
    Ok(Explanation { parameters, legs: explained, statements: observed.statements })
}

/// A connection that notes what is asked.
struct Observed<'a, C> {
    inner: &'a mut C,
    statements: Vec<ExplainedStatement>,
}

impl<C: Connection> Connection for Observed<'_, C> {
    const DIALECT: Dialect = C::DIALECT;

    async fn ask(&mut self, statement: Statement) -> Result<Vec<Row>, ReadError> {
        let sql = statement.text.clone();
        let started = Instant::now();
        let rows = self.inner.ask(statement).await?;
        let micros = started.elapsed().as_micros();
        let counted = sql.starts_with("select count(");
        let number = match rows.first() {
            Some(row) if counted => int(row, 0).unsigned_abs(),
            _ => u64::try_from(rows.len()).unwrap_or(u64::MAX),
        };
        if self.statements.len() < STATEMENTS_MAX {
            let duration_ms = u64::try_from(micros.div_ceil(1_000)).unwrap_or(u64::MAX);
            let sql = sql.clone();
            self.statements.push(ExplainedStatement { sql, rows: Rows::of(number), duration_ms });
        }
        Ok(if Rows::of(number) == Rows::Few { stand_in(&sql) } else { rows })
    }
}

/// What the search goes on from where few rows were found: one that nobody has, and no contents.
fn stand_in(sql: &str) -> Vec<Row> {
    if sql.starts_with("select r.rid, r.khash") {
        return Vec::new();
    }
    vec![vec![Cell::Int(NOBODY); STAND_IN_COLUMNS]]
}

fn leg(planned: &Planned<'_>) -> ExplainedLeg {
    let plan = &planned.plan;
    let opens = !planned.order.is_default() && planned.order.reads_by_default();
    let is_walked = !opens
        && (planned.matching.walk(plan, &planned.order, None).is_some()
            || planned.matching.front(plan, &planned.order).is_some());
    let held = |at: usize| plan.leads.iter().all(|lead| lead.covers.contains(&at));
    let conditions = planned.matching.conditions.iter().enumerate();
    ExplainedLeg {
        resource_type: planned.matching.of.name(),
        plan: match (is_walked, plan.small) {
            _ if opens => {
                "all matches, if they are not too many, are opened and sorted by their contents"
            }
            (true, _) => "the index of the sort key is walked and each row is probed",
            (_, true) => "the leading ranges are small and sorted whole",
            (_, false) if planned.order.is_default() => {
                "the leading ranges are read in their order"
            }
            _ => "all matches of the leading ranges are sorted",
        },
        leads: plan.leads.iter().take(LEADS_MAX).map(|lead| arm(&lead.arm)).collect(),
        conditions: conditions.map(|(at, one)| (condition(one), !is_walked && held(at))).collect(),
    }
}

fn arm(arm: &Arm) -> String {
    match arm {
        Arm::Type => "all resources of the type".into(),
        Arm::Patient(_) => "the compartment of a patient".into(),
        Arm::SharedCompartments(_) => "what is in several compartments".into(),
        Arm::NoCompartment => "what is in no compartment".into(),
        Arm::Ids(ids) => format!("{} ids", ids.len()),
        Arm::Rids(_) => "listed resources".into(),
        Arm::Updated(_) | Arm::ByUpdate => "resources by time of update".into(),
        Arm::ById => "resources by id".into(),
        Arm::Token { .. } => "search_token, one code".into(),
        Arm::Reference { code: 0, .. } => "search_reference, one target".into(),
        Arm::Reference { .. } => "search_reference, one target and one code".into(),
        Arm::Date { .. } => "search_date, a range".into(),
        Arm::Number { .. } => "search_number, a range".into(),
        Arm::Quantity { .. } => "search_quantity, a range".into(),
        Arm::Quantities { .. } => "search_quantity, a parameter in the order of results".into(),
        Arm::String { .. } => "search_string, a range".into(),
        Arm::Uri { .. } => "search_uri, a range".into(),
        Arm::Words { .. } => "search_text, words".into(),
        Arm::Sets(_) => "resource_terms, sets of what is present".into(),
        Arm::Near { .. } => "search_quantity, cells around a place".into(),
        Arm::Values { table, .. } => format!("{}, all values", name(*table)),
    }
}

fn condition(one: &Condition) -> String {
    let several = |conditions: Vec<String>| conditions.join(" or ");
    match one {
        Condition::Ids(ids) => format!("one of {} ids", ids.len()),
        Condition::Rids(_) => "one of the resources that the hop before listed".into(),
        Condition::LastUpdated(_) => "time of update".into(),
        Condition::Index { keys: Keys::Reference { targets, .. }, .. } if targets.len() > 1 => {
            format!("{}: one of several targets", name(Table::Reference))
        }
        Condition::Index { keys, not, .. } => {
            let no = if *not { "none of " } else { "" };
            format!("{}: {no}{} alternatives", name(keys.table()), keys.len())
        }
        Condition::Words { not, .. } => {
            format!("search_text: {}words", if *not { "not these " } else { "" })
        }
        Condition::Missing { missing: true, .. } => "no element".into(),
        Condition::Missing { .. } => "an element, whatever it holds".into(),
        Condition::Sets { .. } => "elements that are there or not".into(),
        Condition::ReferredBy { source, inner, .. } => {
            format!("referred to by {source} with ({})", condition(inner))
        }
        Condition::Refers { targets, .. } => {
            let one = |(of, inner): &(fhir::ResourceType, Condition)| {
                format!("refers to {of} with ({})", condition(inner))
            };
            several(targets.iter().map(one).collect())
        }
        Condition::Any(conditions) => several(conditions.iter().map(condition).collect()),
        Condition::All(conditions) => {
            let each: Vec<_> = conditions.iter().map(condition).collect();
            format!("({})", each.join(" and "))
        }
        Condition::Not(inner) => format!("not ({})", condition(inner)),
    }
}

/// Leading ranges that are named; a long list of codes has one each.
const LEADS_MAX: usize = 16;
/// Stands for a row, a hash and a number of rows.
const NOBODY: i64 = 7;
/// As many columns as any place has.
const STAND_IN_COLUMNS: usize = 8;
/// Statements that are kept.
const STATEMENTS_MAX: usize = 200;
