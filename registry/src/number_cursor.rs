//! A page cursor that is one number: sealed, bound to what it continues, and telling nothing.
//!
//! Shape: tag 16 bytes | number, masked. Tag = SipHash-2-4 twice over the bound texts and the number; it also seeds the
//! mask. Not a right of access: a cursor only says where to start, the permit is rendered again.
//! Not here: cursors of searches, which hold sort keys (`search::cursor`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::hash::{Domain, IndexKey};
use crate::page::Cursor;

/// Seals a number for what these texts name.
pub(crate) fn seal(number: u64, bound: &[&str], key: &IndexKey) -> Cursor {
    let tag = tag(number, bound, key);
    let mut out = tag.to_vec();
    out.extend_from_slice(&(number ^ mask(&tag, key)).to_le_bytes());
    Cursor(out)
}

/// The number; `None` for a cursor of something else, of another installation, or none of ours.
pub(crate) fn open(cursor: &Cursor, bound: &[&str], key: &IndexKey) -> Option<u64> {
    let (sealed, body) = cursor.0.split_first_chunk::<TAG_BYTES>()?;
    let number = u64::from_le_bytes(body.try_into().ok()?) ^ mask(sealed, key);
    (tag(number, bound, key) == *sealed).then_some(number)
}

fn tag(number: u64, bound: &[&str], key: &IndexKey) -> [u8; TAG_BYTES] {
    let number = number.to_string();
    let hash = |half: &str| {
        let parts = [&["number", &number, half], bound].concat();
        key.hash_parts(Domain::Cursor, &parts).to_le_bytes()
    };
    let mut out = [0; TAG_BYTES];
    out[..8].copy_from_slice(&hash("first half"));
    out[8..].copy_from_slice(&hash("second half"));
    out
}

fn mask(tag: &[u8; TAG_BYTES], key: &IndexKey) -> u64 {
    let seed = URL_SAFE_NO_PAD.encode(tag);
    key.hash_parts(Domain::Cursor, &["number stream", &seed]).cast_unsigned()
}

const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_for_what_it_continues_only() {
        let key = IndexKey::from_bytes([7; 16]);
        let cursor = seal(4711, &["history", "Patient"], &key);

        assert_eq!(open(&cursor, &["history", "Patient"], &key), Some(4711));
        assert_eq!(open(&cursor, &["history", "Practitioner"], &key), None);
        assert_eq!(open(&cursor, &["historyPatient"], &key), None);
        assert_eq!(open(&cursor, &["history", "Patient"], &IndexKey::from_bytes([8; 16])), None);
        for at in 0..cursor.0.len() {
            let mut flipped = cursor.clone();
            flipped.0[at] ^= 1;
            assert_eq!(open(&flipped, &["history", "Patient"], &key), None, "byte {at}");
            let cut = Cursor(cursor.0[..at].to_vec());
            assert_eq!(open(&cut, &["history", "Patient"], &key), None, "cut {at}");
        }
    }
}
