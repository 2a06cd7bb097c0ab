//! The jobs that make index rows of what was written before its search parameters changed.
//!
//! The gateway that seals the database runs them, a page at a time: resources are opened, all their rows derived anew
//! and compared with those that are stored; what differs is written together with the progress, in one transaction. A
//! resource that was written meanwhile has its rows already. After a crash the job goes on where it stood.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fhir::{Node, SearchParams, Tree};
use registry::error::CommitError;
use registry::hash::IndexKey;
use registry::index::index_rows_with;
use registry::page::StoredVersion;
use registry::params::{ReindexJob, ReindexStep, Reindexed};
use registry::store::Store;

use super::Loaded;
use crate::app::App;
use crate::error::{Answered, FaultKind};
use crate::http::hosts::Hosts;
use crate::payload::Payloads;
use crate::work;

/// Runs jobs until the application goes.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        let pause = match round(&app).await {
            Ok(true) => continue,
            Ok(false) => IDLE,
            Err(fault) => {
                tracing::warn!(cause = %fault, "the search index is not brought up to date now");
                FAILED_PAUSE
            }
        };
        tokio::select! {
            () = app.search_params.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One step of one job; false when there is nothing to do here.
async fn round(app: &App) -> Answered<bool> {
    if !app.store.is_sequencer() {
        return Ok(false);
    }
    let table = app.store.params().await?;
    if table.jobs.is_empty() && table.newest == table.applied {
        return Ok(false);
    }
    let loaded = app.search_params.refresh(app).await?;
    let Some(job) = loaded.table.jobs.first().copied() else { return Ok(false) };
    let source = Source { store: &*app.store, payloads: &app.payloads, hosts: &app.hosts };
    let step = source.step(&loaded, loaded.change, job).await?;
    match app.store.reindex(step).await {
        Ok(()) | Err(CommitError::Stale) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Where resources are read from.
pub(crate) struct Source<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) payloads: &'a Payloads,
    pub(crate) hosts: &'a Hosts,
}

impl Source<'_> {
    /// The next step of a job. `change` is the newest change of the SearchParameters.
    pub(crate) async fn step(
        &self,
        loaded: &Loaded,
        change: u64,
        job: ReindexJob,
    ) -> Answered<ReindexStep> {
        let page = self.store.reindex_page(job.of, job.after, RESOURCES_A_STEP).await?;
        let to = (page.resources.len() == RESOURCES_A_STEP)
            .then(|| page.resources.last().map(|(rid, _)| *rid));
        let seen = page.resources.len() as u64;
        let versions: Vec<StoredVersion> =
            page.resources.into_iter().map(|(_, stored)| stored).collect();
        let mut open = Vec::with_capacity(versions.len());
        for stored in versions {
            match self.payloads.open(&stored).await {
                Ok(body) => open.push((stored, body)),
                // Erased, or damaged, which is told where it is read.
                Err(fault) if matches!(fault.kind, FaultKind::Deleted | FaultKind::Internal) => {
                    let of = stored.key.resource_type.name();
                    tracing::warn!(resource.type = of, "a content does not open and gets no rows");
                }
                Err(fault) => return Err(fault),
            }
        }
        let (set, key, hosts) =
            (Arc::clone(&loaded.set), self.store.index_key().clone(), self.hosts.clone());
        let resources = work::run(true, move || {
            let rows = work::each(&open, |(stored, body)| rows(stored, body, &set, &key, &hosts));
            rows.into_iter().flatten().collect()
        })
        .await?;
        let (of, from) = (job.of, job.after);
        Ok(ReindexStep { of, from, to: to.flatten(), change, seen, resources })
    }
}

fn rows(
    stored: &StoredVersion,
    body: &Bytes,
    set: &SearchParams,
    key: &IndexKey,
    hosts: &Hosts,
) -> Option<Reindexed> {
    let tree = Tree::parse(body.to_vec()).ok()?;
    let (node, of) = (tree.root(), stored.key.resource_type);
    let rows = index_rows_with(node, of, &own_bases(node, hosts), key, set);
    Some(Reindexed { key: stored.key.clone(), version: stored.version, rows })
}

/// The base URLs of this gateway's that references in a content begin with; it is not recorded which one a client used.
fn own_bases(node: Node<'_>, hosts: &Hosts) -> String {
    let mut bases = HashSet::new();
    crate::fsck::bases_in(node, &mut bases);
    let mut own: Vec<String> = bases
        .into_iter()
        .filter(|base| {
            let authority = base.split("://").nth(1).and_then(|rest| rest.split('/').next());
            hosts.accepts(authority)
        })
        .collect();
    own.sort();
    own.join(" ")
}

/// Resources of one transaction: a write that comes meanwhile waits for some tens of milliseconds at most.
const RESOURCES_A_STEP: usize = 100;
/// Pause when there is nothing to do.
const IDLE: Duration = Duration::from_secs(1);
/// Pause after a failure.
const FAILED_PAUSE: Duration = Duration::from_secs(5);
