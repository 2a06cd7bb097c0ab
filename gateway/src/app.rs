//! The application: every part opened in order, shared by HTTP, MLLP and the command line, closed in order.
//!
//! Open: folder → keys → registry → right to seal → tenant key → journal → log (with recovery) → sealer thread → auth.
//! Close: listeners first (their owners), then the sealer seals what is left, then the store goes.
//! Tests open it in a temporary folder and use it in process.
//! Not here: how its parts are configured (`stores`, `issuers`), sockets (`http::server`, `mllp`).

mod issuers;
mod keys;
mod pair;
mod stores;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use moka::sync::Cache;
use registry::access::{Journal, JournalError};
use registry::store::Store;
use registry::write_set::WriteSet;
use tokio::sync::watch;

use crate::access::mover::Mover;
use crate::auth::{Authenticator, DevIssuer};
use crate::config::Config;
use crate::erasure::Erasures;
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

pub use issuers::dev_issuer_file;
use issuers::{open_auth, start_dev_issuer};
pub(crate) use keys::{MISSING, fits, open_keyring, tenant_key};
pub(crate) use stores::{
    of_sequencer, open_objects, open_store, open_store_to_check, open_store_to_rebuild,
    sqlite_options,
};

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
    /// Erasures of patients.
    pub erasures: Erasures,
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
        let store = take_store(&config).await?;
        let keyring = open_keyring(&config, &*store).await?;
        let payloads = Payloads::new(keyring, open_objects(&config)?, Arc::clone(&store));
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
        // Not before log and database are known to belong together: what is refused leaves no key behind.
        begin_keys(&payloads, &*store).await?;
        pair::note(&data, &*store).await?;
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
            erasures: Erasures::default(),
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

/// The registry, with the right to seal, where the folder is its own.
async fn take_store(config: &Config) -> Result<Arc<dyn Store>, OpenError> {
    let store = open_store(config).await?;
    store.take_sequencer().await.map_err(of_sequencer)?;
    pair::expect(&config.data_dir, &*store).await?;
    Ok(store)
}

/// It is known which keys were erased, and the tenant's own exists before the first record needs it.
async fn begin_keys(payloads: &Payloads, store: &dyn Store) -> Result<(), OpenError> {
    let refused = |error: Fault| OpenError::Registry(error.to_string());
    payloads.forget_erased().await.map_err(refused)?;
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

/// Refuses what is missing where it is not to be made: the folder may be the wrong one.
///
/// # Errors
/// What `error` makes of the text.
pub(crate) fn expect_there(path: &Path, error: fn(String) -> OpenError) -> Result<(), OpenError> {
    match path.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(error(format!("{} is not there", path.display()))),
        Err(cause) => Err(error(format!("{}: {cause}", path.display()))),
    }
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

/// How long idle data keys stay in memory between sweeps.
pub(crate) const KEY_SWEEP: Duration = Duration::from_secs(60);
const VERIFIED_MAX: u64 = 20_000;
