//! History in SQL that both engines speak: what is listed, and who sees it.
//!
//! A version is listed when its own compartments are visible, whatever became of the resource later.
//! For a few patients a type's history starts from their compartments, not from all versions.

use fhir::ResourceType;
use policy::{Permit, TypeSet, universal_types};

use crate::erasure::erased_sql;
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::index::param::numbered;
use crate::number_cursor;
use crate::page::{Cursor, HistoryQuery, HistoryScope};
use crate::place::{NO_PATIENT, SEVERAL_PATIENTS};

/// Which versions are listed: of one row of `resource`, of one type, or all.
pub(crate) enum Scope {
    Instance(i64),
    Type(u8),
    System,
}

/// Condition on `v` for scope and visibility. Holds integers of ours only, nothing from a request.
pub(crate) fn condition(scope: &Scope, seen: Option<&[i64]>, permit: &Permit) -> String {
    let scoped = match scope {
        Scope::Instance(rid) => format!("v.rid = {rid}"),
        Scope::Type(code) => format!("v.type = {code}"),
        Scope::System if *permit.types() == TypeSet::all() => "true".to_owned(),
        Scope::System => format!("v.type in ({})", codes(permit.types())),
    };
    let Some(rids) = seen else { return scoped };
    let own: Vec<String> = rids.iter().chain(&[NOBODY]).map(i64::to_string).collect();
    let own = own.join(", ");
    let universal = codes(&universal_types().intersection(permit.types()));
    let visible = format!(
        "(v.patient in ({own})
          or v.patient = {NO_PATIENT} and v.type in ({universal})
          or v.patient = {SEVERAL_PATIENTS} and exists (
            select 1 from version_compartment c where c.change = v.change and c.patient in ({own})))"
    );
    let from_compartments = matches!(scope, Scope::Type(code)
        if !universal_types().iter().any(|universal| universal.code() == *code));
    if !from_compartments {
        return format!("{scoped} and {visible}");
    }
    format!(
        "v.rid in (select rid from resource where patient in ({own})
                   union select rid from compartment where patient in ({own}))
         and +{scoped} and {visible}"
    )
}

/// ` and …` of a List: what it refers to now, if the caller sees it. Its hash alone names it, as in every reference.
pub(crate) fn listed(query: &HistoryQuery, seen: Option<&[i64]>, key: &IndexKey) -> String {
    let Some(id) = &query.list else { return String::new() };
    let of = ResourceType::LIST;
    let (khash, code) = (key.resource(of.name(), id.as_str()), of.code());
    let item = numbered(of, "item").unwrap_or_default();
    let visible = seen.map_or_else(String::new, |rids| {
        let own: Vec<String> = rids.iter().chain(&[NOBODY]).map(i64::to_string).collect();
        let own = own.join(", ");
        format!(
            "and (l.patient in ({own}) or l.patient = {SEVERAL_PATIENTS} and exists (
               select 1 from compartment c where c.rid = l.rid and c.patient in ({own})))"
        )
    });
    format!(
        " and v.rid in (
            select t.rid from resource l
              join search_reference s on s.rid = l.rid and s.param = {item} and s.code_hash = 0
              join resource t on t.khash = s.target_hash
            where l.khash = {khash} and l.type = {code} and l.deleted = 0 {visible})"
    )
}

/// The same without what was erased, and the times asked for: the two numbers are those of [`times`], bound as the
/// first three parameters.
pub(crate) fn timed(condition: &str, listed: &str, sign: char) -> String {
    let erased = erased_sql(sign);
    format!(
        "{condition}{listed} and not {erased} and v.updated_us >= {sign}1 and v.updated_us < {sign}2
         and not exists (select 1 from resource_version n
           where n.rid = v.rid and n.version = v.version + 1 and n.updated_us <= {sign}3)"
    )
}

/// `_since`, and the ends of `_at`: a version is listed that was made before the one and not yet followed at the other.
pub(crate) fn times(query: &HistoryQuery) -> [i64; 3] {
    let since = query.since.map_or(i64::MIN, fhir::Instant::micros);
    let at = query.at;
    [since, at.map_or(i64::MAX, |at| at.hi_us), at.map_or(i64::MIN, |at| at.lo_us)]
}

/// How many versions are counted: all of one resource, of more only so many that it stays cheap.
pub(crate) fn counted_max(query: &HistoryQuery) -> i64 {
    match query.scope {
        HistoryScope::Instance(_) => i64::MAX,
        HistoryScope::Type(_) | HistoryScope::System => COUNTED_MAX,
    }
}

/// A total, when it was counted to the end.
pub(crate) fn total(counted: i64, query: &HistoryQuery) -> Option<u64> {
    (counted < counted_max(query)).then_some(counted.cast_unsigned())
}

/// The place after a change number: nobody learns how much happens here.
pub(crate) fn seal(change: u64, query: &HistoryQuery, key: &IndexKey) -> Cursor {
    let bound = bound(query);
    number_cursor::seal(change, &bound.each_ref().map(String::as_str), key)
}

/// The change number below which a page starts.
///
/// # Errors
/// [`ReadError::Invalid`] for a cursor of another history, another installation, or none of ours.
pub(crate) fn open(query: &HistoryQuery, key: &IndexKey) -> Result<i64, ReadError> {
    let Some(cursor) = &query.cursor else { return Ok(i64::MAX) };
    let bound = bound(query);
    let change = number_cursor::open(cursor, &bound.each_ref().map(String::as_str), key);
    let foreign = || ReadError::Invalid("_cursor does not belong to this history".into());
    change.map(u64::cast_signed).ok_or_else(foreign)
}

/// What a cursor continues: the history without the size of its pages.
fn bound(query: &HistoryQuery) -> [String; 6] {
    let scope = match &query.scope {
        HistoryScope::Instance(key) => key.to_string(),
        HistoryScope::Type(of) => of.name().to_owned(),
        HistoryScope::System => String::new(),
    };
    let [since, until, from] = times(query).map(|time| time.to_string());
    let list = query.list.as_ref().map_or_else(String::new, |id| id.as_str().to_owned());
    ["history".to_owned(), scope, since, until, from, list]
}

fn codes(types: &TypeSet) -> String {
    let codes = types.iter().map(|one| one.code().to_string());
    codes.chain([NOBODY.to_string()]).collect::<Vec<_>>().join(", ")
}

/// Neither a row nor a type, so that no list is empty.
const NOBODY: i64 = -2;
/// Versions of a type or of everything that a total counts.
const COUNTED_MAX: i64 = 10_001;

#[cfg(test)]
mod tests {
    use fhir::Instant;

    use super::*;

    fn query(cursor: Option<Cursor>) -> HistoryQuery {
        let scope = HistoryScope::Type(ResourceType::PATIENT);
        HistoryQuery { scope, since: None, at: None, list: None, count: 10, cursor }
    }

    #[test]
    fn a_cursor_opens_for_its_history_only() {
        let key = IndexKey::from_bytes([7; 16]);
        let cursor = seal(4711, &query(None), &key);
        let own = query(Some(cursor.clone()));

        assert_eq!(open(&own, &key).unwrap(), 4711);
        assert_eq!(open(&HistoryQuery { count: 3, ..own.clone() }, &key).unwrap(), 4711);
        let since = Some(Instant::from_micros(1));
        assert!(open(&HistoryQuery { since, ..own.clone() }, &key).is_err());
        let list = fhir::ResourceId::parse("l").ok();
        assert!(open(&HistoryQuery { list, ..own.clone() }, &key).is_err());
        assert!(open(&HistoryQuery { scope: HistoryScope::System, ..own.clone() }, &key).is_err());
        assert!(open(&own, &IndexKey::from_bytes([8; 16])).is_err());
    }
}
