//! A patient's compartment, by keyset on the number of its resources.
//!
//! Not here: what is listed and who sees it (`crate::compartment`).

use fhir::{ResourceKey, ResourceType};
use policy::Permit;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::known::khash;
use super::read::stored;
use crate::compartment::{condition, members, open, seal, types};
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::page::{CompartmentPage, CompartmentQuery};

/// One page of a compartment, on the snapshot of the connection.
pub(super) async fn compartment(
    conn: &mut PgConnection,
    index_key: &IndexKey,
    permit: &Permit,
    query: &CompartmentQuery,
) -> Result<CompartmentPage, ReadError> {
    let after = open(query, index_key)?;
    let patient = ResourceKey::new(ResourceType::PATIENT, query.patient.clone());
    let rid: Option<i64> =
        sqlx::query_scalar("select rid from resource where khash = $1 and type = $2 and id = $3")
            .bind(khash(index_key, &patient))
            .bind(i16::from(ResourceType::PATIENT.code()))
            .bind(patient.id.as_str())
            .fetch_optional(&mut *conn)
            .await?;
    let (Some(types), Some(rid)) = (types(query, permit), rid) else {
        return Ok(CompartmentPage::default());
    };
    let (members, condition) = (members(rid), condition(rid, &types));
    // Looked up one by one whatever the planner knows: it would join the whole store otherwise.
    let select = format!(
        "select v.change, v.type, v.version, v.updated_us, v.action, v.payload, v.entry, v.salt_id,
           r.id, m.rid
         from ({members}) m
         cross join lateral (select r.id, r.change from resource r
           where r.rid = m.rid and {condition} and r.updated_us >= $1 offset 0) r
         cross join lateral (select * from resource_version v
           where v.change = r.change offset 0) v
         where m.rid > $2
         order by m.rid
         limit $3"
    );
    let rows = sqlx::query(AssertSqlSafe(select))
        .bind(query.since.map_or(i64::MIN, fhir::Instant::micros))
        .bind(after)
        .bind(i64::try_from(query.count + 1).unwrap_or(i64::MAX))
        .fetch_all(conn)
        .await?;
    let mut page = CompartmentPage { is_more: rows.len() > query.count, ..Default::default() };
    for row in rows.iter().take(query.count) {
        page.members.push((stored(row)?, seal(row.try_get(9)?, query, index_key)));
    }
    Ok(page)
}
