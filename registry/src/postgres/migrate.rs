//! Schema migrations: the files of `migrations/postgres`, under sqlx's advisory lock, so that several
//! processes can start at once. A migration that this binary does not know, or knows with another
//! text, is refused.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgConnection};

use super::options::PostgresOptions;
use crate::error::OpenError;
use crate::hash::IndexKey;

/// Migrations of this release, compiled in.
static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// Brings the database to this release's schema and returns the installation's hash key.
///
/// # Errors
/// [`OpenError::UnknownSchema`] when a newer or foreign migration was applied.
pub(super) async fn migrate(options: &PostgresOptions) -> Result<IndexKey, OpenError> {
    let mut conn = PgConnection::connect_with(&options.migrator()?).await?;
    let version = conn.server_version_num().unwrap_or(0);
    if version < SERVER_VERSION_MIN {
        return Err(OpenError::Unavailable(format!(
            "PostgreSQL 15 or newer is needed, the server says {version}"
        )));
    }
    MIGRATIONS.run(&mut conn).await.map_err(|error| match error {
        MigrateError::VersionMissing(version)
        | MigrateError::VersionMismatch(version)
        | MigrateError::VersionTooNew(version, _)
        | MigrateError::Dirty(version) => OpenError::UnknownSchema(version),
        other => OpenError::Unavailable(other.to_string()),
    })?;
    let key = index_key(&mut conn).await?;
    conn.close().await?;
    Ok(key)
}

/// Made by the first opening, from the server's random source.
async fn index_key(conn: &mut PgConnection) -> Result<IndexKey, OpenError> {
    sqlx::query(
        "insert into setting (name, value)
         values ($1, substring(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) for 16))
         on conflict do nothing",
    )
    .bind(INDEX_KEY)
    .execute(&mut *conn)
    .await?;
    let bytes: Vec<u8> = sqlx::query_scalar("select value from setting where name = $1")
        .bind(INDEX_KEY)
        .fetch_one(conn)
        .await?;
    let bytes = <[u8; 16]>::try_from(bytes);
    let bytes = bytes.map_err(|_| OpenError::Unavailable("the index key is damaged".into()))?;
    Ok(IndexKey::from_bytes(bytes))
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

const INDEX_KEY: &str = "index_key";
const SERVER_VERSION_MIN: u32 = 150_000;
