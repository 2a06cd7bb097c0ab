//! Contents that updates would replace: an update that changes nothing makes no version.
//!
//! Not here: how contents are compared (`prepare`).

use std::collections::HashMap;

use fhir::VersionKey;
use futures::{FutureExt, StreamExt, TryStreamExt};
use policy::Permit;
use registry::write_set::Action;

use super::Unchanged;
use crate::app::App;
use crate::decide::Decision;
use crate::error::{Answered, FaultKind};
use crate::plan::Plan;

/// Contents of what updates would replace, by operation: an update that changes nothing makes no version.
///
/// # Errors
/// 503 when they cannot be read.
pub(crate) async fn contents_before(
    app: &App,
    plan: &Plan,
    decisions: &[Decision],
) -> Answered<HashMap<usize, Unchanged>> {
    let mut reads = Vec::new();
    for (at, decision) in decisions.iter().enumerate() {
        if let Decision::Write {
            key,
            previous: Some(version),
            action: Action::Update,
            status: 200,
        } = decision
        {
            let version = VersionKey { key: key.clone(), version: *version };
            reads.push(content_before(app, &plan.steps[at].permit, at, version).boxed());
        }
    }
    let mut reads = futures::stream::iter(reads).buffer_unordered(READS_PARALLEL_MAX);
    let (mut found, mut left) = (HashMap::new(), BEFORE_BYTES_MAX);
    while let Some(read) = reads.try_next().await? {
        let Some((at, before)) = read else { continue };
        // Beyond the budget an update makes a version, changed or not.
        if let Some(rest) = left.checked_sub(before.body.len()) {
            left = rest;
            found.insert(at, before);
        }
    }
    Ok(found)
}

async fn content_before(
    app: &App,
    permit: &Permit,
    at: usize,
    version: VersionKey,
) -> Answered<Option<(usize, Unchanged)>> {
    let stored = app.store.vread(permit, &version).await?;
    let Some(stored) = stored.filter(|stored| !stored.is_tombstone()) else { return Ok(None) };
    match app.payloads.open(&stored).await {
        Ok(body) => Ok(Some((at, Unchanged::of(app, stored, body)))),
        // Erased content can be replaced; it is equal to nothing.
        Err(fault) if fault.kind == FaultKind::Deleted => Ok(None),
        Err(fault) => Err(fault),
    }
}

const READS_PARALLEL_MAX: usize = 16;
/// Contents that one preparation keeps to compare updates with, in bytes.
const BEFORE_BYTES_MAX: usize = 64 * 1024 * 1024;
