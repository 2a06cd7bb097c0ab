//! The page cursor: a place and a direction, sealed and bound to its query.
//!
//! Shape: tag 16 bytes | body, the body encrypted, text form base64url without padding. Body: version 1 |
//! direction u8 (1 = backwards) | nsort i64 | rid i64 | keys, each `kind u8 | value` (0 null, 1 i64, 2 f64,
//! 3 u16 length and text), little endian. Tag = SipHash-2-4 twice over query and body; it also seeds the
//! key stream, so equal places look alike only in equal queries, and no sort key is readable in a link.
//! Not a right of access: a cursor only says where to start, the permit is rendered again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::ask::Cell;
use super::clause::SearchQuery;
use super::order::Place;
use super::parse_sort::SORT_KEYS_MAX;
use crate::error::ReadError;
use crate::hash::{Domain, IndexKey};
use crate::index::STRING_CHARS_MAX;
use crate::page::Cursor;

impl Cursor {
    /// Text form, for links.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }

    /// From its text form. What is inside is checked when the search runs.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (TAG_BYTES..=CURSOR_BYTES_MAX).contains(&bytes.len()).then_some(Self(bytes))
    }
}

/// Where a page starts and which way it runs.
#[derive(Debug, PartialEq)]
pub(super) struct Start {
    pub(super) place: Place,
    pub(super) backwards: bool,
}

/// Seals a start for this query.
pub(super) fn seal(start: &Start, query: &SearchQuery, key: &IndexKey) -> Cursor {
    let mut body = vec![FORMAT, u8::from(start.backwards)];
    body.extend_from_slice(&start.place.nsort.to_le_bytes());
    body.extend_from_slice(&start.place.rid.to_le_bytes());
    for cell in &start.place.keys {
        put(&mut body, cell);
    }
    let mut out = tag(&body, query, key);
    mask(&mut body, &out, key);
    out.extend_from_slice(&body);
    Cursor(out)
}

/// Where the page starts; `None` for the first page.
///
/// # Errors
/// As [`open`].
pub(super) fn start(query: &SearchQuery, key: &IndexKey) -> Result<Option<Start>, ReadError> {
    query.cursor.as_ref().map(|cursor| open(cursor, query, key)).transpose()
}

/// Opens a cursor of this query.
///
/// # Errors
/// [`ReadError::Invalid`] for a cursor of another query, another installation, or none of ours.
fn open(cursor: &Cursor, query: &SearchQuery, key: &IndexKey) -> Result<Start, ReadError> {
    let foreign = || ReadError::Invalid("_cursor does not belong to this search".into());
    let (sealed, body) = cursor.0.split_at_checked(TAG_BYTES).ok_or_else(foreign)?;
    let mut body = body.to_vec();
    mask(&mut body, sealed, key);
    if tag(&body, query, key) != sealed {
        return Err(foreign());
    }
    read(&body).ok_or_else(foreign)
}

fn put(body: &mut Vec<u8>, cell: &Cell) {
    match cell {
        Cell::Int(value) => {
            body.push(1);
            body.extend_from_slice(&value.to_le_bytes());
        }
        Cell::Real(value) => {
            body.push(2);
            body.extend_from_slice(&value.to_le_bytes());
        }
        Cell::Text(text) => {
            body.push(3);
            let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
            body.extend_from_slice(&len.to_le_bytes());
            body.extend_from_slice(text.as_bytes());
        }
        Cell::Null | Cell::Blob(_) => body.push(0),
    }
}

fn read(body: &[u8]) -> Option<Start> {
    let (&[FORMAT, direction], rest) = body.split_first_chunk::<2>()? else { return None };
    let (nsort, rest) = rest.split_first_chunk::<8>()?;
    let (rid, mut rest) = rest.split_first_chunk::<8>()?;
    let mut keys = Vec::new();
    while let Some((kind, tail)) = rest.split_first() {
        let (cell, tail) = match kind {
            0 => (Cell::Null, tail),
            1 => {
                let (value, tail) = tail.split_first_chunk::<8>()?;
                (Cell::Int(i64::from_le_bytes(*value)), tail)
            }
            2 => {
                let (value, tail) = tail.split_first_chunk::<8>()?;
                (Cell::Real(f64::from_le_bytes(*value)), tail)
            }
            _ => {
                let (len, tail) = tail.split_first_chunk::<2>()?;
                let (text, tail) = tail.split_at_checked(u16::from_le_bytes(*len).into())?;
                (Cell::Text(String::from_utf8(text.to_vec()).ok()?), tail)
            }
        };
        keys.push(cell);
        rest = tail;
    }
    let place = Place { nsort: i64::from_le_bytes(*nsort), rid: i64::from_le_bytes(*rid), keys };
    Some(Start { place, backwards: direction == 1 })
}

/// What the cursor is bound to: the search without the size of its pages.
fn tag(body: &[u8], query: &SearchQuery, key: &IndexKey) -> Vec<u8> {
    let body = URL_SAFE_NO_PAD.encode(body);
    let mut parts = vec![query.path.as_str(), &body];
    for (name, value) in query.applied.iter().filter(|(name, _)| !FREE.contains(&name.as_str())) {
        parts.extend([name.as_str(), value.as_str()]);
    }
    let mut out = Vec::with_capacity(TAG_BYTES);
    for half in ["first half", "second half"] {
        parts.push(half);
        out.extend_from_slice(&key.hash_parts(Domain::Cursor, &parts).to_le_bytes());
    }
    out
}

/// Adds or takes off the key stream that the tag seeds.
fn mask(body: &mut [u8], tag: &[u8], key: &IndexKey) {
    let seed = URL_SAFE_NO_PAD.encode(tag);
    for (block, bytes) in body.chunks_mut(8).enumerate() {
        let block = block.to_string();
        let stream = key.hash_parts(Domain::Cursor, &["stream", &seed, &block]).to_le_bytes();
        bytes.iter_mut().zip(stream).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// Parameters that may change from page to page.
const FREE: [&str; 6] = ["_count", "_total", "_format", "_pretty", "_elements", "_summary"];
const FORMAT: u8 = 1;
const TAG_BYTES: usize = 16;
/// Before the keys: format and direction, nsort and rid.
const HEAD_BYTES: usize = 2 + 8 + 8;
/// Longest key: kind, length, and a text as it is indexed, of up to four bytes a character.
const KEY_BYTES_MAX: usize = 1 + 2 + 4 * STRING_CHARS_MAX;
/// The longest cursor that a search may be given.
const CURSOR_BYTES_MAX: usize = TAG_BYTES + HEAD_BYTES + SORT_KEYS_MAX * KEY_BYTES_MAX;

#[cfg(test)]
mod tests {
    use fhir::ResourceType;

    use super::*;
    use crate::search::{ParseOptions, parse};

    fn query(text: &str) -> SearchQuery {
        let options = ParseOptions { base_url: "", lenient: false, now_us: 0, codes: None };
        parse(ResourceType::PATIENT, text, &options).unwrap()
    }

    fn start() -> Start {
        let keys = vec![Cell::Text("müller".into()), Cell::Null, Cell::Int(-3), Cell::Real(0.5)];
        Start { place: Place { nsort: -17, rid: 42, keys }, backwards: true }
    }

    #[test]
    fn a_cursor_opens_for_its_query_only_and_hides_its_keys() {
        let key = IndexKey::from_bytes([7; 16]);
        let own = query("name=a&_count=7");

        let cursor = Cursor::decode(&seal(&start(), &own, &key).encode()).unwrap();

        assert_eq!(open(&cursor, &own, &key).unwrap(), start());
        assert_eq!(open(&cursor, &query("name=a&_count=50"), &key).unwrap(), start());
        assert!(open(&cursor, &query("name=b"), &key).is_err());
        assert!(open(&cursor, &own, &IndexKey::from_bytes([8; 16])).is_err());
        assert!(!cursor.0.windows(5).any(|bytes| bytes == b"ller\0"));
    }

    #[test]
    fn the_longest_sort_keys_still_make_a_cursor_that_is_taken() {
        let key = IndexKey::from_bytes([7; 16]);
        let own = query("name=a");
        // As long as the index keeps a text, of characters that are four bytes each.
        let longest = crate::index::indexed_text(&"\u{1D11E}".repeat(1_000)).to_owned();
        assert_eq!(longest.len(), 1_024);
        let keys = vec![Cell::Text(longest); SORT_KEYS_MAX];
        let start = Start { place: Place { nsort: 1, rid: 2, keys }, backwards: false };

        let text = seal(&start, &own, &key).encode();

        assert_eq!(open(&Cursor::decode(&text).unwrap(), &own, &key).unwrap(), start);
        assert!(Cursor::decode(&format!("{text}AAAA")).is_none());
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_refused() {
        let key = IndexKey::from_bytes([7; 16]);
        let own = query("name=a");
        let cursor = seal(&start(), &own, &key);

        for at in 0..cursor.0.len() {
            let mut flipped = cursor.clone();
            flipped.0[at] ^= 1;
            assert!(open(&flipped, &own, &key).is_err(), "byte {at}");
            assert!(open(&Cursor(cursor.0[..at].to_vec()), &own, &key).is_err(), "cut {at}");
        }
    }
}
