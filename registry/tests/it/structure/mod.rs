//! What searches reach beyond one resource: chains, `_has`, includes, `_list`; `wide`: several types, compartments.
//!
//! Expected keys follow from the small world below and FHIR R4 search § 3.1.1.4.11, .15, .16 and 3.1.1.5.

mod filters;
mod scan;
mod sorts;
mod wide;

use fhir::ResourceType;
use policy::{AccessRequest, Permit, Principal, Role};
use registry::error::ReadError;
use registry::page::{HitMode, Page};
use registry::search::{self, ParseOptions, SearchQuery, SearchTarget, pairs};
use serde_json::{Value as Json, json};

use crate::engines::{Site, on_each_engine};
use crate::oracle::corpus;
use crate::sets::id;

#[test]
fn chains_are_followed_over_many_references_and_types() {
    on_each_engine(async |site| {
        write(site, world()).await;

        for (query, expected) in [
            ("Observation?subject:Patient.organization.name=north", "o1 o2"),
            ("Observation?subject:Patient.organization.name:exact=north", ""),
            ("Observation?subject:Patient.organization.name:exact=North", "o1 o2"),
            ("Observation?subject:Patient.organization:Organization.partof.name=holding", "o1 o2"),
            ("Observation?subject.organization.partof.name=holding", "o1 o2"),
            ("Observation?encounter.subject.organization.partof.partof._id=h0", "o1"),
            ("Observation?encounter.subject.organization.partof.partof._id=h1", ""),
            // The subject is a patient or a group: both have an identifier.
            ("Observation?subject.identifier=urn:x|1", "o1 o2 o4"),
            ("Observation?subject:Group.identifier=urn:x|1", "o4"),
            ("Observation?subject.gender:not=male", "o3"),
            ("Observation?subject.gender:missing=true", ""),
            ("Observation?subject:Patient.organization:missing=true", "o3"),
            ("Observation?code=b&subject.organization.name=north", "o2"),
        ] {
            assert_eq!(found(site, query).await, expected, "{query} on {}", site.engine);
        }
    });
}

#[test]
fn reverse_chains_nest_and_hold_chains() {
    on_each_engine(async |site| {
        write(site, world()).await;

        for (query, expected) in [
            ("Patient?_has:Observation:patient:_has:Provenance:target:agent=Practitioner/d1", "p1"),
            ("Patient?_has:Observation:patient:_has:Provenance:target:agent.name=who", "p1"),
            ("Patient?_has:Observation:patient:encounter.class=AMB", "p1"),
            ("Patient?_has:Observation:patient:encounter.subject.organization.name=north", "p1"),
            ("Organization?_has:Patient:organization:_has:Observation:patient:code=b", "n1"),
            ("Organization?_has:Organization:partof:_has:Patient:organization:gender=male", "h1"),
            ("Encounter?subject:Patient._has:Observation:patient:code=b", "e1"),
            ("Encounter?subject._has:Group:member:_id=g1", "e2"),
            ("Patient?gender=male&_has:Observation:patient:code=a", "p1"),
            ("Patient?gender=male&_has:Observation:patient:code=c", ""),
        ] {
            assert_eq!(found(site, query).await, expected, "{query} on {}", site.engine);
        }
    });
}

#[test]
fn every_hop_sees_what_the_caller_sees() {
    on_each_engine(async |site| {
        write(site, world()).await;
        let ask = async |text: &str, patient: &str| {
            let of = ResourceType::parse(text.split('?').next().unwrap()).unwrap();
            let permit = patient_permit(patient, &AccessRequest::Search(of));
            let page = site.store.search(&permit, &query(text).unwrap()).await.unwrap();
            ids(&page, HitMode::Match)
        };

        // e1 is p1's: p2 sees no path through it, nor through the observation that names it.
        let chain = "Organization?_has:Encounter:service-provider:subject.gender=male";
        assert_eq!(ask(chain, "p1").await, "n1");
        assert_eq!(ask(chain, "p2").await, "");
        let nested = "Organization?_has:Patient:organization:_has:Observation:patient:code=a";
        assert_eq!(ask(nested, "p1").await, "n1");
        assert_eq!(ask(nested, "p2").await, "");
        let list = "Observation?_list=l1";
        assert_eq!(ask(list, "p1").await, "o1");
        assert_eq!(ask(list, "p2").await, "");
    });
}

#[test]
fn a_chain_ends_where_its_limits_are() {
    let deep = |hops: usize| format!("Organization?{}name=a", "partof.".repeat(hops));
    assert!(query(&deep(8)).is_ok());
    assert!(matches!(query(&deep(9)), Err(ReadError::TooCostly(why)) if why.contains('8')));
    let wide = format!("Provenance?{}_id=a", "target.".repeat(3));
    assert!(matches!(query(&wide), Err(ReadError::TooCostly(_))), "{:?}", query(&wide).is_ok());
    assert!(query("Provenance?target._id=a").is_ok());
}

#[test]
fn includes_go_on_until_nothing_new_comes() {
    on_each_engine(async |site| {
        write(site, world()).await;

        for (query, expected) in [
            ("Observation?_id=o1&_include=Observation:subject", "p1"),
            ("Observation?_id=o1&_include=Observation:subject:Group", ""),
            ("Observation?_id=o4&_include=Observation:subject:Group", "g1"),
            (
                "Observation?_id=o1&_include=Observation:subject&_include:iterate=Patient:organization",
                "n1 p1",
            ),
            (
                "Observation?_id=o1&_include=Observation:subject\
                 &_include:iterate=Patient:organization&_include:iterate=Organization:partof",
                "h0 h1 n1 p1",
            ),
            ("Organization?_id=n1&_include=Organization:partof", "h1"),
            ("Organization?_id=n1&_include:iterate=Organization:partof", "h0 h1"),
            ("Organization?_id=h0&_revinclude:iterate=Organization:partof", "h1 n1"),
            ("Organization?_id=h0,n1&_revinclude:iterate=Organization:partof", "h1"),
            ("Observation?_id=o1&_include=Observation:*", "e1 p1"),
            ("Observation?_id=o1,o2&_include=*&_include=Observation:subject", "e1 p1"),
            ("Patient?_id=p1&_revinclude=*", "e1 l1 o1 o2"),
            ("Patient?_id=p1&_revinclude=Observation:*", "o1 o2"),
            (
                "Patient?_id=p1&_revinclude=Observation:patient&_revinclude:iterate=Provenance:target",
                "o1 o2 v1",
            ),
            ("Encounter?_id=e1&_include:iterate=*", "h0 h1 n1 p1"),
        ] {
            let page = search(site, query).await;
            assert_eq!(ids(&page, HitMode::Include), expected, "{query} on {}", site.engine);
        }
    });
}

#[test]
fn a_circle_of_references_is_included_once() {
    on_each_engine(async |site| {
        let next = |at: usize| format!("Observation/r{}", (at + 1) % 12);
        let ring = (0..12).map(|at| {
            json!({
                "resourceType": "Observation", "id": format!("r{at}"), "status": "final",
                "code": {"text": "ring"}, "hasMember": [{"reference": next(at)}],
            })
        });
        write(site, ring.collect()).await;

        let all = "Observation?_id=r0&_include:iterate=Observation:has-member";
        let page = search(site, all).await;

        assert_eq!(ids(&page, HitMode::Match), "r0");
        assert_eq!(page.hits.len(), 12);
        let long = search(site, "Observation?_id=r0&_revinclude:iterate=Observation:has-member");
        assert_eq!(long.await.hits.len(), 12);
    });
}

#[test]
fn members_of_a_list_are_found_by_it() {
    on_each_engine(async |site| {
        write(site, world()).await;

        assert_eq!(found(site, "Observation?_list=l1").await, "o1");
        assert_eq!(found(site, "Patient?_list=l1").await, "p2");
        assert_eq!(found(site, "Observation?_list=l1&code=b").await, "");
        assert_eq!(found(site, "Observation?_list=nothing").await, "");
        assert_eq!(found_at(site, &SearchTarget::System, "_list=l1").await, "o1 p2");
    });
}

#[test]
fn references_sort_by_the_ids_that_they_lead_to() {
    on_each_engine(async |site| {
        write(site, world()).await;
        let order = async |text: &str| {
            let page = search(site, text).await;
            let keys = page.hits.iter().map(|hit| hit.version.key.id.to_string());
            keys.collect::<Vec<_>>().join(" ")
        };

        // o4 is about a group, so it has no patient.
        assert_eq!(order("Observation?_sort=subject,_id").await, "o4 o1 o2 o3");
        assert_eq!(order("Observation?_sort=-subject,-_id").await, "o3 o2 o1 o4");
        assert_eq!(order("Observation?_sort=patient,-_id").await, "o2 o1 o3 o4");
        assert_eq!(order("Observation?_sort=-patient,_id").await, "o3 o1 o2 o4");
    });
}

fn parse_at(target: &SearchTarget, text: &str) -> Result<SearchQuery, ReadError> {
    let base_url = "http://example.org/fhir";
    let options = ParseOptions { base_url, lenient: false, now_us: 0, codes: None };
    search::parse_at(target, pairs(text).unwrap(), &options)
}

fn query(text: &str) -> Result<SearchQuery, ReadError> {
    let (of, query) = text.split_once('?').unwrap();
    parse_at(&SearchTarget::Type(ResourceType::parse(of).unwrap()), query)
}

async fn search(site: &Site, text: &str) -> Page {
    site.store.search(&Permit::maintenance(), &query(text).unwrap()).await.unwrap()
}

async fn read(site: &Site, target: &SearchTarget, text: &str) -> Page {
    let query = parse_at(target, text).unwrap();
    site.store.search(&Permit::maintenance(), &query).await.unwrap()
}

async fn found(site: &Site, text: &str) -> String {
    ids(&search(site, text).await, HitMode::Match)
}

async fn found_at(site: &Site, target: &SearchTarget, text: &str) -> String {
    ids(&read(site, target, text).await, HitMode::Match)
}

/// The ids, in alphabetic order.
fn ids(page: &Page, mode: HitMode) -> String {
    let hits = page.hits.iter().filter(|hit| hit.mode == mode);
    let mut ids: Vec<_> = hits.map(|hit| hit.version.key.id.to_string()).collect();
    ids.sort_unstable();
    ids.join(" ")
}

fn patient_permit(patient: &str, request: &AccessRequest) -> Permit {
    let builder = Principal::builder("user").role(Role::Patient).scopes("patient/*.rs");
    policy::decide(&builder.patient(id(patient)).build(), request).unwrap()
}

async fn write(site: &Site, all: Vec<Json>) {
    corpus::write(&*site.store, site.store.index_key(), all).await;
}

/// p1 belongs to n1, which belongs to h1, which belongs to h0; p2 to none, and to the group g1.
fn world() -> Vec<Json> {
    let to = |reference: &str| json!({"reference": reference});
    let observation = |id: &str, code: &str, subject: &str| {
        json!({
            "resourceType": "Observation", "id": id, "status": "final",
            "code": {"coding": [{"code": code}]}, "subject": to(subject),
        })
    };
    let organization = |id: &str, name: &str, of: Option<&str>| {
        let mut made = json!({"resourceType": "Organization", "id": id, "name": name});
        if let Some(of) = of {
            made["partOf"] = to(of);
        }
        made
    };
    let encounter = |id: &str, subject: &str, class: &str| {
        json!({
            "resourceType": "Encounter", "id": id, "status": "finished", "class": {"code": class},
            "subject": to(subject), "serviceProvider": to("Organization/n1"),
        })
    };
    let identifier = json!([{"system": "urn:x", "value": "1"}]);
    let tag = json!({"tag": [{"code": "seen"}]});
    let mut world = vec![
        organization("h0", "Top", None),
        organization("h1", "Holding", Some("Organization/h0")),
        organization("n1", "North", Some("Organization/h1")),
        json!({"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Who"}]}),
        json!({
            "resourceType": "Patient", "id": "p1", "gender": "male", "meta": tag,
            "identifier": identifier, "managingOrganization": to("Organization/n1"),
        }),
        json!({"resourceType": "Patient", "id": "p2", "gender": "female"}),
        json!({
            "resourceType": "Group", "id": "g1", "type": "person", "actual": true,
            "identifier": identifier, "member": [{"entity": to("Patient/p2")}],
        }),
        encounter("e1", "Patient/p1", "AMB"),
        encounter("e2", "Patient/p2", "IMP"),
        observation("o1", "a", "Patient/p1"),
        observation("o2", "b", "Patient/p1"),
        observation("o3", "c", "Patient/p2"),
        observation("o4", "a", "Group/g1"),
        json!({
            "resourceType": "Provenance", "id": "v1", "target": [to("Observation/o1")],
            "recorded": "2020-01-01T00:00:00Z", "agent": [{"who": to("Practitioner/d1")}],
        }),
        json!({
            "resourceType": "List", "id": "l1", "status": "current", "mode": "working",
            "subject": to("Patient/p1"),
            "entry": [{"item": to("Observation/o1")}, {"item": to("Patient/p2")}],
        }),
        json!({"resourceType": "RelatedPerson", "id": "r1", "patient": to("Patient/p2")}),
    ];
    for at in [7, 10] {
        world[at]["meta"] = tag.clone();
    }
    world[9]["encounter"] = to("Encounter/e1");
    world[11]["device"] = to("Device/x1");
    world
}
