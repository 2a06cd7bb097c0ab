//! The comparison operators of `_filter` on one parameter → [`Filter`].
//!
//! Spec: FHIR R4 search_filter.html, tables of the operators and of their meaning by type of parameter. What is `n/a`
//! there is refused by name; choices are in `docs/search.md`. A value is one value: commas join nothing. Tokens,
//! quantities and composites have the forms of ordinary search, with its escapes; other values are taken as they are.
//! Not here: paths (`parse_expression`), the text (`expression`).

use std::borrow::Cow;

use fhir::{Held, NumberRange, ParamKind, SearchParam, SearchPrefix, TimeRange, fold};

use super::clause::{DateTest, Filter, NumberTest, StringTest, Tests, UriTest};
use super::parse_filter::Field;
use super::supported;
use crate::error::ReadError;
use crate::index::indexed_text;
use crate::index::param::index_params;

/// Operators that `_filter` takes on the parameter; without an own meaning on the kind there are none.
pub(super) fn operators(param: &SearchParam) -> &'static [&'static str] {
    match (param.held, param.kind) {
        (Held::InResource, ParamKind::Token) => &["eq", "ne", "pr"],
        (Held::InText, _) => &[],
        (_, ParamKind::Special) if supported::is_position(param) => &["eq", "pr"],
        (_, kind) => of_kind(kind),
    }
}

/// Operators by the kind of a parameter.
pub(super) fn of_kind(kind: ParamKind) -> &'static [&'static str] {
    match kind {
        ParamKind::String => &["eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "pr"],
        ParamKind::Number => &["eq", "ne", "co", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr"],
        ParamKind::Date => {
            &["eq", "ne", "co", "gt", "lt", "ge", "le", "ap", "sa", "eb", "po", "pr"]
        }
        ParamKind::Token => &["eq", "ne", "ss", "sb", "in", "ni", "pr"],
        ParamKind::Reference => &["re", "pr"],
        ParamKind::Quantity => &["eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr"],
        ParamKind::Uri => &["eq", "ne", "co", "sw", "ew", "pr"],
        ParamKind::Composite => &["eq"],
        ParamKind::Special => &[],
    }
}

impl Field<'_> {
    /// The filter of `parameter operator value`.
    pub(super) fn compared(&self, operator: &str, value: &str) -> Result<Filter, ReadError> {
        if !supported::is_supported(self.param) {
            return Err(self.unsupported("is not supported"));
        }
        let taken = operators(self.param);
        if !taken.contains(&operator) {
            let text =
                format!("operator {operator} is not defined for it, it takes {}", list(taken));
            return Err(self.unsupported(&text));
        }
        if operator == "pr" {
            return self.is_present(value);
        }
        if self.param.held == Held::InResource {
            return self.of_resource(operator, value);
        }
        let not = operator == "ni";
        let tests = match self.param.kind {
            ParamKind::Token => match operator {
                "in" => self.coded("in", &[value])?,
                "ni" => self.coded("not-in", &[value])?,
                "ss" => self.coded("below", &[&named_system(value)])?,
                "sb" => self.coded("above", &[&named_system(value)])?,
                _ => Tests::Token(self.codes(&[&named_system(value)])?),
            },
            ParamKind::String => Tests::String(vec![self.text(operator, value)?]),
            ParamKind::Uri => Tests::Uri(vec![uri(operator, value)]),
            ParamKind::Date => Tests::Date(vec![self.time(operator, value)?]),
            ParamKind::Number => Tests::Number(vec![self.amount(operator, value)?]),
            ParamKind::Quantity => {
                let text = format!("{operator}{}", named_system_of_unit(value));
                self.tests(None, &[&text])?
            }
            _ => self.tests(None, &[value])?,
        };
        let params = index_params(self.of, self.param);
        if operator == "ne" && self.param.kind == ParamKind::Token {
            let present = Filter::Missing { params: self.listed_params(), missing: false };
            return Ok(Filter::All(vec![present, Filter::Value { params, tests, not: true }]));
        }
        if let Some(each) = self.apart(&params, &tests) {
            return Ok(Filter::Any(each));
        }
        Ok(Filter::Value { params, tests, not })
    }

    fn is_present(&self, value: &str) -> Result<Filter, ReadError> {
        let present = match value {
            "true" => true,
            "false" => false,
            _ => return Err(self.wrong("pr must be true or false")),
        };
        if self.param.held != Held::InResource {
            return Ok(Filter::Missing { params: self.listed_params(), missing: !present });
        }
        // Every resource has an id and a time.
        Ok(if present { Filter::All(Vec::new()) } else { Filter::Any(Vec::new()) })
    }

    /// `_id` and `_lastUpdated`.
    fn of_resource(&self, operator: &str, value: &str) -> Result<Filter, ReadError> {
        if self.param.kind == ParamKind::Date {
            return Ok(Filter::LastUpdated(vec![self.time(operator, value)?]));
        }
        let own = Filter::Id(vec![value.to_owned()]);
        Ok(if operator == "ne" { Filter::Not(Box::new(own)) } else { own })
    }

    fn text(&self, operator: &str, value: &str) -> Result<StringTest, ReadError> {
        let folded = indexed_text(&fold(value)).to_owned();
        if folded.is_empty() {
            return Err(self.wrong("has no value"));
        }
        Ok(match operator {
            "eq" => StringTest::Equal(folded),
            "ne" => StringTest::Unequal(folded),
            "co" => StringTest::Contains(folded),
            "sw" => StringTest::Prefix(folded),
            "ew" => StringTest::Suffix(folded),
            other => StringTest::Order(SearchPrefix::split(other).0, folded),
        })
    }

    /// Prefixes mean the same; `co` and `po` are of `_filter` alone.
    fn time(&self, operator: &str, value: &str) -> Result<DateTest, ReadError> {
        let range: Option<TimeRange> = TimeRange::parse(value);
        let range = range.ok_or_else(|| self.wrong("is not a date such as 2021-03-01"))?;
        match operator {
            "co" => Ok(DateTest { prefix: SearchPrefix::Contains, range }),
            // Without the margin of `ap`: they overlap.
            "po" => Ok(DateTest { prefix: SearchPrefix::Approximate, range }),
            _ => self.date(&format!("{operator}{value}")),
        }
    }

    fn amount(&self, operator: &str, value: &str) -> Result<NumberTest, ReadError> {
        let range: Option<NumberRange> = NumberRange::of_search_text(value);
        let range = range.ok_or_else(|| self.wrong("is not a number such as 5.4"))?;
        match operator {
            "co" => Ok(NumberTest { prefix: SearchPrefix::Contains, range }),
            _ => self.number(&format!("{operator}{value}")),
        }
    }
}

fn uri(operator: &str, value: &str) -> UriTest {
    let text = indexed_text(value).to_owned();
    match operator {
        "ne" => UriTest::Unequal(text),
        "co" => UriTest::Contains(text),
        "sw" => UriTest::Prefix(text),
        "ew" => UriTest::Suffix(text),
        _ => UriTest::Exact(text),
    }
}

/// `loinc|1` for `http://loinc.org|1`.
fn named_system(value: &str) -> Cow<'_, str> {
    let Some((name, rest)) = value.split_once('|') else { return value.into() };
    system_of(name).map_or_else(|| value.into(), |url| format!("{url}|{rest}").into())
}

/// `5|ucum|mg` for `5|http://unitsofmeasure.org|mg`.
fn named_system_of_unit(value: &str) -> Cow<'_, str> {
    let Some((number, rest)) = value.split_once('|') else { return value.into() };
    format!("{number}|{}", named_system(rest)).into()
}

fn system_of(name: &str) -> Option<&'static str> {
    NAMED_SYSTEMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, url)| *url)
}

/// Words in a sentence.
pub(super) fn list(words: &[&str]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

/// Kinds of parameters with the operators of each, for people.
pub fn filter_operators() -> String {
    let kinds = [
        ParamKind::String,
        ParamKind::Token,
        ParamKind::Reference,
        ParamKind::Date,
        ParamKind::Number,
        ParamKind::Quantity,
        ParamKind::Uri,
        ParamKind::Composite,
    ];
    let one = |kind: &ParamKind| format!("{}: {}", kind.code(), list(of_kind(*kind)));
    kinds.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Namespaces that a filter may call by their name.
const NAMED_SYSTEMS: [(&str, &str); 4] = [
    ("loinc", "http://loinc.org"),
    ("snomed", "http://snomed.info/sct"),
    ("rxnorm", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    ("ucum", "http://unitsofmeasure.org"),
];
