//! Text of an expression to tokens.
//!
//! Spec: FHIRPath N1, grammar appendix. Comments and white space separate tokens and are dropped.

use crate::error::CompileError;

/// One token and the byte where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) what: What,
    pub(crate) at: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// An identifier; `true` when it was delimited by back quotes and so is no keyword.
    Name(String, bool),
    Text(String),
    Number(String),
    /// `@2015-02-04T14:34`, without the `@`.
    Moment(String),
    /// `%name`
    Variable(String),
    /// `$this`, without the `$`.
    Dollar(String),
    Symbol(&'static str),
    End,
}

/// All tokens of a text; the last is `End`.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, CompileError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(CompileError::TooLarge);
    }
    let mut lexer = Lexer { text, at: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip_space()?;
        let at = lexer.at;
        let what = lexer.next()?;
        let end = what == What::End;
        found.push(Token { what, at });
        if end {
            return Ok(found);
        }
    }
}

struct Lexer<'s> {
    text: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.text[self.at..]
    }

    fn fault(&self, what: &str) -> CompileError {
        CompileError::Syntax { what: what.to_owned(), at: self.at + 1 }
    }

    fn skip_space(&mut self) -> Result<(), CompileError> {
        loop {
            let trimmed = self.rest().trim_start();
            self.at = self.text.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                let end = trimmed.find("*/").ok_or_else(|| self.fault("a comment without end"))?;
                self.at += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<What, CompileError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(What::End) };
        match first {
            'A'..='Z' | 'a'..='z' | '_' => Ok(What::Name(self.word(), false)),
            '0'..='9' => Ok(What::Number(self.number())),
            '\'' => Ok(What::Text(self.quoted('\'')?)),
            '`' => Ok(What::Name(self.quoted('`')?, true)),
            '"' => Ok(What::Name(self.quoted('"')?, true)),
            '@' => {
                self.at += 1;
                let length = moment_length(self.rest());
                let text = self.rest()[..length].to_owned();
                self.at += length;
                Ok(What::Moment(text))
            }
            '$' => {
                self.at += 1;
                Ok(What::Dollar(self.word()))
            }
            '%' => {
                self.at += 1;
                match self.rest().chars().next() {
                    Some(quote @ ('`' | '\'' | '"')) => Ok(What::Variable(self.quoted(quote)?)),
                    _ => Ok(What::Variable(self.word_with_hyphens())),
                }
            }
            _ => self.symbol(),
        }
    }

    fn symbol(&mut self) -> Result<What, CompileError> {
        let known = SYMBOLS.iter().find(|symbol| self.rest().starts_with(**symbol));
        let symbol = known.ok_or_else(|| self.fault("a character that means nothing here"))?;
        self.at += symbol.len();
        Ok(What::Symbol(symbol))
    }

    fn word(&mut self) -> String {
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    fn word_with_hyphens(&mut self) -> String {
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        let word = rest[..length].to_owned();
        self.at += length;
        word
    }

    fn number(&mut self) -> String {
        let mut number = self.take_while(|c| c.is_ascii_digit());
        let mut after = self.rest().chars();
        if after.next() == Some('.') && after.next().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
            number.push('.');
            number.push_str(&self.take_while(|c| c.is_ascii_digit()));
        }
        number
    }

    fn quoted(&mut self, quote: char) -> Result<String, CompileError> {
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.at += at + 1;
                return Ok(out);
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            match chars.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('f') => out.push('\u{c}'),
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                    let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                    out.push(code.ok_or_else(|| self.fault("an escape that is no character"))?);
                }
                Some(c @ ('\'' | '"' | '`' | '\\' | '/')) => out.push(c),
                // The published invariants hold doubly escaped expressions such as `\d`; HL7's own engine keeps both.
                Some(c) => {
                    out.push('\\');
                    out.push(c);
                }
                None => break,
            }
        }
        Err(self.fault("a text without closing quote"))
    }
}

/// Length of a date, time or date and time; a `.` is part of it only before a digit.
fn moment_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let next_is_digit = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        let in_time = text[..at].contains('T');
        let good = match byte {
            b'0'..=b'9' | b'-' | b':' | b'T' => true,
            b'+' | b'.' => in_time && next_is_digit,
            b'Z' => in_time,
            _ => false,
        };
        if !good {
            break;
        }
        at += 1;
    }
    at
}

const SYMBOLS: &[&str] = &[
    "<=", ">=", "!=", "!~", "=", "~", "<", ">", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-",
    "*", "/", "|", "&",
];
/// Longest expression.
const TEXT_BYTES_MAX: usize = 64 * 1024;
