//! Sets of many versions, which are made and sent in parts.

use policy::Permit;
use registry::write_set::Write;

use crate::engines::on_each_engine;
use crate::sets::{id, key, set, version, write};

/// A patient's results, and the patient last.
fn results(count: usize) -> Vec<Write> {
    let of_patient = |mut write: Write| {
        write.patients = vec![id("p")];
        write
    };
    let results = (0..count).map(|n| write(&format!("Observation/o{n}"), None, "one two"));
    results.chain([write("Patient/p", None, "Ada")]).map(of_patient).collect()
}

#[test]
fn a_set_of_many_versions_is_committed_whole_and_in_its_order() {
    on_each_engine(async |site| {
        let store = &*site.store;

        let made = store.commit(set(results(COUNT))).await.unwrap().versions;

        assert_eq!(made.len(), COUNT + 1);
        assert!(made.windows(2).all(|pair| pair[0].change < pair[1].change));
        assert!(made.iter().all(|one| one.updated == made[0].updated));
        let stored = store.scan_versions(0, COUNT * 2).await.unwrap();
        for (made, stored) in made.iter().zip(&stored) {
            assert_eq!((&made.key, made.version), (&stored.key, version(1)));
            assert_eq!((made.change, made.updated), (stored.change, stored.updated));
        }
        assert_eq!(store.outbox(0, COUNT * 2).await.unwrap().len(), COUNT + 1);
        let patient = store.read(&Permit::maintenance(), &key("Patient/p")).await.unwrap();
        assert_eq!(patient.unwrap().version, version(1));
    });
}

#[test]
fn a_large_set_that_comes_late_changes_nothing() {
    on_each_engine(async |site| {
        let store = &*site.store;
        store.commit(set(vec![write("Observation/o1500", None, "one")])).await.unwrap();

        let late = store.commit(set(results(COUNT))).await;

        assert!(matches!(late, Err(registry::error::CommitError::Stale)), "{late:?}");
        assert_eq!(store.scan_versions(0, 10).await.unwrap().len(), 1);
        let next = store.commit(set(vec![write("Observation/o1", None, "one")])).await;
        assert_eq!(next.unwrap().versions[0].version, version(1));
    });
}

const COUNT: usize = 2_000;
