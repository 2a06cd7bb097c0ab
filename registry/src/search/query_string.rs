//! `application/x-www-form-urlencoded` text to pairs and back.
//!
//! Spec: WHATWG URL § 5 (form decoding), made stricter: malformed percent escapes, invalid UTF-8 and NUL are errors, never replaced.

use std::fmt::Write;

use crate::error::ReadError;

/// Pairs of a query string or form body, decoded, in their order. Empty pairs are skipped.
///
/// # Errors
/// [`ReadError::Invalid`] for a malformed escape, invalid UTF-8 or NUL, or too many pairs.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, ReadError> {
    let pairs: Vec<_> = text.split('&').filter(|pair| !pair.is_empty()).collect();
    if pairs.len() > PAIRS_MAX {
        return Err(ReadError::TooCostly(format!("more than {PAIRS_MAX} search parameters")));
    }
    let split = |pair: &&str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(name)?, decode(value)?))
    };
    pairs.iter().map(split).collect()
}

/// Query string of the pairs; the inverse of [`pairs`].
pub fn render(pairs: &[(String, String)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        encode(name, &mut out);
        out.push('=');
        encode(value, &mut out);
    }
    out
}

fn decode(text: &str) -> Result<String, ReadError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
                match (digit(bytes.next()), digit(bytes.next())) {
                    (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or(0),
                    _ => return Err(invalid("malformed percent escape in the query")),
                }
            }
            other => other,
        });
    }
    if out.contains(&0) {
        return Err(invalid("the query holds a NUL character"));
    }
    String::from_utf8(out).map_err(|_| invalid("the query is not UTF-8"))
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b':' | b',' | b'/' | b'*' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

fn invalid(text: &str) -> ReadError {
    ReadError::Invalid(text.to_owned())
}

/// Parameters one search may have.
const PAIRS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_come_back() {
        let text = "name=J%C3%BCrgen%20M%26M&code=http://loinc.org%7C8302-2,a%2Bb&flag";

        let decoded = pairs(text).unwrap();

        assert_eq!(decoded[0], ("name".into(), "Jürgen M&M".into()));
        assert_eq!(decoded[1], ("code".into(), "http://loinc.org|8302-2,a+b".into()));
        assert_eq!(decoded[2], ("flag".into(), String::new()));
        assert_eq!(pairs(&render(&decoded)).unwrap(), decoded);
    }

    #[test]
    fn what_would_have_to_be_guessed_is_refused() {
        for bad in ["a=%", "a=%0", "a=%zz", "a=%00", "a=%ff", "%00=1"] {
            assert!(pairs(bad).is_err(), "{bad}");
        }
        assert!(matches!(pairs(&"a=b&".repeat(201)), Err(ReadError::TooCostly(_))));
    }
}
