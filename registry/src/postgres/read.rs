//! Reads by key: current version, one version, what preparation asks, keys, scan. Each is one statement.

use bytes::Bytes;
use fhir::{Instant, ResourceId, ResourceKey, ResourceType, VersionId, VersionKey};
use policy::{Permit, Visibility, universal_types};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::erasure;
use super::known::{khash, patient_key};
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::page::StoredVersion;
use crate::params::search_parameter;
use crate::search;
use crate::write_set::{Action, Match, MatchOutcome, WrappedKey};

/// Rows of the patients whose compartments the permit sees; `None` for everything. Unknown patients drop
/// out, since nothing can be in their compartment. A row's number never changes, so this needs no
/// snapshot with what follows.
pub(super) async fn seen(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    permit: &Permit,
) -> Result<Option<Vec<i64>>, ReadError> {
    let Visibility::Compartments(patients) = permit.visibility() else { return Ok(None) };
    let keys: Vec<_> = patients.iter().map(patient_key).collect();
    let rids = sqlx::query_scalar(
        "select r.rid from unnest($1, $2) k (khash, id)
         join resource r on r.khash = k.khash and r.type = $3 and r.id = k.id",
    )
    .bind(keys.iter().map(|key| khash(index_key, key)).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>())
    .bind(i16::from(ResourceType::PATIENT.code()))
    .fetch_all(conn)
    .await?;
    Ok(Some(rids))
}

/// Current version of `key`, tombstones included, if the permit sees it.
pub(super) async fn read(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    permit: &Permit,
    key: &ResourceKey,
) -> Result<Option<StoredVersion>, ReadError> {
    if !permit.types().contains(key.resource_type) {
        return Ok(None);
    }
    let seen = seen(conn, index_key, permit).await?;
    let row = sqlx::query(
        "select v.change, v.type, v.version, v.updated_us, v.action, v.payload, v.entry, v.salt_id, r.id
         from resource r join resource_version v on v.change = r.change
         where r.khash = $1 and r.type = $2 and r.id = $3 and r.version > 0
           and ($4::bigint[] is null or r.patient = any($4) or (r.patient = 0 and $5)
                or (r.patient = -1 and exists (
                  select 1 from compartment c where c.rid = r.rid and c.patient = any($4))))",
    )
    .bind(khash(index_key, key))
    .bind(i16::from(key.resource_type.code()))
    .bind(key.id.as_str())
    .bind(seen)
    .bind(universal_types().contains(key.resource_type))
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(stored).transpose()
}

/// One version, if the permit sees it.
pub(super) async fn vread(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    permit: &Permit,
    key: &VersionKey,
) -> Result<Option<StoredVersion>, ReadError> {
    let of = key.key.resource_type;
    if !permit.types().contains(of) {
        return Ok(None);
    }
    let seen = seen(conn, index_key, permit).await?;
    let row = sqlx::query(
        "select v.change, v.type, v.version, v.updated_us, v.action, v.payload, v.entry, v.salt_id, r.id
         from resource r join resource_version v on v.rid = r.rid
         where r.khash = $1 and r.type = $2 and r.id = $3 and v.version = $6
           and ($4::bigint[] is null or v.patient = any($4) or (v.patient = 0 and $5)
                or (v.patient = -1 and exists (
                  select 1 from version_compartment c
                  where c.change = v.change and c.patient = any($4))))",
    )
    .bind(khash(index_key, &key.key))
    .bind(i16::from(of.code()))
    .bind(key.key.id.as_str())
    .bind(seen)
    .bind(universal_types().contains(of))
    .bind(key.version.number().cast_signed())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(stored).transpose()
}

/// A row `change, type, version, updated_us, action, payload, entry, salt_id, id` as a version.
pub(super) fn stored(row: &PgRow) -> Result<StoredVersion, ReadError> {
    let resource_type = u8::try_from(row.try_get::<i16, _>(1)?).ok();
    let resource_type = resource_type.and_then(ResourceType::from_code).ok_or_else(damaged)?;
    let id = ResourceId::parse(row.try_get(8)?).map_err(|_| damaged())?;
    Ok(StoredVersion {
        key: ResourceKey::new(resource_type, id),
        version: VersionId::new(row.try_get::<i64, _>(2)?.cast_unsigned()).ok_or_else(damaged)?,
        updated: Instant::from_micros(row.try_get(3)?),
        action: match row.try_get::<i16, _>(4)? {
            1 => Action::Create,
            2 => Action::Update,
            3 => Action::Delete,
            _ => return Err(damaged()),
        },
        change: row.try_get::<i64, _>(0)?.cast_unsigned(),
        payload: Bytes::copy_from_slice(row.try_get(5)?),
        entry: array(row.try_get(6)?)?,
        salt_id: array(row.try_get(7)?)?,
    })
}

/// Bytes of a fixed length.
pub(super) fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ReadError> {
    bytes.try_into().map_err(|_| damaged())
}

/// What preparation asks; the connection is inside a snapshot when there are queries among it.
pub(super) async fn resolve(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    permit: &Permit,
    matches: &[Match],
) -> Result<Vec<MatchOutcome>, ReadError> {
    let keys = matches.iter().filter_map(|asked| match asked {
        Match::Key(key) => Some(key),
        Match::Query(..) | Match::SearchParams | Match::Erasures => None,
    });
    let keys: Vec<_> = keys.collect();
    let mut of_keys = resolve_keys(conn, index_key, permit, &keys).await?.into_iter();
    let mut outcomes = Vec::with_capacity(matches.len());
    for asked in matches {
        outcomes.push(match asked {
            Match::Key(_) => of_keys.next().unwrap_or(MatchOutcome::Key(None)),
            Match::Query(criteria) => MatchOutcome::Query(
                search::matching_ids(criteria, permit, index_key, &mut &mut *conn).await?,
            ),
            Match::SearchParams => {
                let newest = newest_change(&mut *conn, &[search_parameter()]).await?;
                MatchOutcome::SearchParams(newest)
            }
            Match::Erasures => MatchOutcome::Erasures(erasure::ended(&mut *conn).await?),
        });
    }
    Ok(outcomes)
}

async fn resolve_keys(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    permit: &Permit,
    keys: &[&ResourceKey],
) -> Result<Vec<MatchOutcome>, ReadError> {
    let mut outcomes = vec![MatchOutcome::Key(None); keys.len()];
    if keys.is_empty() {
        return Ok(outcomes);
    }
    let seen = seen(conn, index_key, permit).await?;
    let universal = universal_types();
    let rows = sqlx::query(
        "select k.at, r.version, r.deleted,
                ($4::bigint[] is null or r.patient = any($4) or (r.patient = 0 and k.universal)
                 or (r.patient = -1 and exists (
                   select 1 from compartment c where c.rid = r.rid and c.patient = any($4))))
         from unnest($1, $2, $3, $5) with ordinality k (khash, type, id, universal, at)
         join resource r on r.khash = k.khash and r.type = k.type and r.id = k.id
         where r.version > 0",
    )
    .bind(keys.iter().map(|key| khash(index_key, key)).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| i16::from(key.resource_type.code())).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>())
    .bind(seen)
    .bind(keys.iter().map(|key| universal.contains(key.resource_type)).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    for row in &rows {
        let at = usize::try_from(row.try_get::<i64, _>(0)? - 1).map_err(|_| damaged())?;
        let version = VersionId::new(row.try_get::<i64, _>(1)?.cast_unsigned());
        let deleted = row.try_get::<i16, _>(2)? != 0;
        if let Some(outcome) = outcomes.get_mut(at) {
            *outcome = if row.try_get(3)? {
                MatchOutcome::Key(version.map(|version| (version, deleted)))
            } else {
                MatchOutcome::Hidden
            };
        }
    }
    Ok(outcomes)
}

/// First answer to (sender, control id).
pub(super) async fn first_answer(
    conn: &mut PgConnection,
    sender: &str,
    control_id: &str,
) -> Result<Option<Vec<u8>>, ReadError> {
    let found =
        sqlx::query_scalar("select answer from idempotency where sender = $1 and control_id = $2")
            .bind(sender.as_bytes())
            .bind(control_id.as_bytes())
            .fetch_optional(conn)
            .await?;
    Ok(found)
}

/// Wrapped keys by id; unknown ids are left out.
pub(super) async fn data_keys(
    conn: &mut PgConnection,
    ids: &[u64],
) -> Result<Vec<WrappedKey>, ReadError> {
    let ids: Vec<_> = ids.iter().map(|id| id.cast_signed()).collect();
    let query = "select key_id, compartment, wrapped from data_key where key_id = any($1)";
    let rows = sqlx::query_as(query).bind(ids).fetch_all(conn).await?;
    Ok(rows.into_iter().map(wrapped_key).collect())
}

/// Wrapped keys of compartments; those without one are left out.
pub(super) async fn compartment_keys(
    conn: &mut PgConnection,
    compartments: &[String],
) -> Result<Vec<WrappedKey>, ReadError> {
    let query = "select key_id, compartment, wrapped from data_key where compartment = any($1)";
    let rows = sqlx::query_as(query).bind(compartments).fetch_all(conn).await?;
    Ok(rows.into_iter().map(wrapped_key).collect())
}

pub(super) fn wrapped_key((key_id, compartment, wrapped): (i64, String, Vec<u8>)) -> WrappedKey {
    WrappedKey { key_id: key_id.cast_unsigned(), compartment, wrapped }
}

/// Log index of a version once sealed.
pub(super) async fn log_index(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    key: &VersionKey,
) -> Result<Option<u64>, ReadError> {
    let index: Option<i64> = sqlx::query_scalar(
        "select e.log_index
         from resource r
         join resource_version v on v.rid = r.rid
         join ledger_entry e on e.change = v.change
         where r.khash = $1 and r.type = $2 and r.id = $3 and v.version = $4",
    )
    .bind(khash(index_key, &key.key))
    .bind(i16::from(key.key.resource_type.code()))
    .bind(key.key.id.as_str())
    .bind(key.version.number().cast_signed())
    .fetch_optional(conn)
    .await?;
    Ok(index.map(i64::cast_unsigned))
}

/// All versions above `after` in change order.
pub(super) async fn scan_versions(
    conn: &mut PgConnection,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredVersion>, ReadError> {
    let rows = sqlx::query(
        "select v.change, v.type, v.version, v.updated_us, v.action, v.payload, v.entry, v.salt_id, r.id
         from resource_version v join resource r on r.rid = v.rid
         where v.change > $1 order by v.change limit $2",
    )
    .bind(after.cast_signed())
    .bind(sql_limit(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(stored).collect()
}

/// Number of the newest change of these types; each is one step into an index.
pub(super) async fn newest_change(
    conn: &mut PgConnection,
    types: &[ResourceType],
) -> Result<u64, ReadError> {
    let codes: Vec<i16> = types.iter().map(|one| i16::from(one.code())).collect();
    let newest: Option<i64> = sqlx::query_scalar(
        "select max(newest.change)
         from unnest($1::int2[]) as wanted (type)
         cross join lateral (
           select change from resource_version
           where type = wanted.type order by change desc limit 1
         ) newest",
    )
    .bind(codes)
    .fetch_one(conn)
    .await?;
    Ok(newest.unwrap_or(0).cast_unsigned())
}

/// A limit as SQL has it.
pub(super) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn damaged() -> ReadError {
    ReadError::Damaged("a stored version".into())
}
