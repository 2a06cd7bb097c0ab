//! People, organisations and places: XCN, NDL, XON, PL → references to directory resources.
//!
//! A party with an identifier becomes a directory resource keyed by it; one with a name only stays a display text,
//! because a name is no key.

use std::borrow::Cow;

use super::{demographic::name_parts, identifier::identifier_type};
use crate::{
    hl7v2::{message::Slice, work::Work},
    json::{Json, Object},
};

/// XCN → Practitioner.
pub(crate) fn xcn<'m>(work: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    let id = slice.component(1).text();
    let system = work.system_of_hd(slice.component(9));
    let kind = slice.component(13).text();
    practitioner(work, slice, PersonId { id, system, kind })
}

/// NDL → Practitioner: the first component is a CNN.
pub(crate) fn ndl<'m>(work: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    let person = slice.component(1);
    let id = person.sub(1).text();
    let system = work.system(person.sub(9).text(), person.sub(10).text(), person.sub(11).text());
    practitioner(work, person, PersonId { id, system, kind: None })
}

struct PersonId<'m> {
    id: Option<Cow<'m, str>>,
    system: Cow<'m, str>,
    kind: Option<Cow<'m, str>>,
}

fn practitioner<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    person: PersonId<'m>,
) -> Option<Json<'m>> {
    let mut name = Object::new();
    for (key, value) in name_parts(slice, 2) {
        match key {
            "family" => name.set(key, value),
            _ => name.push(key, value),
        }
    }
    let Some(id) = person.id else { return display(&name) };
    let mut identifier = Object::new();
    if let Some(kind) = person.kind {
        identifier.set("type", identifier_type(kind));
    }
    identifier.set("system", Json::Text(person.system.clone()));
    identifier.set("value", Json::Text(id.clone()));
    let mut members = vec![("identifier", Json::List(vec![Json::Object(identifier)]))];
    if !name.is_empty() {
        members.push(("name", Json::List(vec![Json::Object(name)])));
    }
    Some(work.directory("Practitioner", &[&person.system, &id], members))
}

fn display<'m>(name: &Object<'m>) -> Option<Json<'m>> {
    let mut parts = Vec::new();
    for key in ["prefix", "given", "family", "suffix"] {
        match name.get(key) {
            Some(Json::Text(text)) => parts.push(text.as_ref()),
            Some(Json::List(items)) => parts.extend(items.iter().filter_map(|i| match i {
                Json::Text(text) => Some(text.as_ref()),
                _ => None,
            })),
            _ => {}
        }
    }
    let text = parts.join(" ");
    (!text.is_empty()).then(|| Json::Object(Object::new().with("display", Json::text(text))))
}

/// XON → Organization.
pub(crate) fn xon<'m>(work: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    let name = slice.component(1).text();
    let id = slice.component(10).text().or_else(|| slice.component(3).text());
    let Some(id) = id else {
        return Some(Json::Object(Object::new().with("display", Json::Text(name?))));
    };
    let system = work.system_of_hd(slice.component(6));
    Some(organization(work, id, system, name))
}

/// A coded organisation (OBX-15) → Organization.
pub(crate) fn cwe_organization<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    _: &'m str,
) -> Option<Json<'m>> {
    let (id, name) = (slice.component(1).text(), slice.component(2).text());
    let Some(id) = id else {
        return Some(Json::Object(Object::new().with("display", Json::Text(name?))));
    };
    let system = match slice.component(3).text() {
        Some(system) => super::concept::coding_system(work, system),
        None => Cow::Owned(work.local_system.clone()),
    };
    Some(organization(work, id, system, name))
}

pub(crate) fn organization<'m>(
    work: &mut Work<'m>,
    id: Cow<'m, str>,
    system: Cow<'m, str>,
    name: Option<Cow<'m, str>>,
) -> Json<'m> {
    let identifier = Object::new()
        .with("system", Json::Text(system.clone()))
        .with("value", Json::Text(id.clone()));
    let mut members = vec![("identifier", Json::List(vec![Json::Object(identifier)]))];
    if let Some(name) = name {
        members.push(("name", Json::Text(name)));
    }
    work.directory("Organization", &[&system, &id], members)
}

/// PV1-37, discharged to: a display text, as it has no identifier.
pub(crate) fn dld<'m>(_: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    let code = slice.component(1);
    let text = code.sub(2).text().or_else(|| code.text())?;
    Some(Json::Object(Object::new().with("display", Json::Text(text))))
}

/// Encounter.participant of the type that the argument names.
pub(crate) fn participant<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    let individual = xcn(work, slice, "")?;
    let coding = Object::new()
        .with("system", Json::text("http://terminology.hl7.org/CodeSystem/v3-ParticipationType"))
        .with("code", Json::text(argument));
    let kind = Object::new().with("coding", Json::List(vec![Json::Object(coding)]));
    let participant = Object::new()
        .with("type", Json::List(vec![Json::Object(kind)]))
        .with("individual", individual);
    Some(Json::Object(participant))
}

/// PV1-3: where the patient is now.
pub(crate) fn location_active<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    _: &'m str,
) -> Option<Json<'m>> {
    encounter_location(work, slice, "active")
}

/// PV1-6: where the patient was before the transfer.
pub(crate) fn location_completed<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    _: &'m str,
) -> Option<Json<'m>> {
    encounter_location(work, slice, "completed")
}

fn encounter_location<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    status: &'static str,
) -> Option<Json<'m>> {
    let location = location(work, slice)?;
    let entry = Object::new().with("location", location).with("status", Json::text(status));
    Some(Json::Object(entry))
}

/// PL → Location, keyed by facility and its components.
pub(crate) fn location<'m>(work: &mut Work<'m>, slice: Slice<'m>) -> Option<Json<'m>> {
    let levels: [Option<Cow<'m, str>>; 5] = [7, 8, 1, 2, 3].map(|n| slice.component(n).text());
    let facility = slice.component(4);
    let physical = match &levels {
        [.., Some(_)] => Some(("bd", "Bed")),
        [.., Some(_), None] => Some(("ro", "Room")),
        [.., Some(_), None, None] => Some(("wa", "Ward")),
        _ => None,
    };
    let name = levels.iter().flatten().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
    let description = slice.component(9).text();
    if name.is_empty() {
        return description.map(|d| Json::Object(Object::new().with("display", Json::Text(d))));
    }
    let key = levels.iter().map(|l| l.as_deref().unwrap_or_default()).collect::<Vec<_>>().join("^");
    let system = work.system_of_hd(facility);
    let identifier = Object::new()
        .with("system", Json::Text(system.clone()))
        .with("value", Json::text(key.trim_matches('^').to_owned()));
    let mut members = vec![
        ("identifier", Json::List(vec![Json::Object(identifier)])),
        ("name", Json::text(name)),
        ("mode", Json::text("instance")),
    ];
    if let Some(text) = description {
        members.push(("description", Json::Text(text)));
    }
    if let Some((code, display)) = physical {
        let coding = Object::new()
            .with(
                "system",
                Json::text("http://terminology.hl7.org/CodeSystem/location-physical-type"),
            )
            .with("code", Json::text(code))
            .with("display", Json::text(display));
        let concept = Object::new().with("coding", Json::List(vec![Json::Object(coding)]));
        members.push(("physicalType", Json::Object(concept)));
    }
    Some(work.directory("Location", &[&system, &key], members))
}
