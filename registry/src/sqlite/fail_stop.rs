//! Fail-stop file layer: after the first write or sync that fails, nothing of this database is written again.
//!
//! A failed `fsync` may mark pages as clean that never reached the disk, and those may be another
//! thread's: when the checkpointer's sync of the log fails, the writer's own sync may succeed a moment
//! later although its frames are gone. Error codes arrive too late to see that, so the decision is
//! made here, below SQLite: syncs of the log take turns, and the first failure refuses all later
//! writes, truncations, syncs and deletions of the database and its log. Reading goes on.
//! A full disk (`SQLITE_FULL` from a write) is not a failure: SQLite rolls back, and space may come.
//! Not here: what the next opening does about it (`settle`).

#![expect(unsafe_code, reason = "a SQLite VFS is a table of C functions")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rusqlite::ffi::{
    SQLITE_FULL, SQLITE_IOERR_DELETE, SQLITE_IOERR_FSYNC, SQLITE_IOERR_TRUNCATE,
    SQLITE_IOERR_WRITE, SQLITE_OK, SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_WAL, sqlite3_file,
    sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find,
    sqlite3_vfs_register,
};

use crate::error::OpenError;

/// What became of a database's disk.
#[derive(Default)]
pub(super) struct DiskState {
    stopped: OnceLock<String>,
    /// Held while the log is synced, so that nobody syncs between a failure and its note.
    log_sync: Mutex<()>,
}

impl DiskState {
    /// Why nothing is written any more and what to do about it; `None` while the disk is good.
    pub(super) fn stopped(&self) -> Option<String> {
        self.stopped.get().cloned()
    }

    fn is_stopped(&self) -> bool {
        self.stopped.get().is_some()
    }

    fn stop(&self, file: &OpenFile, what: &str) {
        // SAFETY: set at opening from the name that SQLite keeps as long as the file is open.
        let name = unsafe { CStr::from_ptr(file.name) }.to_string_lossy();
        let name = name.rsplit('/').next().unwrap_or_default();
        let text = format!(
            "{what} of {name} failed, so nothing more is written: check the disk, then restart"
        );
        if self.stopped.set(text.clone()).is_ok() {
            tracing::error!(cause = text, "the registry stops writing");
        }
    }
}

/// Our VFS: SQLite's view of it, and what lies below.
#[repr(C)]
struct FailStop {
    vfs: sqlite3_vfs,
    base: *mut sqlite3_vfs,
    state: &'static DiskState,
}

/// Our part of the file object; the part of the VFS below follows it.
#[repr(C)]
struct OpenFile {
    base: sqlite3_file,
    state: &'static DiskState,
    name: *const c_char,
    is_log: bool,
}

/// Registers the layer for one database over the VFS `below` (the default one unless named). Gives
/// the name to open connections with.
///
/// The VFS is leaked: SQLite keeps pointers to it, and a process opens few databases.
///
/// # Errors
/// [`OpenError::Unavailable`] when there is no such VFS.
pub(super) fn register(below: Option<&str>) -> Result<(String, &'static DiskState), OpenError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let refused = |text: &str| OpenError::Unavailable(text.to_owned());
    let below = below.map(CString::new).transpose().map_err(|_| refused("VFS with a 0 byte"))?;
    let state: &'static DiskState = Box::leak(Box::default());
    let name = format!("sealway-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let c_name = CString::new(name.as_str()).map_err(|_| refused("VFS with a 0 byte"))?;
    // SAFETY: `below` is null or ends with 0. What is found lives as long as the process, and what is
    // registered is leaked. The methods that are taken over do not depend on the object's address.
    let code = unsafe {
        let base = sqlite3_vfs_find(below.as_ref().map_or(ptr::null(), |name| name.as_ptr()));
        if base.is_null() {
            return Err(refused("SQLite does not know the VFS"));
        }
        let mut vfs = *base;
        vfs.zName = c_name.into_raw();
        vfs.pNext = ptr::null_mut();
        vfs.szOsFile += FILE_BYTES;
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        let ours = Box::leak(Box::new(FailStop { vfs, base, state }));
        sqlite3_vfs_register(ptr::from_mut(ours).cast(), 0)
    };
    if code == SQLITE_OK { Ok((name, state)) } else { Err(refused("SQLite refused the VFS")) }
}

/// SAFETY: to be called with the VFS that `register` made.
unsafe fn ours(vfs: *mut sqlite3_vfs) -> &'static FailStop {
    // SAFETY: `vfs` is the first field of the leaked object.
    unsafe { &*vfs.cast::<FailStop>() }
}

/// SAFETY: to be called with an object that `open` has filled.
unsafe fn opened<'a>(file: *mut sqlite3_file) -> &'a OpenFile {
    // SAFETY: `base` is the first field.
    unsafe { &*file.cast::<OpenFile>() }
}

/// SAFETY: to be called with an object of our size.
unsafe fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` leaves room for the inner object behind ours.
    unsafe { file.cast::<OpenFile>().add(1).cast() }
}

/// SAFETY: to be called with an object that `open` has filled.
unsafe fn methods(file: *mut sqlite3_file) -> &'static sqlite3_io_methods {
    // SAFETY: the VFS below set its static table at opening.
    unsafe { &*(*inner(file)).pMethods }
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives our VFS and an object of our `szOsFile`, large enough for both parts.
    unsafe {
        let FailStop { base, state, .. } = *ours(vfs);
        let open = (*base).xOpen.expect("a VFS opens");
        if flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL) == 0 || name.is_null() {
            return open(base, name, file, flags, out_flags);
        }
        (*file).pMethods = ptr::null();
        let code = open(base, name, inner(file), flags, out_flags);
        if code == SQLITE_OK {
            let base = sqlite3_file { pMethods: &METHODS };
            let is_log = flags & SQLITE_OPEN_WAL != 0;
            file.cast::<OpenFile>().write(OpenFile { base, state, name, is_log });
        }
        code
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite gives our VFS; the one below deletes by name.
    unsafe {
        let FailStop { base, state, .. } = *ours(vfs);
        if state.is_stopped() {
            return SQLITE_IOERR_DELETE;
        }
        (*base).xDelete.expect("a VFS deletes")(base, name, sync)
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: `open` filled the object; the arguments go on as they came.
    unsafe {
        let ours = opened(file);
        if ours.state.is_stopped() {
            return SQLITE_IOERR_WRITE;
        }
        let code = methods(file).xWrite.expect("writes")(inner(file), bytes, length, offset);
        if code != SQLITE_OK && code != SQLITE_FULL {
            ours.state.stop(ours, "a write");
        }
        code
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: `open` filled the object.
    unsafe {
        let ours = opened(file);
        if ours.state.is_stopped() {
            return SQLITE_IOERR_TRUNCATE;
        }
        let code = methods(file).xTruncate.expect("truncates")(inner(file), size);
        if code != SQLITE_OK {
            ours.state.stop(ours, "truncation");
        }
        code
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: `open` filled the object.
    let ours = unsafe { opened(file) };
    // The database's own sync is slow and is awaited by nobody's commit: it takes no turn.
    let turn = || ours.state.log_sync.lock().unwrap_or_else(PoisonError::into_inner);
    let _turn = ours.is_log.then(turn);
    if ours.state.is_stopped() {
        return SQLITE_IOERR_FSYNC;
    }
    // SAFETY: as above.
    let code = unsafe { methods(file).xSync.expect("syncs")(inner(file), flags) };
    if code != SQLITE_OK {
        ours.state.stop(ours, "fsync");
    }
    code
}

/// A method that is passed on unchanged.
macro_rules! pass {
    ($name:ident, $method:ident, ($($arg:ident: $type:ty),*) $(-> $out:ty)?) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $arg: $type)*) $(-> $out)? {
            // SAFETY: `open` filled the object; the arguments go on as they came.
            unsafe { methods(file).$method.expect("the VFS below has it")(inner(file) $(, $arg)*) }
        }
    };
}

pass!(close, xClose, () -> c_int);
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

/// Version 2: a log with shared memory, but no memory-mapped pages.
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

#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "32 bytes")]
const FILE_BYTES: c_int = size_of::<OpenFile>() as c_int;
