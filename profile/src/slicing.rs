//! Slices: which repeat of an element belongs to which, and whether they are allowed.
//!
//! Spec: FHIR R4 profiling.html#slicing, #discriminator. A slice that the profile gives nothing to be told by matches
//! nothing, and the profile says so in its gaps.

use fhir::{IssueType, Tree};
use fhirpath::{Element, Item};

use crate::codes::Membership;
use crate::definition::core_type;
use crate::matching::{has_pattern, is_fixed};
use crate::rule::{Discriminator, DiscriminatorKind, Rule, Slice, Slicing, SlicingRules};
use crate::walk::{Place, Walk, type_name};

impl<'v> Walk<'v> {
    /// The repeats of a sliced element.
    pub(crate) fn slices<'a>(
        &'a self,
        parent: Element<'a>,
        rule: &'a Rule,
        found: &[Element<'a>],
        place: &Place<'a>,
    ) {
        let Some(slicing) = &rule.slicing else { return };
        let mut counts = vec![0; rule.slices.len()];
        let mut in_slice: Vec<Vec<Element<'a>>> = vec![Vec::new(); rule.slices.len()];
        let mut last = 0;
        let mut outside = false;
        for element in found {
            let which =
                rule.slices.iter().position(|slice| self.is_in(*element, slicing, slice, place));
            let Some(which) = which else {
                outside = true;
                if slicing.rules == SlicingRules::Closed {
                    let text = format!(
                        "the profile allows only its own slices of {}, and this is in none",
                        rule.name
                    );
                    self.error(element.node(), IssueType::Structure, text);
                }
                continue;
            };
            counts[which] += 1;
            in_slice[which].push(*element);
            if slicing.ordered && which < last {
                let text =
                    format!("the slices of {} are not in the order of the profile", rule.name);
                self.error(element.node(), IssueType::Structure, text);
            }
            if slicing.rules == SlicingRules::OpenAtEnd && outside {
                let text = format!("what is in no slice of {} must stand at the end", rule.name);
                self.error(element.node(), IssueType::Structure, text);
            }
            last = which.max(last);
            self.conform(*element, &rule.slices[which].rule, place);
        }
        for ((slice, count), members) in rule.slices.iter().zip(counts).zip(in_slice) {
            self.count(parent, &slice.rule, Some(&slice.name), count);
            if !slice.rule.slices.is_empty() {
                self.slices(parent, &slice.rule, &members, place);
            }
        }
    }

    /// Whether an element has what tells a slice from others.
    fn is_in<'a>(
        &'a self,
        at: Element<'a>,
        slicing: &'a Slicing,
        slice: &'a Slice,
        place: &Place<'a>,
    ) -> bool {
        !slicing.discriminators.is_empty()
            && slicing.discriminators.iter().all(|by| self.tells(at, by, &slice.rule, place))
    }

    fn tells<'a>(
        &'a self,
        at: Element<'a>,
        by: &'a Discriminator,
        slice: &'a Rule,
        place: &Place<'a>,
    ) -> bool {
        let Ok(found) = by.expression.evaluate(at, &place.context) else { return false };
        let rule = slice.below(&by.path);
        match by.kind {
            DiscriminatorKind::Exists => match rule {
                Some(rule) if rule.max == Some(0) => found.is_empty(),
                Some(rule) if rule.min > 0 => !found.is_empty(),
                _ => false,
            },
            DiscriminatorKind::Type => found.iter().any(|item| {
                let resolved = by.path.contains("resolve()");
                let rule = if resolved { Some(slice) } else { rule };
                rule.is_some_and(|rule| is_of_types(item, rule, resolved, self))
            }),
            DiscriminatorKind::Profile => found.iter().any(|item| {
                let Item::Element(element) = item else { return false };
                let profiles = rule.into_iter().flat_map(|rule| &rule.types).flat_map(|of| {
                    if by.path.contains("resolve()") { &of.targets } else { &of.profiles }
                });
                profiles.into_iter().any(|url| match self.profile(url) {
                    Some(profile) => {
                        let inner = self.place(*element, None);
                        type_name(element.of()) == profile.type_name()
                            && self.silently(|| self.conform_to(*element, profile, &inner))
                    }
                    None => core_type(url).is_some_and(|name| fhirpath::is_of_type(item, name)),
                })
            }),
            DiscriminatorKind::Value => {
                if by.path == "url" && slice.types.iter().any(|of| !of.profiles.is_empty()) {
                    let url = at.value().and_then(|node| node.get("url")?.as_str());
                    return url.is_some_and(|url| slice.is_extension(&url));
                }
                let Some(rule) = rule else { return self.above(slice, &by.path, at) };
                match has_value(rule) {
                    true => found.iter().any(|item| self.item_has(item, rule)),
                    false => self.above(slice, &by.path, at),
                }
            }
        }
    }

    /// The value may be said higher up: a pattern of `code` also tells `code.coding.code`.
    fn above<'a>(&'a self, slice: &'a Rule, path: &str, at: Element<'a>) -> bool {
        let mut said = false;
        let mut rule = slice;
        let mut elements = vec![at];
        for name in path.split('.') {
            if let Some(wanted) = rule.fixed.as_ref().or(rule.pattern.as_ref()) {
                said = true;
                if !elements.iter().any(|element| has(*element, wanted)) {
                    return false;
                }
            }
            let Some(next) = rule.children.iter().find(|child| child.name == name) else { break };
            rule = next;
            let mut below = Vec::new();
            for element in &elements {
                element.member(name, |child| below.push(child));
            }
            elements = below;
        }
        said
    }

    fn item_has(&self, item: &Item<'_>, rule: &Rule) -> bool {
        match item {
            Item::Element(element) => self.element_has(*element, rule),
            other => {
                let wanted = rule.fixed.as_ref().or(rule.pattern.as_ref());
                let wanted = wanted.and_then(|tree| tree.root().as_str());
                wanted.is_some_and(|wanted| other.text().is_some_and(|text| text == wanted))
            }
        }
    }

    /// Whether an element has all values that a rule and the rules below it demand.
    fn element_has(&self, at: Element<'_>, rule: &Rule) -> bool {
        if let Some(fixed) = &rule.fixed
            && !at.value().is_some_and(|value| is_fixed(value, fixed.root()))
        {
            return false;
        }
        if let Some(pattern) = &rule.pattern
            && !has(at, pattern)
        {
            return false;
        }
        let says_more = rule.fixed.is_some() || rule.pattern.is_some();
        if !says_more
            && let Some(binding) = &rule.binding
            && binding.severity == fhir::Severity::Error
            && self.membership(at, &binding.value_set) == Membership::NotIn
        {
            return false;
        }
        rule.children.iter().filter(|child| has_value(child)).all(|child| {
            let mut found = Vec::new();
            at.member(&child.name, |element| found.push(element));
            let optional = child.min == 0 && found.is_empty();
            let rules = child.slices.iter().map(|slice| &slice.rule).filter(|rule| rule.min > 0);
            let slices = rules.filter(|rule| has_value(rule));
            optional
                || (found.iter().any(|element| self.element_has(*element, child))
                    && slices
                        .into_iter()
                        .all(|rule| found.iter().any(|element| self.element_has(*element, rule))))
        })
    }
}

fn has(at: Element<'_>, pattern: &Tree) -> bool {
    at.value().is_some_and(|value| has_pattern(value, pattern.root()))
}

/// Whether a rule, or one below it, demands a value.
fn has_value(rule: &Rule) -> bool {
    rule.fixed.is_some()
        || rule.pattern.is_some()
        || rule.binding.as_ref().is_some_and(|binding| binding.severity == fhir::Severity::Error)
        || rule.children.iter().any(has_value)
        || rule.slices.iter().any(|slice| slice.rule.min > 0 && has_value(&slice.rule))
}

fn is_of_types(item: &Item<'_>, rule: &Rule, resolved: bool, walk: &Walk<'_>) -> bool {
    rule.types.iter().any(|of| {
        if !resolved {
            return fhirpath::is_of_type(item, &of.code);
        }
        of.targets.iter().any(|url| {
            let name =
                core_type(url).or_else(|| walk.profile(url).map(|profile| profile.type_name()));
            name.is_some_and(|name| fhirpath::is_of_type(item, name))
        })
    })
}
