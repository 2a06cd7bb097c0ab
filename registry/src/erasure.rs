//! Erasing a patient: what is erased, in which steps, and what is left as proof.
//!
//! A patient's compartment is erased in steps, each a part of one write set ([`Erasing`]) and so of one durable
//! transaction. The first enters the erasure with its ledger entry; each puts erased payloads (`repository::erased`) in the
//! place of versions that are in this one compartment, and takes resources whose current version is one of them out
//! of the index; the last destroys the data key, and is refused while a version is left. Versions in other compartments,
//! too, stay. An erasure that was begun goes on after a crash, for its row says so until the key is gone.
//!
//! Write sets depend on the number of erasures that have ended ([`crate::write_set::Match::Erasures`]), so that nothing
//! is sealed under a key that is gone. Not here: keys and envelopes (`repository`), who decides it (`policy`).

use bytes::Bytes;
use fhir::{ResourceId, ResourceKey, VersionId};
use futures::future::BoxFuture;

use crate::error::ReadError;
use crate::write_set::AccessRecord;

/// One step of an erasure.
#[derive(Clone, Debug)]
pub struct Erasing {
    /// Whose compartment.
    pub patient: ResourceId,
    /// Enters the erasure; in its first step.
    pub begin: Option<NewErasure>,
    /// Versions, by change number, and the payload that each gets.
    pub versions: Vec<(u64, Vec<u8>)>,
    /// Destroys the key; in its last step.
    pub end: bool,
}

/// An erasure to be entered.
#[derive(Clone, Debug)]
pub struct NewErasure {
    /// The data key of the compartment.
    pub key_id: u64,
    /// What the ledger holds of it, in the form of an access record.
    pub record: AccessRecord,
}

/// An erasure, finished or not.
#[derive(Clone, Debug)]
pub struct Erasure {
    /// Ascending number.
    pub erasure_id: u64,
    /// Whose compartment.
    pub patient: ResourceId,
    /// `rid` of the patient.
    pub rid: i64,
    /// The data key.
    pub key_id: u64,
    /// What the ledger holds of it.
    pub record: AccessRecord,
    /// Resources that were taken out of the index.
    pub resources: u64,
    /// Versions whose payload is erased.
    pub versions: u64,
    /// Its number among those that have ended.
    pub ended: Option<u64>,
}

/// A version in the compartment whose payload is there.
#[derive(Clone, Debug)]
pub struct Erasable {
    /// Number of its resource.
    pub rid: i64,
    /// Its resource.
    pub key: ResourceKey,
    /// Its number.
    pub version: VersionId,
    /// Its change number.
    pub change: u64,
    /// Its ledger entry.
    pub entry: [u8; 36],
    /// Its envelope.
    pub payload: Bytes,
    /// Whether it is in this compartment and no other.
    pub is_alone: bool,
}

/// How much a compartment holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Extent {
    /// Resources with a version in this compartment alone.
    pub resources: u64,
    /// Those versions, as far as they have a payload.
    pub versions: u64,
    /// Resources with a version that is in other compartments, too: these stay.
    pub shared: u64,
    /// Versions that were erased before.
    pub erased: u64,
}

/// Reads for erasures; not permitted to requests as they are.
pub trait Erasures: Send + Sync {
    /// Erasures above a number, ascending, at most `limit`.
    fn list(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<Erasure>, ReadError>>;

    /// Versions in a patient's compartment that have a payload, after (`rid`, version), at most `limit`.
    fn page<'a>(
        &'a self,
        patient: &'a ResourceId,
        after: (i64, i64),
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Erasable>, ReadError>>;

    /// How much a patient's compartment holds; `None` when nobody has named the patient.
    fn extent<'a>(
        &'a self,
        patient: &'a ResourceId,
    ) -> BoxFuture<'a, Result<Option<Extent>, ReadError>>;
}

/// True for what stands in the place of an erased payload.
pub fn is_erased(payload: &[u8]) -> bool {
    payload.len() == ERASED_BYTES && payload.starts_with(&ERASED_MAGIC)
}

/// Condition on `v`, a row of `resource_version`: its payload is erased. The length is known without the payload.
pub(crate) fn erased_sql(sign: char) -> String {
    let magic = if sign == '?' { "x'e502'" } else { "'\\xe502'::bytea" };
    format!("(length(v.payload) = {ERASED_BYTES} and substr(v.payload, 1, 2) = {magic})")
}

/// All resources that have, or had, a version in the compartment of the patient with this `rid`.
pub(crate) fn members_sql(patient: i64) -> String {
    format!(
        "(select rid from resource where patient = {patient} and patient <> 0
          union select rid from compartment where patient = {patient}
          union select rid from former_patient where patient = {patient})"
    )
}

/// Statement for a page of [`Erasable`]: parameters are `rid` and version after which it starts, and its limit.
pub(crate) fn page_sql(patient: i64, sign: char) -> String {
    let (members, erased) = (members_sql(patient), erased_sql(sign));
    format!(
        "select v.rid, r.type, r.id, v.version, v.change, v.entry, v.payload, v.patient
         from {members} m
         join resource r on r.rid = m.rid
         join resource_version v on v.rid = m.rid
         where (v.rid, v.version) > ({sign}1, {sign}2) and not {erased}
           and (v.patient = {patient} or v.patient = -1 and exists (
             select 1 from version_compartment c where c.change = v.change and c.patient = {patient}))
         order by v.rid, v.version
         limit {sign}3"
    )
}

/// Statement for the change numbers of versions in this compartment alone that have a payload; its parameter is the limit.
pub(crate) fn left_sql(patient: i64, sign: char) -> String {
    let (members, erased) = (members_sql(patient), erased_sql(sign));
    format!(
        "select v.change from {members} m join resource_version v on v.rid = m.rid
         where v.patient = {patient} and not {erased}
         limit {sign}1"
    )
}

/// Statement for an [`Extent`], its fields in order.
pub(crate) fn extent_sql(patient: i64, sign: char) -> String {
    let (members, erased) = (members_sql(patient), erased_sql(sign));
    format!(
        "select count(distinct case when v.patient = {patient} and not {erased} then v.rid end),
                count(case when v.patient = {patient} and not {erased} then 1 end),
                count(distinct case when v.patient = -1 and exists (
                  select 1 from version_compartment c
                  where c.change = v.change and c.patient = {patient}) then v.rid end),
                count(case when v.patient = {patient} and {erased} then 1 end)
         from {members} m join resource_version v on v.rid = m.rid"
    )
}

/// Length of an erased payload (docs/formats.md).
pub const ERASED_BYTES: usize = 38;
/// Its first bytes; no envelope begins with them.
pub const ERASED_MAGIC: [u8; 2] = [0xE5, 2];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erased_payload_is_known_by_its_length_and_its_first_bytes() {
        let mut payload = vec![0; ERASED_BYTES];
        assert!(!is_erased(&payload));
        payload[..2].copy_from_slice(&ERASED_MAGIC);
        assert!(is_erased(&payload));
        assert!(!is_erased(&payload[..37]));
        assert!(!is_erased(&[payload, vec![0]].concat()));
    }
}
