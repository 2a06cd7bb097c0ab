//! Parts of a resource: what `_summary` and `_elements` ask for, cut out of its bytes.
//!
//! Spec: FHIR R4 search.html §3.1.1.5.8 and §3.1.1.5.9, http.html "General parameters", ElementDefinition.isSummary.
//! What is kept is copied, numbers as written. `id` and `meta` always stay, so do elements that must be there and what
//! may reverse the meaning of the rest (`modifierExtension`, `implicitRules`: extensibility.html#modifierExtension,
//! resource.html#implicitRules); the tag `SUBSETTED` says that something may be missing. Within an element that is kept its own id and extensions stay:
//! they may say why it has no value. Not here: which interactions offer it (`gateway::http`).

use crate::element_table::{TypeDef, TypeId, TypeRef, element_table};
use crate::json_text::write_json_string;
use crate::resource::type_of;
use crate::{Kind, Node, ResourceType, Tree};

/// Value of `_summary` (value set `summary`, closed by the standard).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Summary {
    /// Elements that the definitions mark.
    True,
    /// Narrative, id, meta and elements that must be there.
    Text,
    /// All but the narrative.
    Data,
    /// No resources, only their number.
    Count,
    /// Everything.
    False,
}

impl Summary {
    /// The value of a code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Some(match code {
            "true" => Self::True,
            "text" => Self::Text,
            "data" => Self::Data,
            "count" => Self::Count,
            "false" => Self::False,
            _ => return None,
        })
    }
}

/// Why parts cannot be given; the text is for the client.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSubset(String);

/// Which part of each resource is given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subset(Part);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Summary,
    Text,
    Data,
    /// Names of elements, some for one type only.
    Elements(Vec<Named>),
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Named {
    only: Option<ResourceType>,
    name: Box<str>,
}

impl Subset {
    /// The part that a request asks for; `None` when that is everything or nothing. `of` is the type asked for, if
    /// it is one: then each name in `_elements` is one of its elements, unless it says its type (`Patient.name`).
    ///
    /// # Errors
    /// When a value is none of the standard's, a name none of an element, or both parameters ask for a part.
    pub fn of(
        summary: Option<&str>,
        elements: Option<&str>,
        of: Option<ResourceType>,
    ) -> Result<Option<Self>, InvalidSubset> {
        let wrong = |text: &str| InvalidSubset(text.to_owned());
        let summary = match summary {
            None => Summary::False,
            Some(code) => Summary::parse(code)
                .ok_or_else(|| wrong("_summary is true, text, data, count or false"))?,
        };
        let part = match summary {
            Summary::True => Part::Summary,
            Summary::Text => Part::Text,
            Summary::Data => Part::Data,
            Summary::Count | Summary::False => {
                let Some(elements) = elements else { return Ok(None) };
                return Ok(Some(Self(Part::Elements(names(elements, of)?))));
            }
        };
        match elements {
            Some(_) => {
                Err(wrong("_summary and _elements ask for different parts: give one of them"))
            }
            None => Ok(Some(Self(part))),
        }
    }

    /// The part of a resource. `is_asked` is false for one that came along (`_include`): it is cut by `_elements`
    /// only where that names its type. What is no resource comes back as it is.
    #[must_use]
    pub fn apply(&self, json: &[u8], is_asked: bool) -> Vec<u8> {
        let Ok(tree) = Tree::parse(json.to_vec()) else { return json.to_vec() };
        let Some(of) = type_of(tree.root()) else { return json.to_vec() };
        let applies = |named: &Named| named.only.map_or(is_asked, |only| only == of);
        match &self.0 {
            Part::Elements(names) if !names.iter().any(applies) => return json.to_vec(),
            _ => {}
        }
        let def = type_def(of);
        let keeps = |slot: u8| {
            let bit = 1_u128 << slot;
            let name = def.names[usize::from(slot)];
            match &self.0 {
                Part::Summary => in_summary(def) & bit != 0,
                Part::Text => name == "text" || always(def) & bit != 0,
                Part::Data => name != "text",
                Part::Elements(names) => {
                    always(def) & bit != 0
                        || names.iter().any(|named| applies(named) && *named.name == *name)
                }
            }
        };
        let mut out = Vec::with_capacity(json.len() / 2);
        resource(tree.root(), def, keeps, self.0 == Part::Summary, &mut out);
        out
    }
}

/// Names of elements, as the table has them: a choice without `[x]`.
fn names(elements: &str, of: Option<ResourceType>) -> Result<Vec<Named>, InvalidSubset> {
    let mut found = Vec::new();
    for text in elements.split(',').map(str::trim) {
        let typed = text.split_once('.');
        let (only, name) = match typed.map(|(of, name)| (ResourceType::parse(of), name)) {
            Some((Some(only), name)) => (Some(only), name),
            _ => (None, text),
        };
        // No element, but always there in JSON; fhirpy names it.
        if name == "resourceType" {
            continue;
        }
        let known = match only.or(of) {
            Some(of) => element_name(of, name),
            None => ResourceType::all().find_map(|of| element_name(of, name)),
        };
        let Some(known) = known else {
            let shown: String = text.chars().filter(char::is_ascii_graphic).take(64).collect();
            let of = only.or(of).map_or("any type", |of| of.name());
            return Err(InvalidSubset(format!(
                "_elements: {of} has no element {shown:?} at its top"
            )));
        };
        if found.len() == ELEMENTS_MAX {
            let text = format!("_elements names more than {ELEMENTS_MAX} elements");
            return Err(InvalidSubset(text));
        }
        found.push(Named { only, name: known.into() });
    }
    Ok(found)
}

/// `value`, `value[x]` and `valueQuantity` are all the element `value`.
fn element_name(of: ResourceType, name: &str) -> Option<&'static str> {
    let def = type_def(of);
    let stem = name.strip_suffix("[x]").unwrap_or(name);
    let by_key = || def.find(stem).map(|property| def.names[usize::from(property.slot)]);
    def.names.iter().copied().find(|known| *known == stem).or_else(by_key)
}

fn type_def(of: ResourceType) -> &'static TypeDef {
    let table = element_table();
    table.type_def(table.of_resource(of))
}

/// What a summary has: what is marked, what must be there, and what may change the meaning of the rest.
fn in_summary(def: &TypeDef) -> u128 {
    def.summary | always(def)
}

/// What every part has: what must be there, and without which the rest might be read as its opposite.
fn always(def: &TypeDef) -> u128 {
    let bit = |name| def.find(name).map_or(0, |property| 1_u128 << property.slot);
    def.required | bit(MODIFIERS) | bit("implicitRules")
}

fn resource(
    node: Node<'_>,
    def: &'static TypeDef,
    keeps: impl Fn(u8) -> bool,
    in_depth: bool,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    let mut has_meta = false;
    for member in node.children() {
        let key = member.key().unwrap_or_default();
        if key == "meta" {
            has_meta = true;
            name(key, out);
            meta(member, out);
        } else if matches!(key, "resourceType" | "id") {
            name(key, out);
            out.extend_from_slice(member.raw());
        } else if let Some(property) = def.find(key.strip_prefix('_').unwrap_or(key))
            && keeps(property.slot)
        {
            let is_required = def.required & (1 << property.slot) != 0;
            keep(member, property.of, in_depth && key != MODIFIERS, is_required, out);
        }
    }
    if !has_meta {
        name("meta", out);
        out.extend_from_slice(format!("{{\"tag\":[{SUBSETTED}]}}").as_bytes());
    }
    out.push(b'}');
}

/// `meta` with the tag added.
fn meta(node: Node<'_>, out: &mut Vec<u8>) {
    let raw = node.raw();
    let tags = node.get("tag").filter(|tags| tags.kind() == Kind::Array && !tags.is_empty());
    let is_tagged =
        |tag: Node<'_>| tag.get("code").and_then(Node::as_str).as_deref() == Some("SUBSETTED");
    let start = node.span().start;
    let (at, text) = match tags {
        Some(tags) if tags.children().any(is_tagged) => (raw.len(), String::new()),
        Some(tags) => (tags.span().end - 1 - start, format!(",{SUBSETTED}")),
        None => {
            let comma = if node.is_empty() { "" } else { "," };
            (raw.len() - 1, format!("{comma}\"tag\":[{SUBSETTED}]"))
        }
    };
    out.extend_from_slice(&raw[..at]);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(&raw[at..]);
}

/// A member that is kept, in depth only its summary; left out when nothing of that remains.
fn keep(member: Node<'_>, of: TypeRef, in_depth: bool, is_required: bool, out: &mut Vec<u8>) {
    let before = out.len();
    let key = member.key().unwrap_or_default();
    name(key, out);
    if !in_depth || key.starts_with('_') {
        return out.extend_from_slice(member.raw());
    }
    let start = out.len();
    if value(member, of, out) {
        return;
    }
    out.truncate(start);
    match is_required {
        true => out.extend_from_slice(member.raw()),
        false => out.truncate(before),
    }
}

/// Writes the summary of a value; whether something of it remains. Recursion is bounded by the document's depth.
fn value(node: Node<'_>, of: TypeRef, out: &mut Vec<u8>) -> bool {
    match (node.kind(), of) {
        (Kind::Array, TypeRef::Object(_) | TypeRef::Resource) => {
            out.push(b'[');
            let first = out.len();
            for item in node.children() {
                let before = out.len();
                if before > first {
                    out.push(b',');
                }
                if !value(item, of, out) {
                    out.truncate(before);
                }
            }
            out.push(b']');
            out.len() > first + 1
        }
        (Kind::Object, TypeRef::Object(id)) => object(node, id, out),
        (Kind::Object, TypeRef::Resource) => {
            let Some(of) = type_of(node) else { return false };
            let def = type_def(of);
            resource(node, def, |slot| in_summary(def) & (1 << slot) != 0, true, out);
            true
        }
        _ => {
            out.extend_from_slice(node.raw());
            true
        }
    }
}

fn object(node: Node<'_>, id: TypeId, out: &mut Vec<u8>) -> bool {
    let def = element_table().type_def(id);
    out.push(b'{');
    let first = out.len();
    for member in node.children() {
        let key = member.key().unwrap_or_default();
        let Some(property) = def.find(key.strip_prefix('_').unwrap_or(key)) else { continue };
        let is_required = def.required & (1 << property.slot) != 0;
        if matches!(key, "id" | "extension" | MODIFIERS) {
            keep(member, property.of, false, is_required, out);
        } else if in_summary(def) & (1 << property.slot) != 0 {
            keep(member, property.of, true, is_required, out);
        }
    }
    out.push(b'}');
    out.len() > first + 1
}

/// Begins a member of the object that is written.
fn name(key: &str, out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    write_json_string(key, out);
    out.push(b':');
}

/// Kept whole wherever it stands: without its value it would say nothing.
const MODIFIERS: &str = "modifierExtension";
/// Names that `_elements` may have.
const ELEMENTS_MAX: usize = 64;
/// The tag of resources that are not whole.
const SUBSETTED: &str =
    r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;

#[cfg(test)]
#[path = "subset_tests.rs"]
mod tests;
