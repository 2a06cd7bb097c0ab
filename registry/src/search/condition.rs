//! Filters as the tables can answer them: values hashed, chains and `_has` resolved.
//!
//! Not here: how a condition reads in SQL (`arm` as the leading table, `probe` as a test of a row).

use fhir::{ParamKind, ResourceType, SearchPrefix, search_param, search_params};

use super::clause::{
    DateTest, NumberTest, QuantityTest, ReferenceTest, StringTest, Table, Tests, TokenTest, UriTest,
};
use crate::hash::{Domain, IndexKey};
use crate::index::param::index_params;

/// One condition; all of a search must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// Logical id, with the key hash that leads to it.
    Ids(Vec<(i64, String)>),
    /// One of these rows.
    Rids(Vec<i64>),
    /// Time of the last update.
    LastUpdated(Vec<DateTest>),
    /// Rows of an index table.
    Index { params: Vec<u16>, keys: Keys, not: bool },
    /// Presence of rows.
    Missing { params: Vec<u16>, table: Table, missing: bool },
    /// A resource of type `source` refers here by `params` and passes `inner`; too many do to list them.
    /// With `codes`, its references stand under its codes too, and one of these is needed. With
    /// `among`, no other rows can pass.
    ReferredBy {
        source: ResourceType,
        params: Vec<u16>,
        codes: Option<Vec<i64>>,
        among: Option<Vec<i64>>,
        inner: Box<Condition>,
    },
    /// The resource refers by `params` to its patient, who passes `inner`; too many do to list them.
    OfPatient { params: Vec<u16>, inner: Box<Condition> },
}

/// What rows of an index table must hold; alternatives. No key at all never matches.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Keys {
    Token(Vec<TokenKey>),
    /// Targets; `patients` if all are of type Patient.
    Reference {
        targets: Vec<i64>,
        patients: bool,
    },
    Date(Vec<DateTest>),
    Number(Vec<NumberTest>),
    Quantity(Vec<QuantityKey>),
    String(Vec<StringTest>),
    Uri(Vec<UriTest>),
}

/// Code and system to find in `search_token`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TokenKey {
    /// Hash of the code; `None` for any code of the system.
    pub(super) code: Option<i64>,
    /// Hash of the system, 0 for none; `None` for any.
    pub(super) system: Option<i64>,
    /// Hash of the code in the form it was given, as composites hold it.
    pub(super) form: i64,
}

/// Range, code and unit to find in `search_quantity`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct QuantityKey {
    /// 0 for the value under any code.
    pub(super) code: i64,
    pub(super) number: NumberTest,
    pub(super) unit: Option<i64>,
    pub(super) system: Option<i64>,
}

impl Condition {
    /// The condition of index rows that the tests mean.
    pub(super) fn of_tests(params: &[u16], tests: &Tests, not: bool, key: &IndexKey) -> Self {
        Self::Index { params: params.to_vec(), keys: Keys::of(tests, key), not }
    }

    /// Codes that a resource must have one of to pass, if the condition is about the parameter.
    pub(super) fn codes_of(&self, param: u16) -> Option<Vec<i64>> {
        match self {
            Self::Index { params, keys: Keys::Token(keys), not: false } if *params == [param] => {
                keys.iter().map(|key| key.code).collect()
            }
            _ => None,
        }
    }

    /// Composites whose parts are read from the resource itself, taken apart: the tests of the parts
    /// say the same and each has its own index. Only a single pair can be taken apart.
    pub(super) fn parts_of(
        of: ResourceType,
        params: &[u16],
        tests: &Tests,
        key: &IndexKey,
    ) -> Option<[Self; 2]> {
        let Tests::TokenQuantity(pairs) = tests else { return None };
        let [(token, quantity)] = &pairs[..] else { return None };
        let [param] = params else { return None };
        let composite = root_composites(of).find(|composite| composite.param == *param)?;
        let token = Tests::Token(vec![token.clone()]);
        let quantity = Tests::Quantity(vec![quantity.clone()]);
        Some([
            Self::of_tests(&[composite.token], &token, false, key),
            Self::of_tests(&[composite.quantity], &quantity, false, key),
        ])
    }
}

impl Keys {
    fn of(tests: &Tests, key: &IndexKey) -> Self {
        match tests {
            Tests::Token(tests) => Self::Token(tests.iter().map(|t| token_key(t, key)).collect()),
            Tests::Reference(tests) => Self::Reference {
                targets: tests.iter().map(|test| reference_hash(test, key)).collect(),
                patients: tests.iter().all(is_patient),
            },
            Tests::Date(tests) => Self::Date(tests.clone()),
            Tests::Number(tests) => Self::Number(tests.clone()),
            Tests::Quantity(tests) => {
                Self::Quantity(tests.iter().map(|test| quantity_key(0, test, key)).collect())
            }
            Tests::String(tests) => Self::String(tests.clone()),
            Tests::Uri(tests) => Self::Uri(tests.clone()),
            Tests::TokenQuantity(pairs) => {
                let one = |(token, quantity): &(TokenTest, QuantityTest)| {
                    quantity_key(form_hash(token, key), quantity, key)
                };
                Self::Quantity(pairs.iter().map(one).collect())
            }
            Tests::TokenToken(pairs) => {
                let one = |(first, second): &(TokenTest, TokenTest)| {
                    let hash = pair_hash(form_hash(first, key), form_hash(second, key), key);
                    TokenKey { code: Some(hash), system: None, form: hash }
                };
                Self::Token(pairs.iter().map(one).collect())
            }
        }
    }

    /// Number of alternatives.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Token(keys) => keys.len(),
            Self::Reference { targets, .. } => targets.len(),
            Self::Date(keys) => keys.len(),
            Self::Number(keys) => keys.len(),
            Self::Quantity(keys) => keys.len(),
            Self::String(keys) => keys.len(),
            Self::Uri(keys) => keys.len(),
        }
    }

    pub(super) fn table(&self) -> Table {
        match self {
            Self::Token(_) => Table::Token,
            Self::Reference { .. } => Table::Reference,
            Self::Date(_) => Table::Date,
            Self::Number(_) => Table::Number,
            Self::Quantity(_) => Table::Quantity,
            Self::String(_) => Table::String,
            Self::Uri(_) => Table::Uri,
        }
    }
}

/// A composite of token and quantity whose parts are elements of the resource itself, so that it
/// says no more than its two parameters together.
pub(super) struct RootComposite {
    pub(super) param: u16,
    pub(super) token: u16,
    pub(super) quantity: u16,
}

/// The root composites of a type: `code-value-quantity` of Observation.
pub(super) fn root_composites(of: ResourceType) -> impl Iterator<Item = RootComposite> {
    let number = move |code: &str| {
        let params = index_params(of, search_param(of, code)?);
        <[u16; 1]>::try_from(params).ok().map(|[number]| number)
    };
    search_params(of).iter().filter(move |param| param.expression == of.name()).filter_map(
        move |param| {
            let [token, quantity] = param.components else { return None };
            if (token.kind, quantity.kind) != (ParamKind::Token, ParamKind::Quantity) {
                return None;
            }
            Some(RootComposite {
                param: number(param.code)?,
                token: number(token.code)?,
                quantity: number(quantity.code)?,
            })
        },
    )
}

/// Hash of a code in the form it is given: of the code, or of system and code.
pub(crate) fn form_hash(test: &TokenTest, key: &IndexKey) -> i64 {
    match test {
        TokenTest::SystemCode(system, code) => key.hash_parts(Domain::SystemCode, &[system, code]),
        TokenTest::Code(code) | TokenTest::NoSystem(code) => key.hash(Domain::Code, code),
        TokenTest::System(system) => key.hash(Domain::System, system),
        TokenTest::OfType(system, code, value) => {
            key.hash_parts(Domain::OfType, &[system, code, value])
        }
    }
}

/// Hash of a pair of codes of a composite.
pub(crate) fn pair_hash(first: i64, second: i64, key: &IndexKey) -> i64 {
    key.hash_parts(Domain::SystemCode, &[&first.to_string(), &second.to_string(), "$"])
}

fn token_key(test: &TokenTest, key: &IndexKey) -> TokenKey {
    let form = form_hash(test, key);
    let (code, system) = match test {
        TokenTest::Code(code) => (Some(key.hash(Domain::Code, code)), None),
        TokenTest::SystemCode(system, code) => {
            (Some(key.hash(Domain::Code, code)), Some(key.hash(Domain::System, system)))
        }
        TokenTest::NoSystem(code) => (Some(key.hash(Domain::Code, code)), Some(0)),
        TokenTest::System(_) => (None, Some(form)),
        TokenTest::OfType(..) => (Some(form), None),
    };
    TokenKey { code, system, form }
}

fn is_patient(test: &ReferenceTest) -> bool {
    matches!(test, ReferenceTest::Key(of, _) if *of == ResourceType::PATIENT)
}

fn reference_hash(test: &ReferenceTest, key: &IndexKey) -> i64 {
    match test {
        ReferenceTest::Key(of, id) => key.resource(of.name(), id),
        ReferenceTest::Url(url) => key.hash(Domain::Url, url),
        ReferenceTest::Identifier(None, value) => key.hash(Domain::LogicalReference, value),
        ReferenceTest::Identifier(Some(system), value) => {
            key.hash_parts(Domain::LogicalReference, &[system, value])
        }
    }
}

fn quantity_key(code: i64, test: &QuantityTest, key: &IndexKey) -> QuantityKey {
    QuantityKey {
        code,
        number: test.number,
        unit: test.unit.as_ref().map(|unit| key.hash(Domain::Unit, unit)),
        system: test.system.as_ref().map(|system| key.hash(Domain::System, system)),
    }
}

/// Bounds of the lower end of a regular date that may pass: first inclusive, second exclusive.
pub(super) fn regular_bounds(tests: &[DateTest]) -> (i64, i64) {
    use crate::index::param::REGULAR_US as LONG;
    let one = |test: &DateTest| {
        let (lo, hi) = (test.range.lo_us, test.range.hi_us);
        match test.prefix {
            SearchPrefix::Equal => (lo, hi),
            SearchPrefix::NotEqual => (i64::MIN, i64::MAX),
            SearchPrefix::Greater => (hi.saturating_sub(LONG), i64::MAX),
            SearchPrefix::GreaterOrEqual => (lo.min(hi.saturating_sub(LONG)), i64::MAX),
            SearchPrefix::Less => (i64::MIN, lo),
            SearchPrefix::LessOrEqual => (i64::MIN, lo.max(hi)),
            SearchPrefix::StartsAfter => (hi, i64::MAX),
            SearchPrefix::EndsBefore => (i64::MIN, lo),
            SearchPrefix::Approximate => (lo.saturating_sub(LONG), hi),
        }
    };
    let hull = |(a, b): (i64, i64), (c, d): (i64, i64)| (a.min(c), b.max(d));
    tests.iter().map(one).reduce(hull).unwrap_or((0, 0))
}
