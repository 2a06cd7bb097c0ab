//! Other texts of a concept: languages and uses.

use serde_json::{Value, json};

/// `CodeSystem.concept.designation`, and that of an enumerated concept in a value set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Designation {
    /// BCP 47 language.
    pub language: Option<Box<str>>,
    /// What it is for, as the JSON of a Coding.
    pub usage: Option<Value>,
    /// The text.
    pub value: Box<str>,
}

impl Designation {
    /// Those of a concept's JSON.
    pub(crate) fn all_of(concept: &Value) -> Vec<Self> {
        let found = concept["designation"].as_array().into_iter().flatten();
        found
            .filter_map(|one| {
                Some(Self {
                    language: one["language"].as_str().map(Into::into),
                    usage: one.get("use").cloned(),
                    value: one["value"].as_str()?.into(),
                })
            })
            .collect()
    }

    /// As `expansion.contains.designation`.
    pub(crate) fn to_json(&self) -> Value {
        let mut out = json!({});
        if let Some(language) = &self.language {
            out["language"] = language.as_ref().into();
        }
        if let Some(usage) = &self.usage {
            out["use"] = usage.clone();
        }
        out["value"] = self.value.as_ref().into();
        out
    }

    /// True if it is asked for: `system|code` of its use, `urn:ietf:bcp:47|language`, or the code alone.
    pub(crate) fn answers(&self, token: &str) -> bool {
        let (system, code) = token.split_once('|').unwrap_or(("", token));
        let by_language = (system.is_empty() || system == LANGUAGES)
            && self.language.as_deref().is_some_and(|own| speaks(own, code));
        let by_use = self.usage.as_ref().is_some_and(|usage| {
            usage["code"] == code && (system.is_empty() || usage["system"] == system)
        });
        by_language || by_use
    }
}

/// The text in a language: an exact match, else one of the same primary language.
pub(crate) fn in_language<'a>(designations: &'a [Designation], language: &str) -> Option<&'a str> {
    let exact = designations
        .iter()
        .find(|one| one.language.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(language)));
    let near = || {
        designations
            .iter()
            .find(|one| one.language.as_deref().is_some_and(|own| speaks(own, language)))
    };
    exact.or_else(near).map(|one| one.value.as_ref())
}

/// True if text in `own` serves who asks for `wanted`: `de-CH` serves `de` and `de-CH`, `de` serves `de-CH`.
pub(crate) fn speaks(own: &str, wanted: &str) -> bool {
    let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let is_general = !own.contains('-') || !wanted.contains('-');
    own.eq_ignore_ascii_case(wanted) || (is_general && primary(own) == primary(wanted))
}

const LANGUAGES: &str = "urn:ietf:bcp:47";
