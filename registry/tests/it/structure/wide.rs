//! Searches in several types and in compartments.
//!
//! Spec: FHIR R4 http.html § 3.1.0.11, compartmentdefinition.html.

use fhir::ResourceType;
use policy::{AccessRequest, Permit};
use registry::error::ReadError;
use registry::page::HitMode;
use registry::search::SearchTarget;

use super::{found_at, ids, parse_at, patient_permit, read, world, write};
use crate::engines::on_each_engine;
use crate::sets::key;

#[test]
fn a_search_in_several_types_has_one_order_and_pages() {
    on_each_engine(async |site| {
        write(site, world()).await;
        let system = SearchTarget::System;

        let all = found_at(site, &system, "_type=Patient,Encounter,Observation").await;
        assert_eq!(all, "e1 e2 o1 o2 o3 o4 p1 p2");
        assert_eq!(
            found_at(site, &system, "_type=Patient,Group&identifier=urn:x|1").await,
            "g1 p1"
        );
        assert_eq!(found_at(site, &system, "_id=p1,o3,n1").await, "n1 o3 p1");
        assert_eq!(found_at(site, &system, "_tag=seen").await, "e1 o2 p1");
        for sort in ["", "&_sort=-_id", "&_sort=_lastUpdated"] {
            let base = format!("_type=Patient,Encounter,Observation{sort}");
            let whole = read(site, &system, &base).await;
            let (mut paged, mut back) = (Vec::new(), Vec::new());
            let mut next = format!("{base}&_count=3");
            loop {
                let parsed = parse_at(&system, &next).unwrap();
                let page = site.store.search(&Permit::maintenance(), &parsed).await.unwrap();
                paged.extend(page.hits.iter().map(|hit| hit.version.key.to_string()));
                if let Some(previous) = &page.previous {
                    let parsed = parse_at(&system, &parsed.page_query(previous)).unwrap();
                    let page = site.store.search(&Permit::maintenance(), &parsed).await.unwrap();
                    back.extend(page.hits.iter().map(|hit| hit.version.key.to_string()));
                }
                let Some(cursor) = &page.next else { break };
                next = parsed.page_query(cursor);
            }
            let whole: Vec<_> = whole.hits.iter().map(|hit| hit.version.key.to_string()).collect();
            assert_eq!(paged, whole, "{sort}");
            assert_eq!(back, whole[..6], "{sort}");
        }
        let count = read(site, &system, "_type=Patient,Encounter&_summary=count").await;
        assert_eq!(count.total, Some(4));
        let page = read(site, &system, "_type=Encounter,Patient&_id=e1&_include=Encounter:subject");
        assert_eq!(ids(&page.await, HitMode::Include), "p1");
    });
}

#[test]
fn a_search_in_all_types_shows_a_patient_the_own_record() {
    on_each_engine(async |site| {
        write(site, world()).await;
        let permit = patient_permit("p1", &AccessRequest::SearchSystem);
        let ask = async |text: &str| {
            let query = parse_at(&SearchTarget::System, text).unwrap();
            site.store.search(&permit, &query).await
        };

        let own = ask("").await.unwrap();
        assert_eq!(ids(&own, HitMode::Match), "d1 e1 h0 h1 l1 n1 o1 o2 p1");
        let named = ask("_type=Group,Patient").await;
        assert!(matches!(named, Err(ReadError::Forbidden(_))), "{named:?}");
    });
}

#[test]
fn a_compartment_holds_what_its_definition_says() {
    on_each_engine(async |site| {
        write(site, world()).await;
        let within = |owner: &str, member: Option<&str>| SearchTarget::Compartment {
            owner: key(owner),
            member: member.map(|name| ResourceType::parse(name).unwrap()),
        };

        for (owner, member, text, expected) in [
            ("Patient/p1", Some("Observation"), "", "o1 o2"),
            ("Patient/p1", Some("Observation"), "code=b", "o2"),
            ("Patient/p1", Some("Patient"), "", "p1"),
            ("Patient/p1", None, "", "e1 l1 o1 o2 p1"),
            ("Patient/p1", None, "_type=Observation,Encounter", "e1 o1 o2"),
            ("Patient/nobody", None, "", ""),
            ("Encounter/e1", Some("Observation"), "", "o1"),
            ("Encounter/e1", None, "", "e1 o1"),
            ("Practitioner/d1", None, "", "d1 v1"),
            ("Device/x1", Some("Observation"), "", "o3"),
            ("RelatedPerson/r1", None, "", "r1"),
        ] {
            let target = within(owner, member);
            let found = found_at(site, &target, text).await;
            assert_eq!(found, expected, "{owner} {member:?} {text} on {}", site.engine);
        }
        let outside = parse_at(&within("Patient/p1", Some("Organization")), "");
        assert!(matches!(outside, Err(ReadError::Invalid(why)) if why.contains("Organization")));
        let none = parse_at(&within("Organization/n1", Some("Patient")), "");
        assert!(matches!(none, Err(ReadError::Invalid(_))));
        let system = parse_at(&SearchTarget::System, "_type=AuditEvent");
        assert!(matches!(system, Err(ReadError::Unsupported(_))));
    });
}

#[test]
fn a_search_in_several_types_takes_what_all_of_them_have() {
    let ask = |text: &str| parse_at(&SearchTarget::System, text);

    assert!(ask("_type=Patient,Practitioner&name=a&_sort=name").is_ok());
    for (text, part) in [
        ("_type=Patient,Observation&name=a", "Observation"),
        ("gender=male", "gender"),
        ("_type=Patient,Nothing", "Nothing"),
        ("_type=Patient&_type=Group", "_type"),
        ("_type=Patient,Practitioner&_sort=birthdate", "birthdate"),
    ] {
        match ask(text) {
            Err(ReadError::Invalid(why)) => assert!(why.contains(part), "{text}: {why}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    let has = ask("_has:Observation:patient:code=a");
    assert!(matches!(has, Err(ReadError::Unsupported(why)) if why.contains("_has")));
}
