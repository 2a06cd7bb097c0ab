//! `CodeSystem/$lookup`: what a code system says of a code.
//!
//! Spec: FHIR R4 codesystem-operation-lookup.html.

use serde_json::{Value, json};

use crate::canonical::Canonical;
use crate::code_system::{CodeSystem, Concept};
use crate::coding::Coding;
use crate::designation::Designation;
use crate::parameters::Parameters;
use crate::refusal::Refusal;
use crate::shelf::Shelf;

/// The answer.
#[derive(Debug)]
pub struct Lookup {
    out: Parameters,
}

impl Lookup {
    /// As a Parameters resource.
    #[must_use]
    pub fn to_resource(&self) -> Value {
        self.out.to_resource()
    }
}

/// Looks a code up. `properties` are the names asked for; none means all.
///
/// # Errors
/// [`Refusal::NoSuchCode`] when the code system does not have it.
pub fn lookup(
    coding: &Coding,
    properties: &[String],
    language: Option<&str>,
    shelf: &Shelf,
) -> Result<Lookup, Refusal> {
    let system = coding.system.as_deref().ok_or_else(|| {
        Refusal::Invalid("a code is looked up in a system: give system, or coding".to_owned())
    })?;
    let wanted = Canonical::new(system, coding.version.as_deref());
    let system = shelf.needed_code_system(&wanted)?;
    let concept = system.find(&coding.code).ok_or_else(|| no_such_code(&system, &coding.code))?;
    let asks = |name: &str| properties.is_empty() || properties.iter().any(|one| one == name);
    let mut out = Parameters::default();
    out.put("name", "valueString", &*system.name);
    if let Some(version) = &system.version {
        out.put("version", "valueString", &**version);
    }
    let display = system.display(concept, language).unwrap_or(&concept.code);
    out.put("display", "valueString", display);
    for one in &concept.designations {
        let language = one.language.as_deref().unwrap_or_default();
        if asks("designation")
            || properties.iter().any(|name| name.strip_prefix("lang.") == Some(language))
        {
            out.push(designation(one));
        }
    }
    for property in describe(&system, concept, &asks) {
        out.push(property);
    }
    Ok(Lookup { out })
}

pub(crate) fn no_such_code(system: &CodeSystem, code: &str) -> Refusal {
    let part = if system.is_partial() { ", of which only a part is here" } else { "" };
    Refusal::NoSuchCode(format!("{code:?} is no code of {}{part}", system.canonical()))
}

fn designation(one: &Designation) -> Value {
    let mut parts = Vec::new();
    if let Some(language) = &one.language {
        parts.push(json!({"name": "language", "valueCode": language}));
    }
    if let Some(usage) = &one.usage {
        parts.push(json!({"name": "use", "valueCoding": usage}));
    }
    parts.push(json!({"name": "value", "valueString": one.value}));
    json!({"name": "designation", "part": parts})
}

fn describe(system: &CodeSystem, concept: &Concept, asks: &dyn Fn(&str) -> bool) -> Vec<Value> {
    let mut out = Vec::new();
    if asks("inactive") {
        out.push(property("inactive", "valueBoolean", concept.is_inactive.into(), None));
    }
    if concept.is_abstract && asks("notSelectable") {
        out.push(property("notSelectable", "valueBoolean", true.into(), None));
    }
    if let Some(definition) = concept.definition.as_deref().filter(|_| asks("definition")) {
        out.push(property("definition", "valueString", definition.into(), None));
    }
    for (name, places) in [("parent", &concept.parents), ("child", &concept.children)] {
        for place in places.iter().filter(|_| asks(name)) {
            let other = &system.concepts[*place as usize];
            out.push(property(name, "valueCode", (*other.code).into(), other.display.as_deref()));
        }
    }
    let said = ["inactive", "notSelectable", "definition", "parent", "child"];
    for (name, value) in &concept.properties {
        if said.contains(&&**name) || !asks(name) {
            continue;
        }
        let value = value
            .as_object()
            .and_then(|fields| fields.iter().find(|(key, _)| key.starts_with("value")));
        let Some((field, value)) = value else { continue };
        let declared = system.properties.iter().find(|declared| declared.code == *name);
        let other = value.as_str().and_then(|code| system.find(code));
        let is_code = declared.is_some_and(|declared| &*declared.kind == "code");
        let description = other.filter(|_| is_code).and_then(|other| other.display.as_deref());
        let description =
            description.or(declared.and_then(|declared| declared.description.as_deref()));
        out.push(property(name, field, value.clone(), description));
    }
    out
}

fn property(code: &str, field: &str, value: Value, description: Option<&str>) -> Value {
    let mut parts =
        vec![json!({"name": "code", "valueCode": code}), json!({"name": "value", field: value})];
    if let Some(description) = description {
        parts.push(json!({"name": "description", "valueString": description}));
    }
    json!({"name": "property", "part": parts})
}
