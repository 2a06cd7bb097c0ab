//! A `SearchParameter` resource → parameters of an installation, checked.
//!
//! Spec: FHIR R4 searchparameter.html. The resource has passed the reader. What it says must be something that the
//! search programs do: a base that is a resource type, an expression of the grammar in `expression` that leads through
//! elements of R4 to types its kind reads, targets for a reference, components that are parameters of the same base.
//! Only an `active` one is in force. Not here: numbers and rows (`registry`).

use std::borrow::Cow;

use crate::issue::{Issue, IssueType};
use crate::{Node, ResourceType};

use super::build::compile;
use super::expression::{Branch, Root, parse};
use super::intern;
use super::param::{
    CUSTOM_FROM, Component, Held, ParamId, ParamKind, SearchParam, kind, search_param,
    search_params,
};

/// A parameter of one base type as a `SearchParameter` defines it, not numbered yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CustomParam {
    /// Canonical URL.
    pub url: String,
    /// The type it searches.
    pub base: ResourceType,
    /// Its name in a query.
    pub code: String,
    /// How its values compare.
    pub kind: ParamKind,
    /// Types a reference may point to.
    pub targets: Vec<ResourceType>,
    /// The parts of a composite: code, kind, expression.
    pub components: Vec<(String, ParamKind, String)>,
    /// FHIRPath from the resource to the values.
    pub expression: String,
    /// What a query may do with it.
    pub limits: ParamLimits,
}

/// What a query may do with a custom parameter; `None` leaves it to the kind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ParamLimits {
    /// Codes of the comparators (prefixes).
    pub comparators: Option<Vec<String>>,
    /// Codes of the modifiers; `type` stands for a resource type.
    pub modifiers: Option<Vec<String>>,
    /// Parameters of the target that may be chained.
    pub chain: Option<Vec<String>>,
    /// Whether values may be joined by commas.
    pub multiple_or: bool,
    /// Whether it may be repeated.
    pub multiple_and: bool,
}

/// Finds the code and kind of a custom parameter by base and URL.
pub type OtherParam<'a> = dyn Fn(ResourceType, &str) -> Option<(String, ParamKind)> + 'a;

/// True for a `SearchParameter` that is to be in force.
#[must_use]
pub fn is_in_force(resource: Node<'_>) -> bool {
    text(resource, "status").as_deref() == Some("active")
}

/// The parameters that a `SearchParameter` defines, one for each base; none where it repeats R4's own. `other` finds the code and kind of a custom
/// parameter by base and URL, for the parts of a composite.
///
/// # Errors
/// What is wrong or not done here, with its place.
pub fn custom_params(
    resource: Node<'_>,
    other: &OtherParam<'_>,
) -> Result<Vec<CustomParam>, Vec<Issue>> {
    let read = || {
        let code = needed(resource, "code")?;
        check_code(&code)?;
        let kind = kind(&needed(resource, "type")?)
            .filter(|kind| *kind != ParamKind::Special)
            .ok_or_else(|| wrong("type", "a special parameter has no rule to index it by"))?;
        let expression = needed(resource, "expression")?;
        if expression.len() > EXPRESSION_BYTES_MAX {
            return Err(wrong("expression", "the expression is too long"));
        }
        let targets = targets(resource, kind)?;
        let mut params = Vec::new();
        for base in bases(resource)? {
            if let Some(own) = search_param(base, &code) {
                if repeats(resource, own) {
                    continue;
                }
                let text = format!("{code:?} is another parameter of {base} in R4 itself");
                return Err(wrong("code", &text));
            }
            let components = components(resource, base, kind, other)?;
            let expression = branches_of(&expression, base)?;
            params.push(CustomParam {
                url: needed(resource, "url")?,
                base,
                code: code.clone(),
                kind,
                targets: targets.clone(),
                components,
                expression,
                limits: limits(resource),
            });
        }
        for param in &params {
            param.check()?;
        }
        Ok(params)
    };
    read().map_err(|issue| vec![issue])
}

impl CustomParam {
    /// With its number; `None` when there is no room for its texts ([`intern`]).
    pub(super) fn numbered(&self, id: ParamId) -> Option<&'static SearchParam> {
        let component = |(code, kind, expression): &(String, ParamKind, String)| {
            let (code, expression) = (intern::text(code)?, intern::text(expression)?);
            Some(Component { code, kind: *kind, expression })
        };
        intern::param(SearchParam {
            id,
            base: Some(self.base),
            code: intern::text(&self.code)?,
            kind: self.kind,
            targets: intern::types(&self.targets)?,
            components: intern::components(
                self.components.iter().map(component).collect::<Option<_>>()?,
            )?,
            held: Held::InIndex,
            expression: intern::text(&self.expression)?,
            url: intern::text(&self.url)?,
        })
    }

    fn check(&self) -> Result<(), Issue> {
        let id = ParamId::custom(CUSTOM_FROM).expect("the first number is one of the range");
        let numbered = self.numbered(id).ok_or_else(|| {
            wrong("expression", "there is no room for another definition until the next start")
        })?;
        let compiled = compile(self.base, [numbered]);
        let yields =
            compiled.map_err(|error| wrong("expression", &format!("on {}: {error}", self.base)))?;
        if yields.yields() {
            return Ok(());
        }
        let text = format!(
            "on {}: the expression selects nothing of type {}",
            self.base,
            self.kind.code()
        );
        Err(wrong("expression", &text))
    }
}

/// True if it says what R4's own parameter says, or that it is derived from it: that one stays in force.
fn repeats(resource: Node<'_>, own: &SearchParam) -> bool {
    let is_own = |name: &str| text(resource, name).is_some_and(|url| url == own.url());
    let expression = text(resource, "expression").unwrap_or_default();
    let same = own.base.map(|base| branches_of(&expression, base));
    is_own("url")
        || is_own("derivedFrom")
        || matches!(same, Some(Ok(same)) if same == own.expression)
}

fn bases(resource: Node<'_>) -> Result<Vec<ResourceType>, Issue> {
    let mut found = Vec::new();
    for (at, name) in texts(resource, "base").into_iter().enumerate() {
        let base = ResourceType::parse_stored(&name).map_err(|_| {
            wrong(
                &format!("base[{at}]"),
                "name each resource type that is stored; abstract types are not supported",
            )
        })?;
        if !found.contains(&base) {
            found.push(base);
        }
    }
    match found.is_empty() {
        true => Err(wrong("base", "a parameter has a base")),
        false => Ok(found),
    }
}

fn targets(resource: Node<'_>, kind: ParamKind) -> Result<Vec<ResourceType>, Issue> {
    let mut found = Vec::new();
    for (at, name) in texts(resource, "target").into_iter().enumerate() {
        let target = ResourceType::parse(&name)
            .ok_or_else(|| wrong(&format!("target[{at}]"), "this is no resource type of R4"))?;
        found.push(target);
    }
    if kind == ParamKind::Reference && found.is_empty() {
        found.extend(ResourceType::all());
    }
    found.sort_by_key(|target| target.name());
    found.dedup();
    Ok(found)
}

fn components(
    resource: Node<'_>,
    base: ResourceType,
    kind: ParamKind,
    other: &OtherParam<'_>,
) -> Result<Vec<(String, ParamKind, String)>, Issue> {
    let mut found = Vec::new();
    let parts = resource.get("component").into_iter().flat_map(Node::children);
    for (at, part) in parts.enumerate() {
        let place = |name: &str| format!("component[{at}].{name}");
        let url = text(part, "definition").unwrap_or_default();
        let own = search_params(base).iter().find(|param| param.url() == url);
        let own = own.map(|param| (param.code.to_string(), param.kind));
        let (code, kind) = own.or_else(|| other(base, &url)).ok_or_else(|| {
            wrong(&place("definition"), &format!("this is no parameter of {base} here"))
        })?;
        let expression = text(part, "expression")
            .ok_or_else(|| wrong(&place("expression"), "a component has an expression"))?;
        found.push((code, kind, expression));
    }
    match (kind, found.len()) {
        (ParamKind::Composite, 2) => Ok(found),
        (ParamKind::Composite, _) => Err(wrong("component", "a composite has two components here")),
        (_, 0) => Ok(found),
        _ => Err(wrong("component", "only a composite has components")),
    }
}

/// The branches that start at this base; those of other bases belong to their own parameters.
fn branches_of(expression: &str, base: ResourceType) -> Result<String, Issue> {
    let unread = |part: &str| wrong("expression", &format!("this part is not supported: {part}"));
    let mut kept = Vec::new();
    for text in split_union(expression) {
        let branches = parse(text).map_err(|error| unread(error.0))?;
        let is_own = branches.iter().all(|branch| {
            let (Branch::Path(path) | Branch::ExistsAndIsNot { path, .. }) = branch;
            match path.root {
                Root::Type(name) => {
                    name == base.name() || matches!(name, "Resource" | "DomainResource")
                }
                Root::Resource | Root::Here => true,
            }
        });
        if is_own {
            kept.push(text);
        }
    }
    match kept.is_empty() {
        true => Err(wrong("expression", &format!("no part of the expression starts at {base}"))),
        false => Ok(kept.join(" | ")),
    }
}

fn split_union(expression: &str) -> Vec<&str> {
    super::expression::split(expression, '|').into_iter().map(str::trim).collect()
}

fn limits(resource: Node<'_>) -> ParamLimits {
    let some = |name: &str| Some(texts(resource, name)).filter(|list| !list.is_empty());
    let flag = |name: &str| resource.get(name).and_then(Node::as_bool).unwrap_or(true);
    ParamLimits {
        comparators: some("comparator"),
        modifiers: some("modifier"),
        chain: some("chain"),
        multiple_or: flag("multipleOr"),
        multiple_and: flag("multipleAnd"),
    }
}

/// A code that a query can name: nothing that stands for a modifier, a chain or a result parameter.
fn check_code(code: &str) -> Result<(), Issue> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let starts = code.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts && code.len() <= CODE_BYTES_MAX && code.bytes().all(allowed) {
        return Ok(());
    }
    Err(wrong("code", "a code starts with a letter and has letters, digits, - and _ only"))
}

fn needed(resource: Node<'_>, name: &str) -> Result<String, Issue> {
    text(resource, name).ok_or_else(|| wrong(name, "this is needed to search by it"))
}

fn text(node: Node<'_>, name: &str) -> Option<String> {
    node.get(name).and_then(Node::as_str).map(Cow::into_owned)
}

fn texts(node: Node<'_>, name: &str) -> Vec<String> {
    let items = node.get(name).into_iter().flat_map(Node::children);
    items.filter_map(Node::as_str).map(Cow::into_owned).collect()
}

fn wrong(place: &str, why: &str) -> Issue {
    Issue::error(IssueType::BusinessRule, why).at(format!("SearchParameter.{place}"))
}

/// Characters of an expression.
const EXPRESSION_BYTES_MAX: usize = 4_096;
/// Characters of a code.
const CODE_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;
    use crate::search::{Extracted, SearchParams, Value};

    fn read(kind: &str, expression: &str) -> Result<Vec<CustomParam>, Vec<Issue>> {
        let text = format!(
            r#"{{"resourceType":"SearchParameter","url":"http://x","status":"active","code":"own","base":["Patient","Practitioner"],"type":"{kind}","expression":"{expression}"}}"#
        );
        let tree = Tree::parse(text.into_bytes()).unwrap();
        custom_params(tree.root(), &|_, _| None)
    }

    /// Texts that a string parameter finds.
    fn found(expression: &str, patient: &str) -> Vec<String> {
        let both = format!("{expression} | Practitioner.id");
        let param = read("string", &both).unwrap().remove(0);
        let set = SearchParams::with(vec![(ParamId::custom(CUSTOM_FROM).unwrap(), param, None)]);
        let tree = Tree::parse(patient.as_bytes().to_vec()).unwrap();
        let mut out = Vec::new();
        set.extract(tree.root(), ResourceType::PATIENT, "", &mut out);
        let own = out.into_iter().filter(|one: &Extracted<'_>| one.param.number() == CUSTOM_FROM);
        own.filter_map(|one| match one.value {
            Value::String(text) => Some(text.into_owned()),
            _ => None,
        })
        .collect()
    }

    const PATIENT: &str = r#"{"resourceType":"Patient","contact":[{"name":{"family":"Ada","text":"A"},"gender":"female"}],
        "communication":[{"language":{"text":"de"},"preferred":true}],
        "extension":[{"url":"http://e/a","valueString":"one"},{"url":"http://e/b","valueString":"two"}]}"#;

    #[test]
    fn elements_that_r4_does_not_search_are_found_too() {
        assert_eq!(found("Patient.contact.name.family | Practitioner.name.text", PATIENT), ["Ada"]);
        assert_eq!(found("Patient.extension.where(url = 'http://e/b').value", PATIENT), ["two"]);
        assert_eq!(found("Patient.extension('http://e/a').value.ofType(string)", PATIENT), ["one"]);
        assert_eq!(found("Patient.communication.language.text", PATIENT), ["de"]);
    }

    #[test]
    fn a_code_in_a_nested_extension_is_found() {
        let coded = r#"{"resourceType":"Patient","extension":[{"url":"http://e/r","extension":[{"url":"code","valueCoding":{"code":"x"}}]}]}"#;
        let race = "Patient.extension.where(url = 'http://e/r').extension.value.code";

        assert_eq!(found(race, coded), ["x"]);
    }

    #[test]
    fn each_base_gets_its_own_branches() {
        let params =
            read("string", "Patient.contact.name.family | Practitioner.name.text").unwrap();

        let each: Vec<_> =
            params.iter().map(|one| (one.base.name(), one.expression.as_str())).collect();
        assert_eq!(
            each,
            [
                ("Patient", "Patient.contact.name.family"),
                ("Practitioner", "Practitioner.name.text")
            ]
        );
    }

    #[test]
    fn what_does_not_compile_names_the_part() {
        let why = |kind: &str, expression: &str| read(kind, expression).unwrap_err().remove(0);

        let unknown = why("string", "Patient.nickname | Practitioner.name");
        assert!(unknown.text.contains("Patient.nickname"), "{}", unknown.text);
        assert_eq!(unknown.expression.as_deref(), Some("SearchParameter.expression"));
        assert!(why("string", "Patient.name.first() | Practitioner.name").text.contains("first()"));
        assert!(
            why("date", "Patient.active | Practitioner.birthDate").text.contains("boolean as date")
        );
        assert!(why("string", "Patient.name").text.contains("Practitioner"));
    }
}
