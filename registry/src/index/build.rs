//! Resource → [`IndexRows`]: values that `fhir::extract` finds, hashed, folded and put in their shape.
//!
//! - token: hash of the code and of the system; `:of-type` as a row of its own; a text without a code keeps
//!   an empty row, so that `:missing` knows it.
//! - reference: hash of the target; for a patient also under each of the resource's codes.
//! - date, number, quantity: rows of irregular shape under [`WIDE`] (see [`super::param`]).
//! - composite of token and quantity: quantity rows under the code, alone and with its system; of two
//!   tokens: a token row for each pair of forms. Other composites are not indexed.
//!
//! Not here: which values a parameter has (`fhir`), the patient compartment, the sort date.

use fhir::{
    Extracted, Node, NumberRange, Quantity, ResourceType, Target, TimeRange, Token, Value,
    search_param_by_id, sort_time,
};

use super::param::{REGULAR_US, WIDE, index_param, sort_index_param};
use super::rows::{
    DateRow, IndexRows, NumberRow, QuantityRow, ReferenceRow, StringRow, TokenRow, UriRow,
};
use crate::hash::{Domain, IndexKey};
use crate::search::{code_param, pair_hash};

/// All index rows of a resource of type `of`; `base_url` is this server's, without a slash at the end.
pub fn index_rows(node: Node<'_>, of: ResourceType, base_url: &str, key: &IndexKey) -> IndexRows {
    let mut found = Vec::new();
    fhir::extract(node, of, base_url, &mut found);
    let mut build = Build { key, rows: IndexRows::default() };
    for Extracted { param, value } in &found {
        build.value(index_param(of, search_param_by_id(*param)), value);
    }
    let Build { mut rows, .. } = build;
    patient_codes(of, &found, key, &mut rows);
    shape_dates(of, sort_time(node, of), &mut rows.dates);
    rows.normalise();
    rows
}

/// The text as it is indexed and compared: at most [`STRING_CHARS_MAX`] characters.
pub(crate) fn indexed_text(text: &str) -> &str {
    let end = text.char_indices().nth(STRING_CHARS_MAX);
    end.map_or(text, |(end, _)| &text[..end])
}

struct Build<'a> {
    key: &'a IndexKey,
    rows: IndexRows,
}

impl Build<'_> {
    fn value(&mut self, param: u16, value: &Value<'_>) {
        match value {
            Value::Token(token) => self.token(param, token),
            Value::Reference(target) => self.reference(param, target),
            Value::Date(TimeRange { lo_us, hi_us }) => {
                self.rows.dates.push(DateRow { param, lo: *lo_us, hi: *hi_us });
            }
            Value::Number(number) => {
                let param = shaped(param, number);
                self.rows.numbers.push(NumberRow { param, lo: number.lo, hi: number.hi });
            }
            Value::Quantity(quantity) => self.quantity(param, 0, quantity),
            Value::String(text) => {
                let norm = fhir::fold(text);
                self.rows.strings.push(StringRow {
                    param,
                    norm: indexed_text(&norm).into(),
                    exact: indexed_text(text).into(),
                });
            }
            Value::Uri(uri) => {
                self.rows.uris.push(UriRow { param, uri: indexed_text(uri).into() });
            }
            Value::Composite(parts) => self.composite(param, parts),
            _ => {}
        }
    }

    fn token(&mut self, param: u16, token: &Token<'_>) {
        let key = self.key;
        let sys_hash = token.system.as_ref().map_or(0, |system| key.hash(Domain::System, system));
        let code_hash = token.code.as_ref().map_or(0, |code| key.hash(Domain::Code, code));
        self.rows.tokens.push(TokenRow { param, code_hash, sys_hash });
        if let (Some(of_type), Some(value)) = (&token.of_type, &token.code) {
            let system = of_type.system.as_deref().unwrap_or_default();
            let code_hash = key.hash_parts(Domain::OfType, &[system, &of_type.code, value]);
            self.rows.tokens.push(TokenRow { param, code_hash, sys_hash: 0 });
        }
    }

    fn reference(&mut self, param: u16, target: &Target<'_>) {
        let key = self.key;
        let mut push = |target_hash| {
            self.rows.references.push(ReferenceRow { param, target_hash, code_hash: 0 });
        };
        match target {
            Target::Local { resource_type, id, .. } => {
                push(key.resource(resource_type.name(), id));
            }
            Target::Absolute { url, version } => {
                push(key.hash(Domain::Url, url));
                if let Some(version) = version {
                    push(key.hash(Domain::Url, &format!("{url}|{version}")));
                }
            }
            Target::Logical { system, value } => {
                let system = system.as_deref().unwrap_or_default();
                push(key.hash(Domain::LogicalReference, value));
                push(key.hash_parts(Domain::LogicalReference, &[system, value]));
            }
        }
    }

    fn quantity(&mut self, param: u16, code_hash: i64, quantity: &Quantity<'_>) {
        let key = self.key;
        let number = &quantity.number;
        let param = shaped(param, number);
        let sys_hash =
            quantity.system.as_ref().map_or(0, |system| key.hash(Domain::System, system));
        let mut push = |unit: Option<&str>, sys_hash| {
            let unit_hash = unit.map_or(0, |unit| key.hash(Domain::Unit, unit));
            let (lo, hi) = (number.lo, number.hi);
            let row = QuantityRow { param, code_hash, lo, hi, unit_hash, sys_hash };
            self.rows.quantities.push(row);
        };
        let (code, unit) = (quantity.code.as_deref(), quantity.unit.as_deref());
        push(code.or(unit), if code.is_some() { sys_hash } else { 0 });
        if code.is_some() && unit.is_some() && code != unit {
            push(unit, 0);
        }
    }

    fn composite(&mut self, param: u16, parts: &[Vec<Value<'_>>]) {
        let [first, second] = parts else { return };
        for code in first.iter().flat_map(|value| forms(value, self.key)) {
            for value in second {
                match value {
                    Value::Quantity(quantity) => self.quantity(param, code, quantity),
                    Value::Token(_) => {
                        let pairs = forms(value, self.key).into_iter();
                        let pairs = pairs.map(|other| pair_hash(code, other, self.key));
                        let row = |code_hash| TokenRow { param, code_hash, sys_hash: 0 };
                        self.rows.tokens.extend(pairs.map(row));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Hashes of a token as code and as system|code.
fn forms(value: &Value<'_>, key: &IndexKey) -> Vec<i64> {
    let Value::Token(Token { system, code: Some(code), .. }) = value else { return Vec::new() };
    let alone = key.hash(Domain::Code, code);
    let both = system.as_ref().map(|system| key.hash_parts(Domain::SystemCode, &[system, code]));
    [alone].into_iter().chain(both).collect()
}

/// The parameter of a point, or its irregular twin.
fn shaped(param: u16, number: &NumberRange) -> u16 {
    if number.lo == number.hi { param } else { param | WIDE }
}

/// Repeats references to a patient under each code of the resource.
fn patient_codes(of: ResourceType, found: &[Extracted<'_>], key: &IndexKey, rows: &mut IndexRows) {
    let Some(code_param) = code_param(of) else { return };
    let tokens = rows.tokens.iter().filter(|row| row.param == code_param && row.code_hash != 0);
    let codes: Vec<_> = tokens.map(|row| row.code_hash).collect();
    for Extracted { param, value } in found {
        let Value::Reference(Target::Local { resource_type, id, .. }) = value else { continue };
        if *resource_type != ResourceType::PATIENT {
            continue;
        }
        let param = index_param(of, search_param_by_id(*param));
        let target_hash = key.resource(resource_type.name(), id);
        let row = |code_hash: &i64| ReferenceRow { param, target_hash, code_hash: *code_hash };
        rows.references.extend(codes.iter().map(row));
    }
}

/// Moves irregular dates to the twin of their parameter.
fn shape_dates(of: ResourceType, sort_us: Option<i64>, dates: &mut Vec<DateRow>) {
    dates.sort_unstable();
    dates.dedup();
    let sort_param = sort_index_param(of);
    let params: Vec<_> = dates.iter().map(|row| row.param).collect();
    for row in dates.iter_mut() {
        let alone = params.iter().filter(|param| **param == row.param).count() == 1;
        let short = row.hi.saturating_sub(row.lo) <= REGULAR_US;
        let in_place = Some(row.param) != sort_param || Some(row.lo) == sort_us;
        if !(alone && short && in_place) {
            row.param |= WIDE;
        }
    }
}

/// Characters of a text or uri that are indexed and compared; the rest does not tell texts apart.
pub const STRING_CHARS_MAX: usize = 256;
