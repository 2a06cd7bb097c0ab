//! Where a log is kept: dumb storage for tiles, compare-and-swap for the head. File implementations of both.
//!
//! Durable means: written to a temporary file, fsynced, renamed, folder fsynced. A file is never changed in place.
//! Whoever can write the head can fork the log; the tiles need no trust, because they are read back and re-derived.
//! After an error the bytes may be there or not; nothing here retries. [`StorageError::NoRoom`] alone tells that nothing
//! was asked of the disk yet, so that trying again is safe; after a failed fsync it never is.
//! Not here: what is written (`tiling`), when (`log`).

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{source::TileSource, tile::TilePath, tiling::TileFile};

/// Why bytes are not known to be durable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A file could not be made or was too large for the disk, before anything was synced or renamed.
    /// Nothing that counts was changed: the same may be tried again when there is space.
    #[error("{path}: {source}")]
    NoRoom {
        /// File or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The disk failed, or refused.
    #[error("{path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process holds the log.
    #[error("{path} is held by another process")]
    Held {
        /// The lock file.
        path: PathBuf,
    },
}

/// Why the head was not swapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// The head is not the one expected: somebody else wrote it. Nothing was written.
    #[error("the head was changed by somebody else")]
    Conflict,
    /// It cannot be known whether it was swapped.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A place where tiles and bundles are kept.
pub trait TileStorage: TileSource {
    /// Stores files under their names, replacing older ones. All are durable when this returns.
    ///
    /// # Errors
    /// When any of them may not be durable.
    fn put(&self, files: &[TileFile]) -> Result<(), StorageError>;

    /// Removes the partial tiles that the full tile `full` has replaced, if any.
    ///
    /// # Errors
    /// When some may be left; they do no harm.
    fn remove_partials(&self, full: &TilePath) -> Result<(), StorageError>;

    /// Removes the partial tiles of `full` that are wider than `width`: remains of a publication that was cut off,
    /// whose entries may have got another order since.
    ///
    /// # Errors
    /// When some may be left; no checkpoint leads to them.
    fn remove_wider(&self, full: &TilePath, width: usize) -> Result<(), StorageError>;
}

/// A place where the signed checkpoint is kept.
pub trait HeadStorage {
    /// The checkpoint last stored; `None` before the first.
    ///
    /// # Errors
    /// When it cannot be known.
    fn load(&self) -> Result<Option<Vec<u8>>, StorageError>;

    /// Stores `new` if the checkpoint stored is `expected`. It is durable when this returns.
    ///
    /// # Errors
    /// When another one is stored, or it may not be durable.
    fn swap(&self, expected: Option<&[u8]>, new: &[u8]) -> Result<(), SwapError>;
}

impl<T: TileStorage + ?Sized> TileStorage for Arc<T> {
    fn put(&self, files: &[TileFile]) -> Result<(), StorageError> {
        self.as_ref().put(files)
    }

    fn remove_partials(&self, full: &TilePath) -> Result<(), StorageError> {
        self.as_ref().remove_partials(full)
    }

    fn remove_wider(&self, full: &TilePath, width: usize) -> Result<(), StorageError> {
        self.as_ref().remove_wider(full, width)
    }
}

impl<H: HeadStorage + ?Sized> HeadStorage for Arc<H> {
    fn load(&self) -> Result<Option<Vec<u8>>, StorageError> {
        self.as_ref().load()
    }

    fn swap(&self, expected: Option<&[u8]>, new: &[u8]) -> Result<(), SwapError> {
        self.as_ref().swap(expected, new)
    }
}

/// Tiles as files in a folder, laid out so that any web server can serve it.
#[derive(Debug)]
pub struct FileTiles {
    folder: PathBuf,
}

impl FileTiles {
    /// The tiles in this folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn file(&self, path: &TilePath) -> PathBuf {
        self.folder.join(path.to_string())
    }

    /// Folder of the partial tiles of `full`.
    fn partials(&self, full: &TilePath) -> PathBuf {
        let mut folder = self.file(full).into_os_string();
        folder.push(".p");
        folder.into()
    }
}

impl TileSource for FileTiles {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        read_if_present(&self.file(path))
    }
}

impl TileStorage for FileTiles {
    fn put(&self, files: &[TileFile]) -> Result<(), StorageError> {
        let paths: Vec<_> = files.iter().map(|(path, _)| self.file(path)).collect();
        let mut folders = BTreeSet::new();
        for path in &paths {
            make_folder(path.parent().expect("a tile lies in a folder"), &mut folders)?;
        }
        let written =
            paths.iter().zip(files).map(|(path, (_, bytes))| write_temporary(path, bytes));
        let written = written.collect::<Result<Vec<_>, _>>()?;
        sync_all(&written)?;
        for (path, (temporary, _)) in paths.iter().zip(&written) {
            fs::rename(temporary, path).map_err(io_error(path))?;
        }
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }

    fn remove_partials(&self, full: &TilePath) -> Result<(), StorageError> {
        let folder = self.partials(full);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&folder)(error)),
            _ => Ok(()),
        }
    }

    fn remove_wider(&self, full: &TilePath, width: usize) -> Result<(), StorageError> {
        let folder = self.partials(full);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(io_error(&folder))?,
        };
        for entry in entries {
            let file = entry.map_err(io_error(&folder))?.path();
            let of_file: Option<usize> =
                file.file_name().and_then(|name| name.to_str()?.parse().ok());
            if of_file.is_some_and(|of_file| of_file > width) {
                fs::remove_file(&file).map_err(io_error(&file))?;
            }
        }
        Ok(())
    }
}

/// The head as a file, held by one process at a time.
#[derive(Debug)]
pub struct FileHead {
    file: PathBuf,
    _lock: File,
}

impl FileHead {
    /// Takes hold of `folder/checkpoint`; the folder is made when absent.
    ///
    /// # Errors
    /// When another process holds it, or the folder cannot be used.
    pub fn open(folder: &Path) -> Result<Self, StorageError> {
        let mut folders = BTreeSet::new();
        make_folder(folder, &mut folders)?;
        folders.iter().try_for_each(|folder| sync_folder(folder))?;
        let path = folder.join("checkpoint.lock");
        let options = || File::options().create(true).write(true).truncate(false).open(&path);
        let lock = options().map_err(io_error(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { file: folder.join("checkpoint"), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StorageError::Held { path }),
            Err(TryLockError::Error(error)) => Err(io_error(&path)(error)),
        }
    }
}

impl HeadStorage for FileHead {
    fn load(&self) -> Result<Option<Vec<u8>>, StorageError> {
        read_if_present(&self.file).map_err(io_error(&self.file))
    }

    fn swap(&self, expected: Option<&[u8]>, new: &[u8]) -> Result<(), SwapError> {
        if self.load()?.as_deref() != expected {
            return Err(SwapError::Conflict);
        }
        let written = write_temporary(&self.file, new)?;
        sync_all(std::slice::from_ref(&written))?;
        fs::rename(&written.0, &self.file).map_err(io_error(&self.file))?;
        Ok(sync_folder(self.file.parent().expect("the head lies in a folder"))?)
    }
}

fn read_if_present(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a folder; it and the parents of new folders are added to those to be synced.
fn make_folder(folder: &Path, to_sync: &mut BTreeSet<PathBuf>) -> Result<(), StorageError> {
    let is_known = !to_sync.insert(folder.to_owned());
    if is_known || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folder(parent, to_sync)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(no_room(folder)(error)),
        _ => Ok(()),
    }
}

fn write_temporary(path: &Path, bytes: &[u8]) -> Result<(PathBuf, File), StorageError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary).map_err(no_room(&temporary))?;
    match file.write_all(bytes) {
        Ok(()) => Ok((temporary, file)),
        Err(error) if is_full(&error) => Err(no_room(&temporary)(error)),
        Err(error) => Err(io_error(&temporary)(error)),
    }
}

/// Fsyncs files, several at once so that the file system can share its journal commits.
fn sync_all(files: &[(PathBuf, File)]) -> Result<(), StorageError> {
    let sync = |files: &[(PathBuf, File)]| {
        files.iter().try_for_each(|(path, file)| file.sync_all().map_err(io_error(path)))
    };
    if files.len() <= SYNC_THREADS {
        return sync(files);
    }
    std::thread::scope(|scope| {
        let chunks = files.chunks(files.len().div_ceil(SYNC_THREADS));
        let threads: Vec<_> = chunks.map(|chunk| scope.spawn(move || sync(chunk))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("fsync does not panic"))
    })
}

fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error(folder))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    move |source| StorageError::Io { path: path.to_owned(), source }
}

/// For what was refused before anything was written.
fn no_room(path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    move |source| StorageError::NoRoom { path: path.to_owned(), source }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// True when space, memory or file handles are short: the disk itself has not failed.
pub(crate) fn is_want(error: &io::Error) -> bool {
    is_full(error)
        || error.kind() == io::ErrorKind::OutOfMemory
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// The system, or this process, has too many files open: `errno` of Linux and the BSDs, which `io::ErrorKind` lacks.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
/// Threads that wait for the disk at once.
const SYNC_THREADS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_head_survive_reopening_and_the_head_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let tiles = FileTiles::new(folder.path());
        let path = TilePath::hashes(0, 1_234_067, u64::MAX).unwrap();
        let head = FileHead::open(folder.path()).unwrap();

        tiles.put(&[(path, vec![1, 2, 3])]).unwrap();
        head.swap(None, b"first").unwrap();

        assert!(folder.path().join("tile/0/x001/x234/067").is_file());
        assert_eq!(FileTiles::new(folder.path()).read(&path).unwrap(), Some(vec![1, 2, 3]));
        assert!(matches!(FileHead::open(folder.path()), Err(StorageError::Held { .. })));
        assert!(matches!(head.swap(None, b"second"), Err(SwapError::Conflict)));
        drop(head);
        let head = FileHead::open(folder.path()).unwrap();
        assert_eq!(head.load().unwrap(), Some(b"first".to_vec()));
        head.swap(Some(b"first"), b"second").unwrap();
        assert_eq!(head.load().unwrap(), Some(b"second".to_vec()));
    }

    #[test]
    fn a_file_that_cannot_be_made_is_told_apart_from_a_disk_that_fails() {
        let folder = tempfile::tempdir().unwrap();
        let tiles = FileTiles::new(folder.path());
        let path = TilePath::hashes(0, 0, 1).unwrap();
        let (file, temporary) = (tiles.file(&path), format!("{}.tmp", tiles.file(&path).display()));
        fs::create_dir_all(&temporary).unwrap();
        assert!(matches!(tiles.put(&[(path, vec![1])]), Err(StorageError::NoRoom { .. })));

        fs::remove_dir(&temporary).unwrap();
        fs::create_dir_all(file.join("in the way")).unwrap();

        assert!(matches!(tiles.put(&[(path, vec![1])]), Err(StorageError::Io { .. })));
    }

    #[test]
    fn replaced_partial_tiles_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let tiles = FileTiles::new(folder.path());
        let partial = |width| TilePath::hashes(0, 0, width).unwrap();
        tiles
            .put(&[(partial(1), vec![1]), (partial(9), vec![9]), (partial(256), vec![0])])
            .unwrap();

        tiles.remove_wider(&partial(256), 1).unwrap();
        assert_eq!(tiles.read(&partial(9)).unwrap(), None);
        assert_eq!(tiles.read(&partial(1)).unwrap(), Some(vec![1]));
        tiles.remove_partials(&partial(256)).unwrap();
        tiles.remove_partials(&partial(256)).unwrap();
        tiles.remove_wider(&partial(256), 1).unwrap();

        assert_eq!(tiles.read(&partial(1)).unwrap(), None);
        assert_eq!(tiles.read(&partial(256)).unwrap(), Some(vec![0]));
    }
}
