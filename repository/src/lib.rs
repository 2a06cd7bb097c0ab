//! repository: payload bytes, compressed, encrypted and bound to their place.
//!
//! A version's payload is one envelope ([`Sealer`], [`open`]): zstd with a trained dictionary, then
//! AES-256-GCM-SIV under the key of the patient's compartment ([`Keyring`]). Contents over
//! [`INLINE_BYTES_MAX`] go to a [`PayloadStore`] before the commit; the envelope then names the object.
//! Erasing a compartment's wrapped key erases the payloads. Layouts: `docs/formats.md`.
//! Not here: SQL (`registry` keeps envelopes and wrapped keys), hashes of the ledger (`ledger`).

pub use data_key::{DataKey, SaltKey};
pub use envelope::{Opened, Sealer, key_ids, object_name, open};
pub use erased::{ERASED_BYTES, check_erased, erased, erased_key_id};
pub use error::{KeyError, OpenError, SealError, StoreError};
pub use keyring::{Keyring, WrappedKey};
pub use limit::{CONTENT_BYTES_MAX, INLINE_BYTES_MAX, KEY_SLOTS_MAX};
pub use memory::{Fault, MemoryStore};
pub use object::{Bucket, ObjectName, ObjectRef, PayloadStore, S3Config, StagedObject, sweep};

mod compression;
mod data_key;
mod envelope;
mod erased;
mod error;
mod header;
mod keyring;
mod limit;
mod memory;
mod object;
