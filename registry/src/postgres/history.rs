//! History of a resource, a type or everything, newest first, by keyset on the change number.
//!
//! Not here: what is listed and who sees it (`crate::history`).

use policy::Permit;
use sqlx::{AssertSqlSafe, PgConnection};

use super::known::khash;
use super::read::{seen, stored};
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::history::{Scope, condition, counted_max, listed, open, seal, timed, times, total};
use crate::page::{HistoryPage, HistoryQuery, HistoryScope};

/// One page of history, on the snapshot of the connection.
pub(super) async fn history(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    permit: &Permit,
    query: &HistoryQuery,
) -> Result<HistoryPage, ReadError> {
    let seen = seen(conn, index_key, permit).await?;
    let Some(scope) = scope_of(conn, index_key, permit, &query.scope).await? else {
        return Ok(HistoryPage::default());
    };
    let before = open(query, index_key)?;
    let visible = condition(&scope, seen.as_deref(), permit);
    let listed = listed(query, seen.as_deref(), index_key);
    let condition = timed(&visible, &listed, '$');
    let [since, until, from] = times(query);

    let count = format!(
        "select count(*) from (select 1 from resource_version v where {condition} limit $4) c"
    );
    let counted: i64 = sqlx::query_scalar(AssertSqlSafe(count))
        .bind(since)
        .bind(until)
        .bind(from)
        .bind(counted_max(query))
        .fetch_one(&mut *conn)
        .await?;
    let is_known = if counted > 0 || !matches!(scope, Scope::Instance(_)) {
        true
    } else {
        let any = format!("select exists (select 1 from resource_version v where {visible})");
        sqlx::query_scalar(AssertSqlSafe(any)).fetch_one(&mut *conn).await?
    };
    let page = format!(
        "select v.change, v.type, v.version, v.updated_us, v.action, v.payload, v.entry, v.salt_id, r.id
         from resource_version v join resource r on r.rid = v.rid
         where {condition} and v.change < $4
         order by v.change desc
         limit $5"
    );
    let rows = sqlx::query(AssertSqlSafe(page))
        .bind(since)
        .bind(until)
        .bind(from)
        .bind(before)
        .bind(i64::from(query.count) + 1)
        .fetch_all(conn)
        .await?;
    let count = query.count as usize;
    let versions = rows.iter().take(count).map(stored).collect::<Result<Vec<_>, _>>()?;
    let last = versions.last().map(|last| last.change);
    let next = last.filter(|_| rows.len() > count);
    let next = next.map(|change| seal(change, query, index_key));
    Ok(HistoryPage { versions, is_known, total: total(counted, query), next })
}

/// `None` when nothing of it can be visible.
async fn scope_of(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    permit: &Permit,
    scope: &HistoryScope,
) -> Result<Option<Scope>, ReadError> {
    Ok(match scope {
        HistoryScope::Instance(key) if permit.types().contains(key.resource_type) => {
            let rid: Option<i64> = sqlx::query_scalar(
                "select rid from resource where khash = $1 and type = $2 and id = $3",
            )
            .bind(khash(index_key, key))
            .bind(i16::from(key.resource_type.code()))
            .bind(key.id.as_str())
            .fetch_optional(conn)
            .await?;
            rid.map(Scope::Instance)
        }
        HistoryScope::Type(resource_type) if permit.types().contains(*resource_type) => {
            Some(Scope::Type(resource_type.code()))
        }
        HistoryScope::System => Some(Scope::System),
        HistoryScope::Instance(_) | HistoryScope::Type(_) => None,
    })
}
