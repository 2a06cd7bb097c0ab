//! Re-derivation of a whole log from its checkpoint, tiles and entry bundles, naming every file that is wrong.
//!
//! Trust flows downwards: the signature vouches for the root, the root for the partial tiles, each hash in a tile for
//! the tile below, each leaf hash for an entry. A tile that is wrong is replaced by what the tiles below derive, where
//! that leads to the hash wanted, so that one damaged file is reported as one. Reads every file once; memory O(log n).
//! Not here: whether payloads open their commitments (`gateway`'s `ledger fsck` does that with the registry).

use std::fmt;

use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    entry::{BODY_BYTES, Entry},
    error::{CheckpointError, NoteError, SourceError},
    hash::NodeHash,
    note::Verifier,
    source::{TileSource, read_bundle, read_hashes, subtree},
    tile::{TILE_WIDTH, TilePath, tile_hashes},
    tiling::frontier_of,
};

/// Something that is wrong, and in which file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Name of the file relative to the log, or `entry N`.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// What a check of a whole log found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FsckReport {
    /// Size of the log by its checkpoint.
    pub size: u64,
    /// Entries whose leaf is in the signed tree.
    pub entries_checked: u64,
    /// What is wrong, in the order of the log.
    pub problems: Vec<Problem>,
}

/// Checks everything. `expected` gives the body that the database holds for an index, to compare with the log.
pub fn fsck<S: TileSource>(
    source: &S,
    note: Option<&[u8]>,
    origin: &str,
    keys: &[Verifier],
    expected: &dyn Fn(u64) -> Expected,
) -> FsckReport {
    let mut fsck = Fsck { source, expected, report: FsckReport::default() };
    match note.map(|note| open(note, origin, keys)) {
        None => fsck.problem("checkpoint", "is missing"),
        Some(Err(error)) => fsck.problem("checkpoint", &error.to_string()),
        Some(Ok(checkpoint)) => fsck.log(&checkpoint),
    }
    fsck.report
}

/// What the database holds for an index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// It was not asked, or knows nothing of it by design.
    Unknown,
    /// It holds this body.
    Body([u8; BODY_BYTES]),
    /// It should hold one and does not.
    Missing,
}

impl FsckReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

/// Opens the checkpoint and wants a valid signature by every kind of key that is known.
fn open(note: &[u8], origin: &str, keys: &[Verifier]) -> Result<Checkpoint, CheckpointError> {
    let signed = SignedCheckpoint::open(note, origin, keys)?;
    if keys.iter().all(|key| signed.is_signed_as(key.algorithm())) {
        Ok(signed.checkpoint().clone())
    } else {
        Err(CheckpointError::Note(NoteError::UnknownKey))
    }
}

struct Fsck<'a, S> {
    source: &'a S,
    expected: &'a dyn Fn(u64) -> Expected,
    report: FsckReport,
}

impl<S: TileSource> Fsck<'_, S> {
    fn log(&mut self, checkpoint: &Checkpoint) {
        self.report.size = checkpoint.size;
        let edges = self.edges(checkpoint);
        for (level, hashes) in (0u8..).zip(edges) {
            let index = tile_hashes(level, checkpoint.size) / TILE_WIDTH;
            if let Some(path) = TilePath::hashes(level, index, checkpoint.size) {
                self.below(&path, hashes.as_deref());
            }
        }
        self.report.problems.sort_by_key(|problem| order_of(&problem.file));
        let covered = checkpoint.size;
        if (self.expected)(covered) != Expected::Unknown {
            self.problem(
                &format!("entry {covered}"),
                "the database expects more entries than the log has",
            );
        }
    }

    /// The partial tile of each level, as far as the signed root vouches for it.
    fn edges(&mut self, checkpoint: &Checkpoint) -> Vec<Option<Vec<NodeHash>>> {
        let (size, root) = (checkpoint.size, checkpoint.root);
        let paths: Vec<_> = (0u8..)
            .take_while(|level| tile_hashes(*level, size) > 0)
            .map(|level| TilePath::hashes(level, tile_hashes(level, size) / TILE_WIDTH, size))
            .collect();
        let leads_to_root = |levels: &[Vec<NodeHash>]| {
            frontier_of(size, levels).is_some_and(|frontier| frontier.root() == root)
        };
        let read = |path: &Option<TilePath>| match path {
            None => Ok(Vec::new()),
            Some(path) => read_hashes(path, self.source),
        };
        let stored: Vec<_> = paths.iter().map(read).collect();
        let complete: Option<Vec<_>> = stored.iter().map(|r| r.as_ref().ok().cloned()).collect();
        if complete.as_deref().is_some_and(leads_to_root) {
            return complete.into_iter().flatten().map(Some).collect();
        }
        let derived: Vec<_> = paths.iter().map(|path| self.derive(path.as_ref())).collect();
        // One damaged tile: the others as stored and this one as derived lead to the root.
        for at in 0..stored.len() {
            let pick = |(level, stored): (usize, &Result<Vec<NodeHash>, SourceError>)| {
                if level == at { derived[level].clone() } else { stored.as_ref().ok().cloned() }
            };
            let mixed: Option<Vec<_>> = stored.iter().enumerate().map(pick).collect();
            if let (Some(mixed), Some(path)) = (mixed.filter(|m| leads_to_root(m)), &paths[at]) {
                let what = stored[at].as_ref().err().map(ToString::to_string);
                self.problem(&path.to_string(), what.as_deref().unwrap_or(UNDERIVED));
                return mixed.into_iter().map(Some).collect();
            }
        }
        self.blame_edges(&paths, &stored, derived)
    }

    /// More than one partial tile is damaged, or the log under them is: report each that differs from what it derives.
    fn blame_edges(
        &mut self,
        paths: &[Option<TilePath>],
        stored: &[Result<Vec<NodeHash>, SourceError>],
        derived: Vec<Option<Vec<NodeHash>>>,
    ) -> Vec<Option<Vec<NodeHash>>> {
        for ((path, stored), derived) in paths.iter().zip(stored).zip(&derived) {
            let Some(path) = path else { continue };
            match stored {
                Err(error) => self.problem(&path.to_string(), &error.to_string()),
                Ok(stored) if derived.as_ref() != Some(stored) => {
                    self.problem(&path.to_string(), UNDERIVED);
                }
                Ok(_) => {}
            }
        }
        self.problem("checkpoint", "the tiles do not re-derive the signed root");
        derived
    }

    /// What is below a tile derives: the roots of the tiles below, or the leaves of the bundle.
    fn derive(&self, path: Option<&TilePath>) -> Option<Vec<NodeHash>> {
        let Some(path) = path else { return Some(Vec::new()) };
        match path.level() {
            Some(level) if level > 0 => (0..path.width() as u64)
                .map(|at| {
                    let below = child(path, level, at);
                    let hashes = read_hashes(&below, self.source).ok();
                    let hashes = hashes.or_else(|| self.derive(Some(&below)))?;
                    Some(subtree(&hashes))
                })
                .collect(),
            _ => {
                let entries = read_bundle(&bundle_of(path), self.source).ok()?;
                Some(entries.iter().map(|entry| NodeHash::leaf(entry.leaf_hash())).collect())
            }
        }
    }

    /// Checks what lies below a tile whose hashes are vouched for (or, without, only that it is whole).
    fn below(&mut self, path: &TilePath, hashes: Option<&[NodeHash]>) {
        if self.report.problems.len() >= PROBLEMS_MAX {
            return;
        }
        match path.level() {
            Some(level) if level > 0 => {
                for at in 0..path.width() as u64 {
                    let wanted = hashes.and_then(|hashes| hashes.get(at as usize));
                    self.tile(&child(path, level, at), wanted);
                }
            }
            _ => self.bundle(&bundle_of(path), hashes),
        }
    }

    /// Checks a full tile against the hash that vouches for it, then what is below it.
    fn tile(&mut self, path: &TilePath, wanted: Option<&NodeHash>) {
        let fits = |hashes: &Vec<NodeHash>| wanted.is_none_or(|wanted| subtree(hashes) == *wanted);
        let stored = read_hashes(path, self.source);
        let what = match &stored {
            Ok(hashes) if fits(hashes) => return self.below(path, Some(hashes)),
            Ok(_) => "does not have the hash that the tile above it says".to_owned(),
            Err(error) => error.to_string(),
        };
        self.problem(&path.to_string(), &what);
        let derived = self.derive(Some(path)).filter(fits);
        self.below(path, derived.as_deref());
    }

    /// Checks a bundle against the leaf hashes that vouch for it, and against the database.
    fn bundle(&mut self, path: &TilePath, leaves: Option<&[NodeHash]>) {
        let entries = match read_bundle(path, self.source) {
            Ok(entries) => entries,
            Err(error) => return self.problem(&path.to_string(), &error.to_string()),
        };
        for (at, entry) in entries.iter().enumerate() {
            let leaf = NodeHash::leaf(entry.leaf_hash());
            if leaves.and_then(|leaves| leaves.get(at)).is_some_and(|wanted| *wanted == leaf) {
                self.report.entries_checked += 1;
            } else if leaves.is_some() {
                let what = format!("entry {} is not the one in the tree", entry.sequence);
                self.problem(&path.to_string(), &what);
            }
            self.compare(entry);
        }
    }

    fn compare(&mut self, entry: &Entry) {
        let what = match (self.expected)(entry.sequence) {
            Expected::Unknown => return,
            Expected::Body(body) if body == entry.body36() => return,
            Expected::Body(_) => "the database holds another entry",
            Expected::Missing => "the database does not know it",
        };
        self.problem(&format!("entry {}", entry.sequence), what);
    }

    fn problem(&mut self, file: &str, what: &str) {
        self.report.problems.push(Problem { file: file.to_owned(), what: what.to_owned() });
    }
}

/// The full tile that hash `at` of the tile `path` stands for.
fn child(path: &TilePath, level: u8, at: u64) -> TilePath {
    let index = path.index() * TILE_WIDTH + at;
    TilePath::hashes(level - 1, index, u64::MAX).expect("a hash stands for a full tile below it")
}

/// The bundle of a tile of leaf hashes.
fn bundle_of(path: &TilePath) -> TilePath {
    let size = path.index() * TILE_WIDTH + path.width() as u64;
    TilePath::entries(path.index(), size).expect("a tile of leaves has at least one entry")
}

/// Checkpoint, tiles, bundles, entries.
fn order_of(file: &str) -> (u8, u64) {
    match TilePath::parse(file) {
        Ok(path) => (if path.level().is_some() { 1 } else { 2 }, path.index()),
        Err(_) if file == "checkpoint" => (0, 0),
        Err(_) => (3, file.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)),
    }
}

/// After so many problems the check goes no deeper.
pub const PROBLEMS_MAX: usize = 10_000;
const UNDERIVED: &str = "is not what the files below it derive";
