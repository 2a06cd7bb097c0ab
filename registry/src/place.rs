//! Where a version stands: its row's numbers, the order of results, whose compartment. The same on both engines.

use fhir::{Instant, VersionId};

use crate::write_set::{Action, Write};

/// Row of `resource`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Current {
    pub(crate) rid: i64,
    /// `None` for a placeholder: the patient was named but never written.
    pub(crate) version: Option<VersionId>,
    pub(crate) change: i64,
    pub(crate) nsort: i64,
    pub(crate) patient: i64,
    pub(crate) deleted: bool,
}

/// Where a resource stands in the order of results, and whose it is: the tail of each index row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// Place in the default order.
    pub nsort: i64,
    /// Number of the resource.
    pub rid: i64,
    /// Its one patient, 0 for none, -1 for several.
    pub patient: i64,
}

/// Undated resources keep the place of their creation, so that an update rewrites only what changed.
pub(crate) fn nsort(write: &Write, former: Option<Current>, updated: Instant) -> i64 {
    let former = former.filter(|row| row.version.is_some()).map(|row| row.nsort);
    match (write.action, write.sort_us, former) {
        (Action::Delete, _, Some(nsort)) | (_, None, Some(nsort)) => nsort,
        (_, Some(sort_us), _) => sort_us.saturating_neg(),
        (_, None, None) => updated.micros().saturating_neg(),
    }
}

/// Column `patient` for these members.
pub(crate) fn patient_column(members: &[i64]) -> i64 {
    match members {
        [] => NO_PATIENT,
        [one] => *one,
        _ => SEVERAL_PATIENTS,
    }
}

/// Column `action`.
pub(crate) fn action_code(action: Action) -> u8 {
    match action {
        Action::Create => 1,
        Action::Update => 2,
        Action::Delete => 3,
    }
}

/// Column `patient` of a resource in no compartment.
pub(crate) const NO_PATIENT: i64 = 0;
/// Column `patient` of a resource in several compartments.
pub(crate) const SEVERAL_PATIENTS: i64 = -1;
