//! Labels of a resource: profiles, security labels and tags added to or taken from its `meta`
//! (FHIR R4 resource-operations.html, `$meta-add` and `$meta-delete`).
//!
//! A coding is the same as another of the same system and code. Not here: the operations themselves (`gateway`).

use crate::patch::PatchError;
use crate::patch::value::Value;
use crate::{Kind, Node};

/// Adds what the resource has not yet.
pub(super) fn add(labels: Node<'_>, current: Node<'_>) -> Result<Value, PatchError> {
    let mut root = Value::of(current);
    for (name, label) in read(labels)? {
        let meta = root.member_or("meta", || Value::Object(Vec::new()));
        let Value::Array(known) = meta.member_or(name, || Value::Array(Vec::new())) else {
            return Err(PatchError::inapplicable(name, "the resource has no list here"));
        };
        if !known.iter().any(|one| same(one, &label)) {
            known.push(label);
        }
    }
    Ok(root)
}

/// Takes away what the resource has.
pub(super) fn delete(labels: Node<'_>, current: Node<'_>) -> Result<Value, PatchError> {
    let mut root = Value::of(current);
    for (name, label) in read(labels)? {
        let meta = root.member_or("meta", || Value::Object(Vec::new()));
        if let Value::Array(known) = meta.member_or(name, || Value::Array(Vec::new())) {
            known.retain(|one| !same(one, &label));
        }
    }
    Ok(root)
}

/// The labels of a `Meta` with the name of their list.
fn read(meta: Node<'_>) -> Result<Vec<(&'static str, Value)>, PatchError> {
    let mut labels = Vec::new();
    for member in meta.children() {
        let key = member.key().unwrap_or_default();
        match LISTS.iter().find(|name| **name == key) {
            Some(name) if member.kind() == Kind::Array => {
                labels.extend(member.children().map(|label| (*name, Value::of(label))));
            }
            None if SERVERS_OWN.contains(&key) => {}
            _ => {
                let text = "only profile, security and tag of meta are added or deleted";
                return Err(PatchError::malformed(&format!("meta.{key}"), text));
            }
        }
    }
    if labels.is_empty() {
        return Err(PatchError::malformed("meta", "meta holds no profile, security label or tag"));
    }
    Ok(labels)
}

fn same(one: &Value, two: &Value) -> bool {
    if matches!(one, Value::Scalar(_)) || matches!(two, Value::Scalar(_)) {
        return one.same(two);
    }
    ["system", "code"].iter().all(|key| match (one.member(key), two.member(key)) {
        (Some(one), Some(two)) => one.same(two),
        (None, None) => true,
        _ => false,
    })
}

const LISTS: [&str; 3] = ["profile", "security", "tag"];
/// What a client that sends a whole `meta` has from the server.
const SERVERS_OWN: [&str; 2] = ["versionId", "lastUpdated"];
