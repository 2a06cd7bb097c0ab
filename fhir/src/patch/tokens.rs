//! The words of a FHIRPath expression (FHIRPath N1 §5, "Lexical Elements").
//!
//! Not here: comments, quantities with units.

use crate::patch::expression::Refused;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// An identifier or keyword.
    Name(String),
    /// An identifier between backticks: never a keyword.
    Quoted(String),
    /// A string, its escapes resolved.
    Text(String),
    /// A number as written.
    Number(String),
    /// A date or time after its `@`.
    Time(String),
    /// `$this`, `%resource` and the like, with their sign.
    Variable(String),
    /// Punctuation and operators of signs.
    Sign(&'static str),
}

/// All words of an expression.
///
/// # Errors
/// The first character that begins none.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Refused> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, used) = match first {
            '\'' | '"' => quoted(rest, first).map(|(text, used)| (Token::Text(text), used))?,
            '`' => quoted(rest, '`').map(|(text, used)| (Token::Quoted(text), used))?,
            '@' => {
                let used =
                    1 + span(&rest[1..], |c| c.is_ascii_alphanumeric() || ":.+-".contains(c));
                (Token::Time(rest[1..used].trim_start_matches('T').to_owned()), used)
            }
            '$' | '%' => {
                let used = 1 + span(&rest[1..], is_name);
                (Token::Variable(rest[..used].to_owned()), used)
            }
            '0'..='9' => {
                let whole = span(rest, |c| c.is_ascii_digit());
                let fraction =
                    rest[whole..].strip_prefix('.').map(|rest| span(rest, |c| c.is_ascii_digit()));
                let used =
                    whole + fraction.filter(|digits| *digits > 0).map_or(0, |digits| digits + 1);
                (Token::Number(rest[..used].to_owned()), used)
            }
            _ if is_name(first) => {
                let used = span(rest, is_name);
                (Token::Name(rest[..used].to_owned()), used)
            }
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                let sign =
                    sign.ok_or_else(|| Refused::new("the path has a character of no use"))?;
                (Token::Sign(sign), sign.len())
            }
        };
        out.push(token);
        rest = rest[used..].trim_start();
    }
    Ok(out)
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn span(text: &str, holds: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !holds(letter)).unwrap_or(text.len())
}

/// A text between two signs, and how many bytes it took with them.
fn quoted(text: &str, end: char) -> Result<(String, usize), Refused> {
    let mut out = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => match letters.next().map(|(_, letter)| letter) {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('f') => out.push('\u{c}'),
                Some(letter @ ('\\' | '/' | '\'' | '"' | '`')) => out.push(letter),
                _ => return Err(Refused::new("the path has an unknown escape in a string")),
            },
            _ if letter == end => return Ok((out, at + letter.len_utf8())),
            _ => out.push(letter),
        }
    }
    Err(Refused::new("the path has a string without end"))
}

const SIGNS: [&str; 18] =
    ["!=", "!~", ">=", "<=", "(", ")", "[", "]", "{", "}", ".", ",", "=", "~", ">", "<", "|", "-"];
