//! One version as pending rows: version, resource, compartments, index rows, outbox.

use fhir::{Instant, ResourceId, ResourceKey, ResourceType};

use super::commit::Draft;
use super::known::{khash, patient_key};
use super::pending::{ResourceRow, RowChange, VersionRow};
use crate::finishing::version_of;
use crate::index::{IndexRows, terms};
use crate::params::search_parameter;
use crate::place::{Current, Place, SEVERAL_PATIENTS, action_code, nsort, patient_column};
use crate::write_set::{Action, CommittedVersion, Finished, Write};

impl Draft<'_> {
    /// Puts down the next version of a resource.
    pub(super) fn write(
        &mut self,
        write: &Write,
        updated: Instant,
        finished: Finished,
    ) -> Result<CommittedVersion, sqlx::Error> {
        let former = self.known.row(&write.key);
        let version = version_of(write);
        let rid = former.map_or_else(|| self.numbers.take_rid(), |row| row.rid);
        let deleted = write.action == Action::Delete;
        let members = match (deleted, former) {
            (true, Some(former)) => self.known.members(&former),
            _ => self.members(&write.key, rid, &write.patients),
        };
        let patient = patient_column(&members);
        let place = Place { nsort: nsort(write, former, updated), rid, patient };
        let change = self.numbers.take_change();

        if write.key.resource_type == search_parameter() {
            self.known.newest_param = Some(change.cast_unsigned());
        }
        self.replace_rows(write.rows.clone(), former, place)?;
        self.replace_members(write.key.resource_type, place, change, former, &members);
        self.pending.version(VersionRow {
            resource_type: write.key.resource_type,
            change,
            version: version.number().cast_signed(),
            updated_us: updated.micros(),
            action: action_code(write.action),
            place,
            entry: finished.entry,
            salt_id: finished.salt_id,
            payload: finished.payload,
        });
        self.pending.resource(ResourceRow {
            khash: khash(self.index_key, &write.key),
            key: write.key.clone(),
            version: version.number().cast_signed(),
            change,
            updated_us: updated.micros(),
            place,
            deleted,
            new: former.is_none(),
        });
        let Place { nsort, patient, .. } = place;
        let row = Current { rid, version: Some(version), change, nsort, patient, deleted };
        self.known.set_row(write.key.clone(), row, &members);
        let (key, change) = (write.key.clone(), change.cast_unsigned());
        Ok(CommittedVersion { key, version, updated, change })
    }

    /// `rid`s of the patients whose compartment holds the resource; unknown patients get a placeholder.
    fn members(&mut self, key: &ResourceKey, rid: i64, patients: &[ResourceId]) -> Vec<i64> {
        let mut members = Vec::with_capacity(patients.len());
        for id in patients {
            if key.resource_type == ResourceType::PATIENT && *id == key.id {
                members.push(rid);
            } else {
                members.push(self.patient(id));
            }
        }
        members.sort_unstable();
        members.dedup();
        members
    }

    fn patient(&mut self, id: &ResourceId) -> i64 {
        let key = patient_key(id);
        if let Some(row) = self.known.row(&key) {
            return row.rid;
        }
        let rid = self.numbers.take_rid();
        let place = Place { nsort: 0, rid, patient: rid };
        self.pending.resource(ResourceRow {
            khash: khash(self.index_key, &key),
            key: key.clone(),
            version: 0,
            change: 0,
            updated_us: 0,
            place,
            deleted: true,
            new: true,
        });
        let row = Current { rid, version: None, change: 0, nsort: 0, patient: rid, deleted: true };
        self.known.set_row(key, row, &[]);
        rid
    }

    fn replace_members(
        &mut self,
        of: ResourceType,
        place: Place,
        change: i64,
        former: Option<Current>,
        members: &[i64],
    ) {
        if let Some(former) = former.filter(|former| former.version.is_some()) {
            for patient in self.known.members(&former) {
                if !members.contains(&patient) {
                    self.pending.former_patient(patient, former.rid);
                }
            }
        }
        if former.is_some_and(|former| former.patient == SEVERAL_PATIENTS) {
            self.pending.leave(place.rid);
        }
        if place.patient == SEVERAL_PATIENTS {
            for member in members {
                self.pending.join(*member, of, place, change);
            }
        }
    }

    /// Puts down the difference between the former rows, which were read, and the new ones.
    pub(super) fn replace_rows(
        &mut self,
        rows: IndexRows,
        former: Option<Current>,
        place: Place,
    ) -> Result<(), sqlx::Error> {
        let (terms, present) = (terms::encode(&rows), (rows.present_text(), rows.present_set));
        let Some(former) = former.filter(|row| row.version.is_some()) else {
            self.pending.rows(RowChange { place, terms, present, gone: None, new: rows });
            return Ok(());
        };
        let former_rows = self.known.take_former(place.rid).ok_or_else(not_read)?;
        let former_place = Place { nsort: former.nsort, rid: place.rid, patient: former.patient };
        let (gone, new) = if former_place == place {
            rows.difference(former_rows)
        } else {
            rows.replacing(former_rows)
        };
        self.pending.rows(RowChange {
            place,
            terms,
            present,
            gone: Some((gone, former_place)),
            new,
        });
        Ok(())
    }
}

fn not_read() -> sqlx::Error {
    sqlx::Error::Protocol("the rows of a former version were not read".into())
}
