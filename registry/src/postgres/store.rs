//! [`PostgresStore`]: the [`Store`] over the writer and the readers.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fhir::{FullText, ResourceKey, ResourceType, VersionKey};
use futures::FutureExt;
use futures::future::BoxFuture;
use policy::Permit;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Notify;

use super::fence::{self, Fence};
use super::options::PostgresOptions;
use super::readers::{Readers, snapshot};
use super::{
    access_outbox, compartment, history, params, read, reading, sealed, searching, writer,
};
use crate::check::Checks;
use crate::cost::{Cost, READ_TIME_MAX, criteria_time};
use crate::erasure::Erasures;
use crate::error::{CommitError, OpenError, ReadError, SequencerError};
use crate::hash::IndexKey;
use crate::job::{self, Job};
use crate::outbox::{AccessRow, OutboxRow, SealedRange};
use crate::page::{
    CompartmentPage, CompartmentQuery, HistoryPage, HistoryQuery, Page, StoredVersion,
};
use crate::params::{Activation, ParamTable, ReindexPage, ReindexStep};
use crate::queue::Queue;
use crate::reading::{Asked, Reply, Unread};
use crate::search::{self, Explanation, Matches, Memory, SearchQuery, Unsorted};
use crate::store::Store;
use crate::upkeep::Upkeep;
use crate::write_set::{Committed, Match, MatchOutcome, WrappedKey, WriteSet};

/// A registry on PostgreSQL. Several, in several processes, may share one database. Dropping it waits for
/// the writer and closes all connections.
pub struct PostgresStore {
    index_key: IndexKey,
    full_text: FullText,
    outbox: Arc<Notify>,
    pub(super) readers: Readers,
    queue: Queue,
    writer: Option<JoinHandle<()>>,
    fence: Arc<Fence>,
    fence_session: PgConnectOptions,
    memory: Arc<Memory>,
}

impl PostgresStore {
    /// Connects, brings the schema up to date and starts the writer.
    ///
    /// # Errors
    /// [`OpenError::UnknownSchema`] for a database of a newer release.
    pub async fn connect(options: PostgresOptions) -> Result<Self, OpenError> {
        let readers = Readers::start(&options)?;
        let outbox = Arc::new(Notify::new());
        let fence = Arc::new(Fence::default());
        let fence_session = fence::session(options.migrator()?);
        let (queue, jobs) = Queue::new();
        let full_text = options.full_text;
        let (writer, opening) =
            writer::start(options, Arc::clone(&outbox), Arc::clone(&fence), jobs)?;
        let ended = |_| Err(OpenError::Unavailable("the writer has ended".into()));
        let index_key = opening.await.unwrap_or_else(ended)?;
        let writer = Some(writer);
        let memory = Arc::new(Memory::new());
        Ok(Self {
            index_key,
            full_text,
            outbox,
            readers,
            queue,
            writer,
            fence,
            fence_session,
            memory,
        })
    }

    /// Connects to a database to be looked at as it is: its schema stays. Whoever asks for it writes nothing.
    ///
    /// # Errors
    /// [`OpenError::OlderSchema`] where [`PostgresStore::connect`] would change the schema; otherwise as there.
    pub async fn connect_to_check(options: PostgresOptions) -> Result<Self, OpenError> {
        Self::connect(PostgresOptions { migrates: false, ..options }).await
    }

    /// A job that the queue has no name for.
    fn write_with<T: Send + 'static>(
        &self,
        job: impl FnOnce(job::Reply<T>) -> Job,
    ) -> BoxFuture<'static, Result<T, CommitError>> {
        self.queue.send(job)
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // A thread that panicked has reported it; there is nothing left to do.
            let _ = writer.join();
        }
    }
}

impl Store for PostgresStore {
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
        let pause = {
            let _entered = self.readers.handle().enter();
            tokio::time::sleep(OTHERS_PAUSE)
        };
        async move {
            tokio::select! {
                () = self.outbox.notified() => {}
                () = pause => {}
            }
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        permit: &'a Permit,
        key: &'a ResourceKey,
    ) -> BoxFuture<'a, Result<Option<StoredVersion>, ReadError>> {
        let asked = Arc::new((self.index_key.clone(), permit.clone(), key.clone()));
        self.readers.run(move |conn| {
            let asked = Arc::clone(&asked);
            async move { read::read(conn, &asked.0, &asked.1, &asked.2).await }.boxed()
        })
    }

    fn vread<'a>(
        &'a self,
        permit: &'a Permit,
        key: &'a VersionKey,
    ) -> BoxFuture<'a, Result<Option<StoredVersion>, ReadError>> {
        let asked = Arc::new((self.index_key.clone(), permit.clone(), key.clone()));
        self.readers.run(move |conn| {
            let asked = Arc::clone(&asked);
            async move { read::vread(conn, &asked.0, &asked.1, &asked.2).await }.boxed()
        })
    }

    fn history<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a HistoryQuery,
    ) -> BoxFuture<'a, Result<HistoryPage, ReadError>> {
        let asked = Arc::new((self.index_key.clone(), permit.clone(), query.clone()));
        self.readers.run_as(Cost::Search, READ_TIME_MAX, move |conn| {
            let asked = Arc::clone(&asked);
            async move {
                snapshot(conn, async |conn| {
                    history::history(conn, &asked.0, &asked.1, &asked.2).await
                })
                .await
            }
            .boxed()
        })
    }

    fn compartment<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a CompartmentQuery,
    ) -> BoxFuture<'a, Result<CompartmentPage, ReadError>> {
        let asked = Arc::new((self.index_key.clone(), permit.clone(), query.clone()));
        self.readers.run_as(Cost::Search, READ_TIME_MAX, move |conn| {
            let asked = Arc::clone(&asked);
            async move {
                snapshot(conn, async |conn| {
                    compartment::compartment(conn, &asked.0, &asked.1, &asked.2).await
                })
                .await
            }
            .boxed()
        })
    }

    fn search<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a SearchQuery,
    ) -> BoxFuture<'a, Result<Page, ReadError>> {
        let asked = (self.index_key.clone(), permit.clone(), query.clone());
        searching::search(&self.readers, &self.memory, asked)
    }

    fn unsorted<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a SearchQuery,
    ) -> BoxFuture<'a, Result<Unsorted, ReadError>> {
        let asked = (self.index_key.clone(), permit.clone(), query.clone());
        searching::unsorted(&self.readers, asked)
    }

    fn page_of<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a SearchQuery,
        matches: Matches,
    ) -> BoxFuture<'a, Result<Page, ReadError>> {
        let asked = (self.index_key.clone(), permit.clone(), query.clone());
        searching::page_of(&self.readers, asked, matches)
    }

    fn newest_change<'a>(
        &'a self,
        types: &'a [ResourceType],
    ) -> BoxFuture<'a, Result<u64, ReadError>> {
        let asked = Arc::new(types.to_vec());
        self.readers.run(move |conn| {
            let asked = Arc::clone(&asked);
            async move { read::newest_change(conn, &asked).await }.boxed()
        })
    }

    fn read_together(
        &self,
        asked: Vec<Asked>,
    ) -> BoxFuture<'_, Result<Result<Vec<Reply>, Unread>, ReadError>> {
        let cost = Cost::of_asked(&asked);
        let asked = Arc::new((self.index_key.clone(), asked));
        self.readers.run_as(cost, READ_TIME_MAX, move |conn| {
            let asked = Arc::clone(&asked);
            async move {
                snapshot(conn, async |conn| Ok(reading::reply_all(conn, &asked.0, &asked.1).await))
                    .await
            }
            .boxed()
        })
    }

    fn explain<'a>(
        &'a self,
        permit: &'a Permit,
        query: &'a SearchQuery,
    ) -> BoxFuture<'a, Result<Explanation, ReadError>> {
        let asked = Arc::new((self.index_key.clone(), permit.clone(), query.clone()));
        self.readers.run_as(Cost::of_search(query), READ_TIME_MAX, move |conn| {
            let asked = Arc::clone(&asked);
            async move {
                snapshot(conn, async |mut conn| {
                    search::explain(&asked.2, &asked.1, &asked.0, &mut conn).await
                })
                .await
            }
            .boxed()
        })
    }

    fn resolve<'a>(
        &'a self,
        permit: &'a Permit,
        matches: &'a [Match],
    ) -> BoxFuture<'a, Result<Vec<MatchOutcome>, ReadError>> {
        let cost = Cost::of_matches(matches);
        let time = if cost == Cost::Point { READ_TIME_MAX } else { criteria_time(matches) };
        let asked = Arc::new((self.index_key.clone(), permit.clone(), matches.to_vec()));
        let one_statement = !matches.iter().any(|asked| matches!(asked, Match::Query(..)));
        self.readers.run_as(cost, time, move |conn| {
            let asked = Arc::clone(&asked);
            async move {
                if one_statement {
                    return read::resolve(conn, &asked.0, &asked.1, &asked.2).await;
                }
                snapshot(conn, async |conn| read::resolve(conn, &asked.0, &asked.1, &asked.2).await)
                    .await
            }
            .boxed()
        })
    }

    fn first_answer<'a>(
        &'a self,
        sender: &'a str,
        control_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ReadError>> {
        let asked = Arc::new((sender.to_owned(), control_id.to_owned()));
        self.readers.run(move |conn| {
            let asked = Arc::clone(&asked);
            async move { read::first_answer(conn, &asked.0, &asked.1).await }.boxed()
        })
    }

    fn data_keys<'a>(
        &'a self,
        key_ids: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>, ReadError>> {
        let asked = Arc::new(key_ids.to_vec());
        self.readers.run(move |conn| {
            let asked = Arc::clone(&asked);
            async move { read::data_keys(conn, &asked).await }.boxed()
        })
    }

    fn compartment_keys<'a>(
        &'a self,
        compartments: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>, ReadError>> {
        let asked = Arc::new(compartments.to_vec());
        self.readers.run(move |conn| {
            let asked = Arc::clone(&asked);
            async move { read::compartment_keys(conn, &asked).await }.boxed()
        })
    }

    fn outbox(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<OutboxRow>, ReadError>> {
        self.readers.run(move |conn| sealed::outbox(conn, after, limit).boxed())
    }

    fn mark_sealed(&self, ranges: Vec<SealedRange>) -> BoxFuture<'_, Result<(), CommitError>> {
        self.queue.mark_sealed(ranges)
    }

    fn access_outbox(&self, limit: usize) -> BoxFuture<'_, Result<Vec<AccessRow>, ReadError>> {
        self.readers.run(move |conn| access_outbox::waiting(conn, 0, limit).boxed())
    }

    fn clear_accesses(&self, access_ids: Vec<u64>) -> BoxFuture<'_, Result<(), CommitError>> {
        self.queue.clear_accesses(access_ids)
    }

    fn log_index<'a>(
        &'a self,
        key: &'a VersionKey,
    ) -> BoxFuture<'a, Result<Option<u64>, ReadError>> {
        let asked = Arc::new((self.index_key.clone(), key.clone()));
        self.readers.run(move |conn| {
            let asked = Arc::clone(&asked);
            async move { read::log_index(conn, &asked.0, &asked.1).await }.boxed()
        })
    }

    fn sealed_size(&self) -> BoxFuture<'_, Result<u64, ReadError>> {
        self.readers.run(|conn| async move { Ok(sealed::sealed_size(conn).await?) }.boxed())
    }

    fn setting<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, ReadError>> {
        let asked = Arc::new(name.to_owned());
        self.readers.run(move |conn| {
            let asked = Arc::clone(&asked);
            async move { Ok(sealed::setting(conn, &asked).await?) }.boxed()
        })
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

    fn params(&self) -> BoxFuture<'_, Result<ParamTable, ReadError>> {
        self.readers.run(move |conn| {
            async move { snapshot(conn, async |conn| params::table(conn).await).await }.boxed()
        })
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
        self.readers.run_as(Cost::Search, READ_TIME_MAX, move |conn| {
            params::page(conn, of, after, limit).boxed()
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

    fn take_sequencer(&self) -> BoxFuture<'_, Result<(), SequencerError>> {
        self.fence.begin(&self.fence_session, self.readers.handle())
    }

    fn is_sequencer(&self) -> bool {
        self.fence.is_held()
    }

    fn sequencer_epoch(&self) -> BoxFuture<'_, Result<Option<u64>, ReadError>> {
        let fence = Arc::clone(&self.fence);
        self.readers.run(move |conn| {
            let fence = Arc::clone(&fence);
            async move { Ok(fence.current(conn).await?) }.boxed()
        })
    }

    fn scan_versions(
        &self,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredVersion>, ReadError>> {
        self.readers.run_as(Cost::Search, READ_TIME_MAX, move |conn| {
            read::scan_versions(conn, after, limit).boxed()
        })
    }
}

/// Commits of other processes are looked for this often.
const OTHERS_PAUSE: Duration = Duration::from_millis(500);
