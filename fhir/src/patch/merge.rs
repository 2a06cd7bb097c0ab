//! Merge patch (RFC 7396): an object whose members replace those of the resource; null removes.

use crate::patch::PatchError;
use crate::patch::value::Value;
use crate::{Kind, Node};

/// Merges the patch in.
pub(super) fn apply(patch: Node<'_>, current: Node<'_>) -> Result<Value, PatchError> {
    if patch.kind() != Kind::Object {
        return Err(PatchError::malformed("$", "a merge patch for a resource is an object"));
    }
    let mut merged = Value::of(current);
    merge(&mut merged, patch);
    Ok(merged)
}

/// RFC 7396 §2, `MergePatch`; as deep as the patch, which the reader bounds.
pub(super) fn merge(target: &mut Value, patch: Node<'_>) {
    if patch.kind() != Kind::Object {
        *target = Value::of(patch);
        return;
    }
    if !matches!(target, Value::Object(_)) {
        *target = Value::Object(Vec::new());
    }
    let Value::Object(members) = target else { return };
    for change in patch.children() {
        let key = change.key().unwrap_or_default();
        let known = members.iter().position(|(name, _)| **name == *key);
        match (known, change.kind()) {
            (Some(at), Kind::Null) => drop(members.remove(at)),
            (None, Kind::Null) => {}
            (Some(at), _) => merge(&mut members[at].1, change),
            (None, _) => {
                let mut value = Value::Object(Vec::new());
                merge(&mut value, change);
                members.push((key.into(), value));
            }
        }
    }
}
