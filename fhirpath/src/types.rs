//! Type names in expressions, and which types are kinds of others.
//!
//! Spec: FHIRPath N1 §6.3, FHIR R4 fhirpath.html: names without namespace are FHIR's first, then `System`'s.

use fhir::{Declared, ResourceType};

use crate::item::Item;
use crate::moment::MomentKind;

/// `Patient`, `FHIR.Patient`, `System.String`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TypeName {
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

/// Whether an item is of a type or of a kind of it.
pub(crate) fn is_of(item: &Item<'_>, wanted: &TypeName) -> bool {
    let (namespace, name) = name_of(item);
    let namespace_fits = match wanted.namespace.as_deref() {
        None => true,
        Some(wanted) => wanted == namespace,
    };
    if !namespace_fits {
        return false;
    }
    if namespace == "System" {
        return name == wanted.name || (wanted.name == "Any" && wanted.namespace.is_some());
    }
    let mut at = Some(name);
    while let Some(name) = at {
        if name == wanted.name {
            return true;
        }
        at = base_of(name);
    }
    false
}

/// Namespace and name of an item's type.
pub(crate) fn name_of(item: &Item<'_>) -> (&'static str, &'static str) {
    match item {
        Item::Element(element) => ("FHIR", element.of().name().unwrap_or("Element")),
        Item::Absent(name) => ("FHIR", name),
        Item::Boolean(_) => ("System", "Boolean"),
        Item::Integer(_) => ("System", "Integer"),
        Item::Decimal(_) => ("System", "Decimal"),
        Item::String(_) => ("System", "String"),
        Item::Quantity(_) => ("System", "Quantity"),
        Item::Type(_) => ("System", "TypeInfo"),
        Item::Moment(moment) => match moment.kind() {
            MomentKind::Date => ("System", "Date"),
            MomentKind::DateTime => ("System", "DateTime"),
            MomentKind::Time => ("System", "Time"),
        },
    }
}

/// The type that a type of R4 specialises.
fn base_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "code" | "id" | "markdown" => "string",
        "url" | "canonical" | "uuid" | "oid" => "uri",
        "positiveInt" | "unsignedInt" => "integer",
        "Age" | "Count" | "Distance" | "Duration" | "SimpleQuantity" | "MoneyQuantity" => {
            "Quantity"
        }
        "Element" | "Resource" => return None,
        "Bundle" | "Binary" | "Parameters" | "DomainResource" => "Resource",
        "Timing" | "Dosage" | "ElementDefinition" => "BackboneElement",
        _ if ResourceType::parse(name).is_some() => "DomainResource",
        _ if name.contains('.') => "BackboneElement",
        _ => "Element",
    })
}

/// Whether the first step of a path is the name of the type it starts on (`Patient.name` on a Patient).
pub(crate) fn is_root_of(item: &Item<'_>, name: &str) -> bool {
    let Item::Element(element) = item else { return false };
    let is_type_name = name.starts_with(|c: char| c.is_ascii_uppercase());
    if !is_type_name || element.of() == Declared::UNKNOWN {
        return false;
    }
    is_of(item, &TypeName { namespace: None, name: name.to_owned() })
}
