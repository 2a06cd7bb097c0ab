//! Few values of each datatype, so that resources share them: every precision, unit and form that search tells apart.

use serde_json::{Value as Json, json};

use super::dice::Dice;
use super::schema::schema;
/// Base URL of the server under test.
pub(crate) const BASE: &str = "http://example.org/fhir";

/// A value of a primitive or of a datatype that search reads as a whole; `None` for others.
pub(crate) fn datatype(
    dice: &mut Dice,
    of: &str,
    set: Option<&str>,
    targets: &[&str],
) -> Option<Json> {
    Some(match of {
        "Coding" => bound(dice, set).unwrap_or_else(|| coding(dice)),
        "CodeableConcept" => match bound(dice, set) {
            Some(coding) => json!({"coding": [coding], "text": dice.pick(TEXTS)}),
            None => concept(dice),
        },
        "ContactPoint" => contact(dice),
        "HumanName" => name(dice),
        "Address" => address(dice),
        "Identifier" => identifier(dice),
        "Reference" => reference(dice, targets),
        "Period" => period(dice),
        "Money" => json!({"value": decimal(dice), "currency": dice.pick(&["EUR", "USD"])}),
        "Range" => range(dice),
        "Timing" => timing(dice),
        "SampledData" => samples(dice),
        "Quantity" | "Age" | "Count" | "Distance" | "Duration" => quantity(dice),
        _ => return primitive(dice, of, set, targets),
    })
}

fn primitive(dice: &mut Dice, of: &str, set: Option<&str>, targets: &[&str]) -> Option<Json> {
    Some(match of {
        "boolean" => dice.chance(50).into(),
        "integer" | "unsignedInt" => dice.pick(&[0, 1, 5, 7, 100]).into(),
        "positiveInt" => dice.pick(&[1, 2, 5, 100]).into(),
        "decimal" => decimal(dice),
        "date" => dice.pick(DATES).into(),
        "dateTime" => match dice.chance(50) {
            true => dice.pick(DATES).into(),
            false => dice.pick(TIMES).into(),
        },
        "instant" => dice.pick(INSTANTS).into(),
        "time" => dice.pick(&["08:00:00", "12:30:00"]).into(),
        "string" | "markdown" => dice.pick(TEXTS).into(),
        "code" => match bound(dice, set) {
            Some(coding) => coding["code"].clone(),
            None => dice.pick(&["text/plain", "alpha", "beta"]).into(),
        },
        "uri" | "url" | "System.uri" => dice.pick(URIS).into(),
        "canonical" => canonical(dice, targets),
        "id" | "System.id" | "System.string" => dice.pick(&["a1", "b-2"]).into(),
        "oid" => dice.pick(&["urn:oid:1.2.3", "urn:oid:1.2.3.4"]).into(),
        "uuid" => "urn:uuid:0f1a2b3c-0000-4000-8000-000000000001".into(),
        "base64Binary" => "AQID".into(),
        _ => return None,
    })
}

fn decimal(dice: &mut Dice) -> Json {
    let text = dice.pick(DECIMALS);
    serde_json::from_str(text).expect("a number")
}

/// A coding of a value set, if that is listed.
fn bound(dice: &mut Dice, set: Option<&str>) -> Option<Json> {
    let codes = schema().codes(set?);
    let (system, code) = dice.pick_any(&codes[..codes.len().min(6)])?;
    Some(json!({"system": system, "code": code}))
}

pub(crate) fn coding(dice: &mut Dice) -> Json {
    let mut coding = json!({});
    if dice.chance(80) {
        coding["system"] = dice.pick(SYSTEMS).into();
    }
    if dice.chance(95) {
        coding["code"] = dice.pick(CODES).into();
    }
    if dice.chance(50) || coding.get("code").is_none() {
        coding["display"] = dice.pick(TEXTS).into();
    }
    coding
}

fn concept(dice: &mut Dice) -> Json {
    let codings: Vec<_> = (0..dice.roll(3)).map(|_| coding(dice)).collect();
    let mut concept = json!({});
    if dice.chance(40) || codings.is_empty() {
        concept["text"] = dice.pick(TEXTS).into();
    }
    if !codings.is_empty() {
        concept["coding"] = codings.into();
    }
    concept
}

fn contact(dice: &mut Dice) -> Json {
    let mut contact = json!({"system": dice.pick(&["phone", "email", "fax"])});
    contact["value"] = dice.pick(&["+49 30 1", "ada@example.org", "555|1", "555,2"]).into();
    if dice.chance(50) {
        contact["use"] = dice.pick(&["home", "work"]).into();
    }
    contact
}

fn name(dice: &mut Dice) -> Json {
    let mut name = json!({"family": dice.pick(TEXTS)});
    if dice.chance(70) {
        name["given"] = (0..1 + dice.roll(2)).map(|_| dice.pick(TEXTS)).collect::<Vec<_>>().into();
    }
    for part in ["text", "use"] {
        if dice.chance(20) {
            name[part] = if part == "use" { "official".into() } else { dice.pick(TEXTS).into() };
        }
    }
    for part in ["prefix", "suffix"] {
        if dice.chance(10) {
            name[part] = json!([dice.pick(&["Dr.", "jr"])]);
        }
    }
    name
}

fn address(dice: &mut Dice) -> Json {
    let mut address = json!({"use": dice.pick(&["home", "work", "old"])});
    for part in ["city", "state", "country", "postalCode", "district", "text"] {
        if dice.chance(50) {
            address[part] = dice.pick(TEXTS).into();
        }
    }
    if dice.chance(30) {
        address["line"] = json!([dice.pick(TEXTS), "1 Main St"]);
    }
    address
}

fn identifier(dice: &mut Dice) -> Json {
    let mut identifier = json!({});
    if dice.chance(75) {
        identifier["system"] = dice.pick(SYSTEMS).into();
    }
    if dice.chance(95) || identifier.get("system").is_none() {
        identifier["value"] = dice.pick(&["M1", "M2", "m1", "a|b", "x,y", "3"]).into();
    }
    if dice.chance(30) {
        identifier["type"] = concept(dice);
    }
    identifier
}

/// Relative, versioned, absolute here and elsewhere, contained, logical, or only a display.
fn reference(dice: &mut Dice, targets: &[&str]) -> Json {
    let of = dice.pick_any(targets).unwrap_or("Patient");
    let key = format!("{of}/r{}", dice.roll(IDS));
    let logical = json!({"system": dice.pick(SYSTEMS), "value": dice.pick(&["M1", "M2"])});
    match dice.roll(100) {
        0..60 => json!({"reference": key}),
        60..66 => json!({"reference": format!("{key}/_history/2")}),
        66..73 => json!({"reference": format!("{BASE}/{key}"), "display": dice.pick(TEXTS)}),
        73..78 => json!({"reference": format!("http://other.example/fhir/{key}")}),
        78..81 => json!({"reference": format!("http://other.example/fhir/{key}/_history/7")}),
        81..84 => json!({"reference": "urn:uuid:0f1a2b3c-0000-4000-8000-000000000001"}),
        84..88 => json!({"reference": "#c1"}),
        88..93 => json!({"identifier": logical, "type": of}),
        93..97 => json!({"reference": key, "identifier": logical}),
        _ => json!({"display": dice.pick(TEXTS)}),
    }
}

fn canonical(dice: &mut Dice, targets: &[&str]) -> Json {
    let of = dice.pick_any(targets).unwrap_or("ValueSet");
    match dice.roll(10) {
        0..5 => dice.pick(URIS).into(),
        5..7 => format!("{}|1.0", dice.pick(URIS)).into(),
        7 => format!("{}|2.0", dice.pick(URIS)).into(),
        8 => format!("{BASE}/{of}/r{}", dice.roll(IDS)).into(),
        _ => "#c1".into(),
    }
}

fn period(dice: &mut Dice) -> Json {
    let (start, end) = (dice.pick(STARTS), dice.pick(ENDS));
    match dice.roll(4) {
        0 => json!({"start": start}),
        1 => json!({"end": end}),
        _ => json!({"start": start, "end": end}),
    }
}

fn timing(dice: &mut Dice) -> Json {
    let events: Vec<_> = (0..1 + dice.roll(2)).map(|_| dice.pick(TIMES)).collect();
    match dice.roll(5) {
        0 => json!({"code": concept(dice)}),
        1 => json!({"repeat": {"boundsPeriod": period(dice), "frequency": 1}}),
        2 => json!({"event": events, "repeat": {"boundsPeriod": period(dice)}}),
        3 => json!({"repeat": {"boundsDuration": quantity(dice)}}),
        _ => json!({"event": events}),
    }
}

fn quantity(dice: &mut Dice) -> Json {
    let mut quantity = unit(dice);
    if dice.chance(95) {
        quantity["value"] = decimal(dice);
        if dice.chance(10) {
            quantity["comparator"] = dice.pick(&["<", "<=", ">", ">="]).into();
        }
    } else {
        quantity["unit"] = "puff".into();
    }
    quantity
}

fn unit(dice: &mut Dice) -> Json {
    let (system, code, unit) = dice.pick(UNITS);
    let mut quantity = json!({});
    for (name, text) in [("system", system), ("code", code), ("unit", unit)] {
        if !text.is_empty() {
            quantity[name] = text.into();
        }
    }
    quantity
}

fn range(dice: &mut Dice) -> Json {
    let (low, high) = dice.pick(&[("0.5", "5"), ("5", "5.4"), ("5.0", "100"), ("-3", "0")]);
    let unit = unit(dice);
    let end = |text: &str| {
        let mut end = unit.clone();
        end["value"] = serde_json::from_str(text).expect("a number");
        end
    };
    match dice.roll(4) {
        0 => json!({"low": end(low)}),
        1 => json!({"high": end(high)}),
        _ => json!({"low": end(low), "high": end(high)}),
    }
}

fn samples(dice: &mut Dice) -> Json {
    let mut origin = unit(dice);
    origin["value"] = dice.pick(&[0, 5]).into();
    let data = dice.pick(&["1 2 3", "5", "E 4 -7", "L 5", "U 5", "2 E"]);
    json!({"origin": origin, "period": 10, "factor": dice.pick(&[1, 2]), "dimensions": 1, "data": data})
}

/// Ids that resources of a type have: `r0` and on.
pub(crate) const IDS: usize = 8;
pub(crate) const SYSTEMS: &[&str] = &["urn:sys:a", "urn:sys:b", "http://loinc.org"];
pub(crate) const CODES: &[&str] = &["c1", "c2", "C1", "a|b", "x,y", "p$q", "100"];
pub(crate) const TEXTS: &[&str] = &[
    "Müller",
    "Muller",
    "Mu\u{308}ller-Lüdenscheidt",
    "O'Brien",
    "García  López",
    "garcia lopez jr",
    "100%",
    "under_score",
    "a,b",
    "a|b",
    "p$q",
    "back\\slash",
    "Ångström",
    "Ann",
    "Anna Ann",
];
/// Narratives, and what a reader sees.
pub(crate) const NARRATIVES: &[(&str, &str)] = &[
    (
        "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Bone <b>metastases</b></p><p>found</p></div>",
        "Bone metastases found",
    ),
    (
        "<div xmlns=\"http://www.w3.org/1999/xhtml\">Liver m<i>eta</i>stases<br/>X-ray</div>",
        "Liver metastases X-ray",
    ),
    (
        "<div xmlns=\"http://www.w3.org/1999/xhtml\"><ul><li title=\"hidden\">García</li><li>5.4 mg</li></ul></div>",
        "García 5.4 mg",
    ),
    (
        "<div xmlns=\"http://www.w3.org/1999/xhtml\">a &lt; b &amp; c&#233;<!-- not --> bone</div>",
        "a b cé bone",
    ),
];
pub(crate) const URIS: &[&str] = &[
    "http://example.org/a",
    "http://example.org/a/b",
    "http://example.org/a/b/c",
    "http://example.org/ab",
    "http://example.org/A",
    "urn:oid:1.2.3",
];
/// Value sets with their codes, for `:in` and `:not-in`.
pub(crate) const VALUE_SETS: &[(&str, &[(&str, &str)])] = &[
    ("http://example.org/vs/few", &[("urn:sys:a", "c1"), ("http://loinc.org", "100")]),
    ("http://example.org/vs/coded", &[(GENDERS, "male"), (GENDERS, "other"), ("urn:sys:b", "a|b")]),
];
/// System, a concept, and one below it (all pairs, not only the next), for `:above` and `:below`.
pub(crate) const CONCEPTS: &[(&str, &str, &str)] = &[
    ("urn:sys:a", "c1", "c2"),
    ("urn:sys:a", "c1", "100"),
    ("urn:sys:a", "c2", "100"),
    ("urn:sys:b", "C1", "p$q"),
];
const GENDERS: &str = "http://hl7.org/fhir/administrative-gender";
pub(crate) const UCUM_CODES: &[&str] = &["mg", "g", "kg", "mm", "cm", "m", "/min", "/s"];
pub(crate) const UCUM: &str = "http://unitsofmeasure.org";
const UNITS: &[(&str, &str, &str)] = &[
    (UCUM, "mg", "mg"),
    (UCUM, "mg", "milligram"),
    (UCUM, "g", "gram"),
    (UCUM, "kg", "kg"),
    (UCUM, "[pH]", "pH"),
    (UCUM, "cm", "cm"),
    (UCUM, "mm", "mm"),
    (UCUM, "/min", "/min"),
    (UCUM, "/s", ""),
    (UCUM, "m", ""),
    ("urn:units", "mg", "mg"),
    ("", "", "tablet"),
    ("", "", ""),
];
const DECIMALS: &[&str] = &[
    "0", "5", "5.0", "5.4", "5.40", "5.35", "5.45", "0.0054", "100", "99.5", "100.5", "1e2",
    "1000", "-3.5", "0.005",
];
const DATES: &[&str] =
    &["2009", "2010", "2010-01", "2010-02", "2010-01-01", "2010-01-31", "2011-12"];
const TIMES: &[&str] = &[
    "2009-12-31T23:30:00-01:00",
    "2010-01-01T00:00:00Z",
    "2010-01-01T00:30:00+01:00",
    "2010-01-01T10:00:00.250Z",
    "2010-01-01T10:00:00Z",
    "2010-02-28T12:00:00+05:30",
    "2025-12-30T00:00:00Z",
];
const INSTANTS: &[&str] =
    &["2010-01-01T00:00:00Z", "2010-01-01T10:00:00.250Z", "2010-02-28T12:00:00+05:30"];
const STARTS: &[&str] = &["2008", "2009-12", "2010-01-01", "2010-01-01T00:00:00Z"];
const ENDS: &[&str] = &["2010-01-31", "2010-02-28T12:00:00Z", "2011", "2026-06"];
