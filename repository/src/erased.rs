//! What stands in the place of a payload that was erased: 38 bytes that say under which key's erasure it went.
//!
//! `0xE5 | 2 | u64 key id | 12 bytes nonce | 16 bytes tag`. Nothing is encrypted; the tag is made with the tenant's key
//! over the key id and the version's ledger entry, so that whoever can write the database alone cannot pass a payload
//! that was destroyed off as one that was erased. Layout in `docs/formats.md`, section "Erased payload".
//! Not here: which keys were erased (`registry`, the ledger).

use crate::data_key::{DataKey, NONCE_BYTES, TAG_BYTES};
use crate::error::OpenError;
use crate::header::MAGIC;

/// Length of an erased payload; every envelope is longer.
pub const ERASED_BYTES: usize = 2 + 8 + NONCE_BYTES + TAG_BYTES;

/// Marks the version with this ledger entry as erased with the key `key_id`.
pub fn erased(key_id: u64, entry: &[u8; 36], tenant: &DataKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ERASED_BYTES);
    bytes.extend_from_slice(&[MAGIC, FORMAT]);
    bytes.extend_from_slice(&key_id.to_be_bytes());
    let start = bytes.len();
    bytes.extend_from_slice(&[0; NONCE_BYTES]);
    tenant.aead().seal(&aad(key_id, entry), &mut bytes, start);
    bytes
}

/// Id of the key whose erasure took the payload; `None` for any other payload. Not checked: see [`check_erased`].
pub fn erased_key_id(payload: &[u8]) -> Option<u64> {
    let (head, rest) = payload.split_first_chunk::<2>()?;
    let key_id = rest.first_chunk::<8>()?;
    let is_one = *head == [MAGIC, FORMAT] && payload.len() == ERASED_BYTES;
    is_one.then(|| u64::from_be_bytes(*key_id))
}

/// The same, when it was made here for the version with this ledger entry.
///
/// # Errors
/// [`OpenError::Malformed`] for any other payload, [`OpenError::Refused`] when the tag does not hold.
pub fn check_erased(payload: &[u8], entry: &[u8; 36], tenant: &DataKey) -> Result<u64, OpenError> {
    let key_id = erased_key_id(payload).ok_or(OpenError::Malformed("not an erased payload"))?;
    let mut sealed = payload[2 + 8..].to_vec();
    tenant.aead().open(&aad(key_id, entry), &mut sealed)?;
    Ok(key_id)
}

fn aad(key_id: u64, entry: &[u8; 36]) -> Vec<u8> {
    let mut aad = b"sealway/erased/1".to_vec();
    aad.extend_from_slice(&key_id.to_be_bytes());
    aad.extend_from_slice(entry);
    aad
}

const FORMAT: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> DataKey {
        DataKey::derive(1, "", &[byte; 32])
    }

    #[test]
    fn an_erased_payload_holds_for_its_version_and_installation_alone() {
        let payload = erased(77, &[5; 36], &key(1));

        assert_eq!(payload.len(), ERASED_BYTES);
        assert_eq!(erased_key_id(&payload), Some(77));
        assert_eq!(check_erased(&payload, &[5; 36], &key(1)), Ok(77));
        assert_eq!(check_erased(&payload, &[6; 36], &key(1)), Err(OpenError::Refused));
        assert_eq!(check_erased(&payload, &[5; 36], &key(2)), Err(OpenError::Refused));
    }

    #[test]
    fn every_changed_byte_and_every_other_length_is_refused() {
        let payload = erased(77, &[5; 36], &key(1));

        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] ^= 1;
            assert!(check_erased(&changed, &[5; 36], &key(1)).is_err(), "byte {at}");
            assert!(check_erased(&payload[..at], &[5; 36], &key(1)).is_err(), "length {at}");
        }
        assert!(check_erased(&[payload, vec![0]].concat(), &[5; 36], &key(1)).is_err());
    }
}
