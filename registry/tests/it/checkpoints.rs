//! The write-ahead log stays bounded under a load that never pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
    let written = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            let written = Arc::clone(&written);
            runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("Organization/c{}", written.fetch_add(1, Ordering::Relaxed));
                    commit_one(&*store, write(&name, None, "never a pause")).await.unwrap();
                }
            })
        })
        .collect();

    let log_bytes = || std::fs::metadata(folder.path().join("registry.db-wal")).unwrap().len();
    let mut longest = 0;
    let begun = Instant::now();
    // A second and a half, or as long as a busy machine takes for enough of them.
    while begun.elapsed() < Duration::from_millis(1500)
        || written.load(Ordering::Relaxed) < ENOUGH && begun.elapsed() < Duration::from_secs(60)
    {
        std::thread::sleep(Duration::from_millis(25));
        longest = longest.max(log_bytes());
    }
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|one| runtime.block_on(one).unwrap());

    let written = written.load(Ordering::Relaxed);
    assert!(written >= ENOUGH, "the load came through: {written}");
    assert!(longest < 16 << 20, "the log grew to {longest} bytes over {written} writes");
    assert!(std::fs::metadata(&path).unwrap().len() > 512 << 10, "pages reach the database");
}

/// Writes of which the database must show something.
const ENOUGH: u64 = 200;
