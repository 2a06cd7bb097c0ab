//! The words of one resource version as the full-text index holds them.
//!
//! A word is a keyed hash of its type and text (50 bits, as ten letters and digits), so that the index names nothing in
//! clear and no word of one type meets one of another. Words in values of a string parameter stand once more before
//! the content, hashed with the number of the parameter, for `:text`. Shape: two lists in the order of the text, narrative and
//! content; a gap parts two elements, so that no phrase reaches over them.
//!
//! - SQLite: a row of the FTS5 table `search_text`, whose rowid is the `rid`; a gap is the token `0`.
//! - PostgreSQL: a `tsvector` with weight A for the narrative and D for the rest; a gap is a place without a word.
//!
//! Both hold the same: the first [`PART_WORDS_MAX`] words of each list, and of one word the first
//! [`WORD_PLACES_MAX`] places, since a `tsvector` has no more. Not here: which texts there are (`fhir`), queries.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::hash::Hasher as _;

use fhir::{FullText, Node, ResourceType, TextPart};
use siphasher::sip::SipHasher24;

use crate::hash::{Domain, IndexKey};

/// Words of a version; of a version that is read back only their sum is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Words {
    narrative: Vec<u64>,
    content: Vec<u64>,
    sum: i64,
}

impl Words {
    /// The words of a resource, and those of its `strings`, the values of string parameters with their numbers.
    pub(super) fn of<'s>(
        node: Node<'_>,
        of: ResourceType,
        strings: impl Iterator<Item = (u16, &'s str)>,
        key: &IndexKey,
        wanted: FullText,
    ) -> Self {
        let mut found = Self::default();
        if wanted == FullText::Off {
            return found;
        }
        let mut places = HashMap::new();
        for (param, text) in strings {
            let word = |word: &str| param_hashed(param, word, key);
            push(&mut found.content, text, STRING_WORDS_MAX, &mut places, word);
        }
        let most = found.content.len() + PART_WORDS_MAX;
        fhir::texts(node, wanted, &mut |part, text| {
            let (list, most) = match part {
                TextPart::Narrative => (&mut found.narrative, PART_WORDS_MAX),
                TextPart::Content => (&mut found.content, most),
            };
            push(list, text, most, &mut places, |word| hashed(of, word, key));
        });
        found.sum = sum(&found);
        found
    }

    /// What is known of the words of a stored version.
    pub(super) fn summed(sum: i64) -> Self {
        Self { sum, ..Self::default() }
    }

    /// Tells apart what differs; 0 for no words at all.
    pub fn sum(&self) -> i64 {
        self.sum
    }

    /// True when there is nothing to be found.
    pub fn is_empty(&self) -> bool {
        self.sum == 0
    }

    /// Number of words and gaps.
    pub fn len(&self) -> usize {
        self.narrative.len() + self.content.len()
    }

    /// Texts of the two columns of `search_text` on SQLite.
    pub(crate) fn columns(&self) -> (String, String) {
        let text = |list: &[u64]| {
            let mut text = String::with_capacity(list.len() * (TERM_CHARS + 1));
            for word in list {
                text.push_str(if text.is_empty() { "" } else { " " });
                if *word == GAP {
                    text.push('0');
                } else {
                    push_term(&mut text, *word);
                }
            }
            text
        };
        (text(&self.narrative), text(&self.content))
    }

    /// A `tsvector` of PostgreSQL, as text.
    pub(crate) fn tsvector(&self) -> String {
        let mut places: BTreeMap<u64, Vec<(usize, char)>> = BTreeMap::new();
        let narrative = self.narrative.iter().map(|word| (word, 'A'));
        let all = narrative.chain([(&GAP, 'D')]).chain(self.content.iter().map(|word| (word, 'D')));
        for (at, (word, weight)) in all.enumerate().filter(|(_, (word, _))| **word != GAP) {
            places.entry(*word).or_default().push((at + 1, weight));
        }
        let mut text = String::with_capacity(self.len() * (TERM_CHARS + 8));
        for (word, places) in places {
            push_term(&mut text, word);
            for (at, (place, weight)) in places.into_iter().enumerate() {
                text.push(if at == 0 { ':' } else { ',' });
                let _ = write!(text, "{place}");
                if weight == 'A' {
                    text.push('A');
                }
            }
            text.push(' ');
        }
        text
    }
}

/// Adds the words of an element, parted from those before, up to `most` in the list.
fn push(
    list: &mut Vec<u64>,
    text: &str,
    most: usize,
    places: &mut HashMap<u64, u32>,
    hashed: impl Fn(&str) -> u64,
) {
    if list.len() >= most {
        return;
    }
    let before = list.len();
    if before > 0 {
        list.push(GAP);
    }
    let mut is_word = false;
    fhir::words(text, |word| {
        let word = hashed(word);
        let count = places.entry(word).or_default();
        *count += 1;
        is_word = true;
        list.push(if *count > WORD_PLACES_MAX { GAP } else { word });
    });
    list.truncate(if is_word { most } else { before });
}

/// The term of a word in values of a string parameter.
pub(crate) fn param_term(param: u16, word: &str, key: &IndexKey) -> String {
    let mut text = String::with_capacity(TERM_CHARS);
    push_term(&mut text, param_hashed(param, word, key));
    text
}

/// The term of a word of a type, as it stands in the index.
pub(crate) fn term(of: ResourceType, word: &str, key: &IndexKey) -> String {
    let mut text = String::with_capacity(TERM_CHARS);
    push_term(&mut text, hashed(of, word, key));
    text
}

/// Never [`GAP`].
fn hashed(of: ResourceType, word: &str, key: &IndexKey) -> u64 {
    cut(key.hash_parts(Domain::Word, &[of.name(), word]))
}

fn param_hashed(param: u16, word: &str, key: &IndexKey) -> u64 {
    cut(key.hash_parts(Domain::ParamWord, &[&param.to_string(), word]))
}

fn cut(hash: i64) -> u64 {
    (hash.cast_unsigned() & ((1 << (5 * TERM_CHARS)) - 1)).max(1)
}

fn push_term(text: &mut String, word: u64) {
    let digit = |at: usize| usize::try_from((word >> (5 * at)) & 31).unwrap_or(0);
    text.extend((0..TERM_CHARS).rev().map(|at| char::from(DIGITS[digit(at)])));
}

/// Over both lists, with their lengths.
fn sum(words: &Words) -> i64 {
    if words.narrative.is_empty() && words.content.is_empty() {
        return 0;
    }
    let mut hasher = SipHasher24::new_with_key(&[0; 16]);
    for list in [&words.narrative, &words.content] {
        hasher.write_u64(list.len() as u64);
        list.iter().for_each(|word| hasher.write_u64(*word));
    }
    match hasher.finish() {
        0 => 1,
        sum => sum.cast_signed(),
    }
}

/// Words of a narrative, and of the rest of a resource, that are indexed. Both, with those of strings and the gap
/// between, are fewer than the 16,383 places of a `tsvector`.
pub const PART_WORDS_MAX: usize = 7_500;
/// Words in the values of string parameters that are indexed.
pub const STRING_WORDS_MAX: usize = 1_000;
/// Places of one word that are indexed: a `tsvector` keeps 255.
pub const WORD_PLACES_MAX: u32 = 250;
const GAP: u64 = 0;
const TERM_CHARS: usize = 10;
/// In the order of their bytes; none of them is `0`, which stands for a gap.
const DIGITS: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str) -> Words {
        let tree = fhir::Tree::parse(json.as_bytes().to_vec()).unwrap();
        let key = IndexKey::from_bytes([7; 16]);
        Words::of(tree.root(), ResourceType::BASIC, std::iter::empty(), &key, FullText::All)
    }

    #[test]
    fn elements_are_parted_and_places_are_counted_from_one() {
        let key = IndexKey::from_bytes([7; 16]);
        let term = |word| term(ResourceType::BASIC, word, &key);
        let found = words(r#"{"text":{"div":"<div>one two</div>"},"a":"two","b":"--","c":"one"}"#);

        let (narrative, content) = found.columns();
        assert_eq!(narrative, format!("{} {}", term("one"), term("two")));
        assert_eq!(content, format!("{} 0 {}", term("two"), term("one")));
        let (one, two) = (format!("{}:1A,6 ", term("one")), format!("{}:2A,4 ", term("two")));
        let mut both = [one, two];
        both.sort();
        assert_eq!(found.tsvector(), both.concat());
    }

    #[test]
    fn a_word_has_no_more_places_than_a_tsvector_keeps() {
        let text = "w ".repeat(300);
        let found = words(&format!(r#"{{"a":"{text}"}}"#));

        assert_eq!(found.tsvector().matches(',').count(), 249);
        assert_eq!(found.columns().1.matches(" 0").count(), 50);
    }

    #[test]
    fn long_texts_are_cut() {
        let text: String = (0..9_000).map(|at| format!("{at} ")).collect();
        let found = words(&format!(r#"{{"text":{{"div":"{text}"}},"a":"{text}","b":"x"}}"#));

        assert_eq!(found.len(), 2 * PART_WORDS_MAX);
        let last = found.tsvector().split([':', ',', ' ']).filter_map(|at| at.parse().ok()).max();
        assert_eq!(last, Some(15_001));
    }

    #[test]
    fn nothing_to_be_found_has_no_sum() {
        assert!(words(r#"{"a":"-","b":true}"#).is_empty());
        assert!(!words(r#"{"a":"b"}"#).is_empty());
        assert_ne!(words(r#"{"a":"b c"}"#).sum(), words(r#"{"a":"c b"}"#).sum());
    }
}
