//! As many values as one parameter may list, of every kind: the search finds what one of them names, on both engines.

use std::time::{Duration, Instant};

use policy::Permit;
use registry::error::ReadError;
use registry::search::{Criteria, OR_VALUES_MAX, ParseOptions};
use serde_json::{Value as Json, json};

use super::{concept, ids, observation, quantity, read};
use crate::engines::{Site, on_each_engine};
use crate::oracle::corpus;

/// Name of the parameter, a value that the resource has, and one that none has for each number.
type Case = (&'static str, &'static str, fn(usize) -> String);

#[test]
fn a_parameter_of_any_kind_takes_two_thousand_values() {
    on_each_engine(async |site| {
        corpus::write(&*site.store, site.store.index_key(), resources()).await;
        let mut wrong = Vec::new();
        for (name, value, other) in CASES {
            let (of, name) = name.split_once('?').unwrap();
            let list = list(value, *other);
            for query in [
                format!("{of}?{name}={list}&_sort=-_lastUpdated&_total=accurate"),
                // What else is asked for leads, so the list is probed.
                format!("{of}?_id=x,absent&{name}={list}"),
            ] {
                let found = found(site, &query).await;
                if found.as_deref().ok() != Some(&["x".to_owned()]) {
                    let shape = query.replace(&list, value);
                    wrong.push(format!("{shape}: {found:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn none_of_two_thousand_codes_excludes_what_has_one_of_them() {
    on_each_engine(async |site| {
        corpus::write(&*site.store, site.store.index_key(), resources()).await;
        let with = list("urn:code|a", |n| format!("urn:{n}|a"));
        let without = list("urn:code|b", |n| format!("urn:{n}|a"));

        assert!(ids(site, &format!("Observation?code:not={with}")).await.is_empty());
        assert_eq!(ids(site, &format!("Observation?code:not={without}")).await, ["x"]);
    });
}

#[test]
fn more_values_than_one_statement_takes_are_refused_at_once() {
    let contains = |n: usize| list(&format!("q{n}"), |at| format!("t{at}"));
    let query = (0..8).map(|n| format!("name:contains={}", contains(n))).collect::<Vec<_>>();

    let refused = read(&format!("Patient?{}", query.join("&")), None);

    assert!(matches!(refused, Err(ReadError::TooCostly(_))));
}

#[test]
fn many_lists_of_numbers_are_answered_without_a_statement_for_each_number() {
    on_each_engine(async |site| {
        corpus::write(&*site.store, site.store.index_key(), resources()).await;
        let lists = |n: usize| list("5.4", move |at| format!("{n}{at}"));
        let query = (0..2).map(|n| format!("value-quantity={}", lists(n))).collect::<Vec<_>>();
        let begun = Instant::now();

        let found = found(site, &format!("Observation?{}&_total=accurate", query.join("&"))).await;

        assert_eq!(found.unwrap(), ["x"]);
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    });
}

#[test]
fn criteria_of_a_conditional_interaction_are_few() {
    let asked = |query: &str| {
        Criteria::parse(fhir::ResourceType::PATIENT, query, &ParseOptions::default()).map(drop)
    };

    let many = asked(&format!("name={}", list("a", |n| format!("b{n}"))));
    let equal = asked(&["organization.name=a"; 40].join("&"));

    assert!(matches!(many, Err(ReadError::TooCostly(_))), "{many:?}");
    assert!(equal.is_ok(), "what is equal counts once: {equal:?}");
}

async fn found(site: &Site, query: &str) -> Result<Vec<String>, ReadError> {
    let query = read(query, None)?;
    let page = site.store.search(&Permit::maintenance(), &query).await?;
    Ok(page.hits.iter().map(|hit| hit.version.key.id.to_string()).collect())
}

fn list(value: &str, other: impl Fn(usize) -> String) -> String {
    let others = (1..OR_VALUES_MAX).map(other);
    others.chain([value.to_owned()]).collect::<Vec<_>>().join(",")
}

fn resources() -> Vec<Json> {
    let subject = json!({"reference": "Patient/x"});
    let mut code = concept("urn:code", "a");
    code["coding"][0]["display"] = "Alpha".into();
    let value = quantity(5.4, "mg");
    vec![
        json!({"resourceType": "Organization", "id": "x", "name": "Clinic"}),
        json!({
            "resourceType": "Patient", "id": "x", "birthDate": "2001-02-03",
            "meta": {"profile": ["http://profile/a"], "tag": [{"system": "urn:t", "code": "a"}]},
            "name": [{"family": "Adams"}], "managingOrganization": {"reference": "Organization/x"},
            "identifier": [{"type": concept("urn:types", "MR"), "system": "urn:mrn", "value": "1"}],
        }),
        observation(
            "x",
            json!({"code": code, "subject": subject, "effectiveDateTime": "2001-02-03",
                "valueQuantity": value}),
        ),
        json!({
            "resourceType": "RiskAssessment", "id": "x", "status": "final", "subject": subject,
            "prediction": [{"probabilityDecimal": 0.5}],
        }),
        json!({"resourceType": "ValueSet", "id": "x", "status": "active", "url": "http://x/a/b"}),
        json!({
            "resourceType": "List", "id": "l", "status": "current", "mode": "working",
            "entry": [{"item": {"reference": "Patient/x"}}],
        }),
    ]
}

fn day(n: usize) -> String {
    format!("{}-05-06", 2001 + n)
}

fn word(n: usize) -> String {
    format!("q{n}")
}

const CASES: &[Case] = &[
    ("Observation?date", "2001-02-03", day),
    ("Observation?date", "gt2001-01-01", |n| format!("gt{}", day(n))),
    ("Observation?date", "ne2002", |n| format!("eb{n:04}")),
    ("Patient?birthdate", "2001-02-03", day),
    ("Patient?_lastUpdated", "gt2001", |n| format!("lt{:04}-05-06", n % 2000)),
    ("Patient?name", "adam", word),
    ("Patient?name:exact", "Adams", word),
    ("Patient?name:contains", "dam", word),
    ("Observation?code:text", "alpha", word),
    ("Observation?code", "a", word),
    ("Observation?code", "urn:code|a", |n| format!("urn:{n}|a")),
    ("Observation?code", "urn:code|", |n| format!("urn:{n}|")),
    ("Patient?identifier:of-type", "urn:types|MR|1", |n| format!("urn:types|MR|x{n}")),
    ("Patient?_tag", "urn:t|a", |n| format!("urn:t|{n}")),
    ("Patient?_profile", "http://profile/a", |n| format!("http://profile/{n}")),
    ("Patient?_id", "x", word),
    ("Patient?_list", "l", word),
    ("Observation?subject", "Patient/x", |n| format!("Patient/q{n}")),
    ("Observation?value-quantity", "5.4", |n| format!("{n}.123")),
    ("Observation?value-quantity", "5.4||mg", |n| format!("5.4||unit{n}")),
    ("Observation?value-quantity", "5.4|http://unitsofmeasure.org|mg", |n| {
        format!("{n}.7|http://unitsofmeasure.org|mg")
    }),
    ("Observation?code-value-quantity", "a$5.4", |n| format!("a${n}.123")),
    ("Observation?code-value-quantity", "urn:code|$5.4", |n| format!("urn:code|${n}.123")),
    ("RiskAssessment?probability", "0.5", |n| format!("{n}.123")),
    ("ValueSet?url", "http://x/a/b", |n| format!("http://x/{n}")),
    ("ValueSet?url:below", "http://x/a", |n| format!("http://x/{n}")),
    ("Observation?subject:Patient.birthdate", "2001-02-03", day),
    ("Observation?subject.name:contains", "dam", word),
    ("Patient?organization.name", "clin", word),
    ("Patient?_has:Observation:subject:date", "2001-02-03", day),
    ("Patient?_has:Observation:subject:code", "urn:code|a", |n| format!("urn:{n}|a")),
    ("Patient?_has:Observation:subject:value-quantity", "5.4", |n| format!("{n}.123")),
];
