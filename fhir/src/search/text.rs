//! The words of a resource, for the full-text parameters `_text` and `_content`.
//!
//! Spec: FHIR R4 search.html ("Text Search Parameters"): `_text` searches the narrative, `_content` the whole resource.
//! A word is a run of letters and digits of the [folded](fold()) text; a sign of Chinese or Japanese is a word of
//! its own, as these write no spaces. What is not text is left out: base64, samples, `true` and `false`, and what the
//! server itself puts into a resource (id, `meta.versionId`, `meta.lastUpdated`), which differs between copies.
//! Not here: how many words are kept and how (`registry::index`), what a query of words means (`registry::search`).

use std::borrow::Cow;

use crate::xml::html_character;
use crate::{Kind, Node};

use super::fold::fold;

/// What of resources is searched by words: the setting `search.full_text`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FullText {
    /// Nothing; `_text` and `_content` are refused.
    Off,
    /// Narratives, by `_text`.
    #[default]
    Narrative,
    /// Everything, by `_text` and `_content`.
    All,
}

impl FullText {
    /// The setting with this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Off, Self::Narrative, Self::All].into_iter().find(|one| one.name() == text)
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Narrative => "narrative",
            Self::All => "all",
        }
    }

    /// Whether the parameter with this code can be answered.
    #[must_use]
    pub fn answers(self, code: &str) -> bool {
        match self {
            Self::Off => false,
            Self::Narrative => code == "_text",
            Self::All => true,
        }
    }
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TextPart {
    /// `Resource.text.div`, without its markup.
    Narrative,
    /// Any other element.
    Content,
}

/// Hands over the texts of a resource, the narrative first, then the other elements in document order.
pub fn texts(root: Node<'_>, wanted: FullText, put: &mut dyn FnMut(TextPart, &str)) {
    if wanted == FullText::Off {
        return;
    }
    let narrative = root.get("text").and_then(|text| text.get("div")).and_then(Node::as_str);
    if let Some(div) = narrative {
        put(TextPart::Narrative, &without_markup(&div));
    }
    if wanted != FullText::All {
        return;
    }
    for child in root.children() {
        match child.key() {
            Some("resourceType" | "id" | "text") => {}
            Some("meta") => {
                let is_own = |key| matches!(key, Some("versionId" | "lastUpdated"));
                child.children().filter(|one| !is_own(one.key())).for_each(|one| each(one, put));
            }
            _ => each(child, put),
        }
    }
}

fn each(node: Node<'_>, put: &mut dyn FnMut(TextPart, &str)) {
    match node.kind() {
        Kind::Object | Kind::Array => node.children().for_each(|child| each(child, put)),
        Kind::Number => put(TextPart::Content, node.number_text().unwrap_or_default()),
        Kind::String => {
            let text = node.as_str().unwrap_or_default();
            match node.key() {
                Some("div") => put(TextPart::Content, &without_markup(&text)),
                Some(key) if is_no_text(key) => {}
                _ => put(TextPart::Content, &text),
            }
        }
        Kind::Bool | Kind::Null => {}
    }
}

/// Elements of base64, and the samples of `SampledData`.
fn is_no_text(key: &str) -> bool {
    matches!(key, "data" | "hash" | "carrierAIDC") || key.ends_with("Base64Binary")
}

/// Hands over the words of a text, in order, folded; of a long one the first [`WORD_CHARS_MAX`] characters.
pub fn words(text: &str, mut put: impl FnMut(&str)) {
    let folded = fold(text);
    let mut word = String::new();
    let mut chars = 0;
    for c in folded.chars() {
        if matches!(c, SOFT_HYPHEN | ZERO_WIDTH_SPACE) {
            continue;
        }
        let stands_alone = is_ideograph(c);
        if (stands_alone || !c.is_alphanumeric()) && chars > 0 {
            put(&word);
            word.clear();
            chars = 0;
        }
        if stands_alone {
            put(c.encode_utf8(&mut [0; 4]));
        } else if c.is_alphanumeric() {
            if chars < WORD_CHARS_MAX {
                word.push(c);
            }
            chars += 1;
        }
    }
    if chars > 0 {
        put(&word);
    }
}

/// Signs of scripts that are written without spaces: kana and Chinese characters.
fn is_ideograph(c: char) -> bool {
    matches!(
        c,
        '\u{3041}'..='\u{30ff}'
            | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
    ) && c.is_alphanumeric()
}

/// The text of XHTML: tags part words, but for those that stand within words; comments and attributes are none.
fn without_markup(div: &str) -> Cow<'_, str> {
    if !div.contains(['<', '&']) {
        return Cow::Borrowed(div);
    }
    let mut out = String::with_capacity(div.len());
    let mut rest = div;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match rest.as_bytes()[0] {
            b'<' => tag(rest, &mut out),
            _ => reference(rest, &mut out),
        };
        rest = &rest[taken..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Reads a tag or comment at the start of a text; gives its length.
fn tag(text: &str, out: &mut String) -> usize {
    if text.starts_with("<!--") {
        return text.find("-->").map_or(text.len(), |end| end + 3);
    }
    let mut quote = None;
    let end = text.char_indices().find(|(_, c)| match (quote, c) {
        (None, '>') => true,
        (None, '"' | '\'') => {
            quote = Some(*c);
            false
        }
        (Some(open), c) => {
            if open == *c {
                quote = None;
            }
            false
        }
        _ => false,
    });
    let name = text[1..].trim_start_matches('/');
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    if !INLINE.contains(&name.to_ascii_lowercase().as_str()) {
        out.push(' ');
    }
    // A sign that begins no tag.
    end.map_or(1, |(end, _)| end + 1)
}

/// Reads a character reference at the start of a text; gives its length.
fn reference(text: &str, out: &mut String) -> usize {
    let end = text.char_indices().take(REFERENCE_CHARS_MAX).find(|(_, c)| *c == ';');
    let Some((end, _)) = end else {
        out.push(' ');
        return 1;
    };
    let name = &text[1..end];
    let code = match name.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => number.parse().ok(),
        },
        None => match name {
            "amp" => Some(u32::from('&')),
            "lt" => Some(u32::from('<')),
            "gt" => Some(u32::from('>')),
            _ => html_character(name),
        },
    };
    out.push(code.and_then(char::from_u32).unwrap_or(' '));
    end + 1
}

/// Characters of a word that count.
pub const WORD_CHARS_MAX: usize = 64;
const REFERENCE_CHARS_MAX: usize = 12;
const SOFT_HYPHEN: char = '\u{ad}';
const ZERO_WIDTH_SPACE: char = '\u{200b}';
/// Elements of XHTML that may begin and end within a word.
const INLINE: [&str; 23] = [
    "a", "abbr", "acronym", "b", "big", "cite", "code", "dfn", "em", "font", "i", "kbd", "q", "s",
    "samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;

    fn words_of(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        words(text, |word| found.push(word.to_owned()));
        found
    }

    fn texts_of(json: &str, wanted: FullText) -> Vec<(TextPart, String)> {
        let tree = Tree::parse(json.as_bytes().to_vec()).unwrap();
        let mut found = Vec::new();
        texts(tree.root(), wanted, &mut |part, text| found.push((part, text.trim().to_owned())));
        found
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_without_case_and_accents() {
        assert_eq!(words_of("Müller's X-Ray, 5.4 mg"), ["muller", "s", "x", "ray", "5", "4", "mg"]);
        assert_eq!(words_of("  "), [""; 0]);
        assert_eq!(words_of("co\u{ad}op"), ["coop"]);
        assert_eq!(words_of("糖尿病 type2"), ["糖", "尿", "病", "type2"]);
        assert_eq!(words_of(&"a".repeat(70)), ["a".repeat(64)]);
    }

    #[test]
    fn a_narrative_is_read_without_its_markup() {
        let div = "<div><p>Bone<b>s</b></p><p title='no'>liver &amp; lung&#x21; caf&eacute;<!-- x --></p>a &lt; b</div>";
        assert_eq!(words_of(&without_markup(div)), ["bones", "liver", "lung", "cafe", "a", "b"]);
        assert_eq!(words_of(&without_markup("1 < 2 & 3 <broken")), ["1", "2", "3", "broken"]);
    }

    #[test]
    fn the_content_is_everything_but_base64_samples_and_what_the_server_adds() {
        let json = r#"{"resourceType":"Observation","id":"o1",
            "meta":{"versionId":"7","lastUpdated":"2020-01-01T00:00:00Z","tag":[{"code":"t"}]},
            "text":{"status":"generated","div":"<div>told</div>"},
            "status":"final","valueSampledData":{"origin":{"value":3},"data":"1 2 E"},
            "note":[{"text":"noted"}],"valueBoolean":true}"#;

        let all = texts_of(json, FullText::All);

        let content = ["t", "final", "3", "noted"];
        let content = content.map(|text| (TextPart::Content, text.to_owned()));
        assert_eq!(all[0], (TextPart::Narrative, "told".to_owned()));
        assert_eq!(all[1..], content);
        assert_eq!(texts_of(json, FullText::Narrative), all[..1]);
        assert_eq!(texts_of(json, FullText::Off), []);
    }
}
