//! History of instances, types and everything.

use fhir::ResourceType;
use policy::Permit;
use registry::page::{HistoryQuery, HistoryScope};
use registry::write_set::Write;

use crate::engines::on_each_engine;
use crate::sets::{commit_one, delete, id, key, patient_permit, write};

fn query(scope: HistoryScope, count: u32) -> HistoryQuery {
    HistoryQuery { scope, since: None, at: None, list: None, count, cursor: None }
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
        assert_eq!(listed(instance).await, (a.into(), Some(3), None));
        let (texts, total, next) = listed(typed.clone()).await;
        assert_eq!(
            (texts.as_str(), total),
            ("Organization/a/3 Organization/b/1 Organization/a/2", Some(4))
        );
        let rest = HistoryQuery { cursor: next.clone(), ..typed };
        assert_eq!(listed(rest).await, ("Organization/a/1".into(), Some(4), None));
        let foreign = HistoryQuery { cursor: next, ..system.clone() };
        assert!(store.history(&permit, &foreign).await.is_err());
        assert_eq!(listed(system).await.1, Some(5));
        assert_eq!(
            listed(since).await,
            ("Organization/a/3 Organization/b/1".into(), Some(2), None)
        );
    });
}

#[test]
fn a_time_lists_the_versions_that_were_current_in_it() {
    on_each_engine(async |site| {
        let (store, permit) = (&*site.store, Permit::maintenance());
        let mut made = Vec::new();
        for (at, text) in ["one", "two", "three"].into_iter().enumerate() {
            let previous = (at > 0).then_some(at as u64);
            let one = write("Organization/a", previous, text);
            made.push(commit_one(store, one).await.unwrap().updated.micros());
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        made.push(commit_one(store, delete("Organization/a", 3)).await.unwrap().updated.micros());
        let current = async |lo_us: i64, hi_us: i64| {
            let at = Some(fhir::TimeRange { lo_us, hi_us });
            let scope = HistoryScope::Instance(key("Organization/a"));
            let page =
                store.history(&permit, &HistoryQuery { at, ..query(scope, 10) }).await.unwrap();
            assert_eq!(page.total, Some(page.versions.len() as u64));
            assert!(page.is_known);
            page.versions.iter().map(|one| one.version.number()).collect::<Vec<_>>()
        };

        assert_eq!(current(made[0] - 10, made[0]).await, Vec::<u64>::new());
        assert_eq!(current(made[0], made[0] + 1).await, [1]);
        assert_eq!(current(made[1] - 1, made[1]).await, [1]);
        assert_eq!(current(made[1], made[1] + 1).await, [2]);
        assert_eq!(current(made[0], made[2] + 1).await, [3, 2, 1]);
        assert_eq!(current(made[3] + 10, made[3] + 20).await, [4]);
        let absent = query(HistoryScope::Instance(key("Organization/none")), 10);
        assert!(!store.history(&permit, &absent).await.unwrap().is_known);
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

        assert_eq!((page.versions.len(), page.total), (1, Some(1)));
        assert_eq!(page.versions[0].key, key("Observation/a"));
        assert_eq!((system.versions.len(), system.total), (1, Some(1)));
    });
}
