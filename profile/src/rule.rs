//! A compiled profile: a tree of rules by element, as small as its StructureDefinition says something.

use fhir::{Severity, Tree};
use fhirpath::Expression;

/// A StructureDefinition, ready to check resources or datatypes.
#[derive(Debug)]
pub struct Profile {
    pub(crate) url: String,
    pub(crate) version: Option<String>,
    pub(crate) type_name: String,
    /// Profile that it refines, when it is not R4's own type and this one was made from its differential.
    pub(crate) base: Option<String>,
    pub(crate) root: Rule,
    /// Where an extension may stand: kind and expression.
    pub(crate) contexts: Vec<(String, String)>,
    pub(crate) gaps: Vec<String>,
}

impl Profile {
    /// Canonical URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Version, when it has one.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Type that it constrains.
    #[must_use]
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// What it demands that is not checked here, one sentence each.
    #[must_use]
    pub fn gaps(&self) -> &[String] {
        &self.gaps
    }

    /// Where it may stand, when it is of an extension: `E` element, `X` extension, `P` FHIRPath, and what it names.
    pub(crate) fn contexts(&self) -> impl ExactSizeIterator<Item = (char, &str)> {
        self.contexts.iter().map(|(kind, name)| {
            let kind = match kind.as_str() {
                "element" => 'E',
                "extension" => 'X',
                _ => 'P',
            };
            (kind, name.as_str())
        })
    }

    /// URLs of the profiles that it names: its base, those of types and of reference targets.
    #[must_use]
    pub fn dependencies(&self) -> Vec<&str> {
        let mut found: Vec<&str> = self.base.as_deref().into_iter().collect();
        let mut open = vec![&self.root];
        while let Some(rule) = open.pop() {
            found.extend(rule.types.iter().flat_map(|of| &of.profiles).map(String::as_str));
            open.extend(&rule.children);
            open.extend(rule.slices.iter().map(|slice| &slice.rule));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// What a profile says of one element.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    /// Name of the element, a choice without `[x]`.
    pub(crate) name: String,
    pub(crate) min: usize,
    pub(crate) max: Option<usize>,
    /// Allowed types; empty for all.
    pub(crate) types: Vec<TypeRule>,
    pub(crate) fixed: Option<Tree>,
    pub(crate) pattern: Option<Tree>,
    pub(crate) binding: Option<Binding>,
    pub(crate) invariants: Vec<ProfileInvariant>,
    pub(crate) max_length: Option<usize>,
    pub(crate) min_value: Option<Tree>,
    pub(crate) max_value: Option<Tree>,
    pub(crate) slicing: Option<Slicing>,
    pub(crate) slices: Vec<Slice>,
    pub(crate) children: Vec<Rule>,
}

#[derive(Debug)]
pub(crate) struct TypeRule {
    pub(crate) code: String,
    pub(crate) profiles: Vec<String>,
    pub(crate) targets: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) severity: Severity,
    pub(crate) value_set: String,
}

#[derive(Debug)]
pub(crate) struct ProfileInvariant {
    pub(crate) key: String,
    pub(crate) severity: Severity,
    pub(crate) human: String,
    pub(crate) expression: Expression,
}

/// How the repeats of an element are told apart.
#[derive(Debug)]
pub(crate) struct Slicing {
    pub(crate) discriminators: Vec<Discriminator>,
    pub(crate) ordered: bool,
    pub(crate) rules: SlicingRules,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SlicingRules {
    Open,
    Closed,
    OpenAtEnd,
}

#[derive(Debug)]
pub(crate) struct Discriminator {
    pub(crate) kind: DiscriminatorKind,
    pub(crate) path: String,
    pub(crate) expression: Expression,
}

/// Value set `discriminator-type`; `pattern` is a name of R5's for `value`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DiscriminatorKind {
    Value,
    Exists,
    Type,
    Profile,
}

#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) name: String,
    pub(crate) rule: Rule,
}

impl Rule {
    /// The rule of an element below, through the steps of a simple path; slices are entered when they are the only one.
    pub(crate) fn below(&self, path: &str) -> Option<&Rule> {
        let mut at = self;
        for step in steps(path) {
            match step {
                Step::This => {}
                Step::Name(name) => {
                    at = at.children.iter().find(|child| child.name == name)?;
                }
                Step::Extension(url) => {
                    let child = at.children.iter().find(|child| child.name == "extension")?;
                    let slice = child.slices.iter().find(|slice| slice.rule.is_extension(url))?;
                    at = &slice.rule;
                }
            }
        }
        Some(at)
    }

    /// Whether it is the rule of an extension of that URL.
    pub(crate) fn is_extension(&self, url: &str) -> bool {
        let by_profile = self
            .types
            .iter()
            .any(|of| of.profiles.iter().any(|profile| profile.split('|').next() == Some(url)));
        by_profile || {
            let child = self.children.iter().find(|child| child.name == "url");
            let fixed = child.and_then(|child| child.fixed.as_ref().or(child.pattern.as_ref()));
            fixed.and_then(|tree| tree.root().as_str().map(|text| *text == *url)).unwrap_or(false)
        }
    }
}

/// One step of a discriminator's path.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Step<'p> {
    This,
    Name(&'p str),
    Extension(&'p str),
}

/// The steps of a discriminator's path (profiling.html#discriminator: a restricted FHIRPath).
pub(crate) fn steps(path: &str) -> Vec<Step<'_>> {
    let mut found = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("extension(") {
            let end = after.find(')').unwrap_or(after.len());
            found.push(Step::Extension(after[..end].trim_matches(['\'', '"', ' '])));
            rest = after[end..].trim_start_matches(')').trim_start_matches('.');
            continue;
        }
        let end = rest.find('.').unwrap_or(rest.len());
        let step = &rest[..end];
        rest = rest[end..].trim_start_matches('.');
        let is_function = step.contains('(');
        found.push(if step == "$this" || is_function { Step::This } else { Step::Name(step) });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discriminator_paths_have_names_extensions_and_functions_that_stay() {
        assert_eq!(steps("$this"), [Step::This]);
        assert_eq!(steps("code.coding"), [Step::Name("code"), Step::Name("coding")]);
        assert_eq!(steps("value.ofType(Coding)").len(), 2);
        assert_eq!(
            steps("extension('http://x.org/a').value"),
            [Step::Extension("http://x.org/a"), Step::Name("value")]
        );
    }
}
