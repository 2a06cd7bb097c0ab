//! From entries in order to tiles: the one way in which tiles are made, published, recovered and checked.
//!
//! Spec: C2SP tlog-tiles. Kept: the partial tile of each level, the partial bundle, the frontier; O(log n) memory.
//! Not here: where tiles go (`storage`), when they are signed (`log`).

use crate::{
    checkpoint::Checkpoint,
    entry::Entry,
    error::TilingError,
    hash::{NodeHash, RootHash},
    merkle::Frontier,
    source::{TileSource, read_bundle, read_hashes, subtree},
    tile::{self, RECORD_BYTES, TILE_WIDTH, TilePath},
};

/// A file of the log: its name and its bytes.
pub type TileFile = (TilePath, Vec<u8>);

/// The right edge of a tiled log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tiling {
    frontier: Frontier,
    /// Hashes of the partial tile of each level, lowest first.
    levels: Vec<Vec<NodeHash>>,
    /// Bytes of the partial bundle.
    bundle: Vec<u8>,
}

impl Tiling {
    /// The log without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// The right edge of a log as its tiles have it, once they have led to the root of `checkpoint`.
    ///
    /// # Errors
    /// When a tile cannot be used, or they lead to another root.
    pub fn load<S: TileSource>(checkpoint: &Checkpoint, source: &S) -> Result<Self, TilingError> {
        let size = checkpoint.size;
        let mut levels = Vec::new();
        for level in 0u8.. {
            let hashes = tile::tile_hashes(level, size);
            if hashes == 0 {
                break;
            }
            let edge = TilePath::hashes(level, hashes / TILE_WIDTH, size);
            levels.push(edge.map_or(Ok(Vec::new()), |path| read_hashes(&path, source))?);
        }
        let frontier = frontier_of(size, &levels);
        let frontier = frontier.filter(|frontier| frontier.root() == checkpoint.root);
        let frontier = frontier.ok_or(TilingError::RootDiffers { size })?;
        let mut bundle = Vec::new();
        if let Some(path) = TilePath::entries(size / TILE_WIDTH, size) {
            for (at, entry) in read_bundle(&path, source)?.iter().enumerate() {
                if NodeHash::leaf(entry.leaf_hash()) != levels[0][at] {
                    return Err(TilingError::EntryDiffers { path, at });
                }
                tile::push_entry(&mut bundle, entry);
            }
        }
        Ok(Self { frontier, levels, bundle })
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root of the tree over them.
    pub fn root(&self) -> RootHash {
        self.frontier.root()
    }

    /// Appends one entry, whose sequence number must be the size; every tile that it fills goes to `full`.
    pub fn push(&mut self, entry: &Entry, full: &mut Vec<TileFile>) {
        debug_assert_eq!(entry.sequence, self.size(), "an entry is sequenced by its index");
        let leaf = entry.leaf_hash();
        self.frontier.push(leaf);
        tile::push_entry(&mut self.bundle, entry);
        if self.bundle.len() == RECORD_BYTES * TILE_WIDTH as usize {
            let path = TilePath::entries(self.size() / TILE_WIDTH - 1, self.size());
            full.push((
                path.expect("the bundle was just filled"),
                std::mem::take(&mut self.bundle),
            ));
        }
        let mut carried = NodeHash::leaf(leaf);
        for level in 0u8.. {
            let at = usize::from(level);
            if self.levels.len() == at {
                self.levels.push(Vec::new());
            }
            self.levels[at].push(carried);
            if self.levels[at].len() < TILE_WIDTH as usize {
                break;
            }
            let hashes = std::mem::take(&mut self.levels[at]);
            let index = tile::tile_hashes(level, self.size()) / TILE_WIDTH - 1;
            let path =
                TilePath::hashes(level, index, self.size()).expect("the tile was just filled");
            full.push((path, tile::encode_hashes(&hashes)));
            carried = subtree(&hashes);
        }
    }

    /// The partial tiles and the partial bundle as they are.
    pub fn partials(&self) -> Vec<TileFile> {
        let size = self.size();
        let bundle = TilePath::entries(size / TILE_WIDTH, size);
        let mut files: Vec<_> =
            bundle.map(|path| (path, self.bundle.clone())).into_iter().collect();
        for (level, hashes) in (0u8..).zip(&self.levels) {
            let index = tile::tile_hashes(level, size) / TILE_WIDTH;
            if let Some(path) = TilePath::hashes(level, index, size) {
                files.push((path, tile::encode_hashes(hashes)));
            }
        }
        files
    }
}

/// The frontier of a log of `size` entries with these partial tiles, lowest level first.
pub(crate) fn frontier_of(size: u64, levels: &[Vec<NodeHash>]) -> Option<Frontier> {
    let mut peaks = Vec::new();
    for hashes in levels.iter().rev() {
        let mut tile = Frontier::new();
        hashes.iter().for_each(|hash| tile.push_node(*hash));
        peaks.extend_from_slice(tile.peaks());
    }
    Frontier::from_peaks(size, peaks)
}
