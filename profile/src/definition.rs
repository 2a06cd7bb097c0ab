//! StructureDefinition to [`Profile`].
//!
//! Spec: FHIR R4 structuredefinition.html, elementdefinition.html. The snapshot is taken when there is one; otherwise
//! the differential, and then the base profile is checked beside it, which needs no snapshot to be made.
//! What cannot be checked is named in [`Profile::gaps`]; what cannot be understood is refused.

use fhir::{Declared, Node, Severity, Tree};
use fhirpath::Expression;

use crate::rule::{
    Binding, Discriminator, DiscriminatorKind, Profile, ProfileInvariant, Rule, Slice, Slicing,
    SlicingRules, TypeRule,
};
use crate::rules::rules;

/// Why a StructureDefinition was not compiled.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// It is no StructureDefinition, or one without a part that every one has.
    #[error("the StructureDefinition has no {0}")]
    Missing(&'static str),
    /// It describes something that is no resource or datatype of R4.
    #[error("the StructureDefinition is of type {0}, which FHIR R4 does not have")]
    Type(String),
    /// It has more elements or deeper ones than are read.
    #[error("the StructureDefinition has more elements or slices than are allowed")]
    TooLarge,
    /// An element that cannot be placed.
    #[error("the element {0} of the StructureDefinition cannot be placed")]
    Element(String),
}

/// Compiles a StructureDefinition.
///
/// # Errors
/// What it lacks, or the element that cannot be understood.
pub fn compile(definition: Node<'_>) -> Result<Profile, DefinitionError> {
    let url = text(definition, "url").ok_or(DefinitionError::Missing("url"))?;
    let type_name = text(definition, "type").ok_or(DefinitionError::Missing("type"))?;
    let declared =
        Declared::named(&type_name).ok_or_else(|| DefinitionError::Type(type_name.clone()))?;
    let list = |key| definition.get(key).and_then(|part| part.get("element"));
    let snapshot = list("snapshot");
    let elements = snapshot.or_else(|| list("differential"));
    let elements = elements.ok_or(DefinitionError::Missing("snapshot or differential"))?;
    if elements.children().count() > ELEMENTS_MAX {
        return Err(DefinitionError::TooLarge);
    }
    let base = text(definition, "baseDefinition").filter(|base| !is_core_type(base));
    let contexts = definition.get("context").into_iter().flat_map(Node::children);
    let mut profile = Profile {
        url,
        version: text(definition, "version"),
        type_name,
        base: base.filter(|_| snapshot.is_none()),
        root: Rule::default(),
        contexts: contexts
            .filter_map(|context| Some((text(context, "type")?, text(context, "expression")?)))
            .collect(),
        gaps: Vec::new(),
    };
    let mut gaps = Vec::new();
    for element in elements.children() {
        let rule = place(&mut profile.root, declared, element)?;
        fill(rule, element, &mut gaps);
    }
    finish(&mut profile.root, &mut gaps);
    profile.gaps = gaps;
    Ok(profile)
}

/// The rule of an element by its id (`Observation.component:systolic.code`); made when it is new.
fn place<'r>(
    root: &'r mut Rule,
    declared: Declared,
    element: Node<'_>,
) -> Result<&'r mut Rule, DefinitionError> {
    let path = text(element, "path").ok_or(DefinitionError::Missing("element.path"))?;
    let id = match (text(element, "id"), text(element, "sliceName")) {
        (Some(id), _) => id,
        (None, Some(slice)) => format!("{path}:{slice}"),
        (None, None) => path.clone(),
    };
    let mut at = root;
    let mut of = declared;
    let steps: Vec<&str> = id.split('.').collect();
    if steps.len() > DEPTH_MAX {
        return Err(DefinitionError::TooLarge);
    }
    for step in steps.into_iter().skip(1) {
        let (name, slice) = step.split_once(':').map_or((step, None), |(n, s)| (n, Some(s)));
        let bare = name.trim_end_matches("[x]");
        // A differential may write `valueQuantity` for the only type of `value[x]`.
        let member = of.member(bare).filter(|member| member.is_choice && member.element != bare);
        let (element_name, implied) = match member {
            Some(member) => (member.element, Some(bare)),
            None => (bare, None),
        };
        if element_name.is_empty() {
            return Err(DefinitionError::Element(id.clone()));
        }
        at = child(at, element_name);
        of = member.or_else(|| of.member(bare)).map_or(Declared::UNKNOWN, |member| member.of);
        for part in slice.or(implied).into_iter().flat_map(|name| name.split('/')) {
            at = slice_of(at, part, element_name)?;
        }
        if let Some(member) = member
            && at.types.is_empty()
            && let Some(code) = member.of.name()
        {
            let (profiles, targets) = (Vec::new(), Vec::new());
            at.types.push(TypeRule { code: code.to_owned(), profiles, targets });
        }
    }
    Ok(at)
}

fn child<'r>(of: &'r mut Rule, name: &str) -> &'r mut Rule {
    let place = of.children.iter().position(|child| child.name == name);
    let place = place.unwrap_or_else(|| {
        of.children.push(Rule { name: name.to_owned(), ..Rule::default() });
        of.children.len() - 1
    });
    &mut of.children[place]
}

fn slice_of<'r>(
    of: &'r mut Rule,
    name: &str,
    element: &str,
) -> Result<&'r mut Rule, DefinitionError> {
    let place = of.slices.iter().position(|slice| slice.name == name);
    if place.is_none() && of.slices.len() >= SLICES_MAX {
        return Err(DefinitionError::TooLarge);
    }
    let place = place.unwrap_or_else(|| {
        let rule = Rule { name: element.to_owned(), ..Rule::default() };
        of.slices.push(Slice { name: name.to_owned(), rule });
        of.slices.len() - 1
    });
    Ok(&mut of.slices[place].rule)
}

fn fill(rule: &mut Rule, element: Node<'_>, gaps: &mut Vec<String>) {
    if let Some(min) = element.get("min").and_then(Node::number_text) {
        rule.min = min.parse().unwrap_or(0);
    }
    if let Some(max) = text(element, "max") {
        rule.max = max.parse().ok();
    }
    let types: Vec<TypeRule> = items(element, "type").filter_map(type_rule).collect();
    if !types.is_empty() {
        rule.types = types;
    }
    for member in element.children() {
        let key = member.key().unwrap_or_default();
        let starts = |with: &str| {
            key.strip_prefix(with)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        };
        let copy = || Tree::parse(member.raw().to_vec()).ok();
        if starts("fixed") {
            rule.fixed = copy();
        } else if starts("pattern") {
            rule.pattern = copy();
        } else if starts("minValue") {
            rule.min_value = copy();
        } else if starts("maxValue") {
            rule.max_value = copy();
        }
    }
    if let Some(length) = element.get("maxLength").and_then(Node::number_text) {
        rule.max_length = length.parse().ok();
    }
    if let Some(binding) = element.get("binding") {
        rule.binding = binding_of(binding).or(rule.binding.take());
    }
    let id = text(element, "id").unwrap_or_default();
    for constraint in items(element, "constraint") {
        invariant(rule, constraint, &id, gaps);
    }
    if let Some(slicing) = element.get("slicing") {
        rule.slicing = slicing_of(slicing, &id, gaps);
    }
}

fn type_rule(node: Node<'_>) -> Option<TypeRule> {
    let code = text(node, "code")?;
    let code = match code.strip_prefix("http://hl7.org/fhirpath/System.") {
        Some(name) => {
            let extension = items(node, "extension").find(|extension| {
                text(*extension, "url").is_some_and(|url| url.ends_with("fhir-type"))
            });
            let named = extension.and_then(|extension| {
                text(extension, "valueUrl").or_else(|| text(extension, "valueUri"))
            });
            named.unwrap_or_else(|| name.to_ascii_lowercase())
        }
        None => code,
    };
    let list = |key| items(node, key).filter_map(|url| Some(url.as_str()?.into_owned())).collect();
    Some(TypeRule { code, profiles: list("profile"), targets: list("targetProfile") })
}

fn binding_of(node: Node<'_>) -> Option<Binding> {
    let severity = match text(node, "strength")?.as_str() {
        "required" => Severity::Error,
        "extensible" => Severity::Warning,
        _ => return None,
    };
    Some(Binding { severity, value_set: text(node, "valueSet")? })
}

fn invariant(rule: &mut Rule, node: Node<'_>, id: &str, gaps: &mut Vec<String>) {
    let Some(key) = text(node, "key") else { return };
    if rules().knows(&key) || rule.invariants.iter().any(|known| known.key == key) {
        return;
    }
    let Some(expression) = text(node, "expression") else {
        gaps.push(format!("the rule {key} at {id} has no FHIRPath expression and is not checked"));
        return;
    };
    let severity = match text(node, "severity").as_deref() {
        Some("warning") => Severity::Warning,
        _ => Severity::Error,
    };
    match Expression::compile(&expression) {
        Ok(expression) => {
            let human = text(node, "human").unwrap_or_default();
            let human = human.chars().take(HUMAN_CHARS_MAX).collect();
            rule.invariants.push(ProfileInvariant { key, severity, human, expression });
        }
        Err(error) => gaps.push(format!("the rule {key} at {id} is not checked: {error}")),
    }
}

fn slicing_of(node: Node<'_>, id: &str, gaps: &mut Vec<String>) -> Option<Slicing> {
    let rules = match text(node, "rules").as_deref() {
        Some("closed") => SlicingRules::Closed,
        Some("openAtEnd") => SlicingRules::OpenAtEnd,
        _ => SlicingRules::Open,
    };
    let mut discriminators = Vec::new();
    for each in items(node, "discriminator") {
        let path = text(each, "path").unwrap_or_else(|| "$this".to_owned());
        let kind = match text(each, "type").as_deref() {
            Some("value" | "pattern") => DiscriminatorKind::Value,
            Some("exists") => DiscriminatorKind::Exists,
            Some("type") => DiscriminatorKind::Type,
            Some("profile") => DiscriminatorKind::Profile,
            _ => {
                gaps.push(format!("the slices of {id} have a discriminator of an unknown kind"));
                return None;
            }
        };
        match Expression::compile(&path) {
            Ok(expression) => discriminators.push(Discriminator { kind, path, expression }),
            Err(error) => {
                gaps.push(format!("the slices of {id} cannot be told apart: {error}"));
                return None;
            }
        }
    }
    let ordered = node.get("ordered").and_then(Node::as_bool) == Some(true);
    Some(Slicing { discriminators, ordered, rules })
}

/// Slices without a slicing entry: extensions are told apart by their URL, choices by their type.
fn finish(rule: &mut Rule, gaps: &mut Vec<String>) {
    let implied = match rule.name.as_str() {
        "extension" | "modifierExtension" => Some((DiscriminatorKind::Value, "url")),
        _ if rule.slices.iter().any(|slice| !slice.rule.types.is_empty()) => {
            Some((DiscriminatorKind::Type, "$this"))
        }
        _ => None,
    };
    let unsaid = rule.slicing.as_ref().is_none_or(|slicing| slicing.discriminators.is_empty());
    if !rule.slices.is_empty() && unsaid {
        match implied.and_then(|(kind, path)| Some((kind, path, Expression::compile(path).ok()?))) {
            Some((kind, path, expression)) => {
                let discriminator = Discriminator { kind, path: path.to_owned(), expression };
                let old = rule.slicing.take();
                rule.slicing = Some(Slicing {
                    discriminators: vec![discriminator],
                    ordered: old.as_ref().is_some_and(|old| old.ordered),
                    rules: old.map_or(SlicingRules::Open, |old| old.rules),
                });
            }
            None => gaps.push(format!(
                "the slices of {} say nothing by which they are told apart and are not checked",
                rule.name
            )),
        }
    }
    for child in &mut rule.children {
        finish(child, gaps);
    }
    for slice in &mut rule.slices {
        finish(&mut slice.rule, gaps);
    }
}

/// Whether a canonical URL is one of R4's own types, which are always checked.
pub(crate) fn is_core_type(url: &str) -> bool {
    core_type(url).is_some()
}

/// The type of R4 that a canonical URL names.
pub(crate) fn core_type(url: &str) -> Option<&str> {
    let url = url.split('|').next().unwrap_or(url);
    let name = url.strip_prefix("http://hl7.org/fhir/StructureDefinition/")?;
    (name == "DomainResource" || Declared::named(name).is_some()).then_some(name)
}

fn text(node: Node<'_>, key: &str) -> Option<String> {
    Some(node.get(key)?.as_str()?.into_owned())
}

fn items<'t>(node: Node<'t>, key: &str) -> impl Iterator<Item = Node<'t>> + use<'t> {
    node.get(key).into_iter().flat_map(Node::children)
}

/// Most elements of a StructureDefinition.
const ELEMENTS_MAX: usize = 5_000;
/// Most slices of one element.
const SLICES_MAX: usize = 500;
/// Deepest element.
const DEPTH_MAX: usize = 24;
/// Longest text of a rule that is repeated in a finding.
const HUMAN_CHARS_MAX: usize = 400;
