//! Values of each kind of parameter → tests.
//!
//! Spec: FHIR R4 search § 3.1.1.4.5 (prefixes; other kinds take the letters as they are), 3.1.1.4.6 to 3.1.1.4.14
//! (kinds), 3.1.1.4.3 (escapes: values are split first and unescaped last). Composites join their components
//! by `$`; modifiers are not used on them.
//! Not here: modifiers that are no values (`parse_filter`), hashes (`condition`).

use std::cell::LazyCell;

use fhir::{
    DateQuery, Held, NumberRange, ParamKind, ResourceId, ResourceType, SearchParam, SearchPrefix,
    approximate_dates, approximate_number, fold, split_unescaped,
};

use super::clause::{
    DateTest, NumberTest, QuantityTest, ReferenceTest, Rest, StringTest, Tests, TokenTest, UriTest,
};
use super::in_force::search_param;
use super::parse_filter::Field;
use super::tree::{TreeWay, part_of};
use crate::error::ReadError;
use crate::index::indexed_text;

impl Field<'_> {
    /// Tests of a parameter that stands without a modifier, or with one that changes how values are read.
    pub(super) fn tests(
        &self,
        modifier: Option<&str>,
        values: &[&str],
    ) -> Result<Tests, ReadError> {
        Ok(match (self.param.kind, modifier) {
            (ParamKind::Token, None | Some("not")) => Tests::Token(self.codes(values)?),
            (ParamKind::Token, Some("of-type")) => {
                Tests::Token(self.each(values, |value| self.of_type(value))?)
            }
            (ParamKind::Token, Some(_)) => {
                Tests::String(self.each(values, |value| self.string(None, value))?)
            }
            (ParamKind::Reference, Some("identifier")) => {
                Tests::Reference(self.each(values, |value| self.logical_reference(value))?)
            }
            (ParamKind::Reference, Some(way @ ("above" | "below"))) => {
                let way = if way == "above" { TreeWay::Above } else { TreeWay::Below };
                let found = self.references(values, None)?.into_iter();
                Tests::Reference(found.map(|test| in_tree(test, way)).collect())
            }
            (ParamKind::Reference, typed) => {
                Tests::Reference(self.references(values, typed.and_then(ResourceType::parse))?)
            }
            (ParamKind::Date, _) => Tests::Date(self.each(values, |value| self.date(value))?),
            (ParamKind::Number, _) => Tests::Number(self.each(values, |value| self.number(value))?),
            (ParamKind::Quantity, _) => {
                Tests::Quantity(self.each(values, |value| self.quantity(value))?)
            }
            (ParamKind::String, _) => {
                Tests::String(self.each(values, |value| self.string(modifier, value))?)
            }
            (ParamKind::Uri, _) => {
                let mut tests = Vec::with_capacity(values.len());
                for value in values {
                    self.uri(modifier, value, &mut tests)?;
                }
                Tests::Uri(tests)
            }
            (ParamKind::Special, _) => Tests::Near(self.each(values, |value| self.near(value))?),
            (ParamKind::Composite, _) => self.composites(values)?,
        })
    }

    /// Tokens that the elements may have: the codes of a truth value are `true` and `false`.
    pub(super) fn codes(&self, values: &[&str]) -> Result<Vec<TokenTest>, ReadError> {
        let is_boolean = LazyCell::new(|| fhir::is_boolean(self.of, self.param));
        self.each(values, |value| match self.token(value)? {
            TokenTest::Code(code) if !matches!(code.as_str(), "true" | "false") && *is_boolean => {
                Err(self.wrong("must be true or false"))
            }
            test => Ok(test),
        })
    }

    pub(super) fn token(&self, text: &str) -> Result<TokenTest, ReadError> {
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

    /// All three parts must be present.
    fn of_type(&self, text: &str) -> Result<TokenTest, ReadError> {
        let parts: Vec<_> = split_unescaped(text, '|').into_iter().map(unescape).collect();
        match <[String; 3]>::try_from(parts) {
            Ok([system, code, value])
                if [&system, &code, &value].iter().all(|part| !part.is_empty()) =>
            {
                Ok(TokenTest::OfType(system, code, value))
            }
            _ => Err(self.wrong("must be type-system|type-code|value")),
        }
    }

    /// References as given; an ambiguous bare id means any of the parameter's types.
    fn references(
        &self,
        values: &[&str],
        typed: Option<ResourceType>,
    ) -> Result<Vec<ReferenceTest>, ReadError> {
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
        Ok(tests)
    }

    fn reference(
        &self,
        text: &str,
        only: Option<ResourceType>,
        tests: &mut Vec<ReferenceTest>,
    ) -> Result<(), ReadError> {
        let below = fhir::below_base(text, self.context.base_url);
        let local = below.unwrap_or(text);
        let key = local.split_once("/_history/").map_or(local, |(key, _)| key);
        if let Some((type_name, id)) = key.split_once('/')
            && let Some(of) = ResourceType::parse(type_name)
            && ResourceId::parse(id).is_ok()
        {
            if only.is_none_or(|only| only == of) {
                tests.push(ReferenceTest::Key(of, id.to_owned()));
            }
            if below.is_some() {
                // A canonical below our own base is an absolute URL in the index.
                tests.push(ReferenceTest::Url(text.to_owned()));
            }
            return Ok(());
        }
        // Also what is below a base and no resource there, such as a named page.
        if text.contains(':') {
            let versionless = text.split_once("/_history/").map_or(text, |(url, _)| url);
            if only.is_none_or(|only| may_be(only, versionless)) {
                tests.push(ReferenceTest::Url(versionless.to_owned()));
            }
            return Ok(());
        }
        if ResourceId::parse(text).is_err() {
            return Err(self.wrong("must be an id, Type/id or an absolute URL"));
        }
        let targets = self.param.targets.iter().copied();
        let targets: Vec<_> = targets.filter(|of| only.is_none_or(|only| only == *of)).collect();
        if targets.len() > BARE_ID_TYPES_MAX {
            return Err(self.wrong("ambiguous: name the type as in Patient/1"));
        }
        tests.extend(targets.into_iter().map(|of| ReferenceTest::Key(of, text.to_owned())));
        Ok(())
    }

    fn logical_reference(&self, text: &str) -> Result<ReferenceTest, ReadError> {
        match self.token(text)? {
            TokenTest::Code(value) => Ok(ReferenceTest::Identifier(None, value)),
            TokenTest::NoSystem(value) => Ok(ReferenceTest::Identifier(Some(String::new()), value)),
            TokenTest::SystemCode(system, value) => {
                Ok(ReferenceTest::Identifier(Some(system), value))
            }
            _ => Err(self.wrong("must be value, system|value or |value")),
        }
    }

    pub(super) fn date(&self, text: &str) -> Result<DateTest, ReadError> {
        let DateQuery { prefix, range } = DateQuery::parse(text)
            .map_err(|_| self.wrong("is not a date such as 2021-03-01 or ge2021-03"))?;
        let range = match prefix {
            SearchPrefix::Approximate => approximate_dates(range, self.context.now_us),
            _ => range,
        };
        Ok(DateTest { prefix, range })
    }

    pub(super) fn number(&self, text: &str) -> Result<NumberTest, ReadError> {
        let (prefix, text) = SearchPrefix::split(text);
        let range = NumberRange::of_search_text(text);
        let range = range.ok_or_else(|| self.wrong("is not a number such as 5.4 or gt100"))?;
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
            _ => Err(self.wrong("must be number, number|system|code or number||code")),
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

    /// `:above` lists the uri and every shorter one that ends where a segment of its path does.
    fn uri(
        &self,
        modifier: Option<&str>,
        value: &str,
        tests: &mut Vec<UriTest>,
    ) -> Result<(), ReadError> {
        let text = unescape(value);
        let uri = indexed_text(&text);
        match modifier {
            None => tests.push(UriTest::Exact(uri.to_owned())),
            Some("below") => tests.push(UriTest::Below(uri.to_owned())),
            Some(_) => {
                tests.push(UriTest::Exact(uri.to_owned()));
                let host = uri.find("://").map_or(0, |at| at + 3);
                for (at, _) in uri[host..].match_indices('/') {
                    let at = host + at;
                    // Both as a folder and without its slash.
                    tests.push(UriTest::Exact(uri[..at].to_owned()));
                    tests.push(UriTest::Exact(uri[..=at].to_owned()));
                }
                if tests.len() > ABOVE_URIS_MAX {
                    return Err(self.wrong("has too many segments"));
                }
            }
        }
        Ok(())
    }

    fn composites(&self, values: &[&str]) -> Result<Tests, ReadError> {
        let mut pairs = Vec::with_capacity(values.len());
        for value in values {
            let parts = split_unescaped(value, '$');
            let components = self.param.components;
            if parts.len() != components.len() || parts.iter().any(|part| part.is_empty()) {
                let names: Vec<_> = components.iter().map(|part| part.code).collect();
                return Err(self.wrong(&format!("must be {} joined by $", names.join(", "))));
            }
            let first = self.component(0)?.token(parts[0])?;
            for rest in self.rest(&parts[1..])? {
                pairs.push((first.clone(), rest));
            }
        }
        Ok(Tests::Composite(pairs))
    }

    /// What stands with the token; an ambiguous reference is several alternatives.
    fn rest(&self, parts: &[&str]) -> Result<Vec<Rest>, ReadError> {
        let second = self.component(1)?;
        Ok(match (second.param.kind, parts) {
            (ParamKind::Token, [text]) => vec![Rest::Token(second.token(text)?)],
            (ParamKind::Quantity, [text]) => vec![Rest::Quantity(second.quantity(text)?)],
            (ParamKind::Date, [text]) => vec![Rest::Date(second.date(text)?)],
            (ParamKind::String, [text]) => vec![Rest::String(second.string(None, text)?)],
            (ParamKind::Reference, [_]) => {
                second.references(parts, None)?.into_iter().map(Rest::Reference).collect()
            }
            (ParamKind::Number, [start, end]) => {
                vec![Rest::Numbers(second.number(start)?, self.component(2)?.number(end)?)]
            }
            _ => return Err(self.unsupported("is not supported")),
        })
    }

    /// The parameter that describes a component.
    fn component(&self, at: usize) -> Result<Field<'_>, ReadError> {
        let found = self.param.components.get(at).and_then(|part| component(self.of, part.code));
        let param = found.ok_or_else(|| self.unsupported("is not supported"))?;
        Ok(Field { of: self.of, param, name: self.name, context: self.context })
    }

    pub(super) fn each<T>(
        &self,
        values: &[&str],
        one: impl Fn(&str) -> Result<T, ReadError>,
    ) -> Result<Vec<T>, ReadError> {
        values.iter().map(|value| one(value)).collect()
    }
}

/// The parameter of this name; that of a component names the same elements as its own parameter.
fn component(of: ResourceType, code: &str) -> Option<&'static SearchParam> {
    search_param(of, code)
}

/// The reference with its hierarchy; other than in one, it stands for itself.
fn in_tree(test: ReferenceTest, way: TreeWay) -> ReferenceTest {
    match test {
        ReferenceTest::Key(of, id) if !part_of(of).is_empty() => ReferenceTest::Tree(of, id, way),
        other => other,
    }
}

/// Whether a URL can be that of a resource of the type: it is, or tells no type.
fn may_be(of: ResourceType, url: &str) -> bool {
    let mut segments = url.rsplit('/');
    let named = segments.nth(1).and_then(ResourceType::parse);
    named.is_none_or(|named| named == of)
}

pub(super) fn unescape(text: &str) -> String {
    fhir::unescape(text).into_owned()
}

/// Types that a bare id may mean.
const BARE_ID_TYPES_MAX: usize = 20;
/// Uris that `:above` looks for.
const ABOVE_URIS_MAX: usize = 1_000;
