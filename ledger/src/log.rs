//! The log of one gateway: append, integrate, publish, recover.
//!
//! `append` sequences and integrates in memory; `publish` makes tiles durable, reads them back, re-derives the root from
//! the bytes read, signs it and swaps the head. Whatever is not published is lost by a crash, and the caller appends it
//! again from its outbox: after [`Log::open`] it compares [`Log::size_published`] and [`Log::entry`] with what it knows,
//! because a publication that reported an error may have happened. After any error the log is poisoned: it never
//! retries a failed fsync, and only opening it again tells what is on the disk. Not here: the outbox (`registry`).

use std::{collections::HashMap, fmt, ops::Range};

use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    entry::{BODY_BYTES, Entry, EntryBody},
    error::{BundleError, CheckpointError, EntryError, SourceError, TilingError},
    hash::RootHash,
    merkle::InclusionProof,
    note::Signer,
    source,
    storage::{HeadStorage, StorageError, SwapError, TileStorage, is_want},
    tile::{self, TILE_WIDTH, TilePath},
    tiling::{TileFile, Tiling},
};

/// A log with exactly one writer.
pub struct Log<T, H> {
    tiles: T,
    head: H,
    signer: Signer,
    origin: String,
    tiling: Tiling,
    /// Full tiles made since the last publication.
    full: Vec<TileFile>,
    /// Entries appended since the last publication.
    pending: Vec<Entry>,
    published: Option<SignedCheckpoint>,
    poisoned: Option<String>,
}

/// Most entries between two publications.
pub const PENDING_ENTRIES_MAX: usize = 1 << 20;

/// Why a log was not opened. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The head cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The head is not a checkpoint that this key signed for this log.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The tiles are not those of the checkpoint: run `ledger fsck`, restore them from a mirror.
    #[error(transparent)]
    Tiles(#[from] TilingError),
}

/// Why entries were not appended. Nothing was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// An entry is malformed.
    #[error("entry {at} of the batch: {source}")]
    Entry {
        /// Position in the batch.
        at: usize,
        /// What is wrong with it.
        source: EntryError,
    },
    /// Too much is unpublished. Publish, then append again.
    #[error("more than {PENDING_ENTRIES_MAX} entries are unpublished")]
    Full,
    /// An earlier publication failed. Open the log again.
    #[error("the log failed before: {0}")]
    Poisoned(String),
}

/// Why a checkpoint may not have been published. Unless [`PublishError::is_passing`] the log is poisoned: open it again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Tiles may not be durable.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file read back is not the one written: the disk or the memory is broken. Nothing was signed.
    #[error("{0} was read back with other bytes than written")]
    ReadBack(TilePath),
    /// What was read back leads to another root than the one in memory. Nothing was signed.
    #[error("the bytes read back derive another root than memory holds at size {size}")]
    RootDiffers {
        /// Size to be published.
        size: u64,
    },
    /// The tiles published before are not what was signed. Nothing was signed.
    #[error(transparent)]
    Tiles(#[from] TilingError),
    /// The head was not swapped, or may not have been.
    #[error("checkpoint: {0}")]
    Head(#[from] SwapError),
    /// An earlier publication failed.
    #[error("the log failed before: {0}")]
    Poisoned(String),
}

impl PublishError {
    /// True when nothing was signed for want of space, memory or file handles: publishing again is safe, since it
    /// writes and syncs all files again. A file that cannot be read for another reason is a disk that fails.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Storage(StorageError::NoRoom { .. })
            | Self::Head(SwapError::Storage(StorageError::NoRoom { .. })) => true,
            Self::Tiles(TilingError::Source(SourceError::Read { source, .. })) => is_want(source),
            _ => false,
        }
    }
}

impl<T: TileStorage, H: HeadStorage> Log<T, H> {
    /// Takes the log up where its last published checkpoint left it; an empty head is a new log.
    ///
    /// The key's name must be `origin`. Only the right edge is read: O(log n).
    ///
    /// # Errors
    /// When the checkpoint is not this key's and log's, or the tiles do not re-derive its root.
    pub fn open(tiles: T, head: H, signer: Signer, origin: &str) -> Result<Self, OpenError> {
        if signer.name() != origin {
            return Err(CheckpointError::Origin(signer.name().to_owned()).into());
        }
        let keys = signer.verifiers();
        let note = head.load()?;
        let published =
            note.map(|note| SignedCheckpoint::open(&note, origin, &keys)).transpose()?;
        let published = match published {
            Some(signed) if !keys.iter().all(|key| signed.is_signed_as(key.algorithm())) => {
                return Err(CheckpointError::Note(crate::NoteError::UnknownKey).into());
            }
            published => published,
        };
        let tiling = match &published {
            Some(signed) => Tiling::load(signed.checkpoint(), &tiles)?,
            None => Tiling::new(),
        };
        let (origin, full, pending) = (origin.to_owned(), Vec::new(), Vec::new());
        Ok(Self { tiles, head, signer, origin, tiling, full, pending, published, poisoned: None })
    }

    /// Sequences and integrates entries; gives their indexes. They are lost by a crash before [`Log::publish`].
    ///
    /// # Errors
    /// When an entry is malformed, too much is unpublished, or the log is poisoned. Nothing was appended.
    pub fn append(&mut self, bodies: &[[u8; BODY_BYTES]]) -> Result<Range<u64>, AppendError> {
        if let Some(cause) = &self.poisoned {
            return Err(AppendError::Poisoned(cause.clone()));
        }
        if self.pending.len() + bodies.len() > PENDING_ENTRIES_MAX {
            return Err(AppendError::Full);
        }
        let start = self.size();
        let parse = |(at, body): (usize, &[u8; BODY_BYTES])| {
            let body =
                EntryBody::parse(body).map_err(|source| AppendError::Entry { at, source })?;
            Ok(Entry { body, sequence: start + at as u64 })
        };
        let entries = bodies.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
        for entry in &entries {
            self.tiling.push(entry, &mut self.full);
        }
        self.pending.extend(entries);
        Ok(start..self.size())
    }

    /// Publishes everything appended under a new signed checkpoint; the time is in milliseconds since 1970.
    ///
    /// Without new entries the last checkpoint is given again; the first one may be empty.
    ///
    /// # Errors
    /// When anything failed. The log is poisoned then, and whether the checkpoint is out is seen on opening; after
    /// an error that [is passing](PublishError::is_passing) the entries stay, and it can be called again.
    pub fn publish(&mut self, time_ms: u64) -> Result<SignedCheckpoint, PublishError> {
        if let Some(cause) = &self.poisoned {
            return Err(PublishError::Poisoned(cause.clone()));
        }
        if let (Some(published), true) = (&self.published, self.pending.is_empty()) {
            return Ok(published.clone());
        }
        let published = self.write_and_sign(time_ms / 1000);
        if let Err(error) = &published
            && !error.is_passing()
        {
            self.poisoned = Some(error.to_string());
        }
        published
    }

    fn write_and_sign(&mut self, time: u64) -> Result<SignedCheckpoint, PublishError> {
        let before = match &self.published {
            Some(signed) => Tiling::load(signed.checkpoint(), &self.tiles)?,
            None => Tiling::new(),
        };
        let full_count = self.full.len();
        let mut files = std::mem::take(&mut self.full);
        let unchanged: Vec<_> = before.partials().into_iter().map(|(path, _)| path).collect();
        files.extend(
            self.tiling.partials().into_iter().filter(|(path, _)| !unchanged.contains(path)),
        );
        let signed = self.write_files(before, &files, time);
        files.truncate(full_count);
        if signed.is_err() {
            self.full = files;
            return signed;
        }
        self.pending.clear();
        for (path, _) in &files {
            // Partial tiles that stay behind do no harm and go with the next full tile of their name.
            let _ = self.tiles.remove_partials(path);
        }
        signed
    }

    fn write_files(
        &mut self,
        before: Tiling,
        files: &[TileFile],
        time: u64,
    ) -> Result<SignedCheckpoint, PublishError> {
        let expected = self.published.as_ref().map(|signed| signed.note().as_bytes().to_vec());
        if self.head.load()? == expected {
            for (path, _) in files.iter().filter(|(path, _)| path.is_partial()) {
                // What stays behind does no harm: no checkpoint leads to it.
                let _ = self.tiles.remove_wider(&path.full(), published_width(path, before.size()));
            }
        }
        self.tiles.put(files)?;
        let paths: Vec<_> = files.iter().map(|(path, _)| *path).collect();
        let root = self.read_back(before, &paths)?;
        if root != self.tiling.root() {
            return Err(PublishError::RootDiffers { size: self.size() });
        }
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: self.size(), root };
        let signed = checkpoint.sign(&self.signer, time);
        self.head.swap(expected.as_deref(), signed.note().as_bytes())?;
        self.published = Some(signed.clone());
        Ok(signed)
    }

    /// The root that the files `paths`, read back, give on top of what was published before.
    fn read_back(&self, mut before: Tiling, paths: &[TilePath]) -> Result<RootHash, PublishError> {
        let read = |path: &TilePath| -> Result<Vec<u8>, PublishError> {
            let read = self.tiles.read(path);
            let read = read.map_err(|source| SourceError::Read { path: *path, source });
            read.map_err(TilingError::Source)?.ok_or(PublishError::ReadBack(*path))
        };
        let mut bundles: Vec<_> = paths.iter().filter(|path| path.level().is_none()).collect();
        bundles.sort();
        let mut derived = Vec::new();
        let mut stored = HashMap::new();
        for path in bundles {
            let bytes = read(path)?;
            let damaged = |_: BundleError| PublishError::ReadBack(*path);
            let entries = tile::parse_bundle(path, &bytes).map_err(damaged)?;
            let known = before.size().saturating_sub(path.index() * TILE_WIDTH);
            for entry in entries.iter().skip(known as usize) {
                before.push(entry, &mut derived);
            }
            stored.insert(*path, bytes);
        }
        derived.extend(before.partials());
        let derived: HashMap<_, _> = derived.into_iter().collect();
        for path in paths {
            let bytes = stored.remove(path).map_or_else(|| read(path), Ok)?;
            if derived.get(path) != Some(&bytes) {
                return Err(PublishError::ReadBack(*path));
            }
        }
        Ok(before.root())
    }

    /// The proof that entry `index` is in the published log, with the checkpoint that it leads to.
    ///
    /// `None` when the entry is not published.
    ///
    /// # Errors
    /// When a tile cannot be used.
    pub fn prove(
        &self,
        index: u64,
    ) -> Result<Option<(InclusionProof, &SignedCheckpoint)>, SourceError> {
        let Some(published) = &self.published else { return Ok(None) };
        let proof = source::prove_inclusion(index, published.size(), &self.tiles)?;
        Ok(proof.map(|proof| (proof, published)))
    }

    /// Entry `index`, published or not; `None` when there is no such entry.
    ///
    /// # Errors
    /// When its bundle cannot be used.
    pub fn entry(&self, index: u64) -> Result<Option<Entry>, SourceError> {
        let published = self.size_published();
        if index < published {
            return source::read_entry(index, published, &self.tiles);
        }
        Ok(usize::try_from(index - published).ok().and_then(|at| self.pending.get(at)).copied())
    }

    /// Number of entries appended.
    pub fn size(&self) -> u64 {
        self.tiling.size()
    }

    /// Number of entries under the last signed checkpoint.
    pub fn size_published(&self) -> u64 {
        self.published.as_ref().map_or(0, SignedCheckpoint::size)
    }

    /// The last signed checkpoint; `None` before the first publication.
    pub fn checkpoint(&self) -> Option<&SignedCheckpoint> {
        self.published.as_ref()
    }

    /// Why the log does nothing any more, if so.
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// Where the tiles are, for readers beside this writer.
    pub fn tiles(&self) -> &T {
        &self.tiles
    }

    /// Origin line of the log's checkpoints.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The trust file that lets a verifier believe this log alone.
    pub fn trust(&self) -> crate::Trust {
        crate::Trust::single(&self.origin, self.signer.verifiers())
            .expect("the key carries the log's name and signs plainly")
    }
}

/// How much of a tile at the right edge is published in a log of `size` entries.
fn published_width(path: &TilePath, size: u64) -> usize {
    let hashes = path.level().map_or(size, |level| tile::tile_hashes(level, size));
    let known = hashes.saturating_sub(path.index() * TILE_WIDTH);
    usize::try_from(known).unwrap_or(usize::MAX)
}

impl<T, H> fmt::Debug for Log<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({} of {})", self.tiling.size(), self.origin)
    }
}
