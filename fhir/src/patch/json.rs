//! JSON Patch (RFC 6902).
//!
//! Every operation must fit; members that the standard does not name are ignored (§4). Work is bounded by
//! [`OPERATIONS_MAX`] and [`COPIED_BYTES_MAX`]. Not here: paths (`pointer`), equality (`value`).

use crate::patch::pointer::{Lost, Pointer};
use crate::patch::value::Value;
use crate::patch::{OPERATIONS_MAX, PatchError};
use crate::{DEPTH_MAX, Kind, Node};

/// Applies the operations in their order.
pub(super) fn apply(patch: Node<'_>, current: Node<'_>) -> Result<Value, PatchError> {
    if patch.kind() != Kind::Array {
        return Err(PatchError::malformed("$", "a JSON Patch is a list of operations"));
    }
    if patch.children().nth(OPERATIONS_MAX).is_some() {
        let text = format!("a patch has at most {OPERATIONS_MAX} operations");
        return Err(PatchError::malformed("$", text));
    }
    let mut root = Value::of(current);
    let mut copied_bytes = 0;
    for (at, operation) in patch.children().enumerate() {
        let place = format!("$[{at}]");
        one(operation, &place, &mut root, &mut copied_bytes)?;
    }
    Ok(root)
}

fn one(
    operation: Node<'_>,
    place: &str,
    root: &mut Value,
    copied_bytes: &mut usize,
) -> Result<(), PatchError> {
    let Some(op) = operation.get("op").and_then(Node::as_str) else {
        return Err(PatchError::malformed(place, "an operation names its op"));
    };
    let path = pointer(operation, "path", place)?;
    let value = || match operation.get("value") {
        Some(value) => Ok(Value::of(value)),
        None => Err(PatchError::malformed(place, format!("the operation {op} needs a value"))),
    };
    let lost = |lost: Lost| PatchError::inapplicable(&format!("{place}.path"), lost);
    match op.as_ref() {
        "add" => add(&path, value()?, root, place),
        "remove" => path.remove(root).map(drop).map_err(lost),
        "replace" => {
            let value = value()?;
            expect_shallow(&path, &value, place)?;
            path.replace(root, value).map_err(lost)
        }
        "move" => {
            let from = pointer(operation, "from", place)?;
            if path.is_within(&from) {
                return Err(PatchError::malformed(place, "a value cannot move into itself"));
            }
            let lost = |lost| PatchError::inapplicable(&format!("{place}.from"), lost);
            let moved = from.remove(root).map_err(lost)?;
            add(&path, moved, root, place)
        }
        "copy" => {
            let from = pointer(operation, "from", place)?;
            let lost = |lost| PatchError::inapplicable(&format!("{place}.from"), lost);
            let copied = from.find(root).map_err(lost)?;
            *copied_bytes += copied.bytes();
            if *copied_bytes > COPIED_BYTES_MAX {
                let text = format!("a patch copies at most {COPIED_BYTES_MAX} bytes");
                return Err(PatchError::inapplicable(place, text));
            }
            add(&path, copied.clone(), root, place)
        }
        "test" => {
            let expected = value()?;
            match path.find(root) {
                Ok(found) if found.same(&expected) => Ok(()),
                Ok(_) => Err(PatchError::test_failed(place, "the value is another one")),
                Err(lost) => Err(PatchError::test_failed(&format!("{place}.path"), lost)),
            }
        }
        _ => Err(PatchError::malformed(
            &format!("{place}.op"),
            "op is add, remove, replace, move, copy or test",
        )),
    }
}

fn add(path: &Pointer, value: Value, root: &mut Value, place: &str) -> Result<(), PatchError> {
    expect_shallow(path, &value, place)?;
    path.add(root, value).map_err(|lost| PatchError::inapplicable(&format!("{place}.path"), lost))
}

fn expect_shallow(path: &Pointer, value: &Value, place: &str) -> Result<(), PatchError> {
    if path.depth() + value.depth() <= DEPTH_MAX {
        return Ok(());
    }
    let text = format!("the result would be nested deeper than {DEPTH_MAX}");
    Err(PatchError::inapplicable(place, text))
}

fn pointer(operation: Node<'_>, name: &str, place: &str) -> Result<Pointer, PatchError> {
    let Some(text) = operation.get(name).and_then(Node::as_str) else {
        return Err(PatchError::malformed(place, format!("the operation needs {name}, a string")));
    };
    Pointer::parse(&text).map_err(|lost| PatchError::malformed(&format!("{place}.{name}"), lost))
}

/// Most bytes that the `copy` operations of one patch make: each may double the document.
const COPIED_BYTES_MAX: usize = 16 << 20;
