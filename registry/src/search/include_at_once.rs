//! Includes in the statement that makes the page, where they are references of the matches themselves.
//!
//! Spec: FHIR R4 search § 3.1.1.5.4. One statement is one snapshot: a page never shows a match of before a transaction
//! beside what it refers to of after it.
//! Not here: `_revinclude`, `:iterate`, `*` and canonicals, which take statements of their own (`include`).

use std::collections::HashSet;

use fhir::ResourceType;

use super::ask::{Connection, Row, int};
use super::clause::{Include, SearchQuery};
use super::hits::{self, Current, Loaded};
use super::include::{INCLUDES_LIMIT, INCLUDES_MAX, too_many};
use super::include_canonical::may_be_canonical;
use super::memory::Memory;
use super::order::Order;
use super::probe::param_of;
use super::scope::Scope;
use super::sql::Sql;
use crate::error::ReadError;

/// Whether all that a search in one type includes can be asked with its page.
pub(super) fn can_be(query: &SearchQuery, order: &Order) -> bool {
    let is_own = |include: &Include| {
        !include.iterate
            && !include.params.is_empty()
            && !include.params.iter().any(|param| may_be_canonical(*param))
    };
    query.includes.is_empty()
        || order.is_default()
            && query.includes.len() <= INCLUDES_AT_ONCE_MAX
            && query.includes.iter().all(is_own)
}

/// Those of the includes that bring something to matches of this type and to this caller.
pub(super) fn effective<'a>(
    query: &'a SearchQuery,
    of: ResourceType,
    scope: &Scope,
) -> Vec<&'a Include> {
    let brings = |include: &&Include| {
        include.source.is_none_or(|source| source == of)
            && include.target.is_none_or(|target| scope.may_include(target))
    };
    query.includes.iter().filter(brings).collect()
}

/// Ends `with p (…) as materialized (…` so that rows that begin with 0 are of the page, and those with 1 have in the
/// columns from `rid` to `change` what its first `count` rows include, each once.
pub(super) fn close(sql: &mut Sql<'_>, includes: &[&Include], order: &Order, count: u32) {
    sql.push(") select 0, p.* from p");
    let mut params: Vec<_> = includes.iter().flat_map(|include| include.params.clone()).collect();
    params.sort_unstable();
    params.dedup();
    if params.is_empty() {
        return;
    }
    sql.push(" union all (select distinct 1, null::bigint, r.rid, ").push(hits::CURRENT);
    sql.push(", null::bigint from (");
    sql.push("select distinct s.target_hash, s.param from (select d.rid from p d");
    order.by_default(sql);
    sql.push(" limit ").int(i64::from(count));
    sql.push(") m cross join lateral (select s.target_hash, s.param from search_reference s");
    sql.push(" where s.rid = m.rid and s.code_hash = 0 and ");
    param_of(sql, "s.param", &params);
    sql.each_time().push(") s) t").beside("resource", "r", "r.khash = t.target_hash");
    sql.push(" where r.khash = t.target_hash and r.deleted = 0 and ");
    sql.any(includes, &mut |sql, include| {
        param_of(sql, "t.param", &include.params);
        if let Some(target) = include.target {
            sql.push(" and r.type = ").int(target.code());
        }
    });
    sql.visible_of_any_type("r").push(" limit ").int(INCLUDES_LIMIT).push(")");
}

/// Rows of the page without their mark, and the rows that it includes.
pub(super) fn parted(rows: Vec<Row>) -> (Vec<Row>, Vec<Row>) {
    let (mut page, mut included) = (Vec::new(), Vec::new());
    for mut row in rows {
        let is_included = int(&row, 0) == 1;
        row.drain(..1.min(row.len()));
        if is_included { included.push(row) } else { page.push(row) }
    }
    (page, included)
}

/// What the rows include beside the matches, each once.
///
/// # Errors
/// [`ReadError::TooCostly`] for too many.
pub(super) async fn loaded<C: Connection>(
    rows: &[Row],
    matches: &HashSet<i64>,
    memory: &Memory,
    connection: &mut C,
) -> Result<Vec<Loaded>, ReadError> {
    if rows.len() > INCLUDES_MAX {
        return Err(too_many());
    }
    // Behind `nsort`, which they have none of.
    let mut included: Vec<_> = rows.iter().filter_map(|row| row.get(1..)).collect();
    included.retain(|row| !matches.contains(&int(row, 0)));
    included.sort_unstable_by_key(|row| int(row, 0));
    let current: Vec<_> = included.into_iter().map(Current::of_row).collect();
    hits::remembered(&current, memory, connection).await
}

/// Includes that one statement holds.
const INCLUDES_AT_ONCE_MAX: usize = 8;
