//! Character sets of MSH-18 (HL7 table 0211): bytes to text before anything is split.
//!
//! Decoding comes first because Big5, GB 18030 and ISO-2022-JP use the bytes of `\`, `|` and `^` as trail bytes.
//! A byte that the declared set does not have is an error, never U+FFFD. UTF-16 and UTF-32 are refused: they are
//! not safe in MLLP. Not here: encoding (acknowledgements repeat the sender's bytes and add ASCII only).

use std::borrow::Cow;

use encoding_rs::Encoding;

use crate::{
    error::{ConvertError, Reason},
    place::Place,
};

/// A supported character set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Charset(Kind);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Ascii,
    Latin1,
    Web(&'static Encoding),
}

impl Charset {
    /// UTF-8.
    pub const UTF_8: Self = Self(Kind::Web(encoding_rs::UTF_8));
    /// US-ASCII, the default of the standard.
    pub const ASCII: Self = Self(Kind::Ascii);

    /// The set that a table 0211 name (or a common alias) means.
    pub fn named(name: &str) -> Option<Self> {
        let key: String =
            name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase();
        let kind = match key.as_str() {
            "ASCII" | "USASCII" | "ISOIR6" => Kind::Ascii,
            "88591" | "ISO88591" | "LATIN1" => Kind::Latin1,
            "UNICODEUTF8" | "UTF8" => Kind::Web(encoding_rs::UTF_8),
            "88592" | "ISO88592" => Kind::Web(encoding_rs::ISO_8859_2),
            "88593" | "ISO88593" => Kind::Web(encoding_rs::ISO_8859_3),
            "88594" | "ISO88594" => Kind::Web(encoding_rs::ISO_8859_4),
            "88595" | "ISO88595" => Kind::Web(encoding_rs::ISO_8859_5),
            "88596" | "ISO88596" => Kind::Web(encoding_rs::ISO_8859_6),
            "88597" | "ISO88597" => Kind::Web(encoding_rs::ISO_8859_7),
            "88598" | "ISO88598" => Kind::Web(encoding_rs::ISO_8859_8),
            "88599" | "ISO88599" => Kind::Web(encoding_rs::WINDOWS_1254),
            "885915" | "ISO885915" => Kind::Web(encoding_rs::ISO_8859_15),
            "ISOIR87" | "ISOIR159" | "ISOIR14" | "ISO2022JP" => Kind::Web(encoding_rs::ISO_2022_JP),
            "GB180302000" | "GB18030" => Kind::Web(encoding_rs::GB18030),
            "KSX1001" | "EUCKR" => Kind::Web(encoding_rs::EUC_KR),
            "BIG5" => Kind::Web(encoding_rs::BIG5),
            "WINDOWS1252" | "CP1252" => Kind::Web(encoding_rs::WINDOWS_1252),
            _ => return None,
        };
        Some(Self(kind))
    }

    /// The text, or the offset of the first byte that this set does not have (for multi-byte sets: near it).
    pub fn decode<'b>(&self, bytes: &'b [u8]) -> Result<Cow<'b, str>, usize> {
        match self.0 {
            Kind::Ascii if bytes.is_ascii() => Charset::UTF_8.decode(bytes),
            Kind::Ascii => Err(bytes.iter().position(|b| !b.is_ascii()).unwrap_or_default()),
            Kind::Latin1 if bytes.is_ascii() => Charset::UTF_8.decode(bytes),
            // C1 controls mean that the sender really writes windows-1252.
            Kind::Latin1 if bytes.iter().any(|b| (0x80..0xA0).contains(b)) => {
                Self(Kind::Web(encoding_rs::WINDOWS_1252)).decode(bytes)
            }
            Kind::Latin1 => Ok(Cow::Owned(bytes.iter().map(|b| char::from(*b)).collect())),
            Kind::Web(encoding) if encoding == encoding_rs::UTF_8 => {
                std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|e| e.valid_up_to())
            }
            Kind::Web(encoding) => encoding
                .decode_without_bom_handling_and_without_replacement(bytes)
                .ok_or_else(|| first_bad(encoding, bytes)),
        }
    }
}

/// What MSH-18 and the bytes together say: the set to use and a warning when the declaration was off.
pub(crate) fn detect(
    declared: &str,
    bytes: &[u8],
    site_default: Option<Charset>,
) -> Result<(Charset, Option<&'static str>), ConvertError> {
    let fail =
        |text: &str| ConvertError::at(Place::field("MSH", 18), Reason::CharsetUnsupported, text);
    let mut chosen = None;
    for name in declared.split('~').map(str::trim).filter(|n| !n.is_empty()) {
        if name.eq_ignore_ascii_case("UNICODE") {
            chosen.get_or_insert(Charset::UTF_8);
            continue;
        }
        let Some(charset) = Charset::named(name) else {
            return Err(fail("unknown or unsupported character set in MSH-18"));
        };
        // ISO-2022 switches inside the stream; its decoder also reads plain ASCII, so it wins.
        if chosen.is_none() || charset.0 == Kind::Web(encoding_rs::ISO_2022_JP) {
            chosen = Some(charset);
        }
    }
    match chosen {
        Some(Charset::ASCII) | None if !bytes.is_ascii() => {
            if let Some(default) = site_default {
                return Ok((default, None));
            }
            if std::str::from_utf8(bytes).is_ok() {
                return Ok((Charset::UTF_8, Some("charset-undeclared-utf-8")));
            }
            Ok((Charset::ASCII, None))
        }
        Some(charset) => Ok((charset, None)),
        None => Ok((Charset::UTF_8, None)),
    }
}

/// True for the byte-order marks and zero bytes of UTF-16 and UTF-32.
pub(crate) fn looks_like_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0xFE])
        || bytes.starts_with(&[0xFE, 0xFF])
        || (bytes.len() >= 4 && (bytes[..2] == [0, b'M'] || bytes[..2] == [b'M', 0]))
}

fn first_bad(encoding: &'static Encoding, bytes: &[u8]) -> usize {
    // The good prefix by bisection on line ends would be exact enough, but a linear probe by halves is simpler.
    let (mut good, mut bad) = (0, bytes.len());
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        let (_, malformed) = encoding.decode_without_bom_handling(&bytes[..middle]);
        if malformed { bad = middle } else { good = middle }
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trail_bytes_that_look_like_separators_decode_first() {
        let big5 = Charset::named("BIG-5").expect("supported");
        let text = big5.decode(b"\xB3\x5C|\xA5\x5C").expect("valid Big5");
        assert_eq!(text, "許|功");

        let japanese = Charset::named("ISO IR87").expect("supported");
        assert_eq!(japanese.decode(b"\x1b$B;3ED\x1b(B^").expect("valid"), "山田^");
    }

    #[test]
    fn a_byte_outside_the_declared_set_is_an_error_with_its_offset() {
        assert_eq!(Charset::UTF_8.decode(b"M\xDCLLER"), Err(1));
        assert_eq!(Charset::ASCII.decode(b"MU\xDC"), Err(2));
        assert_eq!(
            Charset::named("8859/1").expect("supported").decode(b"M\xDC").expect("ok"),
            "MÜ"
        );
        assert!(Charset::named("KLINGON/1").is_none());
    }

    #[test]
    fn the_first_repetition_is_the_default_and_others_switch_by_escapes() {
        let (charset, _) = detect("~ISO IR87", b"\x1b$B;3\x1b(B", None).expect("supported");
        assert_eq!(charset, Charset::named("ISO IR87").expect("supported"));
        assert!(detect("UTF-16", b"", None).is_err());
    }
}
