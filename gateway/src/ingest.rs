//! The write path: every change of data goes through [`submit`].
//!
//! decode → permit → look up → prepare → COMMIT with ledger entries and access record → answer. Preparation
//! runs outside the write lock against a snapshot whose lookups the writer checks again; a mismatch prepares
//! again, a bounded number of times. A positive answer needs a [`Committed`], which only the commit makes.
//! Not here: decoding (`submission`), what becomes of each operation (`decide`), what it made (`outcome`), whom it
//! touches (`touched`).
//!
//! [`Committed`]: registry::write_set::Committed

mod outcome;
mod touched;

use std::sync::Arc;
use std::time::Duration;

use policy::Principal;
use registry::error::CommitError;
use registry::reading::{NoReply, Unread};
use registry::write_set::Action;
use tokio::sync::MutexGuard;

use self::outcome::{Existing, entries, existing};
pub use self::outcome::{Outcome, Written};
pub(crate) use self::touched::Touched;
use self::touched::{access_of, losing, unchanged_patients};
use crate::access::{self, Access};
use crate::app::App;
use crate::error::{Answered, Fault, FaultKind};
use crate::limits::{PREPARE_ATTEMPTS_MAX, PREPARE_PAUSE_MS_MAX};
use crate::plan::Plan;
use crate::prepare::{Prepared, prepare};
use crate::snapshot::Snapshot;
use crate::submission::{Submission, Verb};
use crate::validation;
use crate::work;

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
                Err(CommitError::AlreadyAnswered(answer)) => return Ok(Outcome::repeated(answer)),
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
