//! A patient's compartment, by keyset on the number of its resources.
//!
//! Not here: what is listed and who sees it (`crate::compartment`).

use fhir::{ResourceKey, ResourceType};
use policy::Permit;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::known::khash;
use super::read::stored;
use crate::compartment::{condition, open, seal, types};
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
    let condition = condition(rid, &types);
    let select = format!(
        "select v.change, v.type, v.version, v.updated_us, v.action, v.payload, v.entry, v.salt_id,
           r.id, r.rid
         from resource r join resource_version v on v.change = r.change
         where {condition} and r.updated_us >= $1 and r.rid > $2
         order by r.rid
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
