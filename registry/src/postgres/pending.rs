//! What a group will change, gathered in memory and sent as one statement, two when rows go.

use std::collections::{BTreeMap, HashSet};

use fhir::{ResourceKey, ResourceType};
use sqlx::PgConnection;

use super::batch::Batch;
use super::columns::{Direction, PlacedRows};
use crate::index::IndexRows;
use crate::place::Place;
use crate::write_set::AccessRecord;

/// Rows to be written.
#[derive(Default)]
pub(super) struct Pending {
    resources: BTreeMap<i64, ResourceRow>,
    versions: Vec<VersionRow>,
    outbox: Vec<OutboxEntry>,
    accesses: Vec<AccessRecord>,
    terms: BTreeMap<i64, (Vec<u8>, (String, i64))>,
    members_gone: Vec<i64>,
    members: Vec<(i64, ResourceType, Place)>,
    version_members: Vec<(i64, i64)>,
    former_patients: Vec<(i64, i64)>,
    gone: PlacedRows,
    new: PlacedRows,
    keys: Vec<(i64, String, Vec<u8>)>,
    answers: Vec<FirstAnswer>,
    types: HashSet<ResourceType>,
    bytes: usize,
}

/// Row of `resource`, as it will stand.
#[derive(Clone)]
pub(super) struct ResourceRow {
    pub(super) key: ResourceKey,
    pub(super) khash: i64,
    pub(super) version: i64,
    pub(super) change: i64,
    pub(super) updated_us: i64,
    pub(super) place: Place,
    pub(super) deleted: bool,
    /// Not in the table yet.
    pub(super) new: bool,
}

/// Row of `resource_version`.
pub(super) struct VersionRow {
    pub(super) resource_type: ResourceType,
    pub(super) change: i64,
    pub(super) version: i64,
    pub(super) updated_us: i64,
    pub(super) action: u8,
    pub(super) place: Place,
    pub(super) entry: [u8; 36],
    pub(super) salt_id: [u8; 16],
    pub(super) payload: Vec<u8>,
}

/// Row of `ledger_outbox`, its id left to the table.
struct OutboxEntry {
    change: i64,
    entry: [u8; 36],
}

/// Row of `idempotency`.
pub(super) struct FirstAnswer {
    pub(super) sender: String,
    pub(super) control_id: String,
    pub(super) answer: Vec<u8>,
    pub(super) at_us: i64,
}

impl Pending {
    /// A new row of `resource`, or the next state of one. A row that is new stays so until it is sent.
    pub(super) fn resource(&mut self, mut row: ResourceRow) {
        row.new |= self.resources.get(&row.place.rid).is_some_and(|pending| pending.new);
        self.resources.insert(row.place.rid, row);
    }

    /// A version with its place in the outbox.
    pub(super) fn version(&mut self, row: VersionRow) {
        self.types.insert(row.resource_type);
        self.bytes += row.payload.len() + VERSION_BYTES;
        self.outbox.push(OutboxEntry { change: row.change, entry: row.entry });
        self.versions.push(row);
    }

    /// The record of a set's access.
    pub(super) fn access(&mut self, record: AccessRecord) {
        self.bytes += record.body.len();
        self.accesses.push(record);
    }

    /// Exchanges index rows and their list; `former` is where the rows that go stand.
    pub(super) fn rows(&mut self, change: RowChange) {
        self.bytes += change.terms.len() + change.new.count() * INDEX_ROW_BYTES;
        self.bytes += change.new.words.len() * WORD_BYTES;
        self.terms.insert(change.place.rid, (change.terms, change.present));
        if let Some((gone, former)) = change.gone {
            self.gone.add(gone, former);
        }
        self.new.add(change.new, change.place);
    }

    /// Takes a resource out of its compartments.
    pub(super) fn leave(&mut self, rid: i64) {
        self.members_gone.push(rid);
    }

    /// Puts a version into the compartment of one of several patients.
    pub(super) fn join(&mut self, patient: i64, of: ResourceType, place: Place, change: i64) {
        self.members.push((patient, of, place));
        self.version_members.push((change, patient));
    }

    /// Keeps in mind whose record a resource was before.
    pub(super) fn former_patient(&mut self, patient: i64, rid: i64) {
        self.former_patients.push((patient, rid));
    }

    pub(super) fn data_key(&mut self, key_id: u64, compartment: &str, wrapped: &[u8]) {
        self.keys.push((key_id.cast_signed(), compartment.to_owned(), wrapped.to_vec()));
    }

    pub(super) fn first_answer(&mut self, row: FirstAnswer) {
        self.answers.push(row);
    }

    /// True if rows of this resource wait: a further version must not be mixed with them.
    pub(super) fn holds(&self, rid: i64) -> bool {
        self.terms.contains_key(&rid)
    }

    /// Types of the versions that wait.
    pub(super) fn types(&self) -> &HashSet<ResourceType> {
        &self.types
    }

    /// True when so much waits that it should be sent.
    pub(super) fn is_large(&self) -> bool {
        self.bytes > PENDING_BYTES_MAX
    }

    /// Sends everything that waits.
    pub(super) async fn flush(&mut self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.take_statements()?.run(conn).await
    }

    /// Everything that waits, made ready to be sent; nothing waits any more.
    pub(super) fn take_statements(&mut self) -> Result<Statements, sqlx::Error> {
        let mut pending = std::mem::take(self);
        let mut deletions = Batch::default();
        if !pending.members_gone.is_empty() {
            let gone = std::mem::take(&mut pending.members_gone);
            deletions.part().push("delete from compartment where rid = any(").bind(gone)?.push(")");
        }
        std::mem::take(&mut pending.gone).put(Direction::Delete, &mut deletions)?;

        let mut changes = Batch::default();
        pending.put_resources(&mut changes)?;
        pending.put_versions(&mut changes)?;
        pending.put_members(&mut changes)?;
        pending.put_others(&mut changes)?;
        pending.new.put(Direction::Insert, &mut changes)?;
        Ok(Statements { deletions, changes })
    }

    fn put_resources(&self, batch: &mut Batch) -> Result<(), sqlx::Error> {
        let (new, changed): (Vec<_>, Vec<_>) = self.resources.values().partition(|row| row.new);
        if !new.is_empty() {
            batch.part().push("insert into resource (");
            batch
                .push("version, change, updated_us, nsort, patient, deleted, rid, type, id, khash");
            batch.push(") select * from unnest(");
            bind_state(&new, batch)?;
            batch.bind(column(&new, |row| i16::from(row.key.resource_type.code())))?;
            batch.bind(new.iter().map(|row| row.key.id.as_str()).collect::<Vec<_>>())?;
            batch.bind(column(&new, |row| row.khash))?.push(")");
        }
        if !changed.is_empty() {
            batch.part().push("update resource r set version = u.version, change = u.change, ");
            batch.push("updated_us = u.updated_us, nsort = u.nsort, patient = u.patient, ");
            batch.push("deleted = u.deleted from unnest(");
            bind_state(&changed, batch)?;
            batch.push(") u (version, change, updated_us, nsort, patient, deleted, rid) ");
            batch.push("where r.rid = u.rid");
        }
        Ok(())
    }

    fn put_versions(&mut self, batch: &mut Batch) -> Result<(), sqlx::Error> {
        let rows = &self.versions;
        if !rows.is_empty() {
            batch.part().push("insert into resource_version (change, rid, type, version, ");
            batch.push("updated_us, action, patient, entry, salt_id, payload) ");
            batch.push("select * from unnest(");
            batch.bind(column(rows, |row| row.change))?;
            batch.bind(column(rows, |row| row.place.rid))?;
            batch.bind(column(rows, |row| i16::from(row.resource_type.code())))?;
            batch.bind(column(rows, |row| row.version))?;
            batch.bind(column(rows, |row| row.updated_us))?;
            batch.bind(column(rows, |row| i16::from(row.action)))?;
            batch.bind(column(rows, |row| row.place.patient))?;
            batch.bind(rows.iter().map(|row| row.entry.as_slice()).collect::<Vec<_>>())?;
            batch.bind(rows.iter().map(|row| row.salt_id.as_slice()).collect::<Vec<_>>())?;
            batch.bind(rows.iter().map(|row| row.payload.as_slice()).collect::<Vec<_>>())?;
            batch.push(")");
        }
        let rows = &self.outbox;
        if !rows.is_empty() {
            batch.part().push("insert into ledger_outbox (change, entry) ");
            batch.push("select change, entry from unnest(");
            batch.bind(column(rows, |row| row.change))?;
            batch.bind(rows.iter().map(|row| row.entry.as_slice()).collect::<Vec<_>>())?;
            batch.push(") with ordinality u (change, entry, at) order by at");
        }
        let rows = &self.accesses;
        if !rows.is_empty() {
            batch.part().push("insert into access_outbox (salt_id, entry, body) ");
            batch.push("select salt_id, entry, body from unnest(");
            batch.bind(rows.iter().map(|row| row.salt_id.as_slice()).collect::<Vec<_>>())?;
            batch.bind(rows.iter().map(|row| row.entry.as_slice()).collect::<Vec<_>>())?;
            batch.bind(rows.iter().map(|row| row.body.as_slice()).collect::<Vec<_>>())?;
            batch.push(") with ordinality u (salt_id, entry, body, at) order by at");
        }
        Ok(())
    }

    fn put_members(&self, batch: &mut Batch) -> Result<(), sqlx::Error> {
        if !self.former_patients.is_empty() {
            batch.part().push("insert into former_patient (patient, rid) ");
            batch.push("select distinct * from unnest(");
            batch.bind(column(&self.former_patients, |(patient, _)| *patient))?;
            batch.bind(column(&self.former_patients, |(_, rid)| *rid))?.push(")");
            batch.push(" on conflict do nothing");
        }
        if self.members.is_empty() {
            return Ok(());
        }
        batch.part().push("insert into compartment (patient, type, nsort, rid) ");
        batch.push("select * from unnest(");
        batch.bind(column(&self.members, |(patient, ..)| *patient))?;
        batch.bind(column(&self.members, |(_, of, _)| i16::from(of.code())))?;
        batch.bind(column(&self.members, |(.., at)| at.nsort))?;
        batch.bind(column(&self.members, |(.., at)| at.rid))?.push(")");
        batch.part().push("insert into version_compartment (change, patient) ");
        batch.push("select * from unnest(");
        batch.bind(column(&self.version_members, |(change, _)| *change))?;
        batch.bind(column(&self.version_members, |(_, patient)| *patient))?.push(")");
        Ok(())
    }

    fn put_others(&self, batch: &mut Batch) -> Result<(), sqlx::Error> {
        if !self.terms.is_empty() {
            batch.part().push("insert into resource_terms (rid, terms, present, present_set) ");
            batch.push("select * from unnest(");
            batch.bind(self.terms.keys().copied().collect::<Vec<_>>())?;
            batch
                .bind(self.terms.values().map(|(terms, _)| terms.as_slice()).collect::<Vec<_>>())?;
            let present = self.terms.values().map(|(_, present)| present);
            batch.bind(present.clone().map(|(text, _)| text.as_str()).collect::<Vec<_>>())?;
            batch.bind(present.map(|(_, set)| *set).collect::<Vec<_>>())?;
            batch.push(") on conflict (rid) do update set terms = excluded.terms, ");
            batch.push("present = excluded.present, present_set = excluded.present_set");
        }
        let rows = &self.keys;
        if !rows.is_empty() {
            batch.part().push("insert into data_key (key_id, compartment, wrapped) ");
            batch.push("select * from unnest(");
            batch.bind(column(rows, |(key_id, ..)| *key_id))?;
            batch.bind(rows.iter().map(|(_, name, _)| name.as_str()).collect::<Vec<_>>())?;
            batch.bind(rows.iter().map(|(.., key)| key.as_slice()).collect::<Vec<_>>())?;
            batch.push(")");
        }
        let rows = &self.answers;
        if !rows.is_empty() {
            batch.part().push("insert into idempotency (sender, control_id, answer, at_us) ");
            batch.push("select * from unnest(");
            batch.bind(rows.iter().map(|row| row.sender.as_bytes()).collect::<Vec<_>>())?;
            batch.bind(rows.iter().map(|row| row.control_id.as_bytes()).collect::<Vec<_>>())?;
            batch.bind(rows.iter().map(|row| row.answer.as_slice()).collect::<Vec<_>>())?;
            batch.bind(column(rows, |row| row.at_us))?.push(")");
        }
        Ok(())
    }
}

/// What waited, as the statements that write it.
pub(super) struct Statements {
    deletions: Batch,
    changes: Batch,
}

impl Statements {
    /// Runs those that are not empty.
    pub(super) async fn run(self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.deletions.run(conn).await?;
        self.changes.run(conn).await
    }
}

/// What a version changes in the index.
pub(super) struct RowChange {
    pub(super) place: Place,
    pub(super) terms: Vec<u8>,
    /// What is present, as `resource_terms` lists it, and its set.
    pub(super) present: (String, i64),
    pub(super) gone: Option<(IndexRows, Place)>,
    pub(super) new: IndexRows,
}

fn bind_state(rows: &[&ResourceRow], batch: &mut Batch) -> Result<(), sqlx::Error> {
    batch.bind(column(rows, |row| row.version))?;
    batch.bind(column(rows, |row| row.change))?;
    batch.bind(column(rows, |row| row.updated_us))?;
    batch.bind(column(rows, |row| row.place.nsort))?;
    batch.bind(column(rows, |row| row.place.patient))?;
    batch.bind(column(rows, |row| i16::from(row.deleted)))?;
    batch.bind(column(rows, |row| row.place.rid))?;
    Ok(())
}

fn column<T, V>(rows: &[T], value: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

/// A group's rows are sent when they take about this much memory.
const PENDING_BYTES_MAX: usize = 8 << 20;
const VERSION_BYTES: usize = 400;
const INDEX_ROW_BYTES: usize = 64;
/// A term with its place, as text and in the list.
const WORD_BYTES: usize = 24;
