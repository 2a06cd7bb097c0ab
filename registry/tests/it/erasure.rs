//! Steps of an erasure: what a step changes, and what makes it stale.

use policy::Permit;
use registry::erasure::{ERASED_BYTES, ERASED_MAGIC, Erasing, Extent, NewErasure};
use registry::error::CommitError;
use registry::page::{HistoryQuery, HistoryScope};
use registry::store::Store;
use registry::write_set::{
    AccessRecord, Dependency, Match, MatchOutcome, WrappedKey, Write, WriteSet,
};

use crate::engines::on_each_engine;
use crate::sets::{commit_one, id, key, set, write};

/// A version in the compartments of these patients.
fn of(patients: &[&str], write: Write) -> Write {
    Write { patients: patients.iter().map(|patient| id(patient)).collect(), ..write }
}

fn erased() -> Vec<u8> {
    let mut payload = vec![0; ERASED_BYTES];
    payload[..2].copy_from_slice(&ERASED_MAGIC);
    payload
}

fn record(byte: u8) -> AccessRecord {
    AccessRecord { salt_id: [byte; 16], entry: [byte; 36], body: vec![byte; 50] }
}

fn step(begin: Option<NewErasure>, changes: &[u64], end: bool) -> WriteSet {
    let versions = changes.iter().map(|change| (*change, erased())).collect();
    let erasing = Some(Erasing { patient: id("p1"), begin, versions, end });
    WriteSet { erasing, ..WriteSet::default() }
}

fn new(byte: u8) -> Option<NewErasure> {
    Some(NewErasure { key_id: 71, record: record(byte) })
}

/// Patient p1 with an observation of two versions, one that moved to p2, one of both; the key of p1. Change numbers 1 to 6.
async fn fill(store: &dyn Store) {
    commit_one(store, of(&["p1"], write("Patient/p1", None, "Zebedee"))).await.unwrap();
    commit_one(store, of(&["p1"], write("Observation/o", None, "one"))).await.unwrap();
    commit_one(store, of(&["p1"], write("Observation/o", Some(1), "two"))).await.unwrap();
    commit_one(store, of(&["p1"], write("Observation/moved", None, "was"))).await.unwrap();
    commit_one(store, of(&["p2"], write("Observation/moved", Some(1), "is"))).await.unwrap();
    commit_one(store, of(&["p1", "p2"], write("Observation/both", None, "both"))).await.unwrap();
    let key = WrappedKey { key_id: 71, compartment: "Patient/p1".into(), wrapped: vec![1; 60] };
    let keys = WriteSet { new_keys: vec![key], ..set(Vec::new()) };
    store.commit(keys).await.unwrap();
}

fn is_stale<T>(result: &Result<T, CommitError>) -> bool {
    matches!(result, Err(CommitError::Stale))
}

#[test]
fn a_page_and_an_extent_tell_what_a_compartment_holds_and_held() {
    on_each_engine(async |site| {
        let store = &*site.store;
        fill(store).await;

        let all = store.erasures().page(&id("p1"), (i64::MIN, i64::MIN), 100).await.unwrap();
        let changes: Vec<(u64, bool)> = all.iter().map(|one| (one.change, one.is_alone)).collect();
        assert_eq!(changes, [(1, true), (2, true), (3, true), (4, true), (6, false)]);
        let first = &all[1];
        let rest = store.erasures().page(&id("p1"), (first.rid, 1), 2).await.unwrap();
        assert_eq!(rest.iter().map(|one| one.change).collect::<Vec<_>>(), [3, 4]);
        let extent = store.erasures().extent(&id("p1")).await.unwrap();
        assert_eq!(extent, Some(Extent { resources: 3, versions: 4, shared: 1, erased: 0 }));
        assert_eq!(store.erasures().extent(&id("nobody")).await.unwrap(), None);
    });
}

#[test]
fn an_erasure_takes_payloads_and_index_rows_and_at_its_end_the_key() {
    on_each_engine(async |site| {
        let store = &*site.store;
        fill(store).await;
        let permit = Permit::maintenance();
        let outbox = store.outbox(0, 100).await.unwrap().len();

        store.commit(step(new(1), &[1, 2], false)).await.unwrap();

        let read = async |text: &str| store.read(&permit, &key(text)).await.unwrap().unwrap();
        assert!(read("Patient/p1").await.is_erased());
        assert!(!read("Observation/o").await.is_erased(), "its second version is still to come");
        let waiting = store.outbox(0, 100).await.unwrap();
        assert_eq!(waiting.len(), outbox + 1);
        assert_eq!((waiting[outbox].change, waiting[outbox].entry), (None, [1; 36]));
        assert_eq!(store.data_keys(&[71]).await.unwrap().len(), 1, "not before the end");

        store.commit(step(None, &[3, 4], true)).await.unwrap();

        assert!(
            read("Observation/o").await.is_erased() && read("Observation/o").await.is_tombstone()
        );
        assert!(!read("Observation/moved").await.is_erased(), "it is of p2 now");
        assert!(!read("Observation/both").await.is_erased(), "it is of p2, too");
        assert_eq!(store.data_keys(&[71]).await.unwrap(), []);
        let scope = HistoryScope::System;
        let query =
            HistoryQuery { scope, since: None, at: None, list: None, count: 100, cursor: None };
        let history = store.history(&permit, &query).await.unwrap();
        assert_eq!(history.versions.iter().map(|one| one.change).collect::<Vec<_>>(), [6, 5]);
        assert_eq!(history.total, Some(2));
        let all = store.erasures().list(0, 10).await.unwrap();
        assert_eq!((all.len(), all[0].resources, all[0].versions), (1, 2, 4));
        assert_eq!((all[0].key_id, all[0].ended, &all[0].record), (71, Some(1), &record(1)));
        let left = store.erasures().extent(&id("p1")).await.unwrap();
        assert_eq!(left, Some(Extent { resources: 0, versions: 0, shared: 1, erased: 3 }));
    });
}

#[test]
fn no_row_of_the_index_names_an_erased_resource() {
    on_each_engine(async |site| {
        let store = &*site.store;
        fill(store).await;
        store.commit(step(new(1), &[1, 2, 3, 4], true)).await.unwrap();

        let erased: Vec<i64> = store
            .checks()
            .resources(i64::MIN, 100)
            .await
            .unwrap()
            .into_iter()
            .filter(|row| row.id == "o" || row.id == "p1")
            .map(|row| row.rid)
            .collect();
        assert_eq!(erased.len(), 2);
        let tables = registry::check::IndexTable::ALL;
        let tables = tables.iter().filter(|table| **table != registry::check::IndexTable::Terms);
        for table in tables {
            let rows = store.checks().index(*table, None, 1_000).await.unwrap();
            let named = rows.iter().filter(|row| erased.contains(&row.place.rid)).count();
            assert_eq!(named, 0, "{table:?}");
        }
    });
}

#[test]
fn steps_out_of_order_are_stale_and_leave_no_trace() {
    on_each_engine(async |site| {
        let store = &*site.store;
        fill(store).await;
        let permit = Permit::maintenance();

        assert!(is_stale(&store.commit(step(None, &[1], false)).await), "it was not begun");
        assert!(is_stale(&store.commit(step(new(1), &[1, 2, 3], true)).await), "change 4 is left");
        assert!(store.erasures().list(0, 10).await.unwrap().is_empty());
        assert!(!store.read(&permit, &key("Patient/p1")).await.unwrap().unwrap().is_erased());
        store.commit(step(new(1), &[1], false)).await.unwrap();
        assert!(is_stale(&store.commit(step(new(2), &[2], false)).await), "it was begun");
        // What comes meanwhile is erased, too, or there is no end.
        commit_one(store, of(&["p1"], write("Observation/late", None, "late"))).await.unwrap();
        assert!(is_stale(&store.commit(step(None, &[2, 3, 4], true)).await));
        store.commit(step(None, &[2, 3, 4, 7], true)).await.unwrap();
        assert!(is_stale(&store.commit(step(None, &[], true)).await), "it has ended");
        assert!(is_stale(&store.commit(step(new(3), &[], true)).await), "there is no key");
    });
}

#[test]
fn a_set_that_was_sealed_before_the_end_of_an_erasure_is_stale_after_it() {
    on_each_engine(async |site| {
        let store = &*site.store;
        fill(store).await;
        let depending = |number, text| {
            let found = MatchOutcome::Erasures(number);
            let (permit, asked) = (Permit::maintenance(), Match::Erasures);
            let depends = vec![Dependency { permit, asked, found }];
            WriteSet { depends, ..set(vec![write(text, None, "new")]) }
        };
        let asked = [Match::Erasures];
        let number = async || store.resolve(&Permit::maintenance(), &asked).await.unwrap();

        assert_eq!(number().await, [MatchOutcome::Erasures(0)]);
        store.commit(step(new(1), &[1, 2], false)).await.unwrap();
        store.commit(depending(0, "Organization/a")).await.unwrap();
        // In one group with the end, too.
        let (ended, racing) = tokio::join!(
            store.commit(step(None, &[3, 4], true)),
            store.commit(depending(0, "Organization/b"))
        );
        ended.unwrap();
        assert!(is_stale(&racing));
        assert_eq!(number().await, [MatchOutcome::Erasures(1)]);
        store.commit(depending(1, "Organization/b")).await.unwrap();
    });
}

#[test]
fn an_erased_resource_is_written_again_under_the_next_version() {
    on_each_engine(async |site| {
        let store = &*site.store;
        fill(store).await;
        store.commit(step(new(1), &[1, 2, 3, 4], true)).await.unwrap();

        let again = of(&["p1"], write("Observation/o", Some(2), "three words here"));
        let made = commit_one(store, again).await.unwrap();

        assert_eq!(made.version.number(), 3);
        let read = store.read(&Permit::maintenance(), &key("Observation/o")).await.unwrap();
        assert!(!read.unwrap().is_tombstone());
        let strings = registry::check::IndexTable::String;
        let rows = store.checks().index(strings, None, 1_000).await.unwrap();
        let of_three = rows.iter().filter(|row| {
            matches!(&row.value, registry::check::IndexValue::String(row) if &*row.norm == "three")
        });
        assert_eq!(of_three.count(), 1);
        let extent = store.erasures().extent(&id("p1")).await.unwrap();
        assert_eq!(extent, Some(Extent { resources: 1, versions: 1, shared: 1, erased: 3 }));
    });
}
