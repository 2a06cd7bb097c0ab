//! The text of `_filter` → [`Expression`]: the grammar alone, whatever the names mean.
//!
//! Spec: FHIR R4 search_filter.html, "Formal grammar". `and` and `or` are taken from left to right, none before the other;
//! `not` wants parentheses. A value is a JSON string, or what stands there up to white space, `)` or `]`. Beside the
//! grammar a name may say the type of its reference (`subject:Patient.name`) and start with `_has:Type:reference:`.
//! Bounded by [`FILTER_CHARS_MAX`], [`FILTER_TESTS_MAX`] and [`FILTER_DEPTH_MAX`]; errors give the place of the character.
//! Not here: parameters and operators (`parse_expression`, `operator`).

use crate::error::ReadError;

/// What a filter asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// `and`: each of these.
    All(Vec<Expression>),
    /// `or`: one of these.
    Any(Vec<Expression>),
    /// `not (…)`
    Not(Box<Expression>),
    /// `path operator value`
    Test(Test),
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    /// Never empty.
    pub(super) path: Vec<Step>,
    /// As written, in lower case.
    pub(super) operator: String,
    /// Place of the operator.
    pub(super) operator_at: usize,
    /// Without the quotes and escapes of a JSON string.
    pub(super) value: String,
    /// Place of the value.
    pub(super) value_at: usize,
}

/// One name of a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) name: String,
    /// In brackets behind the name.
    pub(super) filter: Option<Box<Expression>>,
    /// Place of its first character, from 1.
    pub(super) at: usize,
}

/// Reads the text of a filter.
///
/// # Errors
/// [`ReadError::Invalid`] or [`ReadError::TooCostly`], with the place of the character.
pub(super) fn parse(text: &str) -> Result<Expression, ReadError> {
    let letters: Vec<char> = text.chars().take(FILTER_CHARS_MAX + 1).collect();
    if letters.len() > FILTER_CHARS_MAX {
        let text = format!("_filter: more than {FILTER_CHARS_MAX} characters");
        return Err(ReadError::TooCostly(text));
    }
    let mut reader = Reader { letters: &letters, next: 0, tests: 0 };
    let found = reader.logical(0)?;
    match reader.peek() {
        None => Ok(found),
        Some(')' | ']') => Err(reader.wrong("closes what was not opened")),
        Some(_) => Err(reader.wrong("\"and\", \"or\" or the end should stand here")),
    }
}

/// The error of a place in the text.
pub(super) fn wrong_at(at: usize, why: &str) -> ReadError {
    ReadError::Invalid(format!("_filter, character {at}: {why}"))
}

struct Reader<'a> {
    letters: &'a [char],
    next: usize,
    tests: usize,
}

impl Reader<'_> {
    /// Operands with what joins them, from left to right.
    fn logical(&mut self, depth: usize) -> Result<Expression, ReadError> {
        let mut left = self.operand(depth)?;
        loop {
            let right = if self.word("and") {
                (true, self.operand(depth)?)
            } else if self.word("or") {
                (false, self.operand(depth)?)
            } else {
                return Ok(left);
            };
            left = match (left, right) {
                (Expression::All(mut all), (true, one)) => {
                    all.push(one);
                    Expression::All(all)
                }
                (Expression::Any(mut any), (false, one)) => {
                    any.push(one);
                    Expression::Any(any)
                }
                (left, (true, one)) => Expression::All(vec![left, one]),
                (left, (false, one)) => Expression::Any(vec![left, one]),
            };
        }
    }

    fn operand(&mut self, depth: usize) -> Result<Expression, ReadError> {
        if self.word("not") {
            self.skip_space();
            if self.peek() == Some('(') {
                return Ok(Expression::Not(Box::new(self.closed('(', ')', depth)?)));
            }
            return Err(self.wrong("not wants parentheses: not (…)"));
        }
        match self.peek() {
            // Alone, so that what it joins is not mistaken for what stands around it.
            Some('(') => Ok(match self.closed('(', ')', depth)? {
                one @ (Expression::All(_) | Expression::Any(_)) => Expression::All(vec![one]),
                one => one,
            }),
            _ => self.test(depth),
        }
    }

    /// A filter between two signs.
    fn closed(&mut self, open: char, close: char, depth: usize) -> Result<Expression, ReadError> {
        if depth == FILTER_DEPTH_MAX {
            let at = self.next + 1;
            let text = format!(
                "_filter, character {at}: more than {FILTER_DEPTH_MAX} parentheses or brackets \
                 within each other"
            );
            return Err(ReadError::TooCostly(text));
        }
        let opened = self.next + 1;
        self.next += 1;
        let found = self.logical(depth + 1)?;
        self.skip_space();
        if self.peek() != Some(close) {
            return Err(match self.peek() {
                None => wrong_at(opened, &format!("{open} is not closed")),
                Some(_) => self.wrong(&format!("\"and\", \"or\" or {close} should stand here")),
            });
        }
        self.next += 1;
        Ok(found)
    }

    fn test(&mut self, depth: usize) -> Result<Expression, ReadError> {
        self.tests += 1;
        if self.tests > FILTER_TESTS_MAX {
            let at = self.next + 1;
            let text = format!("_filter, character {at}: more than {FILTER_TESTS_MAX} comparisons");
            return Err(ReadError::TooCostly(text));
        }
        let mut path = vec![self.step(depth)?];
        while self.peek() == Some('.') {
            self.next += 1;
            path.push(self.step(depth)?);
        }
        if let Some(Step { filter: Some(_), .. }) = path.last() {
            return Err(self.wrong("a name should follow the brackets: name[…].name"));
        }
        self.skip_space();
        let operator_at = self.next + 1;
        let operator = self.take_while(|c| c.is_ascii_alphabetic()).to_ascii_lowercase();
        if operator.is_empty() {
            return Err(wrong_at(operator_at, "an operator such as eq should stand here"));
        }
        self.skip_space();
        let value_at = self.next + 1;
        let value = self.value()?;
        if value.is_empty() {
            return Err(wrong_at(value_at, "a value should stand here"));
        }
        Ok(Expression::Test(Test { path, operator, operator_at, value, value_at }))
    }

    fn step(&mut self, depth: usize) -> Result<Step, ReadError> {
        let at = self.next + 1;
        if !self.peek().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') {
            return Err(wrong_at(at, "the name of a search parameter should stand here"));
        }
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':'));
        if self.peek() != Some('[') {
            return Ok(Step { name, filter: None, at });
        }
        let filter = Some(Box::new(self.closed('[', ']', depth)?));
        Ok(Step { name, filter, at })
    }

    fn value(&mut self) -> Result<String, ReadError> {
        if self.peek() != Some('"') {
            return Ok(self.take_while(|c| !c.is_whitespace() && c != ')' && c != ']'));
        }
        let at = self.next;
        let mut escaped = false;
        self.next += 1;
        while let Some(c) = self.peek() {
            self.next += 1;
            if c == '"' && !escaped {
                let text: String = self.letters[at..self.next].iter().collect();
                let read = serde_json::from_str(&text);
                return read.map_err(|_| wrong_at(at + 1, "is no string of JSON"));
            }
            escaped = c == '\\' && !escaped;
        }
        Err(wrong_at(at + 1, "the string is not closed"))
    }

    /// Takes a word of the grammar, in any case, if it stands next and ends there.
    fn word(&mut self, word: &str) -> bool {
        self.skip_space();
        let end = self.next + word.len();
        let Some(here) = self.letters.get(self.next..end) else { return false };
        let is_it = here.iter().zip(word.chars()).all(|(a, b)| a.to_ascii_lowercase() == b);
        let ends = self.letters.get(end).is_none_or(|c| c.is_whitespace() || *c == '(');
        if is_it && ends {
            self.next = end;
        }
        is_it && ends
    }

    fn take_while(&mut self, take: impl Fn(char) -> bool) -> String {
        let rest = &self.letters[self.next..];
        let taken: String = rest.iter().copied().take_while(|c| take(*c)).collect();
        self.next += taken.chars().count();
        taken
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.letters.get(self.next).copied()
    }

    fn wrong(&self, why: &str) -> ReadError {
        wrong_at(self.next + 1, why)
    }
}

/// Characters that a filter may have.
pub const FILTER_CHARS_MAX: usize = 8_192;
/// Comparisons that a filter may have.
pub const FILTER_TESTS_MAX: usize = 100;
/// Parentheses and brackets within each other.
pub const FILTER_DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// With every pair of parentheses written out.
    fn shown(one: &Expression) -> String {
        let joined = |several: &[Expression], by: &str| {
            let parts: Vec<_> = several.iter().map(shown).collect();
            format!("({})", parts.join(by))
        };
        match one {
            Expression::All(several) if several.len() == 1 => shown(&several[0]),
            Expression::All(several) => joined(several, " and "),
            Expression::Any(several) => joined(several, " or "),
            Expression::Not(inner) => format!("not {}", shown(inner)),
            Expression::Test(test) => {
                let step = |step: &Step| match &step.filter {
                    Some(filter) => format!("{}[{}]", step.name, shown(filter)),
                    None => step.name.clone(),
                };
                let path: Vec<_> = test.path.iter().map(step).collect();
                format!("{} {} {:?}", path.join("."), test.operator, test.value)
            }
        }
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        for (text, expected) in [
            ("name co \"pet\"", "name co \"pet\""),
            (
                "given eq \"peter\" and birthdate ge 2014-10-10",
                "(given eq \"peter\" and birthdate ge \"2014-10-10\")",
            ),
            ("code eq http://loinc.org|1234-5", "code eq \"http://loinc.org|1234-5\""),
            ("subject.name co \"pet\"", "subject.name co \"pet\""),
            (
                "related[type eq \"has-component\"].target pr true",
                "related[type eq \"has-component\"].target pr \"true\"",
            ),
            (
                "related[type eq has-component].target re Observation/4",
                "related[type eq \"has-component\"].target re \"Observation/4\"",
            ),
        ] {
            assert_eq!(shown(&parse(text).unwrap()), expected);
        }
    }

    #[test]
    fn and_and_or_are_taken_from_left_to_right_and_parentheses_hold() {
        for (text, expected) in [
            ("a eq 1 or b eq 2 and c eq 3", "((a eq \"1\" or b eq \"2\") and c eq \"3\")"),
            ("a eq 1 and b eq 2 or c eq 3", "((a eq \"1\" and b eq \"2\") or c eq \"3\")"),
            ("a eq 1 or (b eq 2 and c eq 3)", "(a eq \"1\" or (b eq \"2\" and c eq \"3\"))"),
            ("(a eq 1 or b eq 2)or c eq 3", "((a eq \"1\" or b eq \"2\") or c eq \"3\")"),
            ("NOT(a eq 1)", "not a eq \"1\""),
            ("not (a eq 1 AND not(b EQ \"x )] \\\" \\u00e4\"))", {
                "not (a eq \"1\" and not b eq \"x )] \\\" ä\")"
            }),
            ("note eq 1 and order eq 2", "(note eq \"1\" and order eq \"2\")"),
            ("a[b eq 1 or c eq 2].d.e eq 3", "a[(b eq \"1\" or c eq \"2\")].d.e eq \"3\""),
        ] {
            assert_eq!(shown(&parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn errors_give_the_place() {
        for (text, place) in [
            ("", 1),
            ("name", 5),
            ("name eq", 8),
            ("name eq x)", 10),
            ("(name eq x", 1),
            ("name eq x y eq z", 11),
            ("name eq \"x", 9),
            ("name eq \"\\q\"", 9),
            ("not name eq x", 5),
            ("name eq x and", 14),
            ("name[a eq b] eq c", 13),
            ("subject..name eq c", 9),
            ("name 5", 6),
        ] {
            let error = parse(text).unwrap_err().to_string();
            let expected = format!("character {place}:");
            assert!(error.contains(&expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_refused() {
        let deep = |levels: usize| format!("{}a eq 1{}", "(".repeat(levels), ")".repeat(levels));
        let many = |tests: usize| vec!["a eq 1"; tests].join(" or ");
        assert!(parse(&deep(FILTER_DEPTH_MAX)).is_ok());
        assert!(parse(&many(FILTER_TESTS_MAX)).is_ok());
        let long = format!("a eq {}", "x".repeat(FILTER_CHARS_MAX));
        for text in [deep(FILTER_DEPTH_MAX + 1), many(FILTER_TESTS_MAX + 1), long] {
            assert!(matches!(parse(&text), Err(ReadError::TooCostly(_))));
        }
    }

    #[test]
    fn no_text_breaks_the_reader() {
        let letters = ['a', ' ', '(', ')', '[', ']', '"', '\\', '.', '_', 'n', 'o', 't', 'é'];
        let mut state = 7_u32;
        for length in 0..3_000 {
            let text: String = (0..length % 24)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    letters[usize::try_from(state >> 16).unwrap_or(0) % letters.len()]
                })
                .collect();
            drop(parse(&text));
        }
    }
}
