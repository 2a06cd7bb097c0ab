//! Reads by key: current version, one version, what preparation asks, keys, scan.

use bytes::Bytes;
use fhir::{Instant, ResourceId, ResourceKey, ResourceType, VersionId, VersionKey};
use policy::Permit;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::current::{Seen, current, id_of, resolve_key};
use super::reader::until;
use super::{erasure, search};
use crate::cost::criteria_time;
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::page::StoredVersion;
use crate::params::search_parameter;
use crate::write_set::{Action, Match, MatchOutcome, WrappedKey};

/// Current version of `key`, tombstones included, if the permit sees it.
pub(super) fn read(
    conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    key: &ResourceKey,
) -> Result<Option<StoredVersion>, ReadError> {
    if !permit.types().contains(key.resource_type) {
        return Ok(None);
    }
    let Some(row) = current(conn, index_key, key)?.filter(|row| row.version.is_some()) else {
        return Ok(None);
    };
    let seen = Seen::of(permit, index_key, conn)?;
    if !seen.sees_resource(key.resource_type, &row, conn)? {
        return Ok(None);
    }
    version_at(conn, row.change, &key.id)
}

/// One version, if the permit sees it.
pub(super) fn vread(
    conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    key: &VersionKey,
) -> Result<Option<StoredVersion>, ReadError> {
    let resource_type = key.key.resource_type;
    if !permit.types().contains(resource_type) {
        return Ok(None);
    }
    let Some(row) = current(conn, index_key, &key.key)? else { return Ok(None) };
    let found: Option<(i64, i64)> = conn
        .prepare_cached(
            "select change, patient from resource_version where rid = ?1 and version = ?2",
        )?
        .query_row(params![row.rid, key.version.number().cast_signed()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((change, patient)) = found else { return Ok(None) };
    let seen = Seen::of(permit, index_key, conn)?;
    if !seen.sees_version(resource_type, patient, change, conn)? {
        return Ok(None);
    }
    version_at(conn, change, &key.key.id)
}

/// The version with this change number, of the resource with this id.
pub(super) fn version_at(
    conn: &Connection,
    change: i64,
    id: &ResourceId,
) -> Result<Option<StoredVersion>, ReadError> {
    let found = conn
        .prepare_cached(
            "select change, type, version, updated_us, action, payload, entry, salt_id
             from resource_version where change = ?1",
        )?
        .query_row([change], |row| Ok(stored(row, id.clone())))
        .optional()?;
    found.transpose()
}

/// A row `change, type, version, updated_us, action, payload, entry, salt_id` as a version.
pub(super) fn stored(row: &Row<'_>, id: ResourceId) -> Result<StoredVersion, ReadError> {
    let damaged = || ReadError::Damaged("a stored version".into());
    let resource_type = ResourceType::from_code(row.get(1)?).ok_or_else(damaged)?;
    Ok(StoredVersion {
        key: ResourceKey::new(resource_type, id),
        version: VersionId::new(row.get::<_, i64>(2)?.cast_unsigned()).ok_or_else(damaged)?,
        updated: Instant::from_micros(row.get(3)?),
        action: match row.get::<_, u8>(4)? {
            1 => Action::Create,
            2 => Action::Update,
            3 => Action::Delete,
            _ => return Err(damaged()),
        },
        change: row.get::<_, i64>(0)?.cast_unsigned(),
        payload: Bytes::copy_from_slice(row.get_ref(5)?.as_blob().map_err(|_| damaged())?),
        entry: row.get(6)?,
        salt_id: row.get(7)?,
    })
}

/// What preparation asks, on the snapshot of the connection.
pub(super) fn resolve(
    conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    matches: &[Match],
) -> Result<Vec<MatchOutcome>, ReadError> {
    let read = || {
        matches
            .iter()
            .map(|asked| match asked {
                Match::Key(key) => Ok(resolve_key(conn, index_key, permit, key)?),
                Match::Query(criteria) => {
                    search::matches(conn, index_key, permit, criteria).map(MatchOutcome::Query)
                }
                Match::SearchParams => {
                    Ok(MatchOutcome::SearchParams(newest_change(conn, &[search_parameter()])?))
                }
                Match::Erasures => Ok(MatchOutcome::Erasures(erasure::ended(conn)?)),
            })
            .collect()
    };
    if !matches.iter().any(|asked| matches!(asked, Match::Query(..))) {
        return read();
    }
    until(std::time::Instant::now() + criteria_time(matches), read)
}

/// Wrapped keys by id; unknown ids are left out.
pub(super) fn data_keys(conn: &Connection, ids: &[u64]) -> rusqlite::Result<Vec<WrappedKey>> {
    let mut select =
        conn.prepare_cached("select key_id, compartment, wrapped from data_key where key_id = ?1")?;
    let mut keys = Vec::with_capacity(ids.len());
    for id in ids {
        keys.extend(select.query_row([id.cast_signed()], wrapped_key).optional()?);
    }
    Ok(keys)
}

/// Wrapped keys of compartments; those without one are left out.
pub(super) fn compartment_keys(
    conn: &Connection,
    compartments: &[String],
) -> rusqlite::Result<Vec<WrappedKey>> {
    let mut select = conn.prepare_cached(
        "select key_id, compartment, wrapped from data_key where compartment = ?1",
    )?;
    let mut keys = Vec::with_capacity(compartments.len());
    for compartment in compartments {
        keys.extend(select.query_row([compartment], wrapped_key).optional()?);
    }
    Ok(keys)
}

pub(super) fn wrapped_key(row: &Row<'_>) -> rusqlite::Result<WrappedKey> {
    Ok(WrappedKey {
        key_id: row.get::<_, i64>(0)?.cast_unsigned(),
        compartment: row.get(1)?,
        wrapped: row.get(2)?,
    })
}

/// Log index of a version once sealed.
pub(super) fn log_index(
    conn: &Connection,
    index_key: &IndexKey,
    key: &VersionKey,
) -> Result<Option<u64>, ReadError> {
    let Some(row) = current(conn, index_key, &key.key)? else { return Ok(None) };
    let index: Option<i64> = conn
        .prepare_cached(
            "select e.log_index from resource_version v
             join ledger_entry e on e.change = v.change
             where v.rid = ?1 and v.version = ?2",
        )?
        .query_row(params![row.rid, key.version.number().cast_signed()], |row| row.get(0))
        .optional()?;
    Ok(index.map(i64::cast_unsigned))
}

/// Number of the newest change of these types.
pub(super) fn newest_change(
    conn: &Connection,
    types: &[ResourceType],
) -> Result<u64, rusqlite::Error> {
    let mut select =
        conn.prepare_cached("select max(change) from resource_version where type = ?1")?;
    let mut newest = 0;
    for resource_type in types {
        let of_type: Option<i64> =
            select.query_row([i64::from(resource_type.code())], |row| row.get(0))?;
        newest = newest.max(of_type.unwrap_or(0).cast_unsigned());
    }
    Ok(newest)
}

/// A limit as SQL has it.
pub(super) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// All versions above `after` in change order.
pub(super) fn scan_versions(
    conn: &Connection,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredVersion>, ReadError> {
    let mut select = conn.prepare_cached(
        "select change, type, version, updated_us, action, payload, entry, salt_id, rid
         from resource_version where change > ?1 order by change limit ?2",
    )?;
    let mut rows = select.query(params![after.cast_signed(), sql_limit(limit)])?;
    let mut versions = Vec::new();
    while let Some(row) = rows.next()? {
        let id = id_of(conn, row.get(8)?)?
            .ok_or_else(|| ReadError::Damaged("a version has no resource".into()))?;
        versions.push(stored(row, id)?);
    }
    Ok(versions)
}
