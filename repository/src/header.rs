//! The clear part of an envelope: how it is coded, whose keys open it, which object it names.
//!
//! Layout in `docs/formats.md`, section "Envelope". All of it is authenticated with the content.
//! A reader accepts exactly what the writer makes: unknown bits, zero slots, slots out of order and
//! single slots in the long form are malformed.

use fhir::{ResourceKey, VersionId};

use crate::compression::{self, Coding};
use crate::data_key::{KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::error::OpenError;
use crate::limit::KEY_SLOTS_MAX;
use crate::object::ObjectName;

/// A parsed header; borrows from the envelope.
pub(crate) struct Header<'e> {
    pub(crate) coding: Coding,
    pub(crate) slots: Slots<'e>,
    pub(crate) object: Option<ObjectName>,
    /// Length of the header; nonce, ciphertext and tag follow.
    pub(crate) length: usize,
}

/// Whose keys open the envelope.
#[derive(Clone, Copy)]
pub(crate) enum Slots<'e> {
    /// The content is under this key.
    One(u64),
    /// The content is under a key of its own, wrapped in each slot.
    Many(&'e [[u8; SLOT_BYTES]]),
}

impl<'e> Header<'e> {
    pub(crate) fn parse(envelope: &'e [u8]) -> Result<Self, OpenError> {
        let mut rest = envelope;
        let [magic, format, flags, dictionary] = take(&mut rest)?;
        if [magic, format] != [MAGIC, FORMAT] {
            return Err(OpenError::Malformed("unknown format"));
        }
        let coding = parse_coding(flags, dictionary)?;
        let count = usize::from(u16::from_be_bytes(take(&mut rest)?));
        let slots = match count {
            0 => return Err(OpenError::Malformed("no key")),
            1 => Slots::One(u64::from_be_bytes(take(&mut rest)?)),
            _ => parse_slots(&mut rest, count)?,
        };
        let object = if flags & OBJECT == 0 { None } else { Some(ObjectName(take(&mut rest)?)) };
        if rest.len() < NONCE_BYTES + TAG_BYTES {
            return Err(OpenError::Malformed("too short"));
        }
        Ok(Self { coding, slots, object, length: envelope.len() - rest.len() })
    }

    pub(crate) fn key_ids(&self) -> Vec<u64> {
        match self.slots {
            Slots::One(key_id) => vec![key_id],
            Slots::Many(slots) => slots.iter().map(slot_key_id).collect(),
        }
    }
}

/// Writes everything before the slots. The coding is filled in by [`set_coding`] once known.
pub(crate) fn begin(out: &mut Vec<u8>, object: bool) {
    out.extend_from_slice(&[MAGIC, FORMAT, if object { OBJECT } else { 0 }, 0]);
}

/// Fills in the coding of an envelope that starts at `out[0]`.
pub(crate) fn set_coding(out: &mut [u8], coding: Coding) {
    let (bits, dictionary) = match coding {
        Coding::Stored => (0, 0),
        Coding::Zstd => (1, 0),
        Coding::Dictionary(number) => (2, number),
    };
    out[2] |= bits;
    out[3] = dictionary;
}

/// The key id at the front of a long slot.
pub(crate) fn slot_key_id(slot: &[u8; SLOT_BYTES]) -> u64 {
    u64::from_be_bytes(*slot.first_chunk().expect("a slot is longer than its id"))
}

/// Where an envelope belongs; part of what is authenticated, so it opens nowhere else.
pub(crate) enum Place<'p> {
    Version(&'p ResourceKey, VersionId),
    Object(&'p ResourceKey, &'p ObjectName),
}

impl Place<'_> {
    /// Additional authenticated data of the content.
    pub(crate) fn aad(&self, header: &[u8]) -> Vec<u8> {
        let (Self::Version(key, _) | Self::Object(key, _)) = self;
        let mut aad = Vec::with_capacity(header.len() + 160);
        aad.extend_from_slice(b"sealway/envelope/1");
        match self {
            Self::Version(_, version) => {
                aad.push(0);
                aad.extend_from_slice(&version.number().to_be_bytes());
            }
            Self::Object(_, name) => {
                aad.push(1);
                aad.extend_from_slice(&name.0);
            }
        }
        push_key(&mut aad, key);
        aad.extend_from_slice(header);
        aad
    }
}

/// Additional authenticated data of a wrapped content key.
pub(crate) fn slot_aad(key_id: u64, key: &ResourceKey) -> Vec<u8> {
    let mut aad = b"sealway/slot/1".to_vec();
    aad.extend_from_slice(&key_id.to_be_bytes());
    push_key(&mut aad, key);
    aad
}

fn push_key(aad: &mut Vec<u8>, key: &ResourceKey) {
    for text in [key.resource_type.name(), key.id.as_str()] {
        aad.push(u8::try_from(text.len()).expect("type names and ids are at most 64 bytes"));
        aad.extend_from_slice(text.as_bytes());
    }
}

fn parse_coding(flags: u8, dictionary: u8) -> Result<Coding, OpenError> {
    if flags & !(CODING | OBJECT) != 0 {
        return Err(OpenError::Malformed("unknown flags"));
    }
    match (flags & CODING, dictionary) {
        (0, 0) => Ok(Coding::Stored),
        (1, 0) => Ok(Coding::Zstd),
        (2, number) if compression::is_known(number) => Ok(Coding::Dictionary(number)),
        _ => Err(OpenError::Malformed("unknown coding")),
    }
}

fn parse_slots<'e>(rest: &mut &'e [u8], count: usize) -> Result<Slots<'e>, OpenError> {
    if count > KEY_SLOTS_MAX {
        return Err(OpenError::Malformed("too many keys"));
    }
    let bytes = rest.split_off(..count * SLOT_BYTES).ok_or(OpenError::Malformed("too short"))?;
    let (slots, _) = bytes.as_chunks();
    if slots.is_sorted_by(|a, b| slot_key_id(a) < slot_key_id(b)) {
        Ok(Slots::Many(slots))
    } else {
        Err(OpenError::Malformed("keys out of order"))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], OpenError> {
    let bytes = rest.split_off(..N).and_then(|bytes| bytes.first_chunk());
    bytes.copied().ok_or(OpenError::Malformed("too short"))
}

/// Bytes of a slot in the long form: key id, nonce, wrapped content key, tag.
pub(crate) const SLOT_BYTES: usize = 8 + NONCE_BYTES + KEY_BYTES + TAG_BYTES;

pub(crate) const MAGIC: u8 = 0xE5;
const FORMAT: u8 = 1;
const CODING: u8 = 0b011;
const OBJECT: u8 = 0b100;
