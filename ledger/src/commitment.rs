//! Salted commitment to content, so that nothing can be guessed from the log.
//!
//! `commitment = SHA-256("sealway/commit/v1\0" ‖ kind ‖ canon ‖ salt[32] ‖ SHA-256(body))`;
//! `salt = HKDF-SHA256(ikm = subject key, no salt, info = "sealway/salt/v1\0" ‖ kind ‖ id[16])`, RFC 5869.
//! Every input has a fixed length, so no two inputs share an encoding. Whoever erases the subject's key erases the link.
//! Not here: where keys and random ids come from (`repository`, `gateway`).

use std::fmt;

use hkdf::Hkdf;
use sha2::{Digest, Sha256};

use crate::entry::{Canon, Kind};

/// Commitment to a body: 32 bytes that look random without the salt.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Commitment([u8; 32]);

/// Plain SHA-256 of a body. Never publish it: clinical content is guessable.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct ContentHash([u8; 32]);

/// The secret that keeps a commitment from being guessed. A receipt discloses it to its holder.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Salt([u8; 32]);

/// Commits to a body of which only the hash is needed.
pub fn commit(kind: Kind, canon: Canon, salt: &Salt, content: &ContentHash) -> Commitment {
    let digest = Sha256::new_with_prefix(COMMITMENT_DOMAIN)
        .chain_update([kind.code(), canon.code()])
        .chain_update(salt.0)
        .chain_update(content.0);
    Commitment(digest.finalize().into())
}

impl Commitment {
    /// A commitment read from an entry.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl ContentHash {
    /// Hashes the bytes of a body.
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }

    /// A hash computed elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Salt {
    /// Derives the salt of one version or access record from its subject's key and its random 128-bit id.
    pub fn derive(subject_key: &[u8; 32], kind: Kind, id: &[u8; 16]) -> Self {
        let mut info = [0; SALT_DOMAIN.len() + 17];
        info[..SALT_DOMAIN.len()].copy_from_slice(SALT_DOMAIN);
        info[SALT_DOMAIN.len()] = kind.code();
        info[SALT_DOMAIN.len() + 1..].copy_from_slice(id);
        let mut salt = [0; 32];
        Hkdf::<Sha256>::new(None, subject_key)
            .expand(&info, &mut salt)
            .expect("32 bytes are one block of HKDF-SHA256, which yields up to 255");
        Self(salt)
    }

    /// A salt read from a receipt.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commitment({})", hex::encode(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentHash(..)")
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

const COMMITMENT_DOMAIN: &[u8] = b"sealway/commit/v1\0";
const SALT_DOMAIN: &[u8] = b"sealway/salt/v1\0";

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869 appendix A.1 and A.3: the HKDF that we use is the standard's.
    #[test]
    fn hkdf_gives_the_vectors_of_rfc_5869() {
        let vectors = [
            (
                "000102030405060708090a0b0c",
                "f0f1f2f3f4f5f6f7f8f9",
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
            ),
            (
                "",
                "",
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
            ),
        ];

        for (salt, info, expected) in vectors {
            let salt = hex::decode(salt).unwrap();
            let kdf = Hkdf::<Sha256>::new(Some(&salt), &[0x0b; 22]);
            let mut okm = [0; 42];
            kdf.expand(&hex::decode(info).unwrap(), &mut okm).unwrap();

            assert_eq!(hex::encode(okm), expected);
        }
    }

    #[test]
    fn salts_differ_by_key_kind_and_id() {
        let base = Salt::derive(&[1; 32], Kind::ResourceVersion, &[2; 16]);

        assert!(base == Salt::derive(&[1; 32], Kind::ResourceVersion, &[2; 16]));
        assert!(base != Salt::derive(&[9; 32], Kind::ResourceVersion, &[2; 16]));
        assert!(base != Salt::derive(&[1; 32], Kind::Access, &[2; 16]));
        assert!(base != Salt::derive(&[1; 32], Kind::ResourceVersion, &[3; 16]));
    }

    #[test]
    fn a_commitment_depends_on_every_input() {
        let (salt, content) = (Salt::from_bytes([1; 32]), ContentHash::of(b"body"));
        let base = commit(Kind::ResourceVersion, Canon::Stored, &salt, &content);

        assert_ne!(base, commit(Kind::Access, Canon::Stored, &salt, &content));
        assert_ne!(base, commit(Kind::ResourceVersion, Canon::Jcs, &salt, &content));
        assert_ne!(
            base,
            commit(Kind::ResourceVersion, Canon::Stored, &Salt::from_bytes([2; 32]), &content)
        );
        assert_ne!(
            base,
            commit(Kind::ResourceVersion, Canon::Stored, &salt, &ContentHash::of(b"bodz"))
        );
    }
}
