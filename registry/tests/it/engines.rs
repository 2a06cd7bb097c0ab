//! The engines that every behaviour is tested on, each with a fresh database.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use fhir::Instant;
use registry::sqlite::{Clock, SqliteOptions, SqliteStore};
use registry::store::Store;

use crate::cluster::{self, Cluster};

/// A fresh registry and what keeps it alive.
pub(crate) struct Site {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) engine: &'static str,
    _folder: Option<tempfile::TempDir>,
}

impl Site {
    /// A registry that is somewhere else.
    pub(crate) fn of(store: Arc<dyn Store>, engine: &'static str) -> Self {
        Self { store, engine, _folder: None }
    }
}

/// Runs a test on a fresh database of each engine, or of the one that `SEALWAY_ENGINE` names: long forms of both may so
/// run beside each other.
///
/// # Panics
/// When it names none: nothing would be asked.
pub(crate) fn on_each_engine(test: impl AsyncFn(&Site)) {
    let only = std::env::var("SEALWAY_ENGINE").ok();
    let is_asked = |engine: &str| only.as_deref().is_none_or(|only| only == engine);
    assert!(is_asked("sqlite") || is_asked("postgres"), "SEALWAY_ENGINE is sqlite or postgres");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts");
    let sqlite = is_asked("sqlite").then(sqlite);
    let postgres = if is_asked("postgres") { runtime.block_on(postgres()) } else { None };
    assert!(sqlite.is_some() || postgres.is_some(), "there is no PostgreSQL, so nothing was asked");
    for site in [sqlite, postgres].into_iter().flatten() {
        eprintln!("engine: {}", site.engine);
        runtime.block_on(test(&site));
    }
}

async fn postgres() -> Option<Site> {
    let url = Cluster::shared()?.database().await;
    let store = cluster::open(&url).await;
    Some(Site { store: Arc::new(store), engine: "postgres", _folder: None })
}

fn sqlite() -> Site {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open_sqlite(&folder.path().join("registry.db"));
    Site { store: Arc::new(store), engine: "sqlite", _folder: Some(folder) }
}

/// Opens a SQLite registry with a clock that ticks a microsecond a call.
pub(crate) fn open_sqlite(path: &std::path::Path) -> SqliteStore {
    SqliteStore::open(SqliteOptions::new(path, ticking_clock())).expect("the database opens")
}

/// A clock from 2026-01-01 on that ticks a microsecond a call.
pub(crate) fn ticking_clock() -> Clock {
    let now = AtomicI64::new(1_767_225_600_000_000);
    Arc::new(move || Instant::from_micros(now.fetch_add(1, Ordering::Relaxed)))
}
