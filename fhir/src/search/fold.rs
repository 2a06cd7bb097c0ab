//! The normal form in which strings are compared.
//!
//! Spec: FHIR R4 search.html section 3.1.1.4.8: case and combining characters do not matter, and
//! neither should punctuation-free white space. `:exact` compares the original instead.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// Lower case, without diacritics, every run of white space one space, none at the ends.
#[must_use]
pub fn fold(text: &str) -> Cow<'_, str> {
    if is_folded(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut space = false;
    let mut push = |c: char| {
        if c.is_whitespace() {
            space = true;
            return;
        }
        if std::mem::take(&mut space) && !out.is_empty() {
            out.push(' ');
        }
        out.push(c);
    };
    if text.is_ascii() {
        text.chars().for_each(|c| push(c.to_ascii_lowercase()));
    } else {
        let bare = text.nfkd().filter(|c| !is_diacritic(*c));
        let lower = bare.flat_map(char::to_lowercase).filter(|c| !is_diacritic(*c));
        // Composed again, so that a Hangul syllable is no prefix of another.
        // The final form of sigma only differs by its place in the word.
        lower.nfc().for_each(|c| push(if c == 'ς' { 'σ' } else { c }));
    }
    Cow::Owned(out)
}

/// Marks that people leave out: accents, and the vowel points of Hebrew and Arabic. Not the vowel
/// signs of Indic scripts, nor the voicing marks of kana: without them it is another name.
fn is_diacritic(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}'
            | '\u{591}'..='\u{5bd}'
            | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
            | '\u{64b}'..='\u{65f}'
            | '\u{670}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe20}'..='\u{fe2f}'
    )
}

fn is_folded(text: &str) -> bool {
    let bytes = text.as_bytes();
    let plain = |b: &u8| b.is_ascii_graphic() && !b.is_ascii_uppercase();
    let ends = |b: Option<&u8>| b.is_none_or(|b| *b != b' ');
    bytes.iter().all(|b| plain(b) || *b == b' ')
        && ends(bytes.first())
        && ends(bytes.last())
        && !text.contains("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_diacritics_and_runs_of_space_do_not_count() {
        for (text, folded) in [
            ("peter", "peter"),
            ("Peter James", "peter james"),
            ("  Van\t der\n Berg ", "van der berg"),
            ("Müller", "muller"),
            ("MU\u{308}LLER", "muller"),
            ("Ångström", "angstrom"),
            ("Éve", "eve"),
            ("ﬁn", "fin"),
            ("İstanbul", "istanbul"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
            ("Οδυσσεύς", "οδυσσευσ"),
            ("", ""),
            (" ", ""),
        ] {
            assert_eq!(fold(text), folded, "{text:?}");
        }
    }

    #[test]
    fn the_same_hangul_folds_to_the_same_text_however_it_is_composed() {
        assert_eq!(fold("홍길동"), fold(&"홍길동".nfd().collect::<String>()));
        assert_ne!(fold("홍길동"), fold("홍길순"));
        assert!(!fold("홍").starts_with(&*fold("호")));
    }

    #[test]
    fn marks_that_make_another_name_are_kept() {
        assert_ne!(fold("がく"), fold("かく"));
        assert_ne!(fold("राम"), fold("रम"));
        assert_eq!(fold("مُحَمَّد"), fold("محمد"));
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for text in ["Müller  X", "ΣΊΣΥΦΟΣ", "ǅ", "ß", "İ", "홍길동", "①"] {
            let once = fold(text).into_owned();
            assert_eq!(fold(&once), once, "{text}");
        }
        for c in ('\0'..=char::MAX).step_by(11) {
            let text = c.to_string();
            let once = fold(&text).into_owned();
            assert_eq!(fold(&once), once, "{text:?}");
        }
    }
}
