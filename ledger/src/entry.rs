//! A log entry: 44 bytes that commit to something without saying what.
//!
//! Layout (`docs/formats.md`): `u8 version=1 | u8 kind | u8 canon | u8 flags=0 | [32] commitment | u64 sequence`, big endian.
//! The first 36 bytes (the body) are written in the transaction of the data; the sequencer adds the number.
//! Not here: how a commitment is made (`commitment`).

use crate::{commitment::Commitment, error::EntryError, hash::LeafHash};

/// What an entry is about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// One version of a resource.
    ResourceVersion = 1,
    /// An access, as in a FHIR AuditEvent.
    Access = 2,
    /// A consent or policy decision.
    Consent = 3,
    /// A change of configuration or software.
    Configuration = 4,
    /// An erasure was executed.
    Erasure = 5,
    /// A key was made, rotated or destroyed.
    KeyEvent = 6,
}

/// Which bytes of the body were hashed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Canon {
    /// The exact bytes stored and served: the default.
    Stored = 0,
    /// RFC 8785; only for FHIR Signature, because it collides on FHIR decimals (1.10 and 1.1).
    Jcs = 1,
    /// Keys sorted, number tokens copied verbatim.
    SortedKeys = 2,
}

/// An entry before it is sequenced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EntryBody {
    /// What the entry is about.
    pub kind: Kind,
    /// Which bytes were hashed.
    pub canon: Canon,
    /// The salted commitment to them.
    pub commitment: Commitment,
}

/// A sequenced entry: the leaf of the Merkle log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Everything but the sequence number.
    pub body: EntryBody,
    /// Number of the entry in its gateway's log, without gaps from 0: equal to its index.
    pub sequence: u64,
}

/// Length of an [`EntryBody`].
pub const BODY_BYTES: usize = 36;
/// Length of an [`Entry`].
pub const ENTRY_BYTES: usize = 44;

impl Kind {
    /// The kind with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        [
            Self::ResourceVersion,
            Self::Access,
            Self::Consent,
            Self::Configuration,
            Self::Erasure,
            Self::KeyEvent,
        ]
        .into_iter()
        .find(|kind| kind.code() == code)
    }

    /// The byte that stands for this kind.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl Canon {
    /// The form with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Stored, Self::Jcs, Self::SortedKeys].into_iter().find(|canon| canon.code() == code)
    }

    /// The byte that stands for this form.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl EntryBody {
    /// Reads the 36 bytes, strictly.
    ///
    /// # Errors
    /// When version, kind, canon or flags are not known to this version of the format.
    pub fn parse(bytes: &[u8; BODY_BYTES]) -> Result<Self, EntryError> {
        let [version, kind, canon, flags, commitment @ ..] = bytes;
        if *version != VERSION {
            return Err(EntryError::Version(*version));
        }
        if *flags != 0 {
            return Err(EntryError::Flags(*flags));
        }
        Ok(Self {
            kind: Kind::from_code(*kind).ok_or(EntryError::Kind(*kind))?,
            canon: Canon::from_code(*canon).ok_or(EntryError::Canon(*canon))?,
            commitment: Commitment::from_bytes(*commitment),
        })
    }

    /// Writes the 36 bytes.
    pub fn to_bytes(&self) -> [u8; BODY_BYTES] {
        let mut bytes = [0; BODY_BYTES];
        bytes[..4].copy_from_slice(&[VERSION, self.kind.code(), self.canon.code(), 0]);
        bytes[4..].copy_from_slice(self.commitment.as_bytes());
        bytes
    }
}

impl Entry {
    /// Reads the 44 bytes, strictly.
    ///
    /// # Errors
    /// As [`EntryBody::parse`], and for any other length.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let length = || EntryError::Length(bytes.len());
        let (body, sequence) = bytes.split_first_chunk::<BODY_BYTES>().ok_or_else(length)?;
        let sequence = <[u8; 8]>::try_from(sequence).map_err(|_| length())?;
        Ok(Self { body: EntryBody::parse(body)?, sequence: u64::from_be_bytes(sequence) })
    }

    /// Writes the 44 bytes.
    pub fn to_bytes(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..BODY_BYTES].copy_from_slice(&self.body.to_bytes());
        bytes[BODY_BYTES..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }

    /// The first 36 bytes, as the transaction of the data wrote them.
    pub fn body36(&self) -> [u8; BODY_BYTES] {
        self.body.to_bytes()
    }

    /// The leaf of this entry in the Merkle log, over all 44 bytes.
    pub fn leaf_hash(&self) -> LeafHash {
        LeafHash::of(&self.to_bytes())
    }
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Entry {
        let commitment = Commitment::from_bytes([7; 32]);
        let body = EntryBody { kind: Kind::Access, canon: Canon::Stored, commitment };
        Entry { body, sequence: 0x0102_0304 }
    }

    #[test]
    fn an_entry_survives_the_round_trip() {
        let entry = sample();

        let read = Entry::parse(&entry.to_bytes());

        assert_eq!(read, Ok(entry));
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = sample().to_bytes();

        for length in 0..ENTRY_BYTES {
            assert_eq!(Entry::parse(&bytes[..length]), Err(EntryError::Length(length)));
        }
        assert_eq!(Entry::parse(&[0; 45]), Err(EntryError::Length(45)));
    }

    #[test]
    fn unknown_versions_kinds_forms_and_flags_are_refused() {
        for (at, value) in [(0, 0), (0, 2), (1, 0), (1, 7), (2, 3), (3, 1), (3, 0x80)] {
            let mut bytes = sample().to_bytes();
            bytes[at] = value;

            assert!(Entry::parse(&bytes).is_err(), "byte {at} = {value}");
        }
    }

    #[test]
    fn every_flipped_byte_changes_the_leaf_or_is_refused() {
        let entry = sample();

        for at in 0..ENTRY_BYTES {
            for mask in 1..=255 {
                let mut bytes = entry.to_bytes();
                bytes[at] ^= mask;
                if let Ok(read) = Entry::parse(&bytes) {
                    assert_ne!(read.leaf_hash(), entry.leaf_hash());
                }
            }
        }
    }
}
