//! The registry's answers to a plan's lookups, verified.
//!
//! One `Store::resolve` for each permit in the plan (nearly always one); what was asked and answered
//! becomes the write set's dependencies, which the writer checks again. What criteria matched is asked by key, too:
//! a match that changes before the commit makes the set stale.
//! Not here: the lookups themselves (`plan`), what they lead to (`decide`).

mod before;
mod touched;
mod verify;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use fhir::{
    Instant, ResourceId, ResourceKey, ResourceType, VersionId, VersionKey, reference_location,
};
use policy::{Permit, Principal};
use registry::error::CommitError;
use registry::page::StoredVersion;
use registry::write_set::{Dependency, Match, MatchOutcome, WriteSet};

use crate::app::App;
use crate::criteria::Reading;
use crate::error::{Answered, Fault};
use crate::plan::{Asked, Link, LinkTarget, Plan};
use crate::submission::{Submission, Verb};
use crate::work;

pub(crate) use self::before::contents_before;

/// Answers to the lookups of one preparation.
pub(crate) struct Snapshot {
    asks: Vec<Question>,
    found: Vec<MatchOutcome>,
    /// For criteria: the matches that hold on their own bytes.
    verified: Vec<Vec<ResourceId>>,
    /// Last lookup of each key.
    keys: HashMap<ResourceKey, usize>,
    /// When current versions were made, of resources about which a precondition asks that.
    updated: HashMap<VersionKey, Instant>,
    /// What the criteria were read with.
    reading: Reading,
}

/// One lookup as the registry is asked.
struct Question {
    permit: Permit,
    asked: Match,
}

/// A resource as it is, which an update would not change.
#[derive(Clone, Debug)]
pub(crate) struct Unchanged {
    /// Whose.
    pub(crate) key: ResourceKey,
    /// Current version.
    pub(crate) version: VersionId,
    /// When it was made.
    pub(crate) updated: Instant,
    /// Its bytes; empty where there are too many of them to be kept.
    pub(crate) body: Bytes,
    /// Patients in whose compartments it is.
    pub(crate) patients: Vec<ResourceId>,
}

impl Snapshot {
    /// Asks the registry.
    ///
    /// # Errors
    /// 503 when it does not answer, 400 for criteria it does not do.
    pub(crate) async fn take(
        app: &App,
        plan: &Arc<Plan>,
        submission: &Arc<Submission>,
        principal: &Principal,
    ) -> Answered<Self> {
        let criteria = plan.asks.iter().filter_map(|ask| match &ask.asked {
            Asked::Criteria(of, text) => Some((*of, text.as_str())),
            Asked::Key(_) => None,
        });
        let criteria: Vec<_> = criteria.collect();
        let reading = Reading::of(app, principal, &criteria, &submission.base).await?;
        let (shared, planned) = (Arc::clone(submission), Arc::clone(plan));
        let long = submission.is_long() && !criteria.is_empty();
        let (reading, asks) = work::run(long, move || {
            let asks = questions(&planned, &shared, &reading)?;
            Ok::<_, Fault>((reading, asks))
        })
        .await??;
        let mut snapshot = Self {
            asks: Vec::new(),
            found: Vec::new(),
            verified: Vec::new(),
            keys: HashMap::new(),
            updated: HashMap::new(),
            reading,
        };
        snapshot.ask(app, asks).await?;
        snapshot.ask_beyond(app, submission).await?;
        let further = snapshot.matched_keys(plan, submission);
        snapshot.ask(app, further).await?;
        snapshot.verify_all(app, plan, submission).await?;
        snapshot.look_at_times(app, plan, submission).await?;
        Ok(snapshot)
    }

    /// What the criteria were read with, and what new resources are to be read with.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// True when criteria may name parameters that are not R4's own: what they find depends on these.
    pub(crate) fn depends_on_params(&self) -> bool {
        !self.reading.params.set.is_standard()
            && self.asks.iter().any(|ask| matches!(ask.asked, Match::Query(_)))
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

    /// Whether all lookups would find now, together, what they found one after the other: else what is refused because of
    /// them may be what no order of requests refuses. One lookup alone holds at its own time.
    ///
    /// # Errors
    /// 503 when the registry does not answer.
    pub(crate) async fn still_holds(&self, app: &App) -> Answered<bool> {
        let [first, others @ ..] = &self.asks[..] else { return Ok(true) };
        if others.is_empty() {
            return Ok(true);
        }
        if others.iter().all(|ask| ask.permit == first.permit) {
            let matches: Vec<Match> = self.asks.iter().map(|ask| ask.asked.clone()).collect();
            return Ok(app.store.resolve(&first.permit, &matches).await? == self.found);
        }
        // Under several permits only the writer sees all of them at one time.
        let nothing = WriteSet { depends: self.dependencies(), ..WriteSet::default() };
        match app.store.commit(nothing).await {
            Ok(_) => Ok(true),
            Err(CommitError::Stale) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Verified matches of a lookup by criteria; there may be more where it [`is_cut`](Self::is_cut).
    pub(crate) fn matches(&self, ask: usize) -> &[ResourceId] {
        &self.verified[ask]
    }

    /// Whether the registry may know more matches than it told.
    pub(crate) fn is_cut(&self, ask: usize) -> bool {
        match (&self.asks[ask].asked, &self.found[ask]) {
            (Match::Query(criteria), MatchOutcome::Query(ids)) => {
                ids.len() >= criteria.matches_max()
            }
            _ => false,
        }
    }

    /// Type and text of a lookup by criteria.
    pub(crate) fn query(&self, ask: usize) -> Option<(ResourceType, &str)> {
        match &self.asks[ask].asked {
            Match::Query(criteria) => Some((criteria.of(), criteria.text())),
            Match::Key(_) | Match::SearchParams | Match::Erasures => None,
        }
    }

    /// Current version of a resource and whether that is a tombstone; `None` when it is absent or hidden.
    pub(crate) fn version(&self, key: &ResourceKey) -> Option<(VersionId, bool)> {
        match self.found[*self.keys.get(key)?] {
            MatchOutcome::Key(found) => found,
            MatchOutcome::Hidden
            | MatchOutcome::Query(_)
            | MatchOutcome::SearchParams(_)
            | MatchOutcome::Erasures(_) => None,
        }
    }

    /// When a current version was made, where a precondition asks that.
    pub(crate) fn updated(&self, key: &ResourceKey, version: VersionId) -> Option<Instant> {
        self.updated.get(&VersionKey { key: key.clone(), version }).copied()
    }

    async fn ask(&mut self, app: &App, asks: Vec<Question>) -> Answered<()> {
        let first = self.asks.len();
        self.found.resize(first + asks.len(), MatchOutcome::Hidden);
        self.verified.resize(first + asks.len(), Vec::new());
        for (at, ask) in (first..).zip(&asks) {
            if let Match::Key(key) = &ask.asked {
                self.keys.insert(key.clone(), at);
            }
        }
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
        Ok(())
    }

    /// Current versions of whatever criteria matched: under the permit of the operation that will touch it, if one
    /// will, else under that of the lookup.
    fn matched_keys(&self, plan: &Plan, submission: &Submission) -> Vec<Question> {
        let mut permits: HashMap<usize, &Permit> = HashMap::new();
        for (operation, step) in submission.operations.iter().zip(&plan.steps) {
            let touches = matches!(
                operation.verb,
                Verb::UpdateWhere { .. } | Verb::PatchWhere { .. } | Verb::DeleteWhere { .. }
            );
            if let (true, Some(ask)) = (touches, step.condition) {
                permits.insert(ask, &step.permit);
            }
        }
        let mut further = Vec::new();
        for (at, found) in self.found.iter().enumerate() {
            let (MatchOutcome::Query(ids), Some((of, _))) = (found, self.query(at)) else {
                continue;
            };
            let permit = permits.get(&at).copied().unwrap_or(&self.asks[at].permit);
            for id in ids {
                let key = ResourceKey::new(of, id.clone());
                if !self.keys.contains_key(&key) {
                    further.push(Question { permit: permit.clone(), asked: Match::Key(key) });
                }
            }
        }
        further
    }
}

/// The lookups of a plan, read; what cannot be read is refused with the place of its entry.
fn questions(plan: &Plan, submission: &Submission, reading: &Reading) -> Answered<Vec<Question>> {
    let asks = plan.asks.iter().enumerate().map(|(at, ask)| {
        let asked = match &ask.asked {
            Asked::Key(key) => Match::Key(key.clone()),
            Asked::Criteria(of, text) => {
                let read = reading.read(*of, text, &submission.base, &ask.permit);
                Match::Query(read.map_err(|fault| match plan.asking(at) {
                    Some(operation) => {
                        let fault = stated(plan, submission, (at, operation), fault);
                        submission.placed(operation, fault)
                    }
                    None => fault,
                })?)
            }
        };
        Ok(Question { permit: ask.permit.clone(), asked })
    });
    asks.collect()
}

/// Where the criteria of a lookup are stated: in a reference, in a header, or in parameters of the URL.
fn stated(
    plan: &Plan,
    submission: &Submission,
    (ask, operation): (usize, usize),
    fault: Fault,
) -> Fault {
    let step = &plan.steps[operation];
    if step.condition == Some(ask) {
        return match &submission.operations[operation].verb {
            Verb::Create { if_none_exist: Some(unless), .. } => unless.placed(fault),
            _ => fault,
        };
    }
    let asks = |link: &&Link| link.parts.iter().any(|part| part.target == LinkTarget::Ask(ask));
    let link = step.links.iter().find(asks);
    let place =
        link.and_then(|link| reference_location(submission.resources()[operation]?, &link.span));
    match place {
        Some(place) => fault.placed(&place),
        None => fault,
    }
}

impl Unchanged {
    /// A stored version whose content was opened.
    pub(crate) fn of(app: &App, stored: StoredVersion, body: Bytes) -> Self {
        let patients = app.payloads.patients(&stored);
        let StoredVersion { key, version, updated, .. } = stored;
        Self { key, version, updated, body, patients }
    }
}

/// One version that a decision names.
///
/// # Errors
/// 503; 404 when it vanished meanwhile.
pub(crate) async fn at_version(
    app: &App,
    permit: &Permit,
    version: &VersionKey,
) -> Answered<StoredVersion> {
    let stored = app.store.vread(permit, version).await?;
    stored.filter(|stored| !stored.is_tombstone()).ok_or_else(Fault::not_found)
}
