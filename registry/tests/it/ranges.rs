//! Large ranges of quantities: every page in order, whatever the sizes of ranges make the search choose.
//!
//! Expected are the resources themselves, tested one by one (FHIR R4 search § 3.1.1.4.6, 3.1.1.4.8) and sorted by
//! date, newest first, and then as they were written.

use fhir::ResourceType;
use policy::{AccessRequest, Permit, Principal, Role};
use registry::page::{Cursor, Page};
use registry::search::{ParseOptions, parse};
use serde_json::{Value as Json, json};

use crate::engines::{Site, on_each_engine};
use crate::oracle::corpus;
use crate::sets::id;

#[test]
fn pages_of_large_ranges_hold_every_match_once_and_in_order() {
    on_each_engine(async |site| {
        let all = written(site).await;
        for case in cases() {
            let expected = case.expected(&all, None);
            assert!(expected.len() > case.more_than, "{}: {}", case.query, expected.len());
            // The second time sizes are remembered.
            for _ in 0..2 {
                assert_eq!(pages(site, &Permit::maintenance(), case.query).await, expected);
            }
        }
    });
}

#[test]
fn a_patient_sees_of_large_ranges_what_is_its_own() {
    on_each_engine(async |site| {
        let all = written(site).await;
        let of = ResourceType::parse("Observation").unwrap();
        let principal = Principal::builder("user").role(Role::Patient).scopes("patient/*.rs");
        let principal = principal.patient(id("p1")).build();
        let permit = policy::decide(&principal, &AccessRequest::Search(of)).unwrap();
        for case in cases() {
            let expected = case.expected(&all, Some("p1"));
            assert_eq!(pages(site, &permit, case.query).await, expected, "{}", case.query);
        }
    });
}

#[test]
fn a_page_back_through_a_large_range_is_the_one_before() {
    on_each_engine(async |site| {
        written(site).await;
        for case in cases() {
            let permit = Permit::maintenance();
            let first = page(site, &permit, case.query, None).await;
            let second = page(site, &permit, case.query, first.next.as_ref()).await;
            let back = page(site, &permit, case.query, second.previous.as_ref()).await;
            assert_eq!(ids(&back), ids(&first), "{}", case.query);
            assert_ne!(ids(&second), ids(&first), "{}", case.query);
        }
    });
}

/// A query and what its matches are.
#[derive(Clone)]
struct Case {
    query: &'static str,
    passes: fn(&Json) -> bool,
    more_than: usize,
}

impl Case {
    /// Ids in order.
    fn expected(&self, all: &[Json], patient: Option<&str>) -> Vec<String> {
        let own = |one: &&Json| {
            patient.is_none_or(|id| one["subject"]["reference"] == format!("Patient/{id}"))
        };
        let passes = all.iter().filter(own).filter(|one| (self.passes)(one));
        let mut found: Vec<_> = passes.collect();
        // Stable: in the order of writing where dates are the same.
        found.sort_by(|a, b| text(&b["effectiveDateTime"]).cmp(text(&a["effectiveDateTime"])));
        found.iter().map(|one| text(&one["id"]).to_owned()).collect()
    }
}

fn cases() -> Vec<Case> {
    [of_values(), of_values_and_others()].concat()
}

fn of_values() -> Vec<Case> {
    vec![
        // Nearly all of a parameter.
        Case {
            query: "value-quantity=gt5",
            passes: |one| above(&one["valueQuantity"], 5.0),
            more_than: 2_000,
        },
        // Half of one, less than is sorted whole.
        Case {
            query: "component-value-quantity=lt200",
            passes: |one| components(one).any(|value| below(value, 200.0)),
            more_than: 400,
        },
        // Of two parameters, each with its own share.
        Case {
            query: "combo-value-quantity=gt100",
            passes: |one| {
                let mut values = components(one).chain([&one["valueQuantity"]]);
                values.any(|value| above(value, 100.0))
            },
            more_than: 2_000,
        },
        // Nearly none of the one and much of the other.
        Case {
            query: "combo-value-quantity=gt405",
            passes: |one| {
                let mut values = components(one).chain([&one["valueQuantity"]]);
                values.any(|value| above(value, 405.0))
            },
            more_than: 300,
        },
        // In base units, so that the unit leads to rows of their own.
        Case {
            query: "value-quantity=gt0.1|http://unitsofmeasure.org|g",
            passes: |one| {
                one["valueQuantity"]["code"] == "mg" && above(&one["valueQuantity"], 100.0)
            },
            more_than: 900,
        },
        // By the unit as it is written.
        Case {
            query: "value-quantity=lt450||drops",
            passes: |one| {
                one["valueQuantity"]["unit"] == "drops" && below(&one["valueQuantity"], 450.0)
            },
            more_than: 900,
        },
    ]
}

fn of_values_and_others() -> Vec<Case> {
    vec![
        // Bounded by the date that the order is of.
        Case {
            query: "value-quantity=gt5&date=lt2015",
            passes: |one| {
                above(&one["valueQuantity"], 5.0) && text(&one["effectiveDateTime"]) < "2015"
            },
            more_than: 700,
        },
        // Probed for another code.
        Case {
            query: "value-quantity=ge5&code=b",
            passes: |one| {
                let value = &one["valueQuantity"];
                let passes = value["value"] == 5 || above(value, 5.0);
                passes && one["code"]["coding"][0]["code"] == "b"
            },
            more_than: 500,
        },
        // A composite of the resource itself leaves out sampled data.
        Case {
            query: "code-value-quantity=a$lt400",
            passes: |one| {
                one["code"]["coding"][0]["code"] == "a" && below(&one["valueQuantity"], 400.0)
            },
            more_than: 700,
        },
    ]
}

/// Whether a part of what the value may be is above.
fn above(quantity: &Json, bound: f64) -> bool {
    quantity["value"].as_f64().is_some_and(|value| value > bound || quantity["comparator"] == ">")
}

/// And below.
fn below(quantity: &Json, bound: f64) -> bool {
    quantity["value"].as_f64().is_some_and(|value| value < bound)
}

fn components(one: &Json) -> impl Iterator<Item = &Json> {
    let components = one["component"].as_array().into_iter().flatten();
    components.map(|component| &component["valueQuantity"])
}

/// Values that are spread over dates as dice would spread them, and in no order of theirs.
async fn written(site: &Site) -> Vec<Json> {
    let mut all: Vec<_> = (0..COUNT).map(observation).collect();
    let patients = ["p0", "p1", "p2"].map(|id| json!({"resourceType": "Patient", "id": id}));
    corpus::write(&*site.store, site.store.index_key(), patients.to_vec()).await;
    corpus::write(&*site.store, site.store.index_key(), all.clone()).await;
    // What was deleted since is in no range.
    let gone = all.remove(7);
    let key = format!("Observation/{}", text(&gone["id"]));
    let deleted = crate::sets::set(vec![crate::sets::delete(&key, 1)]);
    site.store.commit(deleted).await.unwrap();
    all
}

fn observation(at: u32) -> Json {
    let day = at * 7_919 % 3_650;
    let date = format!("20{:02}-{:02}-{:02}", 10 + day / 365, 1 + day % 12, 1 + day % 28);
    let mut one = json!({
        "resourceType": "Observation", "id": format!("o{at}"), "status": "final",
        "subject": {"reference": format!("Patient/p{}", at % 3)},
        "code": {"coding": [{"code": if at.is_multiple_of(4) { "b" } else { "a" }}]},
        "effectiveDateTime": date,
    });
    let value = at * 37 % 500;
    one["valueQuantity"] = match at % 2 {
        0 => {
            json!({"value": value, "unit": "mg", "code": "mg", "system": "http://unitsofmeasure.org"})
        }
        _ => json!({"value": value, "unit": "drops"}),
    };
    if at % 100 == 3 {
        one["valueQuantity"]["comparator"] = json!(">");
    }
    if at % 97 == 5 {
        let sampled = json!({"origin": {"value": 1}, "period": 1, "dimensions": 1, "data": "1 2"});
        one.as_object_mut().unwrap().remove("valueQuantity");
        one["valueSampledData"] = sampled;
    }
    if at.is_multiple_of(3) {
        let value = |value: u32| json!({"code": {"text": "x"}, "valueQuantity": {"value": value}});
        one["component"] = json!([value(at * 41 % 410), value(at * 43 % 410)]);
    }
    one
}

async fn pages(site: &Site, permit: &Permit, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = None;
    loop {
        let page = page(site, permit, query, next.as_ref()).await;
        found.extend(ids(&page));
        next = page.next;
        if next.is_none() {
            return found;
        }
    }
}

async fn page(site: &Site, permit: &Permit, query: &str, from: Option<&Cursor>) -> Page {
    let from = from.map(|cursor| format!("&_cursor={}", cursor.encode())).unwrap_or_default();
    let text = format!("{query}&_count=89{from}");
    let options = ParseOptions {
        base_url: "http://example.org/fhir",
        lenient: false,
        now_us: 0,
        codes: None,
    };
    let query = parse(ResourceType::parse("Observation").unwrap(), &text, &options).unwrap();
    site.store.search(permit, &query).await.unwrap()
}

fn ids(page: &Page) -> Vec<String> {
    page.hits.iter().map(|hit| hit.version.key.id.as_str().to_owned()).collect()
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap()
}

const COUNT: u32 = 2_600;
