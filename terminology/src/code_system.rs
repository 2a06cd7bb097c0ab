//! A code system as loaded: its concepts, how they are found, and how they lie above each other.
//!
//! Spec: FHIR R4 codesystem.html. The hierarchy is that of nesting together with `parent` and `child` properties.
//! Codes are compared as `caseSensitive` says; where it says nothing, any case is accepted (the element's definition).
//! Not here: its JSON (`read_code_system`), filters (`filter`).

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use crate::canonical::Canonical;
use crate::designation::{Designation, in_language};

/// A code system.
#[derive(Debug)]
pub struct CodeSystem {
    /// Its `url`.
    pub url: Box<str>,
    /// Its `version`.
    pub version: Option<Box<str>>,
    /// Its name or title.
    pub name: Box<str>,
    /// `active`, `draft`, `retired` or `unknown`.
    pub status: Box<str>,
    /// Language of the displays.
    pub language: Option<Box<str>>,
    /// How much of it is here.
    pub content: Content,
    /// What it supplements.
    pub supplements: Option<Canonical>,
    /// `caseSensitive`; `None` where it says nothing.
    pub case_sensitive: Option<bool>,
    /// `hierarchyMeaning`.
    pub hierarchy_meaning: Option<Box<str>>,
    /// Codes and types of the declared properties.
    pub(crate) properties: Vec<Property>,
    pub(crate) concepts: Vec<Concept>,
    pub(crate) by_code: HashMap<Box<str>, u32>,
    pub(crate) folded: HashMap<Box<str>, u32>,
}

/// How much of a code system its resource has (value set `codesystem-content-mode`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// None of its concepts.
    NotPresent,
    /// A few, for illustration.
    Example,
    /// Some.
    Fragment,
    /// All.
    Complete,
    /// Additions to another code system.
    Supplement,
}

/// A declared property.
#[derive(Debug)]
pub(crate) struct Property {
    pub(crate) code: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) description: Option<Box<str>>,
}

/// One concept.
#[derive(Debug, Default)]
pub struct Concept {
    /// Its code.
    pub code: Box<str>,
    /// Its preferred text.
    pub display: Option<Box<str>>,
    /// What it means.
    pub definition: Option<Box<str>>,
    /// Other texts.
    pub designations: Vec<Designation>,
    /// `property` entries: code, and the element with its `value[x]`.
    pub(crate) properties: Vec<(Box<str>, Value)>,
    /// Places of the concepts right above it; the one it is nested in comes first.
    pub(crate) parents: Vec<u32>,
    /// Places of the concepts right below it.
    pub(crate) children: Vec<u32>,
    /// Not meant to be chosen.
    pub is_abstract: bool,
    /// Not to be used any more.
    pub is_inactive: bool,
}

impl CodeSystem {
    /// Canonical with version.
    #[must_use]
    pub fn canonical(&self) -> Canonical {
        Canonical { url: self.url.clone(), version: self.version.clone() }
    }

    /// All concepts, in document order.
    #[must_use]
    pub fn concepts(&self) -> &[Concept] {
        &self.concepts
    }

    /// The concept with this code.
    #[must_use]
    pub fn find(&self, code: &str) -> Option<&Concept> {
        self.place(code).map(|place| &self.concepts[place as usize])
    }

    pub(crate) fn place(&self, code: &str) -> Option<u32> {
        let exact = self.by_code.get(code);
        let any_case = || match self.case_sensitive {
            Some(true) => None,
            _ => self.folded.get(code.to_lowercase().as_str()),
        };
        exact.or_else(any_case).copied()
    }

    /// True where the hierarchy says what includes what: meaning is-a, or none given.
    pub(crate) fn is_subsuming(&self) -> bool {
        !matches!(self.hierarchy_meaning.as_deref(), Some("part-of" | "grouped-by"))
    }

    /// True when a code that is not here may exist all the same.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.content != Content::Complete
    }

    /// The concept's text, in a language where it has one in it.
    pub(crate) fn display<'a>(
        &self,
        concept: &'a Concept,
        language: Option<&str>,
    ) -> Option<&'a str> {
        let own = language.filter(|wanted| {
            !self.language.as_deref().is_some_and(|own| crate::designation::speaks(own, wanted))
        });
        own.and_then(|wanted| in_language(&concept.designations, wanted))
            .or(concept.display.as_deref())
    }

    /// True if the system declares this property or a concept has it.
    pub(crate) fn has_property(&self, code: &str) -> bool {
        self.properties.iter().any(|property| &*property.code == code)
            || self.concepts.iter().any(|c| c.properties.iter().any(|(name, _)| &**name == code))
    }

    /// Texts of a property of a concept; also of what every code system has (`code`, `display`, `parent`, …).
    pub(crate) fn values<'a>(&'a self, concept: &'a Concept, property: &str) -> Vec<Cow<'a, str>> {
        let codes = |places: &'a [u32]| {
            places.iter().map(|at| Cow::from(&*self.concepts[*at as usize].code)).collect()
        };
        let one = |text: Option<&'a str>| text.map(Cow::from).into_iter().collect();
        match property {
            "code" | "concept" => one(Some(&concept.code)),
            "display" => one(concept.display.as_deref()),
            "definition" => one(concept.definition.as_deref()),
            "designation" => concept.designations.iter().map(|d| Cow::from(&*d.value)).collect(),
            "parent" => codes(&concept.parents),
            "child" => codes(&concept.children),
            "inactive" => vec![flag(concept.is_inactive)],
            "notSelectable" => vec![flag(concept.is_abstract)],
            other => self.own_values(concept, other),
        }
    }

    fn own_values<'a>(&'a self, concept: &'a Concept, property: &str) -> Vec<Cow<'a, str>> {
        let own = concept.properties.iter().filter(|(name, _)| &**name == property);
        own.filter_map(|(_, value)| text_of(value)).collect()
    }
}

fn flag(value: bool) -> Cow<'static, str> {
    Cow::from(if value { "true" } else { "false" })
}

/// The text of a property's `value[x]`; the code of a Coding.
fn text_of(property: &Value) -> Option<Cow<'_, str>> {
    let (_, value) = property.as_object()?.iter().find(|(name, _)| name.starts_with("value"))?;
    match value {
        Value::String(text) => Some(Cow::from(text.as_str())),
        Value::Object(coding) => coding.get("code")?.as_str().map(Cow::from),
        other => Some(Cow::from(other.to_string())),
    }
}

impl Content {
    /// The standard's code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotPresent => "not-present",
            Self::Example => "example",
            Self::Fragment => "fragment",
            Self::Complete => "complete",
            Self::Supplement => "supplement",
        }
    }

    pub(crate) fn parse(code: &str) -> Option<Self> {
        let all =
            [Self::NotPresent, Self::Example, Self::Fragment, Self::Complete, Self::Supplement];
        all.into_iter().find(|content| content.code() == code)
    }
}
