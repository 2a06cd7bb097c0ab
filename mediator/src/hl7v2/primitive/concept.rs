//! CE, CWE, CNE → CodeableConcept and Coding.
//!
//! Codings keep the order of the source; a code map puts the mapped coding first and keeps the source's after it.
//! A coding system is looked up by name (`systems.csv`), `HL7nnnn` is HL7's own table; a local name (`L`, `99…`) gets a
//! local URI under the sending facility, so equal local codes of two senders stay apart.

use std::borrow::Cow;

use crate::{
    hl7v2::{message::Slice, work::Work, work::local_uri},
    json::{Json, Object},
};

/// CWE in a field or in one component; the argument is an optional code map.
pub(crate) fn codeable_concept<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    let mut concept = Object::new();
    let first = slice.part(1).text();
    if let (false, Some(code)) = (argument.is_empty(), &first)
        && let Some(mapped) = work.rules.code(argument, code)
    {
        let mut coding = Object::new();
        coding.set("system", Json::text(&*mapped.system));
        coding.set("code", Json::text(&*mapped.code));
        coding.set("display", Json::text(&*mapped.display));
        concept.push("coding", Json::Object(coding));
    }
    for (start, version) in [(1, 7), (4, 8), (10, 13)] {
        if let Some(coding) = coding(work, slice, start, version) {
            let is_repeat = start == 1 && concept.has("coding") && slice.part(3).is_empty();
            if !is_repeat {
                concept.push("coding", coding);
            }
        }
    }
    let text =
        slice.part(9).text().or_else(|| slice.part(2).text()).or_else(|| slice.part(5).text());
    if let Some(text) = text {
        concept.set("text", Json::Text(text));
    } else if !concept.has("coding") {
        return None;
    }
    Some(Json::Object(concept))
}

fn coding<'m>(work: &Work<'m>, slice: Slice<'m>, start: u16, version: u16) -> Option<Json<'m>> {
    let code = code_text(slice.part(start).text()?);
    let mut coding = Object::new();
    if let Some(name) = slice.part(start + 2).text() {
        coding.set("system", Json::Text(coding_system(work, name)));
    }
    if let Some(version) = slice.part(version).text() {
        coding.set("version", Json::Text(version));
    }
    coding.set("code", Json::Text(code));
    if let Some(display) = slice.part(start + 1).text() {
        coding.set("display", Json::Text(display));
    }
    Some(Json::Object(coding))
}

/// The URI of a coding system that a message names.
pub(crate) fn coding_system<'m>(work: &Work<'m>, name: Cow<'m, str>) -> Cow<'m, str> {
    if let Some(uri) = work.rules.system(&name) {
        return Cow::Borrowed(uri);
    }
    let table = name.get(..3).filter(|p| p.eq_ignore_ascii_case("HL7")).and_then(|_| name.get(3..));
    if let Some(table) = table.filter(|t| t.len() == 4 && t.bytes().all(|b| b.is_ascii_digit())) {
        return Cow::Owned(format!("http://terminology.hl7.org/CodeSystem/v2-{table}"));
    }
    let oid = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if oid && name.bytes().filter(|b| *b == b'.').count() > 2 {
        return Cow::Owned(format!("urn:oid:{name}"));
    }
    let uri = name.contains("://") || name.starts_with("urn:");
    if uri && !name.contains(char::is_whitespace) {
        return name;
    }
    let is_local = name.eq_ignore_ascii_case("L") || name.starts_with("99");
    if is_local {
        let scope = work.local_system.rsplit(':').next().unwrap_or_default();
        return Cow::Owned(local_uri("codes", &format!("{scope}:{name}")));
    }
    Cow::Owned(local_uri("codesystem", &name))
}

/// FHIR codes hold single blanks only.
pub(crate) fn code_text(code: Cow<'_, str>) -> Cow<'_, str> {
    let odd = code.contains(|c: char| c.is_whitespace() && c != ' ') || code.contains("  ");
    if odd { Cow::Owned(code.split_whitespace().collect::<Vec<_>>().join(" ")) } else { code }
}

/// A concept of text alone.
pub(crate) fn text<'m>(_: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    let text = slice.whole()?;
    Some(Json::Object(Object::new().with("text", Json::Text(text))))
}

/// PV1-2 → Encounter.class; an unmapped code keeps HL7's own table.
pub(crate) fn class<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    let code = slice.component(1).text().or_else(|| slice.text())?;
    let coding = match work.rules.code(argument, &code) {
        Some(mapped) => Object::new()
            .with("system", Json::text(&*mapped.system))
            .with("code", Json::text(&*mapped.code))
            .with("display", Json::text(&*mapped.display)),
        None => Object::new()
            .with("system", Json::text("http://terminology.hl7.org/CodeSystem/v2-0004"))
            .with("code", Json::Text(code_text(code))),
    };
    Some(Json::Object(coding))
}

/// A Coverage.class of the kind that the argument names.
pub(crate) fn coverage_class<'m>(
    _: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    let value = slice.component(1).text()?;
    let coding = Object::new()
        .with("system", Json::text("http://terminology.hl7.org/CodeSystem/coverage-class"))
        .with("code", Json::text(argument));
    let kind = Object::new().with("coding", Json::List(vec![Json::Object(coding)]));
    let class = Object::new()
        .with("type", Json::Object(kind))
        .with("value", Json::Text(value))
        .with_text("name", slice.component(2).text());
    Some(Json::Object(class))
}

/// An extension with a concept; the argument is its URL.
pub(crate) fn extension<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    let value = codeable_concept(work, slice, "")?;
    let extension =
        Object::new().with("url", Json::text(argument)).with("valueCodeableConcept", value);
    Some(Json::Object(extension))
}

/// An extension with an address of text alone; the argument is its URL.
pub(crate) fn extension_address<'m>(
    _: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    let address = Object::new().with("text", Json::Text(slice.text()?));
    let extension =
        Object::new().with("url", Json::text(argument)).with("valueAddress", Json::Object(address));
    Some(Json::Object(extension))
}

/// The citizenship extension, which nests its concept.
pub(crate) fn extension_citizenship<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    let inner = extension(work, slice, "code")?;
    let extension =
        Object::new().with("url", Json::text(argument)).with("extension", Json::List(vec![inner]));
    Some(Json::Object(extension))
}
