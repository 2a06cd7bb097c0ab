//! Contents to fewer bytes and back: zstd, with a dictionary for the small ones.
//!
//! Dictionaries are numbered, compiled in and never removed: what was written once is read for
//! ever. They are trained on synthetic data only, for a dictionary remembers what it has seen.
//! Contexts are kept per thread, so that one call costs microseconds.
//! Not here: how they are trained (`examples/train_dictionary.rs`).

use std::cell::RefCell;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::get_frame_content_size;

use crate::error::OpenError;
use crate::limit::{CONTENT_BYTES_MAX, DICTIONARY_CONTENT_BYTES_MAX};

/// How a content is written inside an envelope.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Coding {
    /// As it is.
    Stored,
    /// A zstd frame.
    Zstd,
    /// A zstd frame that needs the dictionary of this number.
    Dictionary(u8),
}

/// Appends the shortest form of `content` to `out`.
pub(crate) fn compress(content: &[u8], out: &mut Vec<u8>) -> Coding {
    let coding = if content.len() <= DICTIONARY_CONTENT_BYTES_MAX {
        Coding::Dictionary(CURRENT)
    } else {
        Coding::Zstd
    };
    let start = out.len();
    out.resize(start + zstd::zstd_safe::compress_bound(content.len()), 0);
    let written = CONTEXTS.with_borrow_mut(|contexts| {
        let compressor = match coding {
            Coding::Dictionary(_) => &mut contexts.with_dictionary,
            Coding::Stored | Coding::Zstd => &mut contexts.plain,
        };
        compressor.compress_to_buffer(content, &mut out[start..])
    });
    match written {
        Ok(length) if length < content.len() => {
            out.truncate(start + length);
            coding
        }
        _ => {
            out.truncate(start);
            out.extend_from_slice(content);
            Coding::Stored
        }
    }
}

/// The content again; never more than [`CONTENT_BYTES_MAX`], whatever the frame claims.
pub(crate) fn decompress(coding: Coding, bytes: &[u8]) -> Result<Vec<u8>, OpenError> {
    let claimed = match coding {
        Coding::Stored => bytes.len(),
        Coding::Zstd | Coding::Dictionary(_) => {
            let size = get_frame_content_size(bytes).ok().flatten();
            let size = size.ok_or(OpenError::Malformed("frame without a size"))?;
            usize::try_from(size).unwrap_or(usize::MAX)
        }
    };
    if claimed > CONTENT_BYTES_MAX {
        return Err(OpenError::TooLarge);
    }
    let content = CONTEXTS.with_borrow_mut(|contexts| match coding {
        Coding::Stored => Ok(bytes.to_vec()),
        Coding::Zstd => contexts.plain_reader.decompress(bytes, claimed),
        Coding::Dictionary(CURRENT) => contexts.dictionary_reader.decompress(bytes, claimed),
        Coding::Dictionary(_) => Err(std::io::ErrorKind::Unsupported.into()),
    });
    match content {
        Ok(content) if content.len() == claimed => Ok(content),
        _ => Err(OpenError::Malformed("frame does not decompress")),
    }
}

/// True if contents compressed with this dictionary can be read.
pub(crate) fn is_known(dictionary: u8) -> bool {
    dictionary == CURRENT
}

struct Contexts {
    plain: Compressor<'static>,
    with_dictionary: Compressor<'static>,
    plain_reader: Decompressor<'static>,
    dictionary_reader: Decompressor<'static>,
}

impl Contexts {
    fn new() -> std::io::Result<Self> {
        let mut contexts = Self {
            plain: Compressor::new(LEVEL)?,
            with_dictionary: Compressor::with_prepared_dictionary(&ENCODER)?,
            plain_reader: Decompressor::new()?,
            dictionary_reader: Decompressor::with_prepared_dictionary(&DECODER)?,
        };
        contexts.plain.include_checksum(false)?;
        contexts.with_dictionary.include_checksum(false)?;
        contexts.with_dictionary.include_dictid(false)?;
        Ok(contexts)
    }
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> =
        RefCell::new(Contexts::new().expect("a zstd context needs memory only"));
}

static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY_1, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY_1));

/// Fast enough for the writer: figures in `docs/formats.md`.
const LEVEL: i32 = 1;
const CURRENT: u8 = 1;
const DICTIONARY_1: &[u8] = include_bytes!("../dictionaries/fhir-r4-1.dict");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_of_every_size_come_back() {
        for length in [0, 1, 2, 100, 1000, 70_000, 300_000] {
            let content: Vec<u8> = br#"{"resourceType":"Observation","status":"final"}"#
                .iter()
                .copied()
                .cycle()
                .take(length)
                .collect();
            let mut bytes = b"before".to_vec();

            let coding = compress(&content, &mut bytes);

            assert_eq!(decompress(coding, &bytes[6..]), Ok(content));
        }
    }

    #[test]
    fn what_does_not_shrink_is_stored() {
        let noise: Vec<u8> =
            (0..64_u64).map(|i| (i.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect();
        let mut bytes = Vec::new();

        assert_eq!(compress(&noise, &mut bytes), Coding::Stored);
        assert_eq!(bytes, noise);
    }

    #[test]
    fn a_frame_that_claims_too_much_is_not_decompressed() {
        let bomb = vec![0; CONTENT_BYTES_MAX + 1];
        let frame = zstd::bulk::compress(&bomb, 1).expect("compresses");
        assert!(frame.len() < 20_000);

        assert_eq!(decompress(Coding::Zstd, &frame), Err(OpenError::TooLarge));
    }

    #[test]
    fn a_frame_that_lies_about_its_size_is_refused() {
        let mut frame = zstd::bulk::compress(&vec![7; 100_000], 1).expect("compresses");
        // Descriptor 0xA0: single segment, 4-byte content size right after it.
        assert_eq!(frame[4], 0xA0);
        frame[5..9].copy_from_slice(&1000_u32.to_le_bytes());
        assert!(decompress(Coding::Zstd, &frame).is_err());
        frame[5..9].copy_from_slice(&200_000_u32.to_le_bytes());
        assert!(decompress(Coding::Zstd, &frame).is_err());
    }

    #[test]
    fn an_unknown_dictionary_is_refused() {
        let frame = zstd::bulk::compress(b"content", 1).expect("compresses");

        assert!(decompress(Coding::Dictionary(9), &frame).is_err());
    }
}
