//! One walk over a resource by R4's own rules, and from each resource in it to the profiles that it claims.
//!
//! Spec: FHIR R4 validation.html. Recursion is bounded by the depth of the document and of profiles ([`NESTING_MAX`]),
//! the work of expressions by a budget for the whole document, findings by [`FINDINGS_MAX`].
//! Not here: the shape of R4 (`fhir::check`), rules of profiles (`conform`), of bundles (`bundle`).

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use fhir::{Declared, IssueType, Node, Severity};
use fhirpath::{Context, Element, EvaluationError, Expression, Host, Item, STEPS_MAX};

use crate::codes::{Codes, Membership};
use crate::conform::context_fits;
use crate::extensions::known;
use crate::finding::{FINDINGS_MAX, Finding};
use crate::profiles::Profiles;
use crate::reference::{Target, target};
use crate::rule::Profile;
use crate::rules::{ElementRules, rules};

/// What is checked of a resource.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// Canonical URLs of profiles that it must conform to.
    pub profiles: Vec<String>,
    /// Whether the profiles in `meta.profile` are checked too.
    pub claims: bool,
}

/// Checks resources; borrows what it knows.
#[derive(Clone, Copy)]
pub struct Validator<'v> {
    profiles: &'v Profiles,
    codes: &'v dyn Codes,
}

impl<'v> Validator<'v> {
    /// A validator with these profiles and codes.
    #[must_use]
    pub fn new(profiles: &'v Profiles, codes: &'v dyn Codes) -> Self {
        Self { profiles, codes }
    }

    /// All findings on a resource whose shape has been checked (`fhir::check`); broken shapes give odd findings, no harm.
    #[must_use]
    pub fn validate(&self, resource: Node<'_>, checks: &Checks) -> Report {
        let walk = Walk {
            profiles: self.profiles,
            codes: self.codes,
            claims: checks.claims,
            findings: RefCell::default(),
            steps: Cell::new(DOCUMENT_STEPS_MAX),
            nesting: Cell::new(0),
            missing: RefCell::default(),
        };
        let element = Element::resource(resource);
        walk.resource(element, None);
        let place = walk.place(element, None);
        for url in &checks.profiles {
            walk.claimed(element, &place, url, resource);
        }
        let missing = walk.missing.into_inner().into_iter().collect();
        Report { findings: walk.findings.into_inner(), missing }
    }
}

/// What a validation found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is to be said.
    pub findings: Vec<Finding>,
    /// Canonical URLs that were looked for and are not known, at most `MISSING_MAX`: with them it may find more.
    pub missing: Vec<String>,
}

/// The state of one validation.
pub(crate) struct Walk<'v> {
    profiles: &'v Profiles,
    pub(crate) codes: &'v dyn Codes,
    claims: bool,
    findings: RefCell<Vec<Finding>>,
    /// Steps of expressions left for the whole document.
    steps: Cell<u64>,
    /// How many profiles are being checked within each other.
    pub(crate) nesting: Cell<usize>,
    missing: RefCell<BTreeSet<String>>,
}

/// The resource that is walked, and the one that contains it or is it.
pub(crate) struct Place<'a> {
    pub(crate) container: Element<'a>,
    /// Contained resources of the container by id, once somebody has asked.
    contained: Rc<OnceCell<Contained<'a>>>,
    pub(crate) context: Context<'a>,
    /// Type and element of each step from the resource down to what is walked.
    pub(crate) trail: RefCell<Vec<(&'static str, &'a str)>>,
}

type Contained<'a> = HashMap<Cow<'a, str>, Node<'a>>;

impl<'a> Place<'a> {
    /// The contained resource of that id.
    pub(crate) fn contained(&self, id: &str) -> Option<Node<'a>> {
        let all = self.contained.get_or_init(|| {
            let list = self.container.value().and_then(|node| node.get("contained"));
            let each = list.into_iter().flat_map(Node::children);
            // Of two with one id the first counts.
            let named = each.filter_map(|node| Some((node.get("id")?.as_str()?, node)));
            let mut all = HashMap::new();
            named.for_each(|(id, node)| {
                all.entry(id).or_insert(node);
            });
            all
        });
        all.get(id).copied()
    }
}

impl<'v> Walk<'v> {
    pub(crate) fn place<'a>(&'a self, at: Element<'a>, within: Option<&Place<'a>>) -> Place<'a> {
        let container = within.map_or(at, |place| place.container);
        let contained = within.map(|place| Rc::clone(&place.contained)).unwrap_or_default();
        let steps = self.steps.get().min(STEPS_MAX);
        let context = Context::new(at, container, self).with_steps(steps);
        Place { container, contained, context, trail: RefCell::default() }
    }

    /// The profile of a canonical URL; one that is not known is noted.
    pub(crate) fn profile(&self, url: &str) -> Option<&'v Profile> {
        if let Some(profile) = self.profiles.find(url) {
            return Some(profile);
        }
        let mut missing = self.missing.borrow_mut();
        if missing.len() < MISSING_MAX && !missing.contains(url) {
            missing.insert(url.to_owned());
        }
        None
    }

    pub(crate) fn is_full(&self) -> bool {
        self.findings.borrow().len() >= FINDINGS_MAX
    }

    /// Adds a finding, unless the same has been said of the same place. What is no error leaves room for errors.
    pub(crate) fn report(&self, finding: Finding) {
        let mut findings = self.findings.borrow_mut();
        let most = if finding.is_error() { FINDINGS_MAX } else { FINDINGS_MAX / 2 };
        if findings.len() < most && !findings.contains(&finding) {
            findings.push(finding);
        }
    }

    pub(crate) fn error(&self, node: Node<'_>, code: IssueType, text: impl Into<String>) {
        self.report(Finding::at(node, Severity::Error, code, text.into()));
    }

    /// Runs a check without keeping what it says; whether it had no errors.
    pub(crate) fn silently(&self, check: impl FnOnce()) -> bool {
        let before = self.findings.take();
        check();
        let found = self.findings.replace(before);
        !found.iter().any(Finding::is_error)
    }

    /// A resource by R4's rules and by the profiles that it claims.
    pub(crate) fn resource<'a>(&'a self, at: Element<'a>, within: Option<&Place<'a>>) {
        let place = self.place(at, within);
        self.object(at, &place);
        if let Some(node) = at.value() {
            self.bundle(node);
            if self.claims {
                let meta = node.get("meta").and_then(|meta| meta.get("profile"));
                for claim in meta.into_iter().flat_map(Node::children) {
                    if let Some(url) = claim.as_str() {
                        self.claimed(at, &place, &url, claim);
                    }
                }
            }
        }
        let used = self.steps.get().min(STEPS_MAX) - place.context.steps_left();
        self.steps.set(self.steps.get().saturating_sub(used));
    }

    /// An object of a type: the invariants on it, then its elements.
    fn object<'a>(&'a self, at: Element<'a>, place: &Place<'a>) {
        if self.is_full() {
            return;
        }
        let of_type = rules().of(at.of());
        for key in of_type.map(|rules| rules.own.as_slice()).unwrap_or_default() {
            self.invariant(at, *key, place);
        }
        at.named_children(|name, child| {
            if let Some(element) = of_type.and_then(|rules| rules.element(name)) {
                self.element(child, element, place);
            }
            self.value(at, name, child, place);
        });
    }

    /// An element by the rules that its parent's type has for it.
    fn element<'a>(&'a self, at: Element<'a>, rules_of: &ElementRules, place: &Place<'a>) {
        for (only, key) in &rules_of.invariants {
            if only.is_none_or(|only| at.of().name() == Some(only)) {
                self.invariant(at, *key, place);
            }
        }
        if !rules_of.targets.is_empty() && at.of().name() == Some("Reference") {
            self.reference_type(at, &rules_of.targets, place);
        }
        if let Some((severity, url)) = rules_of.binding {
            self.binding(at, url, severity);
        }
    }

    /// What every value is checked for, and then what is in it.
    fn value<'a>(&'a self, parent: Element<'a>, name: &'a str, at: Element<'a>, place: &Place<'a>) {
        if at.of().is_resource() {
            self.resource(at, (name == "contained").then_some(place));
            return;
        }
        self.substance(at);
        self.form(at);
        match at.of().name() {
            Some("Extension") => self.extension(parent, name, at, place),
            Some("Coding" | "Quantity") => self.known_code(at),
            Some("Reference") => self.lost_reference(at, place),
            Some("xhtml") => self.links(at),
            Some("Identifier") => self.identifier(at),
            Some("ConceptMap.group") => self.mapped_codes(at),
            _ => {}
        }
        place.trail.borrow_mut().push((type_name(parent.of()), name));
        self.object(at, place);
        place.trail.borrow_mut().pop();
    }

    /// ele-1: a value or something besides an id.
    fn substance(&self, at: Element<'_>) {
        if at.has_value() {
            return;
        }
        let mut has_more = false;
        at.named_children(|name, _| has_more |= name != "id");
        if !has_more {
            let text = "the element has neither a value nor children (rule ele-1 of the standard)";
            self.error(at.node(), IssueType::Invariant, text);
        }
    }

    fn invariant<'a>(&'a self, at: Element<'a>, key: u16, place: &Place<'a>) {
        let invariant = rules().invariant(key);
        if self.by_hand(at, invariant) {
            return;
        }
        let Some(expression) = invariant.expression() else { return };
        match evaluate(expression, at, &place.context) {
            Ok(true) => {}
            Ok(false) => self.broken(at, invariant, ""),
            Err(EvaluationError::Budget) => self.too_costly(at.node(), invariant.key),
            // The standard's own rules assume shapes that another finding already says are not there.
            Err(_) => {}
        }
    }

    /// Says that a rule was not decided. That is no fault of the resource.
    pub(crate) fn too_costly(&self, node: Node<'_>, key: &str) {
        let text = format!("rule {key} was not decided: it took more steps than are allowed");
        self.report(Finding::at(node, Severity::Warning, IssueType::TooCostly, text));
    }

    /// Reports a reference to a type that is not allowed here.
    pub(crate) fn reference_type<'a>(
        &'a self,
        at: Element<'a>,
        allowed: &[impl AsRef<str>],
        place: &Place<'a>,
    ) {
        let Some(node) = at.value() else { return };
        let Some(of) = target(node, place).resource_type() else { return };
        if allowed.iter().any(|name| {
            matches!(name.as_ref(), "Resource" | "DomainResource") || name.as_ref() == of.name()
        }) {
            return;
        }
        let allowed: Vec<&str> = allowed.iter().map(AsRef::as_ref).collect();
        let text =
            format!("a reference to {of} is not allowed here, only to {}", allowed.join(", "));
        self.error(node, IssueType::Structure, text);
    }

    fn lost_reference(&self, at: Element<'_>, place: &Place<'_>) {
        let Some(node) = at.value() else { return };
        if matches!(target(node, place), Target::Missing) {
            let text = "there is no contained resource of that id (rule ref-1 of the standard)";
            self.error(node, IssueType::Invariant, text);
        }
    }

    fn extension<'a>(
        &'a self,
        parent: Element<'a>,
        name: &str,
        at: Element<'a>,
        place: &Place<'a>,
    ) {
        let Some(node) = at.value() else { return };
        let has = |wanted: &str| {
            let mut found = false;
            at.member(wanted, |_| found = true);
            found
        };
        if has("extension") == has("value") {
            let text =
                "an extension must have either a value or extensions (rule ext-1 of the standard)";
            self.error(node, IssueType::Invariant, text);
        }
        let Some(url) = node.get("url").and_then(Node::as_str) else { return };
        let is_nested = parent.of().name() == Some("Extension");
        if let Some(profile) = self.profile(&url) {
            if !context_fits(parent, profile.contexts(), place) {
                self.error(node, IssueType::Extension, "this extension may not stand here");
            }
            self.conform_to(at, profile, place);
        } else if let Some(known) = known(&url) {
            self.known_extension(parent, name, at, known, place);
        } else if name == "modifierExtension" {
            let text = "an unknown extension changes the meaning of what it stands in";
            self.error(node, IssueType::Extension, text);
        } else if !is_nested {
            let text = "the extension is not known here".to_owned();
            self.report(Finding::at(node, Severity::Information, IssueType::Informational, text));
        }
    }
}

/// Whether a rule holds; an answer that is no truth value is true.
pub(crate) fn evaluate<'t>(
    expression: &'t Expression,
    at: Element<'t>,
    context: &Context<'t>,
) -> Result<bool, EvaluationError> {
    expression.holds(at, context)
}

impl Host for Walk<'_> {
    fn member_of(&self, element: &Element<'_>, value_set: &str) -> Option<bool> {
        match self.membership(*element, value_set) {
            Membership::In => Some(true),
            Membership::NotIn => Some(false),
            Membership::Unknown => None,
        }
    }

    fn conforms_to(&self, element: &Element<'_>, profile: &str) -> Option<bool> {
        if let Some(name) = crate::definition::core_type(profile) {
            let item = Item::Element(*element);
            return Some(fhirpath::is_of_type(&item, name));
        }
        let known = self.profile(profile)?;
        Some(self.silently(|| {
            let place = self.place(*element, None);
            self.conform_to(*element, known, &place);
        }))
    }
}

/// The name of a declared type, for messages.
pub(crate) fn type_name(of: Declared) -> &'static str {
    of.name().unwrap_or("unknown")
}

/// Steps of all expressions on one document.
const DOCUMENT_STEPS_MAX: u64 = 10 * STEPS_MAX;
/// Unknown profiles that are noted.
const MISSING_MAX: usize = 100;
/// How many profiles may be checked within each other.
pub(crate) const NESTING_MAX: usize = 16;
