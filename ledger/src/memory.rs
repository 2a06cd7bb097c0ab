//! A log in memory whose disk can fail: for tests.
//!
//! Every fault comes twice: the call fails and the bytes are *lost*, or it fails and they are *kept*. A disk can also
//! lie: the call succeeds and a byte is flipped. Not here: storage to rely on (`storage`).

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    source::TileSource,
    storage::{HeadStorage, StorageError, SwapError, TileStorage},
    tile::TilePath,
    tiling::TileFile,
};

/// Tiles and head of one log in memory. Clones share the same memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

/// How a write goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It fails and nothing is stored.
    Lost,
    /// It fails and everything is stored.
    Kept,
    /// There is no space: it fails before anything is stored, and may be tried again.
    Full,
    /// It fails and the first half of the files is stored.
    Torn,
    /// The power goes: it fails, and any of the files may be stored; which ones is drawn from the seed.
    Cut(u64),
    /// It succeeds with one byte of the last file flipped.
    Flipped,
}

#[derive(Debug, Default)]
struct State {
    tiles: BTreeMap<TilePath, Vec<u8>>,
    head: Option<Vec<u8>>,
    writes: usize,
    fault: Option<(usize, Fault)>,
    read_fault: Option<i32>,
}

impl MemoryDisk {
    /// Lets write number `at` (from 0, tiles and head counted together, from now on) go wrong.
    pub fn fail(&self, at: usize, fault: Fault) {
        let mut state = self.state();
        state.writes = 0;
        state.fault = Some((at, fault));
    }

    /// Lets the next reading of a tile or bundle fail with this `errno`.
    pub fn fail_read(&self, errno: i32) {
        self.state().read_fault = Some(errno);
    }

    /// Every tile and bundle stored.
    pub fn files(&self) -> Vec<TileFile> {
        self.state().tiles.iter().map(|(path, bytes)| (*path, bytes.clone())).collect()
    }

    /// Stores bytes under a tile's name as they are: to damage a log.
    pub fn overwrite(&self, path: TilePath, bytes: Vec<u8>) {
        self.state().tiles.insert(path, bytes);
    }

    /// Stores a head as it is: to damage a log.
    pub fn overwrite_head(&self, note: Option<Vec<u8>>) {
        self.state().head = note;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_fault(&mut self) -> Option<Fault> {
        let at = self.writes;
        self.writes += 1;
        self.fault.filter(|(when, _)| *when == at).map(|(_, fault)| fault)
    }
}

impl TileSource for MemoryDisk {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        let mut state = self.state();
        match state.read_fault.take() {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Ok(state.tiles.get(path).cloned()),
        }
    }
}

impl TileStorage for MemoryDisk {
    fn put(&self, files: &[TileFile]) -> Result<(), StorageError> {
        let mut state = self.state();
        let fault = state.next_fault();
        let stored = |at: usize| match fault {
            Some(Fault::Lost | Fault::Full) => false,
            Some(Fault::Torn) => at < files.len() / 2,
            Some(Fault::Cut(seed)) => coin(seed, at),
            _ => true,
        };
        let kept = files.iter().enumerate().filter(|(at, _)| stored(*at));
        state.tiles.extend(kept.map(|(_, file)| file.clone()));
        match fault {
            None => Ok(()),
            Some(Fault::Flipped) => {
                let last = files.last().and_then(|(path, _)| state.tiles.get_mut(path));
                last.into_iter().flat_map(|bytes| bytes.last_mut()).for_each(|byte| *byte ^= 1);
                Ok(())
            }
            Some(Fault::Full) => Err(full("tiles")),
            Some(_) => Err(broken("tiles")),
        }
    }

    fn remove_partials(&self, full: &TilePath) -> Result<(), StorageError> {
        self.state().tiles.retain(|path, _| !path.is_partial() || path.full() != *full);
        Ok(())
    }

    fn remove_wider(&self, full: &TilePath, width: usize) -> Result<(), StorageError> {
        let is_kept =
            |path: &TilePath| !path.is_partial() || path.full() != *full || path.width() <= width;
        self.state().tiles.retain(|path, _| is_kept(path));
        Ok(())
    }
}

impl HeadStorage for MemoryDisk {
    fn load(&self) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.state().head.clone())
    }

    fn swap(&self, expected: Option<&[u8]>, new: &[u8]) -> Result<(), SwapError> {
        let mut state = self.state();
        if state.head.as_deref() != expected {
            return Err(SwapError::Conflict);
        }
        let fault = state.next_fault();
        match fault {
            None => state.head = Some(new.to_vec()),
            Some(Fault::Kept | Fault::Cut(_)) => {
                if fault.is_some_and(Fault::keeps_head) {
                    state.head = Some(new.to_vec());
                }
                return Err(broken("checkpoint").into());
            }
            Some(Fault::Flipped) => {
                let mut new = new.to_vec();
                new.iter_mut().take(1).for_each(|byte| *byte ^= 1);
                state.head = Some(new);
            }
            Some(Fault::Full) => return Err(full("checkpoint").into()),
            Some(_) => return Err(broken("checkpoint").into()),
        }
        Ok(())
    }
}

impl Fault {
    fn keeps_head(self) -> bool {
        match self {
            Self::Kept => true,
            Self::Cut(seed) => coin(seed, 0),
            _ => false,
        }
    }
}

/// Heads or tails for the `at`th file of a cut: SplitMix64's mixing function.
fn coin(seed: u64, at: usize) -> bool {
    let mut z = seed.wrapping_add((at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) & 1 == 1
}

fn full(what: &str) -> StorageError {
    StorageError::NoRoom { path: PathBuf::from(what), source: io::ErrorKind::StorageFull.into() }
}

fn broken(what: &str) -> StorageError {
    StorageError::Io { path: PathBuf::from(what), source: io::Error::other("injected fault") }
}
