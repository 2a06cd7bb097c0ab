//! The log on a disk that fails: nothing published is lost, nothing wrong is signed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use ledger::{
    AppendError, Canon, Commitment, EntryBody, FileHead, FileTiles, Kind, Log, OpenError,
    PublishError, Signer, TilePath, TileSource, fsck,
    fsck::Expected,
    memory::{Fault, MemoryDisk},
    prove_consistency,
};

const ORIGIN: &str = "log.example/a";

#[test]
fn entries_get_consecutive_indexes_and_proofs_once_published() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk).unwrap();

    assert_eq!(log.append(&bodies(0..3)).unwrap(), 0..3);
    assert_eq!(log.append(&bodies(3..5)).unwrap(), 3..5);

    assert_eq!((log.size(), log.size_published()), (5, 0));
    assert!(log.prove(0).unwrap().is_none());
    assert_eq!(log.entry(4).unwrap().unwrap().body36(), body(4));
    let signed = log.publish(1_700_000_000_999).unwrap();
    assert_eq!((signed.size(), signed.time()), (5, Some(1_700_000_000)));
    let entry = log.entry(4).unwrap().unwrap();
    assert_eq!((entry.body36(), entry.sequence), (body(4), 4));
    let (proof, checkpoint) = log.prove(4).unwrap().unwrap();
    assert_eq!(proof.verify(entry.leaf_hash(), checkpoint.checkpoint().root), Ok(()));
    assert!(log.prove(5).unwrap().is_none());
    assert!(log.entry(5).unwrap().is_none());
}

#[test]
fn publishing_nothing_new_gives_the_last_checkpoint_again() {
    let mut log = open(&MemoryDisk::default()).unwrap();

    let empty = log.publish(1000).unwrap();
    assert_eq!((empty.size(), empty.time()), (0, Some(1)));
    assert_eq!(log.publish(9000).unwrap(), empty);
}

#[test]
fn a_log_grows_over_many_tiles_and_reopens_at_every_step() {
    let disk = MemoryDisk::default();
    let mut last: Option<ledger::SignedCheckpoint> = None;
    let mut at = 0;
    for step in [1, 254, 1, 1, 255, 700, 256, 65_536 - 1468, 1, 300] {
        let mut log = open(&disk).unwrap();
        assert_eq!(log.size(), at);

        log.append(&bodies(at..at + step)).unwrap();
        at += step;
        let signed = log.publish(at).unwrap();

        if let Some(last) = &last {
            let proof = prove_consistency(last.size(), at, &disk).unwrap().unwrap();
            assert_eq!(proof.verify(last.checkpoint().root, signed.checkpoint().root), Ok(()));
        }
        for index in [0, at / 2, at - 1] {
            let (proof, checkpoint) = log.prove(index).unwrap().unwrap();
            let leaf = log.entry(index).unwrap().unwrap().leaf_hash();
            assert_eq!(proof.verify(leaf, checkpoint.checkpoint().root), Ok(()));
        }
        last = Some(signed);
    }
    assert_clean(&disk, at);
    let partial = disk.files().into_iter().filter(|(path, _)| path.is_partial()).count();
    assert!(partial <= 6, "replaced partial tiles are removed, {partial} left");
}

#[test]
fn a_failed_publication_poisons_the_log_and_reopening_tells_what_happened() {
    for fault in [Fault::Lost, Fault::Kept, Fault::Torn] {
        for at in 0..2 {
            let disk = MemoryDisk::default();
            let mut log = open(&disk).unwrap();
            log.append(&bodies(0..300)).unwrap();
            log.publish(1).unwrap();
            disk.fail(at, fault);

            log.append(&bodies(300..600)).unwrap();
            assert!(log.publish(2).is_err());

            assert!(log.poisoned().is_some());
            assert!(matches!(log.publish(3), Err(PublishError::Poisoned(_))));
            assert!(matches!(log.append(&bodies(0..1)), Err(AppendError::Poisoned(_))));
            drop(log);
            let mut log = open(&disk).unwrap();
            let kept = if (at, fault) == (1, Fault::Kept) { 600 } else { 300 };
            assert_eq!(log.size(), kept, "{fault:?} at write {at}");
            assert_clean(&disk, kept);
            // The outbox is drained again from where the log is, with other entries where nothing was published.
            log.append(&bodies(kept..900)).unwrap();
            log.publish(4).unwrap();
            assert_clean(&disk, 900);
        }
    }
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_appended_twice() {
    for (size, at) in [(3, 0), (3, 1), (300, 0), (300, 1)] {
        let disk = MemoryDisk::default();
        let mut log = open(&disk).unwrap();
        log.append(&bodies(0..size)).unwrap();
        disk.fail(at, Fault::Full);
        let refused = log.publish(1).unwrap_err();
        assert!(refused.is_passing(), "{refused}");
        assert_eq!((log.poisoned(), log.size(), log.size_published()), (None, size, 0));

        log.append(&bodies(size..size + 2)).unwrap();
        assert_eq!(log.publish(2).unwrap().size(), size + 2);

        assert_clean(&disk, size + 2);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_waited_for_only_for_want_of_handles_memory_or_space() {
    // errno of Linux: ENFILE, EMFILE, ENOMEM, ENOSPC; EIO, EACCES, ESTALE.
    let passing = [23, 24, 12, 28].map(|errno| (errno, true));
    let failing = [5, 13, 116].map(|errno| (errno, false));
    for (errno, passes) in passing.into_iter().chain(failing) {
        // With nothing published the first file read is one that was just written and synced.
        for published in [0, 300] {
            let disk = MemoryDisk::default();
            let mut log = open(&disk).unwrap();
            log.append(&bodies(0..published)).unwrap();
            log.publish(1).unwrap();
            log.append(&bodies(published..published + 2)).unwrap();
            disk.fail_read(errno);

            let refused = log.publish(2).unwrap_err();

            assert_eq!(refused.is_passing(), passes, "errno {errno}: {refused}");
            assert_eq!(log.poisoned().is_none(), passes, "errno {errno}");
            assert_eq!(log.size_published(), published);
            if passes {
                assert_eq!(log.publish(3).unwrap().size(), published + 2);
                assert_clean(&disk, published + 2);
            }
        }
    }
}

#[test]
fn what_a_cut_publication_left_goes_when_its_entries_get_another_order() {
    for published in [0, 2, 255, 256] {
        let disk = MemoryDisk::default();
        let mut log = open(&disk).unwrap();
        log.append(&bodies(0..published)).unwrap();
        log.publish(1).unwrap();
        disk.fail(1, Fault::Lost);
        log.append(&bodies(900..903)).unwrap();
        log.publish(2).unwrap_err();

        let mut log = open(&disk).unwrap();
        log.append(&bodies(published..published + 5)).unwrap();
        log.publish(3).unwrap();

        let files = disk.files();
        for (path, bytes) in &files {
            let superseding = files.iter().filter(|(other, _)| other.full() == path.full());
            let (_, widest) = superseding.max_by_key(|(other, _)| other.width()).unwrap();
            assert!(widest.starts_with(bytes), "{path} of a log of {published}");
        }
        assert_clean(&disk, published + 5);
    }
}

#[test]
fn five_hundred_power_cuts_lose_nothing_published() {
    let disk = MemoryDisk::default();
    let mut published = 0;
    for seed in 0..500 {
        let mut log = open(&disk).unwrap();
        let size = log.size();
        assert!(size >= published, "cut {seed} lost entries {size}..{published}");
        if seed % 50 == 49 {
            assert_clean(&disk, size);
        }
        // One publication that succeeds, one that is cut at its tiles or at its head.
        let more = 1 + seed * 7919 % 300;
        log.append(&bodies(size..size + more)).unwrap();
        published = log.publish(seed).unwrap().size();
        disk.fail((seed % 2) as usize, Fault::Cut(seed));
        log.append(&bodies(published..published + more)).unwrap();
        assert!(log.publish(seed).is_err());
    }
    let size = open(&disk).unwrap().size();
    assert_clean(&disk, size);
}

#[test]
fn a_disk_that_flips_a_byte_while_writing_is_found_before_signing() {
    for size in [1, 300] {
        let disk = MemoryDisk::default();
        let mut log = open(&disk).unwrap();
        disk.fail(0, Fault::Flipped);
        log.append(&bodies(0..size)).unwrap();

        assert!(matches!(log.publish(1), Err(PublishError::ReadBack(_))));

        drop(log);
        assert_eq!(open(&disk).unwrap().size(), 0);
    }
}

#[test]
fn tiles_that_were_damaged_since_are_found_before_signing_and_on_opening() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk).unwrap();
    log.append(&bodies(0..300)).unwrap();
    log.publish(1).unwrap();
    let path = TilePath::hashes(0, 1, 300).unwrap();
    let mut bytes = disk.read(&path).unwrap().unwrap();
    bytes[7] ^= 1;
    disk.overwrite(path, bytes);

    log.append(&bodies(300..301)).unwrap();

    assert!(matches!(log.publish(2), Err(PublishError::Tiles(_))));
    assert!(matches!(open(&disk), Err(OpenError::Tiles(_))));
}

#[test]
fn a_head_written_by_somebody_else_is_not_overwritten() {
    let disk = MemoryDisk::default();
    let (mut log, mut other) = (open(&disk).unwrap(), open(&disk).unwrap());
    log.append(&bodies(0..2)).unwrap();
    log.publish(1).unwrap();

    other.append(&bodies(5..6)).unwrap();

    assert!(matches!(other.publish(1), Err(PublishError::Head(_))));
    assert_eq!(open(&disk).unwrap().entry(0).unwrap().unwrap().body36(), body(0));
}

#[test]
fn another_key_origin_or_a_damaged_head_is_refused() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk).unwrap();
    log.append(&bodies(0..2)).unwrap();
    let note = log.publish(1).unwrap().note().to_owned();

    let other = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
    assert!(Log::open(disk.clone(), disk.clone(), other, ORIGIN).is_err());
    assert!(Log::open(disk.clone(), disk.clone(), signer(), "log.example/b").is_err());
    for at in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[at] ^= 1;
        disk.overwrite_head(Some(bytes));
        assert!(open(&disk).is_err(), "byte {at}");
    }
}

#[test]
fn malformed_entries_and_too_many_at_once_are_refused_whole() {
    let mut log = open(&MemoryDisk::default()).unwrap();
    let batch = [body(0), [0; 36]];

    assert!(matches!(log.append(&batch), Err(AppendError::Entry { at: 1, .. })));
    assert_eq!(log.size(), 0);
    let many = vec![body(0); ledger::log::PENDING_ENTRIES_MAX + 1];
    assert!(matches!(log.append(&many), Err(AppendError::Full)));
    assert_eq!(log.size(), 0);
}

#[test]
fn a_log_on_files_survives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let head = FileHead::open(folder.path()).unwrap();
        Log::open(FileTiles::new(folder.path()), head, signer(), ORIGIN).unwrap()
    };
    for round in 0..5 {
        let mut log = open();
        assert_eq!(log.size_published(), round * 200);
        log.append(&bodies(round * 200..(round + 1) * 200)).unwrap();
        log.publish(round).unwrap();
    }

    let tiles = FileTiles::new(folder.path());
    let note = std::fs::read(folder.path().join("checkpoint")).unwrap();
    let report = fsck(&tiles, Some(&note), ORIGIN, &signer().verifiers(), &expected(1000));
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!(report.entries_checked, 1000);
    assert!(!folder.path().join("tile/0/000.p").exists());
}

/// Run by hand: `cargo test --release -p ledger --test log -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, only meaningful in release mode"]
fn measure_append_and_publish() {
    let bodies = bodies(0..20_000);
    let disk = MemoryDisk::default();
    report("memory", &bodies, open(&disk).unwrap());
    let folder = tempfile::tempdir_in(std::env::var("TMPDIR").unwrap_or("/tmp".into())).unwrap();
    let head = FileHead::open(folder.path()).unwrap();
    let tiles = FileTiles::new(folder.path());
    report("files", &bodies, Log::open(tiles, head, signer(), ORIGIN).unwrap());
}

fn report<T: ledger::TileStorage, H: ledger::HeadStorage>(
    name: &str,
    bodies: &[[u8; 36]],
    mut log: Log<T, H>,
) {
    let started = std::time::Instant::now();
    for round in 0..20 {
        log.append(bodies).unwrap();
        log.publish(round).unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{name}: {:.0} entries/s in publications of {}",
        log.size() as f64 / seconds,
        bodies.len()
    );
    let started = std::time::Instant::now();
    for index in 0..1000 {
        log.prove(index * 397).unwrap().unwrap();
    }
    println!(
        "{name}: {:.0} µs a proof at size {}",
        started.elapsed().as_secs_f64() * 1e3,
        log.size()
    );
}

fn assert_clean(disk: &MemoryDisk, size: u64) {
    let note = ledger::HeadStorage::load(disk).unwrap();
    let report = fsck(disk, note.as_deref(), ORIGIN, &signer().verifiers(), &expected(size));
    assert_eq!(report.problems, []);
    assert_eq!((report.size, report.entries_checked), (size, size));
}

fn expected(size: u64) -> impl Fn(u64) -> Expected {
    move |index| if index < size { Expected::Body(body(index)) } else { Expected::Unknown }
}

fn open(disk: &MemoryDisk) -> Result<Log<MemoryDisk, MemoryDisk>, OpenError> {
    Log::open(disk.clone(), disk.clone(), signer(), ORIGIN)
}

fn signer() -> Signer {
    Signer::from_seed(ORIGIN, &[7; 32]).unwrap()
}

fn bodies(range: std::ops::Range<u64>) -> Vec<[u8; 36]> {
    range.map(body).collect()
}

fn body(index: u64) -> [u8; 36] {
    let mut commitment = [0; 32];
    commitment[..8].copy_from_slice(&index.to_be_bytes());
    let commitment = Commitment::from_bytes(commitment);
    EntryBody { kind: Kind::ResourceVersion, canon: Canon::Stored, commitment }.to_bytes()
}
