//! A resource as FHIRPath sees it: elements with values and children, instead of JSON's `birthDate` and `_birthDate`.
//!
//! Built from a document, changed in place, written back; scalars keep their text.
//! Not here: finding elements (`evaluate`), changing them (`operation`).

use crate::element_table::{Property as Declared, TypeDef, TypeRef, element_table};
use crate::json_text::{decode_escapes, write_json_string};
use crate::patch::value::same_scalar;
use crate::{Kind, Node, ResourceType};

/// One element.
#[derive(Clone, Default)]
pub(super) struct Element {
    /// JSON text of a primitive's value.
    pub(super) value: Option<Box<str>>,
    /// Whether it is written as a JSON scalar, also when it has no value.
    pub(super) is_primitive: bool,
    /// Children; for a primitive its id and extensions.
    pub(super) properties: Vec<Property>,
    of: Option<TypeRef>,
}

/// All children of one JSON name.
#[derive(Clone)]
pub(super) struct Property {
    /// Without the underscore; `valueQuantity` for a choice.
    pub(super) key: Box<str>,
    pub(super) is_list: bool,
    pub(super) items: Vec<Element>,
}

/// Steps from the root: a place in `properties` and one in `items`.
pub(super) type Location = Vec<(usize, usize)>;

impl Element {
    /// A whole resource.
    pub(super) fn resource(node: Node<'_>) -> Self {
        Self::of(node, Some(TypeRef::Resource))
    }

    /// A value of a declared type.
    pub(super) fn of(node: Node<'_>, of: Option<TypeRef>) -> Self {
        let mut element = Self { of, ..Self::default() };
        element.put_value(node);
        element
    }

    /// An element without content.
    pub(super) fn empty(of: Option<TypeRef>) -> Self {
        Self { of, ..Self::default() }
    }

    /// Takes a JSON value in: a scalar as its own, an object as children.
    fn put_value(&mut self, node: Node<'_>) {
        if node.kind() == Kind::Object {
            self.put_members(node);
            return;
        }
        self.is_primitive = true;
        if node.kind() != Kind::Null {
            self.value = Some(String::from_utf8_lossy(node.raw()).into());
        }
    }

    /// Takes in what stands beside a primitive's value: id and extensions.
    pub(super) fn put_beside(&mut self, node: Node<'_>) {
        self.is_primitive = true;
        if node.kind() == Kind::Object {
            self.put_members(node);
        }
    }

    fn put_members(&mut self, node: Node<'_>) {
        if matches!(self.of, Some(TypeRef::Resource)) || node.get("resourceType").is_some() {
            // The type is needed before the first member is read.
            let name = node.get("resourceType").and_then(Node::as_str).unwrap_or_default();
            let known = ResourceType::parse(&name);
            self.of = known.map(|of| TypeRef::Object(element_table().of_resource(of)));
        }
        for child in node.children() {
            let key = child.key().unwrap_or_default();
            let (name, is_beside) = key.strip_prefix('_').map_or((key, false), |name| (name, true));
            let of = self.declared(name).map(|declared| declared.of);
            let at = self.position(name).unwrap_or_else(|| {
                self.properties.push(Property {
                    key: name.into(),
                    is_list: child.kind() == Kind::Array,
                    items: Vec::new(),
                });
                self.properties.len() - 1
            });
            let items = &mut self.properties[at].items;
            for (place, item) in child.items().enumerate() {
                if place == items.len() {
                    items.push(Self::empty(of));
                }
                match is_beside {
                    true => items[place].put_beside(item),
                    false => items[place].put_value(item),
                }
            }
        }
    }

    /// What the standard says of a child by its JSON name.
    pub(super) fn declared(&self, key: &str) -> Option<&'static Declared> {
        self.type_def()?.find(key)
    }

    /// Name of a child's element: `value` for `valueQuantity`.
    pub(super) fn base_name<'k>(&self, key: &'k str) -> &'k str {
        let Some(def) = self.type_def() else { return key };
        let Some(declared) = def.find(key) else { return key };
        let base = def.names[usize::from(declared.slot)];
        if declared.is_choice { &key[..base.len()] } else { key }
    }

    /// What it may have.
    fn type_def(&self) -> Option<&'static TypeDef> {
        let table = element_table();
        match self.of? {
            TypeRef::Object(id) => Some(table.type_def(id)),
            TypeRef::Primitive(_) => Some(table.type_def(table.element)),
            TypeRef::Resource => None,
        }
    }

    /// `resourceType`, for a resource.
    pub(super) fn resource_type(&self) -> Option<String> {
        let at = self.position("resourceType")?;
        self.properties[at].items.first()?.text()
    }

    pub(super) fn position(&self, key: &str) -> Option<usize> {
        self.properties.iter().position(|property| *property.key == *key)
    }

    /// Places of the children with this name: an element's own (`value`), or the JSON one of a choice.
    pub(super) fn positions(&self, name: &str) -> Vec<usize> {
        let is_it = |key: &str| key == name || self.base_name(key) == name;
        (0..self.properties.len()).filter(|at| is_it(&self.properties[*at].key)).collect()
    }

    /// The text of a primitive that is a JSON string.
    pub(super) fn text(&self) -> Option<String> {
        let value = self.value.as_deref()?;
        value.strip_prefix('"').map(|rest| decode_escapes(&rest[..rest.len() - 1]))
    }

    /// The element at a location that was found in this tree.
    pub(super) fn at(&self, location: &[(usize, usize)]) -> &Self {
        location.iter().fold(self, |at, (property, item)| &at.properties[*property].items[*item])
    }

    /// As [`Element::at`], to be changed.
    pub(super) fn at_mut(&mut self, location: &[(usize, usize)]) -> &mut Self {
        location
            .iter()
            .fold(self, |at, (property, item)| &mut at.properties[*property].items[*item])
    }

    /// Whether there is nothing in it.
    pub(super) fn is_void(&self) -> bool {
        self.value.is_none() && self.properties.is_empty()
    }

    /// Equality of content, whatever the order of children; `each` is called for every element compared.
    pub(super) fn same(&self, other: &Self, each: &impl Fn()) -> bool {
        each();
        let values = match (&self.value, &other.value) {
            (Some(one), Some(two)) => same_scalar(one, two),
            (None, None) => true,
            _ => false,
        };
        values && self.properties.len() == other.properties.len() && {
            self.properties.iter().all(|one| {
                let two = other.position(&one.key).map(|at| &other.properties[at].items);
                two.is_some_and(|two| {
                    one.items.len() == two.len()
                        && one.items.iter().zip(two).all(|(one, two)| one.same(two, each))
                })
            })
        }
    }

    /// Deepest nesting below it.
    pub(super) fn depth(&self) -> usize {
        let below = self.properties.iter().flat_map(|property| &property.items);
        below.map(|item| item.depth() + 2).max().unwrap_or(0)
    }

    /// Writes its children as a JSON object.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut is_first = true;
        for property in &self.properties {
            property.write(&mut is_first, out);
        }
        out.push(b'}');
    }
}

impl Property {
    fn write(&self, is_first: &mut bool, out: &mut Vec<u8>) {
        let mut key = |name: &str, out: &mut Vec<u8>| {
            if !std::mem::replace(is_first, false) {
                out.push(b',');
            }
            write_json_string(name, out);
            out.push(b':');
        };
        if !self.items.iter().any(|item| item.is_primitive) {
            key(&self.key, out);
            self.each(out, |item, out| item.write(out));
            return;
        }
        if self.items.iter().any(|item| item.value.is_some()) {
            key(&self.key, out);
            self.each(out, |item, out| {
                out.extend_from_slice(item.value.as_deref().unwrap_or("null").as_bytes());
            });
        }
        if self.items.iter().any(|item| !item.properties.is_empty()) {
            key(&format!("_{}", self.key), out);
            self.each(out, |item, out| match item.properties.is_empty() {
                true => out.extend_from_slice(b"null"),
                false => item.write(out),
            });
        }
    }

    fn each(&self, out: &mut Vec<u8>, write: impl Fn(&Element, &mut Vec<u8>)) {
        if !self.is_list {
            self.items.iter().take(1).for_each(|item| write(item, out));
            return;
        }
        out.push(b'[');
        for (place, item) in self.items.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            write(item, out);
        }
        out.push(b']');
    }
}
