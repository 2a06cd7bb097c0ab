//! Resource ids from identifiers, so that a message sent again finds the resources it made before.
//!
//! id = UUID version 8 (RFC 9562 §5.8) of the first 128 bits of
//! `SHA-256("sealway:id:v1" ‖ 0 ‖ resource type ‖ 0 ‖ part ‖ 0 ‖ part …)`. The parts are the identifier's system and value
//! (or, where a thing has no identifier of its own, its parent's id and its role); never names, dates of birth or text.

use sha2::{Digest, Sha256};

/// The id of the resource of this type that these identifying parts name.
pub fn stable_id(resource_type: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"sealway:id:v1\0");
    hash.update(resource_type.as_bytes());
    for part in parts {
        hash.update([0]);
        hash.update(part.as_bytes());
    }
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    bytes[6] = (bytes[6] & 0x0F) | 0x80;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    let mut text = String::with_capacity(36);
    for (n, byte) in bytes.into_iter().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0x0F] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_type_and_every_part() {
        let id = stable_id("Patient", &["urn:oid:1.2.3.4", "123456"]);

        assert_eq!(id, stable_id("Patient", &["urn:oid:1.2.3.4", "123456"]));
        assert_ne!(id, stable_id("Encounter", &["urn:oid:1.2.3.4", "123456"]));
        assert_ne!(id, stable_id("Patient", &["urn:oid:1.2.3.4", "12345", "6"]));
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "8");
    }
}
