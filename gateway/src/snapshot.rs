//! The registry's answers to a plan's lookups, verified, and what they make of each operation.
//!
//! One `Store::resolve` for each permit in the plan (nearly always one); what was asked and answered
//! becomes the write set's dependencies, which the writer checks again.
//! Not here: the lookups themselves (`plan`), the writes (`prepare`).

use fhir::{ResourceId, ResourceKey, ResourceType, Tree, VersionId};
use policy::{Permit, Visibility};
use registry::page::StoredVersion;
use registry::write_set::{Action, Dependency, Match, MatchOutcome};

use crate::app::App;
use crate::condition::{self, Verdict};
use crate::error::{Answered, Fault, FaultKind};
use crate::plan::{Ask, Plan, Step};
use crate::submission::{Operation, Submission, Verb};

/// Answers to the lookups of one preparation.
pub(crate) struct Snapshot {
    asks: Vec<Ask>,
    found: Vec<MatchOutcome>,
    /// For criteria: the matches that hold on their own bytes.
    verified: Vec<Vec<ResourceId>>,
}

/// What is to happen for one operation.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// A version is made.
    Write {
        /// Whose.
        key: ResourceKey,
        /// Version that is current.
        previous: Option<VersionId>,
        /// What makes it.
        action: Action,
        /// HTTP status of the answer.
        status: u16,
    },
    /// A conditional create found its resource.
    Exists(ResourceKey),
    /// The same conditional create stands earlier in the transaction.
    SameAs(usize),
    /// There is nothing to delete.
    Nothing,
    /// A read, answered after the commit.
    Read,
}

impl Snapshot {
    /// Asks the registry.
    ///
    /// # Errors
    /// 503 when it does not answer, 400 for criteria it does not do.
    pub(crate) async fn take(app: &App, plan: &Plan, submission: &Submission) -> Answered<Self> {
        let mut snapshot = Self { asks: Vec::new(), found: Vec::new(), verified: Vec::new() };
        snapshot.ask(app, plan.asks.clone(), &submission.base).await?;
        let further = snapshot.matched_keys(plan, submission);
        snapshot.ask(app, further, &submission.base).await?;
        Ok(snapshot)
    }

    /// What the write set depends on.
    pub(crate) fn dependencies(&self) -> Vec<Dependency> {
        let pairs = self.asks.iter().zip(&self.found);
        pairs
            .map(|(ask, found)| Dependency {
                permit: ask.permit.clone(),
                asked: ask.asked.clone(),
                found: found.clone(),
            })
            .collect()
    }

    /// Verified matches of a lookup by criteria.
    pub(crate) fn matches(&self, ask: usize) -> &[ResourceId] {
        &self.verified[ask]
    }

    /// Type of a lookup by criteria.
    pub(crate) fn query(&self, ask: usize) -> Option<(ResourceType, &str)> {
        match &self.asks[ask].asked {
            Match::Query(resource_type, query) => Some((*resource_type, query)),
            Match::Key(_) => None,
        }
    }

    async fn ask(&mut self, app: &App, asks: Vec<Ask>, base: &str) -> Answered<()> {
        let first = self.asks.len();
        self.found.resize(first + asks.len(), MatchOutcome::Hidden);
        self.verified.resize(first + asks.len(), Vec::new());
        self.asks.extend(asks);
        let mut open: Vec<usize> = (first..self.asks.len()).collect();
        while let Some(at) = open.first() {
            let permit = self.asks[*at].permit.clone();
            let (same, others): (Vec<usize>, Vec<usize>) =
                open.iter().partition(|at| self.asks[**at].permit == permit);
            let matches: Vec<Match> = same.iter().map(|at| self.asks[*at].asked.clone()).collect();
            let found = app.store.resolve(&permit, &matches).await?;
            for (at, outcome) in same.into_iter().zip(found) {
                self.found[at] = outcome;
            }
            open = others;
        }
        for at in first..self.asks.len() {
            self.verified[at] = self.verify(app, at, base).await?;
        }
        Ok(())
    }

    async fn verify(&self, app: &App, at: usize, base: &str) -> Answered<Vec<ResourceId>> {
        let (Match::Query(rt, query), MatchOutcome::Query(ids)) =
            (&self.asks[at].asked, &self.found[at])
        else {
            return Ok(Vec::new());
        };
        let mut verified = Vec::new();
        for id in ids {
            let key = ResourceKey { resource_type: *rt, id: id.clone() };
            if holds(app, &self.asks[at].permit, &key, query, base).await? {
                verified.push(id.clone());
            }
        }
        Ok(verified)
    }

    /// Current versions of what conditional updates and deletions matched.
    fn matched_keys(&self, plan: &Plan, submission: &Submission) -> Vec<Ask> {
        let pairs = submission.operations.iter().zip(&plan.steps);
        pairs
            .filter_map(|(operation, step)| {
                let key = self.matched_key(operation, step)?;
                Some(Ask { permit: step.permit.clone(), asked: Match::Key(key) })
            })
            .collect()
    }

    fn matched_key(&self, operation: &Operation, step: &Step) -> Option<ResourceKey> {
        let resource_type = match &operation.verb {
            Verb::UpdateWhere { resource_type, .. } | Verb::DeleteWhere { resource_type, .. } => {
                *resource_type
            }
            _ => return None,
        };
        match self.matches(step.condition?) {
            [id] => Some(ResourceKey { resource_type, id: id.clone() }),
            _ => None,
        }
    }

    /// What becomes of an operation.
    ///
    /// # Errors
    /// 404, 405 or 412, as the preconditions say.
    pub(crate) fn decide(&self, operation: &Operation, step: &Step) -> Answered<Decision> {
        match &operation.verb {
            Verb::Create { resource_type, if_none_exist } => {
                let new = step.new_key.clone().expect("a create has a new key");
                match (if_none_exist, step.condition.map(|ask| self.matches(ask))) {
                    (None, _) | (Some(_), None | Some([])) => Ok(Decision::Write {
                        key: new,
                        previous: None,
                        action: Action::Create,
                        status: 201,
                    }),
                    (Some(_), Some([id])) => {
                        let key = ResourceKey { resource_type: *resource_type, id: id.clone() };
                        Ok(Decision::Exists(key))
                    }
                    (Some(_), Some(_)) => Err(several("If-None-Exist")),
                }
            }
            Verb::Update { key, if_match, only_new } => {
                self.update(key, *if_match, *only_new, step, step.current)
            }
            Verb::UpdateWhere { if_match, .. } => self.update_where(operation, step, *if_match),
            Verb::Delete { key, if_match } => self.delete(key, *if_match, step.current),
            Verb::DeleteWhere { .. } => {
                let condition = step.condition.expect("it has criteria");
                match self.matched_key(operation, step) {
                    Some(key) => self.delete(&key, None, self.position(&key)),
                    None if self.matches(condition).is_empty() => Ok(Decision::Nothing),
                    None => Err(several("the criteria")),
                }
            }
            Verb::Read { .. } => Ok(Decision::Read),
        }
    }

    fn update_where(
        &self,
        operation: &Operation,
        step: &Step,
        if_match: Option<VersionId>,
    ) -> Answered<Decision> {
        let condition = step.condition.expect("it has criteria");
        let new = step.new_key.as_ref().expect("it has a key of its own");
        match self.matched_key(operation, step) {
            Some(key) => self.update(&key, if_match, false, step, self.position(&key)),
            None if self.matches(condition).is_empty() => {
                self.update(new, if_match, false, step, step.current)
            }
            None => Err(several("the criteria")),
        }
    }

    fn update(
        &self,
        key: &ResourceKey,
        if_match: Option<VersionId>,
        only_new: bool,
        step: &Step,
        current: Option<usize>,
    ) -> Answered<Decision> {
        let write = |previous, status| Decision::Write {
            key: key.clone(),
            previous,
            action: Action::Update,
            status,
        };
        match self.current(current) {
            MatchOutcome::Key(Some((version, deleted))) => {
                expect_version(if_match, *version)?;
                if only_new && !deleted {
                    let text = "the resource exists already";
                    return Err(Fault::new(FaultKind::PreconditionFailed, text));
                }
                Ok(write(Some(*version), if *deleted { 201 } else { 200 }))
            }
            // Who sees a compartment only gets the same answer for what is hidden and what is absent.
            _ if *step.permit.visibility() != Visibility::Everything => Err(Fault::not_found()),
            _ if if_match.is_some() => {
                Err(Fault::new(FaultKind::PreconditionFailed, "the resource does not exist"))
            }
            _ if !step.permit.update_as_create() => Err(Fault::new(
                FaultKind::MethodNotAllowed,
                "this caller may not choose the id of a new resource",
            )),
            _ => Ok(write(None, 201)),
        }
    }

    fn delete(
        &self,
        key: &ResourceKey,
        if_match: Option<VersionId>,
        current: Option<usize>,
    ) -> Answered<Decision> {
        match self.current(current) {
            MatchOutcome::Key(Some((version, false))) => {
                expect_version(if_match, *version)?;
                Ok(Decision::Write {
                    key: key.clone(),
                    previous: Some(*version),
                    action: Action::Delete,
                    status: 204,
                })
            }
            _ if if_match.is_some() => {
                Err(Fault::new(FaultKind::PreconditionFailed, "the resource does not exist"))
            }
            _ => Ok(Decision::Nothing),
        }
    }

    fn current(&self, ask: Option<usize>) -> &MatchOutcome {
        ask.map_or(&MatchOutcome::Hidden, |ask| &self.found[ask])
    }

    fn position(&self, key: &ResourceKey) -> Option<usize> {
        self.asks.iter().rposition(|ask| matches!(&ask.asked, Match::Key(asked) if asked == key))
    }
}

/// The current version of a resource that a lookup named.
///
/// # Errors
/// 503; 404 when it vanished meanwhile.
pub(crate) async fn current(
    app: &App,
    permit: &Permit,
    key: &ResourceKey,
) -> Answered<StoredVersion> {
    let stored = app.store.read(permit, key).await?;
    stored.filter(|stored| !stored.is_tombstone()).ok_or_else(Fault::not_found)
}

async fn holds(
    app: &App,
    permit: &Permit,
    key: &ResourceKey,
    query: &str,
    base: &str,
) -> Answered<bool> {
    let known = (key.to_string(), query.to_owned());
    if app.verified.contains_key(&known) {
        return Ok(true);
    }
    let Some(stored) = app.store.read(permit, key).await? else { return Ok(false) };
    if stored.is_tombstone() {
        return Ok(false);
    }
    let body = app.payloads.open(&stored).await?;
    let tree = Tree::parse(body.to_vec()).map_err(|_| broken(key))?;
    let verdict = condition::holds(query, tree.root(), key.resource_type, base);
    if verdict == Verdict::Fails {
        tracing::warn!("a conditional match did not hold on its own bytes and was left out");
        return Ok(false);
    }
    app.verified.insert(known, ());
    Ok(true)
}

fn broken(key: &ResourceKey) -> Fault {
    tracing::error!(resource.type = key.resource_type.name(), "a stored resource does not parse");
    Fault::new(FaultKind::Internal, "a stored resource is damaged")
}

fn expect_version(if_match: Option<VersionId>, version: VersionId) -> Answered<()> {
    match if_match {
        Some(expected) if expected != version => {
            let text = format!("the resource is at version {version}, not {expected}");
            Err(Fault::new(FaultKind::PreconditionFailed, text))
        }
        _ => Ok(()),
    }
}

fn several(what: &str) -> Fault {
    Fault::new(FaultKind::PreconditionFailed, format!("{what}: several resources match"))
}
