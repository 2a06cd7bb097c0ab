//! History of a resource, a type or everything, newest first, by keyset on the change number.
//! Not here: what is listed and who sees it (`crate::history`).

use policy::Permit;
use rusqlite::{Connection, ToSql};

use super::current::{Seen, current, id_of};
use super::read::stored;
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::history::{Scope, condition, counted_max, listed, open, seal, timed, times, total};
use crate::page::{HistoryPage, HistoryQuery, HistoryScope};

/// One page of history.
pub(super) fn history(
    conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    query: &HistoryQuery,
) -> Result<HistoryPage, ReadError> {
    let seen = Seen::of(permit, index_key, conn)?;
    let Some(scope) = scope_of(conn, index_key, permit, &query.scope)? else {
        return Ok(HistoryPage::default());
    };
    let before = open(query, index_key)?;
    let visible = condition(&scope, seen.rids(), permit);
    let listed = listed(query, seen.rids(), index_key);
    let condition = timed(&visible, &listed, '?');
    let [since, until, from] = times(query);

    let count = format!(
        "select count(*) from (select 1 from resource_version v where {condition} limit ?4)"
    );
    let counted: i64 = conn
        .prepare_cached(&count)?
        .query_row([since, until, from, counted_max(query)], |row| row.get(0))?;
    let any = format!("select exists (select 1 from resource_version v where {visible})");
    let is_known = counted > 0
        || !matches!(scope, Scope::Instance(_))
        || conn.prepare_cached(&any)?.query_row([], |row| row.get(0))?;
    let page = format!(
        "select v.change, v.type, v.version, v.updated_us, v.action, v.payload, v.entry, v.salt_id, v.rid
         from resource_version v
         where {condition} and v.change < ?4
         order by v.change desc
         limit ?5"
    );
    let limit = i64::from(query.count) + 1;
    let binds: [&dyn ToSql; 5] = [&since, &until, &from, &before, &limit];
    let mut select = conn.prepare_cached(&page)?;
    let mut rows = select.query(binds.as_slice())?;
    let mut versions = Vec::with_capacity(query.count as usize);
    let mut next = None;
    while let Some(row) = rows.next()? {
        if versions.len() == query.count as usize {
            let last = versions.last().map(|last: &crate::page::StoredVersion| last.change);
            next = last.map(|change| seal(change, query, index_key));
            break;
        }
        let id = id_of(conn, row.get(8)?)?
            .ok_or_else(|| ReadError::Damaged("a version has no resource".into()))?;
        versions.push(stored(row, id)?);
    }
    Ok(HistoryPage { versions, is_known, total: total(counted, query), next })
}

/// `None` when nothing of it can be visible.
fn scope_of(
    conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    scope: &HistoryScope,
) -> Result<Option<Scope>, ReadError> {
    Ok(match scope {
        HistoryScope::Instance(key) if permit.types().contains(key.resource_type) => {
            current(conn, index_key, key)?.map(|row| Scope::Instance(row.rid))
        }
        HistoryScope::Type(resource_type) if permit.types().contains(*resource_type) => {
            Some(Scope::Type(resource_type.code()))
        }
        HistoryScope::System => Some(Scope::System),
        HistoryScope::Instance(_) | HistoryScope::Type(_) => None,
    })
}
