//! How connections are opened: where to, how many, and what each session is told.
//!
//! Plans must not hang on the planner's statistics, so sessions are told to follow indexes in the order
//! that the statements name: no scans of whole tables, no reordering of joins, one plan a statement.
//! A pooler between must keep sessions apart (not pgbouncer's transaction mode).

use std::str::FromStr;
use std::time::Duration;

use fhir::FullText;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::clock::Clock;
use crate::cost::READ_TIME_MAX;
use crate::error::OpenError;

/// Where the database is and how it is used.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user@host/database?…`, with `sslmode` and `sslrootcert` as libpq has them.
    pub url: String,
    /// Connections that are kept open for reads.
    pub min_connections: u32,
    /// Connections for reads at most; the writer has one more.
    pub max_connections: u32,
    /// Longest time of a read, of all its statements together.
    pub read_timeout: Duration,
    /// Source of the time of commits.
    pub clock: Clock,
    /// The index is about to be made anew: rows of other rules are no reason to refuse the database.
    pub rebuilds: bool,
    /// What of resources is searched by words.
    pub full_text: FullText,
    /// The schema is brought up to date, instead of an older one being refused.
    pub(super) migrates: bool,
}

impl PostgresOptions {
    /// Options for a database with the usual numbers of connections.
    pub fn new(url: impl Into<String>, clock: Clock) -> Self {
        Self {
            url: url.into(),
            min_connections: MIN_CONNECTIONS_DEFAULT,
            max_connections: MAX_CONNECTIONS_DEFAULT,
            read_timeout: READ_TIME_MAX,
            clock,
            rebuilds: false,
            full_text: FullText::All,
            migrates: true,
        }
    }

    /// Options of a pool for reads of this many connections.
    pub(super) fn pool(&self, connections: usize) -> PgPoolOptions {
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        PgPoolOptions::new()
            .min_connections(self.min_connections.min(connections))
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
    }

    /// Session of a read.
    pub(super) fn reader(&self) -> Result<PgConnectOptions, OpenError> {
        // Reads are cancelled in time; this is for when that cannot be done.
        let timeout = (2 * self.read_timeout).as_millis().to_string();
        Ok(self.session()?.options([
            ("statement_timeout", timeout.as_str()),
            ("idle_in_transaction_session_timeout", "60000"),
        ]))
    }

    /// Session of the writer. One that hangs with the lock loses its connection, and so the lock.
    pub(super) fn writer(&self) -> Result<PgConnectOptions, OpenError> {
        Ok(self.session()?.options([
            ("lock_timeout", "10000"),
            ("statement_timeout", "60000"),
            ("idle_in_transaction_session_timeout", "10000"),
            ("enable_hashjoin", "off"),
        ]))
    }

    /// Session that brings the schema up to date, with the server's own settings.
    pub(super) fn migrator(&self) -> Result<PgConnectOptions, OpenError> {
        PgConnectOptions::from_str(&self.url)
            .map(|options| options.application_name("sealway"))
            .map_err(|error| OpenError::Unavailable(error.to_string()))
    }

    fn session(&self) -> Result<PgConnectOptions, OpenError> {
        Ok(self.migrator()?.statement_cache_capacity(STATEMENTS_CACHED).options([
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            ("enable_mergejoin", "off"),
            ("join_collapse_limit", "1"),
            ("from_collapse_limit", "1"),
            ("plan_cache_mode", "force_generic_plan"),
            ("jit", "off"),
            ("max_parallel_workers_per_gather", "0"),
        ]))
    }
}

/// Connections kept open for reads unless told otherwise.
const MIN_CONNECTIONS_DEFAULT: u32 = 2;
/// Connections for reads unless told otherwise.
const MAX_CONNECTIONS_DEFAULT: u32 = 10;
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const STATEMENTS_CACHED: usize = 256;
