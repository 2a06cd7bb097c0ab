//! Lookups that depend on what the submission is about to change.
//!
//! When current versions were made, where a precondition asks that; and all matches of criteria of which the submission
//! itself may take many away. Not here: what they lead to (`decide`).

use std::collections::HashSet;

use fhir::{ResourceId, ResourceKey, ResourceType, VersionKey};
use registry::write_set::{Match, MatchOutcome};

use super::Snapshot;
use crate::app::App;
use crate::error::Answered;
use crate::plan::Plan;
use crate::submission::{Submission, Verb};

impl Snapshot {
    /// The time of a version never changes, and the commit checks that the version still is current.
    pub(super) async fn look_at_times(
        &mut self,
        app: &App,
        plan: &Plan,
        submission: &Submission,
    ) -> Answered<()> {
        for (operation, step) in submission.operations.iter().zip(&plan.steps) {
            let preconditions = operation.verb.preconditions();
            if preconditions.is_none_or(|demanded| demanded.unmodified_since.is_none()) {
                continue;
            }
            let mut about = Vec::new();
            if let Some(Match::Key(key)) = step.current.map(|ask| &self.asks[ask].asked) {
                about.push(key.clone());
            }
            if let Some((ask, (of, _))) =
                step.condition.and_then(|ask| Some((ask, self.query(ask)?)))
            {
                let keys = self.verified[ask].iter().map(|id| ResourceKey::new(of, id.clone()));
                about.extend(keys);
            }
            for key in about {
                let Some((version, _)) = self.version(&key) else { continue };
                let version = VersionKey { key, version };
                if let Some(stored) = app.store.vread(&step.permit, &version).await? {
                    self.updated.insert(version, stored.updated);
                }
            }
        }
        Ok(())
    }

    /// Asks again for all matches of criteria of which the submission may change so many that of those told nothing would
    /// be left to decide by.
    pub(super) async fn ask_beyond(&mut self, app: &App, submission: &Submission) -> Answered<()> {
        let mut left = MATCHES_BEYOND_MAX;
        for at in 0..self.asks.len() {
            let (Match::Query(criteria), MatchOutcome::Query(ids)) =
                (&self.asks[at].asked, &self.found[at])
            else {
                continue;
            };
            if !self.is_cut(at) {
                continue;
            }
            let touched = Touched::of(submission, criteria.of());
            let sure = ids.iter().filter(|id| !touched.ids.contains(id)).count();
            if sure >= touched.by_criteria + 2 {
                continue;
            }
            let most = ids.len() + touched.ids.len() + touched.by_criteria;
            let Some(rest) = left.checked_sub(most) else { return Ok(()) };
            left = rest;
            let asked = Match::Query(criteria.clone().up_to(most));
            let permit = self.asks[at].permit.clone();
            let found = app.store.resolve(&permit, std::slice::from_ref(&asked)).await?;
            self.asks[at].asked = asked;
            self.found[at] = found.into_iter().next().unwrap_or(MatchOutcome::Hidden);
        }
        Ok(())
    }
}

/// What of a type a submission may change or delete.
struct Touched<'s> {
    /// Named by their ids.
    ids: HashSet<&'s ResourceId>,
    /// How many more, one for each conditional interaction.
    by_criteria: usize,
}

impl<'s> Touched<'s> {
    fn of(submission: &'s Submission, of: ResourceType) -> Self {
        let mut touched = Self { ids: HashSet::new(), by_criteria: 0 };
        for operation in &submission.operations {
            match &operation.verb {
                Verb::Update { key, .. } | Verb::Patch { key, .. } | Verb::Delete { key, .. }
                    if key.resource_type == of =>
                {
                    touched.ids.insert(&key.id);
                }
                Verb::UpdateWhere { resource_type, .. }
                | Verb::PatchWhere { resource_type, .. }
                | Verb::DeleteWhere { resource_type, .. }
                    if *resource_type == of =>
                {
                    touched.by_criteria += 1;
                }
                _ => {}
            }
        }
        touched
    }
}

/// Matches that one preparation asks for beyond the usual number, all together.
const MATCHES_BEYOND_MAX: usize = 20_000;
