//! A CodeSystem resource → [`CodeSystem`].
//!
//! The resource has passed the strict reader; what this adds are the rules between its elements.

use std::collections::HashMap;

use serde_json::Value;

use crate::canonical::Canonical;
use crate::code_system::{CodeSystem, Concept, Content, Property};
use crate::designation::Designation;
use crate::refusal::Refusal;

impl CodeSystem {
    /// Reads a resource.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] without `url` or `content`, or with more than `CONCEPTS_MAX` concepts.
    pub fn of(resource: &Value) -> Result<Self, Refusal> {
        let text = |name: &str| resource[name].as_str();
        let needed = |name: &str| {
            text(name).ok_or_else(|| Refusal::Invalid(format!("CodeSystem.{name} is missing")))
        };
        let content = Content::parse(needed("content")?)
            .ok_or_else(|| Refusal::Invalid("CodeSystem.content has no known code".to_owned()))?;
        let url = needed("url")?;
        let mut concepts = Vec::new();
        gather(&resource["concept"], None, &mut concepts)?;
        let properties = declared(resource);
        let system = Self {
            url: url.into(),
            version: text("version").map(Into::into),
            name: text("title").or(text("name")).unwrap_or(url).into(),
            status: text("status").unwrap_or("unknown").into(),
            language: text("language").map(Into::into),
            content,
            supplements: text("supplements").map(Canonical::parse),
            case_sensitive: resource["caseSensitive"].as_bool(),
            hierarchy_meaning: text("hierarchyMeaning").map(Into::into),
            properties,
            concepts,
            by_code: HashMap::new(),
            folded: HashMap::new(),
        };
        Ok(system.indexed())
    }

    /// Fills the index of codes and joins `parent` and `child` properties to the nesting.
    pub(crate) fn indexed(mut self) -> Self {
        for (place, concept) in (0_u32..).zip(&self.concepts) {
            self.by_code.entry(concept.code.clone()).or_insert(place);
            if self.case_sensitive != Some(true) {
                self.folded.entry(concept.code.to_lowercase().into()).or_insert(place);
            }
        }
        let mut edges = Vec::new();
        for (place, concept) in (0_u32..).zip(&self.concepts) {
            for (code, value) in &concept.properties {
                let other = value["valueCode"].as_str().and_then(|code| self.place(code));
                match (&**code, other) {
                    ("parent" | "subsumedBy", Some(parent)) => edges.push((parent, place)),
                    ("child", Some(child)) => edges.push((place, child)),
                    _ => {}
                }
            }
        }
        for (parent, child) in edges {
            self.join(parent, child);
        }
        self
    }

    fn join(&mut self, parent: u32, child: u32) {
        let known = &mut self.concepts[child as usize].parents;
        if parent != child && !known.contains(&parent) {
            known.push(parent);
            self.concepts[parent as usize].children.push(child);
        }
    }
}

fn declared(resource: &Value) -> Vec<Property> {
    let properties = resource["property"].as_array().into_iter().flatten();
    properties
        .filter_map(|one| {
            Some(Property {
                code: one["code"].as_str()?.into(),
                kind: one["type"].as_str().unwrap_or("string").into(),
                description: one["description"].as_str().map(Into::into),
            })
        })
        .collect()
}

/// Depth is bounded by the reader's.
fn gather(found: &Value, parent: Option<u32>, into: &mut Vec<Concept>) -> Result<(), Refusal> {
    for one in found.as_array().into_iter().flatten() {
        let place = u32::try_from(into.len()).unwrap_or(u32::MAX);
        if into.len() >= CONCEPTS_MAX {
            let text = format!("the code system has more than {CONCEPTS_MAX} concepts");
            return Err(Refusal::TooCostly(text));
        }
        into.push(concept(one, parent));
        if let Some(parent) = parent {
            into[parent as usize].children.push(place);
        }
        gather(&one["concept"], Some(place), into)?;
    }
    Ok(())
}

fn concept(one: &Value, parent: Option<u32>) -> Concept {
    let properties: Vec<(Box<str>, Value)> = one["property"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|property| Some((property["code"].as_str()?.into(), property.clone())))
        .collect();
    let is = |names: &[&str], field: &str, values: &[Value]| {
        let named = properties.iter().filter(|(name, _)| names.contains(&&**name));
        named.into_iter().any(|(_, property)| values.contains(&property[field]))
    };
    let retired = [Value::from("retired"), Value::from("inactive")];
    Concept {
        code: one["code"].as_str().unwrap_or_default().into(),
        display: one["display"].as_str().map(Into::into),
        definition: one["definition"].as_str().map(Into::into),
        designations: Designation::all_of(one),
        is_abstract: is(&["notSelectable", "abstract"], "valueBoolean", &[Value::Bool(true)]),
        is_inactive: is(&["inactive"], "valueBoolean", &[Value::Bool(true)])
            || is(&["status"], "valueCode", &retired),
        properties,
        parents: parent.into_iter().collect(),
        children: Vec::new(),
    }
}

/// Concepts of one code system.
pub(crate) const CONCEPTS_MAX: usize = 500_000;
