//! Lookups that depend on what the submission is about to change.
//!
//! When current versions were made, where a precondition asks that; and all matches of criteria of which the submission
//! itself may take many away. Not here: what they lead to (`decide`).

use std::collections::{HashMap, HashSet};

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
        let cut: Vec<usize> = (0..self.asks.len()).filter(|at| self.is_cut(*at)).collect();
        if cut.is_empty() {
            return Ok(());
        }
        let touched = Touched::by_type(submission);
        let mut budget = Budget { left: MATCHES_BEYOND_MAX };
        for at in cut {
            let (Match::Query(criteria), MatchOutcome::Query(ids)) =
                (&self.asks[at].asked, &self.found[at])
            else {
                continue;
            };
            let Some(most) = touched.get(&criteria.of()).and_then(|all| all.wanted(ids)) else {
                continue;
            };
            if !budget.takes(most) {
                continue;
            }
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
#[derive(Default)]
struct Touched<'s> {
    /// Named by their ids.
    ids: HashSet<&'s ResourceId>,
    /// How many more, one for each conditional interaction.
    by_criteria: usize,
}

impl<'s> Touched<'s> {
    /// Of all types at once: there may be as many criteria as operations.
    fn by_type(submission: &'s Submission) -> HashMap<ResourceType, Self> {
        let mut touched: HashMap<ResourceType, Self> = HashMap::new();
        for operation in &submission.operations {
            match &operation.verb {
                Verb::Update { key, .. } | Verb::Patch { key, .. } | Verb::Delete { key, .. } => {
                    touched.entry(key.resource_type).or_default().ids.insert(&key.id);
                }
                Verb::UpdateWhere { resource_type, .. }
                | Verb::PatchWhere { resource_type, .. }
                | Verb::DeleteWhere { resource_type, .. } => {
                    touched.entry(*resource_type).or_default().by_criteria += 1;
                }
                Verb::Create { .. } | Verb::Read(_) => {}
            }
        }
        touched
    }

    /// How many matches are to be asked for where only these were told; `None` where enough of them stay.
    fn wanted(&self, told: &[ResourceId]) -> Option<usize> {
        let sure = told.iter().filter(|id| !self.ids.contains(id)).count();
        (sure < self.by_criteria + 2).then(|| told.len() + self.ids.len() + self.by_criteria)
    }
}

/// Matches that may still be asked for.
struct Budget {
    left: usize,
}

impl Budget {
    /// Takes as many, or none; fewer may still be had then.
    fn takes(&mut self, most: usize) -> bool {
        let rest = self.left.checked_sub(most);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }
}

/// Matches that one preparation asks for beyond the usual number, all together.
const MATCHES_BEYOND_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_with_too_many_matches_leave_what_is_left_to_others() {
        let mut budget = Budget { left: 100 };

        assert_eq!([70, 40, 30, 1].map(|most| budget.takes(most)), [true, false, true, false]);
    }

    #[test]
    fn more_is_asked_for_where_less_than_two_matches_would_surely_stay() {
        let ids: Vec<_> =
            ["a", "b", "c", "d"].iter().map(|id| ResourceId::parse(id).unwrap()).collect();
        let touched =
            |named: usize, by_criteria| Touched { ids: ids[..named].iter().collect(), by_criteria };

        assert_eq!(touched(2, 0).wanted(&ids), None);
        assert_eq!(touched(3, 0).wanted(&ids), Some(7));
        assert_eq!(touched(1, 2).wanted(&ids), Some(7));
    }
}
