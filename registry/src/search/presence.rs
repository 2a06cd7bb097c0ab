//! `:missing` alone: the resources of a type whose set of parameters lacks, or has, what is asked for.
//!
//! The sets of a type are few ([`SETS_MAX`]); they are listed first, by as many steps through their index, with one
//! resource of each that tells what is in it. Then the matches are ranges of that index. Beside other conditions, which
//! lead as well, presence is probed (`probe`). Not here: how a set becomes a number (`index::present`).

use fhir::ResourceType;

use super::ask::{Connection, int};
use super::clause::Filter;
use super::condition::Condition;
use super::scope::Scope;
use super::sql::Sql;
use crate::error::ReadError;
use crate::index::sets_of;

/// Whether filters ask for nothing but presence.
pub(super) fn is_presence(filters: &[Filter]) -> bool {
    let is_missing = |filter: &Filter| matches!(filter, Filter::Missing { .. });
    !filters.is_empty() && filters.iter().all(is_missing)
}

/// The one condition that filters on presence together are; `None` where the type has too many sets. The connection
/// must stay on one snapshot: a set that is written later is in no list.
pub(super) async fn presence<C: Connection>(
    of: ResourceType,
    filters: &[Filter],
    scope: &Scope,
    connection: &mut C,
) -> Result<Option<Condition>, ReadError> {
    let sets = sets_of(of);
    let mut sql = Sql::new(C::DIALECT, scope);
    sql.push("with recursive n (h) as (select ");
    next(&mut sql, Some(sets.start), sets.end);
    sql.push(" union all select ");
    next(&mut sql, None, sets.end);
    sql.push(" from n where n.h is not null) select l.h, case when 1 = 1");
    for filter in filters {
        let Filter::Missing { params, missing } = filter else { continue };
        sql.push(if *missing { " and not " } else { " and " });
        sql.any(params, &mut |sql, param| {
            sql.lists("l.present", *param);
        });
    }
    sql.push(" then 1 else 0 end from (select n.h, (select t.present from resource_terms t");
    sql.indexed_by("resource_terms_by_set").push(" where t.present_set = n.h limit 1) as present");
    sql.push(" from n where n.h is not null limit ").int(SETS_MAX + 1).push(") l");
    let rows = connection.ask(sql.finish()).await?;
    if i64::try_from(rows.len()).unwrap_or(i64::MAX) > SETS_MAX {
        return Ok(None);
    }
    let passing = rows.iter().filter(|row| int(row, 1) != 0).map(|row| int(row, 0));
    let each = filters.iter().filter_map(|filter| match filter {
        Filter::Missing { params, missing } => {
            Some(Condition::Missing { params: params.clone(), missing: *missing })
        }
        _ => None,
    });
    Ok(Some(Condition::Sets { sets: passing.collect(), each: each.collect() }))
}

/// Writes the first set from a place on, or beyond the last that was found, as an expression.
fn next(sql: &mut Sql<'_>, from: Option<i64>, below: i64) {
    sql.push("(select t.present_set from resource_terms t").indexed_by("resource_terms_by_set");
    match from {
        Some(from) => sql.push(" where t.present_set >= ").int(from),
        None => sql.push(" where t.present_set > n.h"),
    };
    sql.push(" and t.present_set < ").int(below).push(" order by t.present_set limit 1)");
}

/// Sets of one type up to which they are listed.
const SETS_MAX: i64 = 500;
