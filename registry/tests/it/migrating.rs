//! Migrations of PostgreSQL beside what goes on, and the plans that the schema leads to.

use std::time::Duration;

use fhir::ResourceType;
use policy::Permit;
use registry::search::{ParseOptions, parse};
use registry::store::Store;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::cluster::{self, Cluster};
use crate::sets::{commit_one, write};

fn on_cluster(test: impl AsyncFnOnce(&Cluster)) {
    let Some(cluster) = Cluster::shared() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(test(cluster));
}

/// The schema as it was before migration 11.
const BEFORE_11: &str = "
    delete from _sqlx_migrations where version > 10;
    drop index search_date_of_resource, search_number_of_resource, search_quantity_of_resource,
               search_string_of_resource, search_uri_of_resource;
    create index search_date_by_rid on search_date (rid, param);
    create index search_number_by_rid on search_number (rid, param);
    create index search_quantity_by_rid on search_quantity (rid, param) where code_hash = 0;
    create index search_string_by_rid on search_string (rid, param);
    create index search_uri_by_rid on search_uri (rid, param);";

#[test]
fn a_migration_that_meets_a_search_in_a_circle_begins_again() {
    on_cluster(async |cluster| {
        let url = cluster.database().await;
        let [mut search, mut watch] = [
            PgConnection::connect(&url).await.unwrap(),
            PgConnection::connect(&url).await.unwrap(),
        ];
        search.execute(BEFORE_11).await.unwrap();
        // The server ends whoever notices the circle first: not the search.
        search.execute("begin; set local deadlock_timeout = '60s'").await.unwrap();
        search.execute("select count(*) from search_string").await.unwrap();

        let opening = tokio::spawn(async move { cluster::open(&url).await });
        let waits = "select 1 from pg_stat_activity where datname = current_database()
                     and wait_event_type = 'Lock' and query ~ 'drop index'";
        while watch.fetch_all(waits).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        search.execute("select count(*) from search_date").await.unwrap();
        search.execute("commit").await.unwrap();
        let store = opening.await.unwrap();

        commit_one(&store, write("Organization/a", None, "one")).await.unwrap();
        let indexes = "select count(*) from pg_indexes where indexname ~ '_of_resource$'";
        let indexes: i64 = sqlx::query_scalar(indexes).fetch_one(&mut watch).await.unwrap();
        assert_eq!(indexes, 5);
    });
}

#[test]
fn no_index_by_resource_is_read_whole_where_nearly_all_values_are_of_one_parameter() {
    on_cluster(async |cluster| {
        let url = cluster.database().await;
        let store = cluster::open(&url).await;
        commit_one(&store, write("Observation/a", None, "one")).await.unwrap();
        let mut conn = PgConnection::connect(&url).await.unwrap();
        // Dates of Observations, all long gone, as the planner sees them once it has looked.
        conn.execute(
            "insert into search_date (param, lo, hi, nsort, rid, patient)
             select d.param, -n, 1 - n, n, 1000 + n, 0
             from (select max(param) as param from search_date) d, generate_series(1, 200000) n;
             analyze search_date",
        )
        .await
        .unwrap();
        let mut looked_at = 0;
        for query in ["date=ge2015", "date=ge2015&status=final", "date=ge2015&_summary=count"] {
            let query = parse(ResourceType::OBSERVATION, query, &ParseOptions::default()).unwrap();
            let told = store.explain(&Permit::maintenance(), &query).await.unwrap();
            let of_dates = |sql: &str| sql.contains("search_date") && !sql.contains("unnest");
            let statements = told.statements.iter().filter(|one| of_dates(&one.sql));
            for (at, statement) in statements.enumerate() {
                let plan = plan(&mut conn, at, &statement.sql).await;
                looked_at += plan.matches("search_date_pkey").count();
                for (scan, _) in plan.match_indices("search_date_of_resource") {
                    let of_one = plan[scan..]
                        .lines()
                        .nth(1)
                        .is_some_and(|line| line.trim_start().starts_with("Index Cond: (rid = "));
                    assert!(of_one, "{}\n{plan}", statement.sql);
                }
            }
        }
        assert!(looked_at > 2, "{looked_at}");
    });
}

/// It took five seconds for 44 resources, until the planner had looked at what was loaded.
#[test]
fn a_chain_looks_its_targets_up_where_the_planner_knows_nothing_of_the_tables() {
    on_cluster(async |cluster| {
        let url = cluster.database().await;
        let store = cluster::open(&url).await;
        commit_one(&store, write("Observation/a", None, "one")).await.unwrap();
        let mut conn = PgConnection::connect(&url).await.unwrap();
        let mut looked_at = 0;
        for query in [
            "subject:Patient.organization.name:missing=true",
            "subject:Patient.organization.active:not=true",
            "_sort=subject",
        ] {
            let read = parse(ResourceType::OBSERVATION, query, &ParseOptions::default()).unwrap();
            let told = store.explain(&Permit::maintenance(), &read).await.unwrap();
            let follows = |sql: &str| sql.contains(".target_hash");
            let statements = told.statements.iter().filter(|one| follows(&one.sql));
            for (at, statement) in statements.enumerate() {
                let plan = plan(&mut conn, at, &statement.sql).await;
                let is_target =
                    |line: &&str| [" resource t", " resource q"].iter().any(|of| line.contains(of));
                for line in plan.lines().filter(is_target) {
                    assert!(
                        line.contains("resource_by_khash"),
                        "{query}: {}\n{plan}",
                        statement.sql
                    );
                    looked_at += 1;
                }
            }
        }
        assert!(looked_at >= 3, "{looked_at}");
    });
}

/// The plan that a session of the store has for a statement, whatever its values.
async fn plan(conn: &mut PgConnection, at: usize, sql: &str) -> String {
    for setting in [
        "enable_seqscan = off",
        "enable_bitmapscan = off",
        "enable_mergejoin = off",
        "join_collapse_limit = 1",
        "from_collapse_limit = 1",
        "plan_cache_mode = force_generic_plan",
    ] {
        conn.execute(AssertSqlSafe(format!("set {setting}"))).await.unwrap();
    }
    let values = (1..).take_while(|n| sql.contains(&format!("${n}"))).count();
    let nulls = vec!["null"; values].join(", ");
    let given = if values == 0 { String::new() } else { format!("({nulls})") };
    conn.execute(AssertSqlSafe(format!("prepare told{at} as {sql}"))).await.unwrap();
    let explain = AssertSqlSafe(format!("explain (costs off) execute told{at} {given}"));
    let rows = conn.fetch_all(explain).await.unwrap();
    conn.execute(AssertSqlSafe(format!("deallocate told{at}"))).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect()
}
