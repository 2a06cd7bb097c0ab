//! Includes over canonicals: an element `canonical`, `uri` or `url` names a resource by its `url`, perhaps with `|version`.
//!
//! Spec: FHIR R4 references.html#canonical, search § 3.1.1.5.4. A canonical with a version leads to the resources with that
//! `url` and `version`, one without to all with that `url`, of the types that the parameter names. Rows: a
//! resource with both elements stands in `search_reference` under the number of its `url` parameter, by the hashes of `url` and
//! `url|version`; a canonical stands there as it is written, under [`AS_WRITTEN`].
//! Not here: rounds and limits, references by type and id (`include`).

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use fhir::{ParamKind, ResourceType, search_params};

use super::ask::{Connection, Row, int};
use super::hits::Loaded;
use super::include::{INCLUDES_LIMIT, terms};
use super::probe::param_of;
use super::scope::Scope;
use super::sql::{Bind, Sql};
use crate::error::ReadError;
use crate::index::AS_WRITTEN;
use crate::index::param::{index_params, url_param};
use crate::index::rows::ReferenceRow;

/// Rows of the visible resources that canonicals name; only of this type, if one is given.
pub(super) async fn named<C: Connection>(
    canonicals: &[ReferenceRow],
    target: Option<ResourceType>,
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<i64>, ReadError> {
    if canonicals.is_empty() {
        return Ok(Vec::new());
    }
    let mut params: Vec<_> = match target {
        Some(target) => url_param(target).into_iter().collect(),
        None => OWN.keys().copied().collect(),
    };
    params.sort_unstable();
    let hashes = canonicals.iter().map(|row| row.target_hash);
    let rows = ask(hashes, &params, 0, scope, connection).await?;
    let is_meant = |found: &Found| {
        let of = OWN.get(&found.param).copied();
        let mut same = canonicals.iter().filter(|row| row.target_hash == found.hash);
        same.any(|row| of.is_some_and(|of| may_name(row.param, of)))
    };
    Ok(rows.iter().filter(|found| is_meant(found)).map(|found| found.rid).collect())
}

/// Whether a parameter may be over canonicals.
pub(super) fn may_be_canonical(param: u16) -> bool {
    TARGETS.contains_key(&param)
}

/// Rows of the visible resources that name these by canonicals of the parameters.
pub(super) async fn naming<C: Connection>(
    to: &[&Loaded],
    params: &[u16],
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<i64>, ReadError> {
    let params: Vec<_> =
        params.iter().copied().filter(|param| TARGETS.contains_key(param)).collect();
    let own: HashMap<i64, ResourceType> = to
        .iter()
        .map(|hit| (hit.rid, hit.version.key.resource_type))
        .filter(|(_, of)| url_param(*of).is_some())
        .collect();
    if params.is_empty() || own.is_empty() {
        return Ok(Vec::new());
    }
    let rids: Vec<_> = own.keys().copied().collect();
    let mut named: HashSet<(i64, ResourceType)> = HashSet::new();
    for (rid, rows) in terms(&rids, connection).await? {
        let Some(of) = own.get(&rid).copied() else { continue };
        let own_rows = rows.references.iter().filter(|row| Some(row.param) == url_param(of));
        named.extend(own_rows.map(|row| (row.target_hash, of)));
    }
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let hashes = named.iter().map(|(hash, _)| *hash);
    let rows = ask(hashes, &params, AS_WRITTEN, scope, connection).await?;
    let is_meant = |found: &Found| {
        let mut same = named.iter().filter(|(hash, _)| *hash == found.hash);
        same.any(|(_, of)| may_name(found.param, *of))
    };
    Ok(rows.iter().filter(|found| is_meant(found)).map(|found| found.rid).collect())
}

/// One row of `search_reference`.
struct Found {
    rid: i64,
    param: u16,
    hash: i64,
}

async fn ask<C: Connection>(
    hashes: impl Iterator<Item = i64>,
    params: &[u16],
    code: i64,
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<Found>, ReadError> {
    let mut hashes: Vec<_> = hashes.collect();
    hashes.sort_unstable();
    hashes.dedup();
    let mut sql = Sql::new(C::DIALECT, scope);
    sql.push("select s.rid, s.param, s.target_hash").each(Bind::Ints(hashes));
    sql.push(" cross join search_reference s cross join resource r where ");
    param_of(&mut sql, "s.param", params);
    sql.push(" and s.target_hash = j.value and s.code_hash = ").int(code);
    sql.push(" and s.rid = r.rid and r.deleted = 0").visible_of_any_type("r");
    sql.push(" limit ").int(INCLUDES_LIMIT);
    let read = |row: &Row| Found {
        rid: int(row, 0),
        param: u16::try_from(int(row, 1)).unwrap_or_default(),
        hash: int(row, 2),
    };
    Ok(connection.ask(sql.finish()).await?.iter().map(read).collect())
}

/// Whether a canonical of the parameter may name a resource of the type; one that tells no types may name any.
fn may_name(param: u16, of: ResourceType) -> bool {
    TARGETS.get(&param).is_none_or(|targets| targets.is_empty() || targets.contains(&of))
}

/// Types of canonical resources by the number that their rows have.
static OWN: LazyLock<HashMap<u16, ResourceType>> =
    LazyLock::new(|| ResourceType::all().filter_map(|of| Some((url_param(of)?, of))).collect());

/// Types that each reference parameter names, where some of them are canonical resources; none for any.
static TARGETS: LazyLock<HashMap<u16, &'static [ResourceType]>> = LazyLock::new(|| {
    let params = ResourceType::all().flat_map(|of| {
        search_params(of)
            .iter()
            .filter(|param| param.kind == ParamKind::Reference)
            .filter(|param| {
                let mut targets = param.targets.iter();
                param.targets.is_empty() || targets.any(|of| url_param(*of).is_some())
            })
            .flat_map(move |param| {
                index_params(of, param).into_iter().map(|number| (number, param.targets))
            })
    });
    params.collect()
});
