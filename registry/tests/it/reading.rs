//! Reads that belong to a transaction.

use futures::future::join_all;
use policy::Permit;
use registry::error::CommitError;
use registry::page::{HistoryQuery, HistoryScope};
use registry::reading::{Asked, NoReply, Reading, Reply, Unread};
use registry::search::{ParseOptions, parse};
use registry::store::Store;
use registry::write_set::WriteSet;
use serde_json::json;

use crate::engines::on_each_engine;
use crate::oracle::corpus;
use crate::sets::{ORGANIZATION, commit_one, delete, key, set, write};

fn asked(reading: Reading) -> Asked {
    Asked { permit: Permit::maintenance(), reading }
}

fn current(name: &str) -> Asked {
    asked(Reading::Current(key(name)))
}

fn search(query: &str) -> Asked {
    let options = ParseOptions { base_url: "", lenient: false, now_us: 0, codes: None };
    asked(Reading::Search(Box::new(parse(ORGANIZATION, query, &options).unwrap())))
}

fn reading(set: WriteSet, reads: Vec<Asked>) -> WriteSet {
    WriteSet { reads, ..set }
}

/// An organization that `identifier=urn:org|value` finds.
fn organization(store: &dyn Store, id: &str, value: &str) -> WriteSet {
    let json = json!({
        "resourceType": "Organization", "id": id,
        "identifier": [{"system": "urn:org", "value": value}]
    });
    set(vec![corpus::make(&json, store.index_key())])
}

fn unread(result: Result<impl Sized, CommitError>) -> Unread {
    match result {
        Err(CommitError::Unread(unread)) => unread,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was committed"),
    }
}

#[test]
fn reads_of_a_set_see_what_it_wrote() {
    on_each_engine(async |site| {
        let store = &*site.store;
        commit_one(store, write("Organization/old", None, "one")).await.unwrap();

        let reads = vec![
            current("Organization/new"),
            current("Organization/old"),
            search("identifier=urn:org|7"),
            asked(Reading::History(HistoryQuery {
                scope: HistoryScope::Type(ORGANIZATION),
                since: None,
                at: None,
                list: None,
                count: 10,
                cursor: None,
            })),
        ];
        let made = store.commit(reading(organization(store, "new", "7"), reads)).await.unwrap();

        let [
            Reply::Version(new),
            Reply::Version(old),
            Reply::Search(page),
            Reply::History(history),
        ] = &made.replies[..]
        else {
            panic!("{:?}", made.replies)
        };
        assert_eq!(new.key, key("Organization/new"));
        assert_eq!(new.change, made.versions[0].change);
        assert_eq!(old.key, key("Organization/old"));
        assert_eq!(page.hits.len(), 1);
        assert_eq!(history.total, Some(2));
    });
}

#[test]
fn a_read_without_an_answer_takes_its_set_back_and_nothing_else() {
    on_each_engine(async |site| {
        let store = &*site.store;
        commit_one(store, write("Organization/gone", None, "one")).await.unwrap();
        commit_one(store, delete("Organization/gone", 1)).await.unwrap();
        let sets = (0..30).map(|n| {
            let own = organization(store, &format!("o{n}"), &n.to_string());
            match n % 3 {
                0 => reading(own, vec![current(&format!("Organization/o{n}"))]),
                1 => reading(own, vec![search("identifier=x"), current("Organization/absent")]),
                _ => own,
            }
        });

        let results = join_all(sets.map(|set| store.commit(set))).await;

        for (n, result) in results.into_iter().enumerate() {
            let (permit, own) = (Permit::maintenance(), key(&format!("Organization/o{n}")));
            let found = store.read(&permit, &own).await.unwrap();
            if n % 3 == 1 {
                let unread = unread(result);
                assert_eq!(unread.at, 1, "set {n}");
                assert!(matches!(unread.cause, NoReply::Absent), "set {n}");
                assert!(found.is_none(), "set {n}");
            } else {
                assert_eq!(result.unwrap().replies.len(), usize::from(n % 3 == 0), "set {n}");
                assert!(found.is_some(), "set {n}");
            }
            let page = search(&format!("identifier=urn:org|{n}"));
            let page = store.read_together(vec![page]).await.unwrap().unwrap();
            let [Reply::Search(page)] = &page[..] else { panic!("a page") };
            assert_eq!(page.hits.len(), usize::from(n % 3 != 1), "index rows of set {n}");
        }
        let gone = reading(set(Vec::new()), vec![current("Organization/gone")]);
        assert!(matches!(unread(store.commit(gone).await).cause, NoReply::Deleted));
        let versions = store.scan_versions(0, 100).await.unwrap();
        assert_eq!(versions.len(), 2 + 20);
        assert_eq!(store.outbox(0, 100).await.unwrap().len(), versions.len());
    });
}

#[test]
fn reads_together_are_of_one_snapshot_and_fail_together() {
    on_each_engine(async |site| {
        let store = &*site.store;
        commit_one(store, write("Organization/a", None, "one")).await.unwrap();

        let good = store.read_together(vec![current("Organization/a"), search("_id=a")]).await;
        let bad = store.read_together(vec![current("Organization/a"), current("Organization/b")]);

        assert_eq!(good.unwrap().unwrap().len(), 2);
        assert_eq!(bad.await.unwrap().unwrap_err().at, 1);
    });
}
