//! Answers about several types name those that the caller's scopes leave out, in an entry about the search itself (FHIR
//! R4 search.html 3.1.1.5.2). Which types are members is read from R4's own table of compartments.

use std::collections::BTreeSet;

use policy::Role;
use serde_json::{Value, json};

use crate::bundle::bundle;
use crate::operation::ward;
use crate::site::Site;

/// Types that the compartment definition of patients names, without the accesses, which are nobody's members.
fn members() -> BTreeSet<&'static str> {
    let lines = include_str!("../../../fhir-profiles/r4/compartments.txt").lines();
    let fields = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    let of_patients = fields.filter(|fields| fields[0] == "Patient").map(|fields| fields[1]);
    of_patients.filter(|of| *of != "AuditEvent").collect()
}

/// The types that the one outcome of a searchset names; none where it has no outcome.
fn told(searchset: &Value) -> BTreeSet<String> {
    let entries = searchset["entry"].as_array().into_iter().flatten();
    let mut outcomes = entries.filter(|entry| entry["search"]["mode"] == "outcome");
    let Some(outcome) = outcomes.next() else { return BTreeSet::new() };
    assert!(outcomes.next().is_none(), "{searchset}");
    let issues = outcome["resource"]["issue"].as_array().unwrap();
    assert_eq!(issues.len(), 1, "{outcome}");
    assert_eq!(issues[0]["severity"], "information");
    assert_eq!(issues[0]["code"], "suppressed");
    let text = issues[0]["diagnostics"].as_str().unwrap();
    let (_, names) = text.split_once(": ").unwrap();
    names.split(", ").map(str::to_owned).collect()
}

fn without(all: &BTreeSet<&str>, granted: &[&str]) -> BTreeSet<String> {
    all.iter().filter(|of| !granted.contains(of)).map(|of| (*of).to_owned()).collect()
}

fn narrow(site: &Site) -> String {
    site.scoped_token(Role::System, "system/Patient.rs system/Observation.rs")
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_names_the_types_that_the_scopes_leave_out() {
    let site = ward().await;
    let narrow = narrow(&site);
    let mut expected = without(&members(), &["Patient", "Observation"]);
    // What the members refer to, and the token may not see either.
    expected.extend(["Organization".to_owned(), "Practitioner".to_owned()]);

    for path in ["/Patient/ada/$everything", "/Patient/$everything"] {
        let page = site.get_as(&narrow, path).await.expect(200).json();
        assert_eq!(told(&page), expected, "{path}");
        let found = page["entry"].as_array().unwrap().iter();
        let found = found.filter(|entry| entry["search"]["mode"] == "match").count();
        assert_eq!(page["total"], found, "the outcome is no match");
        assert!(told(&site.get(path).await.expect(200).json()).is_empty());
    }
    let some = "/Patient/ada/$everything?_type=Observation,Condition";
    let some = site.get_as(&narrow, some).await.expect(200).json();
    assert_eq!(told(&some), BTreeSet::from(["Condition".to_owned()]));
    let of_encounter = site.scoped_token(Role::System, "system/Encounter.rs system/Patient.r");
    let page = site.get_as(&of_encounter, "/Encounter/e/$everything").await.expect(200).json();
    assert!(told(&page).contains("Observation") && !told(&page).contains("Patient"), "{page}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compartment_names_them_unless_the_search_names_its_types() {
    let site = ward().await;
    let narrow = narrow(&site);
    let expected = without(&members(), &["Patient", "Observation"]);

    let page = site.get_as(&narrow, "/Patient/ada/*").await.expect(200).json();
    assert_eq!(told(&page), expected);
    assert_eq!(page["total"], 4);
    let page = site.get_as(&narrow, "/Patient/ada/*?_summary=count").await.expect(200).json();
    assert_eq!((told(&page), &page["total"]), (expected.clone(), &json!(4)));
    let all = site.get_as(&narrow, "?_id=ada").await.expect(200).json();
    assert!(told(&all).is_superset(&expected) && told(&all).contains("Organization"));
    assert!(["AuditEvent", "Parameters", "Patient"].iter().all(|of| !told(&all).contains(*of)));
    for path in ["/Patient/ada/*?_type=Observation", "/Patient/ada/Observation", "/Observation"] {
        assert!(told(&site.get_as(&narrow, path).await.expect(200).json()).is_empty(), "{path}");
    }
    // In a compartment there are no groups for anybody: no scope leaves them out.
    for own in [site.limited_token("ada"), site.token_of(Role::Patient, Some("ada"))] {
        for path in ["/Patient/ada/*", "/Patient/ada/$everything", "?_id=ada"] {
            let page = site.get_as(&own, path).await.expect(200).json();
            assert!(told(&page).is_empty(), "{path}: {page}");
        }
    }
    site.stop().await;
}

fn types<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// The types of R4's own definitions of the parameters (search parameter registry).
#[tokio::test(flavor = "multi_thread")]
async fn includes_name_the_types_that_they_may_not_bring() {
    let site = ward().await;
    let narrow = narrow(&site);
    let performers =
        types(["CareTeam", "Organization", "Practitioner", "PractitionerRole", "RelatedPerson"]);

    for (path, expected) in [
        ("/Patient?_id=ada&_revinclude=Condition:subject", types(["Condition"])),
        ("/Patient?_revinclude=Condition:subject&_revinclude=Encounter:subject:Patient", {
            types(["Condition", "Encounter"])
        }),
        ("/Patient/ada/Observation?_include=Observation:performer", performers),
        (
            "/Observation?_id=nobody&_include=Observation:performer:Practitioner",
            types(["Practitioner"]),
        ),
        (
            "/Observation?_include=Observation:subject:Patient&_include:iterate=Patient:organization",
            types(["Organization"]),
        ),
        ("/Observation?_include=Observation:encounter&_include:iterate=Encounter:location", {
            types(["Encounter", "Location"])
        }),
        ("/Patient?_include=*", {
            types(["Organization", "Practitioner", "PractitionerRole", "RelatedPerson"])
        }),
        ("/Patient?_include=Patient:link:Patient&_revinclude=Observation:subject", types([])),
        ("/Patient?_summary=count&_revinclude=Condition:subject", types([])),
    ] {
        let page = site.get_as(&narrow, path).await.expect(200).json();
        assert_eq!(told(&page), expected, "{path}");
        assert!(told(&site.get(path).await.expect(200).json()).is_empty(), "{path}");
    }
    let back = site.get_as(&narrow, "/Patient?_revinclude=*").await.expect(200).json();
    assert!(told(&back).is_superset(&types(["Condition", "Encounter", "Provenance"])), "{back}");
    assert!(told(&back).is_disjoint(&types(["Observation", "Patient", "Practitioner"])), "{back}");
    // A type that may be read and not searched is included.
    let reads = site.scoped_token(Role::System, "system/Patient.rs system/Organization.r");
    let page = site.get_as(&reads, "/Patient?_include=Patient:organization").await;
    assert!(told(&page.expect(200).json()).is_empty());
    // What a compartment limits is not left out by scopes.
    let own = site.token_of(Role::Patient, Some("ada"));
    for path in ["/Patient?_revinclude=*", "/Observation?_include=*&subject.name=a"] {
        assert!(told(&site.get_as(&own, path).await.expect(200).json()).is_empty(), "{path}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_without_a_type_name_the_types_that_they_may_not_look_into() {
    let site = ward().await;
    let narrow = narrow(&site);
    // Performers whose type has the parameter.
    let identified =
        types(["CareTeam", "Organization", "Practitioner", "PractitionerRole", "RelatedPerson"]);

    for (path, expected) in [
        ("/Observation?performer.identifier=D", identified),
        ("/Observation?performer.gender=male", types(["Practitioner", "RelatedPerson"])),
        ("/Observation?performer.gender=male&_summary=count", {
            types(["Practitioner", "RelatedPerson"])
        }),
        ("/Observation?_filter=performer.gender%20eq%20male", {
            types(["Practitioner", "RelatedPerson"])
        }),
        ("/Observation?_filter=not%20(performer.gender%20eq%20male%20or%20_id%20eq%20x)", {
            types(["Practitioner", "RelatedPerson"])
        }),
        ("/Observation/$lastn?patient=ada&code=a&performer.gender=male", {
            types(["Practitioner", "RelatedPerson"])
        }),
        ("/Observation?subject:Patient.gender=male", types([])),
        ("/Patient?_has:Observation:subject:code=x", types([])),
    ] {
        let page = site.get_as(&narrow, path).await.expect(200).json();
        assert_eq!(told(&page), expected, "{path}");
        assert!(told(&site.get(path).await.expect(200).json()).is_empty(), "{path}");
    }
    // A reference that has one type only names it.
    for path in [
        "/Observation?performer:Practitioner.name=D",
        "/Observation?subject.organization.name=x",
        "/Patient?_has:Condition:subject:code=x",
    ] {
        site.get_as(&narrow, path).await.expect(403);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_bundles_name_them_too() {
    let site = ward().await;
    let narrow = narrow(&site);
    let expected = without(&members(), &["Patient", "Observation"]);

    for kind in ["batch", "transaction"] {
        let read = json!({"request": {"method": "GET", "url": "Patient/ada/*"}});
        let request = site.request_as(&narrow, reqwest::Method::POST, "");
        let request = request.header("content-type", "application/fhir+json");
        let answer = crate::site::Answer::of(request.body(bundle(kind, vec![read]).to_string()));
        let answer = answer.await.expect(200).json();
        assert_eq!(told(&answer["entry"][0]["resource"]), expected, "{kind}");
    }
    site.stop().await;
}
