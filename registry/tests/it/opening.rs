//! What opening a database refuses.

use std::path::Path;

use registry::error::{CommitError, OpenError};
use registry::sqlite::{SqliteOptions, SqliteStore};
use registry::store::Store;

use crate::engines::{open_sqlite, ticking_clock};
use crate::sets::{commit_one, write};

fn alter(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(SqliteOptions::new(path, ticking_clock()))
}

#[test]
fn a_schema_of_another_release_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    drop(open_sqlite(&path));
    drop(open(&path).expect("the same release opens it again"));

    alter(&path, "insert into _sqlx_migrations values (9999, 'new', 0, true, x'00', 0)");
    assert!(matches!(open(&path), Err(OpenError::UnknownSchema(9999))));

    alter(&path, "delete from _sqlx_migrations where version = 9999");
    alter(&path, "update _sqlx_migrations set checksum = x'00' where version = 1");
    assert!(matches!(open(&path), Err(OpenError::UnknownSchema(1))));
}

#[test]
fn an_index_is_made_anew_where_there_is_a_database_and_nothing_is_made_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let rebuild = |path: &Path| {
        let mut options = SqliteOptions::new(path, ticking_clock());
        options.rebuilds = true;
        SqliteStore::open(options).map(drop)
    };
    let [absent, empty, foreign] =
        ["absent.db", "empty.db", "foreign.db"].map(|name| folder.path().join(name));
    std::fs::write(&empty, b"").unwrap();
    alter(&foreign, "create table other (a)");
    let before = std::fs::read(&foreign).unwrap();

    assert!(rebuild(&absent).is_err());
    assert!(matches!(rebuild(&empty), Err(OpenError::NoDatabase)));
    assert!(matches!(rebuild(&foreign), Err(OpenError::NoDatabase)));

    assert!(!absent.exists());
    assert_eq!(std::fs::read(&empty).unwrap(), b"");
    assert_eq!(std::fs::read(&foreign).unwrap(), before);
    drop(open_sqlite(&absent));
    rebuild(&absent).expect("the database that is there now");
}

#[test]
fn a_check_refuses_the_schema_of_an_earlier_release_and_leaves_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let look = || SqliteStore::open_to_check(&SqliteOptions::new(&path, ticking_clock())).map(drop);
    drop(open_sqlite(&path));
    look().expect("the schema of this release");
    alter(&path, "delete from _sqlx_migrations where version > 1");
    let before = std::fs::read(&path).unwrap();

    let Err(error @ OpenError::OlderSchema) = look() else { panic!("an older schema is opened") };

    assert!(error.to_string().contains("start the gateway once"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    alter(&path, "drop table _sqlx_migrations");
    assert!(matches!(look(), Err(OpenError::OlderSchema)));
}

#[test]
fn a_check_of_what_a_crash_left_writes_nothing_and_keeps_the_log() {
    let (folder, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = open_sqlite(&folder.path().join("registry.db"));
    runtime.block_on(commit_one(&store, write("Organization/a", None, "one"))).unwrap();
    let names = ["registry.db", "registry.db-wal"];
    for name in names {
        std::fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    let read = || names.map(|name| std::fs::read(crashed.path().join(name)).unwrap());
    let before = read();
    assert!(!before[1].is_empty());
    let options = SqliteOptions::new(crashed.path().join("registry.db"), ticking_clock());

    assert_eq!(registry::sqlite::integrity(&options, false).unwrap(), Vec::<String>::new());
    assert_eq!(read(), before);
    let looked = SqliteStore::open_to_check(&options).unwrap();
    let waiting = runtime.block_on(looked.outbox(0, 10)).unwrap();
    let refused = runtime.block_on(commit_one(&looked, write("Organization/b", None, "two")));
    drop(looked);

    assert_eq!(waiting.len(), 1, "what the log holds is seen");
    assert!(matches!(refused, Err(CommitError::Unavailable(_))));
    assert_eq!(read(), before);
}

#[test]
fn resources_indexed_by_other_search_parameters_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let other_table = "update setting set value = x'00' where name = 'search_table'";
    drop(open_sqlite(&path));
    alter(&path, other_table);
    let store = open(&path).expect("an empty database is taken over");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(commit_one(&store, write("Organization/a", None, "one"))).unwrap();
    drop(store);
    drop(open(&path).expect("the same release opens it again"));

    alter(&path, other_table);

    assert!(matches!(open(&path), Err(OpenError::OtherSearchTable)));
}

#[test]
fn a_used_database_without_its_index_key_gets_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = open_sqlite(&path);
    runtime.block_on(commit_one(&store, write("Organization/a", None, "one"))).unwrap();
    drop(store);
    alter(&path, "delete from setting where name = 'index_key'");

    let Err(OpenError::Damaged(text)) = open(&path) else { panic!("it opens with another key") };

    assert!(text.contains("index_key is gone"), "{text}");
    let key = "select count(*) from setting where name = 'index_key'";
    let conn = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(conn.query_row(key, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}
