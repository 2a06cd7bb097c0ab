//! A plaintext data key with what is derived from it.
//!
//! The 32 random bytes themselves encrypt nothing: HKDF-SHA256 gives one key for envelopes and one
//! for the ledger's salts, each with its own label. All of it is wiped when the last user drops it.
//! Not here: wrapping under the key-encryption key (`keyring`).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use crate::error::OpenError;

/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 12;
/// Bytes of an authentication tag.
pub(crate) const TAG_BYTES: usize = 16;
/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// The key of one compartment, or of one resource that is in several.
pub struct DataKey {
    id: u64,
    compartment: Box<str>,
    aead: Aead,
    salt: SaltKey,
}

impl DataKey {
    pub(crate) fn derive(id: u64, compartment: &str, secret: &[u8; KEY_BYTES]) -> Self {
        let prk = Salt::new(HKDF_SHA256, b"sealway/data-key/1").extract(secret);
        let expand = |label: &[u8]| {
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            prk.expand(&[label], HKDF_SHA256)
                .and_then(|okm| okm.fill(key.as_mut_slice()))
                .expect("32 bytes are within the reach of HKDF");
            key
        };
        Self {
            id,
            compartment: compartment.into(),
            aead: Aead::new(&expand(b"envelope")),
            salt: SaltKey(expand(b"salt")),
        }
    }

    /// Random id, written in every envelope that the key opens.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// `Patient/id`; empty for the tenant's own key.
    pub fn compartment(&self) -> &str {
        &self.compartment
    }

    /// The subject's key for salts of ledger commitments.
    pub fn salt_key(&self) -> &SaltKey {
        &self.salt
    }

    pub(crate) fn aead(&self) -> &Aead {
        &self.aead
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({:016x})", self.id)
    }
}

/// Secret from which the salts of a subject's ledger commitments are derived.
#[derive(Clone)]
pub struct SaltKey(Zeroizing<[u8; KEY_BYTES]>);

impl SaltKey {
    /// The bytes, for `ledger`'s salt derivation.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for SaltKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaltKey(..)")
    }
}

/// AES-256-GCM-SIV under one key, nonces random: two equal nonces would only show equal contents.
pub(crate) struct Aead(RandomizedNonceKey);

impl Aead {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(RandomizedNonceKey::new(&AES_256_GCM_SIV, key).expect("the key has 32 bytes"))
    }

    /// Encrypts what follows `start` in `bytes`, putting the nonce at `start` and the tag at the
    /// end. The caller has left [`NONCE_BYTES`] free at `start`.
    pub(crate) fn seal(&self, aad: &[u8], bytes: &mut Vec<u8>, start: usize) {
        let content = start + NONCE_BYTES;
        let (nonce, tag) = self
            .0
            .seal_in_place_separate_tag(Aad::from(aad), &mut bytes[content..])
            .expect("the length is far below the algorithm's limit");
        bytes[start..content].copy_from_slice(nonce.as_ref());
        bytes.extend_from_slice(tag.as_ref());
    }

    /// Decrypts nonce, ciphertext and tag in place.
    pub(crate) fn open<'a>(&self, aad: &[u8], bytes: &'a mut [u8]) -> Result<&'a [u8], OpenError> {
        if bytes.len() < NONCE_BYTES + TAG_BYTES {
            return Err(OpenError::Malformed("too short"));
        }
        let (nonce, sealed) = bytes.split_at_mut(NONCE_BYTES);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Refused)?;
        let content = self.0.open_in_place(nonce, Aad::from(aad), sealed);
        content.map(|content| &*content).map_err(|_| OpenError::Refused)
    }
}
