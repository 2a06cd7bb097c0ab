//! Sealing a version's content into one envelope, and opening it.
//!
//! Prepared outside of the write lock ([`Sealer::prepare`]), sealed inside it once version and time
//! are known ([`Sealer::seal`], microseconds). The envelope opens only for the resource and version
//! it was sealed for. Layout in `docs/formats.md`, section "Envelope".
//! Not here: the header's parser (`header`), zstd (`compression`), objects (`object`).

use std::sync::Arc;

use fhir::{ResourceKey, VersionId, VersionKey};

use crate::compression;
use crate::data_key::{DataKey, KEY_BYTES, NONCE_BYTES, SaltKey, TAG_BYTES};
use crate::error::{OpenError, SealError};
use crate::header::{self, Header, Place, Slots, slot_aad, slot_key_id};
use crate::keyring::random;
use crate::limit::{CONTENT_BYTES_MAX, KEY_SLOTS_MAX};
use crate::object::{ObjectName, ObjectRef, StagedObject};

/// Seals versions of one resource under the keys of its compartments.
#[derive(Debug)]
pub struct Sealer {
    key: ResourceKey,
    content_key: Arc<DataKey>,
    slots: Vec<u8>,
}

impl Sealer {
    /// One key: the content is sealed under it. Several: under a random key of its own, which is
    /// wrapped for each, so that any one opens it. For a resource in no compartment, give the tenant's.
    ///
    /// # Errors
    /// [`SealError::NoKey`] or [`SealError::TooManyKeys`].
    pub fn prepare(key: &ResourceKey, keys: &[Arc<DataKey>]) -> Result<Self, SealError> {
        let mut keys: Vec<_> = keys.iter().collect();
        keys.sort_by_key(|data_key| data_key.id());
        keys.dedup_by_key(|data_key| data_key.id());
        let count = u16::try_from(keys.len()).map_err(|_| SealError::TooManyKeys)?;
        let mut slots = count.to_be_bytes().to_vec();
        let content_key = match keys[..] {
            [] => return Err(SealError::NoKey),
            [only] => {
                slots.extend_from_slice(&only.id().to_be_bytes());
                Arc::clone(only)
            }
            _ if keys.len() > KEY_SLOTS_MAX => return Err(SealError::TooManyKeys),
            _ => {
                let secret = random::<KEY_BYTES>();
                for wrapping in keys {
                    let aad = slot_aad(wrapping.id(), key);
                    slots.extend_from_slice(&wrapping.id().to_be_bytes());
                    let start = slots.len();
                    // Room for the tag, so that no copy of the secret is left by growing.
                    slots.reserve(NONCE_BYTES + KEY_BYTES + TAG_BYTES);
                    slots.extend_from_slice(&[0; NONCE_BYTES]);
                    slots.extend_from_slice(secret.as_slice());
                    wrapping.aead().seal(&aad, &mut slots, start);
                }
                Arc::new(DataKey::derive(0, "", &secret))
            }
        };
        Ok(Self { key: key.clone(), content_key, slots })
    }

    /// The subject's key for the salt of this version's ledger commitment.
    pub fn salt_key(&self) -> &SaltKey {
        self.content_key.salt_key()
    }

    /// The envelope of one version, content inside. Quick; does not block.
    ///
    /// # Errors
    /// [`SealError::TooLarge`].
    pub fn seal(&self, version: VersionId, content: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_at(&Place::Version(&self.key, version), None, content)
    }

    /// The envelope of one version whose content is `staged`'s but for a few bytes that only the
    /// writer knew. Quick; does not block.
    ///
    /// # Errors
    /// [`SealError::TooLarge`].
    pub fn seal_reference(
        &self,
        version: VersionId,
        content: &[u8],
        staged: &StagedObject,
    ) -> Result<Vec<u8>, SealError> {
        let place = Place::Version(&self.key, version);
        self.seal_at(&place, Some(staged.name()), &staged.difference(content))
    }

    pub(crate) fn seal_object(
        &self,
        name: &ObjectName,
        content: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.seal_at(&Place::Object(&self.key, name), None, content)
    }

    fn seal_at(
        &self,
        place: &Place<'_>,
        object: Option<&ObjectName>,
        content: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        if content.len() > CONTENT_BYTES_MAX {
            return Err(SealError::TooLarge);
        }
        let mut envelope = Vec::with_capacity(self.slots.len() + content.len() + 256);
        header::begin(&mut envelope, object.is_some());
        envelope.extend_from_slice(&self.slots);
        if let Some(name) = object {
            envelope.extend_from_slice(&name.0);
        }
        let start = envelope.len();
        envelope.extend_from_slice(&[0; NONCE_BYTES]);
        let coding = compression::compress(content, &mut envelope);
        header::set_coding(&mut envelope, coding);
        let aad = place.aad(&envelope[..start]);
        self.content_key.aead().seal(&aad, &mut envelope, start);
        envelope.shrink_to_fit();
        Ok(envelope)
    }
}

/// What an envelope held.
#[derive(Debug)]
#[non_exhaustive]
pub enum Opened {
    /// The content, with the key for its commitment's salt.
    Inline(Vec<u8>, SaltKey),
    /// The content lies in the object store, but for some bytes.
    Object(ObjectRef, SaltKey),
}

/// Opens the envelope of a version. `key_of` gives data keys by id; one of those that
/// [`key_ids`] names is enough.
///
/// # Errors
/// [`OpenError::KeyMissing`] when its keys are erased, [`OpenError::Refused`] when anything about
/// it, or the version it is said to belong to, is not as sealed.
pub fn open(
    envelope: &[u8],
    version: &VersionKey,
    key_of: impl FnMut(u64) -> Option<Arc<DataKey>>,
) -> Result<Opened, OpenError> {
    let place = Place::Version(&version.key, version.version);
    let (object, content, salt) = open_at(envelope, &place, key_of)?;
    match object {
        None => Ok(Opened::Inline(content, salt)),
        Some(name) => Ok(Opened::Object(ObjectRef::parse(name, content)?, salt)),
    }
}

/// Ids of the data keys that open the envelope; any one will do.
///
/// # Errors
/// [`OpenError::Malformed`].
pub fn key_ids(envelope: &[u8]) -> Result<Vec<u64>, OpenError> {
    Ok(Header::parse(envelope)?.key_ids())
}

/// The object that the envelope names, without opening it; for the sweep of orphans.
///
/// # Errors
/// [`OpenError::Malformed`].
pub fn object_name(envelope: &[u8]) -> Result<Option<ObjectName>, OpenError> {
    Ok(Header::parse(envelope)?.object)
}

pub(crate) fn open_object(
    envelope: &[u8],
    key: &ResourceKey,
    name: &ObjectName,
    key_of: impl FnMut(u64) -> Option<Arc<DataKey>>,
) -> Result<Vec<u8>, OpenError> {
    match open_at(envelope, &Place::Object(key, name), key_of)? {
        (None, content, _) => Ok(content),
        (Some(_), ..) => Err(OpenError::Malformed("an object names an object")),
    }
}

fn open_at(
    envelope: &[u8],
    place: &Place<'_>,
    key_of: impl FnMut(u64) -> Option<Arc<DataKey>>,
) -> Result<(Option<ObjectName>, Vec<u8>, SaltKey), OpenError> {
    let header = Header::parse(envelope)?;
    let content_key = content_key(&header, place, key_of)?;
    let (clear, sealed) = envelope.split_at(header.length);
    let mut sealed = sealed.to_vec();
    let bytes = content_key.aead().open(&place.aad(clear), &mut sealed)?;
    let content = compression::decompress(header.coding, bytes)?;
    Ok((header.object, content, content_key.salt_key().clone()))
}

/// The key that the content is under: the only slot's own, or the one that the first known slot wraps.
fn content_key(
    header: &Header<'_>,
    place: &Place<'_>,
    mut key_of: impl FnMut(u64) -> Option<Arc<DataKey>>,
) -> Result<Arc<DataKey>, OpenError> {
    let slots = match header.slots {
        Slots::One(key_id) => return key_of(key_id).ok_or(OpenError::KeyMissing),
        Slots::Many(slots) => slots,
    };
    let known = slots.iter().find_map(|slot| Some((slot, key_of(slot_key_id(slot))?)));
    let (slot, wrapping) = known.ok_or(OpenError::KeyMissing)?;
    let (Place::Version(key, _) | Place::Object(key, _)) = place;
    let mut wrapped = zeroize::Zeroizing::new(slot[8..].to_vec());
    let secret = wrapping.aead().open(&slot_aad(wrapping.id(), key), &mut wrapped)?;
    let secret = secret.first_chunk().ok_or(OpenError::Malformed("too short"))?;
    Ok(Arc::new(DataKey::derive(0, "", secret)))
}
