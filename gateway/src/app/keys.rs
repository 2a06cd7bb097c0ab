//! The key-encryption key, held against what the database keeps under it.
//!
//! A lost one is never replaced in silence: a new key opens nothing of what is there. Not here: the key file itself
//! (`repository::Keyring`), the data keys (`payload`).

use registry::store::Store;
use registry::write_set::WrappedKey;
use repository::{KeyError, Keyring};

use super::OpenError;
use crate::config::Config;
use crate::payload::TENANT;

/// Opens the key file, or makes it for a database that holds no data keys yet.
///
/// # Errors
/// [`OpenError::Key`] when the file is missing or another than the one that the data keys are under.
pub(crate) async fn open_keyring(config: &Config, store: &dyn Store) -> Result<Keyring, OpenError> {
    let file = config.kek_file();
    let refused = |text: &str| OpenError::Key(format!("{}: {text}", file.display()));
    let known = tenant_key(store).await?;
    if known.is_some() && matches!(file.try_exists(), Ok(false)) {
        return Err(refused(MISSING));
    }
    let keyring = Keyring::open(&file).map_err(|error| refused(&error.to_string()))?;
    if let Some(known) = known {
        fits(&keyring, &known).map_err(|text| refused(&text))?;
    }
    Ok(keyring)
}

/// The data key that every database has once a gateway has run on it.
///
/// # Errors
/// [`OpenError::Registry`].
pub(crate) async fn tenant_key(store: &dyn Store) -> Result<Option<WrappedKey>, OpenError> {
    let known = store.compartment_keys(&[TENANT.to_owned()]).await;
    let known = known.map_err(|error| OpenError::Registry(error.to_string()))?;
    Ok(known.into_iter().next())
}

/// Says what is wrong when a data key is not under this key.
pub(crate) fn fits(keyring: &Keyring, known: &WrappedKey) -> Result<(), String> {
    let known = repository::WrappedKey {
        key_id: known.key_id,
        compartment: known.compartment.clone(),
        wrapped: known.wrapped.clone(),
    };
    match keyring.unwrap(&known) {
        Ok(_) => Ok(()),
        Err(KeyError::OtherKey { .. }) => Err(OTHER.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What is said of a key file that is not there.
pub(crate) const MISSING: &str = "the key-encryption key is missing, and the database holds data keys under it; \
                                  put it back from its backup (a new one opens nothing)";
const OTHER: &str = "this is another key-encryption key than the one that the database holds data keys under; \
                     put that one back from its backup";
