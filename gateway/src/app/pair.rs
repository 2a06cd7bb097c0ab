//! Data folder and database name each other, so that neither is taken with another's.
//!
//! The database has an id of its own, which the folder keeps beside its keys. What log and journal hold tells as well, but
//! only once they hold something: accesses of two databases in one journal could not be opened by either.
//! Not here: what log and registry say of each other (`sealer::recover`).

use std::path::{Path, PathBuf};

use registry::store::Store;

use super::OpenError;
use crate::keyfile::write_private;

/// Refuses a folder that names another database than this one.
///
/// # Errors
/// [`OpenError::Folder`] for another's, or a file that cannot be read; [`OpenError::Registry`].
pub(super) async fn expect(folder: &Path, store: &dyn Store) -> Result<(), OpenError> {
    let Some(noted) = noted(folder)? else { return Ok(()) };
    if known(store).await?.as_ref() == Some(&noted) {
        return Ok(());
    }
    Err(OpenError::Folder(OTHER.to_owned()))
}

/// Notes the database's id in both; to be called when log and database have been found to belong together.
///
/// # Errors
/// [`OpenError::Registry`], [`OpenError::Folder`].
pub(super) async fn note(folder: &Path, store: &dyn Store) -> Result<(), OpenError> {
    if noted(folder)?.is_some() {
        return Ok(());
    }
    // The database first: a folder with a name that no database has could never be used again.
    let id = match known(store).await? {
        Some(id) => id,
        None => {
            let id = uuid::Uuid::now_v7().simple().to_string().into_bytes();
            let set = store.set_setting(DATABASE_ID, &id).await;
            set.map_err(|error| OpenError::Registry(error.to_string()))?;
            id
        }
    };
    let file = file(folder);
    write_private(&file, &id)
        .map_err(|error| OpenError::Folder(format!("{}: {error}", file.display())))
}

fn noted(folder: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    let file = file(folder);
    match std::fs::read(&file) {
        Ok(id) => Ok(Some(id)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::Folder(format!("{}: {error}", file.display()))),
    }
}

async fn known(store: &dyn Store) -> Result<Option<Vec<u8>>, OpenError> {
    let known = store.setting(DATABASE_ID).await;
    known.map_err(|error| OpenError::Registry(error.to_string()))
}

fn file(folder: &Path) -> PathBuf {
    folder.join("keys/database")
}

const DATABASE_ID: &str = "database_id";
const OTHER: &str = "keys/database names another database than this one: is this the data folder of another database, \
                     or was an older copy of the database put back?";
