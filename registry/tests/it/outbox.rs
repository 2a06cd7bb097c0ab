//! The outboxes: ledger entries, and access records.

use fhir::VersionKey;
use registry::error::CommitError;
use registry::outbox::SealedRange;
use registry::write_set::{AccessRecord, WriteSet};

use crate::engines::on_each_engine;
use crate::sets::{commit_one, key, set, version, write};

#[test]
fn the_outbox_is_drained_in_order_and_places_are_kept() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let a = commit_one(store, write("Organization/a", None, "one")).await.unwrap();
        let b = commit_one(store, write("Organization/b", None, "one")).await.unwrap();
        let c = commit_one(store, write("Organization/c", None, "one")).await.unwrap();
        store.outbox_changed().await;

        let rows = store.outbox(0, 10).await.unwrap();
        let ids: Vec<u64> = rows.iter().map(|row| row.outbox_id).collect();
        assert_eq!(rows.len(), 3);
        assert!(ids.is_sorted());
        assert_eq!(rows[0].change, Some(a.change));
        assert_eq!((rows[1].change, rows[2].change), (Some(b.change), Some(c.change)));
        assert_eq!(store.outbox(ids[0], 1).await.unwrap(), [rows[1].clone()]);

        let range =
            SealedRange { first_index: 0, outbox_ids: vec![None, Some(ids[0]), Some(ids[1])] };
        store.mark_sealed(vec![range.clone()]).await.unwrap();
        store.mark_sealed(vec![range]).await.expect("a repetition changes nothing");

        assert_eq!(store.outbox(0, 10).await.unwrap(), [rows[2].clone()]);
        assert_eq!(store.sealed_size().await.unwrap(), 3);
        let index = async |text| {
            let key = VersionKey { key: key(text), version: version(1) };
            store.log_index(&key).await.unwrap()
        };
        assert_eq!(index("Organization/a").await, Some(1));
        assert_eq!(index("Organization/b").await, Some(2));
        let gap = SealedRange { first_index: 4, outbox_ids: vec![Some(ids[2])] };
        let refused = store.mark_sealed(vec![gap]).await;
        assert!(matches!(refused, Err(CommitError::Stale)));
    });
}

#[test]
fn an_access_record_is_committed_with_its_set_and_waits_until_it_is_cleared() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let record = |byte: u8| AccessRecord {
            salt_id: [byte; 16],
            entry: [byte; 36],
            body: vec![byte; 100 + usize::from(byte)],
        };
        let naming = |byte, writes| WriteSet { access: Some(record(byte)), ..set(writes) };
        store.commit(naming(1, vec![write("Organization/a", None, "one")])).await.unwrap();
        store.commit(naming(2, vec![write("Organization/b", None, "one")])).await.unwrap();
        let stale = store.commit(naming(3, vec![write("Organization/a", None, "two")])).await;
        assert!(matches!(stale, Err(CommitError::Stale)));

        let rows = store.access_outbox(10).await.unwrap();
        let records: Vec<_> = rows.iter().map(|row| row.record.clone()).collect();
        assert_eq!(records, [record(1), record(2)], "a refused set leaves no record");
        assert_eq!(store.access_outbox(1).await.unwrap(), rows[..1]);

        let ids = vec![rows[0].access_id];
        store.clear_accesses(ids.clone()).await.unwrap();
        store.clear_accesses(ids).await.expect("a repetition changes nothing");
        assert_eq!(store.access_outbox(10).await.unwrap(), rows[1..]);
    });
}
