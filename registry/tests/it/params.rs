//! Custom search parameters: activation, the fence of writes, the jobs that make rows, on each engine.

use std::sync::Arc;

use fhir::{CustomParam, ParamId, ParamKind, ParamLimits, ResourceType, SearchParams, Tree};
use policy::Permit;
use registry::check::{IndexRow, IndexTable};
use registry::error::{CommitError, ReadError};
use registry::index::{IndexRows, index_rows_with};
use registry::params::{Activation, ParamState, ReindexStep, Reindexed, WantedParam};
use registry::search::{ParseOptions, parse, with_params};
use registry::store::Store;
use registry::write_set::{Dependency, Match, MatchOutcome, Write, WriteSet};

use crate::cluster::{self, Cluster};
use crate::engines::on_each_engine;
use crate::sets::{commit_one, delete, key, set, version, write};

const NICKNAME: &str = "Patient.extension('http://x.example/nick').value";

fn wanted(code: &str, expression: &str) -> WantedParam {
    let (code, definition) = (code.to_owned(), expression.to_owned());
    WantedParam { of: ResourceType::PATIENT, code, definition, source: "s".to_owned() }
}

/// The set that the store's table says.
async fn in_force(store: &dyn Store) -> Arc<SearchParams> {
    let table = store.params().await.unwrap();
    let rows = table.params.into_iter().filter(|row| row.state != ParamState::Leaving);
    let custom = rows.map(|row| {
        let param = CustomParam {
            url: format!("http://x.example/{}", row.code),
            base: row.of,
            code: row.code,
            kind: ParamKind::String,
            targets: Vec::new(),
            components: Vec::new(),
            expression: row.definition,
            limits: ParamLimits { multiple_or: true, multiple_and: true, ..ParamLimits::default() },
        };
        let progress =
            (row.state == ParamState::Indexing).then_some(fhir::Progress { done: 0, total: 1 });
        (ParamId::custom(row.number).unwrap(), param, progress)
    });
    Arc::new(SearchParams::with(custom.collect()))
}

fn rows(nick: &str, store: &dyn Store, params: &SearchParams) -> IndexRows {
    let text = format!(
        r#"{{"resourceType":"Patient","extension":[{{"url":"http://x.example/nick","valueString":"{nick}"}}]}}"#
    );
    let tree = Tree::parse(text.into_bytes()).unwrap();
    index_rows_with(tree.root(), ResourceType::PATIENT, "", store.index_key(), params)
}

/// A patient as a gateway with these parameters writes it.
async fn put(
    store: &dyn Store,
    id: &str,
    previous: Option<u64>,
    nick: &str,
    params: &SearchParams,
) {
    let one = Write {
        rows: rows(nick, store, params),
        ..write(&format!("Patient/{id}"), previous, "text")
    };
    commit_one(store, one).await.unwrap();
}

async fn define(store: &dyn Store, wanted: Vec<WantedParam>) {
    let number = store.params().await.unwrap().newest;
    let name = format!("SearchParameter/s{number}");
    commit_one(store, write(&name, None, "definition")).await.unwrap();
    let change = store.params().await.unwrap().newest;
    store.activate(Activation { change, wanted }).await.unwrap();
}

/// Runs one step of the first job; the nickname of each resource is its id. False when there is no job.
async fn step(store: &dyn Store, size: usize) -> bool {
    let table = store.params().await.unwrap();
    let Some(job) = table.jobs.first() else { return false };
    let params = in_force(store).await;
    let page = store.reindex_page(job.of, job.after, size).await.unwrap();
    let to = (page.resources.len() == size).then(|| page.resources[size - 1].0);
    let seen = page.resources.len() as u64;
    let resources = page.resources.iter().map(|(_, stored)| Reindexed {
        key: stored.key.clone(),
        version: stored.version,
        rows: rows(stored.key.id.as_str(), store, &params),
    });
    let resources = resources.collect();
    let (of, from, change) = (job.of, job.after, table.applied);
    store.reindex(ReindexStep { of, from, to, change, seen, resources }).await.unwrap();
    true
}

async fn find(store: &dyn Store, query: &str) -> Result<Vec<String>, ReadError> {
    let params = in_force(store).await;
    let options = ParseOptions { base_url: "", lenient: false, now_us: 0, codes: None };
    let query = with_params(&params, || parse(ResourceType::PATIENT, query, &options))?;
    let page = store.search(&Permit::maintenance(), &query).await?;
    let mut found: Vec<String> =
        page.hits.iter().map(|hit| hit.version.key.id.to_string()).collect();
    found.sort();
    Ok(found)
}

/// Rows of custom parameters in `search_string`.
async fn custom_rows(store: &dyn Store) -> usize {
    let all = store.checks().index(IndexTable::String, None, 10_000).await.unwrap();
    all.iter()
        .filter(|row: &&IndexRow| (fhir::CUSTOM_FROM..fhir::CUSTOM_TO).contains(&row.param()))
        .count()
}

#[test]
fn a_job_brings_what_was_written_before_and_meanwhile_to_exactly_one_row_each() {
    on_each_engine(async |site| {
        let store = &*site.store;
        for id in ["a", "b", "c", "d", "e"] {
            put(store, id, None, id, SearchParams::standard()).await;
        }
        define(store, vec![wanted("nick", NICKNAME)]).await;

        let refused = find(store, "nick=a").await;
        assert!(matches!(&refused, Err(ReadError::NotIndexed(text)) if text.contains("nick")));
        assert!(find(store, "gender=male").await.is_ok());

        // After the first step one is updated, one deleted, one created by who knows the parameter.
        assert!(step(store, 2).await);
        let params = in_force(store).await;
        put(store, "b", Some(1), "b", &params).await;
        put(store, "d", Some(1), "d", &params).await;
        commit_one(store, delete("Patient/e", 1)).await.unwrap();
        put(store, "f", None, "f", &params).await;
        let job = store.params().await.unwrap().jobs[0];
        assert_eq!((job.done, job.total), (2, 5));
        while step(store, 2).await {}

        for id in ["a", "b", "c", "d", "f"] {
            assert_eq!(find(store, &format!("nick={id}")).await.unwrap(), [id]);
        }
        assert_eq!(find(store, "nick=e").await.unwrap(), Vec::<String>::new());
        assert_eq!(find(store, "nick:missing=false").await.unwrap().len(), 5);
        assert_eq!(custom_rows(store).await, 5);
        assert_eq!(store.params().await.unwrap().params[0].state, ParamState::Ready);
    });
}

#[test]
fn a_parameter_that_goes_takes_its_rows_along_and_leaves_the_others() {
    on_each_engine(async |site| {
        let store = &*site.store;
        put(store, "a", None, "a", SearchParams::standard()).await;
        define(store, vec![wanted("nick", NICKNAME), wanted("pet-name", NICKNAME)]).await;
        while step(store, 10).await {}
        assert_eq!(custom_rows(store).await, 2);

        define(store, vec![wanted("pet-name", NICKNAME)]).await;

        assert!(matches!(find(store, "nick=a").await, Err(ReadError::Invalid(_))));
        assert_eq!(find(store, "pet-name=a").await.unwrap(), ["a"], "it is whole all the time");
        while step(store, 10).await {}
        assert_eq!(custom_rows(store).await, 1);
        let table = store.params().await.unwrap();
        assert_eq!(table.params.len(), 1);
        assert!(table.jobs.is_empty());
    });
}

#[test]
fn a_type_without_resources_is_whole_at_once() {
    on_each_engine(async |site| {
        define(&*site.store, vec![wanted("nick", NICKNAME)]).await;

        assert_eq!(find(&*site.store, "nick=a").await.unwrap(), Vec::<String>::new());
    });
}

fn depending(writes: Vec<Write>, change: u64) -> WriteSet {
    let depends = vec![Dependency {
        permit: Permit::maintenance(),
        asked: Match::SearchParams,
        found: MatchOutcome::SearchParams(change),
    }];
    WriteSet { depends, ..set(writes) }
}

#[test]
fn a_write_or_a_step_prepared_for_other_parameters_is_stale() {
    on_each_engine(async |site| {
        let store = &*site.store;
        put(store, "a", None, "a", SearchParams::standard()).await;
        let before = store.params().await.unwrap().newest;
        define(store, vec![wanted("nick", NICKNAME)]).await;
        let after = store.params().await.unwrap().newest;

        let late = store.commit(depending(vec![write("Patient/b", None, "b")], before)).await;
        assert!(matches!(late, Err(CommitError::Stale)));
        store.commit(depending(vec![write("Patient/b", None, "b")], after)).await.unwrap();

        let job = store.params().await.unwrap().jobs[0];
        let late = ReindexStep {
            of: job.of,
            from: job.after,
            to: None,
            change: before,
            seen: 0,
            resources: Vec::new(),
        };
        assert!(matches!(store.reindex(late).await, Err(CommitError::Stale)));
        let old = Activation { change: before, wanted: Vec::new() };
        assert!(matches!(store.activate(old).await, Err(CommitError::Stale)));
        assert_eq!(store.params().await.unwrap().jobs.len(), 1);
    });
}

#[test]
fn sets_of_one_group_see_what_an_earlier_one_did_to_the_parameters() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let none = store.params().await.unwrap().newest;
        let definition = store.commit(depending(vec![write("SearchParameter/s", None, "s")], none));
        let others = (0..8).map(|at| {
            let name = format!("Patient/p{at}");
            store.commit(depending(vec![write(&name, None, "p")], none))
        });

        let (defined, others) = futures::join!(definition, futures::future::join_all(others));

        let defined = defined.unwrap().versions[0].change;
        let committed = others.iter().filter_map(|one| one.as_ref().ok());
        for one in committed {
            assert!(one.versions[0].change < defined, "it was prepared for the state before");
        }
    });
}

#[test]
fn two_processes_on_one_database_agree_on_the_parameters() {
    let Some(cluster) = Cluster::shared() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = cluster.database().await;
        let (one, two) = (cluster::open(&url).await, cluster::open(&url).await);
        put(&one, "a", None, "a", SearchParams::standard()).await;
        let before = two.params().await.unwrap().newest;

        define(&one, vec![wanted("nick", NICKNAME)]).await;

        let late = two.commit(depending(vec![write("Patient/b", None, "b")], before)).await;
        assert!(matches!(late, Err(CommitError::Stale)));
        assert!(matches!(find(&two, "nick=a").await, Err(ReadError::NotIndexed(_))));
        // The job that one has begun is ended by the other.
        while step(&two, 1).await {}
        assert_eq!(find(&one, "nick=a").await.unwrap(), ["a"]);
        put(&two, "c", None, "c", &*in_force(&two).await).await;
        assert_eq!(find(&one, "nick=c").await.unwrap(), ["c"]);
        let stored = one.read(&Permit::maintenance(), &key("Patient/c")).await.unwrap().unwrap();
        assert_eq!(stored.version, version(1));
    });
}
