//! `:above` and `:below` on references: up and down the tree that resources of one type make by their `partof`.
//!
//! Spec: FHIR R4 search § 3.1.1.4.14 (searching hierarchies): `location:below=42` is about location 42 and all that are part
//! of it, however deep. A level is one statement; circles end, as each resource is visited once. What the
//! caller may not see is no step of the way. Not here: codes (`codes`), uris (`row_test`).

use std::collections::HashSet;

use fhir::{ParamKind, ResourceType, search_params};

use super::ask::{Connection, int};
use super::clause::ReferenceTest;
use super::condition::reference_hash;
use super::probe::param_of;
use super::resolve::Resolver;
use super::sql::Sql;
use crate::error::ReadError;
use crate::index::param::index_params;

/// Which way from a resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TreeWay {
    /// It and all that it is part of.
    Above,
    /// It and all its parts.
    Below,
}

/// Index parameters of the reference by which resources of a type are part of each other; empty for none.
pub(super) fn part_of(of: ResourceType) -> Vec<u16> {
    let own = search_params(of).iter().find(|param| {
        param.kind == ParamKind::Reference
            && matches!(param.code, "partof" | "part-of")
            && param.targets.contains(&of)
    });
    own.map(|param| index_params(of, param)).unwrap_or_default()
}

impl Resolver<'_> {
    /// Hashes of what the tests lead to, above and below included.
    pub(super) async fn with_trees<C: Connection>(
        &self,
        tests: &[ReferenceTest],
        connection: &mut C,
    ) -> Result<Vec<i64>, ReadError> {
        let mut targets = Vec::new();
        for test in tests {
            match test {
                ReferenceTest::Tree(of, id, way) => {
                    targets.extend(self.tree(*of, id, *way, connection).await?);
                }
                other => targets.push(reference_hash(other, self.key)),
            }
        }
        targets.sort_unstable();
        targets.dedup();
        Ok(targets)
    }

    /// Key hashes of a resource and of all that are above or below it.
    async fn tree<C: Connection>(
        &self,
        of: ResourceType,
        id: &str,
        way: TreeWay,
        connection: &mut C,
    ) -> Result<Vec<i64>, ReadError> {
        self.scope.require(of)?;
        let params = part_of(of);
        let mut frontier = vec![self.key.resource(of.name(), id)];
        let mut found: HashSet<i64> = frontier.iter().copied().collect();
        for _ in 0..TREE_DEPTH_MAX {
            if frontier.is_empty() {
                return Ok(found.into_iter().collect());
            }
            let mut sql = Sql::new(C::DIALECT, self.scope);
            match way {
                TreeWay::Above => parents(&mut sql, of, &params, &frontier),
                TreeWay::Below => children(&mut sql, of, &params, &frontier),
            }
            sql.push(" limit ").int(TREE_NODES_MAX + 1);
            let rows = connection.ask(sql.finish()).await?;
            frontier =
                rows.iter().map(|row| int(row, 0)).filter(|hash| found.insert(*hash)).collect();
            if found.len() > usize::try_from(TREE_NODES_MAX).unwrap_or(usize::MAX) {
                break;
            }
        }
        Err(ReadError::TooCostly(format!(
            "the hierarchy of {of}/{id} has more than {TREE_NODES_MAX} members or {TREE_DEPTH_MAX} levels"
        )))
    }
}

fn children(sql: &mut Sql<'_>, of: ResourceType, params: &[u16], parents: &[i64]) {
    sql.push("select distinct r.khash from search_reference p cross join resource r where ");
    param_of(sql, "p.param", params);
    sql.push(" and ").one_of("p.target_hash", parents);
    sql.push(" and p.code_hash = 0 and r.rid = p.rid and r.deleted = 0");
    sql.push(" and r.type = ").int(of.code()).visible("r", of);
}

fn parents(sql: &mut Sql<'_>, of: ResourceType, params: &[u16], children: &[i64]) {
    sql.push("select distinct q.khash from resource r cross join search_reference p");
    sql.indexed_by("search_reference_by_rid").push(" cross join resource q");
    sql.push(" where ").one_of("r.khash", children);
    sql.push(" and r.deleted = 0 and r.type = ").int(of.code()).visible("r", of);
    sql.push(" and p.rid = r.rid and p.code_hash = 0 and ");
    param_of(sql, "p.param", params);
    // Not what has the same identifier, or stands elsewhere.
    sql.push(" and q.khash = p.target_hash and q.type = ").int(of.code());
}

/// Members of a hierarchy that are looked for.
const TREE_NODES_MAX: i64 = 5_000;
/// Levels of a hierarchy that are followed.
const TREE_DEPTH_MAX: usize = 64;
