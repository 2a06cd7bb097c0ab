//! Chains and `_has` find the same whether their sets are listed or probed for each candidate.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use fhir::{Instant, ResourceKey, Tree, VersionId, patient_compartment, sort_time};
use futures::FutureExt;
use policy::{AccessRequest, Permit, Principal, Role};
use serde_json::{Value as Json, json};

use super::page::run_within;
use super::resolve::Limits;
use super::{ParseOptions, parse};
use crate::hash::IndexKey;
use crate::index::index_rows;
use crate::sqlite::{SqliteOptions, SqliteStore};
use crate::store::Store;
use crate::write_set::{Action, Finish, Finished, Write, WriteSet};

#[test]
fn listed_and_probed_sets_give_the_same_matches() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("registry.db");
    let now = AtomicI64::new(1_767_225_600_000_000);
    let clock = Arc::new(move || Instant::from_micros(now.fetch_add(1, Ordering::Relaxed)));
    let store = SqliteStore::open(SqliteOptions::new(&path, clock)).expect("the database opens");
    let writes = resources().iter().map(|json| write(json, store.index_key())).collect();
    let set = WriteSet {
        writes,
        depends: Vec::new(),
        new_keys: Vec::new(),
        idempotency: None,
        access: None,
        reads: Vec::new(),
        erasing: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    runtime.block_on(store.commit(set)).expect("the write succeeds");
    let connection = rusqlite::Connection::open(&path).expect("a second connection opens");

    for query in QUERIES {
        for patient in [None, Some("p1"), Some("p2")] {
            let ask = |limits| keys(query, patient, limits, store.index_key(), &connection);
            let listed = ask(Limits::default());
            let probed = ask(Limits { chain_targets: 0, has_sources: 0 });
            assert_eq!(listed, probed, "{query} as {patient:?}");
            assert!(patient.is_some() || !listed.is_empty(), "{query}");
        }
    }
}

fn keys(
    text: &str,
    patient: Option<&str>,
    limits: Limits,
    key: &IndexKey,
    mut connection: &rusqlite::Connection,
) -> Vec<String> {
    let options = ParseOptions { base_url: "", lenient: false, now_us: 0, codes: None };
    let (of, query) = text.split_once('?').expect("a query");
    let of = fhir::ResourceType::parse(of).expect("a type");
    let query = parse(of, query, &options).expect("a valid query");
    let permit = patient.map_or_else(Permit::maintenance, |patient| {
        let principal = Principal::builder("user")
            .role(Role::Patient)
            .scopes("patient/*.rs")
            .patient(fhir::ResourceId::parse(patient).expect("an id"))
            .build();
        policy::decide(&principal, &AccessRequest::Search(of)).expect("patients may search")
    });
    let answer = run_within(limits, &query, &permit, key, &mut connection);
    let page = answer.now_or_never().expect("SQLite answers at once").expect("the search succeeds");
    page.hits.iter().map(|hit| hit.version.key.to_string()).collect()
}

fn write(json: &Json, index_key: &IndexKey) -> Write {
    let tree = Tree::parse(json.to_string().into_bytes()).expect("JSON");
    let text = |name: &str| json[name].as_str().expect("a text");
    let key = ResourceKey::parse(&format!("{}/{}", text("resourceType"), text("id")));
    let key = key.expect("a key");
    let node = tree.root();
    Write {
        previous: None,
        action: Action::Create,
        finish: std::sync::Arc::new(Nothing),
        rows: index_rows(node, key.resource_type, "", index_key),
        patients: patient_compartment(node, &key, ""),
        sort_us: sort_time(node, key.resource_type),
        key,
    }
}

struct Nothing;

impl Finish for Nothing {
    fn finish(&self, _version: VersionId, _updated: Instant) -> Finished {
        Finished { payload: vec![1], entry: [7; 36], salt_id: [9; 16] }
    }
}

/// Patients of both genders with observations, some in two compartments, some in none.
fn resources() -> Vec<Json> {
    let mut all = Vec::new();
    for at in 0..6 {
        let gender = if at % 2 == 0 { "female" } else { "male" };
        all.push(json!({"resourceType": "Patient", "id": format!("p{at}"), "gender": gender}));
    }
    for at in 0..30 {
        let mut observation = json!({
            "resourceType": "Observation", "id": format!("x{at}"),
            "status": if at % 3 == 0 { "final" } else { "amended" },
            "code": {"coding": [{"code": format!("c{}", at % 4)}]},
            "subject": {"reference": format!("Patient/p{}", at % 6)},
            "effectiveDateTime": format!("20{:02}-01-01", at % 20),
        });
        if at % 5 == 0 {
            let other = format!("Patient/p{}", (at + 1) % 6);
            observation["performer"] = json!([{"reference": other}]);
        }
        if at > 0 {
            let member = format!("Observation/x{}", at / 2);
            observation["hasMember"] = json!([{"reference": member}]);
        }
        if at % 7 == 0 {
            observation["subject"] = json!({"reference": "Group/g"});
        }
        all.push(observation);
    }
    all
}

const QUERIES: &[&str] = &[
    "Observation?subject:Patient.gender=female",
    "Observation?patient.gender=male&status=final",
    "Observation?performer:Patient.gender=male",
    "Observation?patient.gender:not=male&date=ge2010",
    "Patient?_has:Observation:patient:code=c1",
    "Patient?_has:Observation:performer:status=final",
    "Patient?_has:Observation:subject:date=ge2012&gender=male",
    "Observation?subject.gender=female",
    "Observation?has-member.subject:Patient.gender=female",
    "Observation?has-member.has-member.status:not=amended",
    "Observation?has-member.code=c1&status=final",
    "Observation?_has:Observation:has-member:patient.gender=male",
    "Patient?_has:Observation:patient:_has:Observation:has-member:status=amended",
    "Patient?_has:Observation:patient:has-member.code=c2&gender=male",
    "Patient?_id=p1,p2,p3&_has:Observation:patient:has-member.subject:Patient._id=p0,p1,p2,p3,p4,p5",
];
