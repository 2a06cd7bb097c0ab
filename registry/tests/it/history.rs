//! History of instances, types and everything.

use fhir::ResourceType;
use policy::Permit;
use registry::page::{HistoryQuery, HistoryScope};
use registry::write_set::Write;

use crate::engines::on_each_engine;
use crate::sets::{commit_one, delete, id, key, patient_permit, write};

fn query(scope: HistoryScope, count: u32) -> HistoryQuery {
    HistoryQuery { scope, since: None, count, before_change: None }
}

#[test]
fn history_pages_newest_first_and_counts_all() {
    on_each_engine(async |site| {
        let (store, permit) = (&*site.store, Permit::maintenance());
        commit_one(store, write("Organization/a", None, "one")).await.unwrap();
        commit_one(store, write("Location/l", None, "one")).await.unwrap();
        commit_one(store, write("Organization/a", Some(1), "two")).await.unwrap();
        let second = commit_one(store, write("Organization/b", None, "one")).await.unwrap();
        commit_one(store, delete("Organization/a", 2)).await.unwrap();
        let listed = async |query: HistoryQuery| {
            let page = store.history(&permit, &query).await.unwrap();
            let texts: Vec<String> = (page.versions.iter())
                .map(|one| format!("{}/{}", one.key, one.version.number()))
                .collect();
            (texts.join(" "), page.total, page.next)
        };

        let instance = query(HistoryScope::Instance(key("Organization/a")), 10);
        let typed = query(HistoryScope::Type(ResourceType::ORGANIZATION), 3);
        let system = query(HistoryScope::System, 10);
        let since = HistoryQuery { since: Some(second.updated), ..system.clone() };

        let a = "Organization/a/3 Organization/a/2 Organization/a/1";
        assert_eq!(listed(instance).await, (a.into(), 3, None));
        let (texts, total, next) = listed(typed.clone()).await;
        assert_eq!(
            (texts.as_str(), total),
            ("Organization/a/3 Organization/b/1 Organization/a/2", 4)
        );
        let rest = HistoryQuery { before_change: next, ..typed };
        assert_eq!(listed(rest).await, ("Organization/a/1".into(), 4, None));
        assert_eq!(listed(system).await.1, 5);
        assert_eq!(listed(since).await, ("Organization/a/3 Organization/b/1".into(), 2, None));
    });
}

#[test]
fn a_patient_sees_the_history_of_the_own_compartment_only() {
    on_each_engine(async |site| {
        let store = &*site.store;
        for (name, patient) in [("Observation/a", "p"), ("Observation/b", "q")] {
            let patients = vec![id(patient)];
            let one = Write { patients, ..write(name, None, "one") };
            commit_one(store, one).await.unwrap();
        }
        let permit = patient_permit("p", &key("Observation/a"));

        let typed = query(HistoryScope::Type(ResourceType::OBSERVATION), 10);
        let page = store.history(&permit, &typed).await.unwrap();
        let system = store.history(&permit, &query(HistoryScope::System, 10)).await.unwrap();

        assert_eq!((page.versions.len(), page.total), (1, 1));
        assert_eq!(page.versions[0].key, key("Observation/a"));
        assert_eq!((system.versions.len(), system.total), (1, 1));
    });
}
