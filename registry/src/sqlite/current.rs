//! Current state of a resource by key, and who may see it: what reads and the writer share.

use fhir::{ResourceId, ResourceKey, ResourceType, VersionId};
use policy::{Permit, Visibility, universal_types};
use rusqlite::{Connection, OptionalExtension, params};

use crate::hash::IndexKey;
use crate::place::{Current, NO_PATIENT, SEVERAL_PATIENTS};
use crate::write_set::MatchOutcome;

/// Row of `key`, a placeholder included.
pub(super) fn current(
    conn: &Connection,
    index_key: &IndexKey,
    key: &ResourceKey,
) -> rusqlite::Result<Option<Current>> {
    let khash = index_key.resource(key.resource_type.name(), key.id.as_str());
    let mut select = conn.prepare_cached(
        "select rid, type, id, version, change, nsort, patient, deleted from resource
         where khash = ?1",
    )?;
    let mut rows = select.query([khash])?;
    while let Some(row) = rows.next()? {
        let same_type = row.get::<_, u8>(1)? == key.resource_type.code();
        if same_type && row.get_ref(2)?.as_str()? == key.id.as_str() {
            return Ok(Some(Current {
                rid: row.get(0)?,
                version: VersionId::new(row.get::<_, i64>(3)?.cast_unsigned()),
                change: row.get(4)?,
                nsort: row.get(5)?,
                patient: row.get(6)?,
                deleted: row.get(7)?,
            }));
        }
    }
    Ok(None)
}

/// A permit's visibility with its patients as `rid`s.
pub(super) enum Seen {
    /// All resources.
    Everything,
    /// Those in these patients' compartments, and universal types in none.
    Compartments(Vec<i64>),
}

impl Seen {
    /// Looks the permit's patients up; unknown ones drop out, since nothing can be in their compartment.
    pub(super) fn of(
        permit: &Permit,
        index_key: &IndexKey,
        conn: &Connection,
    ) -> rusqlite::Result<Self> {
        let Visibility::Compartments(patients) = permit.visibility() else {
            return Ok(Self::Everything);
        };
        let mut rids = Vec::with_capacity(patients.len());
        for id in patients {
            let key = ResourceKey::new(ResourceType::PATIENT, id.clone());
            rids.extend(current(conn, index_key, &key)?.map(|current| current.rid));
        }
        Ok(Self::Compartments(rids))
    }

    /// Rows of the patients, `None` for everything.
    pub(super) fn rids(&self) -> Option<&[i64]> {
        match self {
            Self::Everything => None,
            Self::Compartments(rids) => Some(rids),
        }
    }

    /// True if a resource with this `patient` column is seen.
    pub(super) fn sees_resource(
        &self,
        resource_type: ResourceType,
        row: &Current,
        conn: &Connection,
    ) -> rusqlite::Result<bool> {
        self.sees(resource_type, row.patient, conn, |one| {
            conn.prepare_cached(
                "select 1 from compartment
                 where patient = ?1 and type = ?2 and nsort = ?3 and rid = ?4",
            )?
            .exists(params![one, resource_type.code(), row.nsort, row.rid])
        })
    }

    /// True if a version with this `patient` column is seen.
    pub(super) fn sees_version(
        &self,
        resource_type: ResourceType,
        patient: i64,
        change: i64,
        conn: &Connection,
    ) -> rusqlite::Result<bool> {
        self.sees(resource_type, patient, conn, |one| {
            conn.prepare_cached(
                "select 1 from version_compartment where change = ?1 and patient = ?2",
            )?
            .exists([change, one])
        })
    }

    fn sees(
        &self,
        resource_type: ResourceType,
        patient: i64,
        _conn: &Connection,
        is_member: impl Fn(i64) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<bool> {
        let Self::Compartments(rids) = self else { return Ok(true) };
        match patient {
            NO_PATIENT => Ok(universal_types().contains(resource_type)),
            SEVERAL_PATIENTS => {
                for rid in rids {
                    if is_member(*rid)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            one => Ok(rids.contains(&one)),
        }
    }
}

/// What preparation needs to know of a key.
pub(super) fn resolve_key(
    conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    key: &ResourceKey,
) -> rusqlite::Result<MatchOutcome> {
    let Some(row) = current(conn, index_key, key)? else { return Ok(MatchOutcome::Key(None)) };
    let Some(version) = row.version else { return Ok(MatchOutcome::Key(None)) };
    let seen = Seen::of(permit, index_key, conn)?;
    if !seen.sees_resource(key.resource_type, &row, conn)? {
        return Ok(MatchOutcome::Hidden);
    }
    Ok(MatchOutcome::Key(Some((version, row.deleted))))
}

/// Id of the resource with this `rid`.
pub(super) fn id_of(conn: &Connection, rid: i64) -> rusqlite::Result<Option<ResourceId>> {
    let text: Option<String> = conn
        .prepare_cached("select id from resource where rid = ?1")?
        .query_row([rid], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| ResourceId::parse(&text).ok()))
}
