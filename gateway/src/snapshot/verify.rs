//! Whether what the index says matches criteria does so on its own bytes.
//!
//! Not here: what the matches lead to (`decide`).

use std::collections::HashSet;

use fhir::{ResourceId, ResourceKey, Tree, VersionKey};
use registry::write_set::MatchOutcome;

use super::Snapshot;
use crate::app::App;
use crate::condition::{self, Verdict};
use crate::error::{Answered, Fault, FaultKind};
use crate::plan::Plan;
use crate::submission::{Submission, Verb};

impl Snapshot {
    /// Verifies the matches of all criteria.
    pub(super) async fn verify_all(
        &mut self,
        app: &App,
        plan: &Plan,
        submission: &Submission,
    ) -> Answered<()> {
        let has_matches =
            |at: &usize| matches!(&self.found[*at], MatchOutcome::Query(ids) if !ids.is_empty());
        let asked: Vec<usize> = (0..plan.asks.len()).filter(has_matches).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let settled = Settled::of(plan, submission);
        for at in asked {
            self.verified[at] = self.verify(app, at, &submission.base, &settled).await?;
        }
        Ok(())
    }

    /// Matches of criteria whose bytes, at the version that the commit will check, do not say otherwise.
    async fn verify(
        &self,
        app: &App,
        at: usize,
        base: &str,
        settled: &Settled<'_>,
    ) -> Answered<Vec<ResourceId>> {
        let (Some((of, query)), MatchOutcome::Query(ids)) = (self.query(at), &self.found[at])
        else {
            return Ok(Vec::new());
        };
        let mut verified = Vec::new();
        for id in ids {
            let key = ResourceKey::new(of, id.clone());
            if settled.has(at, &key) {
                verified.push(id.clone());
                continue;
            }
            let met = match self.keys.get(&key).map(|ask| &self.found[*ask]) {
                Some(MatchOutcome::Key(Some((version, false)))) => {
                    let version = VersionKey { key, version: *version };
                    self.holds(app, at, &version, (query, base)).await?
                }
                // Whoever may not write it must not make another one instead.
                Some(MatchOutcome::Hidden) => true,
                // Gone since: the dependency on the criteria is stale then.
                _ => false,
            };
            if met {
                verified.push(id.clone());
            }
        }
        Ok(verified)
    }

    /// Whether a version meets criteria on its own bytes.
    async fn holds(
        &self,
        app: &App,
        ask: usize,
        version: &VersionKey,
        (query, base): (&str, &str),
    ) -> Answered<bool> {
        let known = (version.to_string(), query.to_owned());
        if app.verified.contains_key(&known) {
            return Ok(true);
        }
        let Some(stored) = app.store.vread(&self.asks[ask].permit, version).await? else {
            return Ok(false);
        };
        if stored.is_tombstone() {
            return Ok(false);
        }
        let body = match app.payloads.open(&stored).await {
            // Erased since: the dependency on the criteria is stale then.
            Err(fault) if fault.kind == FaultKind::Deleted => return Ok(false),
            opened => opened?,
        };
        let of = version.key.resource_type;
        let tree = Tree::parse(body.to_vec()).map_err(|_| broken(&version.key))?;
        if condition::holds(query, tree.root(), of, base, &self.reading) == Verdict::Fails {
            tracing::warn!("a conditional match did not hold on its own bytes and was left out");
            return Ok(false);
        }
        app.verified.insert(known, ());
        Ok(true)
    }
}

/// Matches of which the submission itself decides what they are when criteria are asked, whatever their bytes say: they
/// stay matches, and `decide` leaves them out.
struct Settled<'s> {
    /// What is deleted goes before any criteria are asked.
    deleted: HashSet<&'s ResourceKey>,
    /// What is replaced or patched goes before conditional references are.
    changed: HashSet<&'s ResourceKey>,
    /// Lookups for more than conditional references.
    conditions: HashSet<usize>,
}

impl<'s> Settled<'s> {
    fn of(plan: &Plan, submission: &'s Submission) -> Self {
        let conditions = plan.steps.iter().filter_map(|step| step.condition).collect();
        let mut settled = Self { deleted: HashSet::new(), changed: HashSet::new(), conditions };
        for operation in &submission.operations {
            match &operation.verb {
                Verb::Delete { key, .. } => settled.deleted.insert(key),
                Verb::Update { key, .. } | Verb::Patch { key, .. } => settled.changed.insert(key),
                _ => false,
            };
        }
        settled
    }

    fn has(&self, ask: usize, key: &ResourceKey) -> bool {
        self.deleted.contains(key) || self.changed.contains(key) && !self.conditions.contains(&ask)
    }
}

fn broken(key: &ResourceKey) -> Fault {
    tracing::error!(resource.type = key.resource_type.name(), "a stored resource does not parse");
    Fault::new(FaultKind::Internal, "a stored resource is damaged")
}
