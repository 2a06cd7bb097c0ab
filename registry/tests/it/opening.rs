//! What opening a database refuses.

use std::path::Path;

use registry::error::OpenError;
use registry::sqlite::{SqliteOptions, SqliteStore};

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
