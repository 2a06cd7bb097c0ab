//! A ValueSet resource → [`ValueSet`].

use serde_json::{Map, Value};

use crate::canonical::Canonical;
use crate::designation::Designation;
use crate::refusal::Refusal;
use crate::value_set::{Enumerated, Filter, Given, Include, ValueSet};

impl ValueSet {
    /// Reads a resource. One without composition and expansion has no codes.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] where the composition names a contained code system.
    pub fn of(resource: &Value) -> Result<Self, Refusal> {
        let text = |name: &str| resource[name].as_str();
        let compose = &resource["compose"];
        let parts = |name: &str| -> Result<Vec<Include>, Refusal> {
            compose[name].as_array().into_iter().flatten().map(include).collect()
        };
        let given = match (compose.is_object(), resource.get("expansion")) {
            (false, Some(expansion)) => {
                let mut codes = Vec::new();
                gather(&expansion["contains"], &mut codes);
                Some(codes)
            }
            _ => None,
        };
        Ok(Self {
            url: text("url").unwrap_or_default().into(),
            version: text("version").map(Into::into),
            status: text("status").unwrap_or("unknown").into(),
            head: head(resource),
            definition: compose.clone(),
            inactive: compose["inactive"].as_bool(),
            includes: parts("include")?,
            excludes: parts("exclude")?,
            given,
        })
    }
}

fn head(resource: &Value) -> Value {
    let kept = HEAD
        .iter()
        .filter_map(|name| resource.get(*name).map(|value| ((*name).to_owned(), value.clone())));
    Value::Object(kept.collect::<Map<String, Value>>())
}

fn include(one: &Value) -> Result<Include, Refusal> {
    let system = one["system"].as_str();
    if let Some(fragment) = system.filter(|system| system.starts_with('#')) {
        let text = format!(
            "compose names the contained code system {fragment}: store it as a resource of its own"
        );
        return Err(Refusal::Unsupported(text));
    }
    let items = |name: &str| one[name].as_array().into_iter().flatten();
    let text =
        |value: &Value, name: &str| -> Box<str> { value[name].as_str().unwrap_or_default().into() };
    // `*` means every version; the current one stands for them.
    let version = one["version"].as_str().filter(|version| *version != "*");
    Ok(Include {
        system: system.map(|system| Canonical::new(system, version)),
        concepts: items("concept")
            .map(|concept| Enumerated {
                code: text(concept, "code"),
                display: concept["display"].as_str().map(Into::into),
                designations: Designation::all_of(concept),
            })
            .collect(),
        filters: items("filter")
            .map(|filter| Filter {
                property: text(filter, "property"),
                op: text(filter, "op"),
                value: text(filter, "value"),
            })
            .collect(),
        value_sets: items("valueSet").filter_map(Value::as_str).map(Canonical::parse).collect(),
    })
}

/// Depth is bounded by the reader's.
fn gather(contains: &Value, into: &mut Vec<Given>) {
    for one in contains.as_array().into_iter().flatten() {
        if let Some(code) = one["code"].as_str() {
            into.push(Given {
                system: one["system"].as_str().map(Into::into),
                version: one["version"].as_str().map(Into::into),
                code: code.into(),
                display: one["display"].as_str().map(Into::into),
                designations: Designation::all_of(one),
                is_abstract: one["abstract"] == true,
                is_inactive: one["inactive"] == true,
            });
        }
        gather(&one["contains"], into);
    }
}

/// What an expansion repeats of its definition.
const HEAD: [&str; 10] = [
    "language",
    "url",
    "identifier",
    "version",
    "name",
    "title",
    "status",
    "experimental",
    "date",
    "publisher",
];
