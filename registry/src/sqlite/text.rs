//! The words of resources in the FTS5 table, for a check of everything.
//!
//! The table keeps nothing but the index of its terms, so it is asked for them: pieces of the text as phrases, and the
//! numbers of terms that FTS5 notes for each row.

use rusqlite::{Connection, OptionalExtension, params};

use crate::index::words::Words;

/// Which of these resources have a row with other words; those without a row are left out.
pub(super) fn other_words(conn: &Connection, all: Vec<(i64, Words)>) -> rusqlite::Result<Vec<i64>> {
    let mut others = Vec::new();
    for (rid, words) in all {
        if !has(conn, rid, &words)? {
            others.push(rid);
        }
    }
    Ok(others)
}

fn has(conn: &Connection, rid: i64, words: &Words) -> rusqlite::Result<bool> {
    let mut sizes = conn.prepare_cached("select sz from search_text_docsize where id = ?1")?;
    let sizes: Option<Vec<u8>> = sizes.query_row([rid], |row| row.get(0)).optional()?;
    let Some(sizes) = sizes else { return Ok(true) };
    let (narrative, content) = words.columns();
    let columns = [("narrative", narrative), ("content", content)];
    let mut wanted = Vec::new();
    for (_, text) in &columns {
        push_number(text.split_whitespace().count(), &mut wanted);
    }
    if sizes != wanted {
        return Ok(false);
    }
    let mut select =
        conn.prepare_cached("select 1 from search_text where rowid = ?1 and search_text match ?2")?;
    for (name, text) in &columns {
        let terms: Vec<_> = text.split_whitespace().collect();
        for piece in terms.chunks(PHRASE_TERMS) {
            let phrase = format!("{name} : \"{}\"", piece.join(" "));
            if !select.exists(params![rid, phrase])? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// A number as FTS5 writes it: seven bits a byte, the highest first.
fn push_number(number: usize, out: &mut Vec<u8>) {
    if number >= 0x80 {
        push_number_part(number >> 7, out);
    }
    out.push(u8::try_from(number & 0x7f).unwrap_or_default());
}

fn push_number_part(number: usize, out: &mut Vec<u8>) {
    if number >= 0x80 {
        push_number_part(number >> 7, out);
    }
    out.push(u8::try_from(number & 0x7f | 0x80).unwrap_or_default());
}

/// Terms that are looked for together.
const PHRASE_TERMS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_highest_bits_first() {
        let bytes = |number| {
            let mut out = Vec::new();
            push_number(number, &mut out);
            out
        };
        assert_eq!(bytes(0), [0]);
        assert_eq!(bytes(127), [127]);
        assert_eq!(bytes(128), [0x81, 0]);
        assert_eq!(bytes(16_001), [0xfd, 1]);
    }
}
