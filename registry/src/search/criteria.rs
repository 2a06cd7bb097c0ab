//! Criteria of a conditional interaction, read: `If-None-Exist`, conditional URLs and references.
//!
//! Spec: FHIR R4 http.html#ccreate, #cond-update, references.html. Read once, before the writer: it knows no parameters
//! of the installation and no terminology, and asks with what was read, again and again.
//! Not here: who reads them with which parameters (`gateway`), how they are answered ([`matching_ids`]).
//!
//! [`matching_ids`]: super::matching_ids

use std::sync::Arc;

use fhir::ResourceType;

use super::clause::Filter;
use super::page::MATCHES_MAX;
use super::parse::{ParseOptions, parse_pairs};
use super::weight::{HEAVY_WEIGHT, weight_of};
use crate::error::ReadError;

/// Whether a parameter is about the results of a search (FHIR R4 search.html §3.1.1.5): it selects nothing, so it is no
/// criterion of what writes or groups.
pub fn is_of_results(name: &str) -> bool {
    OF_RESULTS.contains(&name.split([':', '.']).next().unwrap_or_default())
}

/// What a resource of a type must pass to be meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Criteria {
    of: ResourceType,
    text: Box<str>,
    filters: Arc<[Filter]>,
    matches_max: usize,
}

impl Criteria {
    /// Reads criteria as a query string. Custom parameters count within [`with_params`](super::with_params).
    ///
    /// # Errors
    /// As [`parse`](super::parse()); also when nothing but parameters of results is named, or one that is not known.
    pub fn parse(
        of: ResourceType,
        text: &str,
        options: &ParseOptions<'_>,
    ) -> Result<Self, ReadError> {
        let pairs = super::query_string::pairs(text)?;
        if let Some((name, _)) = pairs.iter().find(|(name, _)| is_of_results(name)) {
            return Err(ReadError::Invalid(format!("criteria have no {name}: it selects nothing")));
        }
        let options = ParseOptions { lenient: false, ..*options };
        let mut query = parse_pairs(of, pairs, &options)?;
        let filters = std::mem::take(&mut query.legs[0].filters);
        if filters.is_empty() || !query.ignored.is_empty() {
            let text = "a conditional query must name known parameters";
            return Err(ReadError::Invalid(text.to_owned()));
        }
        if filters.iter().any(is_by_words) {
            let text = "a conditional query is not answered by words (_text, _content)";
            return Err(ReadError::Unsupported(text.to_owned()));
        }
        if weight_of(&filters) > HEAVY_WEIGHT {
            let text = "the criteria of a conditional interaction may not have so many values or references";
            return Err(ReadError::TooCostly(text.to_owned()));
        }
        Ok(Self { of, text: text.into(), filters: filters.into(), matches_max: MATCHES_MAX })
    }

    /// The same, asked for so many matches instead of [`MATCHES_MAX`].
    #[must_use]
    pub fn up_to(self, matches_max: usize) -> Self {
        Self { matches_max, ..self }
    }

    /// How many matches are told at most.
    pub fn matches_max(&self) -> usize {
        self.matches_max
    }

    /// The type that is searched.
    pub fn of(&self) -> ResourceType {
        self.of
    }

    /// The query as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn weight(&self) -> usize {
        weight_of(&self.filters)
    }

    pub(super) fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Whether whatever they match is told by resources of the one type alone: no hierarchy, no reference is followed.
    pub(crate) fn is_of_one_type(&self) -> bool {
        let plain = |pair: &str| {
            let name = pair.split('=').next().unwrap_or_default();
            let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            name.bytes().all(letters) || matches!(name, "_id" | "_tag" | "_profile" | "_security")
        };
        self.text.split('&').all(plain)
    }
}

/// Whether words decide somewhere in it: these are found by their hashes, and by which words a text has nobody may
/// decide whether a resource is made.
fn is_by_words(filter: &Filter) -> bool {
    match filter {
        Filter::Words { .. } => true,
        Filter::Id(_) | Filter::LastUpdated(_) | Filter::Value { .. } | Filter::Missing { .. } => {
            false
        }
        Filter::Chain { targets, .. } => targets.iter().any(|(_, filter)| is_by_words(filter)),
        Filter::Has { filter, .. } => is_by_words(filter),
        Filter::Any(each) | Filter::All(each) => each.iter().any(is_by_words),
        Filter::Not(inner) => is_by_words(inner),
    }
}

/// What [`is_of_results`] takes for such, without modifiers.
pub(super) const OF_RESULTS: [&str; 10] = [
    "_sort",
    "_count",
    "_include",
    "_revinclude",
    "_total",
    "_summary",
    "_elements",
    "_contained",
    "_containedType",
    super::CURSOR,
];
