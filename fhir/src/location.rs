//! Where a node stands, in FHIRPath: `Patient.name[0].given[1]`.
//!
//! Spec: FHIR R4 operationoutcome.html (`issue.expression`: element names and indexes only), so `valueQuantity` is
//! `value` and `_birthDate` is `birthDate`. Found by descending from the root; only done when something is to be said.

use crate::element_table::{TypeRef, element_table};
use crate::resource::type_of;
use crate::{Kind, Node};

/// FHIRPath location of a node, from the root of its document.
#[must_use]
pub fn location(node: Node<'_>) -> String {
    let root = node.tree().root();
    location_below(root, type_of(root).map_or("Resource", |of| of.name()), node)
}

/// Location of a node at or below a resource whose own is known, so that its siblings need not be counted again.
pub(crate) fn location_below(resource: Node<'_>, path: &str, node: Node<'_>) -> String {
    let table = element_table();
    let (mut at, mut path) = (resource, path.to_owned());
    let mut of = TypeRef::Resource;
    while at.place != node.place {
        let holds = |child: &Node<'_>| child.slot().skip > node.place;
        let Some((index, child)) = at.children().enumerate().find(|(_, child)| holds(child)) else {
            break;
        };
        if at.kind() == Kind::Array {
            path.push_str(&format!("[{index}]"));
            at = child;
            continue;
        }
        let key = child.key().unwrap_or_default();
        let id = match of {
            TypeRef::Resource => type_of(at).map(|of| table.of_resource(of)),
            TypeRef::Object(id) => Some(id),
            TypeRef::Primitive(_) => None,
        };
        let beside = key.strip_prefix('_');
        let known = id.and_then(|id| {
            let def = table.type_def(id);
            def.find(beside.unwrap_or(key)).map(|property| (def, property))
        });
        match known {
            Some((def, property)) => {
                push_name(&mut path, def.names[usize::from(property.slot)]);
                of = if beside.is_some() { TypeRef::Object(table.element) } else { property.of };
            }
            None => {
                push_name(&mut path, key);
                of = TypeRef::Object(table.element);
            }
        }
        at = child;
    }
    path
}

/// Appends a property name as a FHIRPath step: `_birthDate` is `birthDate`, what is no name is cut short.
pub(crate) fn push_name(path: &mut String, key: &str) {
    let name = key.strip_prefix('_').unwrap_or(key);
    let length = name
        .bytes()
        .take(NAME_BYTES_MAX)
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-')
        .count();
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(&name[..length]);
    if length < name.len() || name.is_empty() {
        path.push('?');
    }
}

/// Longest property name that is repeated in a location.
const NAME_BYTES_MAX: usize = 64;
