//! What the patches of a transaction make of resources, where its conditional references ask for them.
//!
//! A conditional reference means a resource as the transaction leaves it (FHIR R4 http.html section 3.1.0.11.2), so a patch
//! of its type is applied before it is resolved. A patch that holds references to rewrite itself cannot be.
//! Not here: the version that a patch makes (`prepare`).

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use fhir::{Node, ResourceKey, ResourceType, Tree, VersionKey};

use crate::app::App;
use crate::error::{Answered, FaultKind};
use crate::plan::{LinkTarget, Plan};
use crate::snapshot::{Snapshot, at_version};
use crate::submission::{Submission, Verb};

/// Resources as patches leave them, by operation.
#[derive(Default)]
pub(crate) struct Patched {
    trees: Vec<(usize, Answered<Tree>)>,
}

/// Contents that patches are about, by operation.
pub(crate) type Contents = HashMap<usize, Bytes>;

/// Reads what patches of the types that conditional references name are about.
///
/// # Errors
/// 503 when it cannot be read.
pub(crate) async fn contents(
    app: &App,
    submission: &Submission,
    plan: &Plan,
    snapshot: &Snapshot,
) -> Answered<Contents> {
    let parts = plan.steps.iter().flat_map(|step| &step.links).flat_map(|link| &link.parts);
    let referred: HashSet<ResourceType> = parts
        .filter_map(|part| match part.target {
            LinkTarget::Ask(ask) => snapshot.query(ask).map(|(of, _)| of),
            LinkTarget::Step(_) => None,
        })
        .collect();
    let (mut found, mut left) = (Contents::new(), PATCHED_BYTES_MAX);
    if referred.is_empty() {
        return Ok(found);
    }
    for (at, (operation, step)) in submission.operations.iter().zip(&plan.steps).enumerate() {
        let key = match &operation.verb {
            Verb::Patch { key, .. } => key.clone(),
            Verb::PatchWhere { resource_type, .. } => {
                match step.condition.map(|ask| snapshot.matches(ask)) {
                    Some([id]) => ResourceKey::new(*resource_type, id.clone()),
                    _ => continue,
                }
            }
            _ => continue,
        };
        let current = snapshot.version(&key).filter(|(_, deleted)| !deleted);
        let Some((version, _)) = current.filter(|_| referred.contains(&key.resource_type)) else {
            continue;
        };
        let read = async {
            let stored = at_version(app, &step.permit, &VersionKey { key, version }).await?;
            app.payloads.open(&stored).await
        };
        let Some(body) = unless_gone(read.await)? else { continue };
        let Some(rest) = left.checked_sub(body.len()) else { break };
        left = rest;
        found.insert(at, body);
    }
    Ok(found)
}

/// What is gone or erased by now is refused when the patch is applied for good.
fn unless_gone<T>(read: Answered<T>) -> Answered<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(fault) if matches!(fault.kind, FaultKind::NotFound | FaultKind::Deleted) => Ok(None),
        Err(fault) => Err(fault),
    }
}

impl Patched {
    /// Applies the patches; one that is to be rewritten itself is left out.
    pub(crate) fn of(submission: &Submission, plan: &Plan, contents: &Contents) -> Self {
        if contents.is_empty() {
            return Self::default();
        }
        let nodes = submission.resources();
        let mut trees = Vec::with_capacity(contents.len());
        for (at, operation) in submission.operations.iter().enumerate() {
            let (Some(before), Some(patch)) = (contents.get(&at), operation.verb.patch()) else {
                continue;
            };
            if !plan.steps[at].links.is_empty() {
                continue;
            }
            let tree = patch.applied(nodes[at], &[], before);
            trees.push((at, tree.map_err(|fault| submission.placed(at, fault))));
        }
        Self { trees }
    }

    /// Refuses a patch that does not fit, before anything is asked of what it makes.
    ///
    /// # Errors
    /// As [`crate::patch::Patch::applied`], with the place of its entry.
    pub(crate) fn check(&self) -> Answered<()> {
        let fault = self.trees.iter().find_map(|(_, tree)| tree.as_ref().err());
        fault.map_or(Ok(()), |fault| Err(fault.clone()))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// Whether it is known what an operation makes.
    pub(crate) fn knows(&self, at: usize) -> bool {
        self.trees.binary_search_by_key(&at, |(at, _)| *at).is_ok()
    }

    /// What some operations make.
    pub(crate) fn of_type(
        &self,
        wanted: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = (usize, Node<'_>)> {
        let made =
            self.trees.iter().filter_map(|(at, tree)| Some((*at, tree.as_ref().ok()?.root())));
        made.filter(move |(at, _)| wanted(*at))
    }
}

/// Contents that patches are tried on for one transaction, in bytes.
const PATCHED_BYTES_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

    #[test]
    fn what_cannot_be_read_now_is_not_taken_for_gone() {
        let read = |kind| unless_gone::<()>(Err(Fault::new(kind, "text")));

        for gone in [FaultKind::NotFound, FaultKind::Deleted] {
            assert!(matches!(read(gone), Ok(None)));
        }
        let fault = read(FaultKind::Unavailable).unwrap_err();
        assert_eq!(fault.status(), 503);
    }
}
