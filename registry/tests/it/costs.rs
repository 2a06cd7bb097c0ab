//! Costly searches on PostgreSQL: they leave connections to others, and end when they should. A lock on a table stands in
//! for what takes long, as each search waits for it. SQLite's readers are tested beside their queue (`sqlite::reader`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use fhir::ResourceType;
use policy::Permit;
use registry::error::ReadError;
use registry::postgres::PostgresStore;
use registry::search::{ParseOptions, parse};
use registry::store::Store;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::cluster::{self, Cluster};

async fn run(conn: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.unwrap();
}

/// Number of this database's statements that wait for the lock.
async fn waiting(url: &str) -> i64 {
    let mut conn = PgConnection::connect(url).await.unwrap();
    let text = "select count(*) from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock'";
    sqlx::query_scalar(text).fetch_one(&mut conn).await.unwrap()
}

async fn search(store: &PostgresStore) -> Result<(), ReadError> {
    let query = parse(ResourceType::PATIENT, "name=a", &ParseOptions::default()).unwrap();
    store.search(&Permit::maintenance(), &query).await.map(drop)
}

#[test]
fn look_ups_are_answered_while_searches_take_all_they_may() {
    on_cluster(async |cluster| {
        let url = cluster.database().await;
        let store = Arc::new(cluster::open(&url).await);
        let mut lock = PgConnection::connect(&url).await.unwrap();
        run(&mut lock, "begin; lock table resource in access exclusive mode").await;
        let searches: Vec<_> = (0..16)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { search(&store).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let begun = Instant::now();

        for _ in 0..4 {
            assert_eq!(store.setting("none").await.unwrap(), None);
        }

        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        searches.iter().for_each(tokio::task::JoinHandle::abort);
    });
}

#[test]
fn a_search_ends_at_the_server_when_its_time_is_up_or_its_caller_is_gone() {
    on_cluster(async |cluster| {
        let url = cluster.database().await;
        let mut options = cluster::options(&url);
        options.read_timeout = Duration::from_secs(3);
        let store = Arc::new(PostgresStore::connect(options).await.unwrap());
        let mut lock = PgConnection::connect(&url).await.unwrap();
        run(&mut lock, "begin; lock table resource in access exclusive mode").await;

        let begun = Instant::now();
        let refused = search(&store).await;
        assert!(matches!(refused, Err(ReadError::TooCostly(_))), "{refused:?}");
        // Twice the time is when the server would end it itself.
        assert!(begun.elapsed() < Duration::from_millis(5_500), "{:?}", begun.elapsed());

        let begun = Instant::now();
        let gone = tokio::time::timeout(Duration::from_millis(100), search(&store)).await;
        assert!(gone.is_err());
        while waiting(&url).await > 0 {
            assert!(begun.elapsed() < Duration::from_millis(2_500), "nobody waits for it");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }

        run(&mut lock, "rollback").await;
        search(&store).await.unwrap();
    });
}

fn on_cluster(test: impl AsyncFnOnce(&Cluster)) {
    let Some(cluster) = Cluster::shared() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(test(cluster));
}
