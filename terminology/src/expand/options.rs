//! What is asked of an expansion, and what the answer tells of that.
//!
//! Spec: FHIR R4 valueset-operation-expand.html, `ValueSet.expansion.parameter`. Not here: the expansion.

use serde_json::Value;

use crate::canonical::Canonical;

/// What was asked of an expansion. The names are those of the operation's parameters.
#[derive(Clone, Debug, Default)]
pub struct ExpandOptions {
    /// Words that must occur in the display, a designation or the code.
    pub filter: Option<String>,
    /// Place of the first code of the page.
    pub offset: Option<usize>,
    /// Codes of the page.
    pub count: Option<usize>,
    /// Leaves inactive codes out.
    pub active_only: bool,
    /// Adds other texts.
    pub include_designations: bool,
    /// Only these other texts.
    pub designations: Vec<String>,
    /// Language of the displays.
    pub display_language: Option<String>,
    /// Nests codes as their code systems do.
    pub nested: bool,
    /// Leaves abstract codes out.
    pub exclude_not_for_ui: bool,
    /// Code systems to leave out.
    pub exclude_systems: Vec<Canonical>,
    /// Versions where the composition names none.
    pub system_versions: Vec<Canonical>,
    /// Versions that the composition must agree with.
    pub check_system_versions: Vec<Canonical>,
    /// Versions whatever the composition says.
    pub force_system_versions: Vec<Canonical>,
    /// A whole code system that is not here becomes one entry with an empty code, instead of a refusal. For searches,
    /// which can look for any code of a system; not for an answer to a client.
    pub whole_systems: bool,
}

/// `ValueSet.expansion.parameter`: what was asked, and which versions of code systems and value sets were used.
pub(super) fn parameters(
    options: &ExpandOptions,
    used: Vec<(&'static str, Canonical)>,
) -> Vec<(String, Value)> {
    let mut out: Vec<(String, Value)> = Vec::new();
    let mut put = |name: &str, value: Value| out.push((name.to_owned(), value));
    if let Some(filter) = &options.filter {
        put("filter", filter.as_str().into());
    }
    for (name, number) in [("offset", options.offset), ("count", options.count)] {
        if let Some(number) = number {
            put(name, number.into());
        }
    }
    for (name, flag) in [
        ("activeOnly", options.active_only),
        ("includeDesignations", options.include_designations),
        ("excludeNotForUI", options.exclude_not_for_ui),
    ] {
        if flag {
            put(name, true.into());
        }
    }
    put("excludeNested", (!options.nested).into());
    for token in &options.designations {
        put("designation", token.as_str().into());
    }
    if let Some(language) = &options.display_language {
        put("displayLanguage", language.as_str().into());
    }
    for (name, list) in [
        ("exclude-system", &options.exclude_systems),
        ("system-version", &options.system_versions),
        ("check-system-version", &options.check_system_versions),
        ("force-system-version", &options.force_system_versions),
    ] {
        for canonical in list {
            put(name, canonical.to_string().into());
        }
    }
    for (name, canonical) in used {
        put(name, canonical.to_string().into());
    }
    out
}
