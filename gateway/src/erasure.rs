//! Erasing patients (`$purge`): step by step, until the data key of the compartment is gone.
//!
//! The first step enters the erasure: its ledger entry and the record of who asked for it stand in the same commit as the
//! first payloads that go. Each step is one commit of bounded size; the last destroys the key. Whoever asks does the
//! first step (`begin`); one task does all others (`run`), also those that an earlier process left. Objects are removed
//! after the commit that erased what names them; a crash in between leaves orphans that nothing opens, for the sweep.
//! Not here: what is erased (`registry::erasure`), who may ask (`policy`), the request (`http::operation::purge`).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fhir::ResourceId;
use ledger::Kind;
use registry::erasure::{Erasable, Erasing, Erasure, NewErasure};
use registry::error::CommitError;
use registry::write_set::{AccessRecord, WriteSet};
use repository::ObjectName;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::access;
use crate::app::App;
use crate::clock;
use crate::error::{Answered, Fault, FaultKind};

/// Wakes the task that goes on with erasures, and those who wait for it.
#[derive(Default)]
pub struct Erasures {
    begun: Notify,
    stepped: Notify,
}

/// What the ledger's entry of an erasure commits to. The key's id is random and names nobody.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Body {
    /// When, in microseconds since 1970 UTC.
    #[serde(rename = "t")]
    pub(crate) at_us: i64,
    /// Id of the data key that is destroyed, 16 hexadecimal digits.
    #[serde(rename = "k")]
    pub(crate) key_id: String,
    /// Request id, as in the record of who asked.
    #[serde(rename = "x")]
    pub(crate) request_id: String,
}

/// Name of a key in a [`Body`].
pub(crate) fn key_name(key_id: u64) -> String {
    format!("{key_id:016x}")
}

/// Enters the erasure of a compartment and does its first step; the task goes on with it. False when the compartment
/// has no key, so that nothing of it is there to be erased.
///
/// # Errors
/// 503 when it cannot be done now; nothing was done then.
pub(crate) async fn begin(
    app: &App,
    patient: &ResourceId,
    access: AccessRecord,
    request_id: &str,
) -> Answered<bool> {
    for attempt in 0..BEGIN_ATTEMPTS_MAX {
        let compartment = format!("Patient/{patient}");
        let Some(key) = app.store.compartment_keys(&[compartment]).await?.into_iter().next() else {
            return Ok(false);
        };
        if unfinished(app, patient).await?.is_some() {
            app.erasures.begun.notify_one();
            return Ok(true);
        }
        let body = Body {
            at_us: clock::now_us(),
            key_id: key_name(key.key_id),
            request_id: request_id.to_owned(),
        };
        let body = serde_json::to_vec(&body).map_err(|_| unmade())?;
        let record = access::sealed(Kind::Erasure, app.payloads.tenant_key().await?, &body)?;
        let new = NewErasure { key_id: key.key_id, record };
        // Where others write all the time the task finds the moment for the end.
        let may_end = attempt == 0;
        let step = Step { patient, key_id: key.key_id, from: START, may_end };
        match step.take(app, Some((new, access.clone()))).await? {
            Taken::Stale => {}
            Taken::Ended => return Ok(true),
            Taken::Until(_) => {
                app.erasures.begun.notify_one();
                return Ok(true);
            }
        }
    }
    Err(CommitError::Stale.into())
}

/// The erasure of this compartment that has not ended.
pub(crate) async fn unfinished(app: &App, patient: &ResourceId) -> Answered<Option<Erasure>> {
    let all = all(app).await?;
    Ok(all.into_iter().find(|one| one.ended.is_none() && one.patient == *patient))
}

/// The last erasure of this compartment.
pub(crate) async fn last(app: &App, patient: &ResourceId) -> Answered<Option<Erasure>> {
    Ok(all(app).await?.into_iter().rfind(|one| one.patient == *patient))
}

async fn all(app: &App) -> Answered<Vec<Erasure>> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(0, |last: &Erasure| last.erasure_id);
        let page = app.store.erasures().list(after, ERASURES_A_PAGE).await?;
        let is_last = page.len() < ERASURES_A_PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// Waits until the erasure of this compartment has ended, at most for a time; gives it as it is then.
///
/// # Errors
/// 503 when the registry is away.
pub(crate) async fn awaited(
    app: &App,
    patient: &ResourceId,
    wait: Duration,
) -> Answered<Option<Erasure>> {
    let until = tokio::time::Instant::now() + wait;
    loop {
        let stepped = app.erasures.stepped.notified();
        let found = last(app, patient).await?;
        let goes_on = found.as_ref().is_some_and(|one| one.ended.is_none());
        if !goes_on || tokio::time::timeout_at(until, stepped).await.is_err() {
            return Ok(found);
        }
    }
}

/// Goes on with all erasures until the application goes.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        let pause = match round(&app).await {
            Ok(()) => IDLE,
            Err(fault) => {
                tracing::warn!(cause = %fault, "an erasure does not go on now; trying again");
                FAILED_PAUSE
            }
        };
        tokio::select! {
            () = app.erasures.begun.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Brings each erasure that has not ended to its end.
async fn round(app: &App) -> Answered<()> {
    if !app.store.is_sequencer() {
        return Ok(());
    }
    app.payloads.forget_erased().await?;
    for erasure in all(app).await?.into_iter().filter(|one| one.ended.is_none()) {
        let (mut from, mut may_end) = (START, true);
        loop {
            let step = Step { patient: &erasure.patient, key_id: erasure.key_id, from, may_end };
            let taken = step.take(app, None).await?;
            app.erasures.stepped.notify_waiters();
            match taken {
                Taken::Ended => break,
                Taken::Until(place) => (from, may_end) = (place, true),
                // More came meanwhile, which goes first; or somebody else was faster.
                Taken::Stale => {
                    if unfinished(app, &erasure.patient).await?.is_none() {
                        break;
                    }
                    (from, may_end) = (START, false);
                }
            }
        }
        tracing::info!(erasure.id = erasure.erasure_id, "an erasure has ended");
    }
    Ok(())
}

/// One step: the versions after a place.
struct Step<'s> {
    patient: &'s ResourceId,
    key_id: u64,
    from: (i64, i64),
    /// Whether the key may go, if nothing else is found.
    may_end: bool,
}

/// What became of a step.
enum Taken {
    /// The key is gone, and the erasure with it at its end.
    Ended,
    /// All versions up to here are done.
    Until((i64, i64)),
    /// Nothing was done: what it was made from has changed.
    Stale,
}

impl Step<'_> {
    async fn take(&self, app: &App, begin: Option<(NewErasure, AccessRecord)>) -> Answered<Taken> {
        let page = app.store.erasures().page(self.patient, self.from, VERSIONS_A_STEP).await?;
        let end = self.may_end && page.len() < VERSIONS_A_STEP;
        let place = page.last().map_or(self.from, |last| {
            (last.rid, i64::try_from(last.version.number()).unwrap_or(i64::MAX))
        });
        let living = self.living(app, &page).await?;
        let tenant = app.payloads.tenant_key().await?;
        let (mut versions, mut objects) = (Vec::new(), Vec::new());
        for one in page.iter().filter(|one| one.is_alone || !self.is_shared(one, &living)) {
            versions.push((one.change, repository::erased(self.key_id, &one.entry, &tenant)));
            objects.extend(repository::object_name(&one.payload).ok().flatten());
        }
        let changes: Vec<u64> = versions.iter().map(|(change, _)| *change).collect();
        let (begin, access) = begin.unzip();
        let erasing = Erasing { patient: self.patient.clone(), begin, versions, end };
        let set = WriteSet { access, erasing: Some(erasing), ..WriteSet::default() };
        match app.store.commit(set).await {
            Ok(_) => {}
            Err(CommitError::Stale) => return Ok(Taken::Stale),
            Err(error) => return Err(error.into()),
        }
        app.payloads.close(&changes);
        app.verified.invalidate_all();
        if end {
            app.payloads.forget_erased().await?;
        }
        remove(app, &objects).await;
        Ok(if end { Taken::Ended } else { Taken::Until(place) })
    }

    /// Of the other keys that open what is in several compartments: those that are there.
    async fn living(&self, app: &App, page: &[Erasable]) -> Answered<HashSet<u64>> {
        let shared = page.iter().filter(|one| !one.is_alone);
        let ids: HashSet<u64> = shared
            .flat_map(|one| repository::key_ids(&one.payload).unwrap_or_default())
            .filter(|id| *id != self.key_id)
            .collect();
        let ids: Vec<u64> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        Ok(app.store.data_keys(&ids).await?.into_iter().map(|key| key.key_id).collect())
    }

    /// True when somebody else's key opens it; what cannot be read stays, for `fsck` to tell.
    fn is_shared(&self, one: &Erasable, living: &HashSet<u64>) -> bool {
        match repository::key_ids(&one.payload) {
            Ok(ids) => ids.iter().any(|id| *id != self.key_id && living.contains(id)),
            Err(_) => true,
        }
    }
}

/// Removes contents from the object store. They are under the key that goes, so a failure leaves nothing readable.
async fn remove(app: &App, objects: &[ObjectName]) {
    for name in objects {
        if let Err(error) = app.payloads.objects().delete(name).await {
            tracing::warn!(cause = %error, "an erased object is left to the sweep");
        }
    }
}

fn unmade() -> Fault {
    Fault::new(FaultKind::Unavailable, "the erasure cannot be recorded")
}

/// Before the first version.
const START: (i64, i64) = (i64::MIN, i64::MIN);
/// Versions of one commit: a write that comes meanwhile waits for some tens of milliseconds at most.
const VERSIONS_A_STEP: usize = 128;
const ERASURES_A_PAGE: usize = 1_000;
/// How often a first step is made again when others write the same compartment.
const BEGIN_ATTEMPTS_MAX: u32 = 12;
/// Pause when there is nothing to do.
const IDLE: Duration = Duration::from_secs(5);
/// Pause after a failure.
const FAILED_PAUSE: Duration = Duration::from_secs(2);

const _: () = assert!(repository::ERASED_BYTES == registry::erasure::ERASED_BYTES);
