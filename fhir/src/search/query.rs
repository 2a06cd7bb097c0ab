//! Search values as clients write them, per parameter type.
//!
//! Spec: FHIR R4 search.html sections 3.1.1.4.3 (escapes) and 3.1.1.4.6 to 3.1.1.4.13. A value is
//! split at unescaped commas first, a composite at `$`, a token or quantity at `|`; escapes are
//! resolved last. Not here: modifiers, chains, the names of parameters (`registry`).

use std::borrow::Cow;

use crate::{ResourceType, TimeRange, below_base};

use super::compare::SearchPrefix;
use super::decimal::NumberRange;
use super::param::SearchParam;

/// The value is not written as its parameter's type demands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a {expected} is expected")]
pub struct InvalidSearchValue {
    /// What would have been right, such as `date`.
    pub expected: &'static str,
}

/// Which system a token must have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SystemMatch {
    /// Whichever, or none: `code`.
    Any,
    /// None: `|code`.
    None,
    /// This one: `system|code`.
    Is(String),
}

/// Value of a token parameter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenQuery {
    /// Which system.
    pub system: SystemMatch,
    /// Which code; `None` for any code of the system: `system|`.
    pub code: Option<String>,
}

/// Value of a token parameter with `:of-type`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OfTypeQuery {
    /// System of the identifier's type.
    pub system: String,
    /// Code of the identifier's type.
    pub code: String,
    /// The identifier itself.
    pub value: String,
}

/// Value of a date parameter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DateQuery {
    /// How it compares.
    pub prefix: SearchPrefix,
    /// What its precision leaves open.
    pub range: TimeRange,
}

/// Value of a number parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberQuery {
    /// How it compares.
    pub prefix: SearchPrefix,
    /// What its significant digits leave open.
    pub number: NumberRange,
}

/// Value of a quantity parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantityQuery {
    /// How it compares.
    pub prefix: SearchPrefix,
    /// What its significant digits leave open.
    pub number: NumberRange,
    /// System of the unit, if it matters.
    pub system: Option<String>,
    /// The unit, if it matters: the code, or without a system also the text.
    pub code: Option<String>,
}

/// Value of a reference parameter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReferenceQuery {
    /// `Type/id`, our own absolute URL, or a bare id: one key for each type it may mean.
    Local {
        /// Types the target may have, at least one.
        types: Vec<ResourceType>,
        /// Id of the target.
        id: String,
        /// Version, if one is named.
        version: Option<String>,
    },
    /// Any other URL or URN, perhaps with a version of a canonical.
    Absolute {
        /// Without the version.
        url: String,
        /// After `|` or `/_history/`.
        version: Option<String>,
    },
}

impl TokenQuery {
    /// Takes `code`, `system|code`, `|code` or `system|`.
    ///
    /// # Errors
    /// [`InvalidSearchValue`] if there is neither system nor code, or a second bar.
    pub fn parse(text: &str) -> Result<Self, InvalidSearchValue> {
        let error = InvalidSearchValue { expected: "token such as system|code" };
        let some = |text: &str| Some(unescape(text).into_owned()).filter(|text| !text.is_empty());
        match split_unescaped(text, '|').as_slice() {
            [code] if !code.is_empty() => Ok(Self { system: SystemMatch::Any, code: some(code) }),
            ["", code] if !code.is_empty() => {
                Ok(Self { system: SystemMatch::None, code: some(code) })
            }
            [system, code] if !system.is_empty() => {
                let system = SystemMatch::Is(unescape(system).into_owned());
                Ok(Self { system, code: some(code) })
            }
            _ => Err(error),
        }
    }
}

impl OfTypeQuery {
    /// Takes `system|code|value`, all three present.
    ///
    /// # Errors
    /// [`InvalidSearchValue`] for anything less or more.
    pub fn parse(text: &str) -> Result<Self, InvalidSearchValue> {
        match split_unescaped(text, '|').as_slice() {
            [system, code, value] if [system, code, value].iter().all(|part| !part.is_empty()) => {
                let owned = |text: &str| unescape(text).into_owned();
                Ok(Self { system: owned(system), code: owned(code), value: owned(value) })
            }
            _ => Err(InvalidSearchValue { expected: "system|code|value" }),
        }
    }
}

impl DateQuery {
    /// Takes `[prefix]date`, the date as precise as it is meant.
    ///
    /// # Errors
    /// [`InvalidSearchValue`] if it is not a date.
    pub fn parse(text: &str) -> Result<Self, InvalidSearchValue> {
        let (prefix, date) = SearchPrefix::split(text);
        // In a URL that was not encoded, the plus of an offset has become a space.
        let date = match date.rfind(' ') {
            Some(at) if date.contains('T') => {
                Cow::Owned(format!("{}+{}", &date[..at], &date[at + 1..]))
            }
            _ => Cow::Borrowed(date),
        };
        let range = TimeRange::parse(&date);
        let error = InvalidSearchValue { expected: "date such as ge2021-03-01" };
        Ok(Self { prefix, range: range.ok_or(error)? })
    }
}

impl NumberQuery {
    /// Takes `[prefix]number`.
    ///
    /// # Errors
    /// [`InvalidSearchValue`] if it is not a decimal number.
    pub fn parse(text: &str) -> Result<Self, InvalidSearchValue> {
        let (prefix, number) = SearchPrefix::split(text);
        let error = InvalidSearchValue { expected: "number such as gt5.4" };
        Ok(Self { prefix, number: NumberRange::of_search_text(number).ok_or(error)? })
    }
}

impl QuantityQuery {
    /// Takes `[prefix]number`, `[prefix]number|system|code` or `[prefix]number||code`.
    ///
    /// # Errors
    /// [`InvalidSearchValue`] if the number is none or there is only one bar.
    pub fn parse(text: &str) -> Result<Self, InvalidSearchValue> {
        let error = InvalidSearchValue { expected: "quantity such as gt5.4|system|unit" };
        let (prefix, rest) = SearchPrefix::split(text);
        let parts = split_unescaped(rest, '|');
        let (number, system, code) = match parts.as_slice() {
            [number] => (number, "", ""),
            [number, system, code] => (number, *system, *code),
            _ => return Err(error),
        };
        let some = |text: &str| Some(unescape(text).into_owned()).filter(|text| !text.is_empty());
        let number = NumberRange::of_search_text(number).ok_or(error)?;
        Ok(Self { prefix, number, system: some(system), code: some(code) })
    }
}

impl ReferenceQuery {
    /// Takes `id`, `Type/id`, a URL or a URN. A bare id is of one of the parameter's target types,
    /// or of `named`, the type in a modifier such as `subject:Patient`.
    ///
    /// # Errors
    /// [`InvalidSearchValue`] for anything else.
    pub fn parse(
        text: &str,
        param: &SearchParam,
        named: Option<ResourceType>,
        bases: &str,
    ) -> Result<Self, InvalidSearchValue> {
        let error = InvalidSearchValue { expected: "reference such as Patient/1" };
        let text = unescape(text);
        let relative = below_base(&text, bases).unwrap_or(&text);
        let (path, version) = match relative.split_once("/_history/") {
            Some((path, version)) => (path, Some(version.to_owned())),
            None => (relative, None),
        };
        if crate::id::is_id(path) {
            let types = named.map_or_else(|| param.targets.to_vec(), |named| vec![named]);
            return Ok(Self::Local { types, id: path.to_owned(), version });
        }
        if let Some((name, id)) = path.split_once('/')
            && let Some(resource_type) = ResourceType::parse(name)
            && crate::id::is_id(id)
        {
            return Ok(Self::Local { types: vec![resource_type], id: id.to_owned(), version });
        }
        if !text.contains(':') {
            return Err(error);
        }
        let cut = text.rsplit_once('|').or_else(|| text.rsplit_once("/_history/"));
        let (url, version) = cut.map_or((&*text, None), |(url, version)| (url, Some(version)));
        let version = version.filter(|version| !version.is_empty()).map(str::to_owned);
        Ok(Self::Absolute { url: url.to_owned(), version })
    }
}

/// Splits where the separator stands without a backslash; escapes stay for [`unescape`].
#[must_use]
pub fn split_unescaped(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == separator {
            parts.push(&text[start..at]);
            start = at + c.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Resolves `\,`, `\|`, `\$` and `\\`; another backslash stands for itself.
#[must_use]
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let escape =
            c == '\\' && rest.peek().is_some_and(|next| matches!(next, ',' | '|' | '$' | '\\'));
        out.push(if escape { rest.next().unwrap_or(c) } else { c });
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::search_param;

    fn token(text: &str) -> Option<(SystemMatch, Option<String>)> {
        TokenQuery::parse(text).ok().map(|query| (query.system, query.code))
    }

    #[test]
    fn tokens_tell_no_system_from_any_system() {
        let is = |system: &str| SystemMatch::Is(system.to_owned());
        let code = |code: &str| Some(code.to_owned());
        assert_eq!(token("male"), Some((SystemMatch::Any, code("male"))));
        assert_eq!(token("|male"), Some((SystemMatch::None, code("male"))));
        assert_eq!(token("http://a|male"), Some((is("http://a"), code("male"))));
        assert_eq!(token("http://a|"), Some((is("http://a"), None)));
        assert_eq!(token(r"a\|b"), Some((SystemMatch::Any, code("a|b"))));
        assert_eq!(token(r"http://a|b\,c"), Some((is("http://a"), code("b,c"))));
        for bad in ["", "|", "a|b|c"] {
            assert_eq!(token(bad), None, "{bad}");
        }
        let of_type = OfTypeQuery::parse("http://v2|MR|12345").unwrap();
        assert_eq!(
            (&*of_type.system, &*of_type.code, &*of_type.value),
            ("http://v2", "MR", "12345")
        );
        assert!(OfTypeQuery::parse("http://v2|MR|").is_err());
    }

    #[test]
    fn values_split_at_separators_that_are_not_escaped() {
        assert_eq!(split_unescaped(r"a\,b,c\\,d", ','), [r"a\,b", r"c\\", "d"]);
        assert_eq!(split_unescaped("", ','), [""]);
        assert_eq!(split_unescaped("8480-6$gt100", '$'), ["8480-6", "gt100"]);
        assert_eq!(unescape(r"a\,b\|c\$d\\e\f\"), r"a,b|c$d\e\f\");
    }

    #[test]
    fn dates_are_read_with_prefix_and_precision() {
        let query = DateQuery::parse("ge2013-01-14").unwrap();
        assert_eq!(query.prefix, SearchPrefix::GreaterOrEqual);
        assert_eq!(Some(query.range), TimeRange::parse("2013-01-14"));
        let spaced = DateQuery::parse("2013-01-14T10:00:00 01:00").unwrap();
        assert_eq!(Some(spaced.range), TimeRange::parse("2013-01-14T10:00:00+01:00"));
        for bad in ["", "ge", "xx2013", "2013-13", "2013 01"] {
            assert!(DateQuery::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn quantities_are_read_with_and_without_unit() {
        // The examples of search.html 3.1.1.4.11.
        let full = QuantityQuery::parse("5.4|http://unitsofmeasure.org|mg").unwrap();
        assert_eq!(full.system.as_deref(), Some("http://unitsofmeasure.org"));
        assert_eq!(full.code.as_deref(), Some("mg"));
        assert_eq!((full.number.lo, full.number.hi), (5.35, 5.45));
        let unit = QuantityQuery::parse("le5.40e-3||g").unwrap();
        assert_eq!((unit.prefix, unit.system), (SearchPrefix::LessOrEqual, None));
        assert_eq!((unit.code.as_deref(), unit.number.value), (Some("g"), 0.0054));
        assert_eq!(QuantityQuery::parse("ap5.4").unwrap().code, None);
        for bad in ["", "gt", "5.4|mg", "mg", "5|a|b|c"] {
            assert!(QuantityQuery::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(NumberQuery::parse("sa3").unwrap().prefix, SearchPrefix::StartsAfter);
        assert!(NumberQuery::parse("3 ").is_err());
    }

    #[test]
    fn references_are_read_in_all_their_forms() {
        let read = |code: &str, text: &str, named| {
            let param = search_param(ResourceType::OBSERVATION, code).unwrap();
            ReferenceQuery::parse(text, param, named, "https://here.example/fhir/").ok()
        };
        let local = |types: &[ResourceType], version: Option<&str>| {
            let version = version.map(str::to_owned);
            Some(ReferenceQuery::Local { types: types.to_vec(), id: "1".to_owned(), version })
        };
        let patient = ResourceType::PATIENT;
        assert_eq!(read("patient", "1", None), local(&[patient], None));
        assert_eq!(read("subject", "1", Some(patient)), local(&[patient], None));
        assert_eq!(read("subject", "Patient/1", None), local(&[patient], None));
        assert_eq!(read("subject", "Patient/1/_history/2", None), local(&[patient], Some("2")));
        let ours = "https://here.example/fhir/Patient/1";
        assert_eq!(read("subject", ours, None), local(&[patient], None));
        let absolute = |url: &str, version: Option<&str>| {
            let version = version.map(str::to_owned);
            Some(ReferenceQuery::Absolute { url: url.to_owned(), version })
        };
        let there = "https://there.example/Patient/1";
        assert_eq!(read("subject", there, None), absolute(there, None));
        assert_eq!(read("subject", "http://x/vs|2", None), absolute("http://x/vs", Some("2")));
        assert_eq!(read("subject", "urn:uuid:1", None), absolute("urn:uuid:1", None));
        for bad in ["", "Patient/", "Nonsense/1", "a b"] {
            assert_eq!(read("subject", bad, None), None, "{bad}");
        }
        let Some(ReferenceQuery::Local { types, .. }) = read("subject", "1", None) else {
            panic!()
        };
        assert_eq!(types.len(), 4);
    }
}
