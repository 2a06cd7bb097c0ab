//! The leading table of a statement: one range of one index, as alias `d` with `rid`, `nsort`, `patient`.
//!
//! *Ordered* arms deliver (nsort, rid) in index order, so a page costs its own length; the others are
//! sorted whole. Not here: which ranges a condition has (`arms`).

use fhir::{ResourceType, SearchPrefix};

use super::clause::{DateTest, NearTest, NumberTest, StringTest, Table, UriTest};
use super::condition::{Measure, QuantityKey, TokenKey};
use super::probe::{by_rid, id_of, name, with_wide};
use super::row_test;
use super::sql::{Dialect, Sql};
use super::words::WordQuery;
use crate::index::param::WIDE;
use crate::index::sampled_form;

/// One range of one index.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Arm {
    /// All resources of the type.
    Type,
    /// Those in the compartment of one patient only.
    Patient(i64),
    /// Those in the compartments of several patients, of these among them.
    SharedCompartments(Vec<i64>),
    /// Those in no compartment.
    NoCompartment,
    Ids(Vec<(i64, String)>),
    Rids(Vec<i64>),
    Updated(Vec<DateTest>),
    Token {
        param: u16,
        key: TokenKey,
    },
    Reference {
        param: u16,
        target: i64,
        code: i64,
    },
    /// Regular rows of a date whose lower end is in `bounds`, or irregular ones.
    Date {
        param: u16,
        tests: Vec<Vec<DateTest>>,
        bounds: Option<(i64, i64)>,
    },
    Number {
        param: u16,
        test: NumberTest,
    },
    Quantity {
        param: u16,
        key: QuantityKey,
    },
    /// Values of a parameter without a code in the order (nsort, rid): those that pass, or all.
    Quantities {
        param: u16,
        key: Option<QuantityKey>,
    },
    String {
        param: u16,
        test: StringTest,
    },
    Uri {
        param: u16,
        test: UriTest,
    },
    /// Resources whose words match, at most so many of them, whoever sees them.
    Words {
        query: WordQuery,
        narrative: bool,
        most: i64,
    },
    Near {
        param: u16,
        test: NearTest,
    },
    /// Resources whose set of what is present is one of these.
    Sets(Vec<i64>),
    /// All values of an ordered parameter, one for each resource: the lowest or the highest.
    Values {
        table: Table,
        param: u16,
        descending: bool,
    },
    /// All resources of the type, to be walked by time of update.
    ByUpdate,
    /// All resources of the type, to be walked by id.
    ById,
}

impl Arm {
    /// Whether rows come in the order (nsort, rid), or are few in any case.
    pub(super) fn is_ordered(&self) -> bool {
        match self {
            Self::Type
            | Self::Patient(_)
            | Self::SharedCompartments(_)
            | Self::NoCompartment
            | Self::Quantities { .. }
            | Self::Reference { .. } => true,
            Self::Token { key, .. } => key.code.is_some(),
            Self::Uri { test, .. } => matches!(test, UriTest::Exact(_)),
            _ => false,
        }
    }

    /// Whether no resource has two rows.
    pub(super) fn is_distinct(&self) -> bool {
        match self {
            Self::Type | Self::Patient(_) | Self::NoCompartment | Self::SharedCompartments(_) => {
                true
            }
            Self::Ids(_) | Self::Rids(_) | Self::Updated(_) | Self::ByUpdate => true,
            Self::Reference { .. } | Self::Words { .. } | Self::Sets(_) => true,
            Self::Token { key, .. } => key.code.is_some() && key.system.is_some(),
            _ => false,
        }
    }

    /// Writes ` from … d where …` with the visibility of `d`.
    pub(super) fn lead(&self, sql: &mut Sql<'_>, of: ResourceType) {
        match self {
            Self::Type => {
                typed(sql, of, Some("resource_by_type"));
            }
            Self::Patient(rid) => {
                typed(sql, of, Some("resource_by_patient"));
                sql.push(" and d.patient = ").int(*rid).push(" and d.patient <> 0");
            }
            Self::NoCompartment => {
                typed(sql, of, Some("resource_by_type"));
                sql.push(" and d.patient = 0");
            }
            Self::SharedCompartments(patients) => {
                typed(sql, of, None);
                sql.push(" and d.rid in (select k.rid from compartment k where ");
                sql.one_of("k.patient", patients);
                sql.push(" and k.type = ").int(of.code()).push(")");
            }
            Self::Ids(ids) => {
                typed(sql, of, Some("resource_by_khash"));
                sql.push(" and ");
                id_of(sql, "d", ids);
            }
            Self::Rids(rids) => {
                typed(sql, of, None);
                sql.push(" and ").one_of("d.rid", rids);
            }
            Self::ByUpdate => typed(sql, of, Some("resource_by_update")),
            Self::ById => typed(sql, of, Some("resource_by_id")),
            Self::Updated(tests) => {
                typed(sql, of, Some("resource_by_update"));
                sql.push(" and ");
                row_test::updates(sql, "d", tests);
            }
            Self::Words { query, narrative, most } => {
                words(sql, query, *narrative, *most, " cross join resource d");
                sql.push(match sql.dialect {
                    Dialect::Sqlite => " and d.rid = f.rowid",
                    Dialect::Postgres => " where d.rid = f.rid",
                });
                sql.push(" and d.type = ").int(of.code()).push(" and d.deleted = 0");
            }
            Self::Sets(sets) => {
                with_sets(sql, sets, true);
                sql.push(" and d.rid = t.rid and d.type = ")
                    .int(of.code())
                    .push(" and d.deleted = 0");
            }
            _ => self.lead_index(sql),
        }
        sql.visible("d", of);
    }

    /// As [`Arm::lead`] where rows are counted up to `most`: those that match by words or by what is present are counted
    /// in their index alone, whoever sees them.
    pub(super) fn counted(&self, sql: &mut Sql<'_>, of: ResourceType, most: usize) {
        match self {
            Self::Words { query, narrative, .. } => {
                let most = i64::try_from(most).unwrap_or(i64::MAX);
                words(sql, query, *narrative, most, "");
            }
            Self::Sets(sets) => with_sets(sql, sets, false),
            _ => self.lead(sql, of),
        }
    }

    /// The same cut after so many rows, where that spares the engine the rest; only for who sees everything.
    pub(super) fn up_to(self, most: i64) -> Self {
        match self {
            Self::Words { query, narrative, .. } => Self::Words { query, narrative, most },
            other => other,
        }
    }

    /// The hash of a code or target.
    pub(super) fn hash(&self) -> Option<i64> {
        match self {
            Self::Token { key, .. } => key.code,
            Self::Reference { target, .. } => Some(*target),
            _ => None,
        }
    }

    /// The same range for another code or target.
    pub(super) fn with_hash(&self, hash: i64) -> Option<Self> {
        match self {
            Self::Token { param, key: TokenKey { code: Some(_), system, .. } } => {
                let key = TokenKey { code: Some(hash), system: *system, form: 0 };
                Some(Self::Token { param: *param, key })
            }
            Self::Reference { param, code, .. } => {
                Some(Self::Reference { param: *param, target: hash, code: *code })
            }
            _ => None,
        }
    }

    /// As [`Arm::lead`], the hash taken from `j.value`.
    pub(super) fn lead_each(&self, sql: &mut Sql<'_>, of: ResourceType) {
        match self {
            Self::Token { param, key } => {
                from(sql, Table::Token, *param);
                sql.push(" and d.code_hash = j.value");
                if let Some(system) = key.system {
                    sql.push(" and d.sys_hash = ").int(system);
                }
            }
            Self::Reference { param, code, .. } => {
                from(sql, Table::Reference, *param);
                sql.push(" and d.target_hash = j.value and d.code_hash = ").int(*code);
            }
            _ => {}
        }
        sql.visible("d", of);
    }

    fn lead_index(&self, sql: &mut Sql<'_>) {
        match self {
            Self::Token { param, key } => {
                from(sql, Table::Token, *param);
                if let Some(code) = key.code {
                    sql.push(" and d.code_hash = ").int(code);
                }
                if let Some(system) = key.system {
                    sql.push(" and d.sys_hash = ").int(system);
                }
            }
            Self::Reference { param, target, code } => {
                from(sql, Table::Reference, *param);
                sql.push(" and d.target_hash = ").int(*target);
                sql.push(" and d.code_hash = ").int(*code);
            }
            Self::Date { param, tests, bounds } => {
                from(sql, Table::Date, if bounds.is_some() { *param } else { *param | WIDE });
                if let Some((from, below)) = bounds {
                    bound(sql, "d.lo >= ", *from, i64::MIN);
                    bound(sql, "d.lo < ", *below, i64::MAX);
                }
                for tests in tests {
                    sql.push(" and ");
                    row_test::dates(sql, "d", tests);
                }
            }
            Self::Number { param, test } => {
                from(sql, Table::Number, *param);
                point_bounds(sql, *param, test);
                sql.push(" and ");
                row_test::numbers(sql, "d", std::slice::from_ref(test));
            }
            Self::Quantity { param, key } => quantity(sql, *param, key),
            Self::Quantities { param, key } => {
                row_test::quantities_in_order(sql, *param, key.as_ref())
            }
            Self::String { param, test } => {
                from(sql, Table::String, *param);
                sql.push(" and ");
                row_test::strings(sql, "d", std::slice::from_ref(test));
            }
            Self::Uri { param, test } => {
                from(sql, Table::Uri, *param);
                sql.push(" and ");
                row_test::uris(sql, "d", std::slice::from_ref(test));
            }
            Self::Near { param, test } => test.lead(sql, *param),
            Self::Values { table, param, descending } => values(sql, *table, *param, *descending),
            _ => {}
        }
    }
}

/// ` from resource d where d.type = … and d.deleted = 0`.
fn typed(sql: &mut Sql<'_>, of: ResourceType, index: Option<&str>) {
    sql.push(" from resource d");
    if let Some(index) = index {
        sql.indexed_by(index);
    }
    sql.push(" where d.type = ").int(of.code()).push(" and d.deleted = 0");
}

fn from(sql: &mut Sql<'_>, table: Table, param: u16) {
    sql.push(" from ").push(name(table)).push(" d where d.param = ").int(param);
}

/// ` from … where …` the values of one parameter, or those under one code.
fn quantity(sql: &mut Sql<'_>, param: u16, key: &QuantityKey) {
    from(sql, Table::Quantity, param);
    let sampled = Some(sampled_form(key.code));
    let sampled = sampled.filter(|_| key.sampled && param & WIDE != 0);
    let codes: Vec<_> = [Some(key.code), sampled].into_iter().flatten().collect();
    sql.push(" and ").one_of("d.code_hash", &codes);
    match &key.measure {
        Measure::Number(test) => point_bounds(sql, param, test),
        // Both ends are points.
        Measure::Numbers(start, _) => point_bounds(sql, param & !WIDE, start),
        Measure::Date(_) => {}
    }
    sql.push(" and ");
    row_test::quantities(sql, "d", std::slice::from_ref(key));
}

/// ` from` what matches, as `f`, and what is joined to it; on SQLite with the first condition.
fn words(sql: &mut Sql<'_>, query: &WordQuery, narrative: bool, most: i64, joined: &str) {
    let query = query.text(sql.dialect, narrative);
    match sql.dialect {
        Dialect::Sqlite => {
            sql.push(" from search_text f").push(joined);
            sql.push(" where f.search_text match ").text(&query);
        }
        Dialect::Postgres => {
            sql.push(" from search_text_matches(").text(&query).push("::tsquery, ").int(most);
            sql.push(") f (rid)").push(joined);
        }
    }
}

/// ` from` the resources with these sets, as `t`, with `d` beside where that is asked for; and the first condition.
fn with_sets(sql: &mut Sql<'_>, sets: &[i64], joined: bool) {
    sql.push(" from resource_terms t").indexed_by("resource_terms_by_set");
    if joined {
        sql.beside("resource", "d", "d.rid = t.rid");
    }
    sql.push(" where ").one_of("t.present_set", sets);
}

fn bound(sql: &mut Sql<'_>, test: &str, value: i64, open: i64) {
    if value != open {
        sql.push(" and ").push(test).int(value);
    }
}

/// For regular rows `lo` is the value, so the range of the index can be narrowed by it.
fn point_bounds(sql: &mut Sql<'_>, param: u16, test: &NumberTest) {
    if param & WIDE != 0 {
        return;
    }
    let range = &test.range;
    let (from, to) = match test.prefix {
        SearchPrefix::Equal | SearchPrefix::Approximate => (Some(range.lo), Some(range.hi)),
        SearchPrefix::NotEqual => (None, None),
        SearchPrefix::Contains => (Some(range.value), Some(range.value)),
        SearchPrefix::Greater | SearchPrefix::GreaterOrEqual | SearchPrefix::StartsAfter => {
            (Some(range.value), None)
        }
        SearchPrefix::Less | SearchPrefix::LessOrEqual | SearchPrefix::EndsBefore => {
            (None, Some(range.value))
        }
    };
    if let Some(from) = from {
        sql.push(" and d.lo >= ").real(from);
    }
    if let Some(to) = to {
        sql.push(" and d.lo <= ").real(to);
    }
}

/// Of several values of a resource only the one that its sort key takes.
fn values(sql: &mut Sql<'_>, table: Table, param: u16, descending: bool) {
    from(sql, table, param);
    if table == Table::Quantity {
        sql.push(" and d.code_hash = 0");
    }
    let column = sort_column(table);
    let better = if descending { ">" } else { "<" };
    sql.push(" and not exists (select 1 from ").push(name(table));
    sql.push(" p where ");
    let own = by_rid(sql, table, "d");
    with_wide(sql, own, &[param & !WIDE]);
    sql.push(&format!(" and p.{column} {better} d.{column}")).each_time().push(")");
}

/// Column that a sort key compares.
pub(super) fn sort_column(table: Table) -> &'static str {
    match table {
        Table::String => "norm",
        Table::Uri => "uri",
        _ => "lo",
    }
}
