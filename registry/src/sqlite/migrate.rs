//! Schema migrations on SQLite: the files of `migrations/sqlite`, in the table and with the checksums
//! of `sqlx::migrate!`, run through the writer's own connection so that opening stays quick.
//!
//! A migration that this binary does not carry, or carries with another text, is refused.

use rusqlite::{Connection, TransactionBehavior, params};
use sqlx::migrate::Migrator;

use super::check::is_damage;
use crate::error::OpenError;

/// Migrations of this release, compiled in.
static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// Brings the database to this release's schema; does nothing when it is there.
///
/// # Errors
/// [`OpenError::UnknownSchema`] when a newer or foreign migration was applied.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), OpenError> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(CREATE_TABLE)?;
    let newest = newest(&transaction)?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > newest) {
        transaction.execute_batch(migration.sql.as_str())?;
        transaction.execute(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (?1, ?2, true, ?3, 0)",
            params![migration.version, migration.description, migration.checksum],
        )?;
    }
    transaction.commit()?;
    Ok(())
}

/// Expects the schema of any release and changes nothing.
///
/// # Errors
/// [`OpenError::NoDatabase`].
pub(super) fn expect_begun(conn: &Connection) -> Result<(), OpenError> {
    if is_begun(conn)? { Ok(()) } else { Err(OpenError::NoDatabase) }
}

fn is_begun(conn: &Connection) -> Result<bool, OpenError> {
    let table = "select 1 from sqlite_schema where type = 'table' and name = '_sqlx_migrations'";
    Ok(conn.prepare(table)?.exists([])?)
}

/// Expects this release's schema and changes nothing.
///
/// # Errors
/// [`OpenError::OlderSchema`] when a migration is still to come, [`OpenError::UnknownSchema`] as [`migrate`].
pub(super) fn expect_current(conn: &Connection) -> Result<(), OpenError> {
    let newest = if is_begun(conn)? { newest(conn)? } else { 0 };
    match MIGRATIONS.iter().any(|migration| migration.version > newest) {
        true => Err(OpenError::OlderSchema),
        false => Ok(()),
    }
}

/// Version of the newest migration that was applied; all of them are known.
fn newest(conn: &Connection) -> Result<i64, OpenError> {
    let applied = applied(conn)?;
    for (version, checksum) in &applied {
        let known = MIGRATIONS.iter().find(|migration| migration.version == *version);
        if known.is_none_or(|migration| migration.checksum.as_ref() != checksum.as_slice()) {
            return Err(OpenError::UnknownSchema(*version));
        }
    }
    Ok(applied.last().map_or(0, |(version, _)| *version))
}

fn applied(conn: &Connection) -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
    conn.prepare("select version, checksum from _sqlx_migrations order by version")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        if is_damage(&error) {
            return Self::Damaged(error.to_string());
        }
        Self::Unavailable(error.to_string())
    }
}

const CREATE_TABLE: &str = "create table if not exists _sqlx_migrations (
  version bigint primary key,
  description text not null,
  installed_on timestamp not null default current_timestamp,
  success boolean not null,
  checksum blob not null,
  execution_time bigint not null
)";
