//! Resource → [`IndexRows`]: values that `fhir::extract` finds, hashed, folded and put in their shape.
//!
//! - token: hash of the code and of the system; `:of-type` as a row of its own; its text, for `:text`, as a string.
//! - reference: hash of the target; for a patient also under each of the resource's codes.
//! - date, number, quantity: rows of irregular shape under [`WIDE`] (see [`super::param`]); a quantity with a
//!   UCUM unit also in its canonical unit, under [`CANONICAL`].
//! - position: see [`super::position`].
//! - composites: see [`super::composite`].
//! - words of the narrative and the content: see [`super::words`].
//!
//! Not here: which values a parameter has (`fhir`), the patient compartment, the sort date.

use fhir::{
    CanonicalUnit, Extracted, Held, Node, NumberRange, ParamId, Quantity, ResourceType,
    SearchParams, Target, TimeRange, Token, UCUM_SYSTEM, Value, search_param_by_id, search_params,
    sort_time, values_of,
};

use super::param::{
    CANONICAL, REGULAR_US, WIDE, index_param, numbered, root_composites, sort_index_param,
    url_param,
};
use super::position;
use super::present::present_set;
use super::rows::{
    DateRow, IndexRows, NumberRow, QuantityRow, ReferenceRow, StringRow, TokenRow, UriRow,
};
use super::words::Words;
use crate::hash::{Domain, IndexKey};
use crate::search::code_param;

/// All index rows of a resource of type `of` for R4's own parameters alone.
pub fn index_rows(node: Node<'_>, of: ResourceType, base_url: &str, key: &IndexKey) -> IndexRows {
    index_rows_with(node, of, base_url, key, SearchParams::standard())
}

/// All index rows of a resource of type `of` for the parameters in force; `base_url` has those of this server
/// (see [`fhir::below_base`]).
pub fn index_rows_with(
    node: Node<'_>,
    of: ResourceType,
    base_url: &str,
    key: &IndexKey,
    params: &SearchParams,
) -> IndexRows {
    let mut found = Vec::new();
    params.extract(node, of, base_url, &mut found);
    let mut build = Build { key, rows: IndexRows::default() };
    for Extracted { param, value } in &found {
        // Every value is of a parameter in force: the set has extracted it.
        let Some(param) = params.by_id(*param) else { continue };
        match value {
            Value::Composite(parts) => {
                let of_resource = param.expression == of.name();
                build.composite(index_param(of, param), parts, of_resource);
            }
            value => build.value(index_param(of, param), value),
        }
    }
    build.sampled(of, &found);
    build.known_as(of, &found);
    let Build { mut rows, .. } = build;
    let strings = found.iter().filter_map(|one| match &one.value {
        Value::String(text) => Some((index_param(of, params.by_id(one.param)?), &**text)),
        _ => None,
    });
    rows.words = Words::of(node, of, strings, key, params.full_text());
    rows.present = present(of, &found);
    patient_codes(of, &found, key, params, &mut rows);
    shape_dates(of, sort_time(node, of), &mut rows.dates);
    rows.normalise();
    rows.present_set = present_set(of, &rows, key);
    rows
}

/// The text as it is indexed and compared: at most [`STRING_CHARS_MAX`] characters.
pub(crate) fn indexed_text(text: &str) -> &str {
    let end = text.char_indices().nth(STRING_CHARS_MAX);
    end.map_or(text, |(end, _)| &text[..end])
}

pub(super) struct Build<'a> {
    pub(super) key: &'a IndexKey,
    pub(super) rows: IndexRows,
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
            Value::Quantity(quantity) => {
                self.quantity(param, 0, quantity);
                self.rows.quantities.extend(canonical(param, quantity, self.key));
            }
            Value::String(text) => self.string(param, text, text),
            Value::Uri(uri) => {
                self.rows.uris.push(UriRow { param, uri: indexed_text(uri).into() });
            }
            Value::Position { latitude, longitude } => {
                self.rows.quantities.extend(position::rows(param, *latitude, *longitude));
            }
            _ => {}
        }
    }

    fn string(&mut self, param: u16, text: &str, exact: &str) {
        let norm = fhir::fold(text);
        self.rows.strings.push(StringRow {
            param,
            norm: indexed_text(&norm).into(),
            exact: indexed_text(exact).into(),
        });
    }

    fn token(&mut self, param: u16, token: &Token<'_>) {
        let key = self.key;
        let sys_hash = token.system.as_ref().map_or(0, |system| key.hash(Domain::System, system));
        let code_hash = token.code.as_ref().map_or(0, |code| key.hash(Domain::Code, code));
        if (code_hash, sys_hash) != (0, 0) {
            self.rows.tokens.push(TokenRow { param, code_hash, sys_hash });
        }
        if let (Some(of_type), Some(value)) = (&token.of_type, &token.code) {
            let system = of_type.system.as_deref().unwrap_or_default();
            let code_hash = key.hash_parts(Domain::OfType, &[system, &of_type.code, value]);
            self.rows.tokens.push(TokenRow { param, code_hash, sys_hash: 0 });
        }
        if let Some(text) = &token.text {
            self.string(param, text, "");
        }
    }

    fn reference(&mut self, param: u16, target: &Target<'_>) {
        let mut hashes = Vec::with_capacity(2);
        self.targets(target, |hash| hashes.push(hash));
        let row = |target_hash| ReferenceRow { param, target_hash, code_hash: 0 };
        self.rows.references.extend(hashes.into_iter().map(row));
        if let Target::Absolute { url, version, canonical: true } = target {
            let target_hash = canonical_url(url, version.as_deref(), self.key);
            self.rows.references.push(ReferenceRow { param, target_hash, code_hash: AS_WRITTEN });
        }
    }

    /// Rows in the unit as it is written: its code, and its text where that is another.
    pub(super) fn quantity(&mut self, param: u16, code_hash: i64, quantity: &Quantity<'_>) {
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

    /// What canonicals name a canonical resource by: its `url`, and with its `version`.
    fn known_as(&mut self, of: ResourceType, found: &[Extracted<'_>]) {
        let Some(param) = url_param(of) else { return };
        let version = found.iter().find_map(|one| match &one.value {
            Value::Token(token) if Some(number(of, one.param)) == numbered(of, "version") => {
                token.code.as_deref()
            }
            _ => None,
        });
        for one in found.iter().filter(|one| number(of, one.param) == param) {
            let Value::Uri(url) = &one.value else { continue };
            for version in [None, version].into_iter().skip(usize::from(version.is_none())) {
                let target_hash = canonical_url(url, version, self.key);
                self.rows.references.push(ReferenceRow { param, target_hash, code_hash: 0 });
            }
        }
    }

    /// Marks a resource whose value is `SampledData`, which its composites of a quantity leave out, and keeps
    /// the value beside theirs, so that code and value together are one range all the same.
    fn sampled(&mut self, of: ResourceType, found: &[Extracted<'_>]) {
        for one in found {
            let Value::Quantity(quantity) = &one.value else { continue };
            if !quantity.sampled {
                continue;
            }
            let param = number(of, one.param);
            for composite in root_composites(of).filter(|composite| composite.quantity == param) {
                let (param, code_hash) = (composite.param, SAMPLED);
                self.rows.tokens.push(TokenRow { param, code_hash, sys_hash: 0 });
                let is_code = |other: &&Extracted<'_>| number(of, other.param) == composite.token;
                for code in found.iter().filter(is_code) {
                    self.sampled_under(param, &code.value, quantity);
                }
            }
        }
    }
}

/// The row of a quantity in its canonical unit, alone; `None` without a UCUM code that has one.
pub(super) fn canonical(
    param: u16,
    quantity: &Quantity<'_>,
    key: &IndexKey,
) -> Option<QuantityRow> {
    let code = quantity.code.as_deref().filter(|_| is_ucum(quantity.system.as_deref()))?;
    let unit = CanonicalUnit::parse(code)?;
    let number = unit.range(&quantity.number);
    let param = shaped(param, &number) | CANONICAL;
    let unit_hash = canonical_hash(&unit, key);
    Some(QuantityRow { param, code_hash: 0, lo: number.lo, hi: number.hi, unit_hash, sys_hash: 0 })
}

/// Hash of a canonical as it is written.
fn canonical_url(url: &str, version: Option<&str>, key: &IndexKey) -> i64 {
    match version {
        Some(version) => key.hash(Domain::Url, &format!("{url}|{version}")),
        None => key.hash(Domain::Url, url),
    }
}

/// Whether a unit's code is one of UCUM.
pub(crate) fn is_ucum(system: Option<&str>) -> bool {
    system == Some(UCUM_SYSTEM)
}

/// Hash of what a unit measures.
pub(crate) fn canonical_hash(unit: &CanonicalUnit, key: &IndexKey) -> i64 {
    key.hash_parts(Domain::Unit, &["canonical", unit.unit()])
}

/// Parameters that have a value or an element, for `:missing`; composites have none of their own.
fn present(of: ResourceType, found: &[Extracted<'_>]) -> Vec<u16> {
    let own = found.iter().filter(|one| !matches!(one.value, Value::Composite(_)));
    let own = own.map(|one| number(of, one.param));
    let restricted = search_params(of).iter().filter(|param| {
        matches!(param.held, Held::InParam { only: Some(_), .. })
            && values_of(param, found).next().is_some()
    });
    own.chain(restricted.map(|param| index_param(of, param))).collect()
}

/// Number of the rows of a parameter; that of a custom one is its own.
fn number(of: ResourceType, param: ParamId) -> u16 {
    let own = ParamId::from_number(param.number());
    own.map_or(param.number(), |own| index_param(of, search_param_by_id(own)))
}

/// The parameter of a point, or its irregular twin.
fn shaped(param: u16, number: &NumberRange) -> u16 {
    if number.lo == number.hi { param } else { param | WIDE }
}

/// Repeats references to a patient under each code of the resource.
fn patient_codes(
    of: ResourceType,
    found: &[Extracted<'_>],
    key: &IndexKey,
    params: &SearchParams,
    rows: &mut IndexRows,
) {
    let Some(code_param) = code_param(of) else { return };
    let tokens = rows.tokens.iter().filter(|row| row.param == code_param && row.code_hash != 0);
    let codes: Vec<_> = tokens.map(|row| row.code_hash).collect();
    for Extracted { param, value } in found {
        let Value::Reference(Target::Local { resource_type, id, .. }) = value else { continue };
        if *resource_type != ResourceType::PATIENT {
            continue;
        }
        let Some(param) = params.by_id(*param) else { continue };
        let param = index_param(of, param);
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

/// Stands among the tokens of a composite of token and quantity for `SampledData`; it has no others.
pub(crate) const SAMPLED: i64 = 1;
/// In place of a code in the rows of canonicals: the target is what stands there, version included.
pub(crate) const AS_WRITTEN: i64 = 1;
/// Characters of a text or uri that are indexed and compared; the rest does not tell texts apart.
pub const STRING_CHARS_MAX: usize = 256;
