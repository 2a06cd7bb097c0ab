//! The inner loops of JSON reading: eight bytes at a time where that helps.
//!
//! Each function takes a place in the bytes and answers where something ends. Not here: structure (`tree_build`).

/// Where an escape ends, or what is wrong with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scan {
    End(usize),
    Nul,
    Surrogate,
    Malformed,
}

/// End of spaces, tabs and line ends.
pub(crate) fn space_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..at + 8) {
        if chunk != b"        " {
            break;
        }
        at += 8;
    }
    loop {
        match bytes.get(at) {
            Some(b' ') => {
                at += 1;
            }
            Some(b'\n' | b'\r' | b'\t') => {
                at += 1;
                while let Some(b"        ") = bytes.get(at..at + 8) {
                    at += 8;
                }
            }
            _ => return at,
        }
    }
}

/// First quote, backslash or control character.
pub(crate) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("the slice has 8 bytes"));
        let found = zero_bytes(word ^ (ONES * b'"' as u64))
            | zero_bytes(word ^ (ONES * b'\\' as u64))
            | (word.wrapping_sub(ONES * 0x20) & !word & (ONES << 7));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|b| !matches!(b, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}

/// End of a number by the grammar of JSON; `None` when it is malformed.
pub(crate) fn number_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match bytes.get(at)? {
        b'0' => at + 1,
        _ => digits_end(bytes, at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits_end(bytes, at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = digits_end(bytes, at)?;
    }
    let next = bytes.get(at);
    (!next.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'.')).then_some(at)
}

fn digits_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    (at > from).then_some(at)
}

/// End of the escape that starts with the backslash at `at`; a surrogate pair counts as one.
pub(crate) fn escape_end(bytes: &[u8], at: usize) -> Scan {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Scan::End(at + 2),
        Some(b'u') => match hex4(bytes, at + 2) {
            None => Scan::Malformed,
            Some(0) => Scan::Nul,
            Some(0xD800..0xDC00) => {
                let low = bytes.get(at + 6..at + 8) == Some(b"\\u");
                match hex4(bytes, at + 8) {
                    Some(0xDC00..0xE000) if low => Scan::End(at + 12),
                    _ => Scan::Surrogate,
                }
            }
            Some(0xDC00..0xE000) => Scan::Surrogate,
            Some(_) => Scan::End(at + 6),
        },
        _ => Scan::Malformed,
    }
}

/// The number of four hexadecimal digits.
pub(crate) fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let mut number = 0;
    for byte in bytes.get(at..at + 4)? {
        number = number * 16 + char::from(*byte).to_digit(16)?;
    }
    Some(number)
}

/// High bit of the lowest byte that is zero; bits above it may be wrong.
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

const ONES: u64 = 0x0101_0101_0101_0101;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_run_ends_at_the_first_special_byte_wherever_it_lies() {
        for length in 0..40 {
            for special in [b'"', b'\\', 0x1f, 0] {
                let mut bytes = vec![b'a'; length];
                bytes.extend([special, b'"', 0xC3, 0xA9, b' ', b'!']);
                assert_eq!(plain_end(&bytes, 0), length);
            }
            let high = vec![0xFF; length];
            assert_eq!(plain_end(&high, 0), length);
        }
    }

    #[test]
    fn numbers_end_by_the_grammar() {
        for good in
            ["0", "-0", "10", "1.10", "1E5", "1e+5", "-0.5E-7", "123456789012345678901234567890"]
        {
            assert_eq!(number_end(good.as_bytes(), 0), Some(good.len()), "{good}");
        }
        for bad in ["01", "-", "1.", ".5", "1e", "+1", "1.e5", "0x1", "1.2.3"] {
            assert_eq!(number_end(bad.as_bytes(), 0), None, "{bad}");
        }
    }

    #[test]
    fn spaces_of_all_kinds_are_passed() {
        for length in 0..30 {
            let mut bytes = b"\n\r\t ".repeat(2);
            bytes.extend(vec![b' '; length]);
            let end = bytes.len();
            bytes.push(b'x');
            assert_eq!(space_end(&bytes, 0), end);
        }
    }
}
