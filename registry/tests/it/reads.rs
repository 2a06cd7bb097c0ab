//! Reads by key, settings, readiness.

use fhir::VersionKey;
use policy::Permit;
use registry::write_set::Action;

use crate::engines::on_each_engine;
use crate::sets::{commit_one, delete, key, version, write};

#[test]
fn a_read_gives_the_current_version_and_a_vread_each_one() {
    on_each_engine(async |site| {
        let (store, permit) = (&*site.store, Permit::maintenance());
        let first = commit_one(store, write("Organization/a", None, "one")).await.unwrap();
        let second = commit_one(store, write("Organization/a", Some(1), "two")).await.unwrap();
        commit_one(store, delete("Organization/a", 2)).await.unwrap();

        let current = store.read(&permit, &key("Organization/a")).await.unwrap().unwrap();
        let vread = async |number| {
            let key = VersionKey { key: key("Organization/a"), version: version(number) };
            store.vread(&permit, &key).await.unwrap()
        };

        assert!(current.is_tombstone());
        assert_eq!(current.version, version(3));
        let one = vread(1).await.unwrap();
        assert_eq!(one.payload, format!("one v1 {}", first.updated).as_bytes());
        assert_eq!((one.action, one.change), (Action::Create, first.change));
        assert_eq!((one.entry[11], one.salt_id), (1, [9; 16]));
        assert_eq!(vread(2).await.unwrap().updated, second.updated);
        assert!(vread(4).await.is_none());
        assert!(store.read(&permit, &key("Organization/b")).await.unwrap().is_none());
        assert!(store.read(&permit, &key("Location/a")).await.unwrap().is_none());
    });
}

#[test]
fn all_versions_are_scanned_in_change_order() {
    on_each_engine(async |site| {
        let store = &*site.store;
        for name in ["Organization/a", "Location/b", "Organization/c"] {
            commit_one(store, write(name, None, "one")).await.unwrap();
        }

        let first = store.scan_versions(0, 2).await.unwrap();
        let rest = store.scan_versions(first[1].change, 2).await.unwrap();

        let keys: Vec<String> =
            first.iter().chain(&rest).map(|version| version.key.to_string()).collect();
        assert_eq!(keys, ["Organization/a", "Location/b", "Organization/c"]);
    });
}

#[test]
fn settings_are_kept_and_replaced() {
    on_each_engine(async |site| {
        let store = &*site.store;
        assert_eq!(store.setting("origin").await.unwrap(), None);

        store.set_setting("origin", b"one").await.unwrap();
        store.set_setting("origin", b"two").await.unwrap();

        assert_eq!(store.setting("origin").await.unwrap(), Some(b"two".to_vec()));
        store.ping().await.unwrap();
    });
}

#[test]
fn the_newest_change_of_types_moves_with_each_write_and_deletion_of_them() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let types = |names: &[&str]| -> Vec<fhir::ResourceType> {
            names.iter().map(|name| fhir::ResourceType::parse(name).unwrap()).collect()
        };
        let newest = async |names: &[&str]| store.newest_change(&types(names)).await.unwrap();
        assert_eq!(newest(&["Organization", "Location"]).await, 0);

        let first = commit_one(store, write("Organization/a", None, "one")).await.unwrap();
        let second = commit_one(store, write("Location/b", None, "one")).await.unwrap();
        assert_eq!(newest(&["Organization"]).await, first.change);
        assert_eq!(newest(&["Organization", "Location"]).await, second.change);

        let third = commit_one(store, delete("Organization/a", 1)).await.unwrap();
        assert_eq!(newest(&["Location", "Organization"]).await, third.change);
        assert_eq!(newest(&["Location"]).await, second.change);
    });
}
