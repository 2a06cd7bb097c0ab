//! CX and EI → Identifier.
//!
//! The system is the assigning authority: the site's namespace table first, then an OID, UUID or URI as such, then a
//! local namespace URN, then the sending facility. It is never empty, so equal values of two assigners stay apart.

use std::borrow::Cow;

use super::concept::code_text;
use crate::{
    hl7v2::{message::Slice, work::Work},
    json::{Json, Object},
};

/// CX; the argument is the type when CX.5 is empty.
pub(crate) fn cx<'m>(work: &mut Work<'m>, slice: Slice<'m>, argument: &'m str) -> Option<Json<'m>> {
    let value = slice.component(1).text()?;
    let kind = slice.component(5).text().or((!argument.is_empty()).then_some(argument.into()));
    let system = work.system_of_hd(slice.component(4));
    let mut identifier = Object::new();
    if let Some(kind) = kind {
        identifier.set("type", identifier_type(kind));
    }
    identifier.set("system", Json::Text(system));
    identifier.set("value", Json::Text(value));
    let mut period = Object::new();
    for (name, component) in [("start", 7), ("end", 8)] {
        if let Some(date) = work.date_time(slice.component(component)) {
            period.set(name, date);
        }
    }
    identifier.set("period", Json::Object(period));
    Some(Json::Object(identifier))
}

/// EI, in a field or in one component; the argument is the type (PLAC, FILL, …).
pub(crate) fn ei<'m>(work: &mut Work<'m>, slice: Slice<'m>, argument: &'m str) -> Option<Json<'m>> {
    let value = slice.part(1).text()?;
    let system = work.system(slice.part(2).text(), slice.part(3).text(), slice.part(4).text());
    let mut identifier = Object::new();
    if !argument.is_empty() {
        identifier.set("type", identifier_type(argument.into()));
    }
    identifier.set("system", Json::Text(system));
    identifier.set("value", Json::Text(value));
    Some(Json::Object(identifier))
}

/// A plain value of a known type without stated assigner.
pub(crate) fn text<'m>(_: &mut Work<'m>, slice: Slice<'m>, argument: &'m str) -> Option<Json<'m>> {
    let value = slice.text()?;
    let mut identifier = Object::new().with("type", identifier_type(argument.into()));
    if argument == "SS" {
        identifier.set("system", Json::text("urn:sealway:namespace:SS"));
    }
    identifier.set("value", Json::Text(value));
    Some(Json::Object(identifier))
}

/// DLN: number, issuing state, expiration.
pub(crate) fn license<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    let value = slice.component(1).text()?;
    let mut identifier = Object::new().with("type", identifier_type(argument.into()));
    if let Some(state) = slice.component(2).text() {
        identifier.set("system", Json::text(crate::hl7v2::work::local_uri("license", &state)));
    }
    identifier.set("value", Json::Text(value));
    if let Some(end) = work.date_time(slice.component(3)) {
        identifier.set("period", Json::Object(Object::new().with("end", end)));
    }
    Some(Json::Object(identifier))
}

pub(crate) fn identifier_type<'m>(code: Cow<'m, str>) -> Json<'m> {
    let coding = Object::new()
        .with("system", Json::text("http://terminology.hl7.org/CodeSystem/v2-0203"))
        .with("code", Json::Text(code_text(code)));
    Json::Object(Object::new().with("coding", Json::List(vec![Json::Object(coding)])))
}
