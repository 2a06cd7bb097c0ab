//! Rows of one resource version for the `search_*` tables, already hashed and folded.
//!
//! Shape: one vector a table; `nsort`, `rid` and `patient` are added by the writer. Hashes are those of
//! [`crate::hash::IndexKey`]; `param` is `fhir::ParamId`. Order and duplicates do not matter: the
//! writer sorts and removes doubles.
//! Not here: how values become rows (`index`), how rows become SQL (`sqlite`, `postgres`).

use std::cmp::Ordering;

use super::words::Words;

/// All index rows of one version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IndexRows {
    /// Rows of `search_token`.
    pub tokens: Vec<TokenRow>,
    /// Rows of `search_reference`.
    pub references: Vec<ReferenceRow>,
    /// Rows of `search_date`.
    pub dates: Vec<DateRow>,
    /// Rows of `search_number`.
    pub numbers: Vec<NumberRow>,
    /// Rows of `search_quantity`.
    pub quantities: Vec<QuantityRow>,
    /// Rows of `search_string`.
    pub strings: Vec<StringRow>,
    /// Rows of `search_uri`.
    pub uris: Vec<UriRow>,
    /// Parameters that have a value or an element, for `:missing`: `resource_terms.present`.
    pub present: Vec<u16>,
    /// Their set as one number: `resource_terms.present_set`; 0 for what is deleted, and for what is read back.
    pub present_set: i64,
    /// Row of `search_text`.
    pub words: Words,
}

/// One coding, code, identifier or boolean.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TokenRow {
    /// Search parameter.
    pub param: u16,
    /// Hash of the code or value.
    pub code_hash: i64,
    /// Hash of the system; 0 without one.
    pub sys_hash: i64,
}

/// One reference.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ReferenceRow {
    /// Search parameter.
    pub param: u16,
    /// Hash of `Type/id` (the target's `khash`), or of an absolute URL.
    pub target_hash: i64,
    /// 0 for the reference itself; else the hash of one of the resource's codes.
    pub code_hash: i64,
}

/// One date, instant or period as the half-open range of its precision, in microseconds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DateRow {
    /// Search parameter.
    pub param: u16,
    /// First microsecond within.
    pub lo: i64,
    /// First microsecond after.
    pub hi: i64,
}

/// One number as the range of its precision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberRow {
    /// Search parameter.
    pub param: u16,
    /// Lower bound, never NaN.
    pub lo: f64,
    /// Upper bound, never NaN.
    pub hi: f64,
}

/// One quantity as the range of its precision, under one code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantityRow {
    /// Search parameter.
    pub param: u16,
    /// 0 for the value alone; else the hash of the code (or system and code) it belongs to.
    pub code_hash: i64,
    /// Lower bound, never NaN.
    pub lo: f64,
    /// Upper bound, never NaN.
    pub hi: f64,
    /// Hash of the unit's code or text; 0 without one.
    pub unit_hash: i64,
    /// Hash of the unit's system; 0 without one.
    pub sys_hash: i64,
}

/// One text.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StringRow {
    /// Search parameter.
    pub param: u16,
    /// Folded: lower case, no diacritics, single spaces.
    pub norm: Box<str>,
    /// As written.
    pub exact: Box<str>,
}

/// One uri.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UriRow {
    /// Search parameter.
    pub param: u16,
    /// As written.
    pub uri: Box<str>,
}

impl IndexRows {
    /// Sorts every vector in key order and removes doubles.
    pub fn normalise(&mut self) {
        fn tidy<T: PartialEq>(rows: &mut Vec<T>, order: impl FnMut(&T, &T) -> Ordering) {
            rows.sort_unstable_by(order);
            rows.dedup();
        }
        tidy(&mut self.tokens, TokenRow::cmp);
        tidy(&mut self.references, ReferenceRow::cmp);
        tidy(&mut self.dates, DateRow::cmp);
        tidy(&mut self.numbers, NumberRow::order);
        tidy(&mut self.quantities, QuantityRow::order);
        tidy(&mut self.strings, StringRow::cmp);
        tidy(&mut self.uris, UriRow::cmp);
        tidy(&mut self.present, u16::cmp);
    }

    /// [`IndexRows::present`] as it is stored and asked for: each number between commas.
    pub fn present_text(&self) -> String {
        let mut text = String::from(",");
        for param in &self.present {
            text.push_str(&param.to_string());
            text.push(',');
        }
        text
    }

    /// Number of rows in all tables.
    pub fn count(&self) -> usize {
        self.tokens.len()
            + self.references.len()
            + self.dates.len()
            + self.numbers.len()
            + self.quantities.len()
            + self.strings.len()
            + self.uris.len()
            + usize::from(!self.words.is_empty())
    }
}

impl NumberRow {
    /// Total order by parameter, lower and upper bound.
    pub fn order(&self, other: &Self) -> Ordering {
        (self.param.cmp(&other.param))
            .then(self.lo.total_cmp(&other.lo))
            .then(self.hi.total_cmp(&other.hi))
    }
}

impl QuantityRow {
    /// Total order by parameter, code, bounds, unit and system.
    pub fn order(&self, other: &Self) -> Ordering {
        (self.param, self.code_hash)
            .cmp(&(other.param, other.code_hash))
            .then(self.lo.total_cmp(&other.lo))
            .then(self.hi.total_cmp(&other.hi))
            .then((self.unit_hash, self.sys_hash).cmp(&(other.unit_hash, other.sys_hash)))
    }
}

impl IndexRows {
    /// Splits two normalised sets into (rows only in `former`, rows only in `self`).
    pub fn difference(self, former: Self) -> (Self, Self) {
        let mut gone = Self::default();
        let mut new = Self::default();
        (gone.tokens, new.tokens) = split(former.tokens, self.tokens, TokenRow::cmp);
        (gone.references, new.references) =
            split(former.references, self.references, ReferenceRow::cmp);
        (gone.dates, new.dates) = split(former.dates, self.dates, DateRow::cmp);
        (gone.numbers, new.numbers) = split(former.numbers, self.numbers, NumberRow::order);
        (gone.quantities, new.quantities) =
            split(former.quantities, self.quantities, QuantityRow::order);
        (gone.strings, new.strings) = split(former.strings, self.strings, StringRow::cmp);
        (gone.uris, new.uris) = split(former.uris, self.uris, UriRow::cmp);
        if former.words.sum() != self.words.sum() {
            (gone.words, new.words) = (former.words, self.words);
        }
        (gone, new)
    }

    /// As [`IndexRows::difference`] where the place has changed: all rows go, but for the words, which stand at none.
    pub fn replacing(mut self, mut former: Self) -> (Self, Self) {
        if former.words.sum() == self.words.sum() {
            (former.words, self.words) = (Words::default(), Words::default());
        }
        (former, self)
    }
}

/// Both sides without what they share; each comes sorted and without doubles.
fn split<T>(left: Vec<T>, right: Vec<T>, order: impl Fn(&T, &T) -> Ordering) -> (Vec<T>, Vec<T>) {
    let (mut only_left, mut only_right) = (Vec::new(), Vec::new());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        match order(a, b) {
            Ordering::Less => only_left.extend(left.next()),
            Ordering::Greater => only_right.extend(right.next()),
            Ordering::Equal => {
                left.next();
                right.next();
            }
        }
    }
    only_left.extend(left);
    only_right.extend(right);
    (only_left, only_right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(hashes: &[i64]) -> IndexRows {
        let row = |code_hash: &i64| TokenRow { param: 1, code_hash: *code_hash, sys_hash: 0 };
        let mut rows =
            IndexRows { tokens: hashes.iter().map(row).collect(), ..IndexRows::default() };
        rows.normalise();
        rows
    }

    #[test]
    fn a_difference_holds_what_only_one_side_has() {
        let (gone, new) = tokens(&[5, 2, 9, 2]).difference(tokens(&[1, 2, 3, 9]));

        assert_eq!(gone, tokens(&[1, 3]));
        assert_eq!(new, tokens(&[5]));
    }
}
