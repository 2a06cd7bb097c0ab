//! `Prefer`: what to return after a write, and how to treat unknown search parameters.
//!
//! Spec: RFC 7240; FHIR R4 http.html, "Managing Return Content" and search.html, "Handling Errors". An answer in which a
//! preference had a say tells so (`Preference-Applied`).
//! Not here: asynchronous answers.

use std::cell::Cell;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// What a write answers with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Return {
    /// No body.
    Minimal,
    /// The resource as stored.
    Representation,
    /// An OperationOutcome.
    Outcome,
}

/// The parts of `Prefer` that are heeded.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Prefer {
    /// `return=…`; `None` when absent: a single write then answers the resource, a bundle does not.
    pub returns: Option<Return>,
    /// `handling=lenient` or `handling=strict`; `None` when absent.
    pub lenient: Option<bool>,
}

impl Prefer {
    /// All `Prefer` lines of a request. What is unknown is ignored, and of a preference that occurs twice the first
    /// instance counts (RFC 7240 §2).
    pub fn of(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        let lines = headers.get_all("prefer").filter_map(|value| value.to_str().ok());
        for part in lines.flat_map(|line| line.split(',')) {
            // What follows a semicolon are parameters of the preference; those that are heeded have none.
            let preference = part.split(';').next().unwrap_or_default();
            let Some((name, value)) = preference.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "return" => prefer.returns = prefer.returns.or(Return::of(value)),
                "handling" => prefer.lenient = prefer.lenient.or(handling(value)),
                _ => {}
            }
        }
        prefer
    }
}

impl Return {
    fn of(value: &str) -> Option<Self> {
        [Self::Minimal, Self::Representation, Self::Outcome]
            .into_iter()
            .find(|one| one.value() == value)
    }

    /// As it stands in the header.
    fn value(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Representation => "representation",
            Self::Outcome => "OperationOutcome",
        }
    }
}

fn handling(value: &str) -> Option<bool> {
    match value {
        "lenient" => Some(true),
        "strict" => Some(false),
        _ => None,
    }
}

/// Which preferences have had a say in an answer: what `Preference-Applied` tells (RFC 7240 §3).
#[derive(Debug, Default)]
pub struct Applied(Cell<Prefer>);

impl Applied {
    /// Notes that a write answers with this because it is preferred.
    pub fn returned(&self, returns: Return) {
        self.0.set(Prefer { returns: Some(returns), ..self.0.get() });
    }

    /// Notes how what is unknown in a query is handled where that is preferred.
    pub fn handled(&self, lenient: Option<bool>) {
        self.0.set(Prefer { lenient, ..self.0.get() });
    }

    /// Value of the header; `None` when no preference has had a say.
    pub fn header(&self) -> Option<HeaderValue> {
        let Prefer { returns, lenient } = self.0.get();
        let returns = returns.map(|returns| format!("return={}", returns.value()));
        let handling = lenient
            .map(|lenient| format!("handling={}", if lenient { "lenient" } else { "strict" }));
        let all: Vec<String> = returns.into_iter().chain(handling).collect();
        let text = (!all.is_empty()).then(|| all.join(", "))?;
        HeaderValue::from_str(&text).ok()
    }
}

/// The header's name.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&'static str]) -> Prefer {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HeaderName::from_static("prefer"), HeaderValue::from_static(line));
        }
        Prefer::of(&headers)
    }

    #[test]
    fn preferences_are_read_as_rfc_7240_says() {
        let (minimal, outcome) = (Some(Return::Minimal), Some(Return::Outcome));
        let cases: [(&[&str], Option<Return>, Option<bool>); 7] = [
            (&["return=minimal"], minimal, None),
            (&["Return=\"minimal\"; foo=\"a b\""], minimal, None),
            (&["respond-async, return=minimal, return=representation"], minimal, None),
            (&["handling=lenient", "return=OperationOutcome"], outcome, Some(true)),
            (&["return = minimal , handling = strict"], minimal, Some(false)),
            (&["return=everything, handling=lenient"], None, Some(true)),
            (&["minimal", "foo; return=minimal"], None, None),
        ];
        for (lines, returns, lenient) in cases {
            assert_eq!(of(lines), Prefer { returns, lenient }, "{lines:?}");
        }
    }

    #[test]
    fn only_what_had_a_say_is_told() {
        let (applied, prefer) = (Applied::default(), of(&["return=minimal, handling=lenient"]));
        assert_eq!(applied.header(), None);

        applied.handled(prefer.lenient);
        assert_eq!(applied.header().unwrap(), "handling=lenient");
        applied.returned(Return::Minimal);
        assert_eq!(applied.header().unwrap(), "return=minimal, handling=lenient");
    }
}
