//! From places to stored versions, and what the page includes beside its matches.
//!
//! Includes start from the page's own reference rows (`resource_terms`), reverse includes from one range of
//! `search_reference` for each match. They are limited in number, never cut in silence.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use fhir::{Instant, ParamKind, ResourceId, ResourceKey, ResourceType, VersionId, search_params};

use super::ask::{Cell, Connection, Row, int};
use super::clause::Include;
use super::probe::param_of;
use super::scope::Scope;
use super::sql::{Bind, Sql};
use crate::error::ReadError;
use crate::index::IndexRows;
use crate::index::param::index_params;
use crate::index::terms;
use crate::page::StoredVersion;
use crate::write_set::Action;

/// Current version of a resource, with what includes need.
pub(super) struct Loaded {
    pub(super) rid: i64,
    pub(super) khash: i64,
    pub(super) version: StoredVersion,
}

/// Which resources to load.
enum Wanted {
    /// These rows of one type.
    Rows(ResourceType),
    /// These rows, of whatever type may be included.
    Included,
}

/// Loads matches of one type in the order of `rids`.
pub(super) async fn load<C: Connection>(
    of: ResourceType,
    rids: &[i64],
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<Loaded>, ReadError> {
    load_rows(&Wanted::Rows(of), rids, scope, connection).await
}

async fn load_rows<C: Connection>(
    wanted: &Wanted,
    rids: &[i64],
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<Loaded>, ReadError> {
    if rids.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(C::DIALECT, scope);
    sql.push("select r.rid, r.khash, r.type, r.id, v.version, v.updated_us, v.action, ");
    sql.push("v.change, v.payload, v.entry, v.salt_id").each(Bind::Ints(rids.to_vec()));
    sql.push(" cross join resource r cross join resource_version v");
    sql.push(" where r.rid = j.value and r.deleted = 0 and v.change = r.change");
    match wanted {
        Wanted::Rows(of) => sql.visible("r", *of),
        Wanted::Included => sql.visible_of_any_type("r"),
    };
    let rows = connection.ask(sql.finish()).await?;
    let loaded = rows.into_iter().map(of_row).collect::<Option<Vec<_>>>();
    let loaded = loaded.ok_or_else(|| ReadError::Unavailable("malformed resource row".into()))?;
    let mut by_rid: HashMap<_, _> = loaded.into_iter().map(|one| (one.rid, one)).collect();
    Ok(rids.iter().filter_map(|rid| by_rid.remove(rid)).collect())
}

fn of_row(row: Row) -> Option<Loaded> {
    let [rid, khash, of, id, version, updated, action, change, payload, entry, salt_id] =
        <[Cell; 11]>::try_from(row).ok()?;
    let (Cell::Text(id), Cell::Blob(payload), Cell::Blob(entry), Cell::Blob(salt_id)) =
        (id, payload, entry, salt_id)
    else {
        return None;
    };
    let number = |cell: &Cell| int(std::slice::from_ref(cell), 0);
    let key = ResourceKey {
        resource_type: ResourceType::from_code(u8::try_from(number(&of)).ok()?)?,
        id: ResourceId::parse(&id).ok()?,
    };
    let version = StoredVersion {
        key,
        version: VersionId::new(u64::try_from(number(&version)).ok()?)?,
        updated: Instant::from_micros(number(&updated)),
        action: match number(&action) {
            1 => Action::Create,
            2 => Action::Update,
            _ => Action::Delete,
        },
        change: u64::try_from(number(&change)).ok()?,
        payload: Bytes::from(payload),
        entry: <[u8; 36]>::try_from(entry).ok()?,
        salt_id: <[u8; 16]>::try_from(salt_id).ok()?,
    };
    Some(Loaded { rid: number(&rid), khash: number(&khash), version })
}

/// Everything that the page includes, matches left out, each once.
pub(super) async fn included<C: Connection>(
    of: ResourceType,
    matches: &[Loaded],
    includes: &[Include],
    revincludes: &[Include],
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<Loaded>, ReadError> {
    let mut rids: Vec<i64> = Vec::new();
    if !includes.is_empty() && !matches.is_empty() {
        let own: Vec<_> = matches.iter().map(|hit| hit.rid).collect();
        let rows = terms(&own, connection).await?;
        for include in includes {
            rids.extend(targets(&rows, include, scope, connection).await?);
        }
    }
    for include in revincludes {
        if !matches.is_empty() && include.target.is_none_or(|target| target == of) {
            rids.extend(sources(of, matches, include, scope, connection).await?);
        }
    }
    let mut seen: HashSet<_> = matches.iter().map(|hit| hit.rid).collect();
    rids.retain(|rid| seen.insert(*rid));
    if rids.len() > INCLUDES_MAX {
        return Err(too_many());
    }
    load_rows(&Wanted::Included, &rids, scope, connection).await
}

/// Reference and token rows of resources that were found visible before.
pub(super) async fn terms<C: Connection>(
    rids: &[i64],
    connection: &mut C,
) -> Result<Vec<IndexRows>, ReadError> {
    if rids.is_empty() {
        return Ok(Vec::new());
    }
    let everything = Scope::everything();
    let mut sql = Sql::new(C::DIALECT, &everything);
    sql.push("select t.terms").each(Bind::Ints(rids.to_vec()));
    sql.push(" cross join resource_terms t where t.rid = j.value");
    let rows = connection.ask(sql.finish()).await?;
    let decode = |row: &Row| match row.first() {
        Some(Cell::Blob(bytes)) => terms::decode(bytes)
            .map_err(|error| ReadError::Unavailable(format!("resource_terms: {error}"))),
        _ => Ok(IndexRows::default()),
    };
    rows.iter().map(decode).collect()
}

/// Rows of the resources that the page refers to.
async fn targets<C: Connection>(
    rows: &[IndexRows],
    include: &Include,
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<i64>, ReadError> {
    if include.target.is_some_and(|target| !scope.may_include(target)) {
        return Ok(Vec::new());
    }
    let wanted = |param: u16| include.params.is_empty() || include.params.contains(&param);
    let mut seen = HashSet::new();
    let references = rows.iter().flat_map(|rows| &rows.references);
    let hashes: Vec<_> = references
        .filter(|row| wanted(row.param) && row.code_hash == 0)
        .map(|row| row.target_hash)
        .filter(|hash| seen.insert(*hash))
        .collect();
    if hashes.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(C::DIALECT, scope);
    sql.push("select r.rid").each(Bind::Ints(hashes));
    sql.push(" cross join resource r where r.khash = j.value and r.deleted = 0");
    if let Some(target) = include.target {
        sql.push(" and r.type = ").int(target.code());
    }
    sql.visible_of_any_type("r");
    sql.push(" order by r.rid limit ").int(INCLUDES_LIMIT);
    let rows = connection.ask(sql.finish()).await?;
    Ok(rows.iter().map(|row| int(row, 0)).collect())
}

/// Rows of the resources that refer to the page.
async fn sources<C: Connection>(
    of: ResourceType,
    matches: &[Loaded],
    include: &Include,
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<i64>, ReadError> {
    if !scope.may_include(include.source) {
        return Ok(Vec::new());
    }
    let params = match &include.params[..] {
        [] => references_to(include.source, of),
        named => named.to_vec(),
    };
    let mut sql = Sql::new(C::DIALECT, scope);
    let hashes = matches.iter().map(|hit| hit.khash).collect();
    sql.push("select s.rid").each(Bind::Ints(hashes));
    sql.push(" cross join search_reference s where s.target_hash = j.value and ");
    param_of(&mut sql, "s", &params);
    sql.push(" and s.code_hash = 0").visible("s", include.source);
    sql.push(" limit ").int(INCLUDES_LIMIT);
    let rows = connection.ask(sql.finish()).await?;
    if rows.len() > INCLUDES_MAX {
        return Err(too_many());
    }
    Ok(rows.iter().map(|row| int(row, 0)).collect())
}

/// All reference parameters of a type that may point to another.
fn references_to(source: ResourceType, of: ResourceType) -> Vec<u16> {
    let references = search_params(source)
        .iter()
        .filter(|param| param.kind == ParamKind::Reference && param.targets.contains(&of));
    let mut params: Vec<_> = references.flat_map(|param| index_params(source, param)).collect();
    params.sort_unstable();
    params.dedup();
    params
}

fn too_many() -> ReadError {
    ReadError::TooCostly(format!(
        "the page includes more than {INCLUDES_MAX} resources; ask for a smaller _count"
    ))
}

/// Resources that one page may include.
pub const INCLUDES_MAX: usize = 5_000;
/// One more, so that an overrun is seen.
const INCLUDES_LIMIT: i64 = 5_001;
