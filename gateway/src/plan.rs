//! The plan of a submission: a permit for each operation, the lookups it needs, the references it rewrites.
//!
//! Made once from the document alone; it asks nothing of the registry. New ids are chosen here, so that
//! they stay the same however often the submission is prepared.
//! Not here: the answers to the lookups (`snapshot`), the rewriting (`prepare`).

mod named;

use std::collections::HashMap;
use std::ops::Range;

use fhir::{
    LinkAt, LinkPlace, Node, ParsedReference, ResourceId, ResourceKey, ResourceType, below_base,
    first_base, links,
};
use policy::{AccessRequest, Permit, Principal};

pub(crate) use self::named::expect_named;
use self::named::{is_urn, is_without_criteria, named, unnamed, without_criteria};
use crate::error::Answered;
use crate::http::call::refusal;
use crate::submission::{Operation, Submission, Verb, body_id};

/// What is to be looked up and done.
pub(crate) struct Plan {
    /// In the order of the submission's operations.
    pub(crate) steps: Vec<Step>,
    /// Each lookup once.
    pub(crate) asks: Vec<Ask>,
}

/// One operation.
pub(crate) struct Step {
    /// Leave to do it.
    pub(crate) permit: Permit,
    /// The key of a new resource, should one be made.
    pub(crate) new_key: Option<ResourceKey>,
    /// Lookup of its criteria.
    pub(crate) condition: Option<usize>,
    /// Lookup of its current version.
    pub(crate) current: Option<usize>,
    /// Strings with references to rewrite.
    pub(crate) links: Vec<Link>,
}

/// One lookup with the permit it is asked under.
#[derive(Clone)]
pub(crate) struct Ask {
    /// Under which permit.
    pub(crate) permit: Permit,
    /// What.
    pub(crate) asked: Asked,
}

/// What is looked up.
#[derive(Clone)]
pub(crate) enum Asked {
    /// Current version of a resource.
    Key(ResourceKey),
    /// Resources of a type that meet criteria, as they were written.
    Criteria(ResourceType, String),
}

/// One string with references to rewrite: a reference, an address, or narrative with several.
pub(crate) struct Link {
    /// The JSON string in the document.
    pub(crate) span: Range<usize>,
    /// The string with escapes resolved.
    pub(crate) text: String,
    /// What in it is to be replaced, ascending.
    pub(crate) parts: Vec<LinkPart>,
    /// Where it stands: elsewhere than in a reference, the URL of a resource that keeps its id stays as it is.
    pub(crate) is_reference: bool,
}

/// One reference within a string.
pub(crate) struct LinkPart {
    /// Its bytes in the string.
    pub(crate) range: Range<usize>,
    /// What it will name.
    pub(crate) target: LinkTarget,
    /// It names a version, and will name the one that the transaction leaves.
    pub(crate) versioned: bool,
}

/// What a reference will name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LinkTarget {
    /// The resource of another operation.
    Step(usize),
    /// The one match of a lookup.
    Ask(usize),
}

/// The entries that can be named, by their `fullUrl`.
struct FullUrls<'s> {
    /// Those of our own resources without the base: below each of our bases they are the same.
    urls: HashMap<&'s str, usize>,
    bases: &'s str,
    /// Whether these are all: a URN that is none of them names nothing.
    all: bool,
}

impl<'s> FullUrls<'s> {
    fn of(submission: &'s Submission) -> Self {
        let named = submission.operations.iter().enumerate().filter_map(|(at, operation)| {
            operation.verb.makes()?;
            let url = operation.full_url.as_deref()?;
            Some((below_base(url, &submission.base).unwrap_or(url), at))
        });
        let all = submission.is_transaction;
        Self { urls: named.collect(), bases: &submission.base, all }
    }

    /// The entry that a text names, and whether it names a version of it. Relative URLs stand beside the `fullUrl` of
    /// their own entry (FHIR R4 bundle.html#references).
    fn find(&self, text: &str, operation: &Operation) -> Option<(LinkTarget, bool)> {
        if text.starts_with('#') {
            return None;
        }
        let is_url = text.contains(':');
        let text = below_base(text, self.bases).unwrap_or(text);
        if is_url && let Some(at) = self.urls.get(text) {
            return Some((LinkTarget::Step(*at), false));
        }
        let (stem, versioned) = match text.split_once("/_history/") {
            Some((stem, _)) => (stem, true),
            None => (text, false),
        };
        let absolute;
        let url = match ParsedReference::parse(stem, "") {
            ParsedReference::Local { key, .. } if !is_url => {
                let beside = operation.full_url.as_deref().and_then(service_root);
                absolute = format!("{}/{key}", beside.unwrap_or(first_base(self.bases)));
                below_base(&absolute, self.bases).unwrap_or(&absolute)
            }
            _ => stem,
        };
        self.urls.get(url).map(|at| (LinkTarget::Step(*at), versioned))
    }
}

/// Builds the list of lookups without doubles.
struct Asks<'p> {
    principal: &'p Principal,
    list: Vec<Ask>,
    queries: HashMap<(ResourceType, String), usize>,
    keys: HashMap<ResourceKey, usize>,
}

impl Plan {
    /// Plans a submission for a caller.
    ///
    /// # Errors
    /// The first operation that the caller may not do.
    pub(crate) fn of(submission: &Submission, principal: &Principal) -> Answered<Self> {
        let mut asks =
            Asks { principal, list: Vec::new(), queries: HashMap::new(), keys: HashMap::new() };
        let resources = submission.resources();
        let full_urls = FullUrls::of(submission);
        let mut steps = Vec::with_capacity(submission.operations.len());
        for (at, (operation, node)) in submission.operations.iter().zip(&resources).enumerate() {
            let planned = asks.step(operation, *node).and_then(|mut step| {
                if let Some(node) = node.filter(|_| operation.verb.is_linked()) {
                    step.links = asks.links(node, operation, &full_urls)?;
                }
                Ok(step)
            });
            steps.push(planned.map_err(|fault| submission.placed(at, fault))?);
        }
        Ok(Self { steps, asks: asks.list })
    }

    /// The first operation that a lookup is for.
    pub(crate) fn asking(&self, ask: usize) -> Option<usize> {
        self.steps.iter().position(|step| {
            let mut parts = step.links.iter().flat_map(|link| &link.parts);
            [step.condition, step.current].contains(&Some(ask))
                || parts.any(|part| part.target == LinkTarget::Ask(ask))
        })
    }
}

impl Asks<'_> {
    fn step(&mut self, operation: &Operation, node: Option<Node<'_>>) -> Answered<Step> {
        let step = |permit| Step {
            permit,
            new_key: None,
            condition: None,
            current: None,
            links: Vec::new(),
        };
        match &operation.verb {
            Verb::Create { resource_type, if_none_exist } => {
                let mut step = step(self.permit(&AccessRequest::Create(*resource_type))?);
                step.new_key = Some(new_key(*resource_type));
                if let Some(unless) = if_none_exist {
                    step.condition = Some(self.query(*resource_type, &unless.query)?);
                }
                Ok(step)
            }
            Verb::Update { key, .. } => {
                let mut step = step(self.permit(&AccessRequest::Update(key.clone()))?);
                step.current = Some(self.key(key, &step.permit));
                Ok(step)
            }
            Verb::UpdateWhere { resource_type, query, .. } => {
                let key = match node.and_then(body_id) {
                    Some(id) => ResourceKey { resource_type: *resource_type, id },
                    None => new_key(*resource_type),
                };
                let mut step = step(self.permit(&AccessRequest::Update(key.clone()))?);
                step.condition = Some(self.query(*resource_type, query)?);
                step.current = Some(self.key(&key, &step.permit));
                step.new_key = Some(key);
                Ok(step)
            }
            Verb::Patch { key, .. } => {
                let mut step = step(self.permit(&AccessRequest::Patch(key.clone()))?);
                step.current = Some(self.key(key, &step.permit));
                Ok(step)
            }
            Verb::PatchWhere { resource_type, query, .. } => {
                let request = AccessRequest::Patch(new_key(*resource_type));
                let mut step = step(self.permit(&request)?);
                step.condition = Some(self.query(*resource_type, query)?);
                Ok(step)
            }
            Verb::Delete { key, .. } => {
                let mut step = step(self.permit(&AccessRequest::Delete(key.clone()))?);
                step.current = Some(self.key(key, &step.permit));
                Ok(step)
            }
            Verb::DeleteWhere { resource_type, query, .. } => {
                let request = AccessRequest::Delete(new_key(*resource_type));
                let mut step = step(self.permit(&request)?);
                step.condition = Some(self.query(*resource_type, query)?);
                Ok(step)
            }
            Verb::Read(_) => Ok(step(self.permit(&AccessRequest::Capability)?)),
        }
    }

    fn links(
        &mut self,
        node: Node<'_>,
        operation: &Operation,
        full_urls: &FullUrls<'_>,
    ) -> Answered<Vec<Link>> {
        // Without entries to name, only conditional references are rewritten, and URNs are wrong.
        let found = match full_urls.urls.is_empty().then(|| named(node)) {
            Some(plain) if !(full_urls.all && plain.iter().any(|one| is_urn(&one.text))) => plain,
            _ => links(node),
        };
        let mut links = Vec::new();
        for LinkAt { span, text, place } in found {
            let is_reference = place == LinkPlace::Reference;
            let ranges = match place {
                LinkPlace::Narrative(ranges) => ranges,
                LinkPlace::Reference | LinkPlace::Uri => std::iter::once(0..text.len()).collect(),
            };
            let mut parts = Vec::new();
            for range in ranges {
                let named = &text[range.clone()];
                let found = match full_urls.find(named, operation) {
                    None if is_reference && full_urls.all && is_urn(named) => {
                        return Err(unnamed(node, &span));
                    }
                    None if is_reference && is_without_criteria(named) => {
                        return Err(without_criteria(node, &span));
                    }
                    None if is_reference => self.conditional(named, full_urls.bases)?,
                    found => found,
                };
                if let Some((target, versioned)) = found {
                    parts.push(LinkPart { range, target, versioned });
                }
            }
            if !parts.is_empty() {
                links.push(Link { span, text, parts, is_reference });
            }
        }
        Ok(links)
    }

    fn conditional(&mut self, text: &str, base: &str) -> Answered<Option<(LinkTarget, bool)>> {
        match ParsedReference::parse(text, base) {
            ParsedReference::Conditional { resource_type, query } => {
                let ask = self.query(resource_type, &query)?;
                Ok(Some((LinkTarget::Ask(ask), false)))
            }
            _ => Ok(None),
        }
    }

    fn query(&mut self, resource_type: ResourceType, query: &str) -> Answered<usize> {
        if let Some(known) = self.queries.get(&(resource_type, query.to_owned())) {
            return Ok(*known);
        }
        let permit = self.permit(&AccessRequest::Match(resource_type))?;
        let asked = Asked::Criteria(resource_type, query.to_owned());
        self.list.push(Ask { permit, asked });
        let at = self.list.len() - 1;
        self.queries.insert((resource_type, query.to_owned()), at);
        Ok(at)
    }

    fn key(&mut self, key: &ResourceKey, permit: &Permit) -> usize {
        if let Some(known) = self.keys.get(key) {
            return *known;
        }
        self.list.push(Ask { permit: permit.clone(), asked: Asked::Key(key.clone()) });
        let at = self.list.len() - 1;
        self.keys.insert(key.clone(), at);
        at
    }

    fn permit(&self, request: &AccessRequest) -> Answered<Permit> {
        policy::decide(self.principal, request)
            .map_err(|deny| refusal(self.principal, request, &deny))
    }
}

/// Operations in the order in which they are applied.
pub(crate) fn order_of_standard(submission: &Submission) -> Vec<usize> {
    let mut order: Vec<usize> = (0..submission.operations.len()).collect();
    order.sort_by_key(|at| match &submission.operations[*at].verb {
        Verb::Delete { .. } | Verb::DeleteWhere { .. } => 0,
        Verb::Create { if_none_exist: None, .. } => 1,
        Verb::Create { if_none_exist: Some(_), .. } => 2,
        Verb::Update { .. } | Verb::Patch { .. } => 3,
        Verb::UpdateWhere { .. } | Verb::PatchWhere { .. } => 4,
        Verb::Read(_) => 5,
    });
    order
}

/// A key that nobody has: the id is a UUID of version 7, so new keys lie side by side in the indexes.
fn new_key(resource_type: ResourceType) -> ResourceKey {
    let text = uuid::Uuid::now_v7().to_string();
    let id = ResourceId::parse(&text).expect("a UUID is 36 of the allowed characters");
    ResourceKey { resource_type, id }
}

/// `http://host/fhir/Patient/1` → `http://host/fhir`.
fn service_root(full_url: &str) -> Option<&str> {
    if !full_url.starts_with("http") {
        return None;
    }
    let (rest, _id) = full_url.rsplit_once('/')?;
    rest.rsplit_once('/').map(|(root, _type)| root)
}
