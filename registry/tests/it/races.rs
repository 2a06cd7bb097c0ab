//! Many clients at once.

use std::collections::HashMap;

use futures::future::join_all;
use policy::Permit;
use registry::error::CommitError;
use registry::search::{CodeAnswer, CodeQuestion, Criteria, ParseOptions};
use registry::store::Store;
use registry::write_set::{Dependency, Match, MatchOutcome, WrappedKey, WriteSet};
use serde_json::json;

use crate::engines::on_each_engine;
use crate::oracle::corpus;
use crate::sets::{ORGANIZATION, commit_one, criteria, id, set, write};

#[test]
fn of_64_conditional_creates_exactly_one_is_made() {
    on_each_engine(async |site| {
        let made = join_all((0..64).map(|n| create_if_none(&*site.store, n))).await;

        assert_eq!(made.iter().filter(|made| **made).count(), 1);
        assert_eq!(site.store.scan_versions(0, 100).await.unwrap().len(), 1);
    });
}

/// Conditional create as a gateway does it; true if this one made the resource.
pub(crate) async fn create_if_none(store: &dyn Store, n: usize) -> bool {
    let permit = Permit::maintenance();
    let asked = Match::Query(criteria(ORGANIZATION, "identifier=urn:org|1").unwrap());
    loop {
        let found = store.resolve(&permit, std::slice::from_ref(&asked)).await.unwrap().remove(0);
        if found != MatchOutcome::Query(Vec::new()) {
            return false;
        }
        let organization = json!({
            "resourceType": "Organization", "id": format!("o{n}"),
            "identifier": [{"system": "urn:org", "value": "1"}]
        });
        let created = WriteSet {
            depends: vec![Dependency { permit: permit.clone(), asked: asked.clone(), found }],
            ..set(vec![corpus::make(&organization, store.index_key())])
        };
        match store.commit(created).await {
            Ok(_) => return true,
            Err(CommitError::Stale) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn of_64_first_versions_of_one_resource_exactly_one_is_made() {
    on_each_engine(async |site| {
        let store = &*site.store;

        let results =
            join_all((0..64).map(|_| commit_one(store, write("Organization/a", None, "one"))))
                .await;

        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(
            results.iter().all(|result| matches!(result, Ok(_) | Err(CommitError::Stale))),
            "{results:?}"
        );
    });
}

#[test]
fn of_32_data_keys_for_one_compartment_exactly_one_stays() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let with_key = |key_id: u64| {
            let text = format!("{}/k{key_id}", ORGANIZATION.name());
            WriteSet {
                new_keys: vec![WrappedKey {
                    key_id,
                    compartment: String::new(),
                    wrapped: key_id.to_le_bytes().to_vec(),
                }],
                ..set(vec![write(&text, None, "one")])
            }
        };

        let results = join_all((1..=32).map(|key_id| store.commit(with_key(key_id)))).await;

        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert_eq!(store.compartment_keys(&[String::new()]).await.unwrap().len(), 1);
        assert_eq!(store.outbox(0, 100).await.unwrap().len(), 1);
    });
}

#[test]
fn a_refused_set_in_a_group_does_not_hurt_its_neighbours() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let names: Vec<String> = (0..60).map(|n| format!("Organization/o{n}")).collect();

        let results = join_all(names.iter().enumerate().map(|(n, name)| {
            let previous = (n % 3 == 0).then_some(1);
            store.commit(set(vec![write(name, previous, "one")]))
        }))
        .await;

        for (n, result) in results.iter().enumerate() {
            assert_eq!(result.is_ok(), n % 3 != 0, "set {n}: {result:?}");
        }
        assert_eq!(store.outbox(0, 100).await.unwrap().len(), 40);
    });
}

#[test]
fn a_set_that_fails_against_expectation_takes_nothing_from_its_neighbours() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let organization = |n: u64| {
            let json = json!({
                "resourceType": "Organization", "id": format!("o{n}"),
                "identifier": [{"system": "urn:org", "value": n.to_string()}]
            });
            set(vec![corpus::make(&json, store.index_key())])
        };
        let two_keys = |n: u64| WriteSet {
            new_keys: [1, 2]
                .map(|key_id| WrappedKey {
                    key_id,
                    compartment: "Patient/p".into(),
                    wrapped: vec![1],
                })
                .into(),
            ..organization(n)
        };

        let broken = |n: u64| n % 8 == 7;
        let results = join_all(
            (0..32).map(|n| store.commit(if broken(n) { two_keys(n) } else { organization(n) })),
        )
        .await;

        for (n, result) in (0..).zip(&results) {
            assert_eq!(result.is_ok(), !broken(n), "set {n}: {result:?}");
            let asked =
                Match::Query(criteria(ORGANIZATION, &format!("identifier=urn:org|{n}")).unwrap());
            let found = store.resolve(&Permit::maintenance(), &[asked]).await.unwrap();
            let ids = if broken(n) { vec![] } else { vec![id(&format!("o{n}"))] };
            assert_eq!(found, [MatchOutcome::Query(ids)], "set {n}");
        }
    });
}

#[test]
fn concurrent_updates_each_make_one_version() {
    on_each_engine(async |site| {
        let store = &*site.store;
        commit_one(store, write("Organization/a", None, "start")).await.unwrap();

        let update = async |text: &'static str| {
            let mut previous = 1;
            loop {
                match commit_one(store, write("Organization/a", Some(previous), text)).await {
                    Ok(made) => return made.version.number(),
                    Err(CommitError::Stale) => previous += 1,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let mut made = join_all((0..16).map(|_| update("again and again"))).await;

        made.sort_unstable();
        assert_eq!(made, (2..=17).collect::<Vec<u64>>());
    });
}

#[test]
fn criteria_by_a_hierarchy_of_codes_are_checked_again_by_the_writer() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let permit = Permit::maintenance();
        let below = CodeQuestion::Below { system: Some("urn:org".into()), code: "1".into() };
        let code = |code: &str| CodeAnswer::Code { system: "urn:org".into(), code: code.into() };
        let codes = HashMap::from([(below, Ok(vec![code("1"), code("1.1")]))]);
        let options = ParseOptions { base_url: "", lenient: false, now_us: 0, codes: Some(&codes) };
        let asked = Criteria::parse(ORGANIZATION, "type:below=urn:org|1", &options).unwrap();
        let asked = Match::Query(asked);
        let organization = |id: &str, code: &str| {
            let coding = json!({"coding": [{"system": "urn:org", "code": code}]});
            let json = json!({"resourceType": "Organization", "id": id, "type": [coding]});
            set(vec![corpus::make(&json, store.index_key())])
        };
        let depending = |found: &MatchOutcome, set: WriteSet| {
            let (permit, asked, found) = (permit.clone(), asked.clone(), found.clone());
            WriteSet { depends: vec![Dependency { permit, asked, found }], ..set }
        };

        let nothing = MatchOutcome::Query(Vec::new());
        let found = async || store.resolve(&permit, std::slice::from_ref(&asked)).await.unwrap();
        assert_eq!(found().await, std::slice::from_ref(&nothing));
        store.commit(organization("other", "2")).await.unwrap();
        store.commit(depending(&nothing, organization("first", "1.1"))).await.unwrap();
        let second = store.commit(depending(&nothing, organization("second", "1"))).await;

        assert!(matches!(second, Err(CommitError::Stale)), "{second:?}");
        let first = MatchOutcome::Query(vec![id("first")]);
        assert_eq!(found().await, [first]);
    });
}
