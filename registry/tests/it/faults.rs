//! A disk that fails: SQLite stops at the first write or sync that failed, and loses nothing acknowledged.
//!
//! Each fault comes twice, *failed and lost* and *failed but kept*, and ends twice: the power goes at once, or
//! the process starts again on the same cache, goes on, and then the power goes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use registry::error::{CommitError, OpenError};
use registry::sqlite::SqliteStore;
use registry::store::Store;
use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_WRITE};

use crate::cuts::{STOP, check, load, lossy_options, runtime};
use crate::lossy::disk::{Disk, Fault, Random, WriteFault};
use crate::lossy::vfs;
use crate::sets::{commit_one, write};

/// Rounds, unless `SEALWAY_FAULTS` says how many.
const FAULTS_DEFAULT: u64 = 18;
/// Short, so that a checkpoint is under way most of the time.
const CHECKPOINT_BYTES: u64 = 256 << 10;
/// Names of the store's threads.
const WRITER: &str = "registry-writer";
const CHECKPOINTER: &str = "registry-checkpoints";

fn rounds() -> u64 {
    let told = std::env::var("SEALWAY_FAULTS").ok();
    told.map_or(FAULTS_DEFAULT, |told| told.parse().expect("SEALWAY_FAULTS is a number"))
}

fn open(folder: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(lossy_options(folder, CHECKPOINT_BYTES))
}

fn with_disk<T>(folder: &Path, work: impl FnOnce(&mut Disk) -> T) -> T {
    vfs::with_disk(folder.to_str().unwrap(), work)
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..4_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}");
}

/// Arms a fault under load and looks at what the store says, then at what a power cut leaves.
fn strike(round: u64, arm: impl FnOnce(&mut Disk)) {
    let runtime = runtime();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut random = Random::new(round);
    let store = Arc::new(open(folder).unwrap());
    let (acknowledged, order) = load(&runtime, &store, round);
    std::thread::sleep(Duration::from_millis(5 + random.below(40)));

    with_disk(folder, arm);
    wait_until("the fault strikes", || with_disk(folder, |disk| !disk.is_armed()));
    wait_until("the store stops", || store.stopped().is_some());
    let at_stop = store.stopped().unwrap();
    assert!(at_stop.contains("check the disk, then restart"), "{at_stop}");
    runtime.block_on(async {
        for _ in 0..3 {
            let refused = commit_one(&*store, write("Organization/late", None, "late")).await;
            let Err(CommitError::Unavailable(text)) = refused else { panic!("{refused:?}") };
            assert_eq!(text, at_stop);
        }
        assert!(store.ping().await.is_err());
    });
    order.store(STOP, Ordering::Relaxed);
    let before = acknowledged.lock().unwrap().clone();
    if random.below(2) == 0 {
        let left = with_disk(folder, |disk| disk.cut(&mut random));
        return check(&runtime, left, &before);
    }

    // The process starts again on the same cache, works, and then the power goes.
    wait_until("the clients end", || Arc::strong_count(&store) == 1);
    drop(store);
    // With and without checkpoints, which bring what the log lacks to safety.
    let checkpoint_bytes = [CHECKPOINT_BYTES, u64::MAX][usize::try_from(random.below(2)).unwrap()];
    let store = SqliteStore::open(lossy_options(folder, checkpoint_bytes));
    let store = Arc::new(store.unwrap());
    let (after, order) = load(&runtime, &store, 1_000_000 + round);
    let enough = usize::try_from(1 + random.below(150)).unwrap();
    wait_until("writing goes on", || after.lock().unwrap().len() >= enough);
    let mut expected = after.lock().unwrap().clone();
    let left = with_disk(folder, |disk| disk.cut(&mut random));
    order.store(STOP, Ordering::Relaxed);
    expected.extend(before);
    check(&runtime, left, &expected);
}

#[test]
fn a_failed_fsync_stops_all_writing_and_loses_nothing_acknowledged() {
    // Whose sync fails: the writer's of the log, the checkpointer's of the log, that of the database.
    let places = [("-wal", Some(WRITER)), ("-wal", Some(CHECKPOINTER)), (".db", None)];
    for round in 0..rounds() {
        let (suffix, thread) = places[usize::try_from(round % 3).unwrap()];
        let kept = round / 3 % 2 == 0;
        strike(round, |disk| disk.fail_next_sync(Fault { suffix, kept, thread }));
    }
}

#[test]
fn a_failed_write_stops_all_writing_and_loses_nothing_acknowledged() {
    for round in 0..rounds() / 4 {
        let suffix = if round % 2 == 0 { "-wal" } else { ".db" };
        strike(round, |disk| disk.fail_next_write(WriteFault { suffix, code: SQLITE_IOERR_WRITE }));
    }
}

#[test]
fn a_full_disk_refuses_what_it_cannot_take_and_goes_on_when_there_is_space() {
    let runtime = runtime();
    for round in 0..rounds() / 4 {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(open(folder.path()).unwrap());
        let (acknowledged, order) = load(&runtime, &store, round);
        let suffix = if round % 2 == 0 { "-wal" } else { ".db" };
        for _ in 0..5 {
            let fault = WriteFault { suffix, code: SQLITE_FULL };
            with_disk(folder.path(), |disk| disk.fail_next_write(fault));
            wait_until("the fault strikes", || with_disk(folder.path(), |disk| !disk.is_armed()));
            let at_fault = acknowledged.lock().unwrap().len();
            let goes_on = || acknowledged.lock().unwrap().len() > at_fault + 20;
            wait_until("writing goes on", goes_on);
        }

        assert_eq!(store.stopped(), None);
        let before = acknowledged.lock().unwrap().clone();
        let left = with_disk(folder.path(), |disk| disk.cut(&mut Random::new(round)));
        order.store(STOP, Ordering::Relaxed);
        check(&runtime, left, &before);
    }
}

#[test]
fn names_that_were_not_made_durable_keep_the_store_from_opening() {
    for kept in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let fault = Fault { suffix: vfs::FOLDER, kept, thread: None };
        with_disk(folder.path(), |disk| disk.fail_next_sync(fault));

        let refused = open(folder.path()).map(drop);
        let Err(OpenError::Unavailable(text)) = refused else { panic!("{refused:?}") };
        assert!(text.contains("check the disk"), "{text}");

        let store = open(folder.path()).expect("the disk is well again");
        runtime().block_on(commit_one(&store, write("Organization/a", None, "one"))).unwrap();
    }
}

#[test]
fn somebody_who_has_the_database_open_keeps_a_log_from_being_trusted() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    let store = open(folder).unwrap();
    runtime.block_on(commit_one(&store, write("Organization/a", None, "one"))).unwrap();
    let shell = rusqlite::Connection::open(folder.join("registry.db")).unwrap();
    let looked = shell.query_row("select count(*) from resource", [], |row| row.get::<_, i64>(0));
    assert_eq!(looked.unwrap(), 1);
    with_disk(folder, |disk| {
        disk.fail_next_sync(Fault { suffix: "-wal", kept: true, thread: None })
    });
    let failed = runtime.block_on(commit_one(&store, write("Organization/b", None, "two")));
    assert!(matches!(failed, Err(CommitError::Unavailable(_))));
    drop(store);
    assert!(std::fs::metadata(folder.join("registry.db-wal")).unwrap().len() > 0);

    let refused = open(folder).map(drop);
    let Err(OpenError::Unavailable(text)) = refused else { panic!("{refused:?}") };
    assert!(text.contains("another process has the database open: close it"), "{text}");

    drop(shell);
    let store = open(folder).expect("nobody else has it open");
    runtime.block_on(commit_one(&store, write("Organization/c", None, "three"))).unwrap();
}

#[test]
fn a_log_that_cannot_be_written_again_keeps_the_store_from_opening() {
    for kept in [true, false] {
        let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
        let folder = folder.path();
        let store = open(folder).unwrap();
        runtime.block_on(commit_one(&store, write("Organization/a", None, "one"))).unwrap();
        with_disk(folder, |disk| disk.fail_next_sync(Fault { suffix: "-wal", kept, thread: None }));
        let failed = runtime.block_on(commit_one(&store, write("Organization/b", None, "two")));
        assert!(matches!(failed, Err(CommitError::Unavailable(_))));
        drop(store);

        with_disk(folder, |disk| {
            disk.fail_next_sync(Fault { suffix: "-wal", kept: false, thread: None })
        });
        assert!(matches!(open(folder).map(drop), Err(OpenError::Unavailable(_))));
        with_disk(folder, |disk| {
            disk.fail_next_sync(Fault { suffix: "-wal", kept: false, thread: None })
        });
        let looked = registry::sqlite::integrity(&lossy_options(folder, CHECKPOINT_BYTES), false);
        assert!(matches!(looked, Err(OpenError::Unavailable(_))), "a check trusts it no more");

        drop(open(folder).expect("the disk is well again"));
        let left = with_disk(folder, |disk| disk.cut(&mut Random::new(1)));
        check(&runtime, left, &[("Organization/a".to_owned(), 1)]);
    }
}
