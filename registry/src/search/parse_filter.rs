//! One search parameter with its modifier and value → [`Filter`].
//!
//! Spec: FHIR R4 search § 3.1.1.4.3 (modifiers). An unknown name is `None`; a modifier that the parameter does not
//! take, a malformed value and what the executor cannot do are errors that name the parameter.
//! Not here: values (`parse_value`), chains, `_has` and `_list` (`parse_chain`), which modifiers there are (`supported`).

use std::collections::HashSet;

use fhir::{FullText, Held, ParamKind, ResourceType, SearchParam, split_unescaped};

use super::clause::{Filter, Rest, Tests, TokenTest};
use super::codes::{ANSWER_CODES_MAX, CodeAnswer, CodeQuestion, CodeSets};
use super::in_force::{full_text, search_param};
use super::parse_value::unescape;
use super::supported::has_narrative;
use super::words::{Signed, WordPlace};
use super::{parse_chain, parse_expression, supported};
use crate::error::ReadError;
use crate::index::param::{index_param, index_params};

/// What values are read against.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) base_url: &'a str,
    pub(super) now_us: i64,
    pub(super) codes: Option<&'a dyn CodeSets>,
    pub(super) hops: parse_chain::Hops<'a>,
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
    if name == "_list" {
        return parse_chain::list(value).map(Some);
    }
    if name == "_filter" {
        return parse_expression::filter(of, value, context).map(Some);
    }
    if let Some((reference, rest)) = name.split_once('.') {
        return parse_chain::chain(of, reference, rest, value, context);
    }
    let (code, modifier) = match name.split_once(':') {
        Some((code, modifier)) => (code, Some(modifier)),
        None => (name, None),
    };
    let param = search_param(of, code).filter(|_| code != "_text" || has_narrative(of));
    let Some(param) = param else { return Ok(None) };
    Field { of, param, name, context }.filter(modifier, value).map(Some)
}

/// One parameter as it stands in the query.
pub(super) struct Field<'a> {
    pub(super) of: ResourceType,
    pub(super) param: &'static SearchParam,
    pub(super) name: &'a str,
    pub(super) context: &'a Context<'a>,
}

impl Field<'_> {
    fn filter(&self, modifier: Option<&str>, value: &str) -> Result<Filter, ReadError> {
        if !supported::is_supported(self.param) {
            return Err(self.unsupported("is not supported"));
        }
        if let Some(modifier) = modifier {
            self.check_modifier(modifier)?;
        }
        let mut values = split_unescaped(value, ',');
        if values.iter().any(|value| value.is_empty()) {
            return Err(self.wrong("has no value"));
        }
        if values.len() > OR_VALUES_MAX {
            let text = format!("{}: more than {OR_VALUES_MAX} values", self.name);
            return Err(ReadError::TooCostly(text));
        }
        let mut seen = HashSet::with_capacity(values.len());
        values.retain(|value| seen.insert(*value));
        if self.param.held == Held::InResource {
            return self.own_column(modifier, &values);
        }
        if self.param.held == Held::InText {
            let is_narrative = self.param.code == "_text";
            let place = if is_narrative { WordPlace::Narrative } else { WordPlace::Anywhere };
            return self.words(&values, place);
        }
        let params = index_params(self.of, self.param);
        match modifier {
            Some("text") if self.param.kind == ParamKind::String => {
                self.words(&values, WordPlace::Params(params))
            }
            Some("missing") => self.missing(&values),
            Some("in" | "not-in" | "above" | "below") if self.param.kind == ParamKind::Token => {
                let tests = self.coded(modifier.unwrap_or_default(), &values)?;
                Ok(Filter::Value { params, tests, not: modifier == Some("not-in") })
            }
            _ => {
                let tests = self.tests(modifier, &values)?;
                if let Some(each) = self.apart(&params, &tests) {
                    return Ok(Filter::Any(each));
                }
                Ok(Filter::Value { params, tests, not: modifier == Some("not") })
            }
        }
    }

    /// Several values of a composite with a quantity where one asks for any code of a system: each by itself, as
    /// what is of the resource itself is then asked of its two parameters.
    pub(super) fn apart(&self, params: &[u16], tests: &Tests) -> Option<Vec<Filter>> {
        let Tests::Composite(pairs) = tests else { return None };
        let of_system = |(first, rest): &(TokenTest, Rest)| {
            matches!((first, rest), (TokenTest::System(_), Rest::Quantity(_)))
        };
        if pairs.len() * params.len() == 1 || !pairs.iter().any(of_system) {
            return None;
        }
        let one = |param: u16, pair: &(TokenTest, Rest)| {
            let tests = Tests::Composite(vec![pair.clone()]);
            Filter::Value { params: vec![param], tests, not: false }
        };
        let each = params.iter().flat_map(|param| pairs.iter().map(|pair| one(*param, pair)));
        Some(each.collect())
    }

    fn check_modifier(&self, modifier: &str) -> Result<(), ReadError> {
        let mut allowed = supported::modifiers(self.of, self.param);
        if self.context.codes.is_some() {
            allowed.extend(supported::code_modifiers(self.param));
        }
        let is_type = allowed.contains(&"[type]") && ResourceType::parse(modifier).is_some();
        if is_type || (modifier != "[type]" && allowed.contains(&modifier)) {
            return Ok(());
        }
        allowed.sort_unstable();
        let allowed: Vec<_> = allowed.iter().map(|name| format!(":{name}")).collect();
        let allowed = match &allowed[..] {
            [] => "it takes none".to_owned(),
            some => format!("it takes {}", some.join(", ")),
        };
        Err(self.unsupported(&format!("modifier :{modifier} is not supported, {allowed}")))
    }

    fn own_column(&self, modifier: Option<&str>, values: &[&str]) -> Result<Filter, ReadError> {
        if modifier == Some("missing") {
            // Every resource has an id and a time.
            return Ok(match self.is_true(values)? {
                true => Filter::Any(Vec::new()),
                false => Filter::All(Vec::new()),
            });
        }
        if self.param.code == "_id" {
            let ids = Filter::Id(values.iter().map(|value| unescape(value)).collect());
            return Ok(if modifier.is_some() { Filter::Not(Box::new(ids)) } else { ids });
        }
        Ok(Filter::LastUpdated(self.each(values, |value| self.date(value))?))
    }

    /// `_text`, `_content` and `:text` on strings, which narratives and more take along.
    fn words(&self, values: &[&str], place: WordPlace) -> Result<Filter, ReadError> {
        let is_answered = match place {
            WordPlace::Params(_) => full_text() != FullText::Off,
            _ => full_text().answers(self.param.code),
        };
        if !is_answered {
            let why =
                "is not answered here: the setting search.full_text and docs/search.md tell where";
            return Err(self.unsupported(why));
        }
        let values: Vec<_> = values.iter().map(|value| unescape(value)).collect();
        let Signed { query, not } = Signed::parse(&values).map_err(|why| self.wrong(&why))?;
        Ok(Filter::Words { query, place, not })
    }

    fn is_true(&self, values: &[&str]) -> Result<bool, ReadError> {
        match values {
            ["true"] => Ok(true),
            ["false"] => Ok(false),
            _ => Err(self.wrong("must be true or false")),
        }
    }

    fn missing(&self, values: &[&str]) -> Result<Filter, ReadError> {
        let missing = self.is_true(values)?;
        Ok(Filter::Missing { params: self.listed_params(), missing })
    }

    /// Numbers by which the parameter is listed as present.
    pub(super) fn listed_params(&self) -> Vec<u16> {
        // What is restricted to one type of another's references is listed by its own number.
        match self.param.held {
            Held::InParam { only: Some(_), .. } => vec![index_param(self.of, self.param)],
            _ => index_params(self.of, self.param),
        }
    }

    /// The codes that a terminology names.
    pub(super) fn coded(&self, modifier: &str, values: &[&str]) -> Result<Tests, ReadError> {
        let codes = self.context.codes.ok_or_else(|| self.unsupported("needs a terminology"))?;
        let mut tests = Vec::new();
        for value in values {
            let question = self.question(modifier, value)?;
            let answer = codes.codes(&question).map_err(|why| self.wrong(&why))?;
            if answer.len() > ANSWER_CODES_MAX {
                let text = format!("{}: more than {ANSWER_CODES_MAX} codes", self.name);
                return Err(ReadError::TooCostly(text));
            }
            tests.extend(answer.into_iter().map(|one| match one {
                CodeAnswer::Code { system, code } => TokenTest::SystemCode(system, code),
                CodeAnswer::System(system) => TokenTest::System(system),
            }));
        }
        Ok(Tests::Token(tests))
    }

    fn question(&self, modifier: &str, value: &str) -> Result<CodeQuestion, ReadError> {
        if modifier == "in" || modifier == "not-in" {
            return Ok(CodeQuestion::In(unescape(value)));
        }
        let (system, code) = match self.token(value)? {
            TokenTest::Code(code) => (None, code),
            TokenTest::SystemCode(system, code) => (Some(system), code),
            _ => return Err(self.wrong("must be system|code or code")),
        };
        Ok(match modifier {
            "above" => CodeQuestion::Above { system, code },
            _ => CodeQuestion::Below { system, code },
        })
    }

    pub(super) fn wrong(&self, why: &str) -> ReadError {
        ReadError::Invalid(format!("search parameter {}: {why}", self.name))
    }

    pub(super) fn unsupported(&self, why: &str) -> ReadError {
        ReadError::Unsupported(format!("search parameter {}: {why}", self.name))
    }
}

/// Values that one parameter may list.
pub const OR_VALUES_MAX: usize = 2_000;
