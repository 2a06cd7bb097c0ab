//! The application: every part opened in order, shared by HTTP, MLLP and the command line, closed in order.
//!
//! Open: folder → keys → registry → right to seal → tenant key → journal → log (with recovery) → sealer thread → auth.
//! Close: listeners first (their owners), then the sealer seals what is left, then the store goes.
//! Tests open it in a temporary folder and use it in process.
//! Not here: sockets (`http::server`, `mllp`).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use moka::sync::Cache;
use registry::access::{Journal, JournalError};
use registry::error::SequencerError;
use registry::postgres::{PostgresOptions, PostgresStore};
use registry::sqlite::{SqliteOptions, SqliteStore};
use registry::store::Store;
use registry::write_set::WriteSet;
use repository::{Bucket, Keyring, PayloadStore, S3Config};
use tokio::sync::watch;

use crate::access::mover::Mover;
use crate::auth::{Authenticator, DevIssuer, IssuerSettings, KeySource};
use crate::clock;
use crate::config::Config;
use crate::error::Fault;
use crate::http::budget::{Budget, SHARE};
use crate::http::hosts::Hosts;
use crate::mllp::frame::FRAME_BYTES_MAX;
use crate::payload::{Payloads, TENANT};
use crate::sealer::{Ledger, Sealer};
use crate::search_params::Params;
use crate::telemetry::metrics::Metrics;
use crate::terminology::Terminology;
use crate::validation::Validation;

/// Why the application did not open. The text says what and how to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A setting cannot be used.
    #[error("{0}")]
    Config(#[from] crate::config::ConfigError),
    /// Another process works on the data folder.
    #[error("{} is held by another process, most likely a running gateway", .0.display())]
    Held(std::path::PathBuf),
    /// A folder or file cannot be used.
    #[error("{0}")]
    Folder(String),
    /// A key file cannot be used.
    #[error("key {0}")]
    Key(String),
    /// The registry cannot be used.
    #[error("registry: {0}")]
    Registry(String),
    /// The registry's schema is not this release's yet, and only a start of the gateway changes it.
    #[error("registry: {0}")]
    OlderSchema(String),
    /// What is there cannot be read as a registry.
    #[error("{0}")]
    Damaged(String),
    /// The log cannot be used.
    #[error("ledger: {0}")]
    Ledger(String),
}

/// Everything a request needs.
pub struct App {
    /// Settings.
    pub config: Config,
    /// Accepted host names.
    pub hosts: Hosts,
    /// Metadata and indexes.
    pub store: Arc<dyn Store>,
    /// Payloads and their keys.
    pub payloads: Payloads,
    /// Access records.
    pub journal: Arc<Journal>,
    /// Memory for request bodies.
    pub bodies: Budget,
    /// Takes access records of commits to the journal.
    pub mover: Arc<Mover>,
    /// The log, for readers.
    pub ledger: Arc<Ledger>,
    /// Token checks.
    pub auth: Authenticator,
    /// The development issuer, when it runs.
    pub dev_issuer: Option<DevIssuer>,
    /// Search parameters in force.
    pub search_params: Params,
    /// Definitions of codes that were asked for.
    pub terminology: Terminology,
    /// Profiles that resources are validated against.
    pub validation: Validation,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Held by a submission that is prepared again, so that those who lost a race do not race each other.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// Conditional matches that held on their own bytes: (resource, criteria).
    pub(crate) verified: Cache<(String, String), ()>,
    stop: watch::Sender<bool>,
    sealing: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl App {
    /// Opens everything in `config.data_dir`. Start-up recovery is done when it returns.
    ///
    /// # Errors
    /// [`OpenError`]; nothing keeps running then.
    pub async fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        let folder = config.data_dir.join("access");
        make_folder(&folder)?;
        match Journal::open(&folder) {
            Ok(journal) => Self::open_over(config, journal).await,
            Err(JournalError::Io(error)) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                Err(OpenError::Held(config.data_dir))
            }
            Err(error) => Err(OpenError::Folder(error.to_string())),
        }
    }

    /// The same over an access journal that is open already, for tests of its failures.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_over(config: Config, journal: Journal) -> Result<Arc<Self>, OpenError> {
        let hosts = Hosts::of(&config)?;
        let terminology = Terminology::of(&config)?;
        check_budget(&config)?;
        let data = config.data_dir.clone();
        for folder in [data.clone(), data.join("keys"), data.join("objects")] {
            make_folder(&folder)?;
        }
        let validation =
            Validation::open(config.validation.profiles.as_deref()).map_err(OpenError::Folder)?;
        let metrics = Arc::new(Metrics::default());
        let store = open_store(&config).await?;
        store.take_sequencer().await.map_err(of_sequencer)?;
        let keyring = Keyring::open(&config.kek_file())
            .map_err(|error| OpenError::Key(format!("{}: {error}", config.kek_file().display())))?;
        let payloads = Payloads::new(keyring, open_objects(&config)?, Arc::clone(&store));
        make_tenant_key(&payloads, &*store).await?;
        let journal = Arc::new(journal);
        let mover = Arc::new(Mover::new(Arc::clone(&store), Arc::clone(&journal)));
        let (sealer, ledger) = Sealer::open(
            &data.join("log"),
            &data.join("keys/log"),
            &config.ledger,
            Arc::clone(&store),
            Arc::clone(&journal),
            Arc::clone(&mover),
            Arc::clone(&metrics),
        )
        .await?;
        let dev_issuer = start_dev_issuer(&config)?;
        let auth = open_auth(&config, dev_issuer.as_ref())?;
        let (stop, stopped) = watch::channel(false);
        let sealing = start_sealer(sealer, stopped)?;
        let app = Arc::new(Self {
            hosts,
            bodies: Budget::new(config.server.bodies_bytes_max),
            search_params: Params::new(store.full_text()),
            store,
            payloads,
            journal,
            mover,
            ledger,
            auth,
            dev_issuer,
            terminology,
            validation,
            metrics,
            turn: tokio::sync::Mutex::new(()),
            verified: Cache::new(VERIFIED_MAX),
            stop,
            sealing: std::sync::Mutex::new(Some(sealing)),
            config,
        });
        if let Err(fault) = app.search_params.refresh(&app).await {
            app.close().await;
            return Err(OpenError::Registry(format!("the search parameters: {fault}")));
        }
        Ok(app)
    }

    /// Lets the sealer finish. Call it after the listeners have stopped.
    pub async fn close(&self) {
        let _nobody_listens = self.stop.send(true);
        let handle = self.sealing.lock().ok().and_then(|mut handle| handle.take());
        if let Some(handle) = handle {
            let joined = tokio::task::spawn_blocking(move || handle.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the sealer ended badly; the next start repairs what it left");
            }
        }
    }
}

fn check_budget(config: &Config) -> Result<(), OpenError> {
    let server = &config.server;
    let largest = server.bundle_bytes_max.max(server.body_bytes_max).max(FRAME_BYTES_MAX);
    if server.bodies_bytes_max / SHARE < largest {
        let text = "server.bodies_bytes_max must be three times the largest body, bundle or HL7 v2 message (32 MiB)";
        return Err(crate::config::ConfigError(text.to_owned()).into());
    }
    Ok(())
}

pub(crate) async fn open_store(config: &Config) -> Result<Arc<dyn Store>, OpenError> {
    if let Some(options) = postgres_options(config) {
        let store = PostgresStore::connect(options).await;
        return Ok(Arc::new(store.map_err(|error| of_registry(&error))?));
    }
    let options = sqlite_options(config);
    make_private_file(&options.path)?;
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(options)).await;
    let opened = opened.map_err(|error| OpenError::Registry(error.to_string()))?;
    Ok(Arc::new(opened.map_err(|error| of_registry(&error))?))
}

/// The registry for its index to be made anew.
pub(crate) async fn open_store_to_rebuild(config: &Config) -> Result<Arc<dyn Store>, OpenError> {
    if let Some(options) = postgres_options(config) {
        let mut options = options;
        options.rebuilds = true;
        let store = PostgresStore::connect(options).await;
        return Ok(Arc::new(store.map_err(|error| of_registry(&error))?));
    }
    let mut options = sqlite_options(config);
    options.rebuilds = true;
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(options)).await;
    let opened = opened.map_err(|error| OpenError::Registry(error.to_string()))?;
    Ok(Arc::new(opened.map_err(|error| of_registry(&error))?))
}

/// The registry as it is: nothing is made or brought up to date, and nothing may be written.
pub(crate) async fn open_store_to_check(config: &Config) -> Result<Arc<dyn Store>, OpenError> {
    if let Some(options) = postgres_options(config) {
        let store = PostgresStore::connect_to_check(options).await;
        return Ok(Arc::new(store.map_err(|error| of_registry(&error))?));
    }
    let options = sqlite_options(config);
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open_to_check(&options)).await;
    let opened = opened.map_err(|error| OpenError::Registry(error.to_string()))?;
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
        let missing =
            || crate::config::ConfigError(format!("{name} is needed for an s3:// payload.url"));
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
            crate::config::ConfigError(text).into()
        }
        other => OpenError::Registry(other.to_string()),
    }
}

/// The tenant's own key exists before the first record needs it.
async fn make_tenant_key(payloads: &Payloads, store: &dyn Store) -> Result<(), OpenError> {
    let refused = |error: Fault| OpenError::Registry(error.to_string());
    let keys =
        payloads.keys([TENANT.to_owned()].into(), &BTreeSet::new()).await.map_err(refused)?;
    let (new_keys, made) = keys.into_made();
    if new_keys.is_empty() {
        return Ok(());
    }
    let set = WriteSet { new_keys, ..WriteSet::default() };
    match store.commit(set).await {
        Ok(_) => payloads.keep(&made),
        // Another process made it first: the next use reads that one.
        Err(registry::error::CommitError::Stale) => {}
        Err(error) => return Err(OpenError::Registry(error.to_string())),
    }
    Ok(())
}

/// `aud` that tokens must carry unless their issuer is configured otherwise.
fn audience(config: &Config) -> String {
    let server = &config.server;
    match (&config.auth.audience, &server.public_url, server.listen.port()) {
        (Some(audience), ..) => audience.clone(),
        (None, Some(url), _) => format!("{}/fhir", url.trim_end_matches('/')),
        // With a port that is not known yet there is no URL to name.
        (None, None, 0) => "urn:sealway:local".to_owned(),
        (None, None, _) => format!("http://{}/fhir", server.listen),
    }
}

/// The development issuer, with its key kept for `sealway token` and the next start; on loopback only.
fn start_dev_issuer(config: &Config) -> Result<Option<DevIssuer>, OpenError> {
    if !config.auth.dev_issuer {
        return Ok(None);
    }
    if !config.server.listen.ip().is_loopback() {
        let text = "auth.dev_issuer is for loopback only: listen on 127.0.0.1, or configure [[auth.issuer]]";
        return Err(crate::config::ConfigError(text.to_owned()).into());
    }
    let refused = |error: &dyn std::fmt::Display| OpenError::Key(format!("dev-issuer: {error}"));
    let file = dev_issuer_file(&config.data_dir);
    let issuer = DevIssuer::open(&file, "urn:sealway:dev-issuer", &audience(config));
    issuer.map(Some).map_err(|error| refused(&error))
}

/// Where the development issuer keeps its key.
pub fn dev_issuer_file(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("keys/dev-issuer.json")
}

fn open_auth(config: &Config, dev: Option<&DevIssuer>) -> Result<Authenticator, OpenError> {
    let mut settings: Vec<IssuerSettings> = dev.map(DevIssuer::settings).into_iter().collect();
    for one in &config.auth.issuer {
        let keys = match (&one.jwks_file, &one.jwks_url) {
            (Some(file), None) => KeySource::File(file.clone()),
            (None, Some(url)) => KeySource::Url(url.clone()),
            _ => {
                let text = format!("issuer {}: set jwks_file or jwks_url, one of them", one.issuer);
                return Err(crate::config::ConfigError(text).into());
            }
        };
        let audience = one.audience.clone().unwrap_or_else(|| audience(config));
        let mut accepted = IssuerSettings::new(&one.issuer, &audience, keys);
        if let Some(claim) = &one.roles_claim {
            accepted.roles_claim.clone_from(claim);
        }
        settings.push(accepted);
    }
    let listen = config.server.listen;
    let mut bases = vec![format!("http://{listen}/fhir"), format!("https://{listen}/fhir")];
    bases.extend(config.server.public_url.iter().map(|url| format!("{url}/fhir")));
    Authenticator::new(settings, bases, clock::now())
        .map_err(|error| crate::config::ConfigError(format!("auth: {error}")).into())
}

fn start_sealer(
    sealer: Sealer,
    stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, OpenError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| OpenError::Ledger(error.to_string()))?;
    std::thread::Builder::new()
        .name("sealer".to_owned())
        .spawn(move || runtime.block_on(sealer.run(stopped)))
        .map_err(|error| OpenError::Ledger(error.to_string()))
}

fn make_folder(folder: &Path) -> Result<(), OpenError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|error| OpenError::Folder(format!("{}: {error}", folder.display())))
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

/// How long idle data keys stay in memory between sweeps.
pub(crate) const KEY_SWEEP: Duration = Duration::from_secs(60);
const VERIFIED_MAX: u64 = 20_000;
