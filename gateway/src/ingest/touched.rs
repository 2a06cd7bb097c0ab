//! What a submission touches, for its access record: the interaction, the versions it makes, the patients concerned.
//!
//! A patient is concerned by what is made, by what is answered though it stays as it is, and by what is lost.
//! Not here: how an access is recorded and sealed (`access`).

use std::collections::BTreeSet;

use fhir::{ResourceId, ResourceKey, VersionId};
use policy::Principal;
use registry::write_set::{Action, WriteSet};

use crate::access::Access;
use crate::app::App;
use crate::decide::{Decision, next};
use crate::error::Answered;
use crate::plan::Plan;
use crate::submission::{Submission, Verb};
use crate::telemetry::metrics::Interaction;

/// The record of a submission, as far as it is known before anything is looked up.
pub(super) fn access_of(submission: &Submission, principal: &Principal) -> Access {
    let interaction = match (submission.is_bundle, submission.operations.first()) {
        (true, _) | (_, None) => Interaction::Bundle,
        (false, Some(operation)) => match &operation.verb {
            Verb::Create { .. } => Interaction::Create,
            Verb::Update { .. } | Verb::UpdateWhere { .. } => Interaction::Update,
            Verb::Patch { .. } | Verb::PatchWhere { .. } => Interaction::Patch,
            Verb::Delete { .. } | Verb::DeleteWhere { .. } => Interaction::Delete,
            Verb::Read(_) => Interaction::Read,
        },
    };
    let access = Access::of(principal, interaction, &submission.request_id);
    match submission.operations.first().map(|operation| &operation.verb) {
        Some(Verb::Update { key, .. } | Verb::Patch { key, .. } | Verb::Delete { key, .. })
            if !submission.is_bundle =>
        {
            access.on(key.clone())
        }
        Some(
            Verb::Create { resource_type, .. }
            | Verb::UpdateWhere { resource_type, .. }
            | Verb::PatchWhere { resource_type, .. }
            | Verb::DeleteWhere { resource_type, .. },
        ) if !submission.is_bundle => access.of_type(*resource_type),
        _ => access,
    }
}

/// What a write touches, for its access record.
pub(crate) struct Touched {
    /// Versions that it makes.
    pub(crate) versions: Vec<(ResourceKey, VersionId)>,
    /// Patients in whose compartments they are.
    pub(crate) patients: Vec<ResourceId>,
}

impl Touched {
    /// The writer makes exactly these versions, or finds the set stale.
    pub(super) fn by(set: &WriteSet, patients: BTreeSet<ResourceId>) -> Self {
        let made = set.writes.iter().map(|write| (write.key.clone(), next(write.previous)));
        Self { versions: made.collect(), patients: patients.into_iter().collect() }
    }
}

/// Patients to whom a resource belongs that is answered as it is.
pub(super) fn unchanged_patients(decision: &Decision) -> &[ResourceId] {
    match decision {
        Decision::Unchanged(unchanged) => &unchanged.patients,
        _ => &[],
    }
}

/// Patients who lose a resource: its tombstone is in nobody's compartment, the access concerns them all the same.
pub(super) async fn losing(
    app: &App,
    plan: &Plan,
    decisions: &[Decision],
) -> Answered<Vec<ResourceId>> {
    let mut patients = Vec::new();
    for (step, decision) in plan.steps.iter().zip(decisions) {
        let Decision::Write { key, action: Action::Delete, .. } = decision else { continue };
        let Some(stored) = app.store.read(&step.permit, key).await? else { continue };
        app.payloads.fetch(std::slice::from_ref(&stored)).await?;
        patients.extend(app.payloads.patients(&stored));
    }
    Ok(patients)
}
