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
use crate::error::{Answered, Fault, FaultKind};
use crate::plan::Plan;
use crate::submission::Submission;

/// Contents of what updates would replace, by operation: an update that changes nothing makes no version.
///
/// # Errors
/// 503 when they cannot be read; 413 for patches of more than [`BEFORE_BYTES_MAX`] together.
pub(crate) async fn contents_before(
    app: &App,
    submission: &Submission,
    plan: &Plan,
    decisions: &[Decision],
) -> Answered<HashMap<usize, Unchanged>> {
    let is_patch = |at: usize| submission.operations[at].verb.patch().is_some();
    let mut wanted = Vec::new();
    for (at, decision) in decisions.iter().enumerate() {
        if let Decision::Write {
            key,
            previous: Some(version),
            action: Action::Update,
            status: 200,
        } = decision
        {
            let version = VersionKey { key: key.clone(), version: *version };
            wanted.push((at, version));
        }
    }
    // What is patched comes first: a patch cannot do without it.
    wanted.sort_by_key(|(at, _)| !is_patch(*at));
    let reads = wanted
        .into_iter()
        .map(|(at, version)| content_before(app, &plan.steps[at].permit, at, version).boxed());
    let mut reads = futures::stream::iter(reads).buffered(READS_PARALLEL_MAX);
    let (mut found, mut left) = (HashMap::new(), BEFORE_BYTES_MAX);
    while let Some(read) = reads.try_next().await? {
        let Some((at, before)) = read else { continue };
        match left.checked_sub(before.body.len()) {
            Some(rest) => {
                left = rest;
                found.insert(at, before);
            }
            None if is_patch(at) => return Err(submission.placed(at, too_large())),
            // Beyond the budget an update makes a version, changed or not.
            None => left = 0,
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

fn too_large() -> Fault {
    let text =
        "the resources that are patched together hold more than 64 MiB; send the patches in parts";
    Fault::new(FaultKind::TooLarge, text)
}

const READS_PARALLEL_MAX: usize = 16;
/// Contents that one preparation keeps to compare updates with, in bytes.
const BEFORE_BYTES_MAX: usize = 64 * 1024 * 1024;
