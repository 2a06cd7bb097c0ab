//! The write-ahead log stays bounded under a load that never pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use registry::sqlite::{SqliteOptions, SqliteStore};

use crate::engines::ticking_clock;
use crate::sets::{commit_one, write};

#[test]
fn the_log_begins_again_while_writers_never_pause() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let mut options = SqliteOptions::new(&path, ticking_clock());
    options.checkpoint_bytes = 512 << 10;
    let store = Arc::new(SqliteStore::open(options).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            runtime.spawn(async move {
                let mut written = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("Organization/c{client}-{written}");
                    commit_one(&*store, write(&name, None, "never a pause")).await.unwrap();
                    written += 1;
                }
                written
            })
        })
        .collect();

    let log_bytes = || std::fs::metadata(folder.path().join("registry.db-wal")).unwrap().len();
    let mut longest = 0;
    for _ in 0..60 {
        std::thread::sleep(Duration::from_millis(25));
        longest = longest.max(log_bytes());
    }
    stop.store(true, Ordering::Relaxed);
    let written: u64 = clients.into_iter().map(|one| runtime.block_on(one).unwrap()).sum();

    assert!(written > 200, "the load came through: {written}");
    assert!(longest < 16 << 20, "the log grew to {longest} bytes over {written} writes");
    assert!(std::fs::metadata(&path).unwrap().len() > 512 << 10, "pages reach the database");
}
