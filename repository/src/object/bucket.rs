//! [`PayloadStore`] on the object_store crate: a local folder, or a bucket behind the S3 API.
//!
//! Object `ab34…` lies at `ab/ab34…`. In a folder, file and directory are synced before `Ok`.

use std::path::PathBuf;
use std::time::SystemTime;

use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, RetryConfig};

use super::{BoxFuture, Bytes, Duration, ObjectName, Path, PayloadStore, StoreError};
use crate::limit::{CONTENT_BYTES_MAX, OBJECT_OVERHEAD_BYTES_MAX};

/// A folder or a bucket.
#[derive(Debug)]
pub struct Bucket {
    store: Box<dyn ObjectStore>,
}

/// Where a bucket is and how to get in.
#[derive(Clone)]
pub struct S3Config {
    /// Base URL of the S3 API; plain `http://` is accepted on loopback only.
    pub endpoint: String,
    /// Name of the bucket, which must exist.
    pub bucket: String,
    /// Region to sign for.
    pub region: String,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
}

impl Bucket {
    /// Objects as files in a folder, which is made when absent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the folder cannot be made or opened.
    pub fn folder(path: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path).map_err(unavailable)?;
        let path: PathBuf = path.canonicalize().map_err(unavailable)?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(unavailable)?.with_fsync(true);
        Ok(Self { store: Box::new(store) })
    }

    /// Objects behind the S3 API.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the configuration is incomplete or the endpoint unsafe.
    pub fn s3(config: &S3Config) -> Result<Self, StoreError> {
        let plain = config.endpoint.starts_with("http://");
        if plain && !is_loopback(&config.endpoint) {
            return Err(StoreError::Unavailable("S3 endpoint must be https".into()));
        }
        let retry = RetryConfig {
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_TIMEOUT,
            ..RetryConfig::default()
        };
        let store = AmazonS3Builder::new()
            .with_endpoint(&config.endpoint)
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            .with_access_key_id(&config.access_key_id)
            .with_secret_access_key(&config.secret_access_key)
            .with_allow_http(plain)
            .with_retry(retry)
            .build()
            .map_err(unavailable)?;
        Ok(Self { store: Box::new(store) })
    }

    async fn fetch(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        let found = self.store.get(&place(name)).await.map_err(failed)?;
        let limit = (CONTENT_BYTES_MAX + OBJECT_OVERHEAD_BYTES_MAX) as u64;
        if found.meta.size > limit {
            return Err(StoreError::Open(crate::OpenError::TooLarge));
        }
        found.bytes().await.map_err(failed)
    }

    async fn list(&self, age: Duration) -> Result<Vec<ObjectName>, StoreError> {
        let before = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let old = self.store.list(None).try_filter_map(|object| async move {
            let is_old = SystemTime::from(object.last_modified) <= before;
            Ok(object.location.filename().and_then(ObjectName::parse).filter(|_| is_old))
        });
        old.try_collect().await.map_err(failed)
    }
}

impl PayloadStore for Bucket {
    fn put<'a>(
        &'a self,
        name: &'a ObjectName,
        object: Bytes,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let written = self.store.put(&place(name), object.into()).await;
            written.map(|_| ()).map_err(failed)
        })
    }

    fn get<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        Box::pin(self.fetch(name))
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            match self.store.delete(&place(name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(failed(error)),
            }
        })
    }

    fn older_than(&self, age: Duration) -> BoxFuture<'_, Result<Vec<ObjectName>, StoreError>> {
        Box::pin(self.list(age))
    }
}

impl std::fmt::Debug for S3Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "S3Config({}, {})", self.endpoint, self.bucket)
    }
}

fn place(name: &ObjectName) -> ObjectPath {
    let name = name.to_string();
    ObjectPath::from_iter([&name[..2], &name])
}

fn failed(error: object_store::Error) -> StoreError {
    match error {
        object_store::Error::NotFound { .. } => StoreError::Missing,
        other => unavailable(other),
    }
}

fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

fn is_loopback(endpoint: &str) -> bool {
    let rest = endpoint.trim_start_matches("http://");
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

const RETRIES_MAX: usize = 4;
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
