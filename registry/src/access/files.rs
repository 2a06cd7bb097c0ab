//! The few file operations that the journal needs, as a trait so that tests can lose what was not synced.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Files of one folder, by name.
pub trait Files: Send + Sync + 'static {
    /// Names of all files, in any order.
    ///
    /// # Errors
    /// As the operating system says; the same for all below.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Length in bytes.
    ///
    /// # Errors
    /// When it does not exist.
    fn length(&self, name: &str) -> io::Result<u64>;
    /// Up to `length` bytes from `offset`; fewer at the end of the file.
    ///
    /// # Errors
    /// When it does not exist.
    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Appends; creates the file when it is absent.
    ///
    /// # Errors
    /// The file may hold a part of the bytes then.
    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Writes bytes that are there already once more, so that the next `sync` carries them.
    ///
    /// # Errors
    /// Nothing has changed then.
    fn rewrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything written durable, the name of a new file included.
    ///
    /// # Errors
    /// Nothing may be assumed of what was appended since the last success.
    fn sync(&self, name: &str) -> io::Result<()>;
    /// Cuts the file to `length` and makes that durable.
    ///
    /// # Errors
    /// The file may still have its old length.
    fn truncate(&self, name: &str, length: u64) -> io::Result<()>;
}

/// A folder of the file system, held by one process.
pub struct Folder {
    path: PathBuf,
    open: Mutex<Option<(String, File)>>,
    _lock: File,
}

impl Folder {
    /// Takes the folder; creates it when it is absent.
    ///
    /// # Errors
    /// When another process holds it.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK_NAME))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = "another process holds the folder";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        sync_folder(path)?;
        Ok(Self { path: path.to_owned(), open: Mutex::new(None), _lock: lock })
    }

    /// Runs `work` on the file opened for appending; the last one used stays open.
    fn with_appended<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut File) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match open.take() {
            Some((opened, file)) if opened == name => file,
            _ => {
                let path = self.path.join(name);
                let is_new = !path.exists();
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                if is_new {
                    sync_folder(&self.path)?;
                }
                file
            }
        };
        let result = work(&mut file);
        *open = Some((name.to_owned(), file));
        result
    }
}

impl Files for Folder {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(std::fs::metadata(self.path.join(name))?.len())
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path.join(name))?;
        let left = file.metadata()?.len().saturating_sub(offset);
        let mut bytes = vec![0; length.min(usize::try_from(left).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.with_appended(name, |file| file.write_all(bytes))
    }

    fn rewrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // A file opened for appending ignores the offset.
        let file = OpenOptions::new().write(true).open(self.path.join(name))?;
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.with_appended(name, |file| file.sync_data())
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        self.with_appended(name, |file| {
            file.set_len(length)?;
            file.sync_all()
        })
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

const LOCK_NAME: &str = "lock";
