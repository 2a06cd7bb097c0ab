//! Behaviour of searches that the oracle does not cover: includes, refusals, totals, updates.

use fhir::ResourceType;
use policy::{AccessRequest, Permit, Principal, Role};
use registry::error::ReadError;
use registry::page::{HitMode, Page};
use registry::write_set::{Action, Match, MatchOutcome};
use serde_json::{Value as Json, json};

use crate::engines::{Site, on_each_engine};
use crate::oracle::corpus;
use crate::queries::query;
use crate::sets::{criteria, delete, id, set, version};

#[test]
fn includes_bring_targets_and_sources_once_and_after_the_matches() {
    on_each_engine(async |site| {
        write(site, clinic()).await;

        let page = search(
            site,
            "Encounter?_id=e1,e2&_include=Encounter:subject\
            &_include=Encounter:service-provider&_include=*",
        )
        .await;
        assert_eq!(keys(&page, HitMode::Match), ["Encounter/e1", "Encounter/e2"]);
        assert_eq!(keys(&page, HitMode::Include), ["Organization/o1", "Patient/p1", "Patient/p2"]);
        assert!(
            page.hits.iter().map(|hit| hit.mode).is_sorted_by_key(|mode| mode == HitMode::Include)
        );

        let page = search(
            site,
            "Patient?_id=p1&_revinclude=Observation:subject\
            &_revinclude=Encounter:*&_revinclude=Condition:subject:Patient",
        )
        .await;
        assert_eq!(
            keys(&page, HitMode::Include),
            ["Encounter/e1", "Observation/x1", "Observation/x3"]
        );

        let page = search(site, "Observation?_include=Observation:subject:Group").await;
        assert!(keys(&page, HitMode::Include).is_empty());
    });
}

/// An extension's parameter that names no types (R4's table has three of them).
#[test]
fn a_reference_that_names_no_types_is_included_both_ways() {
    on_each_engine(async |site| {
        let about =
            "http://hl7.org/fhir/StructureDefinition/DiagnosticReport-geneticsAssessedCondition";
        let condition =
            json!({"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"}});
        let report = json!({
            "resourceType": "DiagnosticReport", "id": "d", "status": "final", "code": {"text": "x"},
            "extension": [{"url": about, "valueReference": {"reference": "Condition/c"}}],
        });
        write(site, vec![condition, report]).await;

        let rule = "DiagnosticReport:assessed-condition";
        for (query, expected) in [
            (format!("DiagnosticReport?_include={rule}"), vec!["Condition/c"]),
            (format!("DiagnosticReport?_include={rule}:Condition"), vec!["Condition/c"]),
            (format!("DiagnosticReport?_include={rule}:Patient"), vec![]),
            (format!("Condition?_revinclude={rule}"), vec!["DiagnosticReport/d"]),
        ] {
            let page = search(site, &query).await;
            assert_eq!(keys(&page, HitMode::Include), expected, "{query}");
        }
    });
}

#[test]
fn nothing_of_another_patient_comes_with_includes_chains_or_totals() {
    on_each_engine(async |site| {
        write(site, clinic()).await;
        let ask = async |text: &str| {
            let of = ResourceType::parse(text.split('?').next().unwrap()).unwrap();
            let permit = patient_permit("p1", of);
            site.store.search(&permit, &query(text).unwrap()).await.unwrap()
        };

        let page = ask("Observation?_include=Observation:performer&_total=accurate").await;
        assert_eq!(keys(&page, HitMode::Match), ["Observation/x1", "Observation/x3"]);
        assert_eq!(keys(&page, HitMode::Include), ["Practitioner/d1"]);
        assert_eq!(page.total, Some(2));

        // x3 is in both compartments; p2 is not visible through it.
        assert!(ask("Observation?performer:Patient.name=bee").await.hits.is_empty());
        assert_eq!(ask("Observation?_summary=count").await.total, Some(2));
        assert!(ask("Organization?_has:Encounter:service-provider:_id=e2").await.hits.is_empty());
        let page = ask("Organization?_revinclude=Encounter:service-provider").await;
        assert_eq!(keys(&page, HitMode::Include), ["Encounter/e1"]);
    });
}

#[test]
fn totals_are_exact_where_they_are_given() {
    on_each_engine(async |site| {
        write(site, clinic()).await;
        let total = async |text: &str| search(site, text).await.total;

        assert_eq!(total("Observation?_count=1&_total=accurate").await, Some(3));
        assert_eq!(total("Observation?_count=0").await, Some(3));
        assert_eq!(total("Observation?_summary=count&code=a").await, Some(2));
        assert_eq!(total("Observation?_count=1&_total=none").await, None);
        assert_eq!(total("Observation?code=none").await, Some(0));
        assert!(search(site, "Observation?_count=0").await.hits.is_empty());
    });
}

#[test]
fn an_update_or_a_deletion_is_seen_at_once() {
    on_each_engine(async |site| {
        write(site, clinic()).await;
        let changed = json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "Cee"}]});
        let mut change = corpus::make(&changed, site.store.index_key());
        change.previous = Some(version(1));
        change.action = Action::Update;
        site.store.commit(set(vec![change])).await.unwrap();
        site.store.commit(set(vec![delete("Observation/x1", 1)])).await.unwrap();

        let found = async |text: &str| keys(&search(site, text).await, HitMode::Match);
        assert!(found("Patient?name=ay").await.is_empty());
        assert_eq!(found("Patient?name=cee").await, ["Patient/p1"]);
        assert_eq!(found("Observation?code=a").await, ["Observation/x2"]);
        assert_eq!(found("Observation?subject=Patient/p1").await, ["Observation/x3"]);
        assert_eq!(found("Patient?_has:Observation:subject:code=a").await, ["Patient/p2"]);
    });
}

#[test]
fn identifiers_in_references_and_typed_identifiers_are_found() {
    on_each_engine(async |site| {
        write(site, clinic()).await;
        let found = async |text: &str| keys(&search(site, text).await, HitMode::Match);

        assert_eq!(found("Observation?subject:identifier=urn:mrn|7").await, ["Observation/x2"]);
        assert_eq!(found("Observation?subject:identifier=7").await, ["Observation/x2"]);
        assert!(found("Observation?subject:identifier=urn:other|7").await.is_empty());
        assert_eq!(found("Patient?identifier:of-type=urn:v2|MR|7").await, ["Patient/p1"]);
        assert!(found("Patient?identifier:of-type=urn:v2|SS|7").await.is_empty());
        assert_eq!(found("Observation?code=a,zzz\\,b").await, ["Observation/x1", "Observation/x2"]);
    });
}

#[test]
fn a_conditional_query_finds_two_at_most_in_ascending_order() {
    on_each_engine(async |site| {
        write(site, clinic()).await;
        let permit = Permit::maintenance();
        let ask = async |text: &str| {
            let asked = [Match::Query(criteria(ResourceType::OBSERVATION, text)?)];
            site.store.resolve(&permit, &asked).await
        };

        let ids = MatchOutcome::Query(vec![id("x1"), id("x2")]);
        assert_eq!(ask("code=a").await.unwrap(), [ids]);
        assert_eq!(ask("code=none").await.unwrap(), [MatchOutcome::Query(vec![])]);
        assert!(matches!(ask("_count=5").await, Err(ReadError::Invalid(_))));
        assert!(matches!(ask("_nonsense=5&code=a").await, Err(ReadError::Invalid(_))));
    });
}

#[test]
fn a_cursor_of_another_search_is_refused() {
    on_each_engine(async |site| {
        write(site, clinic()).await;
        let page = search(site, "Observation?code=a&_count=1").await;
        let link = page.next.unwrap().encode();

        let own = query(&format!("Observation?code=a&_count=1&_cursor={link}")).unwrap();
        let other = query(&format!("Observation?code=b&_count=1&_cursor={link}")).unwrap();

        let permit = Permit::maintenance();
        assert_eq!(site.store.search(&permit, &own).await.unwrap().hits.len(), 1);
        let refused = site.store.search(&permit, &other).await;
        assert!(matches!(refused, Err(ReadError::Invalid(_))), "{refused:?}");
    });
}

#[test]
fn a_long_list_of_codes_and_a_wide_chain_are_answered() {
    on_each_engine(async |site| {
        write(site, clinic()).await;
        let many: Vec<_> = (0..1_500).map(|at| format!("n{at}")).collect();

        let page = search(site, &format!("Observation?code={},a", many.join(","))).await;

        assert_eq!(keys(&page, HitMode::Match), ["Observation/x1", "Observation/x2"]);
    });
}

async fn search(site: &Site, text: &str) -> Page {
    site.store.search(&Permit::maintenance(), &query(text).unwrap()).await.unwrap()
}

async fn write(site: &Site, all: Vec<Json>) {
    corpus::write(&*site.store, site.store.index_key(), all).await;
}

fn keys(page: &Page, mode: HitMode) -> Vec<String> {
    let hits = page.hits.iter().filter(|hit| hit.mode == mode);
    let mut keys: Vec<_> = hits.map(|hit| hit.version.key.to_string()).collect();
    keys.sort_unstable();
    keys
}

fn patient_permit(patient: &str, of: ResourceType) -> Permit {
    let builder = Principal::builder("user").role(Role::Patient).scopes("patient/*.rs");
    let principal = builder.patient(id(patient)).build();
    policy::decide(&principal, &AccessRequest::Search(of)).unwrap()
}

/// Two patients, an encounter each at one clinic, three observations, one of them shared.
fn clinic() -> Vec<Json> {
    let patient = |id: &str, family: &str| {
        json!({
            "resourceType": "Patient", "id": id, "name": [{"family": family}],
            "identifier": [{
                "system": "urn:mrn", "value": if id == "p1" { "7" } else { "8" },
                "type": {"coding": [{"system": "urn:v2", "code": "MR"}]},
            }],
        })
    };
    let encounter = |id: &str, patient: &str| {
        json!({
            "resourceType": "Encounter", "id": id, "status": "finished",
            "subject": {"reference": format!("Patient/{patient}")},
            "serviceProvider": {"reference": "Organization/o1"},
        })
    };
    let observation = |id: &str, patient: &str, code: &str| {
        json!({
            "resourceType": "Observation", "id": id, "status": "final",
            "code": {"coding": [{"code": code}]},
            "subject": {"reference": format!("Patient/{patient}")},
        })
    };
    let mut second = observation("x2", "p2", "a");
    second["subject"]["identifier"] = json!({"system": "urn:mrn", "value": "7"});
    let mut shared = observation("x3", "p1", "b");
    shared["performer"] = json!([{"reference": "Patient/p2"}, {"reference": "Practitioner/d1"}]);
    vec![
        patient("p1", "Ay"),
        patient("p2", "Bee"),
        json!({"resourceType": "Organization", "id": "o1", "name": "Clinic"}),
        json!({"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Doc"}]}),
        encounter("e1", "p1"),
        encounter("e2", "p2"),
        observation("x1", "p1", "a"),
        second,
        shared,
    ]
}
