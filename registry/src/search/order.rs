//! Order of a result, and the place of a resource in it: what keyset paging compares.
//!
//! Default: (nsort, rid), newest first. With `_sort`: the keys, resources without a value last in
//! both directions, then rid. A place is a full key, so a page can start anywhere without an offset.

use std::cmp::Ordering;

use super::arm::sort_column;
use super::ask::{Cell, Row, int};
use super::clause::{SortBy, SortKey};
use super::probe::{by_rid, name, param_of, with_wide};
use super::sql::{Bind, Sql};

/// How results are ordered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Order {
    /// Keys before `rid`; empty for (nsort, rid).
    pub(super) keys: Vec<SortKey>,
    /// The whole order turned round.
    pub(super) reversed: bool,
}

/// Where a resource stands in a result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) nsort: i64,
    pub(super) rid: i64,
    /// One for each key of the order.
    pub(super) keys: Vec<Cell>,
}

impl Place {
    /// From the columns nsort, rid, keys.
    pub(super) fn of_row(mut row: Row) -> Self {
        let (nsort, rid) = (int(&row, 0), int(&row, 1));
        Self { nsort, rid, keys: row.drain(2.min(row.len())..).collect() }
    }
}

impl Order {
    /// The order that `_sort` asks for. The clinical date alone is the default order, either way round.
    pub(super) fn of(sort: &[SortKey]) -> Self {
        match sort {
            [] => Self { keys: Vec::new(), reversed: false },
            [SortKey { by: SortBy::Clinical, descending }] => {
                Self { keys: Vec::new(), reversed: !descending }
            }
            keys => Self { keys: keys.to_vec(), reversed: false },
        }
    }

    pub(super) fn turned(&self) -> Self {
        Self { keys: self.keys.clone(), reversed: !self.reversed }
    }

    pub(super) fn is_default(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a page is taken from the default order, or from a sorting of all that is read in it.
    pub(super) fn reads_by_default(&self) -> bool {
        self.is_default() || self.keys.iter().any(SortKey::is_content)
    }

    pub(super) fn compare(&self, a: &Place, b: &Place) -> Ordering {
        let order = if self.is_default() {
            (a.nsort, a.rid).cmp(&(b.nsort, b.rid))
        } else {
            let keys = self.keys.iter().zip(a.keys.iter().zip(&b.keys));
            keys.map(|(key, (a, b))| compare_cells(a, b, key.descending))
                .fold(Ordering::Equal, Ordering::then)
                .then(a.rid.cmp(&b.rid))
        };
        if self.reversed { order.reverse() } else { order }
    }

    /// ` and d…` after the place, in the default order.
    pub(super) fn after_default(&self, sql: &mut Sql<'_>, place: &Place, inverse: bool) {
        let sign = if self.reversed == inverse { " > (" } else { " < (" };
        sql.push(" and (d.nsort, d.rid)").push(sign).int(place.nsort).push(", ");
        sql.int(place.rid).push(")");
    }

    /// ` order by …` of alias `d` in the default order.
    pub(super) fn by_default(&self, sql: &mut Sql<'_>) {
        let way = self.way(false);
        sql.push(&format!(" order by d.nsort{way}, d.rid{way}"));
    }

    /// `, expression as k0, …` of the resource that `d` stands for.
    pub(super) fn key_columns(&self, sql: &mut Sql<'_>) {
        for (at, key) in self.keys.iter().enumerate() {
            sql.push(", ");
            key_expression(sql, key);
            sql.push(&format!(" as k{at}"));
        }
    }

    /// ` where …` of alias `m`, whose columns are rid and the keys: after the place.
    pub(super) fn after_keys(&self, sql: &mut Sql<'_>, place: &Place) {
        sql.push(" where (");
        for (at, (key, cell)) in self.keys.iter().zip(&place.keys).enumerate() {
            sql.push("(");
            for (before, cell) in place.keys[..at].iter().enumerate() {
                same(sql, before, cell);
                sql.push(" and ");
            }
            sql.push("(");
            beyond(sql, at, cell, key.descending != self.reversed, self.reversed);
            sql.push(")) or ");
        }
        sql.push("(");
        for (at, cell) in place.keys.iter().enumerate() {
            same(sql, at, cell);
            sql.push(" and ");
        }
        sql.push(if self.reversed { "m.rid < " } else { "m.rid > " }).int(place.rid).push("))");
    }

    /// ` order by …` of alias `m`.
    pub(super) fn by_keys(&self, sql: &mut Sql<'_>) {
        sql.push(" order by ");
        for (at, key) in self.keys.iter().enumerate() {
            let nulls = self.way(false);
            let way = self.way(key.descending);
            sql.push(&format!("(m.k{at} is null){nulls}, m.k{at}{way}, "));
        }
        sql.push("m.rid").push(self.way(false));
    }

    fn way(&self, descending: bool) -> &'static str {
        if self.reversed == descending { "" } else { " desc" }
    }
}

fn key_expression(sql: &mut Sql<'_>, key: &SortKey) {
    match &key.by {
        // Filled in by whoever opens the contents.
        SortBy::Content(_) => {
            sql.push("null");
        }
        SortBy::Clinical => {
            sql.push("-d.nsort");
        }
        SortBy::Id => {
            sql.push("(select p.id from resource p where p.rid = d.rid)");
        }
        SortBy::LastUpdated => {
            sql.push("(select p.updated_us from resource p where p.rid = d.rid)");
        }
        SortBy::Value(table, params) => {
            let pick = if key.descending { "max" } else { "min" };
            let column = sort_column(*table);
            sql.push(&format!("(select {pick}(p.{column}) from {} p", name(*table)));
            sql.push(" where ");
            let param = by_rid(sql, *table, "d");
            with_wide(sql, param, params);
            sql.push(")");
        }
        SortBy::Target(params, only) => {
            let pick = if key.descending { "max" } else { "min" };
            let (p, q) = (sql.alias("p"), sql.alias("q"));
            sql.push(&format!("(select {pick}({q}.id) from search_reference {p}"));
            let on = format!("{q}.khash = {p}.target_hash");
            sql.indexed_by("search_reference_by_rid").beside("resource", &q, &on);
            sql.indexed_by("resource_by_khash").push(&format!(" where {p}.rid = d.rid and "));
            param_of(sql, &format!("{p}.param"), params);
            sql.push(&format!(" and {p}.code_hash = 0 and {q}.khash = {p}.target_hash"));
            sql.push(&format!(" and {q}.deleted = 0"));
            if let Some(only) = only {
                sql.push(&format!(" and {q}.type = ")).int(only.code());
            }
            sql.visible_of_any_type(&q).push(")");
        }
    }
}

fn same(sql: &mut Sql<'_>, at: usize, cell: &Cell) {
    sql.push(&format!("m.k{at}"));
    match bind_of(cell) {
        Some(value) => sql.push(" = ").bind(value),
        None => sql.push(" is null"),
    };
}

/// Strictly after the value; nulls come last, or first when the order is turned round.
fn beyond(sql: &mut Sql<'_>, at: usize, cell: &Cell, downwards: bool, reversed: bool) {
    match bind_of(cell) {
        Some(value) => {
            let sign = if downwards { "<" } else { ">" };
            sql.push(&format!("m.k{at} {sign} ")).bind(value);
            if !reversed {
                sql.push(&format!(" or m.k{at} is null"));
            }
        }
        None if reversed => {
            sql.push(&format!("m.k{at} is not null"));
        }
        None => {
            sql.push("1 = 0");
        }
    }
}

pub(super) fn bind_of(cell: &Cell) -> Option<Bind> {
    match cell {
        Cell::Int(value) => Some(Bind::Int(*value)),
        Cell::Real(value) => Some(Bind::Real(*value)),
        Cell::Text(value) => Some(Bind::Text(value.clone())),
        Cell::Null | Cell::Blob(_) => None,
    }
}

/// Cells of one key; null comes last in both directions.
pub(super) fn compare_cells(a: &Cell, b: &Cell, descending: bool) -> Ordering {
    let order = match (a, b) {
        (Cell::Null, Cell::Null) => Ordering::Equal,
        (Cell::Null, _) => return Ordering::Greater,
        (_, Cell::Null) => return Ordering::Less,
        (Cell::Int(a), Cell::Int(b)) => a.cmp(b),
        (Cell::Real(a), Cell::Real(b)) => a.total_cmp(b),
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        _ => Ordering::Equal,
    };
    if descending { order.reverse() } else { order }
}
