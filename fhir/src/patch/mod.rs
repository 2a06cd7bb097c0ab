//! PATCH: a document that says what to change, applied to the bytes of a resource.
//!
//! Three kinds: JSON Patch (RFC 6902), merge patch (RFC 7396, which replaced RFC 7386) and FHIRPath Patch (FHIR R4
//! fhirpatch.html). What a patch does not touch keeps its text: 1.10 stays 1.10. Lists and objects that a patch leaves
//! empty are left out, because FHIR has no empty ones. Not here: whether the result is a good resource (`reader`),
//! preconditions and storage (`gateway`).

mod element;
mod evaluate;
mod expression;
mod fhirpath;
mod json;
mod merge;
mod meta;
mod number;
mod operation;
mod pointer;
mod tokens;
mod value;

use crate::Tree;
use crate::issue::{Issue, IssueType};
use crate::resource::type_of;

/// The form of a patch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PatchKind {
    /// RFC 6902, `application/json-patch+json`.
    Json,
    /// RFC 7396, `application/merge-patch+json`.
    Merge,
    /// A `Parameters` resource, `application/fhir+json`.
    FhirPath,
    /// A `Meta` whose labels are added (`$meta-add`).
    MetaAdd,
    /// A `Meta` whose labels are taken away (`$meta-delete`).
    MetaDelete,
}

/// Why a patch was not applied; nothing was changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The patch is no patch of its kind; the client must mend it.
    #[error("the patch is malformed: {}", first(.0))]
    Malformed(Vec<Issue>),
    /// The patch is well formed, but does not fit this resource as it is now.
    #[error("the patch cannot be applied: {}", first(.0))]
    Inapplicable(Vec<Issue>),
    /// A `test` of the patch does not hold.
    #[error("the patch's test does not hold: {}", first(.0))]
    TestFailed(Vec<Issue>),
}

impl PatchError {
    /// What is wrong, each with its place in the patch.
    #[must_use]
    pub fn issues(&self) -> &[Issue] {
        match self {
            Self::Malformed(issues) | Self::Inapplicable(issues) | Self::TestFailed(issues) => {
                issues
            }
        }
    }

    pub(crate) fn malformed(place: &str, text: impl Into<String>) -> Self {
        Self::Malformed(vec![Issue::error(IssueType::Invalid, text).at(place)])
    }

    pub(crate) fn inapplicable(place: &str, text: impl Into<String>) -> Self {
        Self::Inapplicable(vec![Issue::error(IssueType::Processing, text).at(place)])
    }

    pub(crate) fn test_failed(place: &str, text: impl Into<String>) -> Self {
        Self::TestFailed(vec![Issue::error(IssueType::Processing, text).at(place)])
    }
}

/// Applies a patch to a resource as stored, all of it or nothing. The result is JSON, but not yet a good resource: that
/// is for the strict reader to say. Type and id of a resource cannot be changed.
///
/// # Errors
/// The first operation that is malformed or does not fit, with its place in the patch.
pub fn apply(kind: PatchKind, patch: &[u8], current: &[u8]) -> Result<Vec<u8>, PatchError> {
    let patch = Tree::parse(patch.to_vec()).map_err(PatchError::Malformed)?;
    let current = Tree::parse(current.to_vec()).map_err(PatchError::Inapplicable)?;
    let patched = match kind {
        PatchKind::Json => json::apply(patch.root(), current.root())?.into_pruned_bytes(),
        PatchKind::Merge => merge::apply(patch.root(), current.root())?.into_pruned_bytes(),
        PatchKind::FhirPath => fhirpath::apply(patch.root(), current.root())?,
        PatchKind::MetaAdd => meta::add(patch.root(), current.root())?.into_pruned_bytes(),
        PatchKind::MetaDelete => meta::delete(patch.root(), current.root())?.into_pruned_bytes(),
    };
    expect_same_resource(&current, &patched)?;
    Ok(patched)
}

/// The kind of a patch that calls itself plain JSON: a list is JSON Patch, `Parameters` FHIRPath Patch, any other
/// object a merge patch.
#[must_use]
pub fn kind_of(patch: &[u8]) -> PatchKind {
    let Ok(tree) = Tree::parse(patch.to_vec()) else { return PatchKind::Json };
    let root = tree.root();
    match (root.kind(), root.get("resourceType").and_then(crate::Node::as_str).as_deref()) {
        (crate::Kind::Object, Some("Parameters")) => PatchKind::FhirPath,
        (crate::Kind::Object, _) => PatchKind::Merge,
        _ => PatchKind::Json,
    }
}

fn expect_same_resource(current: &Tree, patched: &[u8]) -> Result<(), PatchError> {
    let patched = Tree::parse(patched.to_vec()).map_err(PatchError::Inapplicable)?;
    let (before, after) = (current.root(), patched.root());
    let text = |node: crate::Node<'_>, key: &str| {
        node.get(key).and_then(|value| value.as_str().map(std::borrow::Cow::into_owned))
    };
    if type_of(before) != type_of(after) {
        return Err(PatchError::inapplicable("resourceType", "a patch cannot change the type"));
    }
    if text(before, "id") != text(after, "id") {
        return Err(PatchError::inapplicable("id", "a patch cannot change the id"));
    }
    Ok(())
}

fn first(issues: &[Issue]) -> &str {
    issues.first().map_or("", |issue| &issue.text)
}

/// Most operations in one patch.
pub const OPERATIONS_MAX: usize = 1_000;

#[cfg(test)]
#[path = "fhirpath_tests.rs"]
mod fhirpath_tests;
#[cfg(test)]
#[path = "json_tests.rs"]
mod json_tests;
#[cfg(test)]
#[path = "meta_tests.rs"]
mod meta_tests;
