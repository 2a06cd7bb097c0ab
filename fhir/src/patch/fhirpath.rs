//! FHIRPath Patch: a `Parameters` resource with one `operation` parameter a change (FHIR R4 fhirpatch.html).
//!
//! All operations are read before the first is applied. Not here: what an operation does (`operation`), its path (`expression`, `evaluate`).

use crate::Node;
use crate::patch::element::Element;
use crate::patch::evaluate::Budget;
use crate::patch::operation::Operation;
use crate::patch::{OPERATIONS_MAX, PatchError};

/// Applies the operations in their order; the result as bytes.
pub(super) fn apply(patch: Node<'_>, current: Node<'_>) -> Result<Vec<u8>, PatchError> {
    if patch.get("resourceType").and_then(Node::as_str).as_deref() != Some("Parameters") {
        let text = "a FHIRPath Patch is a resource of type Parameters";
        return Err(PatchError::malformed("resourceType", text));
    }
    let parameters: Vec<_> = patch.get("parameter").into_iter().flat_map(Node::children).collect();
    let place = |at: usize| format!("Parameters.parameter[{at}]");
    if parameters.len() > OPERATIONS_MAX {
        let text = format!("a patch has at most {OPERATIONS_MAX} operations");
        return Err(PatchError::malformed(&place(OPERATIONS_MAX), text));
    }
    let places: Vec<String> = (0..parameters.len()).map(place).collect();
    let budget = Budget::new();
    let mut operations = Vec::with_capacity(parameters.len());
    for (parameter, place) in parameters.into_iter().zip(&places) {
        if parameter.get("name").and_then(Node::as_str).as_deref() != Some("operation") {
            let text = "every parameter of a patch is an operation";
            return Err(PatchError::malformed(place, text));
        }
        operations.push(Operation::read(parameter, place, &budget)?);
    }
    let mut root = Element::resource(current);
    for operation in operations {
        operation.apply(&mut root)?;
    }
    let mut out = Vec::with_capacity(current.raw().len() + ADDED_BYTES);
    root.write(&mut out);
    Ok(out)
}

/// Guess for what a patch adds.
const ADDED_BYTES: usize = 256;
