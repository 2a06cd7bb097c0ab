//! How connections are opened: options, pragmas, one writer, few readers, caches under 64 MiB together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fhir::FullText;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::settle::{Durable, SystemFiles};
use crate::clock::Clock;

/// Where the database is and how large its parts are.
#[derive(Clone)]
pub struct SqliteOptions {
    /// Database file; created when absent, its folder must exist.
    pub path: PathBuf,
    /// Number of reader threads.
    pub readers: usize,
    /// Source of the time of commits.
    pub clock: Clock,
    /// Length of the write-ahead log from which on it is checkpointed.
    pub checkpoint_bytes: u64,
    /// Named SQLite VFS to go through, for tests of the file layer.
    pub vfs: Option<String>,
    /// The index is about to be made anew: rows of other rules are no reason to refuse the database.
    pub rebuilds: bool,
    /// What of resources is searched by words.
    pub full_text: FullText,
    /// What makes files durable beside SQLite; another one for tests of the file layer.
    pub durable: Arc<dyn Durable>,
    /// Closing leaves the log as it is, instead of bringing it into the database and deleting it.
    pub(super) keeps_log: bool,
}

impl SqliteOptions {
    /// Options for a database file, with [`READERS_DEFAULT`] readers.
    pub fn new(path: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            path: path.into(),
            readers: READERS_DEFAULT,
            clock,
            checkpoint_bytes: CHECKPOINT_BYTES_DEFAULT,
            vfs: None,
            rebuilds: false,
            full_text: FullText::All,
            durable: Arc::new(SystemFiles),
            keeps_log: false,
        }
    }

    /// Connection of the one writer; creates the file.
    pub(super) fn writer(&self) -> rusqlite::Result<Connection> {
        let conn = self.connect(true)?;
        conn.pragma_update(None, "page_size", PAGE_BYTES)?;
        conn.pragma_update(None, "journal_mode", "wal")?;
        conn.pragma_update(None, "synchronous", "full")?;
        conn.pragma_update(None, "secure_delete", true)?;
        conn.pragma_update(None, "wal_autocheckpoint", 0)?;
        conn.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
        conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        conn.pragma_update(None, "temp_store", "memory")?;
        Ok(conn)
    }

    /// Connection of one reader.
    pub(super) fn reader(&self) -> rusqlite::Result<Connection> {
        let conn = self.connect(false)?;
        conn.pragma_update(None, "query_only", true)?;
        let share = READER_CACHES_KIB / i64::try_from(self.readers.max(1)).unwrap_or(1);
        conn.pragma_update(None, "cache_size", -share)?;
        conn.pragma_update(None, "temp_store", "memory")?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        Ok(conn)
    }

    /// Connection of the checkpointer.
    pub(super) fn checkpointer(&self) -> rusqlite::Result<Connection> {
        let conn = self.connect(false)?;
        conn.pragma_update(None, "synchronous", "full")?;
        conn.pragma_update(None, "wal_autocheckpoint", 0)?;
        conn.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
        conn.pragma_update(None, "cache_size", -256)?;
        Ok(conn)
    }

    /// A connection without pragmas, to a database that exists.
    pub(super) fn plain(&self) -> rusqlite::Result<Connection> {
        self.connect(false)
    }

    fn connect(&self, create: bool) -> rusqlite::Result<Connection> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let conn = match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&self.path, flags, vfs.as_str())?,
            None => Connection::open_with_flags(&self.path, flags)?,
        };
        conn.busy_timeout(BUSY_TIMEOUT)?;
        // Plans do not depend on values, so a cached statement need not be planned anew when values are bound.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        crate::search::register(&conn)?;
        if self.keeps_log {
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        }
        Ok(conn)
    }
}

/// Reader threads unless told otherwise.
pub const READERS_DEFAULT: usize = 3;
/// Size of a database page.
pub(super) const PAGE_BYTES: i64 = 8192;
/// The write-ahead log is cut back to this size when it begins again.
const WAL_BYTES_KEPT: i64 = 64 << 20;
/// Long enough that hot pages are copied once for many commits.
const CHECKPOINT_BYTES_DEFAULT: u64 = 32 << 20;
const WRITER_CACHE_KIB: i64 = 28 << 10;
const READER_CACHES_KIB: i64 = 32 << 10;
const STATEMENTS_CACHED: usize = 128;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
