//! Schema migrations: the files of `migrations/postgres`, under sqlx's advisory lock, so that several
//! processes can start at once. A migration that this binary does not know, or knows with another
//! text, is refused.

use fhir::FullText;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, Executor, PgConnection};

use super::options::PostgresOptions;
use super::sealed;
use crate::error::OpenError;
use crate::hash::{INDEX_KEY_GONE, IndexKey};
use crate::index::table;

/// Migrations of this release, compiled in.
static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// Brings the database to this release's schema, or expects it there, and returns the installation's hash key.
///
/// # Errors
/// [`OpenError::UnknownSchema`] when a newer or foreign migration was applied, [`OpenError::NoDatabase`] for none where
/// one is to be indexed anew.
pub(super) async fn migrate(options: &PostgresOptions) -> Result<IndexKey, OpenError> {
    let mut conn = PgConnection::connect_with(&options.migrator()?).await?;
    let version = conn.server_version_num().unwrap_or(0);
    if version < SERVER_VERSION_MIN {
        return Err(OpenError::Unavailable(format!(
            "PostgreSQL 15 or newer is needed, the server says {version}"
        )));
    }
    // However long a large table takes, and no longer than somebody waits for it.
    conn.execute("set statement_timeout = 0; set lock_timeout = 0").await?;
    if let Err(error) = conn.execute("set client_connection_check_interval = '5s'").await {
        // Servers on some systems cannot tell that a client has gone; they go on to the end.
        tracing::debug!(%error, "the server does not look whether its client is there");
    }
    if !options.migrates {
        expect_current(&mut conn).await?;
        let key = stored_index_key(&mut conn).await?;
        expect_search_table(&mut conn, options.full_text).await?;
        conn.close().await?;
        return Ok(key);
    }
    if options.rebuilds && !is_begun(&mut conn).await? {
        return Err(OpenError::NoDatabase);
    }
    apply(&mut conn).await?;
    let key = index_key(&mut conn).await?;
    if !options.rebuilds {
        check_search_table(&mut conn, options.full_text).await?;
    }
    conn.close().await?;
    Ok(key)
}

/// Applies what is missing. Where a migration and a search each wait for a table that the other has, the server may end
/// the migration: it has changed nothing then, and begins again.
async fn apply(conn: &mut PgConnection) -> Result<(), OpenError> {
    for _ in 0..DEADLOCKS_MAX {
        match MIGRATIONS.run(&mut *conn).await {
            Err(error) if is_deadlock(&error) => {
                tracing::warn!(
                    "a migration of the schema met a search in its way and begins again"
                );
            }
            applied => return applied.map_err(not_applied),
        }
    }
    MIGRATIONS.run(conn).await.map_err(not_applied)
}

fn is_deadlock(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("40P01")
}

fn not_applied(error: MigrateError) -> OpenError {
    match error {
        MigrateError::VersionMissing(version)
        | MigrateError::VersionMismatch(version)
        | MigrateError::VersionTooNew(version, _)
        | MigrateError::Dirty(version) => OpenError::UnknownSchema(version),
        other => OpenError::Unavailable(other.to_string()),
    }
}

async fn is_begun(conn: &mut PgConnection) -> Result<bool, OpenError> {
    let asked = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null");
    Ok(asked.fetch_one(conn).await?)
}

/// Expects this release's schema and changes nothing.
async fn expect_current(conn: &mut PgConnection) -> Result<(), OpenError> {
    if !is_begun(&mut *conn).await? {
        return Err(OpenError::OlderSchema);
    }
    let applied: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select version, checksum from _sqlx_migrations where success order by version",
    )
    .fetch_all(conn)
    .await?;
    for (version, checksum) in &applied {
        let known = MIGRATIONS.iter().find(|migration| migration.version == *version);
        if known.is_none_or(|migration| migration.checksum.as_ref() != checksum.as_slice()) {
            return Err(OpenError::UnknownSchema(*version));
        }
    }
    let newest = applied.last().map_or(0, |(version, _)| *version);
    match MIGRATIONS.iter().any(|migration| migration.version > newest) {
        true => Err(OpenError::OlderSchema),
        false => Ok(()),
    }
}

/// Made by the first opening, from the server's random source.
async fn index_key(conn: &mut PgConnection) -> Result<IndexKey, OpenError> {
    let is_used: bool =
        sqlx::query_scalar("select exists (select 1 from resource)").fetch_one(&mut *conn).await?;
    if is_used && sealed::setting(conn, INDEX_KEY).await?.is_none() {
        return Err(OpenError::Damaged(INDEX_KEY_GONE.to_owned()));
    }
    sqlx::query(
        "insert into setting (name, value)
         values ($1, substring(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) for 16))
         on conflict do nothing",
    )
    .bind(INDEX_KEY)
    .execute(&mut *conn)
    .await?;
    stored_index_key(conn).await
}

async fn stored_index_key(conn: &mut PgConnection) -> Result<IndexKey, OpenError> {
    let bytes: Vec<u8> = sqlx::query_scalar("select value from setting where name = $1")
        .bind(INDEX_KEY)
        .fetch_one(conn)
        .await?;
    let bytes = <[u8; 16]>::try_from(bytes);
    let bytes = bytes.map_err(|_| OpenError::Unavailable("the index key is damaged".into()))?;
    Ok(IndexKey::from_bytes(bytes))
}

/// Refuses index rows of other rules; an empty database is taken over.
async fn check_search_table(conn: &mut PgConnection, full_text: FullText) -> Result<(), OpenError> {
    let stored = expect_search_table(&mut *conn, full_text).await?;
    let mark = table::mark(full_text);
    if stored.as_ref() != Some(&mark) {
        sqlx::query(
            "insert into setting (name, value) values ($1, $2)
             on conflict (name) do update set value = excluded.value",
        )
        .bind(table::SEARCH_TABLE)
        .bind(mark)
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// Refuses index rows of other rules; gives what the database says of its own.
async fn expect_search_table(
    conn: &mut PgConnection,
    full_text: FullText,
) -> Result<Option<Vec<u8>>, OpenError> {
    let stored: Option<Vec<u8>> = sqlx::query_scalar("select value from setting where name = $1")
        .bind(table::SEARCH_TABLE)
        .fetch_optional(&mut *conn)
        .await?;
    let is_empty: bool =
        sqlx::query_scalar("select not exists (select 1 from resource)").fetch_one(conn).await?;
    table::check(stored.as_deref(), is_empty, full_text)?;
    Ok(stored)
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

const INDEX_KEY: &str = "index_key";
/// How often a migration begins again.
const DEADLOCKS_MAX: usize = 5;
const SERVER_VERSION_MIN: u32 = 150_000;
