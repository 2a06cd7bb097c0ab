//! The queries of each class.
//!
//! Codes are the commonest of Synthea's data. Not here: sending them (`search`).

use super::{Class, Found};

/// The thirteen classes of the peer's measurements.
pub(super) fn all(found: &[Found]) -> Vec<Class> {
    let mut classes = about_patients(found);
    classes.extend([
        class(
            "obs-code-value",
            50,
            of(&["150", "160", "165", "170", "175"], |value| {
                format!("Observation?code=http://loinc.org%7C8302-2&value-quantity=gt{value}")
            }),
        ),
        class(
            "patient-has",
            50,
            of(&CONDITIONS, |code| format!("Patient?_has:Condition:patient:code={code}")),
        ),
        class(
            "obs-date-range",
            50,
            of(&YEARS, |year| format!("Observation?date=ge{year}-01-01&date=lt{year}-07-01")),
        ),
        class(
            "obs-cat-sort",
            50,
            of(&CATEGORIES, |category| format!("Observation?category={category}&_sort=-date")),
        ),
        class(
            "obs-count-only",
            50,
            of(&CODES, |code| format!("Observation?code=http://loinc.org%7C{code}&_summary=count")),
        ),
    ]);
    classes
}

/// Those whose values are of one patient.
fn about_patients(found: &[Found]) -> Vec<Class> {
    let each =
        |name, query: &dyn Fn(&Found) -> String| class(name, 50, found.iter().map(query).collect());
    let decade = |f: &Found| f.patient.birth_date[..3].to_owned();
    vec![
        each("patient-name", &|f| format!("Patient?name={}", prefix(&f.patient.given))),
        each("patient-birthdate", &|f| {
            format!("Patient?birthdate=ge{0}0-01-01&birthdate=le{0}9-12-31", decade(f))
        }),
        each("obs-patient-code", &|f| {
            format!("Observation?patient={}&code=http://loinc.org%7C8302-2", f.id)
        }),
        each("enc-include", &|f| format!("Encounter?patient={}&_include=Encounter:patient", f.id)),
        each("cond-sort", &|f| format!("Condition?patient={}&_sort=-onset-date", f.id)),
        each("obs-chain", &|f| {
            format!("Observation?patient.family={}&code=8302-2", encode(&f.patient.family))
        }),
        each("pat-revinclude", &|f| format!("Patient?_id={}&_revinclude=Condition:patient", f.id)),
        each("patient-identifier", &|f| {
            format!("Patient?identifier={}", encode(&f.patient.identifier))
        }),
    ]
}

/// The families of HealthSamurai's benchmark.
pub(super) fn families(found: &[Found]) -> Vec<Class> {
    let ids: Vec<String> = found.iter().map(|f| format!("Patient/{}", f.id)).collect();
    let dates = prefixed(&["", "eq", "lt", "gt", "ge", "le", "sa", "eb"], &DATES);
    let amounts = prefixed(&["", "eq", "lt", "gt", "ge", "le"], &["60", "80", "120", "170"]);
    vec![
        class("string", 20, strings(found)),
        class("date", 20, by(&["Patient?birthdate", "Observation?date", "Encounter?date"], &dates)),
        class("token", 20, tokens()),
        class("quantity", 20, by(&QUANTITIES, &amounts)),
        class("composite", 20, composites()),
        class("reference", 20, by(&REFERENCES, &ids)),
    ]
}

fn strings(found: &[Found]) -> Vec<String> {
    let names: Vec<String> = found.iter().map(|f| prefix(&f.patient.given)).collect();
    let cities: Vec<String> = found.iter().map(|f| encode(&f.patient.city)).collect();
    let organizations = texts(&["BOSTON", "PCP", "none"]);
    [
        by(&["Patient?name", "Patient?name:contains"], &names),
        by(&["Patient?address", "Patient?address:contains"], &cities),
        by(&["Organization?name", "Organization?name:contains"], &organizations),
    ]
    .concat()
}

fn tokens() -> Vec<String> {
    let codes = ["http://loinc.org%7C8302-2", "8302-2,29463-7,8480-6"];
    [
        by(&["Observation?category"], &texts(&CATEGORIES)),
        by(&["Observation?code"], &texts(&[&CODES[..], &codes].concat())),
        by(&["Encounter?status"], &texts(&["finished", "in-progress", "planned"])),
        by(&["Encounter?class"], &texts(&["AMB", "EMER", "IMP", "WELLNESS"])),
    ]
    .concat()
}

fn composites() -> Vec<String> {
    let (height, weight, systolic) = ("8302-2$gt165", "29463-7$lt70", "8480-6$gt140");
    [
        by(&["Observation?code-value-quantity"], &texts(&[height, weight])),
        by(&["Observation?component-code-value-quantity"], &texts(&[systolic, "8462-4$lt70"])),
        by(&["Observation?combo-code-value-quantity"], &texts(&[systolic, height])),
    ]
    .concat()
}

fn class(name: &'static str, count: usize, queries: Vec<String>) -> Class {
    let queries = queries.into_iter().map(|query| format!("{query}&_count={count}"));
    Class { name, queries: queries.collect() }
}

fn of(values: &[&str], query: impl Fn(&str) -> String) -> Vec<String> {
    values.iter().map(|value| query(value)).collect()
}

/// Every value with every parameter.
fn by(parameters: &[&str], values: &[String]) -> Vec<String> {
    let with_each = |value: &String| {
        let value = value.clone();
        parameters.iter().map(move |parameter| format!("{parameter}={value}"))
    };
    values.iter().flat_map(with_each).collect()
}

fn prefixed(prefixes: &[&str], values: &[&str]) -> Vec<String> {
    let with_each = |value: &&str| {
        let value = (*value).to_owned();
        prefixes.iter().map(move |prefix| format!("{prefix}{value}"))
    };
    values.iter().flat_map(with_each).collect()
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// One query of each class after the other, over and over: all classes weigh the same.
pub(super) fn mixed(classes: &[Class]) -> Vec<String> {
    let rounds = classes.iter().map(|class| class.queries.len()).max().unwrap_or(0);
    let round = |at: usize| {
        classes.iter().map(move |class| class.queries[at % class.queries.len()].clone())
    };
    (0..rounds).flat_map(round).collect()
}

/// Percent-encodes a value of a query (RFC 3986 section 2.3).
pub(super) fn encode(value: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    value.bytes().map(encode).collect()
}

/// The first letters of a name, so that several patients match.
fn prefix(name: &str) -> String {
    encode(&name.chars().take(3).collect::<String>())
}

const CONDITIONS: [&str; 7] =
    ["59621000", "15777000", "162864005", "444814009", "195662009", "10509002", "44054006"];
const YEARS: [&str; 8] = ["2012", "2014", "2015", "2016", "2017", "2018", "2019", "2020"];
const CATEGORIES: [&str; 4] = ["vital-signs", "laboratory", "survey", "social-history"];
const CODES: [&str; 7] = ["8302-2", "29463-7", "8480-6", "39156-5", "72514-3", "8867-4", "2339-0"];
const QUANTITIES: [&str; 3] = [
    "Observation?value-quantity",
    "Observation?component-value-quantity",
    "Observation?combo-value-quantity",
];
const REFERENCES: [&str; 4] =
    ["Observation?subject", "Encounter?subject", "MedicationRequest?subject", "Condition?subject"];
const DATES: [&str; 6] =
    ["1960-05-05", "1985", "2010-01", "2015-06-15", "2020-02-01", "2070-01-01"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthea::KnownPatient;

    #[test]
    fn every_class_has_queries_and_the_mix_takes_them_in_turn() {
        let patient = KnownPatient {
            identifier: "http://s|1".to_owned(),
            family: "Núñez12".to_owned(),
            given: "José34".to_owned(),
            birth_date: "1984-02-03".to_owned(),
            city: "Fall River".to_owned(),
        };
        let found = [Found { patient, id: "p1".to_owned() }];

        let classes = all(&found);

        assert_eq!(classes.len(), 13);
        let queries: Vec<&str> = mixed(&classes).iter().map(|_| "").collect();
        assert_eq!(queries.len(), 13 * 8);
        let of = |name: &str| {
            classes.iter().find(|class| class.name == name).unwrap().queries[0].clone()
        };
        assert_eq!(of("patient-name"), "Patient?name=Jos&_count=50");
        assert_eq!(of("patient-identifier"), "Patient?identifier=http%3A%2F%2Fs%7C1&_count=50");
        let birth = of("patient-birthdate");
        assert!(birth.contains("ge1980-01-01") && birth.contains("le1989-12-31"));
        assert!(families(&found).iter().all(|family| !family.queries.is_empty()));
    }
}
