//! What a commit does, and what it refuses without a trace.

use policy::Permit;
use registry::error::CommitError;
use registry::search::Criteria;
use registry::write_set::{Dependency, Idempotency, Match, MatchOutcome, WrappedKey, WriteSet};

use crate::engines::on_each_engine;
use crate::sets::{ORGANIZATION, commit_one, criteria, delete, key, set, version, write};

#[test]
fn versions_of_a_resource_count_up_and_times_strictly_increase() {
    on_each_engine(async |site| {
        let store = &*site.store;

        let first = commit_one(store, write("Organization/a", None, "one")).await.unwrap();
        let second = commit_one(store, write("Organization/a", Some(1), "two")).await.unwrap();
        let third = commit_one(store, delete("Organization/a", 2)).await.unwrap();
        let fourth = commit_one(store, write("Organization/a", Some(3), "back")).await.unwrap();

        let numbers: Vec<u64> =
            [&first, &second, &third, &fourth].map(|one| one.version.number()).to_vec();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert!(first.updated < second.updated && third.updated < fourth.updated);
        assert!(first.change < second.change && third.change < fourth.change);
    });
}

#[test]
fn a_stale_write_is_refused_and_leaves_no_trace() {
    on_each_engine(async |site| {
        let store = &*site.store;
        commit_one(store, write("Organization/a", None, "one")).await.unwrap();

        let set = set(vec![
            write("Organization/b", None, "new"),
            write("Organization/a", None, "not the first"),
        ]);
        let refused = store.commit(set).await;

        assert!(matches!(refused, Err(CommitError::Stale)), "{refused:?}");
        let permit = Permit::maintenance();
        assert!(store.read(&permit, &key("Organization/b")).await.unwrap().is_none());
        assert_eq!(store.outbox(0, 10).await.unwrap().len(), 1);
    });
}

#[test]
fn criteria_tell_sixteen_matches_or_as_many_as_they_ask_for_and_the_commit_asks_the_same() {
    on_each_engine(async |site| {
        let (store, permit) = (&*site.store, Permit::maintenance());
        let ids: Vec<String> = (10..30).map(|at| format!("o{at}")).collect();
        for id in &ids {
            commit_one(store, write(&format!("Organization/{id}"), None, "one")).await.unwrap();
        }
        let asked = criteria(ORGANIZATION, &format!("_id={}", ids.join(","))).unwrap();
        let found = async |asked: &Criteria| {
            let asked = [Match::Query(asked.clone())];
            store.resolve(&permit, &asked).await.unwrap().remove(0)
        };
        let count = async |asked: &Criteria| match found(asked).await {
            MatchOutcome::Query(ids) => ids.len(),
            other => panic!("{other:?}"),
        };

        assert_eq!(count(&asked).await, 16);
        assert_eq!(count(&asked.clone().up_to(18)).await, 18);
        let all = asked.up_to(100);
        assert_eq!(count(&all).await, 20);
        let known = found(&all).await;
        let depending = |key: &str| WriteSet {
            depends: vec![Dependency {
                permit: permit.clone(),
                asked: Match::Query(all.clone()),
                found: known.clone(),
            }],
            ..set(vec![write(key, None, "new")])
        };
        store.commit(depending("Organization/a")).await.unwrap();
        commit_one(store, delete("Organization/o29", 1)).await.unwrap();
        let stale = store.commit(depending("Organization/b")).await;
        assert!(matches!(stale, Err(CommitError::Stale)), "{stale:?}");
    });
}

#[test]
fn a_changed_dependency_makes_a_set_stale() {
    on_each_engine(async |site| {
        let store = &*site.store;
        commit_one(store, write("Organization/a", None, "one")).await.unwrap();
        let asked = Match::Key(key("Organization/a"));
        let permit = Permit::maintenance();
        let found = store.resolve(&permit, std::slice::from_ref(&asked)).await.unwrap().remove(0);
        assert_eq!(found, MatchOutcome::Key(Some((version(1), false))));
        let depending = |text| WriteSet {
            depends: vec![Dependency {
                permit: permit.clone(),
                asked: asked.clone(),
                found: found.clone(),
            }],
            ..set(vec![write(text, None, "child")])
        };

        let fresh = store.commit(depending("Organization/b")).await;
        commit_one(store, delete("Organization/a", 1)).await.unwrap();
        let stale = store.commit(depending("Organization/c")).await;

        assert!(fresh.is_ok());
        assert!(matches!(stale, Err(CommitError::Stale)));
    });
}

#[test]
fn two_writes_for_one_resource_are_refused() {
    on_each_engine(async |site| {
        let twice =
            set(vec![write("Organization/a", None, "one"), write("Organization/a", None, "two")]);

        let refused = site.store.commit(twice).await;

        assert!(
            matches!(refused, Err(CommitError::Duplicate(twice)) if twice == key("Organization/a"))
        );
    });
}

#[test]
fn a_repeated_control_id_gets_the_first_answer_and_writes_nothing() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let message = |text, answer: &str| WriteSet {
            idempotency: Some(Idempotency {
                sender: "LAB".into(),
                control_id: "17".into(),
                answer: answer.into(),
            }),
            ..set(vec![write(text, None, "one")])
        };

        store.commit(message("Organization/a", "first")).await.unwrap();
        let again = store.commit(message("Organization/b", "second")).await;

        assert!(matches!(again, Err(CommitError::AlreadyAnswered(answer)) if answer == b"first"));
        assert_eq!(store.first_answer("LAB", "17").await.unwrap(), Some(b"first".to_vec()));
        assert_eq!(store.first_answer("LAB", "18").await.unwrap(), None);
        let permit = Permit::maintenance();
        assert!(store.read(&permit, &key("Organization/b")).await.unwrap().is_none());
    });
}

#[test]
fn a_second_data_key_for_a_compartment_makes_its_set_stale() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let with_key = |text, key_id| WriteSet {
            new_keys: vec![WrappedKey {
                key_id,
                compartment: "Patient/p".into(),
                wrapped: vec![1, 2, 3],
            }],
            ..set(vec![write(text, None, "one")])
        };

        store.commit(with_key("Organization/a", u64::MAX)).await.unwrap();
        let lost = store.commit(with_key("Organization/b", 2)).await;

        assert!(matches!(lost, Err(CommitError::Stale)));
        let keys = store.compartment_keys(&["Patient/p".into(), "Patient/q".into()]).await.unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].key_id, u64::MAX);
        assert_eq!(store.data_keys(&[u64::MAX, 2]).await.unwrap(), keys);
    });
}
