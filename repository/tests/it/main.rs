//! Envelopes, keys and objects, checked from outside.

mod envelope;
mod figures;
mod keyring;
mod object;
mod s3;
mod vector;

use std::sync::Arc;

use fhir::{ResourceKey, VersionId, VersionKey};
use repository::{DataKey, Keyring, OpenError, Opened, Sealer};

/// A keyring whose key-encryption key is known.
fn keyring() -> Keyring {
    Keyring::with_key(&[42; 32])
}

/// A version that is known to be valid.
fn version(text: &str) -> VersionKey {
    VersionKey::parse(text).expect("a valid version")
}

fn number(version: u64) -> VersionId {
    VersionId::new(version).expect("a valid version")
}

fn sealer(key: &ResourceKey, keys: &[&Arc<DataKey>]) -> Sealer {
    let keys: Vec<_> = keys.iter().map(|data_key| Arc::clone(data_key)).collect();
    Sealer::prepare(key, &keys).expect("keys are given")
}

/// The content of an envelope, opened with these keys only.
fn open(envelope: &[u8], at: &VersionKey, keys: &[&Arc<DataKey>]) -> Result<Vec<u8>, OpenError> {
    let key_of = |id| keys.iter().find(|key| key.id() == id).map(|key| Arc::clone(key));
    match repository::open(envelope, at, key_of)? {
        Opened::Inline(content, _) => Ok(content),
        other => panic!("{other:?}"),
    }
}
