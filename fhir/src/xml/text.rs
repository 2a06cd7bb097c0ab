//! The text of an XML document: characters, line ends, attributes, references, places.
//!
//! Spec: XML 1.0 §2.2 (characters), §2.11 (line ends), §3.1 (tags), §3.3.3 (attribute values), §4.1 and §4.6 (references).
//! Not here: tags and their nesting (`events`).

use std::borrow::Cow;

use super::ATTRIBUTES_MAX;

/// Where a document stops being XML that is read, and why; the words go on after "the XML text".
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

impl Broken {
    pub(super) fn at(at: usize) -> impl Fn(&'static str) -> Self {
        move |what| Self { at, what }
    }
}

/// The document as text without byte order mark, its line ends made one line feed each.
pub(super) fn prepare(bytes: &[u8]) -> Result<Cow<'_, str>, Broken> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Broken { at: e.valid_up_to(), what: "is not well-formed UTF-8" })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let forbidden = |b: u8| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r');
    let control = text.bytes().position(forbidden);
    let nonchar = [&b"\xEF\xBF\xBE"[..], b"\xEF\xBF\xBF"]
        .into_iter()
        .filter_map(|bytes| memchr::memmem::find(text.as_bytes(), bytes));
    if let Some(at) = control.into_iter().chain(nonchar).min() {
        return Err(Broken { at, what: "holds a character that XML forbids" });
    }
    if memchr::memchr(b'\r', text.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    Ok(Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")))
}

/// Line and column of a place, both from one; columns count bytes, as in errors about JSON.
pub(super) fn position(text: &[u8], at: usize) -> (usize, usize) {
    let read = &text[..at.min(text.len())];
    let line = memchr::memchr_iter(b'\n', read).count() + 1;
    let column = read.len() - memchr::memrchr(b'\n', read).map_or(0, |at| at + 1) + 1;
    (line, column)
}

/// One attribute as written, its value without quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'x> {
    pub(super) name: &'x str,
    pub(super) raw: &'x str,
    /// Name, equals sign and value with its quotes.
    pub(super) whole: &'x str,
}

impl Attribute<'_> {
    /// Whether it declares a namespace.
    pub(super) fn is_declaration(&self) -> bool {
        self.name == "xmlns" || self.name.starts_with("xmlns:")
    }
}

/// The attributes in what follows the name of a tag.
pub(super) fn attributes(tag: &str) -> Result<Vec<Attribute<'_>>, &'static str> {
    let mut found: Vec<Attribute<'_>> = Vec::new();
    let mut rest = tag;
    loop {
        let trimmed = rest.trim_start_matches(is_space);
        if trimmed.is_empty() {
            return Ok(found);
        }
        if trimmed.len() == rest.len() {
            return Err("lacks a space before an attribute");
        }
        let (attribute, after) = attribute(trimmed)?;
        if found.iter().any(|other| other.name == attribute.name) {
            return Err("has an attribute twice in one tag");
        }
        if found.len() == ATTRIBUTES_MAX {
            return Err("has more than 64 attributes in one tag");
        }
        found.push(attribute);
        rest = after;
    }
}

fn attribute(text: &str) -> Result<(Attribute<'_>, &str), &'static str> {
    let end = text.find(|c| is_space(c) || c == '=').ok_or(MALFORMED)?;
    let name = &text[..end];
    if !is_name(name) {
        return Err(MALFORMED);
    }
    let value = text[end..].trim_start_matches(is_space).strip_prefix('=').ok_or(MALFORMED)?;
    let value = value.trim_start_matches(is_space);
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or(MALFORMED)?;
    let raw = value[1..].split(quote).next().unwrap_or_default();
    let after = value.get(raw.len() + 2..).ok_or(MALFORMED)?;
    let whole = &text[..text.len() - after.len()];
    Ok((Attribute { name, raw, whole }, after))
}

/// The value of an attribute: references resolved, white space made spaces.
pub(super) fn unescape(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    if !raw.contains(['&', '<', '\t', '\n', '\r']) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '<', '\t', '\n', '\r']) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'<' => return Err("has a < in the value of an attribute"),
            b'&' => {
                let (name, after) = rest[at + 1..].split_once(';').ok_or(NO_REFERENCE)?;
                out.push(resolve(name).ok_or(NO_REFERENCE)?);
                rest = after;
            }
            _ => {
                out.push(' ');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// The character of a reference, between its `&` and `;`: XML's own five and numbers.
pub(super) fn resolve(name: &str) -> Option<char> {
    let number = match name {
        "amp" => return Some('&'),
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        _ => name.strip_prefix('#')?,
    };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    if digits.is_empty() || !digits.bytes().all(|b| char::from(b).is_digit(radix)) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok().and_then(char::from_u32).filter(|c| is_char(*c))
}

/// Appends text so that it is a value within double quotes, its white space kept by references.
pub(super) fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.find(needs_escape) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let Some(symbol) = rest[at..].chars().next() else { break };
        match symbol {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\t' => out.extend_from_slice(b"&#9;"),
            '\n' => out.extend_from_slice(b"&#10;"),
            '\r' => out.extend_from_slice(b"&#13;"),
            // XML cannot hold it, not even as a reference.
            _ => out.extend_from_slice("\u{fffd}".as_bytes()),
        }
        rest = &rest[at + symbol.len_utf8()..];
    }
    out.extend_from_slice(rest.as_bytes());
}

fn needs_escape(symbol: char) -> bool {
    matches!(symbol, '&' | '<' | '>' | '"' | '\t' | '\n' | '\r') || !is_char(symbol)
}

/// A character that a document may hold.
fn is_char(symbol: char) -> bool {
    matches!(symbol, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

pub(super) fn is_space(symbol: char) -> bool {
    matches!(symbol, ' ' | '\t' | '\n' | '\r')
}

/// A name of a tag or attribute, with at most one colon within.
pub(super) fn is_name(name: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let goes_on = |c: char| starts(c) || c.is_ascii_digit() || matches!(c, '-' | '.');
    let is_part = |part: &str| part.starts_with(starts) && part.chars().all(goes_on);
    match name.split_once(':') {
        Some((prefix, local)) => is_part(prefix) && is_part(local),
        None => is_part(name),
    }
}

const MALFORMED: &str = "has a malformed attribute";
pub(super) const NO_REFERENCE: &str = "has a reference that XML does not know";
