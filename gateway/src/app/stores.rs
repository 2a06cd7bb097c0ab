//! What the application keeps data in, opened as the configuration says: registry and object store.
//!
//! SQLite in `data_dir` unless `database.url` names a PostgreSQL; a folder for large payloads unless `payload.url` names a
//! bucket. Not here: the order in which the application opens its parts (`app`).

use std::path::Path;
use std::sync::Arc;

use registry::error::SequencerError;
use registry::postgres::{PostgresOptions, PostgresStore};
use registry::sqlite::{SqliteOptions, SqliteStore};
use registry::store::Store;
use repository::{Bucket, PayloadStore, S3Config};

use super::{OpenError, make_folder};
use crate::clock;
use crate::config::{Config, ConfigError};

/// The registry of a gateway that serves.
pub(crate) async fn open_store(config: &Config) -> Result<Arc<dyn Store>, OpenError> {
    open(config, Purpose::Serve).await
}

/// The registry for its index to be made anew.
pub(crate) async fn open_store_to_rebuild(config: &Config) -> Result<Arc<dyn Store>, OpenError> {
    open(config, Purpose::Rebuild).await
}

/// The registry as it is: nothing is made or brought up to date, and nothing may be written.
pub(crate) async fn open_store_to_check(config: &Config) -> Result<Arc<dyn Store>, OpenError> {
    open(config, Purpose::Check).await
}

/// What a registry is opened for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Purpose {
    Serve,
    Rebuild,
    Check,
}

async fn open(config: &Config, purpose: Purpose) -> Result<Arc<dyn Store>, OpenError> {
    let rebuilds = purpose == Purpose::Rebuild;
    if let Some(url) = &config.database.url
        && !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
    {
        let text = "database.url must begin with postgres://; leave it out for SQLite in data_dir";
        return Err(ConfigError(text.to_owned()).into());
    }
    if let Some(mut options) = postgres_options(config) {
        options.rebuilds = rebuilds;
        let opened = match purpose {
            Purpose::Check => PostgresStore::connect_to_check(options).await,
            _ => PostgresStore::connect(options).await,
        };
        return Ok(Arc::new(opened.map_err(|error| of_registry(&error))?));
    }
    let mut options = sqlite_options(config);
    options.rebuilds = rebuilds;
    if purpose == Purpose::Serve {
        make_private_file(&options.path)?;
    }
    let opened = tokio::task::spawn_blocking(move || match purpose {
        Purpose::Check => SqliteStore::open_to_check(&options),
        _ => SqliteStore::open(options),
    });
    let opened = opened.await.map_err(|error| OpenError::Registry(error.to_string()))?;
    Ok(Arc::new(opened.map_err(|error| of_registry(&error))?))
}

fn postgres_options(config: &Config) -> Option<PostgresOptions> {
    let url = config.database.url.as_ref()?;
    let mut options = PostgresOptions::new(url, Arc::new(clock::now));
    if config.database.readers > 0 {
        options.max_connections = u32::try_from(config.database.readers).unwrap_or(u32::MAX);
    }
    options.full_text = config.search.full_text;
    Some(options)
}

/// The embedded database of `config.data_dir`.
pub(crate) fn sqlite_options(config: &Config) -> SqliteOptions {
    let file = config.data_dir.join("registry.sqlite");
    let mut options = SqliteOptions::new(file, Arc::new(clock::now));
    if config.database.readers > 0 {
        options.readers = config.database.readers;
    }
    options.full_text = config.search.full_text;
    options
}

fn of_registry(error: &registry::error::OpenError) -> OpenError {
    match error {
        registry::error::OpenError::Damaged(_) => OpenError::Damaged(error.to_string()),
        registry::error::OpenError::OlderSchema => OpenError::OlderSchema(error.to_string()),
        _ => OpenError::Registry(error.to_string()),
    }
}

pub(crate) fn open_objects(config: &Config) -> Result<Arc<dyn PayloadStore>, OpenError> {
    let folder = match config.payload.url.as_deref() {
        None => config.data_dir.join("objects"),
        Some(url) => match url.strip_prefix("s3://") {
            Some(bucket) => return open_bucket(config, bucket),
            None => url.into(),
        },
    };
    make_folder(&folder)?;
    let bucket = Bucket::folder(&folder).map_err(|error| OpenError::Folder(error.to_string()))?;
    Ok(Arc::new(bucket))
}

fn open_bucket(config: &Config, bucket: &str) -> Result<Arc<dyn PayloadStore>, OpenError> {
    let payload = &config.payload;
    let needed = |value: &Option<String>, name: &str| {
        let missing = || ConfigError(format!("{name} is needed for an s3:// payload.url"));
        value.clone().ok_or_else(missing)
    };
    let settings = S3Config {
        endpoint: needed(&payload.s3_endpoint, "payload.s3_endpoint")?,
        bucket: bucket.trim_end_matches('/').to_owned(),
        region: payload.s3_region.clone(),
        access_key_id: needed(&payload.s3_access_key_id, "payload.s3_access_key_id")?,
        secret_access_key: needed(&payload.s3_secret_access_key, "payload.s3_secret_access_key")?,
    };
    let bucket = Bucket::s3(&settings).map_err(|error| OpenError::Folder(error.to_string()))?;
    Ok(Arc::new(bucket))
}

/// One gateway a database: which one is a matter of the configuration.
pub(crate) fn of_sequencer(error: SequencerError) -> OpenError {
    match error {
        SequencerError::Taken(_) => {
            let text = format!(
                "database.url: {error}; stop that gateway, or give this one a database of its own"
            );
            ConfigError(text).into()
        }
        other => OpenError::Registry(other.to_string()),
    }
}

/// Names and dates are readable in the index, so the file is its owner's only, whatever the folder's mode.
/// SQLite gives the files beside it the same mode.
fn make_private_file(file: &Path) -> Result<(), OpenError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.open(file);
    opened.map(drop).map_err(|error| OpenError::Registry(format!("{}: {error}", file.display())))
}
