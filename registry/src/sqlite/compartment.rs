//! A patient's compartment, by keyset on the number of its resources.
//!
//! Not here: what is listed and who sees it (`crate::compartment`).

use fhir::{ResourceId, ResourceKey, ResourceType};
use policy::Permit;
use rusqlite::{Connection, params};

use super::current::current;
use super::read::{sql_limit, stored};
use crate::compartment::{condition, members, open, seal, types};
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::page::{CompartmentPage, CompartmentQuery};

/// One page of a compartment.
pub(super) fn compartment(
    conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    query: &CompartmentQuery,
) -> Result<CompartmentPage, ReadError> {
    let after = open(query, index_key)?;
    let patient = ResourceKey::new(ResourceType::PATIENT, query.patient.clone());
    let (Some(types), Some(patient)) = (types(query, permit), current(conn, index_key, &patient)?)
    else {
        return Ok(CompartmentPage::default());
    };
    let (members, condition) = (members(patient.rid), condition(patient.rid, &types));
    let select = format!(
        "select v.change, v.type, v.version, v.updated_us, v.action, v.payload, v.entry, v.salt_id,
           r.id, r.rid
         from resource r join resource_version v on v.change = r.change
         where r.rid in ({members}) and {condition} and r.updated_us >= ?1 and r.rid > ?2
         order by r.rid
         limit ?3"
    );
    let since = query.since.map_or(i64::MIN, fhir::Instant::micros);
    let mut select = conn.prepare_cached(&select)?;
    let mut rows = select.query(params![since, after, sql_limit(query.count + 1)])?;
    let mut page = CompartmentPage::default();
    while let Some(row) = rows.next()? {
        if page.members.len() == query.count {
            page.is_more = true;
            break;
        }
        let id = ResourceId::parse(&row.get::<_, String>(8)?)
            .map_err(|_| ReadError::Damaged("the id of a resource".into()))?;
        page.members.push((stored(row, id)?, seal(row.get(9)?, query, index_key)));
    }
    Ok(page)
}
