//! What a page includes beside its matches, round by round.
//!
//! Spec: FHIR R4 search § 3.1.1.5.4. A round starts from the matches, each further one (`:iterate`) from what the
//! round before brought, until nothing new comes. Includes start from the resources' own reference rows
//! (`resource_terms`), reverse includes from one range of `search_reference` for each. They are limited in
//! number and rounds, never cut in silence; no resource comes twice, and no match as an include.

use std::collections::HashSet;

use fhir::{ParamKind, ResourceType, search_params};

use super::ask::{Cell, Connection, Row, int};
use super::clause::{Include, SearchQuery};
use super::hits::{Loaded, load_included};
use super::include_canonical;
use super::probe::param_of;
use super::scope::Scope;
use super::sql::{Bind, Sql};
use crate::error::ReadError;
use crate::index::param::index_params;
use crate::index::terms as coded;
use crate::index::{AS_WRITTEN, IndexRows};

/// Everything that the page includes, matches left out, each once.
pub(super) async fn included<C: Connection>(
    matches: &[Loaded],
    query: &SearchQuery,
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<Loaded>, ReadError> {
    let mut seen: HashSet<_> = matches.iter().map(|hit| hit.rid).collect();
    let mut found: Vec<Loaded> = Vec::new();
    let mut new = round(matches, query, false, &mut seen, scope, connection).await?;
    for rounds in 1.. {
        if new.is_empty() {
            break;
        }
        if found.len() + new.len() > INCLUDES_MAX {
            return Err(too_many());
        }
        let loaded = load_included(&new, scope, connection).await?;
        new = round(&loaded, query, true, &mut seen, scope, connection).await?;
        found.extend(loaded);
        if rounds == INCLUDE_ROUNDS_MAX && !new.is_empty() {
            let text = format!("_include:iterate goes on after {INCLUDE_ROUNDS_MAX} rounds");
            return Err(ReadError::TooCostly(text));
        }
    }
    Ok(found)
}

/// Rows that one round adds.
async fn round<C: Connection>(
    from: &[Loaded],
    query: &SearchQuery,
    again: bool,
    seen: &mut HashSet<i64>,
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<i64>, ReadError> {
    let takes_part = |include: &&Include| !again || include.iterate;
    let mut rids: Vec<i64> = Vec::new();
    let mut includes = query.includes.iter().filter(takes_part).peekable();
    if includes.peek().is_some() && !from.is_empty() {
        let own: Vec<_> = from.iter().map(|hit| hit.rid).collect();
        let rows = terms(&own, connection).await?;
        for include in includes {
            rids.extend(targets(from, &rows, include, scope, connection).await?);
        }
    }
    for include in query.revincludes.iter().filter(takes_part) {
        rids.extend(sources(from, include, scope, connection).await?);
    }
    rids.retain(|rid| seen.insert(*rid));
    Ok(rids)
}

/// Reference and token rows of resources that were found visible before.
pub(super) async fn terms<C: Connection>(
    rids: &[i64],
    connection: &mut C,
) -> Result<Vec<(i64, IndexRows)>, ReadError> {
    if rids.is_empty() {
        return Ok(Vec::new());
    }
    let everything = Scope::everything();
    let mut sql = Sql::new(C::DIALECT, &everything);
    sql.push("select t.terms, t.rid").each(Bind::Ints(rids.to_vec()));
    sql.beside("resource_terms", "t", "t.rid = j.value").push(" where t.rid = j.value");
    let rows = connection.ask(sql.finish()).await?;
    let decode = |row: &Row| {
        let rows = match row.first() {
            Some(Cell::Blob(bytes)) => coded::decode(bytes)
                .map_err(|error| ReadError::Unavailable(format!("resource_terms: {error}")))?,
            _ => IndexRows::default(),
        };
        Ok((int(row, 1), rows))
    };
    rows.iter().map(decode).collect()
}

/// Rows of the resources that these refer to.
async fn targets<C: Connection>(
    from: &[Loaded],
    rows: &[(i64, IndexRows)],
    include: &Include,
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<i64>, ReadError> {
    if include.target.is_some_and(|target| !scope.may_include(target)) {
        return Ok(Vec::new());
    }
    let of_source =
        |hit: &&Loaded| include.source.is_none_or(|source| hit.version.key.resource_type == source);
    let sources: HashSet<_> = from.iter().filter(of_source).map(|hit| hit.rid).collect();
    let wanted = |param: u16| include.params.is_empty() || include.params.contains(&param);
    let mut seen = HashSet::new();
    let rows = rows.iter().filter(|(rid, _)| sources.contains(rid));
    let rows: Vec<_> = rows
        .flat_map(|(_, rows)| &rows.references)
        .filter(|row| wanted(row.param) && [0, AS_WRITTEN].contains(&row.code_hash))
        .filter(|row| seen.insert(**row))
        .copied()
        .collect();
    let (literal, canonicals): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.code_hash == 0);
    let mut found =
        include_canonical::named(&canonicals, include.target, scope, connection).await?;
    let mut hashes: Vec<_> = literal.iter().map(|row| row.target_hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    if hashes.is_empty() {
        return Ok(found);
    }
    let mut sql = Sql::new(C::DIALECT, scope);
    sql.push("select r.rid").each(Bind::Ints(hashes));
    sql.beside("resource", "r", "r.khash = j.value");
    sql.push(" where r.khash = j.value and r.deleted = 0");
    if let Some(target) = include.target {
        sql.push(" and r.type = ").int(target.code());
    }
    sql.visible_of_any_type("r");
    sql.push(" order by r.rid limit ").int(INCLUDES_LIMIT);
    found.extend(rids_within_limit(&connection.ask(sql.finish()).await?)?);
    Ok(found)
}

/// Rows of the resources that refer to these.
async fn sources<C: Connection>(
    to: &[Loaded],
    include: &Include,
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<i64>, ReadError> {
    let of_target =
        |hit: &&Loaded| include.target.is_none_or(|target| hit.version.key.resource_type == target);
    let to: Vec<_> = to.iter().filter(of_target).collect();
    if to.is_empty() || include.source.is_some_and(|source| !scope.may_include(source)) {
        return Ok(Vec::new());
    }
    let params = match (&include.params[..], include.source) {
        ([], Some(source)) => references_to(source, &to),
        ([], None) => ResourceType::all().flat_map(|source| references_to(source, &to)).collect(),
        (named, _) => named.to_vec(),
    };
    let mut found = include_canonical::naming(&to, &params, scope, connection).await?;
    let mut sql = Sql::new(C::DIALECT, scope);
    let hashes = to.iter().map(|hit| hit.khash).collect();
    sql.push("select s.rid").each(Bind::Ints(hashes)).push(" cross join search_reference s");
    if include.source.is_none() {
        sql.push(" cross join resource r");
    }
    sql.push(" where s.target_hash = j.value and ");
    param_of(&mut sql, "s.param", &params);
    sql.push(" and s.code_hash = 0");
    match include.source {
        Some(source) => sql.visible("s", source),
        None => sql.push(" and s.rid = r.rid").visible_of_any_type("r"),
    };
    sql.push(" limit ").int(INCLUDES_LIMIT);
    found.extend(rids_within_limit(&connection.ask(sql.finish()).await?)?);
    Ok(found)
}

/// All reference parameters of a type that may point to one of these; one that names no types may point to any.
fn references_to(source: ResourceType, to: &[&Loaded]) -> Vec<u16> {
    let types: HashSet<_> = to.iter().map(|hit| hit.version.key.resource_type).collect();
    let references = search_params(source).iter().filter(|param| {
        let targets = param.targets;
        param.kind == ParamKind::Reference
            && (targets.is_empty() || targets.iter().any(|of| types.contains(of)))
    });
    let mut params: Vec<_> = references.flat_map(|param| index_params(source, param)).collect();
    params.sort_unstable();
    params.dedup();
    params
}

fn rids_within_limit(rows: &[Row]) -> Result<Vec<i64>, ReadError> {
    if rows.len() > INCLUDES_MAX {
        return Err(too_many());
    }
    Ok(rows.iter().map(|row| int(row, 0)).collect())
}

pub(super) fn too_many() -> ReadError {
    ReadError::TooCostly(format!(
        "the page includes more than {INCLUDES_MAX} resources; ask for a smaller _count"
    ))
}

/// Resources that one page may include.
pub const INCLUDES_MAX: usize = 5_000;
/// One more, so that an overrun is seen.
pub(super) const INCLUDES_LIMIT: i64 = 5_001;
/// Rounds of `:iterate`, so the longest way from a match.
pub const INCLUDE_ROUNDS_MAX: usize = 16;
