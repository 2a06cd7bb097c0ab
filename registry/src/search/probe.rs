//! A condition as a test of a resource that another alias stands for: `exists (…)` tied to it by `rid`.
//!
//! Tokens and references are probed by their full primary key, the kinds with an index by `rid` through it.
//! What has neither (a system without code, a composite) is listed once: `rid in (select …)`; whether there is a
//! value at all is read from `resource_terms`.

use super::clause::Table;
use super::condition::{Condition, Keys, QuantityKey, TokenKey};
use super::row_test;
use super::sql::{Dialect, Sql};
use crate::index::param::WIDE;
use fhir::ResourceType;

/// Writes a condition that row `d` (with `rid`, `nsort`) passes `condition`.
pub(super) fn probe(sql: &mut Sql<'_>, d: &str, condition: &Condition) {
    match condition {
        Condition::Ids(ids) => {
            sql.push("exists (select 1 from resource p where p.rid = ").push(d).push(".rid and ");
            id_of(sql, "p", ids);
            sql.each_time().push(")");
        }
        Condition::Rids(rids) => {
            sql.one_of(&format!("{d}.rid"), rids);
        }
        Condition::LastUpdated(tests) => {
            sql.push("exists (select 1 from resource p where p.rid = ").push(d).push(".rid and ");
            row_test::updates(sql, "p", tests);
            sql.each_time().push(")");
        }
        Condition::Index { params, keys, not } => {
            if *not {
                sql.push("not ");
            }
            index(sql, d, params, keys);
        }
        Condition::Words { query, narrative, not } => {
            sql.push(if *not { "not " } else { "" });
            words(sql, d, &query.text(sql.dialect, *narrative));
        }
        Condition::Missing { params, missing } => present(sql, d, params, *missing),
        Condition::Sets { each, .. } => all(sql, d, each),
        Condition::ReferredBy { source, params, codes, inner, .. } => {
            referred_by(sql, d, *source, params, codes.as_deref(), inner);
        }
        Condition::Refers { params, targets } => refers(sql, d, params, targets),
        Condition::Any(several) => {
            sql.any(several, &mut |sql, condition| probe(sql, d, condition));
        }
        Condition::All(several) => all(sql, d, several),
        Condition::Not(inner) => {
            sql.push("not (");
            probe(sql, d, inner);
            sql.push(")");
        }
    }
}

/// Whether the probe is an `exists` or its negation, never a list of rows.
pub(super) fn is_existence(condition: &Condition) -> bool {
    match condition {
        Condition::Rids(_) => false,
        Condition::Index { keys: Keys::Token(keys), .. } => {
            keys.iter().all(|key| key.code.is_some())
        }
        Condition::Index { keys: Keys::Quantity(keys), .. } => keys.iter().all(|key| key.code == 0),
        Condition::ReferredBy { inner, .. } | Condition::Not(inner) => is_existence(inner),
        Condition::Refers { targets, .. } => targets.iter().all(|(_, inner)| is_existence(inner)),
        Condition::Any(several) | Condition::All(several) => several.iter().all(is_existence),
        Condition::Ids(_)
        | Condition::LastUpdated(_)
        | Condition::Words { .. }
        | Condition::Missing { .. }
        | Condition::Sets { .. }
        | Condition::Index { .. } => true,
    }
}

/// `resource` row `a` has one of the ids.
pub(super) fn id_of(sql: &mut Sql<'_>, a: &str, ids: &[(i64, String)]) {
    let hashes: Vec<_> = ids.iter().map(|(khash, _)| *khash).collect();
    let names: Vec<_> = ids.iter().map(|(_, id)| id.as_str()).collect();
    sql.one_of(&format!("{a}.khash"), &hashes).push(" and ");
    sql.one_of_texts(&format!("{a}.id"), &names);
}

/// Condition that an index column is one of the parameters, their irregular rows included.
pub(super) fn with_wide(sql: &mut Sql<'_>, column: &str, params: &[u16]) {
    // A list of two is written out: SQLite would parse a bound array anew for every row that is probed.
    if let [param] = params {
        sql.push(column).push(" in (").int(i64::from(*param)).push(", ");
        sql.int(i64::from(*param | WIDE)).push(")");
        return;
    }
    let both = params.iter().flat_map(|param| [i64::from(*param), i64::from(*param | WIDE)]);
    sql.one_of(column, &both.collect::<Vec<_>>());
}

/// Condition that an index column is one of the parameters.
pub(super) fn param_of(sql: &mut Sql<'_>, column: &str, params: &[u16]) {
    let params: Vec<_> = params.iter().map(|param| i64::from(*param)).collect();
    sql.one_of(column, &params);
}

fn index(sql: &mut Sql<'_>, d: &str, params: &[u16], keys: &Keys) {
    if keys.len() == 0 {
        sql.push("(1 = 0)");
        return;
    }
    match keys {
        Keys::Token(keys) => tokens(sql, d, params, keys),
        Keys::Reference { targets, .. } => {
            start(sql, Table::Reference);
            param_of(sql, "p.param", params);
            sql.push(" and ").one_of("p.target_hash", targets);
            sql.push(" and p.code_hash = 0");
            same_row(sql, d);
        }
        Keys::Quantity(keys) if keys.iter().any(|key| key.code != 0) => {
            composite(sql, d, params, keys);
        }
        Keys::Quantity(keys) => quantities(sql, d, params, keys),
        keys => {
            start(sql, keys.table());
            let param = by_rid(sql, keys.table(), d);
            match keys.table() {
                Table::Date | Table::Number => with_wide(sql, param, params),
                _ => param_of(sql, param, params),
            }
            sql.push(" and ");
            match keys {
                Keys::Date(tests) => row_test::dates(sql, "p", tests),
                Keys::Number(tests) => row_test::numbers(sql, "p", tests),
                Keys::String(tests) => row_test::strings(sql, "p", tests),
                Keys::Uri(tests) => row_test::uris(sql, "p", tests),
                Keys::Near(tests) => row_test::near(sql, "p", tests),
                Keys::Token(_) | Keys::Reference { .. } | Keys::Quantity(_) => {}
            }
            sql.each_time().push(")");
        }
    }
}

/// One sub-select for each system asked for, as all its codes can be probed together.
fn tokens(sql: &mut Sql<'_>, d: &str, params: &[u16], keys: &[TokenKey]) {
    sql.any(&by_system(keys), &mut |sql, (system, codes)| match codes {
        Some(codes) => {
            start(sql, Table::Token);
            param_of(sql, "p.param", params);
            sql.push(" and ").one_of("p.code_hash", codes);
            if let Some(system) = system {
                sql.push(" and p.sys_hash = ").int(*system);
            }
            same_row(sql, d);
        }
        None => {
            sql.push(d).push(".rid in (select p.rid from search_token p where ");
            param_of(sql, "p.param", params);
            sql.push(" and p.sys_hash = ").int(system.unwrap_or(0)).push(")");
        }
    });
}

/// Codes by system; `None` for any code of the system.
pub(super) fn by_system(keys: &[TokenKey]) -> Vec<(Option<i64>, Option<Vec<i64>>)> {
    let mut groups: Vec<(Option<i64>, Option<Vec<i64>>)> = Vec::new();
    for key in keys {
        let Some(code) = key.code else {
            groups.push((key.system, None));
            continue;
        };
        let known =
            groups.iter_mut().find(|(system, codes)| *system == key.system && codes.is_some());
        match known {
            Some((_, Some(codes))) => codes.push(code),
            _ => groups.push((key.system, Some(vec![code]))),
        }
    }
    groups
}

/// Rows as written and rows in canonical units stand under numbers of their own.
fn quantities(sql: &mut Sql<'_>, d: &str, params: &[u16], keys: &[QuantityKey]) {
    let (canonical, written): (Vec<&QuantityKey>, Vec<&QuantityKey>) =
        keys.iter().partition(|key| key.canonical);
    sql.push("(");
    let groups = [written, canonical].into_iter().filter(|keys| !keys.is_empty());
    for (at, keys) in groups.enumerate() {
        sql.push(if at == 0 { "" } else { " or " });
        start(sql, Table::Quantity);
        let column = by_rid(sql, Table::Quantity, d);
        let params: Vec<_> = params.iter().map(|param| keys[0].param(*param)).collect();
        with_wide(sql, column, &params);
        sql.push(" and ");
        row_test::quantities(sql, "p", &keys);
        sql.each_time().push(")");
    }
    sql.push(")");
}

fn composite(sql: &mut Sql<'_>, d: &str, params: &[u16], keys: &[QuantityKey]) {
    sql.any(keys, &mut |sql, key| {
        sql.push(d).push(".rid in (select p.rid from search_quantity p where ");
        let params: Vec<_> = params.iter().map(|param| key.param(*param)).collect();
        with_wide(sql, "p.param", &params);
        sql.push(" and p.code_hash = ").int(key.code).push(" and ");
        row_test::quantities(sql, "p", std::slice::from_ref(key));
        sql.push(")");
    });
}

/// The resource has no row of a table with an order: an element may be there all the same.
pub(super) fn without_rows(sql: &mut Sql<'_>, d: &str, params: &[u16], table: Table) {
    sql.push("not ");
    start(sql, table);
    let param = by_rid(sql, table, d);
    with_wide(sql, param, params);
    sql.each_time().push(")");
}

/// Which parameters have a value is listed beside the resource's terms.
fn present(sql: &mut Sql<'_>, d: &str, params: &[u16], missing: bool) {
    sql.push(if missing { "not " } else { "" });
    sql.push("exists (select 1 from resource_terms p where p.rid = ").push(d).push(".rid and ");
    sql.any(params, &mut |sql, param| {
        sql.lists("p.present", *param);
    });
    sql.each_time().push(")");
}

/// The row of the resource among those that match, looked for by its number.
fn words(sql: &mut Sql<'_>, d: &str, query: &str) {
    match sql.dialect {
        Dialect::Sqlite => {
            sql.push("exists (select 1 from search_text p where p.rowid = ").push(d);
            sql.push(".rid and p.search_text match ").text(query);
        }
        Dialect::Postgres => {
            sql.push("exists (select 1 from search_text p where p.rid = ").push(d);
            sql.push(".rid and p.words @@ ").text(query).push("::tsquery");
        }
    }
    sql.each_time().push(")");
}

fn referred_by(
    sql: &mut Sql<'_>,
    d: &str,
    source: ResourceType,
    params: &[u16],
    codes: Option<&[i64]>,
    inner: &Condition,
) {
    let (t, s) = (sql.alias("t"), sql.alias("s"));
    sql.push(&format!("exists (select 1 from resource {t} cross join search_reference {s}"));
    sql.push(&format!(" where {t}.rid = {d}.rid and {s}.target_hash = {t}.khash and "));
    param_of(sql, &format!("{s}.param"), params);
    sql.push(" and ").one_of(&format!("{s}.code_hash"), codes.unwrap_or(&[0]));
    sql.visible(&s, source).push(" and ");
    probe(sql, &s, inner);
    sql.each_time().push(")");
}

/// The references of the resource, each followed to its target.
fn refers(sql: &mut Sql<'_>, d: &str, params: &[u16], targets: &[(ResourceType, Condition)]) {
    let (s, t) = (sql.alias("s"), sql.alias("t"));
    sql.push(&format!("exists (select 1 from search_reference {s}"));
    let on = format!("{t}.khash = {s}.target_hash");
    sql.indexed_by("search_reference_by_rid").beside("resource", &t, &on);
    sql.indexed_by("resource_by_khash").push(&format!(" where {s}.rid = {d}.rid and "));
    param_of(sql, &format!("{s}.param"), params);
    sql.push(&format!(" and {s}.code_hash = 0 and {t}.khash = {s}.target_hash and "));
    sql.push(&format!("{t}.deleted = 0 and "));
    sql.any(targets, &mut |sql, (of, inner)| {
        sql.push(&format!("{t}.type = ")).int(of.code()).visible(&t, *of).push(" and ");
        probe(sql, &t, inner);
    });
    sql.each_time().push(")");
}

fn all(sql: &mut Sql<'_>, d: &str, several: &[Condition]) {
    sql.push("(1 = 1");
    for condition in several {
        sql.push(" and ");
        probe(sql, d, condition);
    }
    sql.push(")");
}

fn start(sql: &mut Sql<'_>, table: Table) {
    sql.push("exists (select 1 from ").push(name(table)).push(" p where ");
}

/// The rest of a full primary key.
fn same_row(sql: &mut Sql<'_>, d: &str) {
    sql.push(&format!(" and p.nsort = {d}.nsort and p.rid = {d}.rid")).each_time().push(")");
}

/// Leads through the index by `rid`; those of quantities and references hold the rows without code only. Returns the
/// parameter as it is to be tested.
pub(super) fn by_rid(sql: &mut Sql<'_>, table: Table, d: &str) -> &'static str {
    sql.push(&format!("p.rid = {d}.rid and "));
    if matches!(table, Table::Quantity | Table::Reference) {
        sql.push("p.code_hash = 0 and ");
    }
    match sql.dialect {
        Dialect::Sqlite => "p.param",
        // By the column itself the planner, which is told no values, may prefer the primary key: all of a parameter.
        Dialect::Postgres => "(p.param + 0)",
    }
}

/// Name of the table.
pub(super) fn name(table: Table) -> &'static str {
    match table {
        Table::Token => "search_token",
        Table::Reference => "search_reference",
        Table::Date => "search_date",
        Table::Number => "search_number",
        Table::Quantity => "search_quantity",
        Table::String => "search_string",
        Table::Uri => "search_uri",
    }
}
