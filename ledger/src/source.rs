//! Reading a log from its tiles, wherever they are.
//!
//! Spec: C2SP tlog-tiles. A partial tile that is gone is read from the full one that took its place.
//! What is read here is not trusted: proofs made of it hold or do not hold against a signed root.
//! Not here: writing (`storage`), checking everything (`fsck`).

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map},
    io,
    sync::Arc,
};

use crate::{
    entry::Entry,
    error::SourceError,
    hash::NodeHash,
    merkle::{ConsistencyProof, Frontier, InclusionProof, Nodes},
    tile::{self, TILE_HEIGHT, TILE_WIDTH, TilePath},
};

/// A place where tiles and entry bundles can be read: a folder, a web server, a map in memory.
pub trait TileSource {
    /// The bytes stored under this very name; `None` when there are none.
    ///
    /// # Errors
    /// When it cannot be known.
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>>;
}

impl<S: TileSource + ?Sized> TileSource for Arc<S> {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        self.as_ref().read(path)
    }
}

impl<S: TileSource + ?Sized> TileSource for &S {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        (*self).read(path)
    }
}

/// The proof that entry `index` is in the log of `size` entries; `None` when it is not.
///
/// # Errors
/// When a tile cannot be used.
pub fn prove_inclusion<S: TileSource>(
    index: u64,
    size: u64,
    source: &S,
) -> Result<Option<InclusionProof>, SourceError> {
    InclusionProof::make(index, size, &TileNodes::new(size, source))
}

/// The proof that the log of `old_size` entries is a prefix of that of `new_size`; `None` when it is larger.
///
/// # Errors
/// When a tile cannot be used.
pub fn prove_consistency<S: TileSource>(
    old_size: u64,
    new_size: u64,
    source: &S,
) -> Result<Option<ConsistencyProof>, SourceError> {
    ConsistencyProof::make(old_size, new_size, &TileNodes::new(new_size, source))
}

/// Entry `index` of the log of `size` entries; `None` when there is no such entry.
///
/// # Errors
/// When its bundle cannot be used.
pub fn read_entry<S: TileSource>(
    index: u64,
    size: u64,
    source: &S,
) -> Result<Option<Entry>, SourceError> {
    if index >= size {
        return Ok(None);
    }
    let Some(path) = TilePath::entries(index / TILE_WIDTH, size) else { return Ok(None) };
    let entries = read_bundle(&path, source)?;
    Ok(entries.get((index % TILE_WIDTH) as usize).copied())
}

/// The entries of one bundle of the log of `size` entries: those from `256 * bundle` on, none beyond the log.
///
/// # Errors
/// When the bundle cannot be used.
pub fn read_entries<S: TileSource>(
    bundle: u64,
    size: u64,
    source: &S,
) -> Result<Vec<Entry>, SourceError> {
    TilePath::entries(bundle, size)
        .map_or_else(|| Ok(Vec::new()), |path| read_bundle(&path, source))
}

/// The hashes of a tile.
pub(crate) fn read_hashes<S: TileSource>(
    path: &TilePath,
    source: &S,
) -> Result<Vec<NodeHash>, SourceError> {
    let parse = |path: &TilePath, bytes: &[u8]| {
        let path = *path;
        tile::parse_hashes(&path, bytes).map_err(|source| SourceError::Tile { path, source })
    };
    read_or_full(path, source, parse)
}

/// The entries of a bundle.
pub(crate) fn read_bundle<S: TileSource>(
    path: &TilePath,
    source: &S,
) -> Result<Vec<Entry>, SourceError> {
    let parse = |path: &TilePath, bytes: &[u8]| {
        let path = *path;
        tile::parse_bundle(&path, bytes).map_err(|source| SourceError::Bundle { path, source })
    };
    read_or_full(path, source, parse)
}

/// Reads `path`, or the full tile that replaced it, cut to the same width.
fn read_or_full<S: TileSource, T>(
    path: &TilePath,
    source: &S,
    parse: impl Fn(&TilePath, &[u8]) -> Result<Vec<T>, SourceError>,
) -> Result<Vec<T>, SourceError> {
    let read = |path: &TilePath| {
        source.read(path).map_err(|source| SourceError::Read { path: *path, source })
    };
    if let Some(bytes) = read(path)? {
        return parse(path, &bytes);
    }
    let full = path.full();
    let bytes = if path.is_partial() { read(&full)? } else { None };
    let mut items = parse(&full, &bytes.ok_or(SourceError::Missing(*path))?)?;
    items.truncate(path.width());
    Ok(items)
}

/// The nodes of the tree of `size` entries, each tile read once.
struct TileNodes<'s, S> {
    size: u64,
    source: &'s S,
    tiles: RefCell<HashMap<TilePath, Vec<NodeHash>>>,
}

impl<'s, S: TileSource> TileNodes<'s, S> {
    fn new(size: u64, source: &'s S) -> Self {
        Self { size, source, tiles: RefCell::default() }
    }
}

impl<S: TileSource> Nodes for TileNodes<'_, S> {
    type Error = SourceError;

    fn node(&self, level: u32, index: u64) -> Result<NodeHash, SourceError> {
        let tile_level = u8::try_from(level / TILE_HEIGHT).expect("a tree has at most 64 levels");
        let height = level % TILE_HEIGHT;
        let first = index << height;
        let path = TilePath::hashes(tile_level, first / TILE_WIDTH, self.size)
            .expect("a perfect subtree of the tree lies in one of its tiles");
        let mut tiles = self.tiles.borrow_mut();
        let hashes = match tiles.entry(path) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(unknown) => unknown.insert(read_hashes(&path, self.source)?),
        };
        let at = (first % TILE_WIDTH) as usize;
        Ok(subtree(&hashes[at..at + (1 << height)]))
    }
}

/// Root of the subtree whose leaves are these hashes, of which there must be at least one.
pub(crate) fn subtree(hashes: &[NodeHash]) -> NodeHash {
    let mut tree = Frontier::new();
    for hash in hashes {
        tree.push_node(*hash);
    }
    tree.top().expect("a subtree has at least one leaf")
}
