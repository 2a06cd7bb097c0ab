//! The rules of a profile on an element: cardinality, types, values, bindings, invariants, slices, and what is below.
//!
//! Spec: FHIR R4 profiling.html, elementdefinition.html.

use std::cmp::Ordering;

use fhir::{IssueType, Node, Severity};
use fhirpath::{Element, EvaluationError};

use crate::definition::core_type;
use crate::extensions::Known;
use crate::finding::Finding;
use crate::matching::{compare, has_pattern, is_fixed};
use crate::reference::{Target, target};
use crate::rule::{Profile, Rule, TypeRule};
use crate::walk::{NESTING_MAX, Place, Walk, evaluate, type_name};

impl<'v> Walk<'v> {
    /// A resource against a profile that it claims or that was asked for.
    pub(crate) fn claimed<'a>(
        &'a self,
        at: Element<'a>,
        place: &Place<'a>,
        url: &str,
        claim: Node<'a>,
    ) {
        if let Some(name) = core_type(url) {
            let item = fhirpath::Item::Element(at);
            if !fhirpath::is_of_type(&item, name) {
                let text = format!("this is no {name}, which the profile demands");
                self.error(claim, IssueType::Structure, text);
            }
            return;
        }
        let Some(profile) = self.profile(url) else {
            let text = format!("the profile {} is not known here and was not checked", short(url));
            self.error(claim, IssueType::NotFound, text);
            return;
        };
        if type_name(at.of()) != profile.type_name() && profile.type_name() != "Resource" {
            let text = format!("the profile {} is for {}", short(url), profile.type_name());
            self.error(claim, IssueType::Structure, text);
            return;
        }
        for gap in profile.gaps() {
            let text = format!("of the profile {}: {gap}", short(url));
            self.report(Finding::at(claim, Severity::Warning, IssueType::Incomplete, text));
        }
        self.conform_to(at, profile, place);
    }

    /// An element against a profile, and against the profile's base when it was made from a differential.
    pub(crate) fn conform_to<'a>(
        &'a self,
        at: Element<'a>,
        profile: &'a Profile,
        place: &Place<'a>,
    ) {
        if self.nesting.get() >= NESTING_MAX {
            // What is not decided is no fault of the resource.
            let text = "profiles lie within each other deeper than is checked";
            let (severity, code) = (Severity::Warning, IssueType::TooCostly);
            self.report(Finding::at(at.node(), severity, code, text.to_owned()));
            return;
        }
        self.nesting.set(self.nesting.get() + 1);
        if let Some(base) = &profile.base {
            match self.profile(base) {
                Some(base) => self.conform_to(at, base, place),
                None => {
                    let text = format!(
                        "the profile {} is not known here, on which {} builds",
                        short(base),
                        short(profile.url())
                    );
                    self.report(Finding::at(
                        at.node(),
                        Severity::Warning,
                        IssueType::NotFound,
                        text,
                    ));
                }
            }
        }
        self.invariants(at, &profile.root, place);
        self.children(at, &profile.root, place);
        self.nesting.set(self.nesting.get() - 1);
    }

    /// The elements of a value by the rules below a rule.
    pub(crate) fn children<'a>(&'a self, at: Element<'a>, rule: &'a Rule, place: &Place<'a>) {
        if rule.children.is_empty() || self.is_full() {
            return;
        }
        let mut members: Vec<(&str, Vec<Element<'a>>)> = Vec::new();
        at.named_children(|name, child| {
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, list)) => list.push(child),
                None => members.push((name, vec![child])),
            }
        });
        for child in &rule.children {
            let found = members.iter().find(|(name, _)| *name == child.name);
            let found = found.map(|(_, list)| list.as_slice()).unwrap_or_default();
            self.count(at, child, None, found.len());
            for element in found {
                self.conform(*element, child, place);
            }
            if !child.slices.is_empty() {
                self.slices(at, child, found, place);
            }
        }
    }

    /// Reports too few or too many of an element or slice.
    pub(crate) fn count(
        &self,
        parent: Element<'_>,
        rule: &Rule,
        slice: Option<&str>,
        found: usize,
    ) {
        let what = slice.map_or(rule.name.clone(), |slice| format!("{}:{slice}", rule.name));
        if found < rule.min {
            let text =
                format!("the profile demands {what} at least {} times, found {found}", rule.min);
            self.report(Finding::below(parent.node(), &rule.name, IssueType::Required, text));
        }
        if let Some(max) = rule.max.filter(|max| found > *max) {
            let text = format!("the profile allows {what} at most {max} times, found {found}");
            self.report(Finding::below(parent.node(), &rule.name, IssueType::Structure, text));
        }
    }

    /// A value by a rule, and what is below it.
    pub(crate) fn conform<'a>(&'a self, at: Element<'a>, rule: &'a Rule, place: &Place<'a>) {
        let wanted = self.types(at, rule);
        self.values(at, rule);
        if let Some(binding) = &rule.binding {
            self.binding(at, &binding.value_set, binding.severity);
        }
        self.invariants(at, rule, place);
        self.children(at, rule, place);
        let Some(of) = wanted else { return };
        self.type_profiles(at, of, place);
        if !of.targets.is_empty() && of.code == "Reference" {
            self.targets(at, of, place);
        }
    }

    /// The allowed type that a value has; reports when there is none.
    fn types<'a>(&self, at: Element<'_>, rule: &'a Rule) -> Option<&'a TypeRule> {
        if rule.types.is_empty() || at.of().name().is_none() {
            return None;
        }
        let item = fhirpath::Item::Element(at);
        let found = rule.types.iter().find(|of| {
            fhirpath::is_of_type(&item, &of.code)
                || (of.code == "string" && type_name(at.of()) == "id")
                || matches!(of.code.as_str(), "BackboneElement" | "Element")
        });
        if found.is_none() {
            let allowed: Vec<&str> = rule.types.iter().map(|of| of.code.as_str()).collect();
            let of = type_name(at.of());
            let text = format!("the profile does not allow {of} here, only {}", allowed.join(", "));
            self.error(at.node(), IssueType::Structure, text);
        }
        found
    }

    fn values(&self, at: Element<'_>, rule: &Rule) {
        let node = at.node();
        if let Some(fixed) = &rule.fixed
            && !at.value().is_some_and(|value| is_fixed(value, fixed.root()))
        {
            self.error(node, IssueType::Value, "this is not the value that the profile fixes");
        }
        if let Some(pattern) = &rule.pattern
            && !at.value().is_some_and(|value| has_pattern(value, pattern.root()))
        {
            let text = "this lacks something of the pattern that the profile demands";
            self.error(node, IssueType::Value, text);
        }
        if let Some(most) = rule.max_length
            && at.text().is_some_and(|text| text.chars().count() > most)
        {
            let text = format!("the profile allows at most {most} characters");
            self.error(node, IssueType::TooLong, text);
        }
        if let Some(least) = &rule.min_value
            && compare(&at, least.root()) == Some(Ordering::Less)
        {
            self.error(node, IssueType::Value, "this is less than the profile allows");
        }
        if let Some(most) = &rule.max_value
            && compare(&at, most.root()) == Some(Ordering::Greater)
        {
            self.error(node, IssueType::Value, "this is more than the profile allows");
        }
    }

    fn invariants<'a>(&'a self, at: Element<'a>, rule: &'a Rule, place: &Place<'a>) {
        for invariant in &rule.invariants {
            match evaluate(&invariant.expression, at, &place.context) {
                Ok(true) => {}
                Ok(false) => {
                    let text = format!(
                        "rule {} of the profile is not met: {}",
                        invariant.key, invariant.human
                    );
                    let code = IssueType::Invariant;
                    self.report(Finding::at(at.node(), invariant.severity, code, text));
                }
                Err(EvaluationError::Budget) => self.too_costly(at.node(), &invariant.key),
                Err(error) => {
                    let text = format!(
                        "rule {} of the profile cannot be evaluated: {error}",
                        invariant.key
                    );
                    let code = IssueType::Incomplete;
                    self.report(Finding::at(at.node(), Severity::Warning, code, text));
                }
            }
        }
    }

    /// A value against the profiles of its type; one of several is enough.
    fn type_profiles<'a>(&'a self, at: Element<'a>, of: &'a TypeRule, place: &Place<'a>) {
        // Extensions are checked by their URL wherever they stand.
        if of.profiles.is_empty() || type_name(at.of()) == "Extension" {
            return;
        }
        let known: Vec<_> = of.profiles.iter().filter_map(|url| self.profile(url)).collect();
        match known.as_slice() {
            [only] if of.profiles.len() == 1 => self.conform_to(at, only, place),
            [] => {}
            several => {
                let fits = known.len() < of.profiles.len()
                    || several.iter().any(|one| self.silently(|| self.conform_to(at, one, place)));
                if !fits {
                    let text = "this conforms to none of the profiles that are allowed here";
                    self.error(at.node(), IssueType::Structure, text);
                }
            }
        }
    }

    fn targets<'a>(&'a self, at: Element<'a>, of: &'a TypeRule, place: &Place<'a>) {
        let types: Option<Vec<&str>> = of
            .targets
            .iter()
            .map(|url| core_type(url).or_else(|| Some(self.profile(url)?.type_name())))
            .collect();
        if let Some(types) = types {
            self.reference_type(at, &types, place);
        }
        let Some(node) = at.value() else { return };
        let Target::Here(found) = target(node, place) else { return };
        let profiles: Vec<_> = of.targets.iter().map(|url| self.profile(url)).collect();
        if profiles.iter().any(Option::is_none) || self.nesting.get() > TARGET_NESTING_MAX {
            return;
        }
        let found = Element::resource(found);
        let inner = self.place(found, None);
        let fits = profiles.iter().flatten().any(|profile| {
            type_name(found.of()) == profile.type_name()
                && self.silently(|| self.conform_to(found, profile, &inner))
        });
        if !fits {
            let text =
                "the resource that this leads to conforms to none of the profiles that are allowed";
            self.error(node, IssueType::Structure, text);
        }
    }

    /// An extension that R4 defines: its place, its value, its parts.
    pub(crate) fn known_extension(
        &self,
        parent: Element<'_>,
        name: &str,
        at: Element<'_>,
        known: &Known,
        place: &Place<'_>,
    ) {
        let node = at.node();
        if known.is_modifier != (name == "modifierExtension") {
            let text = if known.is_modifier {
                "this extension changes the meaning and must stand in modifierExtension"
            } else {
                "this extension must not stand in modifierExtension"
            };
            self.error(node, IssueType::Extension, text);
        }
        self.extension_value(at, &known.types);
        for part in &known.parts {
            let mut found = 0;
            at.member("extension", |child| {
                let url = child.value().and_then(|node| node.get("url")?.as_str());
                if url.is_some_and(|url| *url == *part.url) {
                    found += 1;
                    self.extension_value(child, &part.types);
                }
            });
            if found < part.min || part.max.is_some_and(|max| found > max) {
                let text =
                    format!("the extension has {} {found} times, which is not allowed", part.url);
                self.error(node, IssueType::Extension, text);
            }
        }
        if !known.parts.is_empty() {
            at.member("extension", |child| {
                let url = child.value().and_then(|node| node.get("url")?.as_str());
                let is_part = url.is_some_and(|url| {
                    url.contains(':') || known.parts.iter().any(|part| *url == *part.url)
                });
                if !is_part {
                    let text = "the extension does not have such a part";
                    self.error(child.node(), IssueType::Extension, text);
                }
            });
        }
        if !context_fits(parent, known.contexts.iter().copied(), place) {
            let text = "this extension may not stand here";
            self.error(node, IssueType::Extension, text);
        }
    }

    fn extension_value(&self, at: Element<'_>, types: &[&str]) {
        at.member("value", |value| {
            let of = type_name(value.of());
            if types.is_empty() {
                let text = "this extension has no value, only extensions";
                self.error(value.node(), IssueType::Extension, text);
            } else if !types.contains(&of) {
                let text = format!("the value of this extension must be {}", types.join(" or "));
                self.error(value.node(), IssueType::Extension, text);
            }
        });
    }
}

/// Whether one of the places where an extension is allowed is this one.
pub(crate) fn context_fits<'c>(
    parent: Element<'_>,
    contexts: impl ExactSizeIterator<Item = (char, &'c str)>,
    place: &Place<'_>,
) -> bool {
    if contexts.len() == 0 {
        return true;
    }
    let item = fhirpath::Item::Element(parent);
    let paths = paths(place);
    contexts.into_iter().any(|(kind, name)| match kind {
        'E' => {
            fhirpath::is_of_type(&item, name)
                || name == "Element"
                || parent.of().name() == Some(name)
                || paths.contains(&name.replace("[x]", ""))
        }
        'X' => {
            let url = parent.value().and_then(|node| node.get("url")?.as_str());
            url.is_some_and(|url| *url == *name)
        }
        _ => true,
    })
}

/// The paths of an element, from its resource and from each datatype on the way: `Patient.name.family`,
/// `HumanName.family`.
fn paths(place: &Place<'_>) -> Vec<String> {
    let trail = place.trail.borrow();
    let from = |start: usize| {
        let names = trail[start..].iter().map(|(_, name)| *name);
        std::iter::once(trail[start].0).chain(names).collect::<Vec<_>>().join(".")
    };
    (0..trail.len()).map(from).collect()
}

/// A canonical URL for messages, cut short.
fn short(url: &str) -> String {
    url.chars().take(URL_CHARS_MAX).collect()
}

/// Longest URL that is repeated.
const URL_CHARS_MAX: usize = 200;
/// Depth from which on the resources that references lead to are not checked any more.
const TARGET_NESTING_MAX: usize = 6;
