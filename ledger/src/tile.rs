//! Names and bytes of the files of a tiled log.
//!
//! Spec: C2SP tlog-tiles. Tiles of height 8: `tile/<level>/<N>[.p/<W>]` holds up to 256 hashes of 32 bytes;
//! `tile/entries/<N>[.p/<W>]` holds up to 256 entries, each after its length as a big-endian `u16`.
//! `N` is written in groups of three digits, all but the last led by `x`; `W` only for partial tiles.
//! Not here: which tiles a tree has (`tiling`), reading and writing them (`source`, `storage`).

use std::fmt;

use crate::{
    entry::{ENTRY_BYTES, Entry},
    error::{BundleError, TileError},
    hash::{HASH_BYTES, NodeHash},
};

/// Hashes in a full tile and entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Tree levels that one tile spans.
pub const TILE_HEIGHT: u32 = 8;

/// Name of one tile or entry bundle, relative to the log.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TilePath {
    level: TileLevel,
    index: u64,
    width: u16,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum TileLevel {
    Entries,
    Hashes(u8),
}

impl TilePath {
    /// The tile of hashes `index` at `level` in a log of `size` entries; `None` when it would be empty.
    pub fn hashes(level: u8, index: u64, size: u64) -> Option<Self> {
        let width = width(tile_hashes(level, size), index)?;
        Some(Self { level: TileLevel::Hashes(level), index, width })
    }

    /// The bundle `index` in a log of `size` entries; `None` when it would be empty.
    pub fn entries(index: u64, size: u64) -> Option<Self> {
        Some(Self { level: TileLevel::Entries, index, width: width(size, index)? })
    }

    /// Reads a name, strictly: there is one spelling for each tile.
    ///
    /// # Errors
    /// For anything that [`TilePath`] would not itself print.
    pub fn parse(text: &str) -> Result<Self, TileError> {
        let rest = text.strip_prefix("tile/").ok_or(TileError::Path)?;
        let (level, rest) = rest.split_once('/').ok_or(TileError::Path)?;
        let level = match level {
            "entries" => TileLevel::Entries,
            digits => TileLevel::Hashes(digits.parse().map_err(|_| TileError::Path)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().map_err(|_| TileError::Path)?),
            None => (rest, FULL_WIDTH),
        };
        let index = index.replace(['x', '/'], "").parse().map_err(|_| TileError::Path)?;
        let path = Self { level, index, width };
        let level_fits = !matches!(level, TileLevel::Hashes(64..));
        let width_fits = (1..=FULL_WIDTH).contains(&width);
        if level_fits && width_fits && path.to_string() == text {
            Ok(path)
        } else {
            Err(TileError::Path)
        }
    }

    /// Level of a tile of hashes; `None` for an entry bundle.
    pub fn level(&self) -> Option<u8> {
        match self.level {
            TileLevel::Entries => None,
            TileLevel::Hashes(level) => Some(level),
        }
    }

    /// Number of the tile in its level.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds, 1 to 256.
    pub fn width(&self) -> usize {
        usize::from(self.width)
    }

    /// Whether it holds less than a full tile.
    pub fn is_partial(&self) -> bool {
        self.width < FULL_WIDTH
    }

    /// The full tile of the same level and index.
    pub fn full(&self) -> Self {
        Self { width: FULL_WIDTH, ..*self }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            TileLevel::Entries => f.write_str("tile/entries/")?,
            TileLevel::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for group in groups[1..].iter().rev() {
            write!(f, "x{group:03}/")?;
        }
        write!(f, "{:03}", groups[0])?;
        if self.is_partial() { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// How many hashes the tiles of `level` hold together in a log of `size` entries.
pub fn tile_hashes(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * TILE_HEIGHT).unwrap_or(0)
}

/// Reads the hashes of the tile named `path`.
///
/// # Errors
/// When the length is not that of the width in the name.
pub fn parse_hashes(path: &TilePath, bytes: &[u8]) -> Result<Vec<NodeHash>, TileError> {
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    if hashes.len() != path.width() || !rest.is_empty() {
        return Err(TileError::Length(bytes.len()));
    }
    Ok(hashes.iter().copied().map(NodeHash::from_bytes).collect())
}

/// Writes the hashes of a tile.
pub fn encode_hashes(hashes: &[NodeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Reads the entries of the bundle named `path`; their sequence numbers must be their indexes.
///
/// # Errors
/// For a wrong length, a malformed entry or a wrong sequence number, with the position in the bundle.
pub fn parse_bundle(path: &TilePath, bytes: &[u8]) -> Result<Vec<Entry>, BundleError> {
    let (records, rest) = bytes.as_chunks::<RECORD_BYTES>();
    if records.len() != path.width() || !rest.is_empty() {
        return Err(BundleError::Length(bytes.len()));
    }
    let first = path.index() * TILE_WIDTH;
    let read = |(at, record): (usize, &[u8; RECORD_BYTES])| {
        let (length, entry) = record.split_at(2);
        if length != RECORD_LENGTH {
            return Err(BundleError::EntryLength { at });
        }
        let entry = Entry::parse(entry).map_err(|source| BundleError::Entry { at, source })?;
        if entry.sequence != first + at as u64 {
            return Err(BundleError::Sequence { at, sequence: entry.sequence });
        }
        Ok(entry)
    };
    records.iter().enumerate().map(read).collect()
}

/// Appends one entry to the bytes of a bundle.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &Entry) {
    bundle.extend_from_slice(&RECORD_LENGTH);
    bundle.extend_from_slice(&entry.to_bytes());
}

fn width(hashes: u64, index: u64) -> Option<u16> {
    let before = index.checked_mul(TILE_WIDTH)?;
    let width = hashes.checked_sub(before)?.min(TILE_WIDTH);
    u16::try_from(width).ok().filter(|width| *width > 0)
}

const FULL_WIDTH: u16 = 256;
/// Bytes of one entry in a bundle, with its length.
pub const RECORD_BYTES: usize = 2 + ENTRY_BYTES;
const RECORD_LENGTH: [u8; 2] = [0, ENTRY_BYTES as u8];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_spelled_as_in_the_specification() {
        let path = TilePath::hashes(0, 1_234_067, u64::MAX).unwrap();
        assert_eq!(path.to_string(), "tile/0/x001/x234/067");

        for (path, size, text) in [
            (TilePath::hashes(0, 273, 70_000), 70_000, "tile/0/273.p/112"),
            (TilePath::hashes(1, 0, 70_000), 70_000, "tile/1/000"),
            (TilePath::hashes(1, 1, 70_000), 70_000, "tile/1/001.p/17"),
            (TilePath::hashes(2, 0, 70_000), 70_000, "tile/2/000.p/1"),
            (TilePath::entries(273, 70_000), 70_000, "tile/entries/273.p/112"),
            (TilePath::hashes(0, 0, 256), 256, "tile/0/000"),
            (TilePath::hashes(1, 0, 256), 256, "tile/1/000.p/1"),
        ] {
            assert_eq!(path.unwrap().to_string(), text, "size {size}");
            assert_eq!(TilePath::parse(text), Ok(path.unwrap()));
        }
        assert_eq!(TilePath::hashes(3, 0, 70_000), None);
        assert_eq!(TilePath::hashes(0, 274, 70_000), None);
        assert_eq!(TilePath::hashes(9, 0, u64::MAX), None);
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/1000",
            "tile/0/x000/001",
            "tile/0/x1/001",
            "tile/00/001",
            "tile/+1/001",
            "tile/64/001",
            "tile/-1/001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/01",
            "tile/0/001.p/",
            "tile/0/001.p/1/",
            "/tile/0/001",
            "tile/0/001/",
            "tile/entries/../000",
            "tile/data/000",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(TilePath::parse(text), Err(TileError::Path), "{text}");
        }
    }

    #[test]
    fn tiles_and_bundles_of_another_length_are_refused() {
        let path = TilePath::hashes(0, 0, 3).unwrap();
        for length in (0..200).filter(|length| *length != 96) {
            assert_eq!(parse_hashes(&path, &vec![0; length]), Err(TileError::Length(length)));
        }
        let path = TilePath::entries(0, 3).unwrap();
        for length in (0..200).filter(|length| *length != 138) {
            assert_eq!(parse_bundle(&path, &vec![0; length]), Err(BundleError::Length(length)));
        }
    }
}
