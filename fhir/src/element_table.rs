//! The elements of R4: which an object may have, of which types, how often, from which value set.
//!
//! Compiled in from `fhir-profiles/r4/elements.txt` (made by `fhir-profiles/tools/build_element_table.py`), parsed once.
//! A choice such as `value[x]` becomes one property for each type, all of one *slot*. Not here: checking (`reader`).

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::ResourceType;
use crate::primitive::Primitive;

/// All types and value sets.
pub(crate) struct ElementTable {
    types: Vec<TypeDef>,
    by_name: HashMap<&'static str, TypeId>,
    value_sets: Vec<ValueSet>,
    /// By the code of a [`ResourceType`].
    resources: Vec<TypeId>,
    /// What the `_name` beside a primitive is.
    pub(crate) element: TypeId,
    pub(crate) coding: TypeId,
    pub(crate) codeable_concept: TypeId,
}

/// Place of a type in the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TypeId(pub(crate) u16);

/// A resource type, datatype or backbone element.
pub(crate) struct TypeDef {
    /// `Patient`, `Patient.contact`.
    pub(crate) name: &'static str,
    pub(crate) properties: Vec<Property>,
    /// Open addressing: a hash leads to a place in `properties`.
    hashed: Vec<u16>,
    /// Elements by slot, choices without `[x]`.
    pub(crate) names: Vec<&'static str>,
    /// Bit of each slot that must be there.
    pub(crate) required: u128,
    /// Bit of each slot that is part of a summary (ElementDefinition.isSummary).
    pub(crate) summary: u128,
    pub(crate) is_resource: bool,
}

/// A property of a JSON object.
pub(crate) struct Property {
    /// Its JSON name, which is that of its XML element too.
    pub(crate) key: Box<str>,
    /// Which element it is; the properties of one choice share it. Below 128.
    pub(crate) slot: u8,
    pub(crate) is_choice: bool,
    pub(crate) is_list: bool,
    /// Most items of a list.
    pub(crate) max: usize,
    pub(crate) of: TypeRef,
    /// Place of the value set of a required binding.
    pub(crate) value_set: Option<u16>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TypeRef {
    Primitive(Primitive),
    Object(TypeId),
    /// A resource of any type.
    Resource,
}

/// The codes of a required binding.
pub(crate) struct ValueSet {
    name: &'static str,
    codes: Vec<&'static str>,
    with_system: Vec<(&'static str, &'static str)>,
}

/// The table; parsed on the first call.
pub(crate) fn element_table() -> &'static ElementTable {
    static TABLE: OnceLock<ElementTable> = OnceLock::new();
    TABLE.get_or_init(|| Parser::default().parse(TEXT))
}

impl ElementTable {
    pub(crate) fn of_resource(&self, resource_type: ResourceType) -> TypeId {
        self.resources[usize::from(resource_type.code())]
    }

    pub(crate) fn named(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn type_def(&self, id: TypeId) -> &TypeDef {
        &self.types[usize::from(id.0)]
    }

    pub(crate) fn value_set(&self, place: u16) -> &ValueSet {
        &self.value_sets[usize::from(place)]
    }
}

impl TypeDef {
    /// The property of a JSON name without its underscore.
    pub(crate) fn find(&self, key: &str) -> Option<&Property> {
        let mask = self.hashed.len() - 1;
        let mut at = hash(key.as_bytes()) & mask;
        loop {
            let property = self.properties.get(usize::from(self.hashed[at]))?;
            if *property.key == *key {
                return Some(property);
            }
            at = (at + 1) & mask;
        }
    }

    fn rehash(&mut self) {
        self.hashed = vec![EMPTY; (self.properties.len() * 2).next_power_of_two().max(4)];
        let mask = self.hashed.len() - 1;
        for (place, property) in self.properties.iter().enumerate() {
            let mut at = hash(property.key.as_bytes()) & mask;
            while self.hashed[at] != EMPTY {
                at = (at + 1) & mask;
            }
            self.hashed[at] = u16::try_from(place).expect("a type has few properties");
        }
    }
}

impl ValueSet {
    /// Its canonical URL, with its codes where they are few.
    pub(crate) fn told(&self) -> String {
        let below = if self.name.starts_with("v3-") { HL7_TERMINOLOGY } else { HL7_FHIR };
        let url = format!("{below}/ValueSet/{}", self.name);
        match self.codes.len() <= CODES_TOLD_MAX {
            true => format!("{url} ({})", self.codes.join(", ")),
            false => url,
        }
    }

    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.codes.binary_search(&code).is_ok()
    }

    pub(crate) fn has_coding(&self, system: &str, code: &str) -> bool {
        self.with_system.binary_search(&(system, code)).is_ok()
    }
}

/// Mixes the first and the last eight bytes with the length: element names differ there.
fn hash(key: &[u8]) -> usize {
    let load = |part: &[u8]| {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        u64::from_le_bytes(word)
    };
    let first = load(&key[..key.len().min(8)]);
    let last = load(&key[key.len().saturating_sub(8)..]);
    let mixed =
        (first ^ last.rotate_left(23) ^ key.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 40) as usize
}

/// The text's lines as they come; types are named before they are described.
#[derive(Default)]
struct Parser {
    types: Vec<TypeDef>,
    value_sets: Vec<ValueSet>,
    type_ids: HashMap<&'static str, TypeId>,
    value_set_ids: HashMap<&'static str, u16>,
    /// Element lines of the base types, for those built on them.
    lines: HashMap<&'static str, Vec<&'static str>>,
}

impl Parser {
    fn parse(mut self, text: &'static str) -> ElementTable {
        for name in text.lines().filter_map(|line| line.strip_prefix('@')) {
            let name = name.split(' ').next().unwrap_or(name);
            let id = TypeId(u16::try_from(self.type_ids.len()).expect("R4 has few types"));
            self.type_ids.insert(name, id);
        }
        let mut current = None;
        for line in text.lines() {
            if let Some(value_set) = line.strip_prefix('=') {
                self.value_set(value_set);
            } else if let Some(header) = line.strip_prefix('@') {
                current = Some(self.open_type(header));
            } else if !line.starts_with('#') {
                let name = current.expect("elements stand below their type");
                self.lines.entry(name).or_default().push(line);
                self.element(line);
            }
        }
        self.finish()
    }

    fn finish(mut self) -> ElementTable {
        for each in &mut self.types {
            each.rehash();
        }
        let id = |name: &str| self.type_ids[name];
        ElementTable {
            resources: ResourceType::all().map(|each| id(each.name())).collect(),
            element: id("Element"),
            coding: id("Coding"),
            codeable_concept: id("CodeableConcept"),
            by_name: self.type_ids.clone(),
            types: self.types,
            value_sets: self.value_sets,
        }
    }

    fn value_set(&mut self, line: &'static str) {
        let mut words = line.split(' ');
        let name = words.next().expect("a value set has a name");
        let mut set = ValueSet { name, codes: Vec::new(), with_system: Vec::new() };
        let mut system = "";
        for word in words {
            // The codes `<` and `<=` are no systems.
            match word.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
                Some(url) => system = url,
                None => {
                    set.codes.push(word);
                    set.with_system.push((system, word));
                }
            }
        }
        set.codes.sort_unstable();
        set.with_system.sort_unstable();
        let place = u16::try_from(self.value_sets.len()).expect("R4 has few value sets");
        self.value_set_ids.insert(name, place);
        self.value_sets.push(set);
    }

    fn open_type(&mut self, header: &'static str) -> &'static str {
        let (name, base) = header.split_once(' ').unwrap_or((header, ""));
        self.types.push(TypeDef {
            name,
            properties: Vec::new(),
            hashed: Vec::new(),
            names: Vec::new(),
            required: 0,
            summary: 0,
            is_resource: ResourceType::parse(name).is_some(),
        });
        let inherited = self.lines.get(base).cloned().unwrap_or_default();
        for line in &inherited {
            self.element(line);
        }
        self.lines.insert(name, inherited);
        name
    }

    fn element(&mut self, line: &'static str) {
        let (line, in_summary) = match line.strip_suffix(" +") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let mut words = line.split(' ');
        let mut next = || words.next().expect("an element has a name, min, max and a type");
        let (name, min, max) = (next(), next(), next());
        let base_name = name.trim_end_matches("[x]");
        let value_set = line.split_once(" !").map(|(_, set)| self.value_set_ids[set]);
        let mut properties = Vec::new();
        let slot = self.types.last().expect("a type is open").names.len();
        for word in words.filter(|word| !word.starts_with('!')) {
            let is_choice = base_name.len() < name.len();
            properties.push(Property {
                key: if is_choice { choice_key(base_name, word) } else { name.into() },
                slot: u8::try_from(slot).expect("a type has few elements"),
                is_choice,
                is_list: max != "1",
                max: max.parse().unwrap_or(usize::MAX),
                of: self.type_ref(word),
                value_set,
            });
        }
        let current = self.types.last_mut().expect("a type is open");
        assert!(slot < 128, "the bits of a type's elements fit in one word");
        current.names.push(base_name);
        if min != "0" {
            current.required |= 1 << slot;
        }
        if in_summary {
            current.summary |= 1 << slot;
        }
        current.properties.extend(properties);
    }

    fn type_ref(&self, word: &'static str) -> TypeRef {
        if word == "Resource" {
            return TypeRef::Resource;
        }
        if let Some(primitive) = Primitive::parse(word) {
            return TypeRef::Primitive(primitive);
        }
        TypeRef::Object(self.type_ids[word.trim_start_matches('@')])
    }
}

fn choice_key(base: &str, of: &str) -> Box<str> {
    let (first, rest) = of.split_at(1);
    format!("{base}{}{rest}", first.to_ascii_uppercase()).into()
}

const TEXT: &str = include_str!("../../fhir-profiles/r4/elements.txt");
const HL7_FHIR: &str = "http://hl7.org/fhir";
const HL7_TERMINOLOGY: &str = "http://terminology.hl7.org";
/// Codes of a value set that a refusal lists.
const CODES_TOLD_MAX: usize = 12;
const EMPTY: u16 = u16::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn property(of: ResourceType, key: &str) -> Option<&'static Property> {
        let table = element_table();
        table.type_def(table.of_resource(of)).find(key)
    }

    #[test]
    fn every_resource_type_has_the_elements_that_all_have() {
        for each in ResourceType::all() {
            let id = property(each, "id").unwrap();
            assert_eq!(id.of, TypeRef::Primitive(Primitive::SystemId), "{each}");
            assert!(property(each, "meta").is_some(), "{each}");
        }
    }

    #[test]
    fn a_choice_has_a_property_for_each_type_in_one_slot() {
        let quantity = property(ResourceType::OBSERVATION, "valueQuantity").unwrap();
        let text = property(ResourceType::OBSERVATION, "valueString").unwrap();

        assert!(quantity.is_choice && quantity.slot == text.slot);
        assert!(property(ResourceType::OBSERVATION, "value").is_none());
        assert!(property(ResourceType::OBSERVATION, "valueAddress").is_none());
    }

    #[test]
    fn required_bindings_know_their_codes_and_systems() {
        let status = property(ResourceType::OBSERVATION, "status").unwrap();
        let set = element_table().value_set(status.value_set.unwrap());

        assert!(set.has_code("final") && !set.has_code("finished"));
        assert!(set.has_coding("http://hl7.org/fhir/observation-status", "final"));
        assert!(!set.has_coding("", "final"));
        let table = element_table();
        let TypeRef::Object(quantity) =
            property(ResourceType::OBSERVATION, "valueQuantity").unwrap().of
        else {
            panic!("an object")
        };
        let comparator = table.type_def(quantity).find("comparator").unwrap();
        let set = table.value_set(comparator.value_set.unwrap());
        assert_eq!(set.codes, ["<", "<=", ">", ">="]);
    }

    #[test]
    fn a_summary_has_the_elements_that_the_definitions_mark() {
        let in_summary = |of: ResourceType, key: &str| {
            let table = element_table();
            let slot = property(of, key).unwrap().slot;
            table.type_def(table.of_resource(of)).summary & (1 << slot) != 0
        };
        assert!(in_summary(ResourceType::PATIENT, "birthDate"));
        assert!(!in_summary(ResourceType::PATIENT, "contact"));
        assert!(!in_summary(ResourceType::PATIENT, "text"));
    }

    #[test]
    fn content_references_lead_back_to_their_element() {
        let table = element_table();
        let Some(TypeRef::Object(item)) =
            property(ResourceType::QUESTIONNAIRE, "item").map(|property| property.of)
        else {
            panic!("an object")
        };
        assert_eq!(table.type_def(item).find("item").unwrap().of, TypeRef::Object(item));
    }
}
