//! Searches against a naive oracle: same matches, same order, same totals, same pages.
//!
//! The oracle reads plain JSON by hand and knows the R4 search page, not this program.

pub(crate) mod corpus;
mod naive;
mod shapes;
mod value;

use std::collections::BTreeSet;

use fhir::ResourceType;
use policy::{AccessRequest, Permit, Principal, Role};
use registry::page::HitMode;
use registry::search::{ParseOptions, SearchQuery, pairs, parse};
use registry::store::Store;
use serde_json::Value as Json;

use self::naive::{Naive, Stored};
use self::shapes::{Filler, SHAPES};
use crate::engines::{Site, on_each_engine};
use crate::sets::id;

#[test]
fn searches_over_fixtures_agree_with_the_oracle() {
    on_each_engine(async |site| {
        check_corpus(site, corpus::fixtures(), 4).await;
    });
}

#[test]
fn searches_over_synthea_agree_with_the_oracle() {
    let full = std::env::var_os("SEALWAY_FULL").is_some();
    let Some(resources) = corpus::synthea(if full { None } else { Some(4) }) else {
        eprintln!("SKIPPED: no ../shared/data/synthea (set SEALWAY_SHARED)");
        return;
    };
    on_each_engine(async |site| {
        check_corpus(site, resources.clone(), 2).await;
    });
}

async fn check_corpus(site: &Site, resources: Vec<Json>, rounds: u64) {
    let index_key = site.store.index_key();
    let stored = corpus::write(&*site.store, index_key, resources).await;
    let mut oracle = Naive::new(stored);
    let mut queries = BTreeSet::new();
    for shape in SHAPES {
        for round in 0..rounds {
            let seed = round * 7_919 + u64::try_from(shape.len()).unwrap_or(0);
            queries.extend(Filler::new(&oracle.resources, seed).fill(shape));
        }
    }
    eprintln!("{}: {} resources, {} queries", site.engine, oracle.resources.len(), queries.len());
    let mut failures = Vec::new();
    for query in &queries {
        check(&*site.store, &oracle, &Permit::maintenance(), query, &mut failures).await;
    }
    let patients = oracle.resources.iter().filter(|one| one.key.starts_with("Patient/"));
    let patient = patients.map(|one| one.key[8..].to_owned()).nth(2).unwrap();
    oracle.patient = Some(patient.clone());
    for query in &queries {
        let (of, _) = query.split_once('?').unwrap();
        let permit = patient_permit(&patient, ResourceType::parse(of).unwrap());
        check(&*site.store, &oracle, &permit, query, &mut failures).await;
    }
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        queries.len(),
        failures.join("\n")
    );
}

fn patient_permit(patient: &str, of: ResourceType) -> Permit {
    let builder = Principal::builder("user").role(Role::Patient).scopes("patient/*.rs");
    let principal = builder.patient(id(patient)).build();
    policy::decide(&principal, &AccessRequest::Search(of)).unwrap()
}

/// One query at several page sizes, forwards and backwards.
async fn check(
    store: &dyn Store,
    oracle: &Naive,
    permit: &Permit,
    text: &str,
    failures: &mut Vec<String>,
) {
    let who = oracle.patient.as_deref().unwrap_or("all");
    let (of, query) = text.split_once('?').unwrap();
    let filters = pairs(query).unwrap();
    let expected = oracle.search(of, &filters);
    let sort = filters.iter().find(|(name, _)| name == "_sort").map_or("", |(_, keys)| keys);
    let want: BTreeSet<&str> = expected.iter().map(|stored| &*stored.key).collect();
    let mut first: Option<Vec<String>> = None;
    for count in [1_000, 50, 7, 1] {
        if want.len() > 40 * count {
            continue;
        }
        let found = match pages(store, permit, of, query, count, want.len()).await {
            Ok(found) => found,
            Err(why) => {
                failures.push(format!("[{who}] {text} by {count}: {why}"));
                return;
            }
        };
        let got: BTreeSet<&str> = found.iter().map(|key| &**key).collect();
        if got != want || found.len() != want.len() {
            let missing: Vec<_> = want.difference(&got).take(3).collect();
            let extra: Vec<_> = got.difference(&want).take(3).collect();
            failures.push(format!(
                "[{who}] {text} by {count}: {} of {}, missing {missing:?}, extra {extra:?}",
                found.len(),
                want.len()
            ));
            return;
        }
        let in_order: Vec<&Stored> = found.iter().filter_map(|key| oracle.named(key)).collect();
        if !oracle.is_sorted(sort, &in_order) {
            failures.push(format!("[{who}] {text} by {count}: wrong order"));
            return;
        }
        if first.get_or_insert_with(|| found.clone()) != &found {
            failures.push(format!("[{who}] {text} by {count}: another order than before"));
            return;
        }
    }
}

/// All keys, page after page; each page but the first leads back to the one before it.
async fn pages(
    store: &dyn Store,
    permit: &Permit,
    of: &str,
    query: &str,
    count: usize,
    total: usize,
) -> Result<Vec<String>, String> {
    let of = ResourceType::parse(of).unwrap();
    let ask = |query: &str| -> Result<SearchQuery, String> {
        let base_url = "http://example.org/fhir";
        let options = ParseOptions { base_url, lenient: false, now_us: 1_767_225_600_000_000 };
        parse(of, query, &options).map_err(|error| error.to_string())
    };
    let mut parsed = ask(&format!("{query}&_count={count}&_total=accurate"))?;
    let mut found = Vec::new();
    let mut before: Option<Vec<String>> = None;
    loop {
        let page = store.search(permit, &parsed).await.map_err(|error| error.to_string())?;
        let keys: Vec<String> = page.hits.iter().map(|hit| hit.version.key.to_string()).collect();
        if page.hits.iter().any(|hit| hit.mode != HitMode::Match) {
            return Err("a hit that is no match".into());
        }
        if page.total != u64::try_from(total).ok() {
            return Err(format!("total {:?} instead of {total}", page.total));
        }
        if let Some(before) = &before {
            let link = page.previous.as_ref().ok_or("no way back")?;
            let back = ask(&parsed.page_query(link))?;
            let back = store.search(permit, &back).await.map_err(|error| error.to_string())?;
            let back: Vec<_> = back.hits.iter().map(|hit| hit.version.key.to_string()).collect();
            if back != *before {
                return Err(format!("the way back shows {back:?} instead of {before:?}"));
            }
        } else if page.previous.is_some() {
            return Err("the first page leads back".into());
        }
        found.extend(keys.iter().cloned());
        if found.len() > total {
            return Err(format!("{} of {total}", found.len()));
        }
        let Some(next) = page.next else { return Ok(found) };
        if keys.len() != count {
            return Err(format!("a short page of {} leads on", keys.len()));
        }
        before = Some(keys);
        parsed = ask(&parsed.page_query(&next))?;
    }
}
