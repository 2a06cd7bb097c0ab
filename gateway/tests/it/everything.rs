//! `$everything` of a patient, of an encounter, of all patients: members, who sees them, pages.
//!
//! Expected values: FHIR R4 patient-operation-everything.html, encounter-operation-everything.html.

use policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::operation::{keys, observation, put, ward};
use crate::site::Answer;

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_a_patient_is_the_compartment_and_what_it_refers_to() {
    let site = ward().await;

    let all = site.get("/Patient/ada/$everything").await.expect(200).json();

    let own = [
        "Condition/c",
        "Encounter/e",
        "Observation/o1",
        "Observation/o2",
        "Observation/o3",
        "Patient/ada",
    ];
    assert_eq!(keys(&all, "match"), own);
    assert_eq!(keys(&all, "include"), ["Organization/org", "Practitioner/dr"]);
    assert_eq!((&all["type"], &all["total"]), (&json!("searchset"), &json!(6)));
    let posted = json!({"resourceType": "Parameters", "parameter": [{"name": "_type", "valueCode": "Observation"}]});
    let typed = site.post("/Patient/ada/$everything", &posted).await.expect(200).json();
    assert_eq!(keys(&typed, "match"), ["Observation/o1", "Observation/o2", "Observation/o3"]);
    assert_eq!(keys(&typed, "include"), Vec::<String>::new());
    let cared = site
        .get("/Patient/ada/$everything?start=2020&end=2020&_type=Observation,Condition,Encounter")
        .await;
    assert_eq!(
        keys(&cared.expect(200).json(), "match"),
        ["Condition/c", "Encounter/e", "Observation/o2"]
    );
    let later = site.get("/Patient/ada/$everything?_since=2100-01-01").await.expect(200).json();
    assert_eq!(keys(&later, "match"), Vec::<String>::new());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_everything_hold_each_member_once() {
    let site = ward().await;
    let mut seen = Vec::new();

    let mut next = Some("/Patient/ada/$everything?_count=2&start=2019-06-01".to_owned());
    while let Some(url) = next {
        let page = site.get(&url).await.expect(200).json();
        assert!(keys(&page, "match").len() <= 2);
        seen.extend(keys(&page, "match"));
        let links = page["link"].as_array().unwrap();
        let link = links.iter().find(|link| link["relation"] == "next");
        next = link.map(|link| link["url"].as_str().unwrap().to_owned());
    }

    seen.sort();
    assert_eq!(
        seen,
        ["Condition/c", "Encounter/e", "Observation/o2", "Observation/o3", "Patient/ada"]
    );
    site.get("/Patient/ada/$everything?_cursor=AAAA").await.expect(400);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_an_encounter_is_what_names_it() {
    let site = ward().await;

    let all = site.get("/Encounter/e/$everything").await.expect(200).json();
    let first = site.get("/Encounter/e/$everything?_count=2").await.expect(200).json();

    assert_eq!(keys(&all, "match"), ["Condition/c", "Encounter/e", "Observation/o2"]);
    assert_eq!(keys(&all, "include"), ["Patient/ada", "Practitioner/dr"]);
    let next = first["link"][1]["url"].as_str().unwrap();
    let second = site.get(next).await.expect(200).json();
    let mut both = [keys(&first, "match"), keys(&second, "match")].concat();
    both.sort();
    assert_eq!(both, keys(&all, "match"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_shows_a_patient_the_own_record_only() {
    let site = ward().await;
    let ada = site.token_of(Role::Patient, Some("ada"));

    let own = site.get_as(&ada, "/Patient/ada/$everything").await.expect(200).json();

    assert_eq!(keys(&own, "match").len(), 6);
    site.get_as(&ada, "/Patient/bob/$everything").await.expect(404);
    site.get_as(&ada, "/Patient/none/$everything").await.expect(404);
    site.get("/Patient/none/$everything").await.expect(404);
    site.delete("/Observation/o1").await.expect(204);
    let less =
        site.get_as(&ada, "/Patient/ada/$everything?_type=Observation").await.expect(200).json();
    assert_eq!(keys(&less, "match"), ["Observation/o2", "Observation/o3"]);
    for bad in
        ["_sort=date", "_type=Foo", "_type=Observation,AuditEvent", "start=x", "_count=2&_count=3"]
    {
        site.get(&format!("/Patient/ada/$everything?{bad}")).await.expect(400);
    }
    site.get("/Observation/o2/$everything").await.expect(404);
    let refused =
        Answer::of(site.request(Method::PUT, "/Patient/ada/$everything")).await.expect(405);
    assert_eq!(refused.header("allow"), "GET, HEAD, POST");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_all_patients_is_each_compartment_once() {
    let site = ward().await;

    let all = site.get("/Patient/$everything").await.expect(200).json();

    let own = [
        "Condition/c",
        "Encounter/e",
        "Observation/o1",
        "Observation/o2",
        "Observation/o3",
        "Observation/x",
        "Patient/ada",
        "Patient/bob",
    ];
    assert_eq!(keys(&all, "match"), own);
    assert_eq!(keys(&all, "include"), ["Organization/org", "Practitioner/dr"]);
    assert_eq!((&all["type"], &all["total"]), (&json!("searchset"), &json!(8)));
    for count in 1..=7 {
        let (mut seen, mut pages) = (Vec::new(), 0);
        let mut next = Some(format!("/Patient/$everything?_count={count}"));
        while let Some(url) = next {
            let page = site.get(&url).await.expect(200).json();
            assert!(keys(&page, "match").len() <= count);
            seen.extend(keys(&page, "match"));
            let links = page["link"].as_array().unwrap();
            let link = links.iter().find(|link| link["relation"] == "next");
            next = link.map(|link| link["url"].as_str().unwrap().to_owned());
            pages += 1;
            assert!(pages < 20);
        }
        seen.sort();
        assert_eq!(seen, own, "pages of {count}");
    }
    let typed = site.get("/Patient/$everything?_type=Observation&start=2020&end=2020").await;
    assert_eq!(keys(&typed.expect(200).json(), "match"), ["Observation/o2", "Observation/x"]);
    let bob = site.token_of(Role::Patient, Some("bob"));
    let seen = site.get_as(&bob, "/Patient/$everything").await.expect(200).json();
    assert_eq!(keys(&seen, "match"), ["Observation/x", "Patient/bob"]);
    site.get("/Patient/$everything?_cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAA").await.expect(400);
    let auditor = site.token_of(Role::Auditor, None);
    assert_eq!(site.get_as(&auditor, "/Patient/$everything").await.status, 403);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_room_for_the_resource_alone_goes_on_after_it() {
    let site = ward().await;
    for of in ["Patient/ada", "Encounter/e"] {
        let whole = site.get(&format!("/{of}/$everything")).await.expect(200).json();
        for count in ["0", "1", "2"] {
            let mut seen = Vec::new();
            let mut next = Some(format!("/{of}/$everything?_count={count}"));
            while let Some(url) = next {
                let page = site.get(&url).await.expect(200).json();
                assert_eq!(page["total"], Value::Null, "a part tells no total: {page}");
                seen.extend(keys(&page, "match"));
                let links = page["link"].as_array().unwrap();
                let link = links.iter().find(|link| link["relation"] == "next");
                next = link.map(|link| link["url"].as_str().unwrap().to_owned());
            }
            seen.sort();
            assert_eq!(seen, keys(&whole, "match"), "{of}, pages of {count}");
        }
    }
    site.stop().await;
}

/// Issue of paging by offset: what is written between two pages must not move what did not change.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_an_encounter_hold_what_did_not_change_once_whatever_is_written_meanwhile() {
    let site = ward().await;
    let of_encounter = |id: &str| {
        let mut one = observation(id, "Patient/ada", "a", "2020-01-02");
        one["encounter"] = json!({"reference": "Encounter/e"});
        one
    };
    for id in ["a", "b", "c", "d", "f", "g"] {
        put(&site, &of_encounter(id)).await;
    }
    let (mut seen, mut round) = (Vec::new(), 0);
    let mut next = Some("/Encounter/e/$everything?_type=Observation&_count=2".to_owned());
    while let Some(url) = next {
        let page = site.get(&url).await.expect(200).json();
        seen.extend(keys(&page, "match"));
        let links = page["link"].as_array().unwrap();
        let link = links.iter().find(|link| link["relation"] == "next");
        next = link.map(|link| link["url"].as_str().unwrap().to_owned());
        round += 1;
        if round > 4 {
            continue;
        }
        // Two come, and one of those that were delivered goes.
        put(&site, &of_encounter(&format!("new{round}"))).await;
        put(&site, &of_encounter(&format!("late{round}"))).await;
        let delivered =
            seen.iter().find(|key| ["Observation/g", "Observation/f"].contains(&key.as_str()));
        if let Some(key) = delivered {
            assert_eq!(site.delete(&format!("/{key}")).await.status, 204);
        }
    }
    for unchanged in ["a", "b", "c", "d", "o2"] {
        let key = format!("Observation/{unchanged}");
        assert_eq!(seen.iter().filter(|one| **one == key).count(), 1, "{key} in {seen:?}");
    }
    site.stop().await;
}
