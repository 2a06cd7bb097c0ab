//! What R4 declares at a place: the type of a value and of its elements, for those who walk a document by types.
//!
//! Spec: FHIR R4 element definitions, as in `fhir-profiles/r4/elements.txt`. A backbone element is named by its path.
//! Not here: checking (`reader`), the table itself (`element_table`).

use crate::element_table::{Property, TypeDef, TypeId, TypeRef, element_table};
use crate::primitive::Primitive;
use crate::resource::type_of;
use crate::{Kind, Node, ResourceType};

/// The declared type of a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Declared(Option<TypeRef>);

/// An element as its type declares it.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Name of the element; a choice without `[x]` (`value` of `valueQuantity`).
    pub element: &'static str,
    /// Type of the value.
    pub of: Declared,
    /// The key names one type of a choice.
    pub is_choice: bool,
    /// The value is a JSON list.
    pub is_list: bool,
}

impl Declared {
    /// Nothing is known of the value.
    pub const UNKNOWN: Self = Self(None);
    /// A resource; which, its `resourceType` says.
    pub const RESOURCE: Self = Self(Some(TypeRef::Resource));

    /// A resource of that type.
    #[must_use]
    pub fn of_resource(resource_type: ResourceType) -> Self {
        Self(Some(TypeRef::Object(element_table().of_resource(resource_type))))
    }

    /// A datatype, resource type or backbone element by its name in the standard.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == "Resource" {
            return Some(Self::RESOURCE);
        }
        if let Some(primitive) = Primitive::parse(name) {
            return Some(Self(Some(TypeRef::Primitive(primitive))));
        }
        element_table().named(name).map(|id| Self(Some(TypeRef::Object(id))))
    }

    /// The same, with `Resource` replaced by what the node says it is.
    #[must_use]
    pub fn seen_in(self, node: Node<'_>) -> Self {
        match self.0 {
            Some(TypeRef::Resource) => type_of(node).map_or(self, Self::of_resource),
            _ => self,
        }
    }

    /// Name in the standard: `Patient`, `Patient.contact`, `string`; `None` when nothing is known.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0? {
            TypeRef::Resource => "Resource",
            TypeRef::Primitive(primitive) => primitive.name(),
            TypeRef::Object(id) => element_table().type_def(id).name,
        })
    }

    /// Small number of an object type, for tables beside this one; `None` for primitives.
    #[must_use]
    pub fn place(self) -> Option<usize> {
        match self.0? {
            TypeRef::Object(id) => Some(id.place()),
            _ => None,
        }
    }

    /// Whether it is a primitive datatype.
    #[must_use]
    pub fn is_primitive(self) -> bool {
        matches!(self.0, Some(TypeRef::Primitive(_)))
    }

    /// Whether it is a resource.
    #[must_use]
    pub fn is_resource(self) -> bool {
        match self.0 {
            Some(TypeRef::Resource) => true,
            Some(TypeRef::Object(id)) => element_table().type_def(id).is_resource,
            _ => false,
        }
    }

    /// What stands under a JSON key, which may begin with `_`; then `of` is still the type of the value beside it.
    #[must_use]
    pub fn member(self, key: &str) -> Option<Member> {
        let def = self.def()?;
        let property = def.find(key.strip_prefix('_').unwrap_or(key))?;
        Some(member_of(def, property))
    }

    /// The elements of the type, each property of a choice by itself, with its JSON key.
    pub fn members(self) -> impl Iterator<Item = (&'static str, Member)> {
        let def = self.def();
        def.into_iter().flat_map(|def| {
            def.properties.iter().map(move |property| (&*property.key, member_of(def, property)))
        })
    }

    /// The reason why a JSON value is not of this primitive datatype; `None` when it is, or this is no primitive.
    #[must_use]
    pub fn misfit(self, node: Node<'_>) -> bool {
        match self.0 {
            Some(TypeRef::Primitive(primitive)) => primitive.check(node).is_err(),
            Some(_) => node.kind() != Kind::Object,
            None => false,
        }
    }

    fn def(self) -> Option<&'static TypeDef> {
        match self.0? {
            TypeRef::Object(id) => Some(element_table().type_def(id)),
            _ => None,
        }
    }
}

fn member_of(def: &TypeDef, property: &Property) -> Member {
    Member {
        element: def.names[usize::from(property.slot)],
        of: Declared(Some(property.of)),
        is_choice: property.is_choice,
        is_list: property.is_list,
    }
}

impl TypeId {
    fn place(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_lead_to_the_types_of_their_elements() {
        let patient = Declared::named("Patient").unwrap();

        let contact = patient.member("contact").unwrap();
        assert_eq!(contact.of.name(), Some("Patient.contact"));
        assert!(contact.is_list && !contact.is_choice);
        let birth = patient.member("_birthDate").unwrap();
        assert_eq!((birth.element, birth.of.name()), ("birthDate", Some("date")));
        let deceased = patient.member("deceasedBoolean").unwrap();
        assert_eq!((deceased.element, deceased.is_choice), ("deceased", true));
        assert!(patient.member("nonsense").is_none());
        assert!(Declared::named("Nonsense").is_none());
        assert!(Declared::UNKNOWN.member("x").is_none());
    }
}
