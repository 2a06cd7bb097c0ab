//! Every flipped byte of a log is found, and the file that holds it is named.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use ledger::{
    Canon, Commitment, EntryBody, FsckReport, HeadStorage, Kind, Log, Signer, fsck, fsck::Expected,
    memory::MemoryDisk,
};

const ORIGIN: &str = "log.example/a";

#[test]
fn a_thousand_random_flips_are_all_found_in_the_right_file() {
    let mut random = Random(0x5EA1_0001);
    for size in [5, 300, 1500, 256, 70_000] {
        let disk = log_of(size);
        assert!(check(&disk).is_clean());
        let files = disk.files();
        let rounds = if size > 10_000 { 8 } else { 250 };
        for _ in 0..rounds {
            let (path, bytes) = &files[random.below(files.len())];
            let at = random.below(bytes.len());
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 + random.below(255) as u8;
            disk.overwrite(*path, damaged);

            let report = check(&disk);

            assert_names(&report, &path.to_string(), size, at);
            disk.overwrite(*path, bytes.clone());
        }
    }
}

#[test]
fn every_flipped_byte_of_the_checkpoint_is_found() {
    let disk = log_of(300);
    let note = disk.load().unwrap().unwrap();

    for at in 0..note.len() {
        let mut damaged = note.clone();
        damaged[at] ^= 0x04;
        disk.overwrite_head(Some(damaged));

        assert_names(&check(&disk), "checkpoint", 300, at);
    }
    disk.overwrite_head(None);
    assert_names(&check(&disk), "checkpoint", 300, 0);
}

#[test]
fn missing_and_truncated_files_are_named() {
    let disk = log_of(70_000);
    for (path, bytes) in disk.files().into_iter().step_by(151) {
        disk.overwrite(path, bytes[..bytes.len() / 2].to_vec());
        assert_names(&check(&disk), &path.to_string(), 70_000, 0);
        disk.overwrite(path, Vec::new());
        assert_names(&check(&disk), &path.to_string(), 70_000, 0);
        disk.overwrite(path, bytes);
    }
}

#[test]
fn a_log_rewritten_with_matching_tiles_is_found_by_its_root() {
    let (disk, other) = (log_of(600), MemoryDisk::default());
    let mut log = open(&other);
    log.append(&(0..600).map(|i| body(i + 1)).collect::<Vec<_>>()).unwrap();
    log.publish(1).unwrap();
    for (path, bytes) in other.files() {
        disk.overwrite(path, bytes);
    }

    let report = check(&disk);

    assert!(report.problems.iter().any(|problem| problem.file == "checkpoint"));
}

#[test]
fn entries_that_the_database_holds_differently_are_named() {
    let disk = log_of(300);
    let expected = |index| match index {
        7 => Expected::Body(body(8)),
        9 => Expected::Missing,
        300.. => Expected::Unknown,
        _ => Expected::Body(body(index)),
    };

    let report = check_with(&disk, &expected);
    let files: Vec<_> = report.problems.iter().map(|problem| problem.file.as_str()).collect();
    assert_eq!(files, ["entry 7", "entry 9"]);

    let report = check_with(&disk, &|index| Expected::Body(body(index)));
    assert_eq!(report.problems[0].file, "entry 300");
    assert_eq!(report.problems.len(), 1);
}

fn assert_names(report: &FsckReport, file: &str, size: u64, at: usize) {
    let files: Vec<_> = report.problems.iter().map(|problem| problem.file.as_str()).collect();
    assert!(files.contains(&file), "flip at byte {at} of {file} in a log of {size}: {files:?}");
    assert!(
        files.iter().all(|name| *name == file),
        "one damaged file is reported as one: {files:?}"
    );
}

fn check(disk: &MemoryDisk) -> FsckReport {
    check_with(disk, &|_| Expected::Unknown)
}

fn check_with(disk: &MemoryDisk, expected: &dyn Fn(u64) -> Expected) -> FsckReport {
    let note = disk.load().unwrap();
    fsck(disk, note.as_deref(), ORIGIN, &signer().verifiers(), expected)
}

fn log_of(size: u64) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    log.append(&(0..size).map(body).collect::<Vec<_>>()).unwrap();
    log.publish(1_700_000_000_000).unwrap();
    disk
}

fn open(disk: &MemoryDisk) -> Log<MemoryDisk, MemoryDisk> {
    Log::open(disk.clone(), disk.clone(), signer(), ORIGIN).unwrap()
}

fn signer() -> Signer {
    Signer::from_seed(ORIGIN, &[7; 32]).unwrap()
}

fn body(index: u64) -> [u8; 36] {
    let mut commitment = [0; 32];
    commitment[..8].copy_from_slice(&index.to_be_bytes());
    let commitment = Commitment::from_bytes(commitment);
    EntryBody { kind: Kind::ResourceVersion, canon: Canon::Stored, commitment }.to_bytes()
}

/// SplitMix64: the same flips in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}
