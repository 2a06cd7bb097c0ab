//! What `_text`, `_content` and `:text` on strings ask for: words, phrases, and how they go together.
//!
//! Spec: FHIR R4 search.html ("Text Search Parameters"), which leaves the language to the server and points to OData's
//! `$search`: words one after the other must all be there, `"…"` is a phrase, `AND`, `OR` and `NOT` (in either case)
//! and brackets as usual; `NOT` binds closest, then `AND`. What reads as several words (`x-ray`) is a phrase.
//!
//! Neither engine looks for what is absent alone, so a query is brought into a form in which `NOT` stands beside what
//! must be there, or once before all of it ([`Signed`]). Not here: what a word is (`fhir::words`).

use std::iter::Peekable;
use std::str::CharIndices;

use fhir::ResourceType;

use super::sql::Dialect;
use crate::hash::IndexKey;
use crate::index::words::{param_term, term};

/// Words that must be there, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WordQuery {
    /// These, one directly after the other.
    Phrase(Vec<String>),
    /// Each of these.
    All(Vec<WordQuery>),
    /// One of these.
    Any(Vec<WordQuery>),
    /// The first and not the second.
    Without(Box<WordQuery>, Box<WordQuery>),
}

/// Where words must stand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WordPlace {
    /// In the narrative: `_text`.
    Narrative,
    /// Anywhere: `_content`.
    Anywhere,
    /// In values of string parameters, by their numbers: `:text`.
    Params(Vec<u16>),
}

/// A query, or its opposite.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Signed {
    pub(super) query: WordQuery,
    pub(super) not: bool,
}

impl Signed {
    /// Reads alternatives, one of which must hold.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be read.
    pub(super) fn parse(values: &[String]) -> Result<Self, String> {
        let mut words = 0;
        let mut each = Vec::with_capacity(values.len());
        for value in values {
            let mut reader =
                Reader { text: value.char_indices().peekable(), value, words, depth: 0 };
            each.push(reader.alternatives()?);
            if reader.next_part()?.is_some() {
                return Err("has a bracket that closes none".into());
            }
            words = reader.words;
        }
        Ok(any(each))
    }

    fn opposite(self) -> Self {
        Self { not: !self.not, ..self }
    }
}

impl WordQuery {
    /// The same over the terms of the index, for a type of resource.
    pub(super) fn hashed(&self, place: &WordPlace, of: ResourceType, key: &IndexKey) -> Self {
        let each = |all: &[Self]| all.iter().map(|one| one.hashed(place, of, key)).collect();
        match (self, place) {
            (Self::Phrase(words), WordPlace::Params(params)) => {
                let phrase = |param: &u16| {
                    Self::Phrase(words.iter().map(|word| param_term(*param, word, key)).collect())
                };
                one_of(params.iter().map(phrase).collect())
            }
            (Self::Phrase(words), _) => {
                Self::Phrase(words.iter().map(|word| term(of, word, key)).collect())
            }
            (Self::All(all), _) => Self::All(each(all)),
            (Self::Any(all), _) => Self::Any(each(all)),
            (Self::Without(one, other), _) => Self::Without(
                Box::new(one.hashed(place, of, key)),
                Box::new(other.hashed(place, of, key)),
            ),
        }
    }

    /// The query in the engine's own language; only of terms, which need no escapes. With `narrative` the words
    /// must stand in the narrative.
    pub(super) fn text(&self, dialect: Dialect, narrative: bool) -> String {
        let mut out = String::new();
        match dialect {
            Dialect::Sqlite => {
                out.push_str(if narrative { "narrative : " } else { "" });
                self.write(&mut out, [" ", " AND ", " OR ", " NOT "], "\"", "");
            }
            Dialect::Postgres => {
                let weight = if narrative { ":A" } else { "" };
                self.write(&mut out, [" <-> ", " & ", " | ", " & !"], "", weight);
            }
        }
        out
    }

    fn write(&self, out: &mut String, signs: [&str; 4], quote: &str, mark: &str) {
        let [then, and, or, not] = signs;
        out.push('(');
        match self {
            Self::Phrase(terms) => {
                out.push_str(quote);
                for (at, term) in terms.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { then });
                    out.push_str(term);
                    out.push_str(mark);
                }
                out.push_str(quote);
            }
            Self::All(all) | Self::Any(all) => {
                let sign = if matches!(self, Self::All(_)) { and } else { or };
                for (at, one) in all.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { sign });
                    one.write(out, signs, quote, mark);
                }
            }
            Self::Without(one, other) => {
                one.write(out, signs, quote, mark);
                out.push_str(not);
                other.write(out, signs, quote, mark);
            }
        }
        out.push(')');
    }
}

/// All of these: those that must not be are taken off from those that must.
fn all(several: Vec<Signed>) -> Signed {
    let (absent, present): (Vec<_>, Vec<_>) = several.into_iter().partition(|one| one.not);
    let (absent, present) = (queries(absent), queries(present));
    match (present.is_empty(), absent.is_empty()) {
        (true, _) => Signed { query: one_of(absent), not: true },
        (_, true) => Signed { query: each_of(present), not: false },
        _ => {
            let query = WordQuery::Without(Box::new(each_of(present)), Box::new(one_of(absent)));
            Signed { query, not: false }
        }
    }
}

/// One of these: not all of their opposites.
fn any(several: Vec<Signed>) -> Signed {
    if several.iter().any(|one| one.not) {
        return all(several.into_iter().map(Signed::opposite).collect()).opposite();
    }
    Signed { query: one_of(queries(several)), not: false }
}

fn queries(all: Vec<Signed>) -> Vec<WordQuery> {
    all.into_iter().map(|one| one.query).collect()
}

fn each_of(mut all: Vec<WordQuery>) -> WordQuery {
    if all.len() == 1 { all.remove(0) } else { WordQuery::All(all) }
}

fn one_of(mut all: Vec<WordQuery>) -> WordQuery {
    if all.len() == 1 { all.remove(0) } else { WordQuery::Any(all) }
}

/// A part of a query.
#[derive(Debug, Eq, PartialEq)]
enum Part {
    And,
    Or,
    Not,
    Open,
    Close,
    Words(Vec<String>),
}

struct Reader<'a> {
    text: Peekable<CharIndices<'a>>,
    value: &'a str,
    words: usize,
    depth: usize,
}

impl Reader<'_> {
    fn alternatives(&mut self) -> Result<Signed, String> {
        let mut several = vec![self.together()?];
        while self.peeked()? == Some(Part::Or) {
            self.next_part()?;
            several.push(self.together()?);
        }
        Ok(any(several))
    }

    fn together(&mut self) -> Result<Signed, String> {
        let mut several = vec![self.one()?];
        loop {
            match self.peeked()? {
                None | Some(Part::Or | Part::Close) => return Ok(all(several)),
                Some(Part::And) => {
                    self.next_part()?;
                }
                Some(_) => {}
            }
            several.push(self.one()?);
        }
    }

    fn one(&mut self) -> Result<Signed, String> {
        match self.next_part()? {
            Some(Part::Words(words)) => {
                self.words += words.len();
                if self.words > QUERY_WORDS_MAX {
                    return Err(format!("has more than {QUERY_WORDS_MAX} words"));
                }
                Ok(Signed { query: WordQuery::Phrase(words), not: false })
            }
            Some(part @ (Part::Not | Part::Open)) => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(format!("is nested more than {DEPTH_MAX} deep"));
                }
                let inner = match part {
                    Part::Not => self.one()?.opposite(),
                    _ => self.alternatives()?,
                };
                if part == Part::Open && self.next_part()? != Some(Part::Close) {
                    return Err("has a bracket that nothing closes".into());
                }
                self.depth -= 1;
                Ok(inner)
            }
            _ => Err("lacks a word beside AND, OR, NOT or a bracket".into()),
        }
    }

    /// The next part, which stays.
    fn peeked(&mut self) -> Result<Option<Part>, String> {
        let before = self.text.clone();
        let part = self.next_part();
        self.text = before;
        part
    }

    fn next_part(&mut self) -> Result<Option<Part>, String> {
        while self.text.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        let Some((start, first)) = self.text.next() else { return Ok(None) };
        match first {
            '(' => return Ok(Some(Part::Open)),
            ')' => return Ok(Some(Part::Close)),
            '"' => {
                let end = self.text.find(|(_, c)| *c == '"');
                let (end, _) = end.ok_or("has a quotation mark that nothing closes")?;
                return phrase(&self.value[start + 1..end]).map(Some);
            }
            _ => {}
        }
        let is_inside = |c: char| !c.is_whitespace() && !matches!(c, '(' | ')' | '"');
        while self.text.next_if(|(_, c)| is_inside(*c)).is_some() {}
        let end = self.text.peek().map_or(self.value.len(), |(end, _)| *end);
        let text = &self.value[start..end];
        for (name, part) in [("and", Part::And), ("or", Part::Or), ("not", Part::Not)] {
            if text.eq_ignore_ascii_case(name) {
                return Ok(Some(part));
            }
        }
        phrase(text).map(Some)
    }
}

fn phrase(text: &str) -> Result<Part, String> {
    let mut found = Vec::new();
    fhir::words(text, |word| found.push(word.to_owned()));
    match found.is_empty() {
        true => Err("has a part without letters and digits".into()),
        false => Ok(Part::Words(found)),
    }
}

/// Words that one parameter may ask for.
pub const QUERY_WORDS_MAX: usize = 64;
/// Brackets and `NOT`s within each other.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        match Signed::parse(&[value.to_owned()]) {
            Ok(Signed { query, not }) => {
                let sign = if not { "!" } else { "" };
                format!("{sign}{}", query.text(Dialect::Postgres, false))
            }
            Err(why) => why,
        }
    }

    #[test]
    fn words_phrases_and_operators_are_read_as_r4_and_odata_have_them() {
        for (value, read) in [
            ("Bone", "(bone)"),
            ("bone metastases", "((bone) & (metastases))"),
            ("(bone OR liver) and metastases", "(((bone) | (liver)) & (metastases))"),
            ("a OR b AND c", "((a) | ((b) & (c)))"),
            ("\"bone marrow\"", "(bone <-> marrow)"),
            ("x-ray", "(x <-> ray)"),
            ("\"not\" or \"OR\"", "((not) | (or))"),
            ("a NOT b", "((a) & !(b))"),
            ("NOT b a", "((a) & !(b))"),
            ("NOT NOT a", "(a)"),
            ("not a", "!(a)"),
            ("not a not b", "!((a) | (b))"),
            ("a or not b", "!((b) & !(a))"),
            ("not (a or b) c", "((c) & !((a) | (b)))"),
        ] {
            assert_eq!(shown(value), read, "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for value in ["", "AND", "a AND", "(a", "a)", "\"a", "-", "a -", "NOT", "()", "or a"] {
            assert!(Signed::parse(&[value.to_owned()]).is_err(), "{value}");
        }
        assert!(Signed::parse(&["a ".repeat(65)]).is_err());
        assert!(Signed::parse(&["(".repeat(17) + "a" + &")".repeat(17)]).is_err());
        assert!(Signed::parse(&["(".repeat(16) + "a" + &")".repeat(16)]).is_ok());
    }

    #[test]
    fn each_engine_has_its_own_words_for_it() {
        let read = Signed::parse(&["\"a b\" not (c or d)".to_owned()]).unwrap().query;
        assert_eq!(
            read.text(Dialect::Sqlite, true),
            "narrative : ((\"a b\") NOT ((\"c\") OR (\"d\")))"
        );
        assert_eq!(read.text(Dialect::Postgres, true), "((a:A <-> b:A) & !((c:A) | (d:A)))");
    }
}
