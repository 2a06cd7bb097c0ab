//! A version with its keys: sealed as soon as the writer knows its number and time.
//!
//! Not here: the final bytes (`finish`), keys (`payload`).

use std::sync::Arc;

use fhir::{Instant, ResourceType, Template, VersionId};
use registry::write_set::{Action, Write};
use repository::{INLINE_BYTES_MAX, Sealer, StagedObject};

use super::Draft;
use crate::app::App;
use crate::error::{Answered, Fault, FaultKind};
use crate::finish::VersionFinish;
use crate::payload::Keys;

/// A version with its keys.
pub(super) struct Ready {
    pub(super) draft: Draft,
    pub(super) template: Arc<Template>,
    sealer: Sealer,
}

impl Ready {
    pub(super) fn of(mut draft: Draft, keys: &Keys) -> Answered<Self> {
        let own = keys.of(&compartments(&draft));
        let sealer = Sealer::prepare(&draft.key, &own)
            .map_err(|error| Fault::new(FaultKind::Unprocessable, error.to_string()))?;
        let template = draft.template.take().expect("a draft has its template");
        Ok(Self { draft, template: Arc::new(template), sealer })
    }

    /// The write; a large content goes to the object store first.
    pub(super) async fn write(self, app: &App) -> Answered<Write> {
        let Self { draft, template, sealer } = self;
        let staged = if template.filled_bytes_max() > INLINE_BYTES_MAX {
            let content = template.fill(VersionId::FIRST, Instant::from_micros(0));
            let staged = StagedObject::write(&sealer, content.into(), app.payloads.objects()).await;
            Some(staged.map_err(|error| {
                tracing::error!(cause = %error, "an object was not written");
                let text = "the content cannot be stored now; retry later";
                Fault::new(FaultKind::Unavailable, text)
            })?)
        } else {
            None
        };
        Ok(Write {
            key: draft.key,
            previous: draft.previous,
            action: draft.action,
            finish: Arc::new(VersionFinish::new(template, sealer, staged)),
            rows: draft.rows,
            patients: draft.patients,
            sort_us: draft.sort_us,
        })
    }
}

/// Compartment of a patient whose id was chosen just now: it cannot have a key.
pub(super) fn fresh_compartment(draft: &Draft) -> Option<String> {
    let is_new = draft.action == Action::Create && draft.key.resource_type == ResourceType::PATIENT;
    is_new.then(|| draft.key.to_string())
}

/// `Patient/id` of each compartment; the tenant's empty name for none.
pub(super) fn compartments(draft: &Draft) -> Vec<String> {
    if draft.patients.is_empty() {
        return vec![String::new()];
    }
    draft.patients.iter().map(|id| format!("Patient/{id}")).collect()
}
