//! All that is in a patient's compartment, whatever its type: what `$everything` is made of.
//!
//! In the order in which the resources came to be known, by keyset on their numbers. The compartment is one that the
//! permit sees as a whole, so its members need no condition of their own but their types.
//! Not here: SQL of the engines, what the members refer to (`gateway`).

use policy::{Permit, TypeSet, Visibility};

use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::number_cursor;
use crate::page::CompartmentQuery;

/// Types that are listed; `None` when the permit does not see the compartment.
pub(crate) fn types(query: &CompartmentQuery, permit: &Permit) -> Option<TypeSet> {
    let is_seen = match permit.visibility() {
        Visibility::Everything => true,
        Visibility::Compartments(own) => own.contains(&query.patient),
    };
    is_seen.then(|| query.types.intersection(permit.types()))
}

/// Query of the members' `rid`, the patient's own and deleted ones among them. Holds an integer of ours only.
pub(crate) fn members(patient: i64) -> String {
    format!(
        "select rid from resource where patient = {patient} and patient <> 0
         union select rid from compartment where patient = {patient}"
    )
}

/// Condition on `r`, the row in `resource` of a member. Holds integers of ours only, nothing from a request.
pub(crate) fn condition(patient: i64, types: &TypeSet) -> String {
    let codes: Vec<String> = types.iter().map(|one| one.code().to_string()).collect();
    let codes = if codes.is_empty() { "-1".to_owned() } else { codes.join(", ") };
    format!("r.rid <> {patient} and r.deleted = 0 and r.version > 0 and r.type in ({codes})")
}

/// The number after which a page starts.
///
/// # Errors
/// [`ReadError::Invalid`] for a cursor of something else.
pub(crate) fn open(query: &CompartmentQuery, key: &IndexKey) -> Result<i64, ReadError> {
    let Some(cursor) = &query.cursor else { return Ok(0) };
    let foreign = || ReadError::Invalid("_cursor does not belong to this request".into());
    let bound = bound(query);
    let number = number_cursor::open(cursor, &bound.each_ref().map(String::as_str), key);
    number.map(u64::cast_signed).ok_or_else(foreign)
}

/// Where a page goes on after this resource.
pub(crate) fn seal(rid: i64, query: &CompartmentQuery, key: &IndexKey) -> crate::page::Cursor {
    let bound = bound(query);
    number_cursor::seal(rid.cast_unsigned(), &bound.each_ref().map(String::as_str), key)
}

fn bound(query: &CompartmentQuery) -> [String; 4] {
    let types: Vec<&str> = query.types.iter().map(fhir::ResourceType::name).collect();
    let since = query.since.map_or(i64::MIN, fhir::Instant::micros);
    ["compartment".into(), query.patient.as_str().into(), types.join(","), since.to_string()]
}
