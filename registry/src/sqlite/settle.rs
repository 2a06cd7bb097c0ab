//! Before a database is opened: what its log shows is made durable, and so are the names of its files.
//!
//! After a failed `fsync` the cache may show frames that the disk never got. A restarted process would
//! read them, append behind them and acknowledge; a power cut then takes the gap, and with it all
//! behind it. And a checkpoint of such frames would leave half of them in the database. So a log that
//! an earlier process left is written once more, byte by byte, and synced before anything is built on it.
//! Pages of the database need nothing: the log still holds all that was not synced there, and the
//! next checkpoint copies the log from its beginning.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;

use super::fail_stop::{self, DiskState};
use super::open::SqliteOptions;
use crate::error::OpenError;

/// Making files durable beside SQLite; a trait so that tests can lose what was not synced.
pub trait Durable: Send + Sync + 'static {
    /// Writes all bytes of a file once more and makes them durable.
    ///
    /// # Errors
    /// As the operating system says; the file's content is unchanged then.
    fn write_again(&self, file: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As the operating system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The operating system's files.
pub(super) struct SystemFiles;

impl Durable for SystemFiles {
    fn write_again(&self, file: &Path) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(file)?;
        let length = file.metadata()?.len();
        let mut piece = vec![0; PIECE_BYTES];
        let mut offset = 0;
        while offset < length {
            let size = usize::try_from(length - offset).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            file.read_exact_at(&mut piece[..size], offset)?;
            file.write_all_at(&piece[..size], offset)?;
            offset += size as u64;
        }
        file.sync_all()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

/// Prepares to look at a database that is to stay as it is: a log that is there is made durable and then left alone.
///
/// # Errors
/// As [`settle_log`].
pub(super) fn for_checking(
    options: &SqliteOptions,
) -> Result<(SqliteOptions, &'static DiskState), OpenError> {
    let (vfs, disk) = fail_stop::register(options.vfs.as_deref())?;
    let mut options = SqliteOptions { vfs: Some(vfs), ..options.clone() };
    options.keeps_log = settle_log(&options)?;
    Ok((options, disk))
}

/// Makes a log that an earlier process left durable; true when there is one.
///
/// # Errors
/// [`OpenError::Unavailable`] when the disk does not take it, or when another process has the database open: what
/// that one shows it may have read from the cache only. The text says what to do.
pub(super) fn settle_log(options: &SqliteOptions) -> Result<bool, OpenError> {
    let log = log_path(&options.path);
    if std::fs::metadata(&log).map_or(0, |found| found.len()) == 0 {
        return Ok(false);
    }
    let held = options.plain()?;
    // Closing must not copy what was read before it was durable.
    held.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    held.busy_timeout(HOLDER_WAIT)?;
    held.pragma_update(None, "locking_mode", "exclusive")?;
    match held.query_row("select count(*) from sqlite_schema", [], |row| row.get::<_, i64>(0)) {
        Ok(_) => {
            options.durable.write_again(&log).map_err(|error| refused(&log, &error))?;
            Ok(true)
        }
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
            Err(OpenError::Unavailable(HELD.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes the names of the database and its log durable, once both exist.
///
/// # Errors
/// As [`settle_log`].
pub(super) fn settle_names(options: &SqliteOptions) -> Result<(), OpenError> {
    let folder = match options.path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    options.durable.sync_folder(folder).map_err(|error| refused(folder, &error))
}

fn log_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn refused(path: &Path, error: &io::Error) -> OpenError {
    OpenError::Unavailable(format!(
        "{} was not made durable ({error}): check the disk, then start again",
        path.display()
    ))
}

const HELD: &str = "another process has the database open: close it, then start again";
/// For one that only looks at the database for a moment.
const HOLDER_WAIT: Duration = Duration::from_secs(2);
const PIECE_BYTES: usize = 1 << 20;
