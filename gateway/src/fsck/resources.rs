//! Current rows, page by page, and the rows of patients.
//!
//! Not here: whether a row is that of the newest version (`versions`).

use std::collections::{HashMap, VecDeque};

use fhir::{ResourceId, ResourceKey, ResourceType};
use registry::check::ResourceRow;

use super::Check;
use super::report::About;
use crate::app::OpenError;

/// Rows of `resource`, a page at a time; and patients that were looked up.
#[derive(Default)]
pub(super) struct Resources {
    pub(super) page: VecDeque<ResourceRow>,
    after: Option<i64>,
    is_done: bool,
    /// Rows cannot be read, which is reported.
    pub(super) is_lost: bool,
    patients: HashMap<ResourceId, Option<i64>>,
}

impl Check<'_> {
    /// The next current row.
    pub(super) async fn next_resource(
        &mut self,
        resources: &mut Resources,
    ) -> Result<Option<ResourceRow>, OpenError> {
        if resources.page.is_empty() && !resources.is_done {
            let read = self.checks.resources(resources.after.unwrap_or(i64::MIN), RESOURCES_A_PAGE);
            let read = read.await;
            resources.is_lost |= read.is_err();
            resources.page = self.rows("resource", read)?.into();
            resources.is_done = resources.page.is_empty();
            resources.after = resources.page.back().map(|last| last.rid).or(resources.after);
        }
        Ok(resources.page.pop_front())
    }

    /// A row without versions must be a placeholder of a patient.
    pub(super) fn unwritten(&mut self, row: &ResourceRow) {
        let is_placeholder = row.version == 0
            && (row.change, row.updated_us, row.nsort, row.deleted) == (0, 0, 0, 1)
            && row.patient == row.rid
            && row.terms.is_none()
            && key_of(row).is_some_and(|key| {
                key.resource_type == ResourceType::PATIENT && row.khash == self.khash(&key)
            });
        if !is_placeholder {
            let what = format!("version {} is current, but has no version", row.version);
            self.report.add(About::Current, resource_name(row), what);
        }
    }

    /// `rid` of a patient.
    pub(super) async fn patient(
        &mut self,
        id: &ResourceId,
        resources: &mut Resources,
    ) -> Result<Option<i64>, OpenError> {
        if let Some(known) = resources.patients.get(id) {
            return Ok(*known);
        }
        let read = self.checks.patients(std::slice::from_ref(id)).await;
        let rid = self.rows("resource", read)?.first().map(|(_, rid)| *rid);
        if resources.patients.len() >= PATIENTS_KEPT_MAX {
            resources.patients.clear();
        }
        resources.patients.insert(id.clone(), rid);
        Ok(rid)
    }

    /// Hash of a key, as its row has it.
    pub(super) fn khash(&self, key: &ResourceKey) -> i64 {
        self.store.index_key().resource(key.resource_type.name(), key.id.as_str())
    }
}

/// The key that a row names.
pub(super) fn key_of(row: &ResourceRow) -> Option<ResourceKey> {
    let resource_type = u8::try_from(row.type_code).ok().and_then(ResourceType::from_code)?;
    Some(ResourceKey::new(resource_type, ResourceId::parse(&row.id).ok()?))
}

fn resource_name(row: &ResourceRow) -> String {
    key_of(row).map_or_else(|| resource(row.rid), |key| key.to_string())
}

/// Name of a resource whose row is not known.
pub(super) fn resource(rid: i64) -> String {
    format!("resource number {rid}")
}

/// Rows read at once; a list of terms may be long.
const RESOURCES_A_PAGE: usize = 256;
const PATIENTS_KEPT_MAX: usize = 10_000;
