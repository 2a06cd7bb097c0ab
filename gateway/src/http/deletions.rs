//! Conditional deletions of a transaction: each becomes the deletions of what it matches, all or none with the rest.
//!
//! Spec: FHIR R4 http.html#delete ("Conditional delete"), `CapabilityStatement.rest.resource.conditionalDelete`. As many
//! may match as for a request of its own (`search.delete_matches_max`); each is deleted at the version that was found.
//! Not here: a deletion that may match one only, which the commit decides (`decide`).

use policy::Principal;

use super::call::Call;
use super::delete::matches;
use crate::error::{Answered, Fault, FaultKind};
use crate::limits::BUNDLE_ENTRIES_MAX;
use crate::submission::{Operation, Verb};

/// An operation of a transaction as it is submitted.
pub(super) struct Part {
    /// What is to be done.
    pub(super) operation: Operation,
    /// How many deletions its entry became; 0 for all but the first of them.
    pub(super) deletions: Option<usize>,
}

/// True when what it does may have to be looked up again after a conflict.
pub(super) fn may_spread(call: &Call, operation: &Operation) -> bool {
    call.app.config.search.delete_matches_max > 1 && is_free(&operation.verb)
}

/// A conditional deletion that demands nothing of what it matches.
pub(super) fn is_free(verb: &Verb) -> bool {
    matches!(verb, Verb::DeleteWhere { preconditions, .. } if preconditions.is_empty())
}

/// The operation as it is, or the deletions of what it matches when that is several.
///
/// # Errors
/// 400, 403 for criteria that cannot be asked; 412 for more matches than may be deleted.
pub(super) async fn spread(
    call: &Call,
    principal: &Principal,
    operation: &Operation,
    parts: &mut Vec<Part>,
) -> Answered<()> {
    let found = match &operation.verb {
        verb @ Verb::DeleteWhere { resource_type, query, .. } if is_free(verb) => {
            matches(call, principal, *resource_type, query).await?
        }
        _ => Vec::new(),
    };
    if found.len() < 2 {
        parts.push(Part { operation: operation.clone(), deletions: None });
        return Ok(());
    }
    let count = found.len();
    if parts.len() + count > BUNDLE_ENTRIES_MAX {
        let text = format!("a transaction deletes at most {BUNDLE_ENTRIES_MAX} resources");
        return Err(Fault::new(FaultKind::PreconditionFailed, text));
    }
    for (at, (key, version)) in found.into_iter().enumerate() {
        let operation = Operation::deletion(key, version, operation.entry);
        parts.push(Part { operation, deletions: Some(if at == 0 { count } else { 0 }) });
    }
    Ok(())
}
