//! Composites → rows: what belongs to one element stands in one row.
//!
//! The first component is a token; its forms (`code`, `system|code`, `|code`, `system|`) are hashed and lead the
//! row. The rest by kind: quantity and date as a range under the form; two numbers as the two ends of one; token
//! and reference hashed together with the form; a string behind the form's digits. Dates are kept as
//! doubles: exact to the microsecond until the year 2255.

use fhir::{Quantity, Target, TimeRange, Token, Value};

use super::build::{Build, canonical, indexed_text};
use super::param::{CANONICAL, WIDE};
use super::rows::{QuantityRow, StringRow, TokenRow};
use crate::hash::{Domain, IndexKey};

/// Hashes of the forms in which a code can be asked for.
#[derive(Clone, Copy)]
struct Forms {
    code: i64,
    /// With its system, or with none.
    qualified: i64,
    /// Any code of its system.
    system: Option<i64>,
    /// Hash of the system, 0 without one.
    sys_hash: i64,
}

impl Forms {
    fn of(value: &Value<'_>, key: &IndexKey) -> Option<Self> {
        let Value::Token(Token { system, code, .. }) = value else { return None };
        let code = code.as_deref()?;
        Some(Self {
            code: key.hash(Domain::Code, code),
            qualified: qualified_hash(system.as_deref().unwrap_or_default(), code, key),
            system: system.as_ref().map(|system| system_hash(system, key)),
            sys_hash: system.as_ref().map_or(0, |system| key.hash(Domain::System, system)),
        })
    }

    fn all(self) -> impl Iterator<Item = i64> {
        [self.code, self.qualified].into_iter().chain(self.system)
    }
}

/// Form `system|code`, or `|code` with an empty system.
pub(crate) fn qualified_hash(system: &str, code: &str, key: &IndexKey) -> i64 {
    key.hash_parts(Domain::SystemCode, &[system, code])
}

/// Form `system|`.
pub(crate) fn system_hash(system: &str, key: &IndexKey) -> i64 {
    key.hash_parts(Domain::SystemCode, &[system])
}

/// Hash of a form and of what stands with it.
pub(crate) fn pair_hash(first: i64, second: i64, key: &IndexKey) -> i64 {
    key.hash_parts(Domain::SystemCode, &[&first.to_string(), &second.to_string(), "$"])
}

/// Form under which `SampledData` stands.
pub(crate) fn sampled_form(form: i64) -> i64 {
    form ^ 1
}

/// A folded text behind its form, so that texts of one form are one range.
pub(crate) fn under_form(form: i64, text: &str) -> String {
    format!("{form:016x}${text}")
}

impl Build<'_> {
    /// Rows of one element. A composite of the resource itself needs no row for `system|` with a
    /// quantity: its parts are two parameters of one value each.
    pub(super) fn composite(&mut self, param: u16, parts: &[Vec<Value<'_>>], of_resource: bool) {
        let Some((first, rest)) = parts.split_first() else { return };
        for forms in first.iter().filter_map(|value| Forms::of(value, self.key)) {
            match rest {
                [values] => {
                    for value in values {
                        self.pair(param, forms, value, of_resource);
                    }
                }
                [starts, ends] => self.span(param, forms, starts, ends),
                _ => {}
            }
        }
    }

    fn pair(&mut self, param: u16, forms: Forms, value: &Value<'_>, of_resource: bool) {
        match value {
            Value::Quantity(quantity) => {
                self.quantity_of(param, forms, quantity, of_resource);
            }
            Value::Date(TimeRange { lo_us, hi_us }) => {
                self.range(param, forms, instant(*lo_us), instant(*hi_us));
            }
            Value::Token(_) => {
                let others = Forms::of(value, self.key);
                let others: Vec<_> = others.into_iter().flat_map(Forms::all).collect();
                self.pairs(param, forms, &others);
            }
            Value::Reference(target) => {
                let mut others = Vec::new();
                self.targets(target, |hash| others.push(hash));
                self.pairs(param, forms, &others);
            }
            Value::String(text) => {
                let norm = fhir::fold(text);
                for form in forms.all() {
                    let norm = under_form(form, indexed_text(&norm)).into();
                    self.rows.strings.push(StringRow { param, norm, exact: "".into() });
                }
            }
            _ => {}
        }
    }

    fn pairs(&mut self, param: u16, forms: Forms, others: &[i64]) {
        for form in forms.all() {
            let row = |other: &i64| {
                let code_hash = pair_hash(form, *other, self.key);
                TokenRow { param, code_hash, sys_hash: 0 }
            };
            self.rows.tokens.extend(others.iter().map(row));
        }
    }

    fn quantity_of(&mut self, param: u16, forms: Forms, quantity: &Quantity<'_>, of_root: bool) {
        let system = forms.system.filter(|_| !of_root);
        for form in [forms.code, forms.qualified].into_iter().chain(system) {
            self.quantity(param, form, quantity);
        }
        // The unit's system is UCUM in all of these, so the column tells that of the code.
        if let Some(found) = canonical(param, quantity, self.key) {
            for code_hash in [Some(forms.code), system].into_iter().flatten() {
                let sys_hash = forms.sys_hash;
                self.rows.quantities.push(QuantityRow { code_hash, sys_hash, ..found });
            }
        }
    }

    /// Rows of `SampledData` under a code of the resource.
    pub(super) fn sampled_under(&mut self, param: u16, code: &Value<'_>, value: &Quantity<'_>) {
        let Some(forms) = Forms::of(code, self.key) else { return };
        let from = self.rows.quantities.len();
        self.quantity_of(param, forms, value, true);
        for row in &mut self.rows.quantities[from..] {
            row.param |= WIDE;
            row.code_hash = sampled_form(row.code_hash);
        }
    }

    fn span(&mut self, param: u16, forms: Forms, starts: &[Value<'_>], ends: &[Value<'_>]) {
        for start in starts {
            for end in ends {
                if let (Value::Number(start), Value::Number(end)) = (start, end) {
                    self.range(param, forms, start.value, end.value);
                }
            }
        }
    }

    fn range(&mut self, param: u16, forms: Forms, lo: f64, hi: f64) {
        for code_hash in forms.all() {
            let param = param | WIDE;
            let row = QuantityRow { param, code_hash, lo, hi, unit_hash: 0, sys_hash: 0 };
            self.rows.quantities.push(row);
        }
    }

    /// Hashes of a reference's target.
    pub(super) fn targets(&self, target: &Target<'_>, mut push: impl FnMut(i64)) {
        let key = self.key;
        match target {
            Target::Local { resource_type, id, .. } => {
                push(key.resource(resource_type.name(), id));
            }
            Target::Absolute { url, version, .. } => {
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
}

/// A time as it is kept in composites.
#[expect(clippy::cast_precision_loss, reason = "exact until 2255, in order after that")]
pub(crate) fn instant(us: i64) -> f64 {
    us as f64
}

const _: () = assert!(CANONICAL & WIDE == 0);
