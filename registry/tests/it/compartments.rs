//! Who sees what by patient compartment, also before the patient exists.

use fhir::ResourceType;
use policy::{Permit, TypeSet};
use registry::page::{CompartmentPage, CompartmentQuery, HistoryQuery, HistoryScope};
use registry::write_set::{Match, MatchOutcome, Write};

use crate::engines::on_each_engine;
use crate::sets::{commit_one, delete, id, key, patient_permit, set, version, write};

fn of_patients(write: Write, patients: &[&str]) -> Write {
    Write { patients: patients.iter().map(|patient| id(patient)).collect(), ..write }
}

#[test]
fn a_compartment_holds_resources_written_before_their_patient() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let observation = key("Observation/o");
        let own = patient_permit("p", &observation);
        let other = patient_permit("q", &observation);
        let write_observation = of_patients(write("Observation/o", None, "one"), &["p"]);

        commit_one(store, write_observation).await.unwrap();
        let placeholder = store.read(&Permit::maintenance(), &key("Patient/p")).await.unwrap();
        let asked = store.resolve(&Permit::maintenance(), &[Match::Key(key("Patient/p"))]).await;
        let patient = of_patients(write("Patient/p", None, "Ada"), &["p"]);
        let made = commit_one(store, patient).await.unwrap();

        assert!(placeholder.is_none());
        assert_eq!(asked.unwrap(), [MatchOutcome::Key(None)]);
        assert_eq!(made.version, version(1));
        assert!(store.read(&own, &observation).await.unwrap().is_some());
        assert!(store.read(&other, &observation).await.unwrap().is_none());
        let patient = key("Patient/p");
        assert!(store.read(&patient_permit("p", &patient), &patient).await.unwrap().is_some());
    });
}

#[test]
fn a_resource_of_several_patients_is_seen_by_each_of_them_only() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let group = key("Appointment/a");
        let permits = ["p", "q", "r"].map(|patient| patient_permit(patient, &group));
        let sees = async || {
            let mut seen = Vec::new();
            for permit in &permits {
                seen.push(store.read(permit, &group).await.unwrap().is_some());
            }
            seen
        };

        let both = of_patients(write("Appointment/a", None, "one"), &["p", "q"]);
        commit_one(store, both).await.unwrap();
        assert_eq!(sees().await, [true, true, false]);

        let moved = of_patients(write("Appointment/a", Some(1), "two"), &["q", "r"]);
        commit_one(store, moved).await.unwrap();
        assert_eq!(sees().await, [false, true, true]);

        commit_one(store, delete("Appointment/a", 2)).await.unwrap();
        assert_eq!(sees().await, [false, true, true]);

        let of_r = HistoryQuery {
            scope: HistoryScope::Instance(group.clone()),
            since: None,
            at: None,
            list: None,
            count: 10,
            cursor: None,
        };
        let page = store.history(&permits[2], &of_r).await.unwrap();
        let versions: Vec<u64> = page.versions.iter().map(|one| one.version.number()).collect();
        assert_eq!((versions, page.total), (vec![3, 2], Some(2)));
    });
}

#[test]
fn a_hidden_resource_resolves_as_hidden_not_as_absent() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let observation = key("Observation/o");
        commit_one(store, of_patients(write("Observation/o", None, "one"), &["p"])).await.unwrap();
        let asked = [Match::Key(observation.clone())];

        let own = store.resolve(&patient_permit("p", &observation), &asked).await.unwrap();
        let other = store.resolve(&patient_permit("q", &observation), &asked).await.unwrap();

        assert_eq!(own, [MatchOutcome::Key(Some((version(1), false)))]);
        assert_eq!(other, [MatchOutcome::Hidden]);
    });
}

#[test]
fn universal_types_are_seen_by_patients_and_other_unowned_ones_are_not() {
    on_each_engine(async |site| {
        let store = &*site.store;
        commit_one(store, write("Organization/o", None, "one")).await.unwrap();
        commit_one(store, write("Observation/o", None, "one")).await.unwrap();

        let read = async |text| {
            let key = key(text);
            store.read(&patient_permit("p", &key), &key).await.unwrap().is_some()
        };

        assert!(read("Organization/o").await);
        assert!(!read("Observation/o").await);
    });
}

#[test]
fn a_compartment_is_listed_page_by_page_with_what_several_patients_share() {
    on_each_engine(async |site| {
        let store = &*site.store;
        commit_one(store, of_patients(write("Patient/p", None, "one"), &["p"])).await.unwrap();
        for (name, patients) in [
            ("Observation/a", &["p"][..]),
            ("Observation/b", &["q"][..]),
            ("Appointment/c", &["p", "q"][..]),
            ("Condition/d", &["p"][..]),
            ("Organization/e", &[][..]),
        ] {
            commit_one(store, of_patients(write(name, None, "one"), patients)).await.unwrap();
        }
        commit_one(store, of_patients(write("Condition/d", Some(1), "two"), &["p"])).await.unwrap();
        commit_one(store, of_patients(write("Observation/f", None, "one"), &["p"])).await.unwrap();
        commit_one(store, delete("Observation/f", 1)).await.unwrap();
        let query = |count, types, cursor| CompartmentQuery {
            patient: id("p"),
            types,
            since: None,
            count,
            cursor,
        };
        let names = |page: &CompartmentPage| -> Vec<String> {
            page.members.iter().map(|(one, _)| format!("{}/{}", one.key, one.version)).collect()
        };
        let all = Permit::maintenance();

        let first = query(2, TypeSet::all(), None);
        let page = store.compartment(&all, &first).await.unwrap();
        assert_eq!(
            (names(&page).join(" ").as_str(), page.is_more),
            ("Observation/a/1 Appointment/c/1", true)
        );
        let cursor = page.members.last().map(|(_, cursor)| cursor.clone());
        let second = query(2, TypeSet::all(), cursor.clone());
        let page = store.compartment(&all, &second).await.unwrap();
        assert_eq!((names(&page), page.is_more), (vec!["Condition/d/2".to_owned()], false));

        let typed = query(9, TypeSet::one(ResourceType::OBSERVATION), None);
        assert_eq!(names(&store.compartment(&all, &typed).await.unwrap()), ["Observation/a/1"]);
        let foreign = CompartmentQuery { cursor, ..typed.clone() };
        assert!(store.compartment(&all, &foreign).await.is_err());
        let other = patient_permit("q", &key("Observation/b"));
        assert!(store.compartment(&other, &typed).await.unwrap().members.is_empty());
        let own = patient_permit("p", &key("Observation/a"));
        assert_eq!(names(&store.compartment(&own, &typed).await.unwrap()), ["Observation/a/1"]);
    });
}

#[test]
fn a_patient_written_after_its_results_in_one_set_is_one_resource() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let (observation, patient) = (key("Observation/o"), key("Patient/p"));
        let writes = vec![
            of_patients(write("Observation/o", None, "one"), &["p"]),
            of_patients(write("Patient/p", None, "Ada"), &["p"]),
        ];

        store.commit(set(writes)).await.unwrap();

        for of in [&observation, &patient] {
            let own = patient_permit("p", of);
            assert!(store.read(&own, of).await.unwrap().is_some(), "{of}");
            assert!(store.read(&Permit::maintenance(), of).await.unwrap().is_some(), "{of}");
        }
        let update = of_patients(write("Patient/p", Some(1), "Eve"), &["p"]);
        assert_eq!(commit_one(store, update).await.unwrap().version, version(2));
    });
}
