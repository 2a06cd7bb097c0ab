//! From decisions to a write set: references rewritten, index rows extracted, contents made ready to seal.
//!
//! CPU work on plain data, entry by entry, off the I/O thread and on all cores when there is much of it;
//! then the keys, and large contents into the object store. Nothing here depends on what only the writer knows.
//! Not here: the decisions (`decide`), the final bytes (`finish`).

mod ready;
mod targets;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use fhir::{
    Instant, Node, ResourceId, ResourceKey, ResourceType, Template, Tree, VersionId, same_content,
};
use policy::Permit;
use registry::hash::IndexKey;
use registry::index::{IndexRows, index_rows_with};
use registry::params::search_parameter;
use registry::write_set::{Action, Dependency, Match, MatchOutcome, WriteSet};
use repository::{CONTENT_BYTES_MAX, DataKey};

use crate::app::App;
use crate::decide::{Decision, decide};
use crate::error::{Answered, Fault, FaultKind};
use crate::patched::{self, Patched};
use crate::plan::{self, Plan, order_of_standard};
use crate::search_params::Loaded;
use crate::snapshot::{Snapshot, Unchanged, contents_before};
use crate::submission::{Submission, body_id};
use crate::subscription;
use crate::work;

use self::ready::{Ready, compartments, fresh_compartment};
use self::targets::Targets;

/// A write set with what the answer needs.
pub(crate) struct Prepared {
    /// To be committed.
    pub(crate) set: WriteSet,
    /// Keys made for it, to be kept once it is committed.
    pub(crate) made_keys: Vec<Arc<DataKey>>,
    /// One for each operation.
    pub(crate) decisions: Vec<Decision>,
    /// For each operation that writes: its place in the set and its content.
    pub(crate) contents: Contents,
    /// Patients whose compartments are touched.
    pub(crate) patients: BTreeSet<ResourceId>,
}

/// By operation: its place in the write set, and its content.
pub(crate) type Contents = HashMap<usize, (usize, Arc<Template>)>;

/// One version, before it has keys.
struct Draft {
    operation: usize,
    key: ResourceKey,
    previous: Option<VersionId>,
    action: Action,
    template: Option<Template>,
    rows: IndexRows,
    patients: Vec<ResourceId>,
    sort_us: Option<i64>,
}

/// Prepares a submission against a snapshot.
///
/// # Errors
/// Whatever makes an operation impossible: preconditions, several matches, no right to write there.
pub(crate) async fn prepare(
    app: &App,
    submission: &Arc<Submission>,
    plan: &Arc<Plan>,
    snapshot: &Arc<Snapshot>,
) -> Answered<Prepared> {
    let (shared, planned) = (Arc::clone(submission), Arc::clone(plan));
    let answers = Arc::clone(snapshot);
    let contents = patched::contents(app, submission, plan, snapshot).await?;
    let (mut decisions, targets) = work::run(submission.is_long(), move || {
        let patched = Patched::of(&shared, &planned, &contents);
        let mut decided = decide(&shared, &planned, &answers, &patched)?;
        patched.check()?;
        let targets = Targets::of(&shared, &planned, &mut decided)?;
        Ok::<_, Fault>((decided.into_list(), targets))
    })
    .await??;
    // Before a key is taken: a set that is sealed under one that was destroyed meanwhile is stale.
    let erasures = app.payloads.erasures();
    let before = contents_before(app, submission, plan, &decisions).await?;
    let (shared, planned) = (Arc::clone(submission), Arc::clone(plan));
    let index_key = app.store.index_key().clone();
    let params = Arc::clone(&snapshot.reading().params);
    let in_force = Arc::clone(&params);
    let (decisions, drafts) = work::run(submission.is_long(), move || {
        let (submission, plan, params) = (&*shared, &*planned, in_force);
        let job = Drafting { submission, plan, targets, before, index_key, params };
        let drafts = job.all(&mut decisions)?;
        Ok::<_, Fault>((decisions, drafts))
    })
    .await??;
    let mut prepared = assemble(app, submission, snapshot, decisions, drafts).await?;
    if !prepared.set.writes.is_empty() || snapshot.depends_on_params() {
        // Rows that were made for other parameters would be missing or too many.
        prepared.set.depends.push(Dependency {
            permit: Permit::maintenance(),
            asked: Match::SearchParams,
            found: MatchOutcome::SearchParams(params.change),
        });
        prepared.set.depends.push(Dependency {
            permit: Permit::maintenance(),
            asked: Match::Erasures,
            found: MatchOutcome::Erasures(erasures),
        });
    }
    Ok(prepared)
}

/// What drafts are made from.
struct Drafting<'p> {
    submission: &'p Submission,
    plan: &'p Plan,
    targets: Targets,
    /// Contents that updates would replace.
    before: HashMap<usize, Unchanged>,
    index_key: IndexKey,
    params: Arc<Loaded>,
}

impl Drafting<'_> {
    /// Drafts all versions, in the order of the standard; updates that change nothing become
    /// [`Decision::Unchanged`].
    fn all(mut self, decisions: &mut [Decision]) -> Answered<Vec<Draft>> {
        let resources = self.submission.resources();
        let mut order = order_of_standard(self.submission);
        order.retain(|at| matches!(decisions[*at], Decision::Write { .. }));
        let drafted = work::each(&order, |at| {
            self.one(*at, &decisions[*at], resources[*at])
                .map_err(|fault| self.submission.placed(*at, fault))
        });
        let mut drafts = Vec::with_capacity(order.len());
        for (at, draft) in order.into_iter().zip(drafted) {
            match (draft?, self.before.remove(&at)) {
                (None, Some(before)) => decisions[at] = Decision::Unchanged(Box::new(before)),
                (draft, _) => drafts.extend(draft),
            }
        }
        Ok(drafts)
    }

    /// The draft of one version; `None` when it would say what is stored already.
    fn one(
        &self,
        operation: usize,
        decision: &Decision,
        node: Option<Node<'_>>,
    ) -> Answered<Option<Draft>> {
        let Decision::Write { key, previous, action, .. } = decision else {
            return Err(Fault::new(FaultKind::Internal, "only writes are drafted"));
        };
        let draft = |template| Draft {
            operation,
            key: key.clone(),
            previous: *previous,
            action: *action,
            template: Some(template),
            rows: IndexRows::default(),
            patients: Vec::new(),
            sort_us: None,
        };
        if *action == Action::Delete {
            return Ok(Some(draft(tombstone(key))));
        }
        let base = &self.submission.base;
        let links = self.plan.steps[operation].links.iter();
        let replacements: Vec<_> =
            links.filter_map(|link| self.targets.replacement(link, base)).collect();
        let patched = self.patched(operation, node, &replacements)?;
        // A patch has taken the replacements in.
        let (node, replacements) = match &patched {
            Some(patched) => (patched.root(), Vec::new()),
            None => (node.ok_or_else(without_body)?, replacements),
        };
        let template = Template::prepare(node, &key.id, &replacements);
        if template.filled_bytes_max() > CONTENT_BYTES_MAX {
            return Err(Fault::new(FaultKind::TooLarge, "the resource is too large"));
        }
        if self.changes_nothing(operation, node, &template, replacements.is_empty()) {
            return Ok(None);
        }
        if key.resource_type == ResourceType::SUBSCRIPTION {
            subscription::expect_silent(node)?;
        }
        if let (true, Some(before)) = (patched.is_some(), self.before.get(&operation)) {
            let stored = Tree::parse(before.body.to_vec()).map_err(Fault::invalid)?;
            plan::expect_named(node, stored.root())?;
        }
        if replacements.is_empty() {
            let mut draft = draft(template);
            self.index(&mut draft, node)?;
            return Ok(Some(draft));
        }
        // Index and compartments follow the references as they will be stored.
        let bytes = template.fill(VersionId::FIRST, Instant::from_micros(0));
        let rewritten = Tree::parse(bytes).map_err(Fault::invalid)?;
        let mut draft = draft(template);
        self.index(&mut draft, rewritten.root())?;
        Ok(Some(draft))
    }

    /// The resource that a PATCH makes of the one that is stored; `None` for any other operation.
    fn patched(
        &self,
        operation: usize,
        node: Option<Node<'_>>,
        replacements: &[(Range<usize>, String)],
    ) -> Answered<Option<Tree>> {
        let Some(patch) = self.submission.operations[operation].verb.patch() else {
            return Ok(None);
        };
        let before = self.before.get(&operation);
        let before = before.ok_or_else(|| {
            Fault::new(FaultKind::Deleted, "the content of the resource has been erased")
        })?;
        patch.applied(node, replacements, &before.body).map(Some)
    }

    fn index(&self, draft: &mut Draft, node: Node<'_>) -> Answered<()> {
        let (of, base) = (draft.key.resource_type, self.submission.base.as_str());
        if of == search_parameter() {
            self.params.check(&draft.key.id, node)?;
        }
        draft.rows = index_rows_with(node, of, base, &self.index_key, &self.params.set);
        draft.patients = match of {
            // A link may name a mistaken duplicate, so it makes nobody see another's demographics.
            ResourceType::PATIENT => vec![draft.key.id.clone()],
            _ => fhir::patient_compartment(node, &draft.key, base),
        };
        draft.sort_us = fhir::sort_time(node, of);
        Ok(())
    }

    /// True when the content, as it would be stored, is what is stored (FHIR R4 http.html#update leaves it to the
    /// server whether that makes a version; one without a change is only noise in history).
    fn changes_nothing(
        &self,
        operation: usize,
        node: Node<'_>,
        template: &Template,
        as_sent: bool,
    ) -> bool {
        let Some(before) = self.before.get(&operation) else { return false };
        if self.targets.versioned.contains(&operation) {
            return false;
        }
        let Ok(stored) = Tree::parse(before.body.to_vec()) else { return false };
        if as_sent && body_id(node).is_some_and(|id| id == before.key.id) {
            return same_content(node, stored.root());
        }
        let filled = Tree::parse(template.fill(before.version, before.updated));
        filled.is_ok_and(|filled| same_content(filled.root(), stored.root()))
    }
}

/// Decoding sees to it that whatever stores a resource has one.
fn without_body() -> Fault {
    Fault::new(FaultKind::Internal, "a write has no resource")
}

/// What is sealed for a deletion: the resource's identity, version and time, and nothing else.
fn tombstone(key: &ResourceKey) -> Template {
    let bytes = format!("{{\"resourceType\":\"{}\"}}", key.resource_type.name()).into_bytes();
    let tree = Tree::parse(bytes).expect("an object with one member is JSON");
    Template::prepare(tree.root(), &key.id, &[])
}

async fn assemble(
    app: &App,
    submission: &Submission,
    snapshot: &Snapshot,
    decisions: Vec<Decision>,
    drafts: Vec<Draft>,
) -> Answered<Prepared> {
    let compartments = drafts.iter().flat_map(compartments).collect();
    let fresh = drafts.iter().filter_map(fresh_compartment).collect();
    let keys = app.payloads.keys(compartments, &fresh).await?;
    let sealed = move || {
        let ready = drafts.into_iter().map(|draft| Ready::of(draft, &keys));
        ready.collect::<Answered<Vec<Ready>>>().map(|ready| (ready, keys.into_made()))
    };
    let (ready, (new_keys, made_keys)) = work::run(submission.is_long(), sealed).await??;
    let mut writes = Vec::with_capacity(ready.len());
    let mut contents = HashMap::with_capacity(ready.len());
    let mut patients = BTreeSet::new();
    for one in ready {
        patients.extend(one.draft.patients.iter().cloned());
        contents.insert(one.draft.operation, (writes.len(), Arc::clone(&one.template)));
        writes.push(one.write(app).await?);
    }
    let set = WriteSet {
        writes,
        depends: snapshot.dependencies(),
        new_keys,
        idempotency: submission.idempotency.clone(),
        access: None,
        reads: submission.reads.clone(),
        erasing: None,
    };
    Ok(Prepared { set, made_keys, decisions, contents, patients })
}
