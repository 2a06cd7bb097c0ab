//! A value set as loaded: what it includes and excludes, or the expansion it came with.
//!
//! Spec: FHIR R4 valueset.html#compositions. Not here: its JSON (`read_value_set`), what is in it (`expand`, `member`).

use serde_json::Value;

use crate::canonical::Canonical;
use crate::designation::Designation;

/// A value set.
#[derive(Debug)]
pub struct ValueSet {
    /// Its `url`; empty for one that came with the question.
    pub url: Box<str>,
    /// Its `version`.
    pub version: Option<Box<str>>,
    /// `active`, `draft`, `retired` or `unknown`.
    pub status: Box<str>,
    /// What it says of itself, without narrative and content.
    pub(crate) head: Value,
    /// `compose` as written, for `includeDefinition`.
    pub(crate) definition: Value,
    /// `compose.inactive`.
    pub(crate) inactive: Option<bool>,
    pub(crate) includes: Vec<Include>,
    pub(crate) excludes: Vec<Include>,
    /// The stored expansion, where there is no composition.
    pub(crate) given: Option<Vec<Given>>,
}

/// One `include` or `exclude`: codes that meet all of it.
#[derive(Debug, Default)]
pub(crate) struct Include {
    pub(crate) system: Option<Canonical>,
    pub(crate) concepts: Vec<Enumerated>,
    pub(crate) filters: Vec<Filter>,
    pub(crate) value_sets: Vec<Canonical>,
}

/// An enumerated concept.
#[derive(Debug)]
pub(crate) struct Enumerated {
    pub(crate) code: Box<str>,
    pub(crate) display: Option<Box<str>>,
    pub(crate) designations: Vec<Designation>,
}

/// One criterion on properties.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) property: Box<str>,
    pub(crate) op: Box<str>,
    pub(crate) value: Box<str>,
}

/// A code of a stored expansion.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) system: Option<Box<str>>,
    pub(crate) version: Option<Box<str>>,
    pub(crate) code: Box<str>,
    pub(crate) display: Option<Box<str>>,
    pub(crate) designations: Vec<Designation>,
    pub(crate) is_abstract: bool,
    pub(crate) is_inactive: bool,
}

impl ValueSet {
    /// Canonical with version.
    #[must_use]
    pub fn canonical(&self) -> Canonical {
        Canonical { url: self.url.clone(), version: self.version.clone() }
    }

    /// For messages: its canonical, or that it came with the question.
    #[must_use]
    pub fn label(&self) -> String {
        if self.url.is_empty() {
            "the value set given".to_owned()
        } else {
            self.canonical().to_string()
        }
    }
}
