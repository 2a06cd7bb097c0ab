//! Escape sequences inside a value, and control characters that FHIR strings may not hold.
//!
//! Spec: HL7 v2.9 section 2.7. Formatting commands become line breaks or blanks; highlighting is dropped; an
//! unterminated, unknown or charset-switching (`\C`, `\M`) sequence stays literally and is reported.

use std::borrow::Cow;

use super::{charset::Charset, delimiter::Delimiters};

/// What was odd about a value that was read all the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Oddities {
    /// An escape sequence was kept literally.
    pub escape_kept: bool,
    /// Control characters were left out.
    pub control_dropped: bool,
}

/// The value with its escapes resolved, trimmed; borrowed when nothing had to change.
pub fn unescape<'t>(
    raw: &'t str,
    delimiters: &Delimiters,
    charset: Charset,
) -> (Cow<'t, str>, Oddities) {
    let raw = raw.trim();
    let plain = |b: u8| b >= 0x20 && b != delimiters.escape && b != 0x7F;
    if raw.bytes().all(plain) && (raw.is_ascii() || !raw.contains(is_c1)) {
        return (Cow::Borrowed(raw), Oddities::default());
    }
    let mut out = String::with_capacity(raw.len());
    let mut odd = Oddities::default();
    let mut rest = raw;
    let escape = char::from(delimiters.escape);
    let escapes = delimiters.escape.is_ascii();
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if escapes && c == escape {
            rest = sequence(after, escape, delimiters, charset, &mut out, &mut odd);
            continue;
        }
        rest = after;
        match c {
            '\r' if rest.starts_with('\n') => {}
            '\r' | '\n' => out.push('\n'),
            '\t' => out.push('\t'),
            c if c < ' ' || c == '\x7F' || is_c1(c) => odd.control_dropped = true,
            c => out.push(c),
        }
    }
    let trimmed = out.trim();
    if trimmed.len() != out.len() {
        out = trimmed.to_owned();
    }
    (Cow::Owned(out), odd)
}

/// Handles what follows an escape character; returns what is left to read.
fn sequence<'t>(
    after: &'t str,
    escape: char,
    delimiters: &Delimiters,
    charset: Charset,
    out: &mut String,
    odd: &mut Oddities,
) -> &'t str {
    let body_end =
        after.char_indices().take(SEQUENCE_CHARS_MAX).find(|(_, c)| *c == escape).map(|(at, _)| at);
    if let Some(end) = body_end
        && resolve(&after[..end], delimiters, charset, out)
    {
        return &after[end + escape.len_utf8()..];
    }
    odd.escape_kept = true;
    out.push(escape);
    after
}

/// Writes what the sequence stands for; false when it is not a known one.
fn resolve(body: &str, delimiters: &Delimiters, charset: Charset, out: &mut String) -> bool {
    let separator = |byte: u8, out: &mut String| {
        if byte.is_ascii() {
            out.push(char::from(byte));
        }
        byte.is_ascii()
    };
    match body {
        "F" => return separator(delimiters.field, out),
        "S" => return separator(delimiters.component, out),
        "T" => return separator(delimiters.subcomponent, out),
        "R" => return separator(delimiters.repetition, out),
        "E" => return separator(delimiters.escape, out),
        "P" | "L" => return separator(delimiters.truncation, out),
        "H" | "N" | ".fi" | ".nf" => {}
        ".br" | ".ce" => out.push('\n'),
        _ => return resolve_long(body, charset, out),
    }
    true
}

fn resolve_long(body: &str, charset: Charset, out: &mut String) -> bool {
    if let Some(hex) = body.strip_prefix('X') {
        let Ok(bytes) = decode_hex(hex) else { return false };
        let Ok(text) = charset.decode(&bytes) else { return false };
        out.extend(text.chars().filter_map(|c| match c {
            '\r' | '\n' => Some('\n'),
            c if c < ' ' && c != '\t' => None,
            c => Some(c),
        }));
        return true;
    }
    for command in [".sp", ".sk", ".in", ".ti"] {
        let Some(count) = body.strip_prefix(command) else { continue };
        let count = count.trim().trim_start_matches('+');
        let Ok(count) = (if count.is_empty() { "1" } else { count }).parse::<i16>() else {
            return false;
        };
        let (what, count) = match command {
            ".sp" => ('\n', count),
            ".sk" => (' ', count),
            _ => (' ', 0),
        };
        out.extend(std::iter::repeat_n(what, usize::from(count.clamp(0, 80).unsigned_abs())));
        return true;
    }
    false
}

fn decode_hex(hex: &str) -> Result<Vec<u8>, ()> {
    let digits = hex.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return Err(());
    }
    let digit = |b: u8| char::from(b).to_digit(16).ok_or(());
    digits
        .chunks_exact(2)
        .map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).map_err(|_| ()))
        .collect()
}

fn is_c1(c: char) -> bool {
    ('\u{80}'..='\u{9F}').contains(&c)
}

/// Longest escape sequence looked for, in characters.
const SEQUENCE_CHARS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> (String, Oddities) {
        let (text, odd) = unescape(raw, &Delimiters::STANDARD, Charset::UTF_8);
        (text.into_owned(), odd)
    }

    #[test]
    fn standard_sequences_become_their_characters() {
        assert_eq!(read(r"a\F\b\S\c\T\d\R\e\E\f").0, r"a|b^c&d~e\f");
        assert_eq!(read(r"one\.br\two\.sp2\three").0, "one\ntwo\n\nthree");
        assert_eq!(read(r"\H\bold\N\").0, "bold");
        assert_eq!(read(r"\XC3BC\ber"), ("über".to_owned(), Oddities::default()));
    }

    #[test]
    fn unknown_and_unterminated_sequences_stay_and_are_reported() {
        let raw = r"C:\temp\file and \Q unknown \ZX9\ end\";
        let (text, odd) = read(raw);

        assert_eq!(text, raw);
        assert!(odd.escape_kept);
        assert_eq!(read(r"\XC3\").0, r"\XC3\");
    }

    #[test]
    fn control_characters_are_left_out_and_reported() {
        let (text, odd) = read("a\u{1}b\u{7f}\u{85}c\r\nd");

        assert_eq!(text, "abc\nd");
        assert!(odd.control_dropped);
    }
}
