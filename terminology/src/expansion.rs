//! The answer to `$expand`: its codes, and its form as a ValueSet (FHIR R4 valueset.html#expansion).

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::code_system::CodeSystem;
use crate::designation::Designation;
use crate::value_set::ValueSet;

/// One code of an expansion.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) system: Option<Arc<str>>,
    pub(crate) version: Option<Arc<str>>,
    pub(crate) code: Box<str>,
    pub(crate) display: Option<Box<str>>,
    pub(crate) designations: Vec<Designation>,
    pub(crate) is_abstract: bool,
    pub(crate) is_inactive: bool,
    /// Where it comes from, for nesting.
    pub(crate) origin: Option<(Arc<CodeSystem>, u32)>,
}

/// The codes of a value set.
#[derive(Debug, Default)]
pub struct Expansion {
    /// All of them, or one page.
    pub(crate) entries: Vec<Entry>,
    /// How many there are in all.
    pub total: usize,
    /// Place of the first of this page, when there are pages.
    pub offset: Option<usize>,
    /// What the answer depends on: name and value.
    pub parameters: Vec<(String, Value)>,
    /// Nests codes as their code systems do.
    pub(crate) nested: bool,
}

/// What only the caller knows of an expansion.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// `expansion.identifier`.
    pub identifier: String,
    /// `expansion.timestamp`.
    pub timestamp: String,
}

impl Expansion {
    /// `system|code` of each entry, in order; for tests and searches.
    pub fn codes(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        self.entries.iter().map(|entry| (entry.system.as_deref(), &*entry.code))
    }

    /// As a resource.
    #[must_use]
    pub fn to_resource(&self, value_set: &ValueSet, with_definition: bool, stamp: &Stamp) -> Value {
        let mut out = Map::new();
        out.insert("resourceType".to_owned(), "ValueSet".into());
        if let Some(head) = value_set.head.as_object() {
            let known = head.iter().filter(|(_, value)| !value.is_null());
            out.extend(known.map(|(name, value)| (name.clone(), value.clone())));
        }
        out.entry("status").or_insert_with(|| "unknown".into());
        if with_definition && value_set.definition.is_object() {
            out.insert("compose".to_owned(), value_set.definition.clone());
        }
        out.insert("expansion".to_owned(), self.to_element(stamp));
        Value::Object(out)
    }

    fn to_element(&self, stamp: &Stamp) -> Value {
        let mut out = json!({
            "identifier": stamp.identifier,
            "timestamp": stamp.timestamp,
            "total": self.total,
        });
        if let Some(offset) = self.offset {
            out["offset"] = offset.into();
        }
        let parameters: Vec<Value> = self.parameters.iter().map(parameter).collect();
        if !parameters.is_empty() {
            out["parameter"] = parameters.into();
        }
        let contains = if self.nested {
            self.tree()
        } else {
            self.entries.iter().map(|entry| Value::Object(entry.to_map())).collect()
        };
        if !contains.is_empty() {
            out["contains"] = contains.into();
        }
        out
    }

    /// Each code below the nearest one above it that is in the expansion too.
    fn tree(&self) -> Vec<Value> {
        let known: HashMap<(*const CodeSystem, u32), usize> = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(at, entry)| {
                let (system, place) = entry.origin.as_ref()?;
                Some(((Arc::as_ptr(system), *place), at))
            })
            .collect();
        let mut below: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let above = entry.origin.as_ref().and_then(|(system, place)| {
                let mut place = *place;
                for _ in 0..NEST_DEPTH_MAX {
                    place = *system.concepts[place as usize].parents.first()?;
                    if let Some(above) = known.get(&(Arc::as_ptr(system), place)) {
                        return Some(*above);
                    }
                }
                None
            });
            below.entry(above.filter(|above| *above != at)).or_default().push(at);
        }
        self.branch(None, &below, 0)
    }

    fn branch(
        &self,
        above: Option<usize>,
        below: &HashMap<Option<usize>, Vec<usize>>,
        depth: usize,
    ) -> Vec<Value> {
        let Some(places) = below.get(&above).filter(|_| depth < NEST_DEPTH_MAX) else {
            return Vec::new();
        };
        let one = |at: &usize| {
            let mut out = self.entries[*at].to_map();
            let inner = self.branch(Some(*at), below, depth + 1);
            if !inner.is_empty() {
                out.insert("contains".to_owned(), inner.into());
            }
            Value::Object(out)
        };
        places.iter().map(one).collect()
    }
}

impl Entry {
    fn to_map(&self) -> Map<String, Value> {
        let mut out = Map::new();
        let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
        if let Some(system) = &self.system {
            put("system", system.as_ref().into());
        }
        if self.is_abstract {
            put("abstract", true.into());
        }
        if self.is_inactive {
            put("inactive", true.into());
        }
        if let Some(version) = &self.version {
            put("version", version.as_ref().into());
        }
        put("code", self.code.as_ref().into());
        if let Some(display) = &self.display {
            put("display", display.as_ref().into());
        }
        if !self.designations.is_empty() {
            let all: Vec<Value> = self.designations.iter().map(Designation::to_json).collect();
            put("designation", all.into());
        }
        out
    }
}

/// An entry of `expansion.parameter`.
fn parameter((name, value): &(String, Value)) -> Value {
    let kind = match value {
        Value::Bool(_) => "valueBoolean",
        Value::Number(_) => "valueInteger",
        _ if matches!(name.as_str(), "displayLanguage") => "valueCode",
        _ if name.ends_with("version") || name.starts_with("used-") || name == "exclude-system" => {
            "valueUri"
        }
        _ => "valueString",
    };
    json!({"name": name, kind: value})
}

/// Nesting of codes in an answer; deeper ones are not reached, as no resource can hold them.
const NEST_DEPTH_MAX: usize = 48;
