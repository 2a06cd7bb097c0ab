//! What an answer leaves out because the caller's scopes do.
//!
//! Spec: FHIR R4 search.html section 3.1.1.5.2 (an entry with mode `outcome` is about the search itself), issue type
//! `suppressed`. It names types, which the token tells as well, and says nothing about what is stored. Groups and accesses
//! are no part of a compartment for anybody, whatever the scopes, so they are not told of.
//! Not here: who may search what (`policy`), where includes and chains lead (`registry::search`).

use std::sync::LazyLock;

use fhir::{Issue, IssueType, ResourceType, Severity};
use policy::{Permit, TypeSet};
use registry::search::{SearchQuery, SearchTarget};

/// Says which types a search is answered without: of those that it names none of, of what its includes may bring, and
/// of what its chains look into. `None` where a permit leaves out none of them.
pub(super) fn of_search(
    target: &SearchTarget,
    query: &SearchQuery,
    permit: &Permit,
) -> Option<Issue> {
    if permit.types().contains_all(&DATA) {
        return None;
    }
    let mut asked = query.looks_into();
    if query.implied {
        asked = asked.union(&target.implied_types().into_iter().collect());
    }
    let mut left_out = asked.difference(permit.types());
    // A page without matches, as for `_summary=count`, includes nothing.
    if query.count > 0 {
        left_out = left_out.union(&query.brings.difference(permit.included_types()));
    }
    issue(left_out, permit)
}

/// Says which of the types a permit leaves out; `None` where it leaves out none.
pub(super) fn told(
    asked: impl IntoIterator<Item = ResourceType>,
    permit: &Permit,
) -> Option<Issue> {
    issue(asked.into_iter().collect::<TypeSet>().difference(permit.types()), permit)
}

fn issue(left_out: TypeSet, permit: &Permit) -> Option<Issue> {
    let left_out = left_out.difference(&permit.closed_types());
    if left_out.is_empty() {
        return None;
    }
    let names: Vec<&str> = left_out.iter().map(ResourceType::name).collect();
    Some(Issue {
        severity: Severity::Information,
        code: IssueType::Suppressed,
        text: format!(
            "types that this answer is made without, as the token does not reach them here: {}",
            names.join(", ")
        ),
        expression: None,
    })
}

/// All types that a search can bring.
static DATA: LazyLock<TypeSet> = LazyLock::new(|| {
    ResourceType::stored().filter(|of| *of != ResourceType::AUDIT_EVENT).collect()
});
