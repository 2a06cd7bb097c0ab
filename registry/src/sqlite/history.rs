//! History of a resource, a type or everything, newest first, by keyset on the change number.
//!
//! A version is listed when its own compartments are visible, whatever became of the resource later.
//! For a few patients a type's history starts from their compartments, not from all versions.

use policy::{Permit, TypeSet, universal_types};
use rusqlite::{Connection, ToSql};

use super::current::{NO_PATIENT, SEVERAL_PATIENTS, Seen, current, id_of};
use super::read::stored;
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::page::{HistoryPage, HistoryQuery, HistoryScope};

/// One page of history.
pub(super) fn history(
    conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    query: &HistoryQuery,
) -> Result<HistoryPage, ReadError> {
    let seen = Seen::of(permit, index_key, conn)?;
    let Some(scope) = Scope::of(conn, index_key, permit, &query.scope)? else {
        return Ok(HistoryPage::default());
    };
    let condition = condition(&scope, &seen, permit);
    let since = query.since.map_or(i64::MIN, fhir::Instant::micros);
    let before = query.before_change.map_or(i64::MAX, u64::cast_signed);

    let count =
        format!("select count(*) from resource_version v where {condition} and v.updated_us >= ?1");
    let total: i64 = conn.prepare_cached(&count)?.query_row([since], |row| row.get(0))?;
    let page = format!(
        "select v.change, v.type, v.version, v.updated_us, v.action, v.payload, v.entry, v.salt_id, v.rid
         from resource_version v
         where {condition} and v.updated_us >= ?1 and v.change < ?2
         order by v.change desc
         limit ?3"
    );
    let limit = i64::from(query.count) + 1;
    let binds: [&dyn ToSql; 3] = [&since, &before, &limit];
    let mut select = conn.prepare_cached(&page)?;
    let mut rows = select.query(binds.as_slice())?;
    let mut versions = Vec::with_capacity(query.count as usize);
    let mut next = None;
    while let Some(row) = rows.next()? {
        if versions.len() == query.count as usize {
            next = versions.last().map(|last: &crate::page::StoredVersion| last.change);
            break;
        }
        let id = id_of(conn, row.get(8)?)?
            .ok_or_else(|| ReadError::Unavailable("a version has no resource".into()))?;
        versions.push(stored(row, id)?);
    }
    Ok(HistoryPage { versions, total: total.cast_unsigned(), next })
}

enum Scope {
    Instance(i64),
    Type(u8),
    System,
}

impl Scope {
    /// `None` when nothing of it can be visible.
    fn of(
        conn: &Connection,
        index_key: &IndexKey,
        permit: &Permit,
        scope: &HistoryScope,
    ) -> Result<Option<Self>, ReadError> {
        Ok(match scope {
            HistoryScope::Instance(key) if permit.types().contains(key.resource_type) => {
                current(conn, index_key, key)?.map(|row| Self::Instance(row.rid))
            }
            HistoryScope::Type(resource_type) if permit.types().contains(*resource_type) => {
                Some(Self::Type(resource_type.code()))
            }
            HistoryScope::System => Some(Self::System),
            HistoryScope::Instance(_) | HistoryScope::Type(_) => None,
        })
    }
}

/// Condition on `v` for scope and visibility. Holds integers of ours only, nothing from a request.
fn condition(scope: &Scope, seen: &Seen, permit: &Permit) -> String {
    let scoped = match scope {
        Scope::Instance(rid) => format!("v.rid = {rid}"),
        Scope::Type(code) => format!("v.type = {code}"),
        Scope::System if *permit.types() == TypeSet::all() => "true".to_owned(),
        Scope::System => format!("v.type in ({})", codes(permit.types())),
    };
    let Seen::Compartments(rids) = seen else { return scoped };
    let own: Vec<String> = rids.iter().map(i64::to_string).collect();
    let own = own.join(", ");
    let universal = codes(&universal_types().intersection(permit.types()));
    let visible = format!(
        "(v.patient in ({own})
          or v.patient = {NO_PATIENT} and v.type in ({universal})
          or v.patient = {SEVERAL_PATIENTS} and exists (
            select 1 from version_compartment c where c.change = v.change and c.patient in ({own})))"
    );
    let from_compartments = matches!(scope, Scope::Type(code)
        if !universal_types().iter().any(|universal| universal.code() == *code));
    if !from_compartments {
        return format!("{scoped} and {visible}");
    }
    format!(
        "v.rid in (select rid from resource where patient in ({own})
                   union select rid from compartment where patient in ({own}))
         and +{scoped} and {visible}"
    )
}

fn codes(types: &TypeSet) -> String {
    types.iter().map(|one| one.code().to_string()).collect::<Vec<_>>().join(", ")
}
