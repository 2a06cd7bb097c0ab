//! JSON strings to text and back, with the escapes that RFC 8259 requires.
//!
//! Not here: finding strings in a document (`tree_build`).

use crate::json_scan::hex4;

/// Appends the text as a JSON string, quotes included.
pub fn write_json_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Resolves the escapes of a string that the parser has accepted; quotes not included.
pub(crate) fn decode_escapes(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (symbol, used) = decode_escape(&rest.as_bytes()[at..]);
        out.push(symbol);
        rest = &rest[at + used..];
    }
    out.push_str(rest);
    out
}

/// The character of an escape and how many bytes it took.
fn decode_escape(escape: &[u8]) -> (char, usize) {
    match escape.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => {
            let first = hex4(escape, 2).unwrap_or(0xFFFD);
            if !(0xD800..0xDC00).contains(&first) {
                return (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6);
            }
            let second = hex4(escape, 8).unwrap_or(0xDC00);
            let code = 0x10000 + ((first - 0xD800) << 10) + (second.wrapping_sub(0xDC00) & 0x3FF);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        Some(byte) => (char::from(*byte), 2),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_string_reads_back_the_same() {
        let text = "a\"b\\c\n\r\t\u{1}é\u{1F600}";
        let mut out = Vec::new();

        write_json_string(text, &mut out);

        let back: String = serde_json::from_slice(&out).unwrap();
        assert_eq!(back, text);
    }
}
