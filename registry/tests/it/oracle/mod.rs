//! Searches against a naive oracle: same matches, same order, same totals, same pages, same includes.
//!
//! The oracle reads plain JSON by R4's own tables and the R4 search page, not by this program's code: `schema`
//! and `params` are the tables, `path` and `value` what a parameter selects, `compare` what a query means,
//! `naive` the search, `order` the sorting. `generate` makes resources, `cases` and `phrase` make queries from
//! what the product advertises. Where the standard leaves a choice, `docs/search.md` has it.
//!
//! `SEALWAY_FULL=1` asks every advertised way of every parameter, `SEALWAY_MATRIX=n` with n seeds.

mod cases;
mod check;
mod compare;
pub(crate) mod corpus;
mod dice;
mod filter;
mod filter_cases;
mod generate;
mod naive;
mod order;
mod params;
mod path;
mod phrase;
mod refused;
mod schema;
mod time;
mod value;
mod vocabulary;
mod words;

use std::collections::BTreeSet;

use fhir::ResourceType;
use policy::{AccessRequest, Permit, Principal, Role};
use serde_json::Value as Json;

use self::cases::{Case, Cases, supported_by};
pub(crate) use self::check::with_words;
use self::check::{Differences, check};
use self::dice::Dice;
use self::naive::Naive;
use self::schema::schema;
use crate::engines::{Site, on_each_engine};
use crate::sets::id;

#[test]
fn searches_over_fixtures_agree_with_the_oracle() {
    on_each_engine(async |site| {
        compare(site, corpus::fixtures(), &Effort { ways: 3, structures: 10, all: is_full() }, 7)
            .await;
    });
}

#[test]
fn searches_over_synthea_agree_with_the_oracle() {
    let bundles = std::env::var("SEALWAY_BUNDLES").ok().and_then(|bundles| bundles.parse().ok());
    let bundles = if is_full() { bundles } else { Some(4) };
    let Some(resources) = corpus::synthea(bundles) else {
        eprintln!("SKIPPED: no ../shared/data/synthea (set SEALWAY_SHARED)");
        return;
    };
    on_each_engine(async |site| {
        compare(site, resources.clone(), &Effort { ways: 1, structures: 6, all: false }, 11).await;
    });
}

#[test]
fn every_advertised_search_agrees_with_the_oracle() {
    let rounds = std::env::var("SEALWAY_MATRIX").ok().and_then(|rounds| rounds.parse().ok());
    let rounds = rounds.unwrap_or(1_u64);
    let is_long = is_full() || rounds > 1;
    for seed in 0..rounds {
        on_each_engine(async |site| {
            let effort = Effort { ways: 1, structures: 2, all: is_long };
            compare(site, generate::corpus(seed, 1), &effort, seed).await;
        });
    }
}

#[test]
fn the_random_corpus_is_valid() {
    let wrong = generate::corpus(0, 2).into_iter().filter_map(|json| {
        let key = format!("{}/{}", json["resourceType"], json["id"]);
        let refused =
            fhir::Resource::read(json.to_string().into_bytes(), &fhir::ReadLimits::default());
        refused.err().map(|issues| format!("{key}: {issues:?}"))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}: {:#?}", wrong.len(), &wrong[..wrong.len().min(40)]);
}

fn is_full() -> bool {
    std::env::var_os("SEALWAY_FULL").is_some()
}

/// How much is asked.
struct Effort {
    /// Ways of each parameter, unless `all`.
    ways: usize,
    /// Chains, `_has`, includes, sort orders and conjunctions of each type.
    structures: usize,
    all: bool,
}

async fn compare(site: &Site, resources: Vec<Json>, effort: &Effort, seed: u64) {
    let started = std::time::Instant::now();
    let index_key = site.store.index_key();
    let stored = corpus::write(&*site.store, index_key, resources).await;
    let mut oracle = Naive::new(stored);
    let all = questions(&oracle, effort, seed);
    let written = started.elapsed();
    let mut differences = Differences::default();
    let mut progress = Progress::of(site, all.len());
    for case in &all {
        check(&*site.store, &oracle, &Permit::maintenance(), case, &mut differences).await;
        progress.step("", &differences);
    }
    let patients: Vec<_> = oracle.visible("Patient").map(|one| one.id().to_owned()).collect();
    oracle.patient = patients.get(2).cloned();
    if let Some(patient) = &oracle.patient.clone() {
        let some = all.iter().step_by(if effort.all { 1 } else { 4 });
        let mut progress = Progress::of(site, all.len());
        for case in some.filter(|case| !case.of.is_empty() && case.owner.is_none()) {
            let Some(permit) = patient_permit(patient, case.of) else { continue };
            oracle.included = *permit.included_types();
            check(&*site.store, &oracle, &permit, case, &mut differences).await;
            progress.step(" as a patient", &differences);
        }
    }
    eprintln!(
        "{}: seed {seed}, {} resources written in {written:?}, {} queries, {} searches, {} matches, {:?}",
        site.engine,
        oracle.resources.len(),
        all.len(),
        differences.searches,
        differences.matches,
        started.elapsed(),
    );
    differences.report();
}

/// What a long comparison says while it runs: each difference at once, and once a minute how far it is.
struct Progress {
    engine: &'static str,
    all: usize,
    done: usize,
    told: usize,
    last: std::time::Instant,
}

impl Progress {
    fn of(site: &Site, all: usize) -> Self {
        Self { engine: site.engine, all, done: 0, told: 0, last: std::time::Instant::now() }
    }

    fn step(&mut self, who: &str, differences: &Differences) {
        self.done += 1;
        for found in differences.found.iter().skip(self.told) {
            eprintln!(
                "{}: DIFFERS: {}",
                self.engine,
                found.chars().take(2_000).collect::<String>()
            );
        }
        self.told = differences.found.len();
        if self.last.elapsed() >= TOLD_EVERY {
            self.last = std::time::Instant::now();
            eprintln!("{}: {} of at most {} queries{who}", self.engine, self.done, self.all);
        }
    }
}

/// All queries over a corpus, the same for the same seed.
fn questions(oracle: &Naive, effort: &Effort, seed: u64) -> BTreeSet<Case> {
    let mut all = BTreeSet::new();
    let mut maker = Cases { oracle, dice: Dice::named(seed, "several types") };
    for _ in 0..20 * effort.structures {
        all.extend(maker.system());
        all.extend(maker.compartment());
    }
    for of in schema().stored() {
        if oracle.visible(of).next().is_none() {
            continue;
        }
        let mut maker = Cases { oracle, dice: Dice::named(seed, of) };
        let params = supported_by(of);
        for param in &params {
            if effort.all {
                all.extend(maker.of_param(of, param));
            } else {
                all.extend((0..effort.ways).filter_map(|_| maker.any_way(of, param)));
            }
            all.extend(maker.compared(of, param, effort.all));
        }
        let any = |maker: &mut Cases<'_>| {
            let param = maker.dice.pick_any(&params)?;
            maker.any_way(of, &param)
        };
        for at in 0..effort.structures {
            let sort = maker.sort(of, 1 + at % 3);
            let include = maker.include(of);
            let (one, other) = (any(&mut maker), any(&mut maker));
            let levels = 1 + maker.dice.roll(LEVELS);
            all.extend(maker.chain(of, levels));
            all.extend(maker.has(of, levels));
            let filter = maker.filter(of, levels);
            all.extend(filter.as_ref().zip(one.as_ref()).map(|(filter, one)| filter.and(one)));
            all.extend(filter.as_ref().zip(sort.as_ref()).map(|(filter, sort)| filter.and(sort)));
            all.extend(filter);
            all.extend(one.as_ref().zip(other.as_ref()).map(|(one, other)| one.and(other)));
            all.extend(one.as_ref().zip(sort.as_ref()).map(|(one, sort)| one.and(sort)));
            all.extend(one.as_ref().zip(include.as_ref()).map(|(one, include)| one.and(include)));
            all.extend(one.as_ref().map(|one| maker.list(of).and(one)));
            all.extend(maker.include_twice(of));
            all.extend(sort);
            all.extend(include);
        }
    }
    all
}

/// What a patient may search; some types are closed to patients.
fn patient_permit(patient: &str, of: &str) -> Option<Permit> {
    let builder = Principal::builder("user").role(Role::Patient).scopes("patient/*.rs");
    let principal = builder.patient(id(patient)).build();
    policy::decide(&principal, &AccessRequest::Search(ResourceType::parse(of)?)).ok()
}

/// How often a long comparison says how far it is.
const TOLD_EVERY: std::time::Duration = std::time::Duration::from_secs(60);
/// Hops of a chain and levels of `_has`.
const LEVELS: usize = 3;
