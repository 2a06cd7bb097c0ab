//! History in SQL that both engines speak: what is listed, and who sees it.
//!
//! A version is listed when its own compartments are visible, whatever became of the resource later.
//! For a few patients a type's history starts from their compartments, not from all versions.

use policy::{Permit, TypeSet, universal_types};

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

fn codes(types: &TypeSet) -> String {
    let codes = types.iter().map(|one| one.code().to_string());
    codes.chain([NOBODY.to_string()]).collect::<Vec<_>>().join(", ")
}

/// Neither a row nor a type, so that no list is empty.
const NOBODY: i64 = -2;
