//! What only PostgreSQL has: several processes on one database, lost connections, a server that goes and comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use policy::Permit;
use registry::error::{CommitError, OpenError};
use registry::postgres::PostgresStore;
use registry::store::Store;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::cluster::{self, Cluster};
use crate::races::create_if_none;
use crate::sets::{commit_one, key, write};

fn on_cluster(test: impl AsyncFnOnce(&Cluster)) {
    let Some(cluster) = Cluster::shared() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(test(cluster));
}

#[test]
fn of_64_conditional_creates_by_two_processes_exactly_one_is_made() {
    on_cluster(async |cluster| {
        let url = cluster.database().await;
        let stores = [cluster::open(&url).await, cluster::open(&url).await];

        let made = join_all((0..64).map(|n| create_if_none(&stores[n % 2], n))).await;

        assert_eq!(made.iter().filter(|made| **made).count(), 1);
        assert_eq!(stores[0].scan_versions(0, 100).await.unwrap().len(), 1);
    });
}

#[test]
fn a_reader_sees_the_changes_of_two_processes_without_gaps() {
    on_cluster(async |cluster| {
        let url = cluster.database().await;
        let stores = [cluster::open(&url).await, cluster::open(&url).await].map(Arc::new);
        let mut writers = tokio::task::JoinSet::new();
        for client in 0..8 {
            let store: Arc<PostgresStore> = Arc::clone(&stores[client % 2]);
            writers.spawn(async move {
                for n in 0..CHANGES_EACH {
                    let name = format!("Organization/c{client}-{n}");
                    commit_one(&*store, write(&name, None, "one")).await.unwrap();
                }
            });
        }

        let reader = cluster::open(&url).await;
        let mut last = 0;
        let mut previous = None;
        while last < 8 * CHANGES_EACH {
            for version in reader.scan_versions(last, 17).await.unwrap() {
                assert_eq!(version.change, last + 1, "a later commit was seen before it");
                assert!(previous < Some(version.updated), "times ascend with changes");
                (last, previous) = (version.change, Some(version.updated));
            }
        }
        writers.join_all().await;

        let rows = reader.outbox(0, usize::MAX).await.unwrap();
        let changes: Vec<_> = rows.iter().filter_map(|row| row.change).collect();
        assert_eq!(changes, (1..=8 * CHANGES_EACH).collect::<Vec<_>>());
    });
}

#[test]
fn an_index_is_made_anew_in_no_empty_database() {
    on_cluster(async |cluster| {
        let url = cluster.empty_database().await;
        let rebuild = || {
            let mut options = cluster::options(&url);
            options.rebuilds = true;
            PostgresStore::connect(options)
        };

        assert!(matches!(rebuild().await, Err(OpenError::NoDatabase)));

        let mut other = PgConnection::connect(&url).await.unwrap();
        let tables = "select count(*) from pg_tables where schemaname = 'public'";
        let tables: i64 = sqlx::query_scalar(tables).fetch_one(&mut other).await.unwrap();
        assert_eq!(tables, 0);
        drop(cluster::open(&url).await);
        drop(rebuild().await.expect("the database that is there now"));
    });
}

#[test]
fn a_connection_killed_inside_a_transaction_leaves_nothing_and_the_next_commit_goes_in() {
    on_cluster(async |cluster| {
        let url = cluster.database().await;
        let store = Arc::new(cluster::open(&url).await);
        let mut other = PgConnection::connect(&url).await.unwrap();
        let run = |sql: &'static str| sqlx::raw_sql(AssertSqlSafe(sql));
        run("begin; lock table resource_version in share mode").execute(&mut other).await.unwrap();

        let writing = Arc::clone(&store);
        let writing = tokio::spawn(async move {
            commit_one(&*writing, write("Organization/a", None, "one")).await
        });
        let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock'";
        // Not on `other`: inside a transaction the view of sessions stays as it was first seen.
        let mut killer = PgConnection::connect(&url).await.unwrap();
        while run(kill).fetch_all(&mut killer).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let refused = writing.await.unwrap();
        run("rollback").execute(&mut other).await.unwrap();

        assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
        assert!(store.scan_versions(0, 10).await.unwrap().is_empty());
        assert!(store.outbox(0, 10).await.unwrap().is_empty());
        let again = commit_one(&*store, write("Organization/a", None, "one")).await.unwrap();
        assert_eq!(again.change, 1);
    });
}

#[test]
fn a_store_outlives_a_restart_of_the_server() {
    let Some(cluster) = Cluster::start() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = cluster::open(&cluster.empty_database().await).await;
        commit_one(&store, write("Organization/a", None, "one")).await.unwrap();
        let permit = Permit::maintenance();
        let a = key("Organization/a");
        join_all((0..8).map(|_| store.read(&permit, &a))).await;

        cluster.restart();

        let begun = Instant::now();
        let mut previous = 1;
        while let Err(error) =
            commit_one(&store, write("Organization/a", Some(previous), "two")).await
        {
            match error {
                CommitError::Stale => previous += 1,
                CommitError::Unavailable(_) => eprintln!("{error}"),
                other => panic!("{other}"),
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "the writer does not recover");
        }
        for read in join_all((0..8).map(|_| store.read(&permit, &a))).await {
            assert!(read.unwrap().unwrap().version.number() > 1);
        }
        assert!(store.ping().await.is_ok());
    });
}

#[test]
fn processes_that_start_at_once_on_an_empty_database_agree() {
    on_cluster(async |cluster| {
        let url = cluster.empty_database().await;
        let begun = Instant::now();

        let opening = (0..4).map(|_| PostgresStore::connect(cluster::options(&url)));
        let stores = try_join_all(opening).await.unwrap();

        eprintln!("four openings took {:?}", begun.elapsed());
        let hash = |store: &PostgresStore| store.index_key().resource("Patient", "a");
        assert!(stores.iter().all(|store| hash(store) == hash(&stores[0])));
    });
}

#[test]
fn a_schema_of_a_newer_release_is_refused() {
    on_cluster(async |cluster| {
        let url = cluster.database().await;
        let mut conn = PgConnection::connect(&url).await.unwrap();
        let newer = "insert into _sqlx_migrations
                     (version, description, success, checksum, execution_time)
                     values (9999, 'from the future', true, '\\x00', 0)";
        sqlx::raw_sql(newer).execute(&mut conn).await.unwrap();

        let refused = PostgresStore::connect(cluster::options(&url)).await;

        assert!(matches!(refused.err(), Some(OpenError::UnknownSchema(9999))));
    });
}

const CHANGES_EACH: u64 = 40;
