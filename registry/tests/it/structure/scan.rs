//! Pages under concurrent writes: a scan shows each resource that did not change exactly once, none of them twice,
//! forwards by `next` and back by `previous`.
//!
//! In CI some hundred writes run beside the scans, with `SEALWAY_FULL=1` ten thousand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use fhir::ResourceType;
use policy::Permit;
use registry::page::{Cursor, Page};
use registry::search::SearchTarget;
use registry::write_set::{Action, Write};
use serde_json::{Value as Json, json};

use super::parse_at;
use crate::engines::{Site, on_each_engine};
use crate::oracle::corpus;
use crate::sets::{delete, set, version};

#[test]
fn scans_beside_many_writes_show_what_did_not_change_exactly_once() {
    let writes = if std::env::var_os("SEALWAY_FULL").is_some() { 10_000 } else { 600 };
    on_each_engine(async |site| {
        let still: Vec<_> = (0..STILL).map(|at| observation(&format!("s{at}"), at)).collect();
        corpus::write(&*site.store, site.store.index_key(), still).await;
        let done = AtomicBool::new(false);

        let scans = async {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) || rounds == 0 {
                for query in QUERIES {
                    scan(site, query).await;
                }
                rounds += 1;
            }
        };
        let writing = async {
            disturb(site, writes).await;
            done.store(true, Ordering::Relaxed);
        };
        futures::future::join(scans, writing).await;
    });
}

/// How often each resource was seen.
type Seen = BTreeMap<String, u32>;

/// Forwards to the end, then back from the last page to the start.
async fn scan(site: &Site, text: &str) {
    let (path, text) = text.split_once('?').unwrap();
    let target = match path {
        "" => SearchTarget::System,
        _ => SearchTarget::Type(ResourceType::OBSERVATION),
    };
    let first = parse_at(&target, text).unwrap();
    let ask = async |cursor: Option<Cursor>| {
        let query = match cursor {
            Some(cursor) => parse_at(&target, &first.page_query(&cursor)).unwrap(),
            None => first.clone(),
        };
        site.store.search(&Permit::maintenance(), &query).await.unwrap()
    };
    let (mut seen, mut back) = (Seen::new(), Seen::new());
    let (mut cursor, mut previous) = (None, None);
    loop {
        let page = ask(cursor).await;
        note(&page, &mut seen);
        if !page.hits.is_empty() {
            back.clear();
            note(&page, &mut back);
            previous.clone_from(&page.previous);
        }
        let Some(next) = page.next else { break };
        cursor = Some(next);
    }
    while let Some(cursor) = previous {
        let page = ask(Some(cursor)).await;
        note(&page, &mut back);
        previous = page.previous;
    }
    expect_still(&seen, text, "forwards");
    expect_still(&back, text, "backwards");
}

fn note(page: &Page, seen: &mut Seen) {
    for hit in &page.hits {
        *seen.entry(hit.version.key.id.to_string()).or_insert(0) += 1;
    }
}

fn expect_still(seen: &Seen, query: &str, way: &str) {
    for at in 0..STILL {
        let times = seen.get(&format!("s{at}")).copied().unwrap_or(0);
        assert_eq!(times, 1, "s{at}: {query} {way}");
    }
}

/// Creates, dates that move, deletions, and creations anew, between the resources that stay as they are.
async fn disturb(site: &Site, writes: usize) {
    let key = site.store.index_key();
    let mut versions: BTreeMap<usize, u64> = BTreeMap::new();
    let mut deleted: BTreeMap<usize, bool> = BTreeMap::new();
    for at in 0..writes {
        let who = (at * 7) % MOVING;
        let known = versions.get(&who).copied();
        let is_deleted = deleted.get(&who).copied().unwrap_or(false);
        let name = format!("m{who}");
        let write = if at % 5 == 4 && known.is_some() && !is_deleted {
            delete(&format!("Observation/{name}"), known.unwrap_or(1))
        } else {
            let made = corpus::make(&observation(&name, at * 13), key);
            let action =
                if known.is_none() || is_deleted { Action::Create } else { Action::Update };
            Write { previous: known.map(version), action, ..made }
        };
        deleted.insert(who, write.action == Action::Delete);
        versions.insert(who, known.unwrap_or(0) + 1);
        site.store.commit(set(vec![write])).await.unwrap();
        tokio::task::yield_now().await;
    }
}

fn observation(id: &str, at: usize) -> Json {
    json!({
        "resourceType": "Observation", "id": id, "status": "final",
        "code": {"coding": [{"code": format!("c{}", at % 3)}]},
        "effectiveDateTime": format!("20{:02}-{:02}-01", at % 20, 1 + at % 12),
        "valueQuantity": {"value": at % 17},
        "subject": {"reference": format!("Patient/p{}", at % 5)},
    })
}

/// Resources that nobody changes.
const STILL: usize = 120;
/// Resources that change all the time.
const MOVING: usize = 60;
/// One of each way a page is found: streamed, walked, sorted, merged over types.
const QUERIES: &[&str] = &[
    "Observation?_count=13",
    "Observation?_count=17&code=c0,c1,c2",
    "Observation?_count=11&_sort=date",
    "Observation?_count=19&_sort=-value-quantity",
    "Observation?_count=23&_sort=_lastUpdated",
    "Observation?_count=29&_sort=value-quantity,-date",
    "?_count=14&_type=Observation,Patient,Encounter",
];
