//! One version into the tables: version, resource, compartments, index rows, outbox.

use fhir::{Instant, ResourceKey, VersionId};
use rusqlite::{OptionalExtension, params};

use super::commit::Group;
use super::index_rows;
use crate::finishing::version_of;
use crate::index::{IndexRows, terms};
use crate::place::{Current, Place, action_code, nsort, patient_column};
use crate::write_set::{Action, CommittedVersion, Finished, Write};

impl Group<'_> {
    /// Stores the next version of a resource whose row is `former`.
    pub(super) fn write(
        &mut self,
        write: &mut Write,
        former: Option<Current>,
        updated: Instant,
        finished: &Finished,
    ) -> rusqlite::Result<CommittedVersion> {
        let version = version_of(write);
        let rid = former.map_or_else(|| self.numbers.take_rid(), |row| row.rid);
        let deleted = write.action == Action::Delete;
        let members = match (deleted, former) {
            (true, Some(former)) => self.former_members(&former)?,
            _ => self.members(&write.key, rid, &write.patients)?,
        };
        let place =
            Place { nsort: nsort(write, former, updated), rid, patient: patient_column(&members) };
        let change = self.numbers.take_change();

        let row = VersionRow { change, version, updated, action: write.action, place };
        self.insert_version(&write.key, &row, finished)?;
        match former {
            None => self.insert_resource(&write.key, &row)?,
            Some(former) => self.update_resource(&former, &row, deleted)?,
        }
        self.replace_members(&write.key, &row, former, &members)?;
        self.replace_rows(write.rows.clone(), former, place)?;
        Ok(CommittedVersion {
            key: write.key.clone(),
            version,
            updated,
            change: change.cast_unsigned(),
        })
    }

    fn insert_version(
        &mut self,
        key: &ResourceKey,
        row: &VersionRow,
        finished: &Finished,
    ) -> rusqlite::Result<()> {
        self.conn
            .prepare_cached(
                "insert into resource_version
                 (change, rid, type, version, updated_us, action, patient, entry, salt_id, payload)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                row.change,
                row.place.rid,
                key.resource_type.code(),
                row.version.number().cast_signed(),
                row.updated.micros(),
                action_code(row.action),
                row.place.patient,
                finished.entry.as_slice(),
                finished.salt_id.as_slice(),
                finished.payload
            ])?;
        self.conn
            .prepare_cached("insert into ledger_outbox (change, entry) values (?1, ?2)")?
            .execute(params![row.change, finished.entry.as_slice()])?;
        Ok(())
    }

    fn insert_resource(&mut self, key: &ResourceKey, row: &VersionRow) -> rusqlite::Result<()> {
        let khash = self.index_key.resource(key.resource_type.name(), key.id.as_str());
        self.conn
            .prepare_cached(
                "insert into resource
                 (rid, type, id, khash, version, change, updated_us, nsort, patient, deleted)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                row.place.rid,
                key.resource_type.code(),
                key.id.as_str(),
                khash,
                row.version.number().cast_signed(),
                row.change,
                row.updated.micros(),
                row.place.nsort,
                row.place.patient,
                row.action == Action::Delete
            ])?;
        Ok(())
    }

    fn update_resource(
        &mut self,
        former: &Current,
        row: &VersionRow,
        deleted: bool,
    ) -> rusqlite::Result<()> {
        let version = row.version.number().cast_signed();
        let Place { nsort, rid, patient } = row.place;
        if (former.nsort, former.patient, former.deleted) == (nsort, patient, deleted) {
            self.conn
                .prepare_cached(
                    "update resource set version = ?2, change = ?3, updated_us = ?4 where rid = ?1",
                )?
                .execute(params![rid, version, row.change, row.updated.micros()])?;
        } else {
            self.conn
                .prepare_cached(
                    "update resource set version = ?2, change = ?3, updated_us = ?4, nsort = ?5,
                     patient = ?6, deleted = ?7 where rid = ?1",
                )?
                .execute(params![
                    rid,
                    version,
                    row.change,
                    row.updated.micros(),
                    nsort,
                    patient,
                    deleted
                ])?;
        }
        Ok(())
    }

    /// Writes the difference between the former rows and the new ones.
    pub(super) fn replace_rows(
        &mut self,
        rows: IndexRows,
        former: Option<Current>,
        place: Place,
    ) -> rusqlite::Result<()> {
        let Place { nsort, rid, patient } = place;
        let (listed, present) = (terms::encode(&rows), (rows.present_text(), rows.present_set));
        let Some(former) = former.filter(|row| row.version.is_some()) else {
            self.insert_terms(rid, &listed, &present)?;
            self.pending.add(rows, place);
            return Ok(());
        };
        if self.pending.holds(rid) {
            self.pending.flush(self.conn)?;
        }
        let former_listed = self.listed(rid)?;
        let former_rows = self.former_rows(rid, former_listed.as_deref())?;
        let former_place = Place { nsort: former.nsort, rid, patient: former.patient };
        let (gone, new) = if (former.nsort, former.patient) == (nsort, patient) {
            rows.difference(former_rows)
        } else {
            rows.replacing(former_rows)
        };
        index_rows::delete(self.conn, &gone, former_place)?;
        self.pending.add(new, place);
        if former_listed.is_none_or(|former| former != listed) {
            self.insert_terms(rid, &listed, &present)?;
        }
        Ok(())
    }

    fn insert_terms(
        &self,
        rid: i64,
        listed: &[u8],
        (present, set): &(String, i64),
    ) -> rusqlite::Result<()> {
        self.conn
            .prepare_cached(
                "insert or replace into resource_terms (rid, terms, present, present_set)
                 values (?1, ?2, ?3, ?4)",
            )?
            .execute(params![rid, listed, present, set])?;
        Ok(())
    }

    /// The list of terms of the current version.
    fn listed(&self, rid: i64) -> rusqlite::Result<Option<Vec<u8>>> {
        self.conn
            .prepare_cached("select terms from resource_terms where rid = ?1")?
            .query_row([rid], |row| row.get(0))
            .optional()
    }

    fn former_rows(&self, rid: i64, listed: Option<&[u8]>) -> rusqlite::Result<IndexRows> {
        let mut rows = match listed {
            None => IndexRows::default(),
            Some(listed) => terms::decode(listed).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(
                    0,
                    rusqlite::types::Type::Blob,
                    Box::new(error),
                )
            })?,
        };
        index_rows::listed_by_rid(self.conn, rid, &mut rows)?;
        rows.normalise();
        Ok(rows)
    }
}

/// A version about to be stored.
pub(super) struct VersionRow {
    pub(super) change: i64,
    version: VersionId,
    updated: Instant,
    action: Action,
    pub(super) place: Place,
}
