//! A private PostgreSQL cluster for the tests, and fresh databases in it.
//!
//! A shell keeps it and takes it down when this process has gone, however it went (`cluster.sh`).

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use registry::postgres::{PostgresOptions, PostgresStore};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::engines::ticking_clock;

/// A running cluster.
pub(crate) struct Cluster {
    folder: String,
    shell: Mutex<(Child, BufReader<ChildStdout>)>,
    databases: AtomicU32,
}

impl Cluster {
    /// The one that tests share; `None`, with a loud word, where PostgreSQL is not installed.
    pub(crate) fn shared() -> Option<&'static Self> {
        static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
        CLUSTER.get_or_init(Self::start).as_ref()
    }

    /// One of its own, for tests that hurt it.
    pub(crate) fn start() -> Option<Self> {
        let Some(bin) = programs() else {
            assert!(std::env::var_os("CI").is_none(), "CI needs PostgreSQL 15 or newer");
            eprintln!("SKIPPED on postgres: no /usr/lib/postgresql/*/bin with version 15 or newer");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cluster.sh");
        let mut shell = Command::new("sh")
            .arg(script)
            .arg(bin)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(shell.stdout.take().unwrap());
        let mut folder = String::new();
        lines.read_line(&mut folder).unwrap();
        let folder = folder.trim().to_owned();
        assert!(!folder.is_empty(), "the cluster did not start");
        Some(Self { folder, shell: Mutex::new((shell, lines)), databases: AtomicU32::new(0) })
    }

    /// Stops and starts the server, as an operator would.
    pub(crate) fn restart(&self) {
        let mut shell = self.shell.lock().unwrap();
        writeln!(shell.0.stdin.as_mut().unwrap(), "restart").unwrap();
        let mut line = String::new();
        shell.1.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "restarted");
    }

    /// Where a database is.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://sealway@localhost/{database}?host={}", self.folder)
    }

    /// A new empty database.
    pub(crate) async fn empty_database(&self) -> String {
        self.create_database("template0").await
    }

    /// A new database with the schema in it, copied from one that was made once.
    pub(crate) async fn database(&self) -> String {
        static TEMPLATE: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
        if !std::ptr::eq(Self::shared().unwrap(), self) {
            return self.empty_database().await;
        }
        let make = async || {
            let url = self.empty_database().await;
            drop(open(&url).await);
            url
        };
        let template = TEMPLATE.get_or_init(make).await;
        let name = template.split('?').next().unwrap().rsplit('/').next().unwrap();
        self.create_database(name).await
    }

    async fn create_database(&self, template: &str) -> String {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut conn = PgConnection::connect(&self.url("postgres")).await.unwrap();
        let create = format!("create database {name} template {template}");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        self.url(&name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let shell = &mut self.shell.get_mut().unwrap().0;
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }
}

/// Opens a store with few connections.
pub(crate) async fn open(url: &str) -> PostgresStore {
    PostgresStore::connect(options(url)).await.expect("the database opens")
}

/// Options of [`open`].
pub(crate) fn options(url: &str) -> PostgresOptions {
    let mut options = PostgresOptions::new(url, ticking_clock());
    options.min_connections = 0;
    options.max_connections = 4;
    options
}

/// Folder of the newest installed server programs.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let version = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|version| *version >= 15)
        .max()?;
    Some(PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")))
}
