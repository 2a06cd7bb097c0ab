//! Comparisons of one index row with the values asked for: what `fhir::date_matches` and
//! `fhir::number_matches` say, in SQL.
//!
//! Each function writes one parenthesised condition; no alternative at all is false.

use std::borrow::Borrow;

use fhir::SearchPrefix;

use super::clause::{DateTest, NearTest, NumberTest, StringTest, UriTest};
use super::condition::{Measure, QuantityKey};
use super::sql::{Bind, Dialect, Sql};
use crate::index::{indexed_text, instant};

/// `search_date` row `a` passes one of the tests.
pub(super) fn dates(sql: &mut Sql<'_>, a: &str, tests: &[DateTest]) {
    sql.any(tests, &mut |sql, test| span(sql, a, test, Bind::Int));
}

/// The range of row `a` passes; `bind` tells how its ends are kept.
fn span(sql: &mut Sql<'_>, a: &str, test: &DateTest, bind: impl Fn(i64) -> Bind) {
    let (lo, hi) = (bind(test.range.lo_us), bind(test.range.hi_us));
    let lo_from = format!("{a}.lo >= ");
    let hi_to = format!("{a}.hi <= ");
    let lo_below = format!("{a}.lo < ");
    let hi_above = format!("{a}.hi > ");
    match test.prefix {
        SearchPrefix::Equal => sql.push(&lo_from).bind(lo).push(" and ").push(&hi_to).bind(hi),
        SearchPrefix::NotEqual => {
            sql.push(&lo_below).bind(lo).push(" or ").push(&hi_above).bind(hi)
        }
        SearchPrefix::Greater => sql.push(&hi_above).bind(hi),
        SearchPrefix::Less => sql.push(&lo_below).bind(lo),
        SearchPrefix::GreaterOrEqual => {
            sql.push(&hi_above).bind(hi).push(" or ").push(&lo_from).bind(lo)
        }
        SearchPrefix::LessOrEqual => {
            sql.push(&lo_below).bind(lo).push(" or ").push(&hi_to).bind(hi)
        }
        SearchPrefix::StartsAfter => sql.push(&lo_from).bind(hi),
        SearchPrefix::EndsBefore => sql.push(&hi_to).bind(lo),
        SearchPrefix::Approximate => {
            sql.push(&lo_below).bind(hi).push(" and ").push(&hi_above).bind(lo)
        }
        SearchPrefix::Contains => {
            sql.push(&format!("{a}.lo <= ")).bind(lo);
            sql.push(&format!(" and {a}.hi >= ")).bind(hi)
        }
    };
}

/// `resource` row `a` was updated at a time that passes one of the tests; the time is one microsecond long.
pub(super) fn updates(sql: &mut Sql<'_>, a: &str, tests: &[DateTest]) {
    let from = format!("{a}.updated_us >= ");
    let below = format!("{a}.updated_us < ");
    sql.any(tests, &mut |sql, test| {
        let (lo, hi) = (test.range.lo_us, test.range.hi_us);
        match test.prefix {
            SearchPrefix::Equal | SearchPrefix::Approximate => {
                sql.push(&from).int(lo).push(" and ").push(&below).int(hi)
            }
            SearchPrefix::NotEqual => sql.push(&below).int(lo).push(" or ").push(&from).int(hi),
            SearchPrefix::Greater | SearchPrefix::StartsAfter => sql.push(&from).int(hi),
            SearchPrefix::GreaterOrEqual => sql.push(&from).int(lo),
            SearchPrefix::Less | SearchPrefix::EndsBefore => sql.push(&below).int(lo),
            SearchPrefix::LessOrEqual => sql.push(&below).int(hi),
            SearchPrefix::Contains => {
                sql.push(&format!("{a}.updated_us <= ")).int(lo);
                sql.push(" and ").push(&from).int(hi.saturating_sub(1))
            }
        };
    });
}

/// `search_number` row `a` passes one of the tests.
pub(super) fn numbers(sql: &mut Sql<'_>, a: &str, tests: &[NumberTest]) {
    let (lo, hi) = (format!("{a}.lo "), format!("{a}.hi "));
    sql.any(tests, &mut |sql, test| number(sql, &lo, &hi, test));
}

/// `search_quantity` row `a` passes one of the keys; its code is not looked at.
pub(super) fn quantities<K: Borrow<QuantityKey>>(sql: &mut Sql<'_>, a: &str, keys: &[K]) {
    sql.any(keys, &mut |sql, key| {
        let key: &QuantityKey = key.borrow();
        sql.push("(");
        match &key.measure {
            Measure::Number(test) => number(sql, &format!("{a}.lo "), &format!("{a}.hi "), test),
            Measure::Date(test) => span(sql, a, test, |us| Bind::Real(instant(us))),
            Measure::Numbers(start, end) => {
                let (lo, hi) = (format!("{a}.lo "), format!("{a}.hi "));
                sql.push("(");
                number(sql, &lo, &lo, start);
                sql.push(") and (");
                number(sql, &hi, &hi, end);
                sql.push(")");
            }
        }
        sql.push(")");
        units(sql, a, key);
    });
}

/// ` from search_quantity d where …`: the values of a parameter without a code that pass, or all, in the order of
/// results. What tests them leads no index.
pub(super) fn quantities_in_order(sql: &mut Sql<'_>, param: u16, key: Option<&QuantityKey>) {
    sql.push(" from search_quantity d").indexed_by("search_quantity_by_place");
    sql.push(" where d.param = ").int(param).push(" and d.code_hash = 0");
    let Some(key) = key else { return };
    sql.push(" and (");
    match &key.measure {
        Measure::Number(test) => number(sql, "(d.lo + 0.0) ", "(d.hi + 0.0) ", test),
        Measure::Date(_) | Measure::Numbers(..) => {
            sql.push("1 = 0");
        }
    }
    sql.push(")");
    units(sql, "d", key);
}

fn units(sql: &mut Sql<'_>, a: &str, key: &QuantityKey) {
    if let Some(unit) = key.unit {
        sql.push(&format!(" and {a}.unit_hash = ")).int(unit);
    }
    if let Some(system) = key.system {
        sql.push(&format!(" and {a}.sys_hash = ")).int(system);
    }
}

/// Beyond a number is from the next one on, so that fewer statements differ by more than their values.
fn number(sql: &mut Sql<'_>, lo: &str, hi: &str, test: &NumberTest) {
    let range = &test.range;
    let (above, below) = (range.value.next_up(), range.value.next_down());
    match test.prefix {
        SearchPrefix::Equal => {
            sql.push(lo).push(">= ").real(range.lo).push(" and ");
            sql.push(hi).push("< ").real(range.hi)
        }
        SearchPrefix::NotEqual => {
            sql.push(lo).push("< ").real(range.lo).push(" or ");
            sql.push(hi).push(">= ").real(range.hi)
        }
        SearchPrefix::Greater => sql.push(hi).push(">= ").real(above),
        SearchPrefix::Less => sql.push(lo).push("<= ").real(below),
        SearchPrefix::GreaterOrEqual => sql.push(hi).push(">= ").real(range.value),
        SearchPrefix::LessOrEqual => sql.push(lo).push("<= ").real(range.value),
        SearchPrefix::StartsAfter => sql.push(lo).push(">= ").real(above),
        SearchPrefix::EndsBefore => sql.push(hi).push("<= ").real(below),
        SearchPrefix::Approximate => {
            sql.push(hi).push(">= ").real(range.lo).push(" and ");
            sql.push(lo).push("<= ").real(range.hi)
        }
        SearchPrefix::Contains => {
            sql.push(lo).push("<= ").real(range.value).push(" and ");
            sql.push(hi).push(">= ").real(range.value)
        }
    };
}

/// `search_string` row `a` passes one of the tests.
pub(super) fn strings(sql: &mut Sql<'_>, a: &str, tests: &[StringTest]) {
    sql.any(tests, &mut |sql, test| {
        match test {
            StringTest::Prefix(text) => {
                sql.push(&format!("{a}.norm >= ")).text(text);
                match end_of_prefix(text) {
                    Some(end) => sql.push(&format!(" and {a}.norm < ")).text(&end),
                    None => sql,
                }
            }
            StringTest::Exact(text) => {
                sql.push(&format!("{a}.norm = ")).text(indexed_text(&fhir::fold(text)));
                sql.push(&format!(" and {a}.exact = ")).text(indexed_text(text))
            }
            StringTest::Contains(text) => contains(sql, &format!("{a}.norm"), text),
            StringTest::Equal(text) => sql.push(&format!("{a}.norm = ")).text(text),
            StringTest::Unequal(text) => sql.push(&format!("{a}.norm <> ")).text(text),
            StringTest::Suffix(text) => ends(sql, &format!("{a}.norm"), text),
            StringTest::Order(prefix, text) => {
                let sign = match prefix {
                    SearchPrefix::Greater => ">",
                    SearchPrefix::Less => "<",
                    SearchPrefix::GreaterOrEqual => ">=",
                    _ => "<=",
                };
                sql.push(&format!("{a}.norm {sign} ")).text(text)
            }
        };
    });
}

/// `search_uri` row `a` passes one of the tests.
pub(super) fn uris(sql: &mut Sql<'_>, a: &str, tests: &[UriTest]) {
    let exact = tests.iter().filter_map(|test| match test {
        UriTest::Exact(uri) => Some(uri.as_str()),
        _ => None,
    });
    let exact: Vec<_> = exact.collect();
    let others = tests.iter().filter(|test| !matches!(test, UriTest::Exact(_)));
    let others: Vec<_> = others.collect();
    sql.push("(");
    if !exact.is_empty() || others.is_empty() {
        sql.one_of_texts(&format!("{a}.uri"), &exact);
        sql.push(if others.is_empty() { "" } else { " or " });
    }
    if !others.is_empty() {
        sql.any(&others, &mut |sql, test| uri(sql, a, test));
    }
    sql.push(")");
}

fn uri(sql: &mut Sql<'_>, a: &str, test: &UriTest) {
    match test {
        UriTest::Exact(uri) => sql.push(&format!("{a}.uri = ")).text(uri),
        UriTest::Below(uri) => {
            // "0" is the character after "/".
            let stem = uri.strip_suffix('/').unwrap_or(uri);
            sql.push(&format!("{a}.uri = ")).text(uri);
            sql.push(&format!(" or {a}.uri >= ")).text(&format!("{stem}/"));
            sql.push(&format!(" and {a}.uri < ")).text(&format!("{stem}0"))
        }
        UriTest::Unequal(uri) => sql.push(&format!("{a}.uri <> ")).text(uri),
        UriTest::Prefix(uri) => {
            sql.push(&format!("{a}.uri >= ")).text(uri);
            match end_of_prefix(uri) {
                Some(end) => sql.push(&format!(" and {a}.uri < ")).text(&end),
                None => sql,
            }
        }
        UriTest::Suffix(uri) => ends(sql, &format!("{a}.uri"), uri),
        UriTest::Contains(uri) => contains(sql, &format!("{a}.uri"), uri),
    };
}

/// `search_quantity` row `a` is a position that passes one of the tests.
pub(super) fn near(sql: &mut Sql<'_>, a: &str, tests: &[NearTest]) {
    sql.any(tests, &mut |sql, test| test.passes(sql, a));
}

fn contains<'a, 's>(sql: &'a mut Sql<'s>, column: &str, text: &str) -> &'a mut Sql<'s> {
    match sql.dialect {
        Dialect::Sqlite => sql.push(&format!("instr({column}, ")).text(text).push(") > 0"),
        Dialect::Postgres => sql.push("position(").text(text).push(&format!(" in {column}) > 0")),
    }
}

/// The column ends with the text; both engines count characters.
fn ends<'a, 's>(sql: &'a mut Sql<'s>, column: &str, text: &str) -> &'a mut Sql<'s> {
    let letters = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    match sql.dialect {
        Dialect::Sqlite => sql.push(&format!("substr({column}, ")).int(-letters),
        Dialect::Postgres => sql.push(&format!("right({column}, ")).int(letters).push("::int"),
    };
    sql.push(") = ").text(text)
}

/// First text after all that start with `prefix`, in code point order; `None` if there is none.
pub(super) fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_text_of_its_length() {
        assert_eq!(end_of_prefix("smi").as_deref(), Some("smj"));
        assert_eq!(end_of_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end_of_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(end_of_prefix("\u{10ffff}"), None);
    }
}
