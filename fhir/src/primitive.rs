//! The forms of R4's primitive datatypes.
//!
//! Spec: FHIR R4 datatypes.html (the regular expressions, and the calendar beyond them).
//! Not here: value sets (`element_table`), extensions of primitives (`reader`).

use crate::id::is_id;
use crate::instant::{DateTimeParts, TimeParts};
use crate::tree::{ESCAPED, Kind, Node};

/// A primitive datatype; those with `System` have no extensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
    SystemId,
    SystemString,
    SystemUri,
}

/// What is wrong with a primitive value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// Another JSON type; what it must be.
    Kind(&'static str),
    /// The empty string.
    Empty,
    /// Longer than [`STRING_BYTES_MAX`].
    TooLong,
    /// Not of the datatype's form; which form that is.
    Form(&'static str),
}

impl Primitive {
    /// The datatype of a name in the element table.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "base64Binary" => Self::Base64Binary,
            "boolean" => Self::Boolean,
            "canonical" => Self::Canonical,
            "code" => Self::Code,
            "date" => Self::Date,
            "dateTime" => Self::DateTime,
            "decimal" => Self::Decimal,
            "id" => Self::Id,
            "instant" => Self::Instant,
            "integer" => Self::Integer,
            "markdown" => Self::Markdown,
            "oid" => Self::Oid,
            "positiveInt" => Self::PositiveInt,
            "string" => Self::String,
            "time" => Self::Time,
            "unsignedInt" => Self::UnsignedInt,
            "uri" => Self::Uri,
            "url" => Self::Url,
            "uuid" => Self::Uuid,
            "xhtml" => Self::Xhtml,
            "System.id" => Self::SystemId,
            "System.string" => Self::SystemString,
            "System.uri" => Self::SystemUri,
            _ => return None,
        })
    }

    /// Its name in the standard; the values of `System` are strings and URIs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Base64Binary => "base64Binary",
            Self::Boolean => "boolean",
            Self::Canonical => "canonical",
            Self::Code => "code",
            Self::Date => "date",
            Self::DateTime => "dateTime",
            Self::Decimal => "decimal",
            Self::Id => "id",
            Self::Instant => "instant",
            Self::Integer => "integer",
            Self::Markdown => "markdown",
            Self::Oid => "oid",
            Self::PositiveInt => "positiveInt",
            Self::String => "string",
            Self::Time => "time",
            Self::UnsignedInt => "unsignedInt",
            Self::Uri => "uri",
            Self::Url => "url",
            Self::Uuid => "uuid",
            Self::Xhtml => "xhtml",
            Self::SystemId => "string",
            Self::SystemString => "string",
            Self::SystemUri => "uri",
        }
    }

    /// Whether a property with an underscore may stand beside it.
    pub(crate) fn has_extensions(self) -> bool {
        !matches!(self, Self::Xhtml | Self::SystemId | Self::SystemString | Self::SystemUri)
    }

    /// Checks one JSON value.
    pub(crate) fn check(self, node: Node<'_>) -> Result<(), Fault> {
        match self {
            Self::Boolean => of_kind(node, Kind::Bool, "true or false"),
            Self::Integer => integer(node, i64::from(i32::MIN), "a whole number of 32 bits"),
            Self::UnsignedInt => integer(node, 0, "a whole number from 0 to 2147483647"),
            Self::PositiveInt => integer(node, 1, "a whole number from 1 to 2147483647"),
            Self::Decimal => decimal(node),
            _ => self.check_string(node),
        }
    }

    fn check_string(self, node: Node<'_>) -> Result<(), Fault> {
        of_kind(node, Kind::String, "a string")?;
        let text = node.as_str().unwrap_or_default();
        if text.is_empty() {
            return Err(Fault::Empty);
        }
        let unbounded = matches!(self, Self::Base64Binary | Self::Xhtml);
        if text.len() > STRING_BYTES_MAX && !unbounded {
            return Err(Fault::TooLong);
        }
        let escaped = node.slot().flags & ESCAPED != 0;
        if escaped && text.chars().any(is_forbidden) {
            return Err(Fault::Form("without control characters"));
        }
        self.form(&text).map_or(Ok(()), |form| Err(Fault::Form(form)))
    }

    /// The form that the text should have; `None` when it has it.
    fn form(self, text: &str) -> Option<&'static str> {
        let (good, form) = match self {
            Self::Id | Self::SystemId => (is_id(text), "1 to 64 letters, digits, hyphens and dots"),
            Self::Code => (is_code(text), "a code without spaces around or two in a row"),
            Self::Uri | Self::Url | Self::Canonical | Self::SystemUri => {
                (!text.bytes().any(|b| b.is_ascii_whitespace()), "a URI without spaces")
            }
            Self::Oid => (is_oid(text), "an OID such as urn:oid:1.2.3"),
            Self::Uuid => {
                (is_uuid(text), "a UUID such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520")
            }
            Self::Date => (is_date(text), "a date: YYYY, YYYY-MM or YYYY-MM-DD"),
            Self::DateTime => {
                (is_date_time(text), "a date, or a date and time with seconds and zone")
            }
            Self::Instant => {
                (crate::Instant::parse(text).is_ok(), "a date and time with seconds and zone")
            }
            Self::Time => (is_time(text), "a time: hh:mm:ss without zone"),
            Self::Base64Binary => (is_base64(text), "base64"),
            Self::Xhtml => (is_div(text), "XHTML within one div"),
            _ => return None,
        };
        (!good).then_some(form)
    }
}

fn of_kind(node: Node<'_>, kind: Kind, name: &'static str) -> Result<(), Fault> {
    if node.kind() == kind { Ok(()) } else { Err(Fault::Kind(name)) }
}

fn integer(node: Node<'_>, min: i64, form: &'static str) -> Result<(), Fault> {
    let text = node.number_text().ok_or(Fault::Kind("a number"))?;
    let whole = !text.contains(['.', 'e', 'E']) && text != "-0";
    let number = text.parse::<i64>().ok().filter(|_| whole);
    match number {
        Some(number) if (min..=i64::from(i32::MAX)).contains(&number) => Ok(()),
        _ => Err(Fault::Form(form)),
    }
}

/// JSON's grammar is FHIR's; only what no machine number holds (1E400) is refused.
fn decimal(node: Node<'_>) -> Result<(), Fault> {
    let text = node.number_text().ok_or(Fault::Kind("a number"))?;
    if text.len() > DECIMAL_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    if !text.contains(['e', 'E']) || text.parse::<f64>().is_ok_and(f64::is_finite) {
        return Ok(());
    }
    Err(Fault::Form("a decimal number within the range of 64-bit floating point"))
}

fn is_forbidden(symbol: char) -> bool {
    symbol < ' ' && !matches!(symbol, '\t' | '\n' | '\r')
}

/// Space is what XML takes for it: a no-break space is part of a code.
fn is_code(text: &str) -> bool {
    let mut space = true;
    for byte in text.bytes() {
        let now = byte.is_ascii_whitespace();
        if now && space {
            return false;
        }
        space = now;
    }
    !space
}

fn is_oid(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix("urn:oid:") else { return false };
    let mut parts = numbers.split('.');
    let arc = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    matches!(parts.next(), Some("0" | "1" | "2")) && numbers.contains('.') && parts.all(arc)
}

fn is_uuid(text: &str) -> bool {
    let Some(digits) = text.strip_prefix("urn:uuid:") else { return false };
    digits.len() == 36
        && digits.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

fn is_date(text: &str) -> bool {
    DateTimeParts::parse(text).is_some_and(|parts| parts.time.is_none())
}

fn is_date_time(text: &str) -> bool {
    DateTimeParts::parse(text).is_some_and(|parts| match parts.time {
        Some(time) => time.second.is_some() && time.offset_minutes.is_some(),
        None => true,
    })
}

fn is_time(text: &str) -> bool {
    TimeParts::parse(text)
        .is_some_and(|time| time.second.is_some() && time.offset_minutes.is_none())
}

/// Groups of four of the alphabet, spaces between allowed, padding only at the end.
fn is_base64(text: &str) -> bool {
    let (mut digits, mut padding) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => digits += 1,
            b'=' => padding += 1,
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => return false,
        }
    }
    digits > 0 && padding <= 2 && (digits + padding).is_multiple_of(4)
}

fn is_div(text: &str) -> bool {
    let Some(rest) = text.trim_start().strip_prefix("<div") else { return false };
    rest.starts_with(['>', '/', ' ', '\t', '\n', '\r'])
}

/// Longest text but for base64 and XHTML: 1024 × 1024 characters by the standard, counted in bytes here.
pub(crate) const STRING_BYTES_MAX: usize = 1024 * 1024;
const DECIMAL_BYTES_MAX: usize = 1024;

#[cfg(test)]
#[path = "primitive_tests.rs"]
mod tests;
