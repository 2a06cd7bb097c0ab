//! What becomes of each operation, decided in the order in which the standard applies them.
//!
//! DELETE, POST, PUT and PATCH (FHIR R4 http.html section 3.1.0.11.2); within a step those with criteria come last, so
//! that the order of the entries does not matter.
//! Not here: what criteria mean at each point of it (`criteria`), the registry's answers (`snapshot`), the versions that
//! are made (`prepare`).

mod criteria;
mod patch;

use std::collections::HashMap;

use fhir::{Node, ResourceKey, ResourceType, VersionId};
use policy::Visibility;
use registry::write_set::Action;

use self::criteria::{Found, View};
use crate::condition::Candidates;
use crate::error::{Answered, Fault, FaultKind};
use crate::patched::Patched;
use crate::plan::{Plan, Step, order_of_standard};
use crate::precondition::{Newest, Preconditions};
use crate::snapshot::{Snapshot, Unchanged};
use crate::submission::{Operation, Submission, Unless, Verb, body_id};

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
    /// An update says what is stored already, so no version is made.
    Unchanged(Box<Unchanged>),
    /// A conditional create found its resource, at this version.
    Exists(ResourceKey, VersionId),
    /// A conditional create found what another operation of the transaction makes.
    SameAs(usize),
    /// There is nothing to delete.
    Nothing,
    /// A read, answered after the writes.
    Read,
}

/// The decisions, and what can be asked of them.
pub(crate) struct Decided<'s> {
    submission: &'s Submission,
    plan: &'s Plan,
    snapshot: &'s Snapshot,
    nodes: Vec<Option<Node<'s>>>,
    list: Vec<Option<Decision>>,
    /// Which operation writes a resource.
    writers: HashMap<ResourceKey, usize>,
    /// What operations that may write are about, whatever they turn out to do.
    named: HashMap<ResourceKey, usize>,
    made: HashMap<ResourceType, Candidates<'s>>,
    /// What patches make, as far as conditional references ask for it.
    patched: &'s Patched,
    /// Operations that patch.
    patches: Vec<usize>,
    patched_as: HashMap<ResourceType, Candidates<'s>>,
}

/// Decides all operations.
///
/// # Errors
/// The first that cannot be done, with its place: 400, 404, 405, 412, 422.
pub(crate) fn decide<'s>(
    submission: &'s Submission,
    plan: &'s Plan,
    snapshot: &'s Snapshot,
    patched: &'s Patched,
) -> Answered<Decided<'s>> {
    let is_patch = |at: &usize| submission.operations[*at].verb.patch().is_some();
    let mut decided = Decided {
        submission,
        plan,
        snapshot,
        nodes: submission.resources(),
        list: vec![None; plan.steps.len()],
        writers: HashMap::new(),
        named: HashMap::new(),
        made: HashMap::new(),
        patched,
        patches: (0..submission.operations.len()).filter(is_patch).collect(),
        patched_as: HashMap::new(),
    };
    for at in order_of_standard(submission) {
        let (operation, step) = (&submission.operations[at], &plan.steps[at]);
        let decision = decided.one(at, operation, step);
        let decision = decision.map_err(|fault| submission.placed(at, fault))?;
        decided.note(at, decision)?;
    }
    Ok(decided)
}

impl Decided<'_> {
    /// All decisions, in the order of the operations.
    pub(crate) fn into_list(self) -> Vec<Decision> {
        self.list.into_iter().map(|one| one.expect("each operation was decided")).collect()
    }

    /// The resource that a reference to an operation's entry names, with the version it has after the transaction.
    pub(crate) fn target(&self, at: usize) -> Option<(ResourceKey, VersionId)> {
        match self.list[at].as_ref()? {
            Decision::Write { action: Action::Delete, .. } => None,
            Decision::Write { key, previous, .. } => Some((key.clone(), next(*previous))),
            Decision::Exists(key, version) => Some((key.clone(), *version)),
            Decision::SameAs(other) => self.target(*other),
            Decision::Unchanged(_) | Decision::Nothing | Decision::Read => None,
        }
    }

    fn note(&mut self, at: usize, decision: Decision) -> Answered<()> {
        let verb = &self.submission.operations[at].verb;
        if let Some(key) = identity(verb, &decision)
            && let Some(first) = self.named.insert(key.clone(), at)
        {
            return Err(self.twice(first, at));
        }
        if let Decision::Write { key, .. } = &decision {
            self.writers.insert(key.clone(), at);
        }
        self.list[at] = Some(decision);
        Ok(())
    }

    /// A transaction that writes one resource twice is refused as a whole.
    fn twice(&self, first: usize, second: usize) -> Fault {
        let place = |at: usize| self.submission.place(&self.submission.operations[at]);
        let (first, second) = (place(first).unwrap_or_default(), place(second).unwrap_or_default());
        let text = format!(
            "{first} and {second} are about the same resource, which a transaction may write once"
        );
        let fault = Fault::new(FaultKind::Invalid, text);
        let mut both = fault.clone().at(&first);
        both.issues.extend(fault.at(&second).issues);
        both
    }

    fn one(&mut self, at: usize, operation: &Operation, step: &Step) -> Answered<Decision> {
        match &operation.verb {
            Verb::Create { if_none_exist, .. } => self.create(step, if_none_exist.as_ref()),
            Verb::Update { key, preconditions } => self.update(key, preconditions, step),
            Verb::UpdateWhere { preconditions, .. } => self.update_where(at, step, preconditions),
            Verb::Patch { key, preconditions, .. } => self.patch(key, preconditions),
            Verb::PatchWhere { preconditions, .. } => {
                let condition = step.condition.expect("it has criteria");
                self.patch_where(at, condition, preconditions)
            }
            Verb::Delete { key, preconditions } => self.delete(key, preconditions),
            Verb::DeleteWhere { resource_type, preconditions, .. } => {
                let condition = step.condition.expect("it has criteria");
                match self.snapshot.matches(condition) {
                    [] => preconditions.check(None).map(|()| Decision::Nothing),
                    [id] => {
                        let key = ResourceKey::new(*resource_type, id.clone());
                        self.delete(&key, preconditions)
                    }
                    _ => Err(several()),
                }
            }
            Verb::Read(_) => Ok(Decision::Read),
        }
    }

    fn create(&mut self, step: &Step, unless: Option<&Unless>) -> Answered<Decision> {
        let found = step.condition.map(|ask| self.find(ask, View::BeforeUpdates)).transpose()?;
        match found {
            None | Some(Found::Nothing) => Ok(Decision::Write {
                key: step.new_key.clone().expect("a create has a new key"),
                previous: None,
                action: Action::Create,
                status: 201,
            }),
            Some(Found::Stored(key)) => match self.snapshot.version(&key) {
                Some((version, false)) => Ok(Decision::Exists(key, version)),
                // It went between two lookups: the commit finds that out, and this is prepared again.
                _ => Err(Fault::new(FaultKind::Busy, "the match was just deleted; retry")),
            },
            Some(Found::Made(other)) => Ok(Decision::SameAs(other)),
            Some(Found::Several) => {
                Err(unless.map_or_else(several, |unless| unless.placed(several())))
            }
        }
    }

    fn update_where(
        &mut self,
        at: usize,
        step: &Step,
        preconditions: &Preconditions,
    ) -> Answered<Decision> {
        let condition = step.condition.expect("it has criteria");
        let new = step.new_key.as_ref().expect("it has a key of its own");
        match self.find(condition, View::BeforeUpdates)? {
            Found::Nothing => {
                let own = self.nodes[at].and_then(body_id);
                let is_other = matches!(self.snapshot.version(new), Some((_, false)));
                if own.is_some() && is_other {
                    let text = "the body has the id of a resource that the criteria do not match; \
                                update it by its id, or leave the id out";
                    return Err(Fault::new(FaultKind::Conflict, text));
                }
                self.update(new, preconditions, step)
            }
            Found::Stored(key) => {
                let own = self.nodes[at].and_then(body_id);
                if own.is_some_and(|own| own != key.id) {
                    let text = "the body has another id than the resource that matches";
                    return Err(Fault::new(FaultKind::Invalid, text));
                }
                self.update(&key, preconditions, step)
            }
            Found::Made(other) => Err(self.twice(other, at)),
            Found::Several => Err(several()),
        }
    }

    fn update(
        &self,
        key: &ResourceKey,
        preconditions: &Preconditions,
        step: &Step,
    ) -> Answered<Decision> {
        let write = |previous, status| Decision::Write {
            key: key.clone(),
            previous,
            action: Action::Update,
            status,
        };
        match self.snapshot.version(key) {
            Some((version, deleted)) => {
                preconditions.check(self.newest(key))?;
                Ok(write(Some(version), if deleted { 201 } else { 200 }))
            }
            // Who sees a compartment only gets the same answer for what is hidden and what is absent.
            None if *step.permit.visibility() != Visibility::Everything => Err(Fault::not_found()),
            None => {
                preconditions.check(None)?;
                if !step.permit.update_as_create() {
                    let text = "this caller may not choose the id of a new resource";
                    return Err(Fault::new(FaultKind::MethodNotAllowed, text));
                }
                Ok(write(None, 201))
            }
        }
    }

    fn delete(&self, key: &ResourceKey, preconditions: &Preconditions) -> Answered<Decision> {
        let newest = self.newest(key).filter(|newest| !newest.deleted);
        preconditions.check(newest)?;
        Ok(newest.map_or(Decision::Nothing, |newest| Decision::Write {
            key: key.clone(),
            previous: Some(newest.version),
            action: Action::Delete,
            status: 204,
        }))
    }

    /// The newest version of a resource, as preconditions are asked of it.
    fn newest(&self, key: &ResourceKey) -> Option<Newest> {
        let (version, deleted) = self.snapshot.version(key)?;
        Some(Newest { version, deleted, updated: self.snapshot.updated(key, version) })
    }
}

/// Version that follows.
pub(crate) fn next(previous: Option<VersionId>) -> VersionId {
    previous.map_or(VersionId::FIRST, VersionId::next)
}

fn several() -> Fault {
    Fault::several("several resources match the criteria; narrow them to one")
}

/// The resource that an operation other than a read is about, also where it changes nothing: identities must not overlap
/// whatever is stored (FHIR R4 http §3.1.0.11.2).
fn identity<'k>(verb: &'k Verb, decision: &'k Decision) -> Option<&'k ResourceKey> {
    match (decision, verb) {
        (Decision::Write { key, .. }, _) => Some(key),
        (Decision::Unchanged(unchanged), _) => Some(&unchanged.key),
        (_, Verb::Update { key, .. } | Verb::Patch { key, .. } | Verb::Delete { key, .. }) => {
            Some(key)
        }
        _ => None,
    }
}
