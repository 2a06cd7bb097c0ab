//! Patient compartments of a version: whose record it belongs to, by `rid`.

use fhir::{ResourceId, ResourceKey, ResourceType};
use rusqlite::params;

use super::commit::Group;
use super::current::current;
use super::write::VersionRow;
use crate::place::{Current, NO_PATIENT, Place, SEVERAL_PATIENTS};

impl Group<'_> {
    /// `rid`s of the patients whose compartment holds the resource; unknown patients get a placeholder.
    pub(super) fn members(
        &mut self,
        key: &ResourceKey,
        rid: i64,
        patients: &[ResourceId],
    ) -> rusqlite::Result<Vec<i64>> {
        let mut members = Vec::with_capacity(patients.len());
        for id in patients {
            if key.resource_type == ResourceType::PATIENT && *id == key.id {
                members.push(rid);
            } else {
                members.push(self.patient(id)?);
            }
        }
        members.sort_unstable();
        members.dedup();
        Ok(members)
    }

    /// Members of the current version, for a tombstone to keep.
    pub(super) fn former_members(&self, former: &Current) -> rusqlite::Result<Vec<i64>> {
        match former.patient {
            NO_PATIENT => Ok(Vec::new()),
            SEVERAL_PATIENTS => self
                .conn
                .prepare_cached("select patient from compartment where rid = ?1 order by patient")?
                .query_map([former.rid], |row| row.get(0))?
                .collect(),
            one => Ok(vec![one]),
        }
    }

    fn patient(&mut self, id: &ResourceId) -> rusqlite::Result<i64> {
        if let Some(rid) = self.numbers.patients.get(id) {
            return Ok(*rid);
        }
        let key = ResourceKey::new(ResourceType::PATIENT, id.clone());
        let rid = match current(self.conn, self.index_key, &key)? {
            Some(row) => row.rid,
            None => self.insert_placeholder(&key)?,
        };
        if self.numbers.patients.len() >= PATIENTS_CACHED_MAX {
            self.numbers.patients.clear();
        }
        self.numbers.patients.insert(id.clone(), rid);
        Ok(rid)
    }

    fn insert_placeholder(&mut self, key: &ResourceKey) -> rusqlite::Result<i64> {
        let rid = self.numbers.take_rid();
        let khash = self.index_key.resource(key.resource_type.name(), key.id.as_str());
        self.conn
            .prepare_cached(
                "insert into resource
                 (rid, type, id, khash, version, change, updated_us, nsort, patient, deleted)
                 values (?1, ?2, ?3, ?4, 0, 0, 0, 0, ?1, 1)",
            )?
            .execute(params![rid, key.resource_type.code(), key.id.as_str(), khash])?;
        Ok(rid)
    }

    /// Keeps in mind whose record a resource was before: older versions are under their keys.
    fn note_former(&self, former: &Current, members: &[i64]) -> rusqlite::Result<()> {
        let stays = former.patient == NO_PATIENT || members == [former.patient];
        if former.version.is_none() || stays {
            return Ok(());
        }
        for patient in self.former_members(former)? {
            if !members.contains(&patient) {
                self.conn
                    .prepare_cached(
                        "insert or ignore into former_patient (patient, rid) values (?1, ?2)",
                    )?
                    .execute([patient, former.rid])?;
            }
        }
        Ok(())
    }

    /// Writes the rows of a version in several compartments.
    pub(super) fn replace_members(
        &mut self,
        key: &ResourceKey,
        row: &VersionRow,
        former: Option<Current>,
        members: &[i64],
    ) -> rusqlite::Result<()> {
        let Place { nsort, rid, patient } = row.place;
        if let Some(former) = former {
            self.note_former(&former, members)?;
        }
        if former.is_some_and(|former| former.patient == SEVERAL_PATIENTS) {
            self.conn.prepare_cached("delete from compartment where rid = ?1")?.execute([rid])?;
        }
        if patient != SEVERAL_PATIENTS {
            return Ok(());
        }
        for member in members {
            self.conn
                .prepare_cached(
                    "insert into compartment (patient, type, nsort, rid) values (?1, ?2, ?3, ?4)",
                )?
                .execute(params![member, key.resource_type.code(), nsort, rid])?;
            self.conn
                .prepare_cached(
                    "insert into version_compartment (change, patient) values (?1, ?2)",
                )?
                .execute([row.change, *member])?;
        }
        Ok(())
    }
}

const PATIENTS_CACHED_MAX: usize = 4096;
