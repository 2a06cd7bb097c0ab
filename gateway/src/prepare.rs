//! From decisions to a write set: references rewritten, index rows extracted, contents made ready to seal.
//!
//! CPU work on plain data, entry by entry, off the I/O thread and on all cores when there is much of it;
//! then the keys, and large contents into the object store. Nothing here depends on what only the writer knows.
//! Not here: the decisions (`snapshot`), the final bytes (`finish`).

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use fhir::{Instant, Node, ResourceId, ResourceKey, ResourceType, Template, Tree, VersionId};
use registry::hash::IndexKey;
use registry::index::IndexRows;
use registry::write_set::{Action, Write, WriteSet};
use repository::{CONTENT_BYTES_MAX, DataKey, INLINE_BYTES_MAX, Sealer, StagedObject};

use crate::app::App;
use crate::condition::Candidates;
use crate::error::{Answered, Fault, FaultKind};
use crate::finish::VersionFinish;
use crate::payload::Keys;
use crate::plan::{LinkTarget, Plan, refuse_doubles};
use crate::snapshot::{Decision, Snapshot};
use crate::submission::{Submission, Verb};
use crate::work;

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

/// Reference values to put into one resource.
type Replacements = Vec<(Range<usize>, String)>;

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
    let (answers, index_key) = (Arc::clone(snapshot), app.store.index_key().clone());
    let (decisions, drafts) = work::run(submission.is_long(), move || {
        let decisions = decide(&shared, &planned, &answers)?;
        let targets = targets(&shared, &planned, &answers, &decisions)?;
        let drafts = draft_all(&shared, &planned, &decisions, &targets, &index_key)?;
        Ok::<_, Fault>((decisions, drafts))
    })
    .await??;
    assemble(app, submission, snapshot, decisions, drafts).await
}

fn decide(submission: &Submission, plan: &Plan, snapshot: &Snapshot) -> Answered<Vec<Decision>> {
    let mut decisions = Vec::with_capacity(plan.steps.len());
    let mut conditional: HashMap<usize, usize> = HashMap::new();
    for (at, (operation, step)) in submission.operations.iter().zip(&plan.steps).enumerate() {
        let mut decision =
            snapshot.decide(operation, step).map_err(|fault| placed(submission, at, fault))?;
        let creates = matches!(decision, Decision::Write { action: Action::Create, .. });
        if let (true, Some(condition)) = (creates, step.condition) {
            match conditional.get(&condition) {
                Some(first) => decision = Decision::SameAs(*first),
                None => {
                    conditional.insert(condition, at);
                }
            }
        }
        decisions.push(decision);
    }
    refuse_doubles(decisions.iter().filter_map(|decision| match decision {
        Decision::Write { key, .. } => Some(key),
        _ => None,
    }))?;
    Ok(decisions)
}

/// For each operation, the resource that references to its entry will name; then the conditional ones.
struct Targets {
    steps: Vec<Option<ResourceKey>>,
    asks: HashMap<usize, ResourceKey>,
}

fn targets(
    submission: &Submission,
    plan: &Plan,
    snapshot: &Snapshot,
    decisions: &[Decision],
) -> Answered<Targets> {
    let key_of = |decision: &Decision| match decision {
        Decision::Write { key, .. } | Decision::Exists(key) => Some(key.clone()),
        Decision::SameAs(first) => match &decisions[*first] {
            Decision::Write { key, .. } => Some(key.clone()),
            _ => None,
        },
        Decision::Nothing | Decision::Read => None,
    };
    let steps: Vec<_> = decisions.iter().map(key_of).collect();
    let mut asks = HashMap::new();
    let mut made = HashMap::new();
    for (at, step) in plan.steps.iter().enumerate() {
        for link in &step.links {
            let LinkTarget::Ask(ask) = link.target else { continue };
            if asks.contains_key(&ask) {
                continue;
            }
            let key = conditional_target(submission, snapshot, decisions, ask, &mut made)
                .map_err(|fault| placed(submission, at, fault))?;
            asks.insert(ask, key);
        }
    }
    Ok(Targets { steps, asks })
}

/// The one resource that a conditional reference means: in the registry, or made by this transaction.
fn conditional_target<'s>(
    submission: &'s Submission,
    snapshot: &Snapshot,
    decisions: &[Decision],
    ask: usize,
    made: &mut HashMap<ResourceType, Candidates<'s>>,
) -> Answered<ResourceKey> {
    let (resource_type, query) = snapshot.query(ask).expect("a conditional reference has criteria");
    let known = snapshot.matches(ask).iter().cloned();
    let mut found: BTreeSet<ResourceId> = known.collect();
    let candidates = made
        .entry(resource_type)
        .or_insert_with(|| made_here(submission, decisions, resource_type));
    let made = candidates.matching(query).ok_or_else(|| {
        let text = "too many conditional references; refer to entries by their fullUrl";
        Fault::new(FaultKind::Unprocessable, text)
    })?;
    found.extend(made);
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(ResourceKey { resource_type, id }),
        (None, _) => Err(Fault::new(
            FaultKind::PreconditionFailed,
            format!("a conditional reference to {} matches nothing", resource_type.name()),
        )),
        (Some(_), Some(_)) => Err(Fault::new(
            FaultKind::PreconditionFailed,
            format!("a conditional reference to {} matches several", resource_type.name()),
        )),
    }
}

/// Resources of a type that the running transaction writes.
fn made_here<'s>(
    submission: &'s Submission,
    decisions: &[Decision],
    wanted: ResourceType,
) -> Candidates<'s> {
    let made = submission.resources().into_iter().zip(decisions).filter_map(|(node, decision)| {
        let Decision::Write { key, action, .. } = decision else { return None };
        let wanted = key.resource_type == wanted && *action != Action::Delete;
        Some((wanted.then(|| key.id.clone())?, node?))
    });
    Candidates::of(wanted, made, &submission.base)
}

fn draft_all(
    submission: &Submission,
    plan: &Plan,
    decisions: &[Decision],
    targets: &Targets,
    index_key: &IndexKey,
) -> Answered<Vec<Draft>> {
    let resources = submission.resources();
    let mut order: Vec<usize> = (0..decisions.len())
        .filter(|at| matches!(decisions[*at], Decision::Write { .. }))
        .collect();
    order.sort_by_key(|at| step_of_standard(&submission.operations[*at].verb));
    let drafts = work::each(&order, |at| {
        let replacements = replacements(plan, targets, *at);
        draft(*at, &decisions[*at], resources[*at], &replacements, &submission.base, index_key)
            .map_err(|fault| placed(submission, *at, fault))
    });
    drafts.into_iter().collect()
}

/// DELETE, POST, PUT (FHIR R4 http.html#trules).
fn step_of_standard(verb: &Verb) -> u8 {
    match verb {
        Verb::Delete { .. } | Verb::DeleteWhere { .. } => 0,
        Verb::Create { .. } => 1,
        Verb::Update { .. } | Verb::UpdateWhere { .. } => 2,
        Verb::Read { .. } => 3,
    }
}

fn replacements(plan: &Plan, targets: &Targets, at: usize) -> Replacements {
    let links = plan.steps[at].links.iter();
    links
        .filter_map(|link| {
            let key = match link.target {
                LinkTarget::Step(step) => targets.steps[step].as_ref(),
                LinkTarget::Ask(ask) => targets.asks.get(&ask),
            };
            // Types and ids hold no character that JSON escapes.
            key.map(|key| (link.span.clone(), format!("\"{key}\"")))
        })
        .collect()
}

fn draft(
    operation: usize,
    decision: &Decision,
    node: Option<Node<'_>>,
    replacements: &Replacements,
    base: &str,
    index_key: &IndexKey,
) -> Answered<Draft> {
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
    let Some(node) = node.filter(|_| *action != Action::Delete) else {
        return Ok(draft(tombstone(key)));
    };
    let template = Template::prepare(node, &key.id, replacements);
    if template.filled_bytes_max() > CONTENT_BYTES_MAX {
        return Err(Fault::new(FaultKind::TooLarge, "the resource is too large"));
    }
    if replacements.is_empty() {
        let mut draft = draft(template);
        index(&mut draft, node, base, index_key);
        return Ok(draft);
    }
    // Index and compartments follow the references as they will be stored.
    let bytes = template.fill(VersionId::FIRST, Instant::from_micros(0));
    let rewritten = Tree::parse(bytes).map_err(Fault::invalid)?;
    let mut draft = draft(template);
    index(&mut draft, rewritten.root(), base, index_key);
    Ok(draft)
}

fn index(draft: &mut Draft, node: Node<'_>, base: &str, index_key: &IndexKey) {
    let of = draft.key.resource_type;
    draft.rows = registry::index::index_rows(node, of, base, index_key);
    draft.patients = match of {
        // A link may name a mistaken duplicate, so it makes nobody see another's demographics.
        ResourceType::PATIENT => vec![draft.key.id.clone()],
        _ => fhir::patient_compartment(node, &draft.key, base),
    };
    draft.sort_us = fhir::sort_time(node, of);
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
    };
    Ok(Prepared { set, made_keys, decisions, contents, patients })
}

/// A version with its keys.
struct Ready {
    draft: Draft,
    template: Arc<Template>,
    sealer: Sealer,
}

impl Ready {
    fn of(mut draft: Draft, keys: &Keys) -> Answered<Self> {
        let own = keys.of(&compartments(&draft));
        let sealer = Sealer::prepare(&draft.key, &own)
            .map_err(|error| Fault::new(FaultKind::Unprocessable, error.to_string()))?;
        let template = draft.template.take().expect("a draft has its template");
        Ok(Self { draft, template: Arc::new(template), sealer })
    }

    /// The write; a large content goes to the object store first.
    async fn write(self, app: &App) -> Answered<Write> {
        let Self { draft, template, sealer } = self;
        let staged = if template.filled_bytes_max() > INLINE_BYTES_MAX {
            let content = template.fill(VersionId::FIRST, Instant::from_micros(0));
            let staged = StagedObject::write(&sealer, content.into(), app.payloads.objects()).await;
            Some(staged.map_err(|error| {
                tracing::error!(cause = %error, "an object was not written");
                let text = "the content cannot be stored now; retry later";
                Fault::new(FaultKind::Unavailable, text)
            })?)
        } else {
            None
        };
        Ok(Write {
            key: draft.key,
            previous: draft.previous,
            action: draft.action,
            finish: Box::new(VersionFinish::new(template, sealer, staged)),
            rows: draft.rows,
            patients: draft.patients,
            sort_us: draft.sort_us,
        })
    }
}

/// Compartment of a patient whose id was chosen just now: it cannot have a key.
fn fresh_compartment(draft: &Draft) -> Option<String> {
    let is_new = draft.action == Action::Create && draft.key.resource_type == ResourceType::PATIENT;
    is_new.then(|| draft.key.to_string())
}

/// `Patient/id` of each compartment; the tenant's empty name for none.
fn compartments(draft: &Draft) -> Vec<String> {
    if draft.patients.is_empty() {
        return vec![String::new()];
    }
    draft.patients.iter().map(|id| format!("Patient/{id}")).collect()
}

fn placed(submission: &Submission, at: usize, fault: Fault) -> Fault {
    match submission.place(&submission.operations[at]) {
        Some(place) => fault.at(&place),
        None => fault,
    }
}
