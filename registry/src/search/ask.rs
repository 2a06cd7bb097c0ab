//! How statements reach a database: one small trait, one implementation an engine.
//!
//! The executor is written once as `async`; on SQLite every answer is there at once, so its future
//! is complete when first polled ([`futures::FutureExt::now_or_never`]).

use std::future::Future;
use std::sync::Arc;

use super::memory::Memory;
use super::sql::{Bind, Dialect, Statement};
use crate::error::ReadError;

/// A connection inside one read snapshot, unless it tells otherwise.
pub trait Connection {
    /// What it speaks.
    const DIALECT: Dialect;
    /// Whether each statement is a round trip to a server, so that one long statement beats several.
    const ROUND_TRIPS: bool = false;

    /// Whether all statements see one snapshot.
    fn is_settled(&self) -> bool {
        true
    }

    /// What searches before remember, where fetching it again costs more than looking it up.
    fn memory(&self) -> Option<Arc<Memory>> {
        None
    }

    /// As [`Connection::memory`] for sizes of ranges alone.
    fn sizes(&self) -> Option<Arc<Memory>> {
        self.memory()
    }

    /// Runs one statement and returns all its rows.
    fn ask(&mut self, statement: Statement) -> impl Future<Output = Result<Vec<Row>, ReadError>>;
}

/// One row of an answer.
pub type Row = Vec<Cell>;

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// null
    Null,
    /// Any integer or boolean.
    Int(i64),
    /// double precision
    Real(f64),
    /// text
    Text(String),
    /// bytes
    Blob(Vec<u8>),
}

/// The integer in a column; 0 where there is none.
pub(super) fn int(row: &[Cell], column: usize) -> i64 {
    match row.get(column) {
        Some(Cell::Int(value)) => *value,
        _ => 0,
    }
}

/// SQLite, inside a read transaction.
impl Connection for &rusqlite::Connection {
    const DIALECT: Dialect = Dialect::Sqlite;

    fn ask(&mut self, statement: Statement) -> impl Future<Output = Result<Vec<Row>, ReadError>> {
        std::future::ready(ask_sqlite(self, &statement))
    }
}

/// SQLite as above, with what this process remembers of the sizes of ranges.
pub struct Sizing<'a> {
    /// Where all else is asked.
    pub connection: &'a rusqlite::Connection,
    /// What is remembered.
    pub memory: &'a Arc<Memory>,
}

impl Connection for Sizing<'_> {
    const DIALECT: Dialect = Dialect::Sqlite;

    fn sizes(&self) -> Option<Arc<Memory>> {
        Some(Arc::clone(self.memory))
    }

    fn ask(&mut self, statement: Statement) -> impl Future<Output = Result<Vec<Row>, ReadError>> {
        std::future::ready(ask_sqlite(self.connection, &statement))
    }
}

fn ask_sqlite(
    connection: &rusqlite::Connection,
    statement: &Statement,
) -> Result<Vec<Row>, ReadError> {
    let failed = |error: rusqlite::Error| ReadError::from(error);
    let mut own;
    let mut kept;
    let prepared: &mut rusqlite::Statement<'_> = if is_kept(statement) {
        kept = connection.prepare_cached(&statement.text).map_err(failed)?;
        &mut kept
    } else {
        own = connection.prepare(&statement.text).map_err(failed)?;
        &mut own
    };
    for (at, bind) in statement.binds.iter().enumerate() {
        let at = at + 1;
        match bind {
            Bind::Int(value) => prepared.raw_bind_parameter(at, value),
            Bind::Real(value) => prepared.raw_bind_parameter(at, value),
            Bind::Text(value) => prepared.raw_bind_parameter(at, value),
            Bind::Ints(values) => prepared.raw_bind_parameter(at, json_of_ints(values)),
            Bind::Texts(values) => {
                prepared.raw_bind_parameter(at, serde_json::Value::from(values.clone()).to_string())
            }
        }
        .map_err(failed)?;
    }
    let columns = prepared.column_count();
    let mut rows = prepared.raw_query();
    let mut out = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let cell = |at| row.get_ref(at).map(cell_of);
        out.push((0..columns).map(cell).collect::<Result<Row, _>>().map_err(failed)?);
    }
    Ok(out)
}

/// Whether its plan is kept for the next of the same text. Long ones hardly come again and take megabytes each.
fn is_kept(statement: &Statement) -> bool {
    statement.text.len() <= KEPT_BYTES_MAX
}

fn json_of_ints(values: &[i64]) -> String {
    let mut out = String::with_capacity(values.len() * 20 + 2);
    out.push('[');
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&value.to_string());
    }
    out.push(']');
    out
}

fn cell_of(value: rusqlite::types::ValueRef<'_>) -> Cell {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(bytes) => Cell::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

/// PostgreSQL, settled inside a transaction of isolation level repeatable read.
impl Connection for &mut sqlx::PgConnection {
    const DIALECT: Dialect = Dialect::Postgres;
    const ROUND_TRIPS: bool = true;

    fn is_settled(&self) -> bool {
        sqlx::Connection::is_in_transaction(&**self)
    }

    async fn ask(&mut self, statement: Statement) -> Result<Vec<Row>, ReadError> {
        ask_postgres(self, statement).await
    }
}

/// PostgreSQL as above, with what this process remembers.
pub struct Remembering<'a> {
    /// Where what is not remembered is asked.
    pub connection: &'a mut sqlx::PgConnection,
    /// What is remembered.
    pub memory: &'a Arc<Memory>,
}

impl Connection for Remembering<'_> {
    const DIALECT: Dialect = Dialect::Postgres;
    const ROUND_TRIPS: bool = true;

    fn is_settled(&self) -> bool {
        sqlx::Connection::is_in_transaction(&*self.connection)
    }

    fn memory(&self) -> Option<Arc<Memory>> {
        Some(Arc::clone(self.memory))
    }

    async fn ask(&mut self, statement: Statement) -> Result<Vec<Row>, ReadError> {
        ask_postgres(self.connection, statement).await
    }
}

async fn ask_postgres(
    connection: &mut sqlx::PgConnection,
    statement: Statement,
) -> Result<Vec<Row>, ReadError> {
    let failed = ReadError::from;
    if statement.binds.len() > usize::from(u16::MAX) {
        return Err(ReadError::too_long());
    }
    let kept = is_kept(&statement);
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement.text)).persistent(kept);
    for bind in statement.binds {
        query = match bind {
            Bind::Int(value) => query.bind(value),
            Bind::Real(value) => query.bind(value),
            Bind::Text(value) => query.bind(value),
            Bind::Ints(values) => query.bind(values),
            Bind::Texts(values) => query.bind(values),
        };
    }
    let rows = query.fetch_all(connection).await.map_err(failed)?;
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let kinds: Vec<_> = sqlx::Row::columns(first).iter().map(kind_of).collect();
    rows.iter().map(|row| cells_of(row, &kinds)).collect::<Result<_, _>>().map_err(failed)
}

/// How a column of PostgreSQL is read.
#[derive(Clone, Copy)]
enum Kind {
    Small,
    Medium,
    Big,
    Flag,
    Real,
    Bytes,
    Text,
}

fn kind_of(column: &sqlx::postgres::PgColumn) -> Kind {
    use sqlx::{Column, TypeInfo};
    match column.type_info().name() {
        "INT2" => Kind::Small,
        "INT4" => Kind::Medium,
        "INT8" => Kind::Big,
        "BOOL" => Kind::Flag,
        "FLOAT8" => Kind::Real,
        "BYTEA" => Kind::Bytes,
        _ => Kind::Text,
    }
}

/// The kinds are those of the columns, so that they need not be compared again for each row.
fn cells_of(row: &sqlx::postgres::PgRow, kinds: &[Kind]) -> Result<Row, sqlx::Error> {
    use sqlx::Row as _;
    let cell = |(at, kind): (usize, &Kind)| {
        let cell = match kind {
            Kind::Small => {
                row.try_get_unchecked::<Option<i16>, _>(at)?.map(|v| Cell::Int(v.into()))
            }
            Kind::Medium => {
                row.try_get_unchecked::<Option<i32>, _>(at)?.map(|v| Cell::Int(v.into()))
            }
            Kind::Big => row.try_get_unchecked::<Option<i64>, _>(at)?.map(Cell::Int),
            Kind::Flag => {
                row.try_get_unchecked::<Option<bool>, _>(at)?.map(|v| Cell::Int(v.into()))
            }
            Kind::Real => row.try_get_unchecked::<Option<f64>, _>(at)?.map(Cell::Real),
            Kind::Bytes => row.try_get_unchecked::<Option<Vec<u8>>, _>(at)?.map(Cell::Blob),
            Kind::Text => row.try_get_unchecked::<Option<String>, _>(at)?.map(Cell::Text),
        };
        Ok(cell.unwrap_or(Cell::Null))
    };
    kinds.iter().enumerate().map(cell).collect()
}

/// Longest text of a statement whose plan is kept.
const KEPT_BYTES_MAX: usize = 16 * 1024;
