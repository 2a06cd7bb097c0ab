//! From decisions to a write set: references rewritten, index rows extracted, contents made ready to seal.
//!
//! CPU work on plain data, entry by entry, off the I/O thread and on all cores when there is much of it;
//! then the keys, and large contents into the object store. Nothing here depends on what only the writer knows.
//! Not here: the decisions (`decide`), the final bytes (`finish`).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use fhir::{
    Instant, Node, ResourceId, ResourceKey, ResourceType, Template, Tree, VersionId, same_content,
    write_json_string,
};
use policy::Permit;
use registry::hash::IndexKey;
use registry::index::{IndexRows, index_rows_with};
use registry::params::search_parameter;
use registry::write_set::{Action, Dependency, Match, MatchOutcome, Write, WriteSet};
use repository::{CONTENT_BYTES_MAX, DataKey, INLINE_BYTES_MAX, Sealer, StagedObject};

use crate::app::App;
use crate::decide::{Decided, Decision, decide, placed};
use crate::error::{Answered, Fault, FaultKind};
use crate::finish::VersionFinish;
use crate::payload::Keys;
use crate::plan::{Link, LinkPart, LinkTarget, Plan, order_of_standard};
use crate::search_params::Loaded;
use crate::snapshot::{Snapshot, Unchanged, contents_before};
use crate::submission::{Submission, body_id};
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
    let (mut decisions, targets) = work::run(submission.is_long(), move || {
        let mut decided = decide(&shared, &planned, &answers)?;
        let targets = Targets::of(&shared, &planned, &mut decided)?;
        Ok::<_, Fault>((decided.into_list(), targets))
    })
    .await??;
    let before = contents_before(app, plan, &decisions).await?;
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
    }
    Ok(prepared)
}

/// For each operation, the resource that references to its entry will name; then the conditional ones.
struct Targets {
    steps: Vec<Option<(ResourceKey, VersionId)>>,
    asks: HashMap<usize, ResourceKey>,
    /// Operations whose version is named by another: they make the version that was foreseen.
    versioned: HashSet<usize>,
}

impl Targets {
    fn of(submission: &Submission, plan: &Plan, decided: &mut Decided<'_>) -> Answered<Self> {
        let steps = (0..plan.steps.len()).map(|at| decided.target(at)).collect();
        let mut targets = Self { steps, asks: HashMap::new(), versioned: HashSet::new() };
        for (at, step) in plan.steps.iter().enumerate() {
            for part in step.links.iter().flat_map(|link| &link.parts) {
                match part.target {
                    LinkTarget::Step(step) if part.versioned => {
                        targets.versioned.insert(step);
                    }
                    LinkTarget::Ask(ask) if !targets.asks.contains_key(&ask) => {
                        let key = decided.referred(ask);
                        let key = key.map_err(|fault| placed(submission, at, fault))?;
                        targets.asks.insert(ask, key);
                    }
                    _ => {}
                }
            }
        }
        Ok(targets)
    }

    /// The JSON string that takes a link's place; `None` when it stays as it is.
    fn replacement(&self, link: &Link, base: &str) -> Option<(Range<usize>, String)> {
        let (mut text, mut from) = (String::with_capacity(link.text.len()), 0);
        for part in &link.parts {
            let Some(named) = self.named(part) else { continue };
            let former = &link.text[part.range.clone()];
            let own = former.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
            if !link.is_reference && own == Some(&named) {
                continue;
            }
            text.push_str(&link.text[from..part.range.start]);
            text.push_str(&named);
            from = part.range.end;
        }
        if from == 0 {
            return None;
        }
        text.push_str(&link.text[from..]);
        let mut json = Vec::with_capacity(text.len() + 2);
        write_json_string(&text, &mut json);
        Some((link.span.clone(), String::from_utf8(json).expect("JSON of a text is text")))
    }

    /// The reference that takes the place of one part.
    fn named(&self, part: &LinkPart) -> Option<String> {
        match part.target {
            LinkTarget::Step(step) => {
                let (key, version) = self.steps[step].as_ref()?;
                Some(match part.versioned {
                    true => format!("{key}/_history/{version}"),
                    false => key.to_string(),
                })
            }
            LinkTarget::Ask(ask) => self.asks.get(&ask).map(ToString::to_string),
        }
    }
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
                .map_err(|fault| placed(self.submission, *at, fault))
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
            finish: Arc::new(VersionFinish::new(template, sealer, staged)),
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
