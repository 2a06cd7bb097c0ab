//! Statement text and its values, in both dialects: the only place where SQL text is made at run time.
//!
//! Values are always bound; the text holds nothing but names of ours. Every alias that stands for a
//! resource of its own is followed by [`Sql::visible`]; a sub-select tied to such an alias by `rid` needs none.
//! SQL here does not depend on planner statistics: one leading table each, probes by full key.
//! Not here: which statement is made (`plan`, `run`), how it is sent (`ask`).

use std::fmt::Write;

use super::scope::Scope;
use fhir::ResourceType;

/// Which SQL is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// SQLite 3.
    Sqlite,
    /// PostgreSQL 15 or newer.
    Postgres,
}

/// A value of a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Bind {
    /// bigint
    Int(i64),
    /// double precision
    Real(f64),
    /// text
    Text(String),
    /// A set of integers: JSON text on SQLite, `bigint[]` on PostgreSQL.
    Ints(Vec<i64>),
    /// A set of texts: JSON text on SQLite, `text[]` on PostgreSQL.
    Texts(Vec<String>),
}

/// A statement that reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its text.
    pub text: String,
    /// Values of its placeholders, in order.
    pub binds: Vec<Bind>,
}

/// A statement in the making.
pub(super) struct Sql<'a> {
    pub(super) dialect: Dialect,
    scope: &'a Scope,
    text: String,
    binds: Vec<Bind>,
    aliases: u32,
}

impl<'a> Sql<'a> {
    pub(super) fn new(dialect: Dialect, scope: &'a Scope) -> Self {
        Self { dialect, scope, text: String::with_capacity(512), binds: Vec::new(), aliases: 0 }
    }

    /// A name for a table that no other of this statement has.
    pub(super) fn alias(&mut self, stem: &str) -> String {
        self.aliases += 1;
        format!("{stem}{}", self.aliases)
    }

    /// Ends a sub-select that PostgreSQL must run for each row, and not turn into a join of its own choice.
    pub(super) fn each_time(&mut self) -> &mut Self {
        if self.dialect == Dialect::Postgres {
            self.push(" offset 0");
        }
        self
    }

    /// Text and values up to here.
    pub(super) fn so_far(&self) -> (&str, &[Bind]) {
        (&self.text, &self.binds)
    }

    pub(super) fn finish(self) -> Statement {
        Statement { text: self.text, binds: self.binds }
    }

    /// Text of ours, never of a client.
    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Placeholder of one value.
    pub(super) fn bind(&mut self, value: Bind) -> &mut Self {
        self.binds.push(value);
        match self.dialect {
            Dialect::Sqlite => self.text.push('?'),
            Dialect::Postgres => {
                let _ = write!(self.text, "${}", self.binds.len());
            }
        }
        self
    }

    pub(super) fn int(&mut self, value: impl Into<i64>) -> &mut Self {
        self.bind(Bind::Int(value.into()))
    }

    pub(super) fn real(&mut self, value: f64) -> &mut Self {
        self.bind(Bind::Real(value))
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.bind(Bind::Text(value.to_owned()))
    }

    /// Condition that the expression is one of the integers.
    pub(super) fn one_of(&mut self, expression: &str, values: &[i64]) -> &mut Self {
        match values {
            [] => self.push("1 = 0"),
            [one] => self.push(expression).push(" = ").int(*one),
            few if few.len() <= LISTED_MAX => {
                self.push(expression).push(" in (");
                for (at, value) in few.iter().enumerate() {
                    self.push(if at == 0 { "" } else { ", " }).int(*value);
                }
                self.push(")")
            }
            many => {
                self.push(expression);
                self.set(Bind::Ints(many.to_vec()))
            }
        }
    }

    /// Condition that the expression is one of the texts.
    pub(super) fn one_of_texts(&mut self, expression: &str, values: &[&str]) -> &mut Self {
        match values {
            [one] => self.push(expression).push(" = ").text(one),
            many => {
                self.push(expression);
                self.set(Bind::Texts(many.iter().map(|text| (*text).to_owned()).collect()))
            }
        }
    }

    /// Condition that a list of parameters, each between commas, has this one.
    pub(super) fn lists(&mut self, list: &str, param: u16) -> &mut Self {
        let param = format!(",{param},");
        match self.dialect {
            Dialect::Sqlite => self.push("instr(").push(list).push(", ").text(&param).push(") > 0"),
            Dialect::Postgres => {
                self.push("position(").text(&param).push(" in ").push(list).push(") > 0")
            }
        }
    }

    /// Writes one parenthesised condition: that one of the alternatives holds; without any, that nothing does. Many
    /// stand in halves of halves, as SQLite bounds how deep a chain of `or` may be.
    pub(super) fn any<T>(&mut self, each: &[T], one: &mut impl FnMut(&mut Self, &T)) -> &mut Self {
        if each.is_empty() {
            return self.push("(1 = 0)");
        }
        if each.len() > CHAINED_MAX {
            let (left, right) = each.split_at(each.len() / 2);
            self.push("(").any(left, one).push(" or ").any(right, one);
            return self.push(")");
        }
        self.push("(");
        for (at, alternative) in each.iter().enumerate() {
            self.push(if at == 0 { "(" } else { " or (" });
            one(self, alternative);
            self.push(")");
        }
        self.push(")")
    }

    /// ` = any($n)`, or membership in a bound JSON array.
    fn set(&mut self, values: Bind) -> &mut Self {
        match self.dialect {
            Dialect::Sqlite => {
                self.push(" in (select value from json_each(").bind(values).push("))")
            }
            Dialect::Postgres => self.push(" = any(").bind(values).push(")"),
        }
    }

    /// ` and …`: the alias, which has a column `patient`, stands for a visible resource of this type.
    pub(super) fn visible(&mut self, alias: &str, of: ResourceType) -> &mut Self {
        let Some(patients) = self.scope.patients() else { return self };
        self.push(" and (").of_patients(alias, patients);
        if Scope::is_universal(of) {
            let _ = write!(self.text, " or {alias}.patient = 0");
        }
        self.push(")")
    }

    /// A condition: the alias is in the compartment of one of these patients, its only one or one of several.
    fn of_patients(&mut self, alias: &str, patients: &[i64]) -> &mut Self {
        self.one_of(&format!("{alias}.patient"), patients);
        let _ = write!(
            self.text,
            " or ({alias}.patient = -1 and exists (select 1 from compartment k \
             where k.rid = {alias}.rid and "
        );
        self.one_of("k.patient", patients);
        self.each_time().push("))")
    }

    /// As [`Sql::visible`] for an alias of `resource` whose type only the row knows; only of
    /// types that may be included.
    pub(super) fn visible_of_any_type(&mut self, alias: &str) -> &mut Self {
        if let Some(types) = self.scope.included_types() {
            self.push(" and ").one_of(&format!("{alias}.type"), &types);
        }
        self.visible_whatever(alias)
    }

    /// As [`Sql::visible`] for an alias of `resource` whose type only the row knows, one that may be searched.
    pub(super) fn visible_whatever(&mut self, alias: &str) -> &mut Self {
        let Some(patients) = self.scope.patients() else { return self };
        self.push(" and (").of_patients(alias, patients);
        let _ = write!(self.text, " or ({alias}.patient = 0 and ");
        self.one_of(&format!("{alias}.type"), &Scope::universal_codes());
        self.push("))")
    }

    /// ` from` the values of a bound list, as `j.value`.
    pub(super) fn each(&mut self, values: Bind) -> &mut Self {
        match self.dialect {
            Dialect::Sqlite => self.push(" from json_each(").bind(values).push(") j"),
            Dialect::Postgres => self.push(" from unnest(").bind(values).push(") j (value)"),
        }
    }

    /// ` cross join` a table that is looked up by `on` for each row before it. PostgreSQL would choose the way by what it
    /// knew of the tables when it first saw the statement, which may have been nothing.
    pub(super) fn beside(&mut self, table: &str, alias: &str, on: &str) -> &mut Self {
        let _ = match self.dialect {
            Dialect::Sqlite => write!(self.text, " cross join {table} {alias}"),
            Dialect::Postgres => write!(
                self.text,
                " cross join lateral (select * from {table} {alias} where {on} offset 0) {alias}"
            ),
        };
        self
    }

    /// Names the index that SQLite must use; PostgreSQL has but one that fits.
    pub(super) fn indexed_by(&mut self, index: &str) -> &mut Self {
        if self.dialect == Dialect::Sqlite {
            let _ = write!(self.text, " indexed by {index}");
        }
        self
    }
}

/// Longer lists are bound as one value, so that the text, and its plan, stay the same.
const LISTED_MAX: usize = 4;
/// Alternatives that are chained by `or`; more are halved.
const CHAINED_MAX: usize = 16;
