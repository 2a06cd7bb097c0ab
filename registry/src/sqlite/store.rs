//! [`SqliteStore`]: the [`Store`] over the writer and the readers.

use std::sync::Arc;
use std::thread::JoinHandle;

use fhir::{FullText, ResourceKey, ResourceType, VersionKey};
use futures::FutureExt;
use futures::future::BoxFuture;
use policy::Permit;
use rusqlite::Connection;
use tokio::sync::Notify;

use super::fail_stop::{self, DiskState};
use super::marks::{check_search_table, expect_search_table, index_key, stored_index_key};
use super::open::SqliteOptions;
use super::params as custom;
use super::reader::{Readers, snapshot};
use super::writer::Shared;
use super::{
    access_outbox, checkpoint, commit, compartment, history, migrate, read, reading, sealed,
    search, settle, writer,
};
use crate::check::Checks;
use crate::cost::Cost;
use crate::erasure::Erasures;
use crate::error::{CommitError, OpenError, ReadError};
use crate::hash::IndexKey;
use crate::job::{self, Job};
use crate::outbox::{AccessRow, OutboxRow, SealedRange};
use crate::page::{
    CompartmentPage, CompartmentQuery, HistoryPage, HistoryQuery, Page, StoredVersion,
};
use crate::params::{Activation, ParamTable, ReindexPage, ReindexStep};
use crate::queue::Queue;
use crate::reading::{Asked, Reply, Unread};
use crate::search::{Explanation, Matches, Memory, SearchQuery, Unsorted};
use crate::store::Store;
use crate::upkeep::Upkeep;
use crate::write_set::{Committed, Match, MatchOutcome, WrappedKey, WriteSet};

/// An open SQLite registry. Dropping it waits for the writer and checkpoints the log.
pub struct SqliteStore {
    pub(super) index_key: IndexKey,
    full_text: FullText,
    memory: Arc<Memory>,
    outbox: Arc<Notify>,
    readers: Option<Readers>,
    queue: Queue,
    threads: Vec<JoinHandle<()>>,
    disk: &'static DiskState,
}

impl SqliteStore {
    /// Opens or creates the database and brings its schema up to date. Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`OpenError::UnknownSchema`] for a database of a newer release, [`OpenError::Unavailable`]
    /// when the disk does not keep what it shows, [`OpenError::NoDatabase`] for none where one is to be indexed anew.
    pub fn open(mut options: SqliteOptions) -> Result<Self, OpenError> {
        let (vfs, disk) = fail_stop::register(options.vfs.as_deref())?;
        options.vfs = Some(vfs);
        settle::settle_log(&options)?;
        if options.rebuilds {
            migrate::expect_begun(&options.plain()?)?;
        }
        let mut conn = options.writer()?;
        migrate::migrate(&mut conn)?;
        let index_key = index_key(&conn)?;
        if !options.rebuilds {
            check_search_table(&conn, options.full_text)?;
        }
        settle::settle_names(&options)?;
        let outbox = Arc::new(Notify::new());
        let full_text = options.full_text;
        let readers = Readers::start(&options)?;
        let (checkpoints, checkpointer) = checkpoint::start(&options, disk)?;
        let shared = Shared {
            options,
            index_key: index_key.clone(),
            outbox: Arc::clone(&outbox),
            checkpoints,
            disk,
        };
        let (queue, jobs) = Queue::new();
        let writer = std::thread::Builder::new()
            .name("registry-writer".into())
            .spawn(move || writer::run(conn, jobs, &shared))
            .map_err(|error| OpenError::Unavailable(error.to_string()))?;
        Ok(Self {
            index_key,
            full_text,
            memory: Arc::new(Memory::new()),
            outbox,
            readers: Some(readers),
            queue,
            threads: vec![writer, checkpointer],
            disk,
        })
    }

    /// Opens a database to be looked at as it is: nothing is made or brought up to date, and writes are refused.
    /// Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`OpenError::OlderSchema`] where [`SqliteStore::open`] would change the schema; otherwise as there.
    pub fn open_to_check(options: &SqliteOptions) -> Result<Self, OpenError> {
        let (options, disk) = settle::for_checking(options)?;
        let conn = options.plain()?;
        migrate::expect_current(&conn)?;
        let index_key = stored_index_key(&conn)?;
        expect_search_table(&conn, options.full_text)?;
        let readers = Some(Readers::start(&options)?);
        let (outbox, threads) = (Arc::new(Notify::new()), Vec::new());
        let (full_text, memory) = (options.full_text, Arc::new(Memory::new()));
        let queue = Queue::refusing();
        Ok(Self { index_key, full_text, memory, outbox, readers, queue, threads, disk })
    }

    pub(super) fn read_with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ReadError>> {
        self.search_with(Cost::Point, read)
    }

    pub(super) fn search_with<T: Send + 'static>(
        &self,
        cost: Cost,
        read: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ReadError>> {
        self.readers.as_ref().expect("readers live until the store is dropped").run(cost, read)
    }

    /// A job that the queue has no name for.
    fn write_with<T: Send + 'static>(
        &self,
        job: impl FnOnce(job::Reply<T>) -> Job,
    ) -> BoxFuture<'static, Result<T, CommitError>> {
        self.queue.send(job)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        drop(self.readers.take());
        self.queue.close();
        for thread in self.threads.drain(..) {
            // A thread that panicked has reported it; there is nothing left to do.
            let _ = thread.join();
        }
    }
}

impl Store for SqliteStore {
    fn commit(&self, set: WriteSet) -> BoxFuture<'_, Result<Committed, CommitError>> {
        self.queue.commit(set)
    }

    fn index_key(&self) -> &IndexKey {
        &self.index_key
    }

    fn full_text(&self) -> FullText {
        self.full_text
    }

    fn outbox_changed(&self) -> BoxFuture<'_, ()> {
        self.outbox.notified().boxed()
    }

    fn read<'a>(
        &'a self,
        permit: &'a Permit,
        key: &'a ResourceKey,
    ) -> BoxFuture<'a, Result<Option<StoredVersion>, ReadError>> {
        let (index_key, permit, key) = (self.index_key.clone(), permit.clone(), key.clone());
        self.read_with(move |conn| {
            snapshot(conn, |conn| read::read(conn, &index_key, &permit, &key))
        })
    }

    fn vread<'a>(
        &'a self,
        permit: &'a Permit,
        key: &'a VersionKey,
    ) -> BoxFuture<'a, Result<Option<StoredVersion>, ReadError>> {
        let (index_key, permit, key) = (self.index_key.clone(), permit.clone(), key.clone());
        self.read_with(move |conn| {
            snapshot(conn, |conn| read::vread(conn, &index_key, &permit, &key))
        })
    }

    fn history<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a HistoryQuery,
    ) -> BoxFuture<'a, Result<HistoryPage, ReadError>> {
        let (index_key, permit, query) = (self.index_key.clone(), permit.clone(), query.clone());
        self.search_with(Cost::Search, move |conn| {
            snapshot(conn, |conn| history::history(conn, &index_key, &permit, &query))
        })
    }

    fn compartment<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a CompartmentQuery,
    ) -> BoxFuture<'a, Result<CompartmentPage, ReadError>> {
        let (index_key, permit, query) = (self.index_key.clone(), permit.clone(), query.clone());
        self.search_with(Cost::Search, move |conn| {
            snapshot(conn, |conn| compartment::compartment(conn, &index_key, &permit, &query))
        })
    }

    fn search<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a SearchQuery,
    ) -> BoxFuture<'a, Result<Page, ReadError>> {
        let (index_key, permit, query) = (self.index_key.clone(), permit.clone(), query.clone());
        let (cost, memory) = (Cost::of_search(&query), Arc::clone(&self.memory));
        self.search_with(cost, move |conn| {
            snapshot(conn, |conn| search::search_with(&memory, conn, &index_key, &permit, &query))
        })
    }

    fn unsorted<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a SearchQuery,
    ) -> BoxFuture<'a, Result<Unsorted, ReadError>> {
        let (index_key, permit, query) = (self.index_key.clone(), permit.clone(), query.clone());
        self.search_with(Cost::of_search(&query), move |conn| {
            snapshot(conn, |conn| search::unsorted(conn, &index_key, &permit, &query))
        })
    }

    fn page_of<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a SearchQuery,
        matches: Matches,
    ) -> BoxFuture<'a, Result<Page, ReadError>> {
        let (index_key, permit, query) = (self.index_key.clone(), permit.clone(), query.clone());
        self.search_with(Cost::Search, move |conn| {
            snapshot(conn, |conn| search::page_of(conn, &index_key, &permit, &query, &matches))
        })
    }

    fn newest_change<'a>(
        &'a self,
        types: &'a [ResourceType],
    ) -> BoxFuture<'a, Result<u64, ReadError>> {
        let types = types.to_vec();
        self.read_with(move |conn| Ok(read::newest_change(conn, &types)?))
    }

    fn read_together(
        &self,
        asked: Vec<Asked>,
    ) -> BoxFuture<'_, Result<Result<Vec<Reply>, Unread>, ReadError>> {
        let index_key = self.index_key.clone();
        let cost = Cost::of_asked(&asked);
        self.search_with(cost, move |conn| {
            snapshot(conn, |conn| Ok(reading::reply_all(conn, &index_key, &asked)))
        })
    }

    fn explain<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a SearchQuery,
    ) -> BoxFuture<'a, Result<Explanation, ReadError>> {
        let (index_key, permit, query) = (self.index_key.clone(), permit.clone(), query.clone());
        let cost = Cost::of_search(&query);
        self.search_with(cost, move |conn| {
            snapshot(conn, |conn| search::explain(conn, &index_key, &permit, &query))
        })
    }

    fn resolve<'a>(
        &'a self,
        permit: &'a Permit,
        matches: &'a [Match],
    ) -> BoxFuture<'a, Result<Vec<MatchOutcome>, ReadError>> {
        let (index_key, permit) = (self.index_key.clone(), permit.clone());
        let matches = matches.to_vec();
        let cost = Cost::of_matches(&matches);
        self.search_with(cost, move |conn| {
            snapshot(conn, |conn| read::resolve(conn, &index_key, &permit, &matches))
        })
    }

    fn first_answer<'a>(
        &'a self,
        sender: &'a str,
        control_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ReadError>> {
        let (sender, control_id) = (sender.to_owned(), control_id.to_owned());
        self.read_with(move |conn| Ok(commit::first_answer(conn, &sender, &control_id)?))
    }

    fn data_keys<'a>(
        &'a self,
        key_ids: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>, ReadError>> {
        let key_ids = key_ids.to_vec();
        self.read_with(move |conn| Ok(read::data_keys(conn, &key_ids)?))
    }

    fn compartment_keys<'a>(
        &'a self,
        compartments: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>, ReadError>> {
        let compartments = compartments.to_vec();
        self.read_with(move |conn| Ok(read::compartment_keys(conn, &compartments)?))
    }

    fn outbox(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<OutboxRow>, ReadError>> {
        self.read_with(move |conn| Ok(sealed::outbox(conn, after, limit)?))
    }

    fn mark_sealed(&self, ranges: Vec<SealedRange>) -> BoxFuture<'_, Result<(), CommitError>> {
        self.queue.mark_sealed(ranges)
    }

    fn access_outbox(&self, limit: usize) -> BoxFuture<'_, Result<Vec<AccessRow>, ReadError>> {
        self.read_with(move |conn| Ok(access_outbox::waiting(conn, 0, limit)?))
    }

    fn clear_accesses(&self, access_ids: Vec<u64>) -> BoxFuture<'_, Result<(), CommitError>> {
        self.queue.clear_accesses(access_ids)
    }

    fn log_index<'a>(
        &'a self,
        key: &'a VersionKey,
    ) -> BoxFuture<'a, Result<Option<u64>, ReadError>> {
        let (index_key, key) = (self.index_key.clone(), key.clone());
        self.read_with(move |conn| read::log_index(conn, &index_key, &key))
    }

    fn sealed_size(&self) -> BoxFuture<'_, Result<u64, ReadError>> {
        self.read_with(|conn| Ok(sealed::sealed_size(conn)?))
    }

    fn setting<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, ReadError>> {
        let name = name.to_owned();
        self.read_with(move |conn| Ok(sealed::setting(conn, &name)?))
    }

    fn set_setting<'a>(
        &'a self,
        name: &'a str,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        self.queue.set_setting(name, value)
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), ReadError>> {
        self.queue.ping()
    }

    fn stopped(&self) -> Option<String> {
        self.disk.stopped()
    }

    fn params(&self) -> BoxFuture<'_, Result<ParamTable, ReadError>> {
        self.read_with(|conn| snapshot(conn, custom::table))
    }

    fn activate(&self, activation: Activation) -> BoxFuture<'_, Result<(), CommitError>> {
        self.queue.activate(activation)
    }

    fn reindex_page(
        &self,
        of: ResourceType,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'_, Result<ReindexPage, ReadError>> {
        self.search_with(Cost::Search, move |conn| {
            snapshot(conn, |conn| custom::page(conn, of, after, limit))
        })
    }

    fn rebuild(&self) -> BoxFuture<'_, Result<(), CommitError>> {
        self.write_with(Job::Rebuild)
    }

    fn reindex(&self, step: ReindexStep) -> BoxFuture<'_, Result<(), CommitError>> {
        self.queue.reindex(step)
    }

    fn upkeep(&self) -> &dyn Upkeep {
        self
    }

    fn expire_answers(&self, before_us: i64) -> BoxFuture<'_, Result<(), CommitError>> {
        self.queue.send(|reply| Job::Expire(before_us, reply))
    }

    fn erasures(&self) -> &dyn Erasures {
        self
    }

    fn checks(&self) -> &dyn Checks {
        self
    }

    fn scan_versions(
        &self,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredVersion>, ReadError>> {
        self.search_with(Cost::Search, move |conn| {
            snapshot(conn, |conn| read::scan_versions(conn, after, limit))
        })
    }
}
