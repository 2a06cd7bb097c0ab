//! Compact list of the token, reference and quantity rows of one version, and of what is present: the column `resource_terms.terms`.
//!
//! Shape: version byte 1, then sections `tag u8 | count u16 | rows`, all little endian. Tags: 1 token
//! (param u16, code i64, sys i64), 2 reference (param u16, target i64, code i64), 3 quantity (param u16,
//! code i64, lo f64, hi f64, unit i64, sys i64), 4 present (param u16), 5 sum of the words (i64, at most once). It serves the difference on update, the deletion and
//! `_include`; the other kinds are found in their tables by `rid`.

use super::rows::{IndexRows, QuantityRow, ReferenceRow, TokenRow};
use super::words::Words;

const FORMAT: u8 = 1;
const TOKENS: u8 = 1;
const REFERENCES: u8 = 2;
const QUANTITIES: u8 = 3;
const PRESENT: u8 = 4;
const WORDS: u8 = 5;
/// Rows of one kind that one resource may have.
pub const TERM_ROWS_MAX: usize = u16::MAX as usize;

/// The list is not one that [`encode`] made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed list of index terms")]
pub struct MalformedTerms;

/// List of the rows, at most [`TERM_ROWS_MAX`] of each kind.
pub fn encode(rows: &IndexRows) -> Vec<u8> {
    let mut out = Vec::with_capacity(
        10 + rows.tokens.len() * 18 + rows.references.len() * 18 + rows.quantities.len() * 42,
    );
    out.push(FORMAT);
    section(&mut out, TOKENS, &rows.tokens, |out, row| {
        out.extend_from_slice(&row.param.to_le_bytes());
        out.extend_from_slice(&row.code_hash.to_le_bytes());
        out.extend_from_slice(&row.sys_hash.to_le_bytes());
    });
    section(&mut out, REFERENCES, &rows.references, |out, row| {
        out.extend_from_slice(&row.param.to_le_bytes());
        out.extend_from_slice(&row.target_hash.to_le_bytes());
        out.extend_from_slice(&row.code_hash.to_le_bytes());
    });
    section(&mut out, QUANTITIES, &rows.quantities, |out, row| {
        out.extend_from_slice(&row.param.to_le_bytes());
        out.extend_from_slice(&row.code_hash.to_le_bytes());
        out.extend_from_slice(&row.lo.to_le_bytes());
        out.extend_from_slice(&row.hi.to_le_bytes());
        out.extend_from_slice(&row.unit_hash.to_le_bytes());
        out.extend_from_slice(&row.sys_hash.to_le_bytes());
    });
    section(&mut out, PRESENT, &rows.present, |out, param| {
        out.extend_from_slice(&param.to_le_bytes());
    });
    let sum = rows.words.sum();
    section(&mut out, WORDS, &[sum][..usize::from(sum != 0)], |out, sum| {
        out.extend_from_slice(&sum.to_le_bytes());
    });
    out
}

/// The rows of a list; only tokens, references, quantities, what is present and the sum of the words are filled.
///
/// # Errors
/// [`MalformedTerms`] for anything that [`encode`] does not make.
pub fn decode(bytes: &[u8]) -> Result<IndexRows, MalformedTerms> {
    let mut rows = IndexRows::default();
    let mut cursor = Cursor(bytes);
    if cursor.take::<1>()? != [FORMAT] {
        return Err(MalformedTerms);
    }
    while !cursor.0.is_empty() {
        let [tag] = cursor.take::<1>()?;
        let count = usize::from(u16::from_le_bytes(cursor.take()?));
        for _ in 0..count {
            if tag == WORDS {
                rows.words = Words::summed(cursor.int()?);
                continue;
            }
            let param = u16::from_le_bytes(cursor.take()?);
            match tag {
                TOKENS => rows.tokens.push(TokenRow {
                    param,
                    code_hash: cursor.int()?,
                    sys_hash: cursor.int()?,
                }),
                REFERENCES => rows.references.push(ReferenceRow {
                    param,
                    target_hash: cursor.int()?,
                    code_hash: cursor.int()?,
                }),
                QUANTITIES => rows.quantities.push(QuantityRow {
                    param,
                    code_hash: cursor.int()?,
                    lo: cursor.real()?,
                    hi: cursor.real()?,
                    unit_hash: cursor.int()?,
                    sys_hash: cursor.int()?,
                }),
                PRESENT => rows.present.push(param),
                _ => return Err(MalformedTerms),
            }
        }
    }
    Ok(rows)
}

fn section<T>(out: &mut Vec<u8>, tag: u8, rows: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    let rows = &rows[..rows.len().min(TERM_ROWS_MAX)];
    if rows.is_empty() {
        return;
    }
    out.push(tag);
    let count = u16::try_from(rows.len()).expect("cut to TERM_ROWS_MAX above");
    out.extend_from_slice(&count.to_le_bytes());
    for row in rows {
        put(out, row);
    }
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], MalformedTerms> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(MalformedTerms)?;
        self.0 = tail;
        Ok(*head)
    }

    fn int(&mut self) -> Result<i64, MalformedTerms> {
        Ok(i64::from_le_bytes(self.take()?))
    }

    fn real(&mut self) -> Result<f64, MalformedTerms> {
        Ok(f64::from_le_bytes(self.take()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> IndexRows {
        IndexRows {
            tokens: vec![TokenRow { param: 7, code_hash: -3, sys_hash: 9 }],
            references: vec![ReferenceRow { param: 8, target_hash: i64::MIN, code_hash: 0 }],
            quantities: vec![QuantityRow {
                param: 9,
                code_hash: 1,
                lo: -0.5,
                hi: 0.5,
                unit_hash: 2,
                sys_hash: 3,
            }],
            present: vec![7, 300],
            words: Words::summed(-5),
            ..IndexRows::default()
        }
    }

    #[test]
    fn terms_come_back_as_they_were_listed() {
        assert_eq!(decode(&encode(&sample())), Ok(sample()));
        assert_eq!(decode(&encode(&IndexRows::default())), Ok(IndexRows::default()));
    }

    #[test]
    fn every_truncation_inside_a_section_is_refused() {
        let bytes = encode(&sample());
        let whole_sections = [1, 1 + 21, 1 + 21 + 21, 1 + 21 + 21 + 45, 1 + 21 + 21 + 45 + 7];
        for len in (0..bytes.len()).filter(|len| !whole_sections.contains(len)) {
            assert_eq!(decode(&bytes[..len]), Err(MalformedTerms), "cut at {len}");
        }
    }
}
