//! The journal's files on a disk that loses power.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use registry::access::Files;

use super::disk::Disk;

/// Files in memory: what the cache shows, and the disk behind it.
#[derive(Clone, Default)]
pub(crate) struct LossyFiles(Arc<Mutex<State>>);

/// What the cache shows, and the disk behind it.
#[derive(Default)]
pub(crate) struct State {
    cache: BTreeMap<String, Vec<u8>>,
    pub(crate) disk: Disk,
}

impl LossyFiles {
    /// Files after a restart: the cache shows what the disk kept.
    pub(crate) fn restarted(files: Vec<(String, Vec<u8>)>) -> Self {
        let lossy = Self::default();
        let mut state = lossy.state();
        for (name, bytes) in files {
            state.disk.write(&name, 0, &bytes);
            let _ = state.disk.sync(&name);
            state.cache.insert(name, bytes);
        }
        drop(state);
        lossy
    }

    /// Files after the process died while the machine stayed up: the cache is as it was.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Files for LossyFiles {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().cache.keys().cloned().collect())
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(self.state().cache[name].len() as u64)
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let offset = usize::try_from(offset).unwrap();
        let state = self.state();
        let bytes = &state.cache[name][offset..];
        Ok(bytes[..length.min(bytes.len())].to_vec())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let cached = state.cache.entry(name.to_owned()).or_default();
        let offset = cached.len();
        cached.extend_from_slice(bytes);
        state.disk.write(name, offset, bytes);
        Ok(())
    }

    fn rewrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.state().disk.write(name, usize::try_from(offset).unwrap(), bytes);
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.state().disk.sync(name).map_err(|_| io::Error::other("the disk failed"))
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        let mut state = self.state();
        let length = usize::try_from(length).unwrap();
        state.cache.get_mut(name).unwrap().truncate(length);
        state.disk.truncate(name, length);
        state.disk.sync(name).map_err(|_| io::Error::other("the disk failed"))
    }
}
