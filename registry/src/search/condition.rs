//! Filters as the tables can answer them: values hashed, chains and `_has` resolved.
//!
//! Not here: how a condition reads in SQL (`arm` as the leading table, `probe` as a test of a row).

use fhir::{CanonicalUnit, ResourceType, SearchPrefix};

use super::clause::{
    DateTest, NearTest, NumberTest, QuantityTest, ReferenceTest, Rest, StringTest, Table, Tests,
    TokenTest, UriTest,
};
use super::words::WordQuery;
use crate::hash::{Domain, IndexKey};
use crate::index::param::{CANONICAL, root_composites};
use crate::index::{
    SAMPLED, canonical_hash, is_ucum, pair_hash, qualified_hash, system_hash, under_form,
};

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
    /// Terms in the words of the resource, or with `not` their absence.
    Words { query: WordQuery, narrative: bool, not: bool },
    /// Presence of rows.
    Missing { params: Vec<u16>, missing: bool },
    /// Each of these, all about presence: the set of what is present is one of those that pass.
    Sets { sets: Vec<i64>, each: Vec<Condition> },
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
    /// The resource refers by `params` to one of a type with its condition; too many pass it to list them.
    Refers { params: Vec<u16>, targets: Vec<(ResourceType, Condition)> },
    /// One of these.
    Any(Vec<Condition>),
    /// Each of these.
    All(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
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
    Near(Vec<NearTest>),
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
    pub(super) measure: Measure,
    pub(super) unit: Option<i64>,
    /// Of the unit; of the code in rows of canonical units.
    pub(super) system: Option<i64>,
    /// In the canonical unit.
    pub(super) canonical: bool,
    /// With sampled data, where rows are read under a code.
    pub(super) sampled: bool,
}

/// How the range of a row of `search_quantity` is tested.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    Number(NumberTest),
    /// The range is one of time.
    Date(DateTest),
    /// The range is two numbers, one for each end.
    Numbers(NumberTest, NumberTest),
}

impl QuantityKey {
    /// Where the rows of a parameter are that the key is about.
    pub(super) fn param(&self, param: u16) -> u16 {
        if self.canonical { param | CANONICAL } else { param }
    }

    /// The key for the value of one code.
    pub(super) fn under(self, token: &TokenKey) -> Self {
        match token.code {
            Some(code) if self.canonical => Self { code, system: token.system, ..self },
            _ => Self { code: token.form, ..self },
        }
    }
}

impl Condition {
    /// The condition of index rows that the tests mean.
    pub(super) fn of_tests(params: &[u16], tests: &Tests, not: bool, key: &IndexKey) -> Self {
        Self::Index { params: params.to_vec(), keys: Keys::of(tests, key), not }
    }

    /// Whether the rows that can pass are known, though each must still be probed.
    pub(super) fn is_among(&self) -> bool {
        matches!(self, Self::ReferredBy { among: Some(_), .. })
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
    ) -> Option<Vec<Self>> {
        let Tests::Composite(pairs) = tests else { return None };
        let [(token, Rest::Quantity(quantity))] = &pairs[..] else { return None };
        let [param] = params else { return None };
        let composite = root_composites(of).find(|composite| composite.param == *param)?;
        let token = Tests::Token(vec![token.clone()]);
        let quantity = Tests::Quantity(vec![quantity.clone()]);
        Some(vec![
            Self::of_tests(&[composite.token], &token, false, key),
            Self::of_tests(&[composite.quantity], &quantity, false, key),
            Self::unsampled(composite.param),
        ])
    }

    /// The value is not `SampledData`, which a composite of a quantity leaves out.
    pub(super) fn unsampled(composite: u16) -> Self {
        let key = TokenKey { code: Some(SAMPLED), system: None, form: SAMPLED };
        Self::Index { params: vec![composite], keys: Keys::Token(vec![key]), not: true }
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
                Self::Quantity(tests.iter().map(|test| quantity_key(test, key)).collect())
            }
            Tests::String(tests) => Self::String(tests.clone()),
            Tests::Uri(tests) => Self::Uri(tests.clone()),
            Tests::Near(tests) => Self::Near(tests.clone()),
            Tests::Composite(pairs) => Self::of_pairs(pairs, key),
        }
    }

    /// All pairs of a composite have the same kinds.
    fn of_pairs(pairs: &[(TokenTest, Rest)], key: &IndexKey) -> Self {
        let (mut tokens, mut ranges, mut strings) = (Vec::new(), Vec::new(), Vec::new());
        for (first, rest) in pairs {
            let first = token_key(first, key);
            let mut pair = |other| {
                let hash = pair_hash(first.form, other, key);
                tokens.push(TokenKey { code: Some(hash), system: None, form: hash });
            };
            match rest {
                Rest::Token(other) => pair(form_hash(other, key)),
                Rest::Reference(other) => pair(reference_hash(other, key)),
                Rest::Quantity(test) => ranges.push(quantity_key(test, key).under(&first)),
                Rest::Date(test) => ranges.push(range_key(first.form, Measure::Date(*test))),
                Rest::Numbers(start, end) => {
                    ranges.push(range_key(first.form, Measure::Numbers(*start, *end)));
                }
                Rest::String(StringTest::Prefix(text)) => {
                    strings.push(StringTest::Prefix(under_form(first.form, text)));
                }
                Rest::String(_) => {}
            }
        }
        match pairs.first() {
            Some((_, Rest::Token(_) | Rest::Reference(_))) => Self::Token(tokens),
            Some((_, Rest::String(_))) => Self::String(strings),
            _ => Self::Quantity(ranges),
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
            Self::Near(keys) => keys.len(),
        }
    }

    pub(super) fn table(&self) -> Table {
        match self {
            Self::Token(_) => Table::Token,
            Self::Reference { .. } => Table::Reference,
            Self::Date(_) => Table::Date,
            Self::Number(_) => Table::Number,
            Self::Quantity(_) | Self::Near(_) => Table::Quantity,
            Self::String(_) => Table::String,
            Self::Uri(_) => Table::Uri,
        }
    }
}

/// Hash of a code in the form it is given, as composites hold it.
fn form_hash(test: &TokenTest, key: &IndexKey) -> i64 {
    match test {
        TokenTest::Code(code) => key.hash(Domain::Code, code),
        TokenTest::SystemCode(system, code) => qualified_hash(system, code, key),
        TokenTest::NoSystem(code) => qualified_hash("", code, key),
        TokenTest::System(system) => system_hash(system, key),
        TokenTest::OfType(system, code, value) => {
            key.hash_parts(Domain::OfType, &[system, code, value])
        }
    }
}

fn token_key(test: &TokenTest, key: &IndexKey) -> TokenKey {
    let form = form_hash(test, key);
    let (code, system) = match test {
        TokenTest::Code(_) | TokenTest::OfType(..) => (Some(form), None),
        TokenTest::SystemCode(system, code) => {
            (Some(key.hash(Domain::Code, code)), Some(key.hash(Domain::System, system)))
        }
        TokenTest::NoSystem(code) => (Some(key.hash(Domain::Code, code)), Some(0)),
        TokenTest::System(system) => (None, Some(key.hash(Domain::System, system))),
    };
    TokenKey { code, system, form }
}

fn is_patient(test: &ReferenceTest) -> bool {
    matches!(test, ReferenceTest::Key(of, _) if *of == ResourceType::PATIENT)
}

pub(super) fn reference_hash(test: &ReferenceTest, key: &IndexKey) -> i64 {
    match test {
        // What stands above or below it is looked up before (`tree`).
        ReferenceTest::Key(of, id) | ReferenceTest::Tree(of, id, _) => key.resource(of.name(), id),
        ReferenceTest::Url(url) => key.hash(Domain::Url, url),
        ReferenceTest::Identifier(None, value) => key.hash(Domain::LogicalReference, value),
        ReferenceTest::Identifier(Some(system), value) => {
            key.hash_parts(Domain::LogicalReference, &[system, value])
        }
    }
}

/// A UCUM unit is looked for by what it measures; another one as it is written.
fn quantity_key(test: &QuantityTest, key: &IndexKey) -> QuantityKey {
    let ucum = test.unit.as_deref().filter(|_| is_ucum(test.system.as_deref()));
    if let Some(unit) = ucum.and_then(CanonicalUnit::parse) {
        let NumberTest { prefix, range } = test.number;
        let measure = Measure::Number(NumberTest { prefix, range: unit.range(&range) });
        let unit = Some(canonical_hash(&unit, key));
        return QuantityKey { unit, canonical: true, ..range_key(0, measure) };
    }
    QuantityKey {
        unit: test.unit.as_ref().map(|unit| key.hash(Domain::Unit, unit)),
        system: test.system.as_ref().map(|system| key.hash(Domain::System, system)),
        ..range_key(0, Measure::Number(test.number))
    }
}

fn range_key(code: i64, measure: Measure) -> QuantityKey {
    QuantityKey { code, measure, unit: None, system: None, canonical: false, sampled: false }
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
            SearchPrefix::Contains => (hi.saturating_sub(LONG), lo.saturating_add(1)),
        }
    };
    let hull = |(a, b): (i64, i64), (c, d): (i64, i64)| (a.min(c), b.max(d));
    tests.iter().map(one).reduce(hull).unwrap_or((0, 0))
}
