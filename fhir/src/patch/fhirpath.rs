//! FHIRPath Patch: a `Parameters` resource with one `operation` parameter a change (FHIR R4 fhirpatch.html).
//!
//! Not here: what an operation does (`operation`), its path (`expression`, `evaluate`).

use crate::Node;
use crate::patch::element::Element;
use crate::patch::operation::Operation;
use crate::patch::{OPERATIONS_MAX, PatchError};

/// Applies the operations in their order; the result as bytes.
pub(super) fn apply(patch: Node<'_>, current: Node<'_>) -> Result<Vec<u8>, PatchError> {
    if patch.get("resourceType").and_then(Node::as_str).as_deref() != Some("Parameters") {
        let text = "a FHIRPath Patch is a resource of type Parameters";
        return Err(PatchError::malformed("resourceType", text));
    }
    let mut root = Element::resource(current);
    let parameters = patch.get("parameter").into_iter().flat_map(Node::children);
    for (at, parameter) in parameters.enumerate() {
        let place = format!("Parameters.parameter[{at}]");
        if at == OPERATIONS_MAX {
            let text = format!("a patch has at most {OPERATIONS_MAX} operations");
            return Err(PatchError::malformed(&place, text));
        }
        if parameter.get("name").and_then(Node::as_str).as_deref() != Some("operation") {
            return Err(PatchError::malformed(
                &place,
                "every parameter of a patch is an operation",
            ));
        }
        Operation::read(parameter, &place)?.apply(&mut root)?;
    }
    let mut out = Vec::with_capacity(current.raw().len() + ADDED_BYTES);
    root.write(&mut out);
    Ok(out)
}

/// Guess for what a patch adds.
const ADDED_BYTES: usize = 256;
