//! Names, addresses and telecommunication: XPN → HumanName, XAD → Address, XTN → ContactPoint.

use std::borrow::Cow;

use super::concept::codeable_concept;
use crate::{
    hl7v2::{message::Slice, work::Work},
    json::{Json, Object},
};

/// XPN; the argument is the use when XPN.7 is empty.
pub(crate) fn xpn<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    let kind = slice.component(7).text();
    let mut name = Object::new();
    let representation = match slice.component(8).text().as_deref() {
        Some("A") => "ABC",
        Some("I") => "IDE",
        Some("P") => "SYL",
        _ => "",
    };
    if !representation.is_empty() {
        let extension = Object::new()
            .with(
                "url",
                Json::text("http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"),
            )
            .with("valueCode", Json::text(representation));
        name.push("extension", Json::Object(extension));
    }
    let usage = match kind.as_deref().unwrap_or_default() {
        "L" => "official",
        "D" => "usual",
        "M" => "maiden",
        "N" | "A" => "nickname",
        "B" => "old",
        "S" | "NOUSE" => "anonymous",
        "T" | "TEMP" => "temp",
        _ => argument,
    };
    name.set("use", Json::text(usage));
    let parts = name_parts(slice, 1);
    if parts.is_empty() {
        return None;
    }
    for (key, value) in parts {
        match key {
            "family" => name.set(key, value),
            _ => name.push(key, value),
        }
    }
    name.set("period", period(work, slice, 12, 13));
    Some(Json::Object(name))
}

/// Family, given, suffix and prefix of an XPN (from component 1) or XCN (from 2).
pub(crate) fn name_parts<'m>(slice: Slice<'m>, from: u16) -> Vec<(&'static str, Json<'m>)> {
    let order = ["family", "given", "given", "suffix", "prefix", "suffix"];
    let components = (from..).zip(order);
    components.filter_map(|(n, key)| Some((key, Json::Text(slice.part(n).text()?)))).collect()
}

/// XAD: street, other, city, state, zip, country, use, other geographic, county.
pub(crate) fn xad<'m>(work: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    let mut address = Object::new();
    match slice.component(7).text().as_deref().unwrap_or_default() {
        "H" | "P" | "HV" => address.set("use", Json::text("home")),
        "B" | "O" => address.set("use", Json::text("work")),
        "C" | "TM" => address.set("use", Json::text("temp")),
        "BA" => address.set("use", Json::text("old")),
        "BI" => address.set("use", Json::text("billing")),
        "M" => address.set("type", Json::text("postal")),
        _ => {}
    }
    let street = slice.component(1);
    if let Some(line) = street.text() {
        address.push("line", Json::Text(line));
    } else if let (Some(name), number) = (street.sub(2).text(), street.sub(3).text()) {
        let line = [number.as_deref(), Some(&*name)].into_iter().flatten().collect::<Vec<_>>();
        address.push("line", Json::text(line.join(" ")));
    }
    if let Some(line) = slice.component(2).text() {
        address.push("line", Json::Text(line));
    }
    for (key, n) in [("city", 3), ("district", 9), ("state", 4), ("postalCode", 5), ("country", 6)]
    {
        if let Some(text) = slice.component(n).text() {
            address.set(key, Json::Text(text));
        }
    }
    if address.is_empty() {
        return None;
    }
    address.set("period", period(work, slice, 13, 14));
    Some(Json::Object(address))
}

/// XTN; the argument is the use when XTN.2 and XTN.3 do not tell.
pub(crate) fn xtn<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    let (usage, equipment) = (slice.component(2).text(), slice.component(3).text());
    let email = slice.component(4).text();
    let equipment = equipment.as_deref().unwrap_or_default().to_ascii_uppercase();
    let is_net =
        usage.as_deref() == Some("NET") || matches!(equipment.as_str(), "INTERNET" | "X.400");
    let system = match equipment.as_str() {
        "FX" => "fax",
        "BP" => "pager",
        "SAT" | "MD" | "TDD" | "TTY" => "other",
        _ if is_net || (email.is_some() && slice.component(7).is_empty()) => "email",
        _ => "phone",
    };
    let usage = match usage.as_deref().unwrap_or_default() {
        _ if equipment == "CP" => "mobile",
        "PRN" | "ORN" | "VHN" => "home",
        "WPN" | "ASN" => "work",
        "PRS" => "mobile",
        _ => argument,
    };
    let value = if system == "email" { email.or_else(|| slice.component(1).text()) } else { None };
    let value = match value.or_else(|| number(slice)) {
        Some(value) => value,
        None => slice.component(12).text().or_else(|| slice.component(4).text())?,
    };
    let mut contact = Object::new()
        .with("system", Json::text(if value.contains('@') { "email" } else { system }))
        .with("value", Json::Text(value));
    contact.set("use", Json::text(usage));
    contact.set("period", period(work, slice, 13, 14));
    Some(Json::Object(contact))
}

/// The number as text, from its parts when given, else XTN.1.
fn number<'m>(slice: Slice<'m>) -> Option<Cow<'m, str>> {
    let Some(local) = slice.component(7).text() else { return slice.component(1).text() };
    let mut text = String::new();
    if let Some(country) = slice.component(5).text() {
        text.push('+');
        text.push_str(country.trim_start_matches('+'));
        text.push(' ');
    }
    if let Some(area) = slice.component(6).text() {
        text.push_str(&area);
        text.push(' ');
    }
    text.push_str(&local);
    if let Some(extension) = slice.component(8).text() {
        text.push_str(" ext. ");
        text.push_str(&extension);
    }
    // XTN.1 is the same number as display text then.
    slice.component(1).mark_all();
    Some(Cow::Owned(text))
}

/// PID-6: the mother's maiden name as a contact.
pub(crate) fn mother<'m>(work: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    let name = xpn(work, slice, "maiden")?;
    let coding = Object::new()
        .with("system", Json::text("http://terminology.hl7.org/CodeSystem/v3-RoleCode"))
        .with("code", Json::text("MTH"));
    let relationship = Object::new().with("coding", Json::List(vec![Json::Object(coding)]));
    let contact = Object::new()
        .with("relationship", Json::List(vec![Json::Object(relationship)]))
        .with("name", name);
    Some(Json::Object(contact))
}

/// PID-15: the primary language.
pub(crate) fn language<'m>(work: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    let language = codeable_concept(work, slice, "")?;
    Some(Json::Object(Object::new().with("language", language)))
}

fn period<'m>(work: &Work<'m>, slice: Slice<'m>, start: u16, end: u16) -> Json<'m> {
    let mut period = Object::new();
    for (key, n) in [("start", start), ("end", end)] {
        if let Some(time) = work.date_time(slice.component(n)) {
            period.set(key, time);
        }
    }
    Json::Object(period)
}
