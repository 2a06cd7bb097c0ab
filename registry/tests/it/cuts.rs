//! Power cuts: whatever the disk dropped or tore of what was not synced, nothing acknowledged is missing.

use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use policy::Permit;
use registry::access::Journal;
use registry::error::CommitError;
use registry::sqlite::{SqliteOptions, SqliteStore};
use registry::store::Store;

use crate::engines::{open_sqlite, ticking_clock};
use crate::lossy::disk::{Fault, Random};
use crate::lossy::files::LossyFiles;
use crate::lossy::vfs;
use crate::sets::{commit_one, key, write};

/// Cuts, unless `SEALWAY_CUTS` says how many.
const CUTS_DEFAULT: u64 = 60;
const CUTS_A_DATABASE: u64 = 20;

fn cuts() -> u64 {
    let told = std::env::var("SEALWAY_CUTS").ok();
    told.map_or(CUTS_DEFAULT, |told| told.parse().expect("SEALWAY_CUTS is a number"))
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub(crate) fn lossy_options(folder: &Path, checkpoint_bytes: u64) -> SqliteOptions {
    vfs::register();
    let mut options = SqliteOptions::new(folder.join("registry.db"), ticking_clock());
    options.vfs = Some(vfs::NAME.to_owned());
    options.durable = Arc::new(vfs::LossyDurable);
    options.checkpoint_bytes = checkpoint_bytes;
    options
}

/// What was acknowledged: name and version.
pub(crate) type Acknowledged = Arc<Mutex<Vec<(String, u64)>>>;

/// What the clients of a load are to do.
pub(crate) const RUN: u8 = 0;
pub(crate) const PAUSE: u8 = 1;
pub(crate) const STOP: u8 = 2;

/// Six clients that create and update until told otherwise.
pub(crate) fn load(
    runtime: &tokio::runtime::Runtime,
    store: &Arc<SqliteStore>,
    round: u64,
) -> (Acknowledged, Arc<AtomicU8>) {
    let (acknowledged, order) = (Acknowledged::default(), Arc::new(AtomicU8::new(RUN)));
    for client in 0..6 {
        let (store, acknowledged) = (Arc::clone(store), Arc::clone(&acknowledged));
        let order = Arc::clone(&order);
        runtime.spawn(async move {
            for n in 0.. {
                while order.load(Ordering::Relaxed) == PAUSE {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                if order.load(Ordering::Relaxed) == STOP {
                    return;
                }
                let name = format!("Organization/r{round}-{client}-{}", n / 2);
                let previous = (n % 2 == 1).then_some(1);
                match commit_one(&*store, write(&name, previous, "under power cuts")).await {
                    Ok(made) => acknowledged.lock().unwrap().push((name, made.version.number())),
                    Err(CommitError::Unavailable(_)) => {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    Err(CommitError::Stale) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    (acknowledged, order)
}

/// Writes what a cut left into a new folder, opens it and looks for all that was acknowledged.
pub(crate) fn check(
    runtime: &tokio::runtime::Runtime,
    left: Vec<(String, Vec<u8>)>,
    acknowledged: &[(String, u64)],
) {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in left {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let path = folder.path().join("registry.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    let verdict: String = conn.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    drop(conn);
    let store = open_sqlite(&path);
    runtime.block_on(async {
        let permit = Permit::maintenance();
        for (name, version) in acknowledged {
            let found = store.read(&permit, &key(name)).await.unwrap();
            let found = found.unwrap_or_else(|| panic!("{name} was acknowledged and is lost"));
            assert!(found.version.number() >= *version, "{name}");
        }
        commit_one(&store, write("Organization/after", None, "goes on")).await.unwrap();
    });
}

/// The newest of them and some of the others.
fn sample(acknowledged: &[(String, u64)], random: &mut Random) -> Vec<(String, u64)> {
    let newest = acknowledged.len().saturating_sub(300);
    let is_taken = |at: usize, random: &mut Random| at >= newest || random.below(10) == 0;
    let taken = acknowledged.iter().enumerate().filter(|(at, _)| is_taken(*at, random));
    taken.map(|(_, one)| one.clone()).collect()
}

#[test]
fn power_cuts_lose_no_acknowledged_write() {
    let runtime = runtime();
    let mut random = Random::new(1);
    let mut checked = 0;
    for round in 0..cuts().div_ceil(CUTS_A_DATABASE) {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(lossy_options(folder.path(), 1 << 20)).unwrap());
        let (acknowledged, order) = load(&runtime, &store, round);
        let folder_name = folder.path().to_str().unwrap();

        for _ in 0..CUTS_A_DATABASE {
            std::thread::sleep(Duration::from_micros(500 + random.below(30_000)));
            let before = acknowledged.lock().unwrap().clone();
            let left = vfs::with_disk(folder_name, |disk| disk.cut(&mut random));
            order.store(PAUSE, Ordering::Relaxed);
            checked += before.len();
            check(&runtime, left, &sample(&before, &mut random));
            order.store(RUN, Ordering::Relaxed);
        }
        order.store(STOP, Ordering::Relaxed);
    }
    assert!(checked > 100, "the load came through: {checked}");
}

#[test]
fn power_cuts_lose_no_acknowledged_access() {
    let runtime = runtime();
    let mut random = Random::new(2);
    let mut files = LossyFiles::default();
    let mut expected: Vec<u8> = Vec::new();
    for cut in 0..cuts() {
        if cut % CUTS_A_DATABASE == 0 {
            (files, expected) = (LossyFiles::default(), Vec::new());
        }
        let journal = Arc::new(Journal::over(files.clone()).unwrap());
        let acknowledged: Arc<Mutex<Vec<(u64, u8)>>> = Arc::default();
        let clients = (0..4).map(|_| {
            let (journal, acknowledged) = (Arc::clone(&journal), Arc::clone(&acknowledged));
            let value = u8::try_from(random.below(256)).unwrap();
            runtime.spawn(async move {
                loop {
                    let body = vec![value; usize::from(value) * 7];
                    let Ok(position) = journal.append([value; 16], [value; 36], body).await else {
                        return;
                    };
                    acknowledged.lock().unwrap().push((position, value));
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        std::thread::sleep(Duration::from_micros(200 + random.below(1_000)));

        let before = acknowledged.lock().unwrap().clone();
        let left = files.state().disk.cut(&mut random);
        clients.iter().for_each(tokio::task::JoinHandle::abort);
        files = LossyFiles::restarted(left);

        let after = Journal::over(files.clone()).unwrap();
        let records = runtime.block_on(after.records(0, usize::MAX)).unwrap();
        let values: Vec<u8> = records.iter().map(|record| record.entry[0]).collect();
        assert!(values.starts_with(&expected), "earlier records stay");
        for (position, value) in before {
            let at = usize::try_from(position - 1).unwrap();
            assert_eq!(values.get(at), Some(&value), "record {position}");
        }
        expected = values;
    }
}

#[test]
fn a_journal_refuses_after_a_failed_fsync_and_recovers_what_was_answered() {
    for kept in [true, false] {
        runtime().block_on(async {
            let files = LossyFiles::default();
            let journal = Journal::over(files.clone()).unwrap();
            journal.append([1; 16], [1; 36], vec![1; 5_000]).await.unwrap();

            files.state().disk.fail_next_sync(Fault { suffix: ".journal", kept, thread: None });
            let failed = journal.append([2; 16], [2; 36], vec![2; 5_000]).await;
            let refused = journal.append([3; 16], [3; 36], vec![3; 5_000]).await;
            assert!(failed.is_err() && refused.is_err());
            drop(journal);

            // The process starts again on the same cache; then the power goes.
            let journal = Journal::over(files.clone()).unwrap();
            assert_eq!(journal.position(), 2, "the cache still shows what failed");
            journal.append([4; 16], [4; 36], vec![4; 5_000]).await.unwrap();
            let left = files.state().disk.cut(&mut Random::new(7));
            let after = Journal::over(LossyFiles::restarted(left)).unwrap();
            let entries = after.entries(0, 10).await.unwrap();

            let values: Vec<u8> = entries.iter().map(|entry| entry.entry[0]).collect();
            assert_eq!(values, [1, 2, 4]);
        });
    }
}
