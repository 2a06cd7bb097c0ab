//! PID → Patient: which identifier names the patient, and the draft itself.
//!
//! The key is the best PID-3 repetition: by the site's list of systems, else by type (`codes/identifier-rank.csv`), else
//! the first. A patient without identifier is never made up.

use std::borrow::Cow;

use crate::{
    error::{ConvertError, Reason},
    hl7v2::{
        message::{SegmentView, Slice},
        work::{Building, Work},
    },
    json::Json,
    rules::program::apply,
    stable_id::stable_id,
};

/// System and value of the identifier that names a patient.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PatientKey<'m> {
    pub(crate) system: Cow<'m, str>,
    pub(crate) value: Cow<'m, str>,
}

impl PatientKey<'_> {
    pub(crate) fn id(&self) -> String {
        stable_id("Patient", &[&self.system, &self.value])
    }
}

/// The best identifier of a repeating CX field.
pub(crate) fn best_key<'m>(work: &Work<'m>, field: Slice<'m>) -> Option<PatientKey<'m>> {
    let before = work.message.set_rule(0);
    let keys = field.repetitions().enumerate().filter_map(|(n, cx)| {
        let value = cx.component(1).peek()?;
        let system = work.system_of_hd(cx.component(4));
        let kind = cx.component(5).peek().unwrap_or_default();
        let by_site = work.site.patient_systems.iter().position(|s| *s == system);
        let by_type = work.rules.code("identifier-rank", &kind).and_then(|m| m.code.parse().ok());
        let by_type: u32 = by_type.unwrap_or(if kind.is_empty() { 50 } else { 55 });
        Some(((by_site.unwrap_or(usize::MAX), by_type, n), PatientKey { system, value }))
    });
    let best = keys.min_by_key(|(rank, _)| *rank).map(|(_, key)| key);
    work.message.set_rule(before);
    best
}

/// The Patient of a PID segment and the segments that belong to it.
pub(crate) fn draft<'m>(
    work: &mut Work<'m>,
    pid: SegmentView<'m>,
    others: &[SegmentView<'m>],
) -> Result<Building<'m>, ConvertError> {
    let key = best_key(work, pid.field(3)).ok_or_else(|| {
        let place = crate::place::Place { field: 3, ..pid.place() };
        ConvertError::at(
            place,
            Reason::PatientIdentifierMissing,
            "PID-3 holds no patient identifier",
        )
    })?;
    let mut patient = Building::new("Patient", key.id());
    patient.body.set("active", Json::boolean(true));
    apply(work, pid, &mut patient);
    for segment in others {
        apply(work, *segment, &mut patient);
    }
    // A deletion of all identifiers is not one of the patient's key.
    patient.deletes.retain(|path| path != "identifier");
    Ok(patient)
}
