//! `_filter`, `near` and canonicals by example: expected ids follow from the small worlds and R4's pages.

use policy::Permit;
use registry::error::ReadError;
use registry::page::HitMode;
use registry::search::SearchTarget;
use serde_json::{Value as Json, json};

use super::{found, found_at, ids, query, search, world, write};
use crate::engines::on_each_engine;

#[test]
fn filters_join_chains_brackets_and_operators() {
    on_each_engine(async |site| {
        write(site, world()).await;

        for (of, filter, expected) in [
            ("Patient", "gender eq male or gender eq female", "p1 p2"),
            ("Patient", "gender eq male and gender eq female", ""),
            // From left to right: (male or p2) and female.
            ("Patient", "gender eq male or _id eq p2 and gender eq female", "p2"),
            ("Patient", "gender eq male or (_id eq p2 and gender eq female)", "p1 p2"),
            ("Patient", "not (gender eq male)", "p2"),
            ("Patient", "organization pr false", "p2"),
            ("Patient", "organization re Organization/n1", "p1"),
            ("Patient", "identifier eq urn:x|1", "p1"),
            ("Patient", "identifier ne urn:x|1", ""),
            ("Organization", "name eq \"NORTH\"", "n1"),
            ("Organization", "name ew th", "n1"),
            ("Organization", "name co ol or name sw to", "h0 h1"),
            ("Organization", "name gt holding", "h0 n1"),
            ("Organization", "name ge holding and not (name eq top)", "h1 n1"),
            ("Observation", "subject:Patient.organization.name eq north", "o1 o2"),
            ("Observation", "subject[gender eq male].organization.name sw n", "o1 o2"),
            ("Observation", "subject[gender eq female].organization.name sw n", ""),
            ("Observation", "not (subject:Patient.gender eq male)", "o3 o4"),
            ("Patient", "_has:Observation:patient:code eq c", "p2"),
            ("Patient", "not (_has:Observation:patient:code eq c) and _id ne p9", "p1"),
            ("Provenance", "recorded co 2020-01-01T00:00:00Z", "v1"),
            ("Provenance", "recorded po 2020-01", "v1"),
            ("Provenance", "recorded co 2020-01", ""),
        ] {
            let text = format!("{of}?_filter={}", filter.replace(' ', "%20"));
            assert_eq!(found(site, &text).await, expected, "{text} on {}", site.engine);
        }
        let system =
            "_type=Patient,Observation&_filter=_tag%20eq%20seen%20and%20not%20(_id%20eq%20o1)";
        let all = found_at(site, &SearchTarget::System, system).await;
        assert!(!all.contains("o1") && all.contains("p1"), "{all}");
    });
}

#[test]
fn a_filter_that_cannot_be_read_says_where_and_why() {
    for (of, filter, words) in [
        ("Patient", "gender eq male or nme eq x", "character 19: Patient has no search parameter"),
        ("Patient", "gender sw m", "character 8: search parameter gender: operator sw is not"),
        (
            "Patient",
            "birthdate ge yesterday",
            "character 14: search parameter birthdate: is not a date",
        ),
        ("Observation", "subject.nothing eq 1", "character 9: "),
        ("Observation", "status[code eq a].x eq 1", "only a reference can be chained"),
        ("Observation", "subject eq Patient/1", "it takes re, pr"),
        ("Observation", "related[type eq a].target re Observation/4", "\"related\""),
        ("Group", "characteristic[code sw a].value eq b", "characteristic[code eq …]"),
    ] {
        let text = format!("{of}?_filter={}", filter.replace(' ', "%20"));
        match query(&text) {
            Err(ReadError::Invalid(text) | ReadError::Unsupported(text)) => {
                assert!(text.starts_with("_filter, character "), "{filter}: {text}");
                assert!(text.contains(words), "{filter}: {text}");
            }
            other => panic!("{filter}: {:?}", other.map(|_| ())),
        }
    }
}

#[test]
fn near_is_a_true_distance() {
    on_each_engine(async |site| {
        // Berlin, Potsdam (27 km), Hamburg (255 km), two sides of the date line (11 km), the poles.
        let places = [
            ("berlin", 52.52, 13.405),
            ("potsdam", 52.3906, 13.0645),
            ("hamburg", 53.5511, 9.9937),
            ("west", -17.0, 179.95),
            ("east", -17.0, -179.95),
            ("pole", -90.0, 0.0),
            ("station", -89.99, -139.27),
            ("nowhere", 91.0, 0.0),
        ];
        let location = |(id, latitude, longitude): (&str, f64, f64)| {
            let position = json!({"latitude": latitude, "longitude": longitude});
            json!({"resourceType": "Location", "id": id, "name": id, "position": position})
        };
        let mut all: Vec<Json> = places.into_iter().map(location).collect();
        all.push(json!({"resourceType": "Location", "id": "without", "name": "without"}));
        write(site, all).await;

        for (text, expected) in [
            ("near=52.52|13.405|1|km", "berlin"),
            ("near=52.52|13.405", "berlin potsdam"),
            ("near=52.52|13.405|26", "berlin"),
            ("near=52.52|13.405|28", "berlin potsdam"),
            ("near=52.52|13.405|28000|m", "berlin potsdam"),
            ("near=52.52|13.405|20|[mi_i]", "berlin potsdam"),
            ("near=52.52|13.405|300&name=ham", "hamburg"),
            ("near=-17|179.99|20", "east west"),
            ("near=-89.995|40|5", "pole station"),
            ("near=52.52|13.405|30,-17|180|20", "berlin east potsdam west"),
            ("near=0|0|30000", "berlin east hamburg pole potsdam station west"),
            ("near:missing=true", "without"),
            ("_filter=near%20eq%2052.52|13.405|28%20and%20not%20(name%20eq%20berlin)", "potsdam"),
        ] {
            let text = format!("Location?{}", text.replace('|', "%7C"));
            assert_eq!(found(site, &text).await, expected, "{text} on {}", site.engine);
        }
    });
    for wrong in ["1", "91|0", "0|181", "0|0|-1", "0|0|x", "0|0|1|kg", "0|0|1|km|x"] {
        let text = format!("Location?near={}", wrong.replace('|', "%7C"));
        assert!(matches!(query(&text), Err(ReadError::Invalid(_))), "{wrong}");
    }
}

#[test]
fn includes_follow_canonicals_with_and_without_a_version() {
    on_each_engine(async |site| {
        let set = |id: &str, version: Option<&str>| {
            let mut made = json!({
                "resourceType": "Questionnaire", "id": id, "status": "active", "url": "http://x/q",
            });
            if let Some(version) = version {
                made["version"] = version.into();
            }
            made
        };
        let answer = |id: &str, canonical: &str| {
            json!({
                "resourceType": "QuestionnaireResponse", "id": id, "status": "completed",
                "questionnaire": canonical,
            })
        };
        let measure = json!({
            "resourceType": "Measure", "id": "m", "status": "active", "url": "http://x/q",
        });
        write(
            site,
            vec![
                set("q1", Some("1")),
                set("q2", Some("2")),
                set("q0", None),
                measure,
                answer("any", "http://x/q"),
                answer("one", "http://x/q|1"),
                answer("three", "http://x/q|3"),
            ],
        )
        .await;

        for (text, expected) in [
            ("_id=any&_include=QuestionnaireResponse:questionnaire", "q0 q1 q2"),
            ("_id=one&_include=QuestionnaireResponse:questionnaire", "q1"),
            ("_id=one&_include=*", "q1"),
            ("_id=three&_include=QuestionnaireResponse:questionnaire", ""),
        ] {
            let page = search(site, &format!("QuestionnaireResponse?{text}")).await;
            assert_eq!(ids(&page, HitMode::Include), expected, "{text} on {}", site.engine);
        }
        for (id, expected) in [("q0", "any"), ("q1", "any one"), ("q2", "any")] {
            for rule in ["QuestionnaireResponse:questionnaire", "*"] {
                let page =
                    search(site, &format!("Questionnaire?_id={id}&_revinclude={rule}")).await;
                assert_eq!(ids(&page, HitMode::Include), expected, "{id} on {}", site.engine);
            }
        }
        let other = search(site, "Measure?_id=m&_revinclude=*").await;
        assert_eq!(ids(&other, HitMode::Include), "");
    });
}

#[test]
fn large_results_are_walked_both_ways_by_id_and_by_a_value() {
    on_each_engine(async |site| {
        let patient = |at: usize| {
            let mut made =
                json!({"resourceType": "Patient", "id": format!("p{:04}", at * 7 % MANY)});
            if !at.is_multiple_of(5) {
                made["birthDate"] = json!(format!("{}-01-01", 1950 + at % 40));
            }
            made
        };
        write(site, (0..MANY).map(patient).collect()).await;

        for sort in ["_id", "-_id", "birthdate", "-birthdate", "-birthdate,_id", "_id,birthdate"] {
            let first = query(&format!("Patient?_sort={sort}&_count=300")).unwrap();
            let (mut asked, mut pages) = (first.clone(), Vec::new());
            loop {
                let page = site.store.search(&Permit::maintenance(), &asked).await.unwrap();
                let ids: Vec<_> =
                    page.hits.iter().map(|hit| hit.version.key.id.to_string()).collect();
                if let Some(back) = &page.previous {
                    let back = query(&format!("Patient?{}", asked.page_query(back))).unwrap();
                    let back = site.store.search(&Permit::maintenance(), &back).await.unwrap();
                    let back: Vec<_> =
                        back.hits.iter().map(|hit| hit.version.key.id.to_string()).collect();
                    assert_eq!(Some(&back), pages.last(), "{sort} on {}", site.engine);
                }
                pages.push(ids);
                let Some(next) = page.next else { break };
                asked = query(&format!("Patient?{}", first.page_query(&next))).unwrap();
            }
            let all: Vec<_> = pages.concat();
            assert_eq!(all.len(), MANY, "{sort} on {}", site.engine);
            if sort.trim_start_matches('-') == "_id" {
                let order =
                    if sort == "_id" { all.is_sorted() } else { all.is_sorted_by(|a, b| a > b) };
                assert!(order, "{sort} on {}", site.engine);
            }
        }
    });
}

/// More than the executor sorts whole; no multiple of seven.
const MANY: usize = 2_203;
