//! One byte flipped, anywhere in what is stored: each is found by `fsck`, or by `verify` where it is a receipt.
//!
//! A short form runs always; `SEALWAY_FLIPS=1000` runs the long one.

use std::collections::BTreeMap;
use std::path::Path;

use ledger::{Trust, Verdict, verify_receipt_bytes};
use rusqlite::params;

use super::folder::Folder;

/// What is flipped.
const KINDS: [&str; 10] = [
    "payload in the database",
    "payload in the object store",
    "ledger entry in the database",
    "salt id in the database",
    "data key in the database",
    "entry bundle",
    "tile",
    "checkpoint",
    "access journal",
    "receipt",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_byte_is_found() {
    let flips: usize =
        std::env::var("SEALWAY_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(FLIPS_SHORT);
    let folder = Folder::make(None).await;
    assert_eq!(folder.problems().await, Vec::<String>::new());
    let mut random = Random(0x5EA1_F11B);
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();

    for at in 0..flips {
        let kind = KINDS[at % KINDS.len()];
        match kind {
            "payload in the database" => {
                column(&folder, "resource_version", "payload", &mut random).await
            }
            "ledger entry in the database" => {
                column(&folder, "resource_version", "entry", &mut random).await
            }
            "salt id in the database" => {
                column(&folder, "resource_version", "salt_id", &mut random).await
            }
            "data key in the database" => column(&folder, "data_key", "wrapped", &mut random).await,
            "receipt" => receipt(&folder, &mut random),
            "payload in the object store" => files(&folder, "objects", |_| true, &mut random).await,
            "entry bundle" => files(&folder, "log/tile", is_bundle, &mut random).await,
            "tile" => files(&folder, "log/tile", |path| !is_bundle(path), &mut random).await,
            "checkpoint" => {
                files(&folder, "log", |path| path.ends_with("checkpoint"), &mut random).await
            }
            _ => files(&folder, "access", |_| true, &mut random).await,
        }
        *found.entry(kind).or_default() += 1;
    }

    assert_eq!(folder.problems().await, Vec::<String>::new(), "everything was put back");
    eprintln!("{flips} flips, all found: {found:?}");
}

fn is_bundle(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "entries")
}

/// Flips a byte of a random row's column.
async fn column(folder: &Folder, table: &str, column: &str, random: &mut Random) {
    // The salt id of what was erased names no salt any more (docs/erasure.md): there is nothing to be found.
    let of = match column {
        "salt_id" => format!("where length(payload) > {}", repository::ERASED_BYTES),
        _ => String::new(),
    };
    let (row, sound) = {
        let conn = rusqlite::Connection::open(folder.database()).unwrap();
        let rows: Vec<i64> = conn
            .prepare(&format!("select rowid from {table} {of} order by rowid"))
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let row = rows[random.below(rows.len())];
        let sound: Vec<u8> = conn
            .query_row(&format!("select {column} from {table} where rowid = ?1"), [row], |row| {
                row.get(0)
            })
            .unwrap();
        (row, sound)
    };
    let put = |bytes: &[u8]| {
        let conn = rusqlite::Connection::open(folder.database()).unwrap();
        let changed = conn
            .execute(
                &format!("update {table} set {column} = ?1 where rowid = ?2"),
                params![bytes, row],
            )
            .unwrap();
        assert_eq!(changed, 1);
    };
    let (flipped, at) = random.flip(&sound);
    put(&flipped);

    let problems = folder.problems().await;

    assert!(!problems.is_empty(), "byte {at} of {table}.{column}, row {row}");
    put(&sound);
}

/// Flips a byte of a random file.
async fn files(
    folder: &Folder,
    below: &str,
    is_meant: impl Fn(&Path) -> bool,
    random: &mut Random,
) {
    let files: Vec<_> = folder.files(below).into_iter().filter(|path| is_meant(path)).collect();
    assert!(!files.is_empty(), "there are files in {below}");
    let file = &files[random.below(files.len())];
    let sound = std::fs::read(file).unwrap();
    let (flipped, at) = random.flip(&sound);
    std::fs::write(file, flipped).unwrap();

    let problems = folder.problems().await;

    assert!(!problems.is_empty(), "byte {at} of {}", file.display());
    std::fs::write(file, sound).unwrap();
}

fn receipt(folder: &Folder, random: &mut Random) {
    let sealed = &folder.sealed;
    let trust = Trust::parse(&sealed.trust).unwrap();
    let verdict = |receipt: &[u8]| verify_receipt_bytes(&sealed.content, receipt, &trust).verdict;
    assert_eq!(verdict(&sealed.receipt), Verdict::Verified);

    let (flipped, at) = random.flip(&sealed.receipt);

    assert_ne!(verdict(&flipped), Verdict::Verified, "byte {at} of the receipt");
}

/// SplitMix64: the same flips in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    /// Another value for one byte, and which.
    fn flip(&mut self, sound: &[u8]) -> (Vec<u8>, usize) {
        let at = self.below(sound.len());
        let mut flipped = sound.to_vec();
        flipped[at] ^= 1 << self.below(8);
        (flipped, at)
    }
}

const FLIPS_SHORT: usize = 60;
