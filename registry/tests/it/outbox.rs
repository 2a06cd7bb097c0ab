//! The outbox of ledger entries.

use fhir::VersionKey;
use registry::error::CommitError;
use registry::outbox::SealedRange;
use registry::write_set::{ExtraEntry, WriteSet};

use crate::engines::on_each_engine;
use crate::sets::{commit_one, key, set, version, write};

#[test]
fn the_outbox_is_drained_in_order_and_places_are_kept() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let a = commit_one(store, write("Organization/a", None, "one")).await.unwrap();
        let with_extra = WriteSet {
            extra_entries: vec![ExtraEntry { entry: [3; 36], salt_id: [4; 16] }],
            ..set(vec![write("Organization/b", None, "one")])
        };
        store.commit(with_extra).await.unwrap();
        store.outbox_changed().await;

        let rows = store.outbox(0, 10).await.unwrap();
        let ids: Vec<u64> = rows.iter().map(|row| row.outbox_id).collect();
        assert_eq!(rows.len(), 3);
        assert!(ids.is_sorted());
        assert_eq!(rows[0].change, Some(a.change));
        assert_eq!((rows[2].change, rows[2].entry), (None, [3; 36]));
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
