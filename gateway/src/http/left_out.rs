//! What an answer about several types leaves out because the caller's scopes do.
//!
//! Spec: FHIR R4 search.html section 3.1.1.5.2 (an entry with mode `outcome` is about the search itself), issue type
//! `suppressed`. It names types, which the token tells as well, and says nothing about what is stored. Groups and accesses
//! are no part of a compartment for anybody, whatever the scopes, so they are not told of.
//! Not here: who may search what (`policy`).

use fhir::{Issue, IssueType, ResourceType, Severity};
use policy::{Permit, TypeSet, Visibility};

/// Says which of the types a permit leaves out; `None` where it leaves out none.
pub(super) fn told(
    asked: impl IntoIterator<Item = ResourceType>,
    permit: &Permit,
) -> Option<Issue> {
    let is_limited = matches!(permit.visibility(), Visibility::Compartments(_));
    let is_nobodys = |of: ResourceType| {
        of == ResourceType::AUDIT_EVENT || (is_limited && of == ResourceType::GROUP)
    };
    let asked = asked.into_iter().filter(|of| !is_nobodys(*of)).collect::<TypeSet>();
    let left_out = asked.difference(permit.types());
    if left_out.is_empty() {
        return None;
    }
    let names: Vec<&str> = left_out.iter().map(ResourceType::name).collect();
    Some(Issue {
        severity: Severity::Information,
        code: IssueType::Suppressed,
        text: format!(
            "types that this answer leaves out, as the token does not reach them here: {}",
            names.join(", ")
        ),
        expression: None,
    })
}
