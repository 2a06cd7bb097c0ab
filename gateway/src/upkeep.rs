//! What is done by the clock: old answers for repeated messages go, and objects that nobody needs.
//!
//! An object is needed while an envelope names it. It is written before the commit that names it, so only such go
//! that are older than a day and were listed **before** the envelopes were read: a commit takes seconds, and is refused
//! when it is prepared again for long. An object that cannot be told to be an orphan stays.
//! Not here: what leaves orphans (`prepare`, `erasure`), how objects are removed (`repository::sweep`).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use repository::ObjectName;

use crate::app::App;
use crate::clock;
use crate::error::{Answered, Fault, FaultKind};

/// Does it until the application goes.
pub(crate) async fn run(app: Arc<App>) {
    let mut swept = tokio::time::Instant::now();
    loop {
        if let Err(fault) = expire(&app, clock::now_us()).await {
            tracing::warn!(cause = %fault, "old answers for repeated messages were not removed");
        }
        let hours = app.config.payload.sweep_hours;
        if hours > 0 && swept.elapsed() >= Duration::from_secs(hours.saturating_mul(3600)) {
            swept = tokio::time::Instant::now();
            match sweep(&app, ORPHAN_AGE).await {
                Ok(removed) => tracing::info!(objects = removed, "orphaned objects were removed"),
                Err(fault) => {
                    tracing::warn!(cause = %fault, "orphaned objects were not removed now");
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Removes answers for repeated control ids that are older than configured.
///
/// # Errors
/// 503 when the registry is away.
pub async fn expire(app: &App, now_us: i64) -> Answered<()> {
    let days = i64::try_from(app.config.mllp.repeats_days).unwrap_or(i64::MAX);
    let before = now_us.saturating_sub(days.saturating_mul(DAY_US));
    if days == 0 || !app.store.is_sequencer() {
        return Ok(());
    }
    while app.store.upkeep().oldest_answer().await?.is_some_and(|oldest| oldest < before) {
        app.store.expire_answers(before).await?;
    }
    Ok(())
}

/// Removes objects that were written longer ago than `age` and that no version needs; tells how many.
///
/// # Errors
/// 503 when the registry or the object store is away; what was removed until then stays removed.
pub async fn sweep(app: &App, age: Duration) -> Answered<usize> {
    if !app.store.is_sequencer() {
        return Ok(0);
    }
    let away = |error: &dyn std::fmt::Display| {
        tracing::warn!(cause = %error, "the object store is away");
        Fault::new(FaultKind::Unavailable, "the object store is away")
    };
    let objects = app.payloads.objects();
    // First the list, then who needs them: see above.
    let mut old = objects.older_than(age).await.map_err(|error| away(&error))?;
    some_of(&mut old);
    let candidates: HashSet<ObjectName> = old.iter().copied().collect();
    let mut named = HashSet::new();
    let mut after = Some(0);
    while let Some(from) = after.filter(|_| !old.is_empty()) {
        let page = app.store.upkeep().object_envelopes(from).await?;
        for envelope in &page.envelopes {
            let name = repository::object_name(envelope).map_err(|error| away(&error))?;
            named.extend(name.filter(|name| candidates.contains(name)));
        }
        after = page.next;
        tokio::task::yield_now().await;
    }
    repository::sweep(&old, &named, objects).await.map_err(|error| away(&error))
}

/// Keeps what one sweep looks at: all, or so many from somewhere on, that with time each has its turn.
fn some_of(old: &mut Vec<ObjectName>) {
    if old.len() > OBJECTS_A_SWEEP_MAX {
        let mut noise = [0; 8];
        aws_lc_rs::rand::fill(&mut noise).expect("the system gives randomness");
        let length = old.len() as u64;
        let from = usize::try_from(u64::from_le_bytes(noise) % length).unwrap_or(0);
        old.rotate_left(from);
        old.truncate(OBJECTS_A_SWEEP_MAX);
    }
}

/// Pause between two looks at the clock.
const PAUSE: Duration = Duration::from_secs(600);
/// Age from which an object that nobody names is an orphan; far beyond the time that any commit takes.
pub const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);
/// Objects that one sweep looks at.
const OBJECTS_A_SWEEP_MAX: usize = 1_000_000;
const DAY_US: i64 = 24 * 3600 * 1_000_000;
