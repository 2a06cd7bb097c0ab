//! What the writer knows of the state its group is checked against: read in bulk under the lock, then kept
//! up with what the group does. Nobody else writes meanwhile.

use std::collections::{HashMap, HashSet};

use fhir::{ResourceId, ResourceKey, ResourceType, VersionId};
use policy::{Permit, Visibility, universal_types};
use sqlx::{PgConnection, Row};

use crate::hash::IndexKey;
use crate::index::rows::{DateRow, NumberRow, StringRow, UriRow};
use crate::index::{IndexRows, terms};
use crate::place::{Current, NO_PATIENT, SEVERAL_PATIENTS};
use crate::write_set::{Match, MatchOutcome, WriteSet};

/// State by key, as of now in the group.
#[derive(Clone, Default)]
pub(super) struct Known {
    rows: HashMap<ResourceKey, Current>,
    members: HashMap<i64, Vec<i64>>,
    former: HashMap<i64, IndexRows>,
    compartments: HashSet<String>,
    key_ids: HashSet<u64>,
    answers: HashMap<(String, String), Vec<u8>>,
    /// Newest change of the SearchParameters, once it was asked for.
    pub(super) newest_param: Option<u64>,
}

impl Known {
    /// Reads everything that these sets touch or depend on, but for conditional queries.
    pub(super) async fn read(
        sets: &[&WriteSet],
        index_key: &IndexKey,
        conn: &mut PgConnection,
    ) -> Result<Self, sqlx::Error> {
        let mut known = Self { rows: rows(sets, index_key, conn).await?, ..Self::default() };
        known.read_members(conn).await?;
        let writes = sets.iter().flat_map(|set| &set.writes);
        let written = writes.filter_map(|write| known.rows.get(&write.key));
        let written: Vec<i64> =
            written.filter(|row| row.version.is_some()).map(|row| row.rid).collect();
        known.read_former(&written, conn).await?;
        known.read_data_keys(sets, conn).await?;
        known.read_answers(sets, conn).await?;
        Ok(known)
    }

    /// Row of a key, a placeholder included.
    pub(super) fn row(&self, key: &ResourceKey) -> Option<Current> {
        self.rows.get(key).copied()
    }

    /// The row as the group leaves it.
    pub(super) fn set_row(&mut self, key: ResourceKey, row: Current, members: &[i64]) {
        self.former.remove(&row.rid);
        if row.patient == SEVERAL_PATIENTS {
            self.members.insert(row.rid, members.to_vec());
        }
        self.rows.insert(key, row);
    }

    /// Patients of the current version.
    pub(super) fn members(&self, row: &Current) -> Vec<i64> {
        match row.patient {
            NO_PATIENT => Vec::new(),
            SEVERAL_PATIENTS => self.members.get(&row.rid).cloned().unwrap_or_default(),
            one => vec![one],
        }
    }

    /// True if the index rows of the current version are known.
    pub(super) fn has_former(&self, rid: i64) -> bool {
        self.former.contains_key(&rid)
    }

    /// Index rows of the current version; `None` when they must be read again.
    pub(super) fn take_former(&mut self, rid: i64) -> Option<IndexRows> {
        self.former.remove(&rid)
    }

    /// Answer to a key, as `read::resolve` gives it.
    pub(super) fn resolve(&self, permit: &Permit, key: &ResourceKey) -> MatchOutcome {
        let Some(row) = self.row(key) else { return MatchOutcome::Key(None) };
        let Some(version) = row.version else { return MatchOutcome::Key(None) };
        if self.sees(permit, key.resource_type, &row) {
            MatchOutcome::Key(Some((version, row.deleted)))
        } else {
            MatchOutcome::Hidden
        }
    }

    fn sees(&self, permit: &Permit, of: ResourceType, row: &Current) -> bool {
        let Visibility::Compartments(patients) = permit.visibility() else { return true };
        if row.patient == NO_PATIENT {
            return universal_types().contains(of);
        }
        let members = self.members(row);
        let own = patients.iter().filter_map(|id| self.row(&patient_key(id)));
        own.into_iter().any(|patient| members.contains(&patient.rid))
    }

    /// True if the compartment or the id has a data key.
    pub(super) fn has_data_key(&self, compartment: &str, key_id: u64) -> bool {
        self.compartments.contains(compartment) || self.key_ids.contains(&key_id)
    }

    pub(super) fn add_data_key(&mut self, compartment: &str, key_id: u64) {
        self.compartments.insert(compartment.to_owned());
        self.key_ids.insert(key_id);
    }

    /// First answer to (sender, control id).
    pub(super) fn first_answer(&self, sender: &str, control_id: &str) -> Option<&Vec<u8>> {
        self.answers.get(&(sender.to_owned(), control_id.to_owned()))
    }

    pub(super) fn add_first_answer(&mut self, sender: &str, control_id: &str, answer: &[u8]) {
        self.answers.insert((sender.to_owned(), control_id.to_owned()), answer.to_vec());
    }

    async fn read_members(&mut self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let several = self.rows.values().filter(|row| row.patient == SEVERAL_PATIENTS);
        let rids: Vec<i64> = several.map(|row| row.rid).collect();
        if rids.is_empty() {
            return Ok(());
        }
        let found: Vec<(i64, i64)> = sqlx::query_as(
            "select rid, patient from compartment where rid = any($1) order by 1, 2",
        )
        .bind(rids)
        .fetch_all(conn)
        .await?;
        for (rid, patient) in found {
            self.members.entry(rid).or_default().push(patient);
        }
        Ok(())
    }

    /// Reads the index rows of the current version of resources.
    pub(super) async fn read_former(
        &mut self,
        rids: &[i64],
        conn: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        if rids.is_empty() {
            return Ok(());
        }
        self.former.extend(rids.iter().map(|rid| (*rid, IndexRows::default())));
        let found = sqlx::query(include_str!("../../sql/list_former_rows.sql"))
            .bind(rids)
            .fetch_all(conn)
            .await?;
        for row in &found {
            let rows = self.former.entry(row.try_get("rid")?).or_default();
            add_former(row, rows)?;
        }
        for rid in rids {
            self.former.entry(*rid).or_default().normalise();
        }
        Ok(())
    }

    async fn read_data_keys(
        &mut self,
        sets: &[&WriteSet],
        conn: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        let keys: Vec<_> = sets.iter().flat_map(|set| &set.new_keys).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let found: Vec<(i64, String)> = sqlx::query_as(
            "select key_id, compartment from data_key where compartment = any($1)
             union all
             select key_id, compartment from data_key where key_id = any($2)",
        )
        .bind(keys.iter().map(|key| key.compartment.as_str()).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.key_id.cast_signed()).collect::<Vec<_>>())
        .fetch_all(conn)
        .await?;
        for (key_id, compartment) in found {
            self.add_data_key(&compartment, key_id.cast_unsigned());
        }
        Ok(())
    }

    async fn read_answers(
        &mut self,
        sets: &[&WriteSet],
        conn: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        let asked: Vec<_> = sets.iter().filter_map(|set| set.idempotency.as_ref()).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let found: Vec<(i64, Vec<u8>)> = sqlx::query_as(
            "select k.at, i.answer
             from unnest($1, $2) with ordinality k (sender, control_id, at)
             join idempotency i on i.sender = k.sender and i.control_id = k.control_id",
        )
        .bind(asked.iter().map(|first| first.sender.as_bytes()).collect::<Vec<_>>())
        .bind(asked.iter().map(|first| first.control_id.as_bytes()).collect::<Vec<_>>())
        .fetch_all(conn)
        .await?;
        for (at, answer) in found {
            if let Some(first) = usize::try_from(at - 1).ok().and_then(|at| asked.get(at)) {
                self.add_first_answer(&first.sender, &first.control_id, &answer);
            }
        }
        Ok(())
    }
}

/// Rows of all keys that the sets write, depend on, or look through.
async fn rows(
    sets: &[&WriteSet],
    index_key: &IndexKey,
    conn: &mut PgConnection,
) -> Result<HashMap<ResourceKey, Current>, sqlx::Error> {
    let mut keys: HashSet<ResourceKey> = HashSet::new();
    for set in sets {
        for write in &set.writes {
            keys.insert(write.key.clone());
            keys.extend(write.patients.iter().map(patient_key));
        }
        for dependency in &set.depends {
            let Match::Key(key) = &dependency.asked else { continue };
            keys.insert(key.clone());
            if let Visibility::Compartments(patients) = dependency.permit.visibility() {
                keys.extend(patients.iter().map(patient_key));
            }
        }
    }
    let keys: Vec<ResourceKey> = keys.into_iter().collect();
    let found = sqlx::query(
        "select k.at, r.rid, r.version, r.change, r.nsort, r.patient, r.deleted
         from unnest($1, $2, $3) with ordinality k (khash, type, id, at)
         join resource r on r.khash = k.khash and r.type = k.type and r.id = k.id",
    )
    .bind(keys.iter().map(|key| khash(index_key, key)).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| i16::from(key.resource_type.code())).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let mut rows = HashMap::with_capacity(found.len());
    for row in &found {
        let at = usize::try_from(row.try_get::<i64, _>(0)? - 1).ok();
        let Some(key) = at.and_then(|at| keys.get(at)) else { continue };
        let current = Current {
            rid: row.try_get(1)?,
            version: VersionId::new(row.try_get::<i64, _>(2)?.cast_unsigned()),
            change: row.try_get(3)?,
            nsort: row.try_get(4)?,
            patient: row.try_get(5)?,
            deleted: row.try_get::<i16, _>(6)? != 0,
        };
        rows.insert(key.clone(), current);
    }
    Ok(rows)
}

fn add_former(row: &sqlx::postgres::PgRow, rows: &mut IndexRows) -> Result<(), sqlx::Error> {
    let param = row.try_get::<i16, _>("param")?.cast_unsigned();
    match row.try_get::<i16, _>("kind")? {
        0 => {
            let listed = terms::decode(row.try_get("terms")?)
                .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            rows.tokens = listed.tokens;
            rows.references = listed.references;
            rows.quantities = listed.quantities;
            rows.words = listed.words;
        }
        1 => rows.dates.push(DateRow { param, lo: row.try_get("lo")?, hi: row.try_get("hi")? }),
        2 => {
            let (lo, hi) = (row.try_get("lo_number")?, row.try_get("hi_number")?);
            rows.numbers.push(NumberRow { param, lo, hi });
        }
        3 => rows.strings.push(StringRow {
            param,
            norm: row.try_get::<&str, _>("norm")?.into(),
            exact: row.try_get::<&str, _>("exact")?.into(),
        }),
        _ => rows.uris.push(UriRow { param, uri: row.try_get::<&str, _>("exact")?.into() }),
    }
    Ok(())
}

/// Key hash of a resource.
pub(super) fn khash(index_key: &IndexKey, key: &ResourceKey) -> i64 {
    index_key.resource(key.resource_type.name(), key.id.as_str())
}

/// Key of a patient.
pub(super) fn patient_key(id: &ResourceId) -> ResourceKey {
    ResourceKey::new(ResourceType::PATIENT, id.clone())
}
