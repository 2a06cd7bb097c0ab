//! Keyed 64-bit hashes of index values: the blind index.
//!
//! SipHash-2-4 under the installation's random key (setting `index_key`), so that a stolen index
//! names nobody. A hash finds candidates; for identity and conditional matches the payload decides.
//! 0 is kept for "no value".

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

/// What is said of a database that holds resources and no key: a new one would find none of them.
pub(crate) const INDEX_KEY_GONE: &str = "the setting index_key is gone, without which no search finds what is stored: restore the database";

/// The installation's key for index hashes.
#[derive(Clone)]
pub struct IndexKey([u8; 16]);

impl IndexKey {
    /// Key from its stored bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Hash of one value; never 0.
    pub fn hash(&self, domain: Domain, value: &str) -> i64 {
        self.hash_parts(domain, &[value])
    }

    /// Hash of several values in order, each with its length; never 0.
    pub fn hash_parts(&self, domain: Domain, parts: &[&str]) -> i64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&[domain as u8]);
        for part in parts {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part.as_bytes());
        }
        match hasher.finish() {
            0 => 1,
            hash => hash.cast_signed(),
        }
    }

    /// Hash of a resource's key (`khash`): that of `Type/id`.
    pub fn resource(&self, type_name: &str, id: &str) -> i64 {
        self.hash_parts(Domain::Resource, &[type_name, id])
    }
}

/// What kind of value is hashed; equal texts of different kinds do not meet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Domain {
    /// `Type/id`, as two parts.
    Resource = 1,
    /// An absolute URL or URN as the target of a reference.
    Url = 2,
    /// System of a coding, identifier or unit.
    System = 3,
    /// Code or identifier value.
    Code = 4,
    /// System and code together.
    SystemCode = 5,
    /// `identifier:of-type`: type system, type code, value.
    OfType = 6,
    /// Code or text of a unit.
    Unit = 7,
    /// Logical reference: system and value of its identifier.
    LogicalReference = 8,
    /// Seal of a page cursor.
    Cursor = 9,
    /// Type and word of a text.
    Word = 10,
    /// Parameter and word of one of its values.
    ParamWord = 11,
    /// Set of the parameters that a resource has something for.
    PresentSet = 12,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_key_domain_and_part_borders() {
        let key = IndexKey::from_bytes([7; 16]);
        let other = IndexKey::from_bytes([8; 16]);

        let hash = key.hash_parts(Domain::Code, &["ab", "c"]);

        assert_ne!(hash, other.hash_parts(Domain::Code, &["ab", "c"]));
        assert_ne!(hash, key.hash_parts(Domain::System, &["ab", "c"]));
        assert_ne!(hash, key.hash_parts(Domain::Code, &["a", "bc"]));
        assert_eq!(hash, key.hash_parts(Domain::Code, &["ab", "c"]));
    }
}
