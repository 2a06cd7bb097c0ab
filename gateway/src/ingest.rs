//! The write path: every change of data goes through [`submit`].
//!
//! decode → permit → look up → prepare → COMMIT with ledger entries and access record → answer. Preparation
//! runs outside the write lock against a snapshot whose lookups the writer checks again; a mismatch prepares
//! again, a bounded number of times. A positive answer needs a [`Committed`], which only the commit makes.
//! Not here: decoding (`submission`), the answer's form (`http`, `mllp`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fhir::{Instant, ResourceId, ResourceKey, Template, VersionId, VersionKey};
use policy::Principal;
use registry::error::CommitError;
use registry::reading::{NoReply, Reply, Unread};
use registry::write_set::{Action, Committed, CommittedVersion, WriteSet};
use tokio::sync::MutexGuard;

use crate::access::{self, Access};
use crate::app::App;
use crate::decide::{Decision, next};
use crate::error::{Answered, Fault, FaultKind};
use crate::limits::{ANSWER_BYTES_MAX, PREPARE_ATTEMPTS_MAX, PREPARE_PAUSE_MS_MAX};
use crate::plan::Plan;
use crate::prepare::{Contents, Prepared, prepare};
use crate::snapshot::{Snapshot, Unchanged, at_version};
use crate::submission::{Submission, Verb};
use crate::telemetry::metrics::Interaction;
use crate::validation;
use crate::work;

/// What became of a submission.
pub struct Outcome {
    /// One for each operation, in the submission's order.
    pub entries: Vec<Written>,
    /// Proof of the commit; `None` when there was nothing to write.
    pub committed: Option<Committed>,
    /// What a transaction read, one for each of its reads.
    pub replies: Vec<Reply>,
    /// The first answer to the same (sender, control id), when this is a repetition; nothing else was done.
    pub repeated: Option<Vec<u8>>,
}

/// What became of one operation.
#[derive(Clone)]
pub struct Written {
    /// Whose resource; for a deletion that found nothing, `None`.
    pub key: Option<ResourceKey>,
    /// Current version after it.
    pub version: Option<VersionId>,
    /// When that version was made.
    pub updated: Option<Instant>,
    /// HTTP status.
    pub status: u16,
    content: Content,
}

/// Bytes of the version, made when asked for.
#[derive(Clone)]
enum Content {
    None,
    Template(Arc<Template>),
    Stored(Bytes),
}

impl Written {
    /// The version's bytes as stored; `None` after a deletion, for a read, and where they were left out of a large answer.
    pub fn body(&self) -> Option<Bytes> {
        match (&self.content, self.version, self.updated) {
            (Content::Template(template), Some(version), Some(updated)) => {
                Some(template.fill(version, updated).into())
            }
            (Content::Stored(bytes), ..) => Some(bytes.clone()),
            _ => None,
        }
    }

    /// The resource as it is stored.
    fn stored(unchanged: Unchanged) -> Self {
        let content = match unchanged.body.is_empty() {
            true => Content::None,
            false => Content::Stored(unchanged.body),
        };
        Self {
            key: Some(unchanged.key),
            version: Some(unchanged.version),
            updated: Some(unchanged.updated),
            status: 200,
            content,
        }
    }

    fn nothing(status: u16) -> Self {
        Self { key: None, version: None, updated: None, status, content: Content::None }
    }
}

/// Commits a submission on behalf of a caller, with the record of the access, before it answers.
///
/// # Errors
/// Any [`Fault`]; then nothing of the submission was written.
pub async fn submit(app: &App, submission: Submission, principal: &Principal) -> Answered<Outcome> {
    let access = access_of(&submission, principal);
    let written = write(app, submission, principal, &access).await;
    if let Err(fault) = &written {
        access::record(app, access.refused(fault.status())).await?;
    }
    written
}

/// What a write touches, for its access record.
pub(crate) struct Touched {
    /// Versions that it makes.
    pub(crate) versions: Vec<(ResourceKey, VersionId)>,
    /// Patients in whose compartments they are.
    pub(crate) patients: Vec<fhir::ResourceId>,
}

impl Touched {
    /// The writer makes exactly these versions, or finds the set stale.
    fn by(set: &WriteSet, patients: BTreeSet<ResourceId>) -> Self {
        let made = set.writes.iter().map(|write| (write.key.clone(), next(write.previous)));
        Self { versions: made.collect(), patients: patients.into_iter().collect() }
    }
}

async fn write(
    app: &App,
    submission: Submission,
    principal: &Principal,
    access: &Access,
) -> Answered<Outcome> {
    refuse_unsealed(app, &submission)?;
    let mut verbs = submission.operations.iter().map(|operation| &operation.verb);
    if !submission.reads.is_empty() && verbs.all(|verb| matches!(verb, Verb::Read(_))) {
        return read_only(app, &submission).await;
    }
    let submission = Arc::new(submission);
    let (planned, caller) = (Arc::clone(&submission), principal.clone());
    let plan = work::run(submission.is_long(), move || Plan::of(&planned, &caller)).await??;
    let plan = Arc::new(plan);
    let mut turn = None;
    for attempt in 0..PREPARE_ATTEMPTS_MAX {
        let snapshot = Arc::new(Snapshot::take(app, &plan, &submission, principal).await?);
        let (prepared, existing) = match ready(app, &submission, &plan, &snapshot).await {
            Ok(ready) => ready,
            Err(fault) if snapshot.still_holds(app).await? => return Err(fault),
            Err(_) => {
                again(app, attempt, &mut turn).await?;
                continue;
            }
        };
        let Prepared { mut set, made_keys, decisions, contents, patients } = prepared;
        let touched = Touched::by(&set, patients);
        // One lookup needs nobody to check it again; several are only known to hold together under the writer's lock.
        let alone = set.depends.len() <= 1 && set.reads.is_empty();
        let committed = if set.writes.is_empty() && set.idempotency.is_none() && alone {
            access::record(app, access.clone().touching(touched)).await?;
            None
        } else {
            set.access =
                Some(access::seal(app, access.clone().touching(touched), &made_keys).await?);
            match app.store.commit(set).await {
                Ok(committed) => Some(committed),
                Err(CommitError::Stale) => {
                    again(app, attempt, &mut turn).await?;
                    continue;
                }
                Err(CommitError::AlreadyAnswered(answer)) => return Ok(repeated(answer)),
                Err(CommitError::Unread(unread)) => return Err(unanswered(&submission, unread)),
                Err(error) => return Err(error.into()),
            }
        };
        app.payloads.keep(&made_keys);
        let mut committed = committed;
        let replies = committed
            .as_mut()
            .map_or_else(Vec::new, |committed| std::mem::take(&mut committed.replies));
        let versions = committed.as_ref().map_or(&[][..], |committed| &committed.versions);
        app.metrics.access_records.add(u64::from(committed.is_some()));
        app.metrics.versions_written.add(versions.len() as u64);
        let entries = entries(decisions, existing, &contents, versions);
        return Ok(Outcome { entries, committed, replies, repeated: None });
    }
    Err(CommitError::Stale.into())
}

/// Everything that may fail, before the commit: after it there is nothing but success.
async fn ready(
    app: &App,
    submission: &Arc<Submission>,
    plan: &Arc<Plan>,
    snapshot: &Arc<Snapshot>,
) -> Answered<(Prepared, Existing)> {
    let mut prepared = prepare(app, submission, plan, snapshot).await?;
    refuse_foreign_compartments(plan, &prepared)?;
    validation::enforce(app, submission, &prepared.contents).await?;
    let lost = losing(app, plan, &prepared.decisions).await?;
    prepared.patients.extend(lost);
    let unchanged = prepared.decisions.iter().flat_map(unchanged_patients).cloned();
    prepared.patients.extend(unchanged);
    let existing = existing(app, plan, &prepared.decisions).await?;
    let found = existing.values().flat_map(|found| found.patients.iter().cloned());
    prepared.patients.extend(found);
    Ok((prepared, existing))
}

/// Waits before the next preparation, as one of those that take turns, and looks at what may have changed.
async fn again<'a>(
    app: &'a App,
    attempt: u32,
    turn: &mut Option<MutexGuard<'a, ()>>,
) -> Answered<()> {
    app.metrics.prepared_again.add(1);
    if turn.is_none() {
        *turn = Some(app.turn.lock().await);
    }
    pause(attempt).await;
    app.payloads.forget_erased().await?;
    app.search_params.refresh(app).await?;
    Ok(())
}

/// Nothing is written that may not get its place in the log.
fn refuse_unsealed(app: &App, submission: &Submission) -> Answered<()> {
    let mut verbs = submission.operations.iter().map(|operation| &operation.verb);
    if app.ledger.refuses_writes() && verbs.any(|verb| !matches!(verb, Verb::Read(_))) {
        let text = "the ledger does not take entries now; /readyz?verbose says why";
        return Err(Fault::new(FaultKind::Unavailable, text));
    }
    Ok(())
}

/// What became of each operation, in their order.
fn entries(
    decisions: Vec<Decision>,
    mut existing: Existing,
    contents: &Contents,
    versions: &[CommittedVersion],
) -> Vec<Written> {
    let mut entries: Vec<Written> = Vec::with_capacity(decisions.len());
    for (at, decision) in decisions.into_iter().enumerate() {
        let written = match decision {
            Decision::Write { status, .. } => {
                let (place, template) = &contents[&at];
                let made = &versions[*place];
                let content = match status {
                    204 => Content::None,
                    _ => Content::Template(Arc::clone(template)),
                };
                Written {
                    key: Some(made.key.clone()),
                    version: Some(made.version),
                    updated: Some(made.updated),
                    status,
                    content,
                }
            }
            Decision::Exists(..) => {
                Written::stored(existing.remove(&at).expect("it was read before the commit"))
            }
            Decision::Unchanged(unchanged) => Written::stored(*unchanged),
            Decision::SameAs(first) => Written { status: 200, ..entries[first].clone() },
            Decision::Nothing => Written::nothing(204),
            Decision::Read => Written::nothing(200),
        };
        entries.push(written);
    }
    entries
}

/// Resources that stay as they are, by operation.
type Existing = HashMap<usize, Unchanged>;

/// Reads what conditional creates found, at the versions that the commit checks: each once, and beyond
/// [`ANSWER_BYTES_MAX`] without the content, which no answer has room for.
async fn existing(app: &App, plan: &Plan, decisions: &[Decision]) -> Answered<Existing> {
    let mut found: Existing = HashMap::new();
    let (mut read, mut left) = (HashMap::new(), ANSWER_BYTES_MAX);
    for (at, decision) in decisions.iter().enumerate() {
        let Decision::Exists(key, version) = decision else { continue };
        let version = VersionKey { key: key.clone(), version: *version };
        if let Some(first) = read.get(&version) {
            let same = found[first].clone();
            found.insert(at, same);
            continue;
        }
        let asked = plan.steps[at].condition.expect("only a conditional create finds a resource");
        let stored = at_version(app, &plan.asks[asked].permit, &version).await?;
        let mut body = app.payloads.open(&stored).await?;
        match left.checked_sub(body.len()) {
            Some(rest) => left = rest,
            None => body = Bytes::new(),
        }
        found.insert(at, Unchanged::of(app, stored, body));
        read.insert(version, at);
    }
    Ok(found)
}

fn unchanged_patients(decision: &Decision) -> &[ResourceId] {
    match decision {
        Decision::Unchanged(unchanged) => &unchanged.patients,
        _ => &[],
    }
}

/// Patients who lose a resource: its tombstone is in nobody's compartment, the access concerns them all the same.
async fn losing(app: &App, plan: &Plan, decisions: &[Decision]) -> Answered<Vec<ResourceId>> {
    let mut patients = Vec::new();
    for (step, decision) in plan.steps.iter().zip(decisions) {
        let Decision::Write { key, action: Action::Delete, .. } = decision else { continue };
        let Some(stored) = app.store.read(&step.permit, key).await? else { continue };
        app.payloads.fetch(std::slice::from_ref(&stored)).await?;
        patients.extend(app.payloads.patients(&stored));
    }
    Ok(patients)
}

/// A write must stay within the compartments that the caller may write to.
fn refuse_foreign_compartments(plan: &Plan, prepared: &Prepared) -> Answered<()> {
    for (operation, (place, _)) in &prepared.contents {
        let write = &prepared.set.writes[*place];
        let deletes = write.action == Action::Delete;
        if !deletes && !plan.steps[*operation].permit.admits_write(&write.patients) {
            let text = "the resource would not be in a compartment that this caller may write to";
            return Err(Fault::new(FaultKind::Forbidden, text));
        }
    }
    Ok(())
}

/// A read of the transaction failed, and with it the transaction; named by its entry.
fn unanswered(submission: &Submission, unread: Unread) -> Fault {
    let fault = fault_of_read(unread.cause);
    let is_read = |at: &usize| matches!(submission.operations[*at].verb, Verb::Read(_));
    match (0..submission.operations.len()).filter(is_read).nth(unread.at) {
        Some(at) => submission.placed(at, fault),
        None => fault,
    }
}

/// What a read without an answer is refused with.
pub(crate) fn fault_of_read(cause: NoReply) -> Fault {
    match cause {
        NoReply::Absent => Fault::not_found(),
        NoReply::Deleted => Fault::new(FaultKind::Deleted, "the resource has been deleted"),
        NoReply::Failed(error) => error.into(),
    }
}

/// A transaction that reads only: one snapshot, and no writer waits.
async fn read_only(app: &App, submission: &Submission) -> Answered<Outcome> {
    let replies = app.store.read_together(submission.reads.clone()).await?;
    let replies = replies.map_err(|unread| unanswered(submission, unread))?;
    let entries = vec![Written::nothing(200); submission.operations.len()];
    Ok(Outcome { entries, committed: None, replies, repeated: None })
}

fn repeated(answer: Vec<u8>) -> Outcome {
    Outcome { entries: Vec::new(), committed: None, replies: Vec::new(), repeated: Some(answer) }
}

fn access_of(submission: &Submission, principal: &Principal) -> Access {
    let interaction = match (submission.is_bundle, submission.operations.first()) {
        (true, _) | (_, None) => Interaction::Bundle,
        (false, Some(operation)) => match &operation.verb {
            Verb::Create { .. } => Interaction::Create,
            Verb::Update { .. } | Verb::UpdateWhere { .. } => Interaction::Update,
            Verb::Patch { .. } | Verb::PatchWhere { .. } => Interaction::Patch,
            Verb::Delete { .. } | Verb::DeleteWhere { .. } => Interaction::Delete,
            Verb::Read(_) => Interaction::Read,
        },
    };
    let access = Access::of(principal, interaction, &submission.request_id);
    match submission.operations.first().map(|operation| &operation.verb) {
        Some(Verb::Update { key, .. } | Verb::Patch { key, .. } | Verb::Delete { key, .. })
            if !submission.is_bundle =>
        {
            access.on(key.clone())
        }
        Some(
            Verb::Create { resource_type, .. }
            | Verb::UpdateWhere { resource_type, .. }
            | Verb::PatchWhere { resource_type, .. }
            | Verb::DeleteWhere { resource_type, .. },
        ) if !submission.is_bundle => access.of_type(*resource_type),
        _ => access,
    }
}

/// A short pause, longer with each attempt and different for each contender.
async fn pause(attempt: u32) {
    if attempt == 0 {
        return;
    }
    let mut noise = [0; 1];
    aws_lc_rs::rand::fill(&mut noise).expect("the system gives randomness");
    let limit_ms = (1_u64 << attempt.min(10)).min(PREPARE_PAUSE_MS_MAX);
    tokio::time::sleep(Duration::from_millis(u64::from(noise[0]) % (limit_ms + 1))).await;
}
