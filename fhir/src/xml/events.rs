//! Tags and text of a document, each with its place; the pull parser below is quick-xml.
//!
//! Spec: XML 1.0 §2.4 to §2.8, §3.1. A document type is refused here, for every use. Pieces are slices of the
//! document, so that a narrative can be kept as written. Not here: what tags mean.

use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::events::Event;

use super::text::{Broken, attributes, is_name, unescape};

/// The pieces of a document, one after the other.
pub(super) struct Events<'x> {
    pub(super) text: &'x str,
    reader: Reader<&'x [u8]>,
}

/// One piece and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'x> {
    pub(super) token: Token<'x>,
    pub(super) at: usize,
    /// As written.
    pub(super) raw: &'x str,
}

/// What a piece is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Token<'x> {
    Start(Tag<'x>),
    End,
    /// Text without references.
    Text,
    /// What is between `<![CDATA[` and `]]>`.
    Literal(&'x str),
    /// What is between `&` and `;`.
    Reference(&'x str),
    Comment,
    Instruction,
    /// Nothing more.
    Stop,
}

/// A start tag, or that of an element without content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag<'x> {
    pub(super) name: &'x str,
    /// What follows the name, without the end of the tag.
    pub(super) rest: &'x str,
    pub(super) is_empty: bool,
}

impl<'x> Events<'x> {
    pub(super) fn new(text: &'x str) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.check_end_names = true;
        config.check_comments = true;
        config.allow_dangling_amp = false;
        Self { text, reader }
    }

    pub(super) fn next(&mut self) -> Result<Piece<'x>, Broken> {
        let at = self.place();
        let event = match self.reader.read_event() {
            Ok(event) => event,
            Err(error) => {
                let place = usize::try_from(self.reader.error_position()).unwrap_or(at);
                return Err(Broken { at: place, what: words(&error) });
            }
        };
        let end = self.place();
        let raw = self.text.get(at..end).unwrap_or_default();
        let inner = |from: usize, less: usize| {
            raw.len().checked_sub(less).and_then(|to| raw.get(from..to)).unwrap_or_default()
        };
        let tag = |name_len: usize, is_empty: bool| {
            let close = if is_empty { 2 } else { 1 };
            Tag {
                name: inner(1, raw.len().saturating_sub(1 + name_len)),
                rest: inner(1 + name_len, close),
                is_empty,
            }
        };
        let token = match event {
            Event::Start(start) => Token::Start(tag(start.name().as_ref().len(), false)),
            Event::Empty(start) => Token::Start(tag(start.name().as_ref().len(), true)),
            Event::End(_) => Token::End,
            Event::Text(_) if raw.contains("]]>") => {
                return Err(Broken {
                    at,
                    what: "has the end of a CDATA section without its start",
                });
            }
            Event::Text(_) => Token::Text,
            Event::CData(_) => Token::Literal(inner(9, 3)),
            Event::GeneralRef(_) => Token::Reference(inner(1, 1)),
            Event::Comment(_) => Token::Comment,
            Event::PI(_) => {
                expect_no_stylesheet(raw, at)?;
                Token::Instruction
            }
            Event::Decl(_) => {
                expect_usual_declaration(inner(5, 2), at)?;
                Token::Instruction
            }
            Event::DocType(_) => {
                return Err(Broken { at, what: "has a document type, which is refused" });
            }
            Event::Eof => Token::Stop,
        };
        if let Token::Start(Tag { name, .. }) = token
            && !is_name(name)
        {
            return Err(Broken { at, what: "has a malformed name" });
        }
        Ok(Piece { token, at, raw })
    }

    fn place(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }
}

/// A style sheet would be fetched by who shows the document.
fn expect_no_stylesheet(raw: &str, at: usize) -> Result<(), Broken> {
    if raw.starts_with("<?xml-stylesheet") {
        return Err(Broken { at, what: "names a style sheet, which is refused" });
    }
    if raw.get(2..5).is_some_and(|target| target.eq_ignore_ascii_case("xml")) {
        return Err(Broken { at, what: "has a reserved processing instruction" });
    }
    Ok(())
}

/// XML 1.0 in UTF-8, at the start.
fn expect_usual_declaration(content: &str, at: usize) -> Result<(), Broken> {
    let broken = Broken::at(at);
    if at != 0 {
        return Err(broken("has an XML declaration that is not at its start"));
    }
    for attribute in attributes(content).map_err(&broken)? {
        let value = unescape(attribute.raw).map_err(&broken)?;
        let good = match attribute.name {
            "version" => value == "1.0",
            "encoding" => ["utf-8", "us-ascii"].iter().any(|name| value.eq_ignore_ascii_case(name)),
            "standalone" => matches!(&*value, "yes" | "no"),
            _ => false,
        };
        if !good {
            return Err(broken("is not XML 1.0 in UTF-8 by its declaration"));
        }
    }
    Ok(())
}

/// The parser's own words may quote the document, ours do not.
fn words(error: &Error) -> &'static str {
    match error {
        Error::IllFormed(IllFormedError::MismatchedEndTag { .. }) => {
            "has an end tag that does not match its start tag"
        }
        Error::IllFormed(IllFormedError::UnmatchedEndTag(_)) => {
            "has an end tag without a start tag"
        }
        Error::IllFormed(IllFormedError::MissingEndTag(_)) => "ends too early",
        Error::IllFormed(IllFormedError::DoubleHyphenInComment) => "has two hyphens in a comment",
        Error::IllFormed(IllFormedError::UnclosedReference) => super::text::NO_REFERENCE,
        Error::Syntax(_) => "has a tag, comment or section that does not end",
        _ => "is not well-formed",
    }
}
