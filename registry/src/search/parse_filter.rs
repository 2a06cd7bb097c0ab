//! One search parameter with its modifier and value → [`Filter`].
//!
//! Spec: FHIR R4 search § 3.1.1.4.3 (modifiers), 3.1.1.4.5 (prefixes), 3.1.1.4.6 to 3.1.1.4.17 (kinds),
//! chains and `_has` one level deep. An unknown name is `None`; an unknown modifier, a malformed value
//! and what the executor cannot do are errors that name the parameter.

use fhir::{
    Held, NumberRange, ParamKind, ResourceId, ResourceType, SearchParam, SearchPrefix, TimeRange,
    approximate_dates, approximate_number, fold, search_param, split_unescaped,
};

use super::clause::{
    DateTest, Filter, NumberTest, QuantityTest, ReferenceTest, StringTest, Table, Tests, TokenTest,
    UriTest,
};
use super::{parse_chain, supported};
use crate::error::ReadError;
use crate::index::indexed_text;
use crate::index::param::index_params;

/// What values are read against.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) base_url: &'a str,
    pub(super) now_us: i64,
}

/// The filter of `name=value` on type `of`; `None` for an unknown parameter.
pub(super) fn filter(
    of: ResourceType,
    name: &str,
    value: &str,
    context: &Context<'_>,
) -> Result<Option<Filter>, ReadError> {
    if let Some(rest) = name.strip_prefix("_has:") {
        return parse_chain::has(of, rest, value, context).map(Some);
    }
    if let Some((reference, rest)) = name.split_once('.') {
        return parse_chain::chain(of, reference, rest, value, context);
    }
    let (code, modifier) = match name.split_once(':') {
        Some((code, modifier)) => (code, Some(modifier)),
        None => (name, None),
    };
    let Some(param) = search_param(of, code) else { return Ok(None) };
    Field { of, param, name, context }.filter(modifier, value).map(Some)
}

fn uri(text: &str) -> String {
    indexed_text(&unescape(text)).to_owned()
}

fn unescape(text: &str) -> String {
    fhir::unescape(text).into_owned()
}

/// One parameter as it stands in the query.
struct Field<'a> {
    of: ResourceType,
    param: &'static SearchParam,
    name: &'a str,
    context: &'a Context<'a>,
}

impl Field<'_> {
    fn filter(&self, modifier: Option<&str>, value: &str) -> Result<Filter, ReadError> {
        if value.is_empty() {
            return Err(self.wrong("has no value"));
        }
        if !supported::is_supported(self.param) {
            return Err(self.unsupported("is not supported"));
        }
        if let Some(modifier) = modifier
            && !supported::modifiers(self.param).contains(&modifier)
            && (self.param.kind != ParamKind::Reference || ResourceType::parse(modifier).is_none())
        {
            return Err(self.unsupported(&format!("modifier :{modifier} is not supported")));
        }
        let values = split_unescaped(value, ',');
        if values.len() > OR_VALUES_MAX {
            let text = format!("{}: more than {OR_VALUES_MAX} values", self.name);
            return Err(ReadError::TooCostly(text));
        }
        if self.param.held == Held::InResource {
            return self.own_column(&values);
        }
        let params = index_params(self.of, self.param);
        if modifier == Some("missing") {
            let missing = match value {
                "true" => true,
                "false" => false,
                _ => return Err(self.wrong("must be true or false")),
            };
            return Ok(Filter::Missing { params, table: self.table()?, missing });
        }
        let tests = self.tests(modifier, &values)?;
        Ok(Filter::Value { params, tests, not: modifier == Some("not") })
    }

    fn own_column(&self, values: &[&str]) -> Result<Filter, ReadError> {
        if self.param.code == "_id" {
            return Ok(Filter::Id(values.iter().map(|value| unescape(value)).collect()));
        }
        Ok(Filter::LastUpdated(self.each(values, |value| self.date(value))?))
    }

    fn tests(&self, modifier: Option<&str>, values: &[&str]) -> Result<Tests, ReadError> {
        let kind = self.param.kind;
        let typed = modifier.and_then(ResourceType::parse);
        Ok(match (kind, modifier) {
            (ParamKind::Token, None | Some("not")) => {
                Tests::Token(self.each(values, |value| self.token(value))?)
            }
            (ParamKind::Token, Some(_)) => {
                Tests::Token(self.each(values, |value| self.of_type(value))?)
            }
            (ParamKind::Reference, None) => self.references(values, None)?,
            (ParamKind::Reference, Some("identifier")) => {
                Tests::Reference(self.each(values, |value| self.logical_reference(value))?)
            }
            (ParamKind::Reference, Some(_)) => self.references(values, typed)?,
            (ParamKind::Date, _) => Tests::Date(self.each(values, |value| self.date(value))?),
            (ParamKind::Number, _) => Tests::Number(self.each(values, |value| self.number(value))?),
            (ParamKind::Quantity, _) => {
                Tests::Quantity(self.each(values, |value| self.quantity(value))?)
            }
            (ParamKind::String, _) => {
                Tests::String(self.each(values, |value| self.string(modifier, value))?)
            }
            (ParamKind::Uri, None) => {
                Tests::Uri(values.iter().map(|value| UriTest::Exact(uri(value))).collect())
            }
            (ParamKind::Uri, Some(_)) => {
                Tests::Uri(values.iter().map(|value| UriTest::Below(uri(value))).collect())
            }
            (ParamKind::Composite | ParamKind::Special, _) => self.composites(values)?,
        })
    }

    fn table(&self) -> Result<Table, ReadError> {
        Ok(match self.param.kind {
            ParamKind::Token => Table::Token,
            ParamKind::Reference => Table::Reference,
            ParamKind::Date => Table::Date,
            ParamKind::Number => Table::Number,
            ParamKind::Quantity => Table::Quantity,
            ParamKind::String => Table::String,
            ParamKind::Uri => Table::Uri,
            _ => return Err(self.unsupported("modifier :missing is not supported")),
        })
    }

    fn token(&self, text: &str) -> Result<TokenTest, ReadError> {
        let parts: Vec<_> = split_unescaped(text, '|').into_iter().map(unescape).collect();
        match <[String; 2]>::try_from(parts) {
            Ok([system, code]) if system.is_empty() && !code.is_empty() => {
                Ok(TokenTest::NoSystem(code))
            }
            Ok([system, code]) if code.is_empty() && !system.is_empty() => {
                Ok(TokenTest::System(system))
            }
            Ok([system, code]) if !system.is_empty() => Ok(TokenTest::SystemCode(system, code)),
            Err(parts) if parts.len() == 1 && !parts[0].is_empty() => {
                Ok(TokenTest::Code(parts.into_iter().next().unwrap_or_default()))
            }
            _ => Err(self.wrong("must be code, system|code, system| or |code")),
        }
    }

    fn of_type(&self, text: &str) -> Result<TokenTest, ReadError> {
        let parts: Vec<_> = split_unescaped(text, '|').into_iter().map(unescape).collect();
        match <[String; 3]>::try_from(parts) {
            Ok([system, code, value]) if !code.is_empty() && !value.is_empty() => {
                Ok(TokenTest::OfType(system, code, value))
            }
            _ => Err(self.wrong("must be type-system|type-code|value")),
        }
    }

    /// References as given; an ambiguous bare id means any of the parameter's types.
    fn references(&self, values: &[&str], typed: Option<ResourceType>) -> Result<Tests, ReadError> {
        if typed.is_some_and(|typed| !self.param.targets.contains(&typed)) {
            return Err(self.wrong("the reference never has this type"));
        }
        let only = match self.param.held {
            Held::InParam { only, .. } => only.or(typed),
            _ => typed,
        };
        let mut tests = Vec::new();
        for value in values {
            self.reference(&unescape(value), only, &mut tests)?;
        }
        Ok(Tests::Reference(tests))
    }

    fn reference(
        &self,
        text: &str,
        only: Option<ResourceType>,
        tests: &mut Vec<ReferenceTest>,
    ) -> Result<(), ReadError> {
        let base = self.context.base_url;
        let local = text.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
        let local = local.filter(|_| !base.is_empty()).unwrap_or(text);
        let versionless = local.split_once("/_history/").map_or(local, |(key, _)| key);
        if let Some((type_name, id)) = versionless.split_once('/')
            && let Some(of) = ResourceType::parse(type_name)
            && ResourceId::parse(id).is_ok()
        {
            if only.is_none_or(|only| only == of) {
                tests.push(ReferenceTest::Key(of, id.to_owned()));
            }
            return Ok(());
        }
        if local.contains(':') {
            tests.push(ReferenceTest::Url(local.to_owned()));
            return Ok(());
        }
        if ResourceId::parse(local).is_err() {
            return Err(self.wrong("must be an id, Type/id or an absolute URL"));
        }
        let targets = self.param.targets.iter().copied();
        let targets: Vec<_> = targets.filter(|of| only.is_none_or(|only| only == *of)).collect();
        if targets.len() > BARE_ID_TYPES_MAX {
            return Err(self.wrong("ambiguous: name the type as in Patient/1"));
        }
        tests.extend(targets.into_iter().map(|of| ReferenceTest::Key(of, local.to_owned())));
        Ok(())
    }

    fn logical_reference(&self, text: &str) -> Result<ReferenceTest, ReadError> {
        match self.token(text)? {
            TokenTest::Code(value) => Ok(ReferenceTest::Identifier(None, value)),
            TokenTest::NoSystem(value) => Ok(ReferenceTest::Identifier(Some(String::new()), value)),
            TokenTest::SystemCode(system, value) => {
                Ok(ReferenceTest::Identifier(Some(system), value))
            }
            _ => Err(self.wrong("must be value or system|value")),
        }
    }

    fn date(&self, text: &str) -> Result<DateTest, ReadError> {
        let (prefix, text) = SearchPrefix::split(text);
        let range = TimeRange::parse(text).ok_or_else(|| self.wrong("is not a date"))?;
        let range = match prefix {
            SearchPrefix::Approximate => approximate_dates(range, self.context.now_us),
            _ => range,
        };
        Ok(DateTest { prefix, range })
    }

    fn number(&self, text: &str) -> Result<NumberTest, ReadError> {
        let (prefix, text) = SearchPrefix::split(text);
        let range = NumberRange::of_search_text(text);
        let range = range.ok_or_else(|| self.wrong("is not a number"))?;
        let range = match prefix {
            SearchPrefix::Approximate => approximate_number(range),
            _ => range,
        };
        Ok(NumberTest { prefix, range })
    }

    fn quantity(&self, text: &str) -> Result<QuantityTest, ReadError> {
        let parts = split_unescaped(text, '|');
        let number = self.number(parts[0])?;
        let part = |at: usize| {
            let text = parts.get(at).copied().filter(|text| !text.is_empty());
            text.map(unescape)
        };
        match parts.len() {
            1 | 3 => Ok(QuantityTest { number, system: part(1), unit: part(2) }),
            _ => Err(self.wrong("must be number or number|system|code")),
        }
    }

    fn string(&self, modifier: Option<&str>, text: &str) -> Result<StringTest, ReadError> {
        let text = unescape(text);
        if modifier == Some("exact") {
            return Ok(StringTest::Exact(text));
        }
        let folded = indexed_text(&fold(&text)).to_owned();
        if folded.is_empty() {
            return Err(self.wrong("has no value"));
        }
        Ok(match modifier {
            Some(_) => StringTest::Contains(folded),
            None => StringTest::Prefix(folded),
        })
    }

    fn composites(&self, values: &[&str]) -> Result<Tests, ReadError> {
        let kinds: Vec<_> = self.param.components.iter().map(|part| part.kind).collect();
        let parts = |value: &&str| {
            let parts = split_unescaped(value, '$');
            match parts[..] {
                [first, second] => Ok((first.to_owned(), second.to_owned())),
                _ => Err(self.wrong("must be two values joined by $")),
            }
        };
        match kinds[..] {
            [ParamKind::Token, ParamKind::Quantity] => {
                let pair = |value: &&str| {
                    let (first, second) = parts(value)?;
                    Ok((self.composite_code(&first)?, self.quantity(&second)?))
                };
                Ok(Tests::TokenQuantity(values.iter().map(pair).collect::<Result<_, ReadError>>()?))
            }
            [ParamKind::Token, ParamKind::Token] => {
                let pair = |value: &&str| {
                    let (first, second) = parts(value)?;
                    Ok((self.composite_code(&first)?, self.composite_code(&second)?))
                };
                Ok(Tests::TokenToken(values.iter().map(pair).collect::<Result<_, ReadError>>()?))
            }
            _ => Err(self.unsupported("is not supported")),
        }
    }

    fn composite_code(&self, text: &str) -> Result<TokenTest, ReadError> {
        match self.token(text)? {
            test @ (TokenTest::Code(_) | TokenTest::SystemCode(..)) => Ok(test),
            _ => Err(self.unsupported("takes code or system|code only")),
        }
    }

    fn each<T>(
        &self,
        values: &[&str],
        one: impl Fn(&str) -> Result<T, ReadError>,
    ) -> Result<Vec<T>, ReadError> {
        values.iter().map(|value| one(value)).collect()
    }

    fn wrong(&self, why: &str) -> ReadError {
        ReadError::Invalid(format!("search parameter {}: {why}", self.name))
    }

    fn unsupported(&self, why: &str) -> ReadError {
        ReadError::Unsupported(format!("search parameter {}: {why}", self.name))
    }
}

/// Values that one parameter may list.
pub const OR_VALUES_MAX: usize = 2_000;
/// Types that a bare id may mean.
const BARE_ID_TYPES_MAX: usize = 20;
