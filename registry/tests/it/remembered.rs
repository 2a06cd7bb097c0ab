//! What searches remember of those before shows in no answer: each says what a first one would say.

use std::sync::Arc;

use fhir::ResourceType;
use policy::{AccessRequest, Permit, Principal, Role};
use registry::page::{HitMode, Page};
use registry::search::{ParseOptions, SearchTarget, pairs, parse_at};
use registry::write_set::{Action, Write};
use serde_json::{Value as Json, json};
use sqlx::Connection;

use crate::cluster::{self, Cluster};
use crate::engines::{Site, on_each_engine};
use crate::oracle::corpus;
use crate::sets::{id, set, version};

#[test]
fn a_version_that_was_seen_often_gives_way_to_the_next_at_once() {
    on_each_engine(async |site| {
        put(site, patient("p1", "Ann"), None).await;
        put(site, observation("o1", "p1", "a"), None).await;
        let asked = "Observation?code=a&_include=Observation:subject";
        for _ in 0..OFTEN {
            assert_eq!(seen(&search(site, asked).await), "o1/1 +p1/1");
        }

        put(site, patient("p1", "Bea"), Some(1)).await;
        assert_eq!(seen(&search(site, asked).await), "o1/1 +p1/2");
        put(site, observation("o1", "p1", "a"), Some(1)).await;
        assert_eq!(seen(&search(site, asked).await), "o1/2 +p1/2");
        put(site, observation("o2", "p1", "a"), None).await;
        assert_eq!(seen(&search(site, asked).await), "o2/1 o1/2 +p1/2");

        remove(site, "Patient/p1", 2).await;
        assert_eq!(seen(&search(site, asked).await), "o2/1 o1/2");
        put(site, observation("o1", "p1", "b"), Some(2)).await;
        assert_eq!(seen(&search(site, asked).await), "o2/1");
        remove(site, "Observation/o2", 1).await;
        assert_eq!(seen(&search(site, asked).await), "");
    });
}

/// PostgreSQL alone: SQLite remembers nothing, it is asked for less than looking up costs.
#[test]
fn what_comes_often_is_not_fetched_again_and_numbers_that_are_given_out_twice_deceive_nobody() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let Some(cluster) = Cluster::shared() else { return };
        let url = cluster.database().await;
        let store = Arc::new(cluster::open(&url).await);
        let site = Site::of(store, "postgres");
        put(&site, patient("p1", "Ann"), None).await;
        put(&site, observation("lost", "p1", "a"), None).await;
        for _ in 0..OFTEN {
            assert_eq!(seen(&search(&site, "Observation?code=a").await), "lost/1");
        }
        let mut raw = sqlx::PgConnection::connect(&url).await.unwrap();
        let mut run = async |text: &'static str| {
            sqlx::query(text).execute(&mut raw).await.unwrap().rows_affected()
        };
        assert_eq!(run("update resource_version set payload = 'other'").await, 2);
        let page = search(&site, "Observation?code=a").await;
        assert_eq!(&*page.hits[0].version.payload, b"Observation/lost", "as it was fetched");

        // A standby that has not heard of the last commit takes over.
        for text in [
            "delete from search_token where rid = (select rid from resource where id = 'lost')",
            "delete from search_reference where rid = (select rid from resource where id = 'lost')",
            "delete from search_text where rid = (select rid from resource where id = 'lost')",
            "delete from resource_terms where rid = (select rid from resource where id = 'lost')",
            "delete from resource_version where rid = (select rid from resource where id = 'lost')",
            "delete from ledger_outbox where change = (select change from resource where id = 'lost')",
            "delete from resource where id = 'lost'",
        ] {
            assert!(run(text).await > 0, "{text}");
        }
        put(&site, observation("next", "p1", "b"), None).await;
        let page = search(&site, "Observation?code=b").await;
        assert_eq!(seen(&page), "next/1");
        assert_eq!(&*page.hits[0].version.payload, b"Observation/next");
        let change: i64 = sqlx::query_scalar("select change from resource where id = 'next'")
            .fetch_one(&mut raw)
            .await
            .unwrap();
        assert_eq!(change, 2, "the number of the lost one");
    });
}

#[test]
fn a_caller_does_not_see_what_others_made_the_process_remember() {
    on_each_engine(async |site| {
        for patient_id in ["p1", "p2"] {
            put(site, patient(patient_id, "Ann"), None).await;
            put(site, observation(&format!("o-{patient_id}"), patient_id, "a"), None).await;
        }
        for _ in 0..OFTEN {
            assert_eq!(search(site, "Observation?code=a").await.hits.len(), 2);
        }
        let principal = Principal::builder("user").role(Role::Patient).scopes("patient/*.rs");
        let principal = principal.patient(id("p1")).build();
        let asked = AccessRequest::Search(ResourceType::parse("Observation").unwrap());
        let own = policy::decide(&principal, &asked).unwrap();

        let page = search_as(site, &own, "Observation?code=a").await;

        assert_eq!(seen(&page), "o-p1/1");
    });
}

#[test]
fn a_range_that_was_small_a_moment_ago_is_found_whole_when_it_has_grown() {
    on_each_engine(async |site| {
        put(site, patient("p1", "Ann"), None).await;
        let asked = "Observation?value-quantity=gt5&_count=100&_total=accurate";
        let plain = "Observation?value-quantity=gt5&_count=100";
        let dated = "Observation?date=gt2019&_count=100";
        for _ in 0..OFTEN {
            assert_eq!(search(site, asked).await.total, Some(0));
            assert_eq!(search(site, plain).await.hits.len(), 0);
            assert_eq!(search(site, dated).await.hits.len(), 0);
        }
        let valued = |at: i32| {
            let mut one = observation(&format!("v{at}"), "p1", "a");
            one["valueQuantity"] = json!({"value": at, "unit": "mg"});
            one
        };
        for some in (0..3_000).collect::<Vec<_>>().chunks(500) {
            let index_key = site.store.index_key();
            let writes = some.iter().map(|at| corpus::make(&valued(*at), index_key)).collect();
            site.store.commit(set(writes)).await.unwrap();
        }

        let page = search(site, asked).await;

        // 6 to 2999.
        assert_eq!(page.total, Some(2_994));
        assert_eq!(page.hits.len(), 100);
        assert_eq!(search(site, plain).await.hits.len(), 100);
        assert_eq!(search(site, "Observation?value-quantity=gt2998").await.hits.len(), 1);
        // A date that is no single day has a row of its own kind, of which there was none.
        let mut period = observation("period", "p1", "a");
        period["effectivePeriod"] = json!({"start": "2020-01-01", "end": "2020-02-01"});
        put(site, period, None).await;
        assert_eq!(seen(&search(site, dated).await), "period/1");
    });
}

#[test]
fn includes_leave_out_matches_and_the_resource_behind_the_page() {
    on_each_engine(async |site| {
        for at in 1..=3 {
            put(site, patient(&format!("p{at}"), "Ann"), None).await;
            put(site, observation(&format!("o{at}"), &format!("p{at}"), "a"), None).await;
        }
        let mut member = observation("m", "p1", "a");
        member["hasMember"] = json!([{"reference": "Observation/o3"}]);
        put(site, member, None).await;

        for _ in 0..OFTEN {
            let first = search(site, "Observation?_count=2&_include=Observation:subject").await;
            assert_eq!(seen(&first), "m/1 o3/1 +p1/1 +p3/1");
            let both = "Observation?_count=2&_include=Observation:has-member&_include=Observation:subject:Group";
            assert_eq!(seen(&search(site, both).await), "m/1 o3/1", "o3 is a match");
            let one = search(site, "Observation?_count=1&_include=Observation:has-member").await;
            assert_eq!(seen(&one), "m/1 +o3/1");
        }
    });
}

fn patient(id: &str, name: &str) -> Json {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": name}]})
}

fn observation(id: &str, patient: &str, code: &str) -> Json {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"coding": [{"code": code}]},
        "subject": {"reference": format!("Patient/{patient}")}})
}

async fn put(site: &Site, json: Json, previous: Option<u64>) {
    let made = corpus::make(&json, site.store.index_key());
    let action = if previous.is_some() { Action::Update } else { Action::Create };
    let write = Write { previous: previous.map(version), action, ..made };
    site.store.commit(set(vec![write])).await.unwrap();
}

async fn remove(site: &Site, key: &str, previous: u64) {
    site.store.commit(set(vec![crate::sets::delete(key, previous)])).await.unwrap();
}

async fn search(site: &Site, text: &str) -> Page {
    search_as(site, &Permit::maintenance(), text).await
}

async fn search_as(site: &Site, permit: &Permit, text: &str) -> Page {
    let (of, query) = text.split_once('?').unwrap();
    let target = SearchTarget::Type(ResourceType::parse(of).unwrap());
    let base_url = "http://example.org/fhir";
    let options = ParseOptions { base_url, lenient: false, now_us: 0, codes: None };
    let query = parse_at(&target, pairs(query).unwrap(), &options).unwrap();
    site.store.search(permit, &query).await.unwrap()
}

/// `id/version` of each match, and after `+` of each include by id.
fn seen(page: &Page) -> String {
    let text = |mark: &str, mode: HitMode| {
        let of_mode = page.hits.iter().filter(move |hit| hit.mode == mode);
        let one = |hit: &registry::page::Hit| {
            format!("{mark}{}/{}", hit.version.key.id, hit.version.version.number())
        };
        of_mode.map(one).collect::<Vec<_>>()
    };
    let mut included = text("+", HitMode::Include);
    included.sort_unstable();
    [text("", HitMode::Match), included].concat().join(" ")
}

/// More searches than it takes for a process to see that remembering pays.
const OFTEN: usize = 40;
