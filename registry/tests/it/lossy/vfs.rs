//! A SQLite VFS that passes everything on to the default one and tells the model what happened.
//!
//! Only the database and its write-ahead log are watched; the shared-memory index is rebuilt after a cut.

#![expect(unsafe_code, reason = "a VFS is a table of C functions")]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;
use std::{io, ptr};

use rusqlite::ffi::{
    SQLITE_IOERR_FSYNC, SQLITE_OK, SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_WAL, sqlite3_file,
    sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find,
    sqlite3_vfs_register,
};

use registry::sqlite::Durable;

use super::disk::Disk;

/// Name to open connections with.
pub(crate) const NAME: &str = "lossy";

/// Between a failure and its report.
const REPORT_PAUSE: Duration = Duration::from_millis(5);

/// Name of a folder's own content.
pub(crate) const FOLDER: &str = "(folder)";

static DISKS: Mutex<Option<HashMap<String, Disk>>> = Mutex::new(None);

/// Registers the VFS; may be called again.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the default VFS lives as long as the process; the copy is leaked, so it does too.
        let code = unsafe {
            let mut vfs = *default_vfs();
            vfs.zName = c"lossy".as_ptr();
            vfs.pNext = ptr::null_mut();
            vfs.szOsFile += c_int::try_from(size_of::<LossyFile>()).unwrap();
            vfs.xOpen = Some(open);
            vfs.xDelete = Some(delete);
            sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0)
        };
        assert_eq!(code, SQLITE_OK);
    });
}

/// Runs `work` on the disk that holds the files of a folder.
pub(crate) fn with_disk<T>(folder: &str, work: impl FnOnce(&mut Disk) -> T) -> T {
    let mut disks = disks();
    let disks = disks.get_or_insert_default();
    work(disks.entry(folder.to_owned()).or_default())
}

fn disks() -> MutexGuard<'static, Option<HashMap<String, Disk>>> {
    DISKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is synced beside SQLite, on the same disk; a folder is its file [`FOLDER`].
pub(crate) struct LossyDurable;

impl Durable for LossyDurable {
    fn write_again(&self, file: &std::path::Path) -> io::Result<()> {
        let bytes = std::fs::read(file)?;
        let path = Path::of(file.to_str().unwrap());
        with_disk(&path.folder, |disk| {
            disk.write(&path.name, 0, &bytes);
            disk.sync(&path.name)
        })
        .map_err(|_| io::Error::other("the disk failed"))
    }

    fn sync_folder(&self, folder: &std::path::Path) -> io::Result<()> {
        with_disk(folder.to_str().unwrap(), |disk| {
            disk.write(FOLDER, 0, b"names");
            disk.sync(FOLDER)
        })
        .map_err(|_| io::Error::other("the disk failed"))
    }
}

/// Our part of the file object; the default VFS's part follows it.
#[repr(C)]
struct LossyFile {
    base: sqlite3_file,
    path: *mut Path,
}

struct Path {
    folder: String,
    name: String,
}

impl Path {
    fn of(full: &str) -> Self {
        let (folder, name) = full.rsplit_once('/').expect("SQLite makes paths absolute");
        Self { folder: folder.to_owned(), name: name.to_owned() }
    }
}

fn default_vfs() -> *mut sqlite3_vfs {
    // SAFETY: a null name asks for the default, which SQLite always has.
    unsafe { sqlite3_vfs_find(ptr::null()) }
}

/// SAFETY: to be called with an object that `open` has filled.
unsafe fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` leaves room for the inner object behind ours.
    unsafe { file.cast::<LossyFile>().add(1).cast() }
}

/// SAFETY: to be called with an object that `open` has filled.
unsafe fn methods(file: *mut sqlite3_file) -> &'static sqlite3_io_methods {
    // SAFETY: the inner VFS set its static table at opening.
    unsafe { &*(*inner(file)).pMethods }
}

/// SAFETY: to be called with an object that `open` has filled.
unsafe fn path<'a>(file: *mut sqlite3_file) -> &'a Path {
    // SAFETY: set at opening, freed at closing.
    unsafe { &*(*file.cast::<LossyFile>()).path }
}

fn split(name: *const c_char) -> Path {
    // SAFETY: SQLite hands over a string that ends with 0.
    Path::of(unsafe { CStr::from_ptr(name) }.to_str().expect("test paths are UTF-8"))
}

unsafe extern "C" fn open(
    _vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let default = default_vfs();
    // SAFETY: SQLite gives an object of our `szOsFile`, large enough for both parts.
    unsafe {
        let open = (*default).xOpen.expect("a VFS opens");
        if flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL) == 0 || name.is_null() {
            return open(default, name, file, flags, out_flags);
        }
        (*file).pMethods = ptr::null();
        let code = open(default, name, inner(file), flags, out_flags);
        if code == SQLITE_OK {
            let path = Box::into_raw(Box::new(split(name)));
            file.cast::<LossyFile>()
                .write(LossyFile { base: sqlite3_file { pMethods: &METHODS }, path });
        }
        code
    }
}

unsafe extern "C" fn delete(_vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    let path = split(name);
    with_disk(&path.folder, |disk| disk.delete(&path.name));
    let default = default_vfs();
    // SAFETY: the default VFS deletes by name.
    unsafe { (*default).xDelete.expect("a VFS deletes")(default, name, sync) }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: `open` filled the object; SQLite closes it once.
    unsafe {
        let code = methods(file).xClose.expect("closes")(inner(file));
        drop(Box::from_raw((*file.cast::<LossyFile>()).path));
        code
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite gives `length` readable bytes.
    unsafe {
        let path = path(file);
        let written =
            std::slice::from_raw_parts(bytes.cast::<u8>(), usize::try_from(length).unwrap());
        // Under the lock, so that a cut sees cache and model agree.
        with_disk(&path.folder, |disk| {
            let fault = disk.take_write_fault(&path.name);
            let length = if fault.is_some() { length / 2 } else { length };
            let written = &written[..usize::try_from(length).unwrap()];
            disk.write(&path.name, usize::try_from(offset).unwrap(), written);
            let code = methods(file).xWrite.expect("writes")(inner(file), bytes, length, offset);
            fault.unwrap_or(code)
        })
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: `open` filled the object.
    unsafe {
        let path = path(file);
        with_disk(&path.folder, |disk| {
            disk.truncate(&path.name, usize::try_from(size).unwrap());
            methods(file).xTruncate.expect("truncates")(inner(file), size)
        })
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: `open` filled the object. The real disk is not asked: the model is the disk.
    let path = unsafe { path(file) };
    match with_disk(&path.folder, |disk| disk.sync(&path.name)) {
        Ok(()) => SQLITE_OK,
        Err(_) => {
            // Whoever syncs meanwhile hears of no error: the first one has it all.
            std::thread::sleep(REPORT_PAUSE);
            SQLITE_IOERR_FSYNC
        }
    }
}

/// A method that is passed on unchanged.
macro_rules! pass {
    ($name:ident, $method:ident, ($($arg:ident: $type:ty),*) $(-> $out:ty)?) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $arg: $type)*) $(-> $out)? {
            // SAFETY: `open` filled the object; the arguments go on as they came.
            unsafe { methods(file).$method.expect("the default VFS has it")(inner(file) $(, $arg)*) }
        }
    };
}

pass!(read, xRead, (bytes: *mut c_void, length: c_int, offset: sqlite3_int64) -> c_int);
pass!(file_size, xFileSize, (size: *mut sqlite3_int64) -> c_int);
pass!(lock, xLock, (level: c_int) -> c_int);
pass!(unlock, xUnlock, (level: c_int) -> c_int);
pass!(check_reserved_lock, xCheckReservedLock, (out: *mut c_int) -> c_int);
pass!(file_control, xFileControl, (op: c_int, arg: *mut c_void) -> c_int);
pass!(sector_size, xSectorSize, () -> c_int);
pass!(device_characteristics, xDeviceCharacteristics, () -> c_int);
pass!(shm_map, xShmMap, (page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int);
pass!(shm_lock, xShmLock, (offset: c_int, n: c_int, flags: c_int) -> c_int);
pass!(shm_barrier, xShmBarrier, ());
pass!(shm_unmap, xShmUnmap, (delete: c_int) -> c_int);

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
