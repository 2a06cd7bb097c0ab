//! Upkeep: which envelopes name objects, and answers that go.

use fhir::{Instant, VersionId};
use registry::upkeep::CHANGES_A_PAGE;
use registry::write_set::{Finish, Finished, Idempotency, Write, WriteSet};

use crate::engines::on_each_engine;
use crate::sets::{commit_one, set, write};

/// Stores these bytes.
struct Bytes(&'static [u8]);

impl Finish for Bytes {
    fn finish(&self, _: VersionId, _: Instant) -> Finished {
        Finished { payload: self.0.to_vec(), entry: [7; 36], salt_id: [9; 16] }
    }
}

fn storing(key: &str, payload: &'static [u8]) -> Write {
    Write { finish: std::sync::Arc::new(Bytes(payload)), ..write(key, None, "x") }
}

#[test]
fn the_envelopes_that_name_an_object_are_told_by_their_first_bytes() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let payloads: [(&str, &[u8]); 5] = [
            ("Organization/a", &[0xE5, 1, 2, 1, 0]),
            ("Organization/b", &[0xE5, 1, 4, 0, 0, 77]),
            ("Organization/c", &[0xE5, 1, 6, 1, 0]),
            ("Organization/d", &[0xE5, 2, 4, 0, 0]),
            ("Organization/e", &[0xE5, 1, 0, 0, 0]),
        ];
        for (key, payload) in payloads {
            commit_one(store, storing(key, payload)).await.unwrap();
        }

        let page = store.upkeep().object_envelopes(0).await.unwrap();
        assert_eq!(page.envelopes, [payloads[1].1, payloads[2].1]);
        assert_eq!(page.next, None, "five changes are less than {CHANGES_A_PAGE}");
        let rest = store.upkeep().object_envelopes(2).await.unwrap();
        assert_eq!(rest.envelopes, [payloads[2].1]);
    });
}

#[test]
fn the_oldest_answers_go_and_the_others_stay() {
    on_each_engine(async |site| {
        let store = &*site.store;
        assert_eq!(store.upkeep().oldest_answer().await.unwrap(), None);
        for control_id in ["one", "two", "three"] {
            let first = Idempotency {
                sender: "s".into(),
                control_id: control_id.into(),
                answer: control_id.into(),
            };
            store.commit(WriteSet { idempotency: Some(first), ..set(Vec::new()) }).await.unwrap();
        }
        let oldest = store.upkeep().oldest_answer().await.unwrap().unwrap();

        store.expire_answers(oldest).await.unwrap();
        assert_eq!(store.upkeep().oldest_answer().await.unwrap(), Some(oldest), "not before it");
        store.expire_answers(oldest + 1).await.unwrap();

        assert_eq!(store.first_answer("s", "one").await.unwrap(), None);
        assert_eq!(store.first_answer("s", "two").await.unwrap(), Some(b"two".to_vec()));
        assert!(store.upkeep().oldest_answer().await.unwrap() > Some(oldest));
        store.expire_answers(i64::MAX).await.unwrap();
        assert_eq!(store.upkeep().oldest_answer().await.unwrap(), None);
    });
}
