//! Whether one value of a resource passes one value of a query, by kind, modifier and prefix.
//!
//! Spec: FHIR R4 search § 3.1.1.4.3 to 3.1.1.4.14. A modifier that is not known here is an error, so that
//! nothing new is advertised without being tested.

use super::params::Kind;
use super::schema::schema;
use super::time::{Decimal, range};
use super::value::{Quantity, Reference, Token, Value, literal};
use super::vocabulary::{BASE, CONCEPTS, UCUM, VALUE_SETS};

/// What a comparison depends on beside the two values.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) kind: Kind,
    /// Without the colon; empty for none.
    pub(crate) modifier: &'a str,
    /// Kinds of the parts of a composite.
    pub(crate) parts: &'a [Kind],
}

/// Now, as the product is told: 2026-01-01.
pub(crate) const NOW_US: i64 = 1_767_225_600_000_000;

/// Whether `own` passes `asked`, one alternative as it stands in the query.
pub(crate) fn passes(own: &Value, question: Question<'_>, asked: &str) -> Result<bool, String> {
    let Question { kind, modifier, .. } = question;
    let unknown = || Err(format!("the oracle knows no modifier :{modifier} of {kind:?}"));
    Ok(match own {
        Value::Token(own) => match modifier {
            "" | "not" => token_is(own, asked),
            "of-type" => of_type(own, asked),
            "in" | "not-in" => is_in(own, &unescape(asked)),
            "below" => subsumed(own, asked),
            "above" => subsumes(own, asked),
            "text" | "code-text" => own.texts.iter().any(|text| starts_with(text, asked)),
            _ => return unknown(),
        },
        Value::Reference(own) => match modifier {
            "" => refers(own, None, asked),
            "identifier" => identified(own, asked),
            "text" => own.display.iter().any(|text| starts_with(text, asked)),
            of if schema().is_a(of, "Resource") => refers(own, Some(of), asked),
            _ => return unknown(),
        },
        Value::Text(own) => match modifier {
            "" => starts_with(own, asked),
            "exact" => *own == unescape(asked),
            "contains" => plain(own).contains(&plain(&unescape(asked))),
            _ => return unknown(),
        },
        Value::Uri(own) => match modifier {
            "" => *own == unescape(asked),
            "below" => is_below(own, &unescape(asked)),
            "above" => is_below(&unescape(asked), own),
            _ => return unknown(),
        },
        Value::Nothing => false,
        _ if !modifier.is_empty() => return unknown(),
        Value::Date(lo, hi) => date_holds((*lo, *hi), asked),
        Value::Number(lo, hi) => number_holds((*lo, *hi), asked, 1),
        Value::Quantity(own) => quantity_holds(own, asked),
        Value::Position(north, east) => is_near((*north, *east), asked),
        Value::Composite(own) => return composite_holds(own, question.parts, asked),
    })
}

fn composite_holds(own: &[Vec<Value>], kinds: &[Kind], asked: &str) -> Result<bool, String> {
    let asked = split(asked, '$');
    assert_eq!(asked.len(), own.len(), "{asked:?}");
    for ((own, kind), asked) in own.iter().zip(kinds).zip(asked) {
        let question = Question { kind: *kind, modifier: "", parts: &[] };
        let passed: Vec<bool> =
            own.iter().map(|own| passes(own, question, asked)).collect::<Result<_, _>>()?;
        if !passed.contains(&true) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `code`, `system|code`, `|code`, `system|`.
fn token_is(own: &Token, asked: &str) -> bool {
    let parts = split(asked, '|');
    let is = |own: &Option<String>, asked: &str| own.as_deref() == Some(&*unescape(asked));
    match parts[..] {
        [code] => is(&own.code, code),
        ["", code] => own.system.is_none() && is(&own.code, code),
        [system, ""] => is(&own.system, system),
        [system, code] => is(&own.system, system) && is(&own.code, code),
        _ => panic!("token {asked}"),
    }
}

/// `type-system|type-code|value`
fn of_type(own: &Token, asked: &str) -> bool {
    let parts: Vec<_> = split(asked, '|').into_iter().map(unescape).collect();
    let [system, code, value] = &parts[..] else { panic!("of-type {asked}") };
    let is = |(own_system, own_code): &(Option<String>, Option<String>)| {
        own_system.as_ref() == Some(system) && own_code.as_ref() == Some(code)
    };
    own.code.as_ref() == Some(value) && own.types.iter().any(is)
}

/// `:in`: one of the codes that the value set lists.
fn is_in(own: &Token, url: &str) -> bool {
    let (_, codes) =
        VALUE_SETS.iter().find(|(one, _)| *one == url).expect("a set of the vocabulary");
    codes.iter().any(|(system, code)| is_code(own, system, code))
}

/// `:below`: a concept of the code asked for, or one below it.
fn subsumed(own: &Token, asked: &str) -> bool {
    CONCEPTS.iter().any(|(system, parent, child)| {
        token_is(&concept(system, parent), asked)
            && [parent, child].iter().any(|code| is_code(own, system, code))
    })
}

/// `:above`: a concept of the code asked for, or one above it.
fn subsumes(own: &Token, asked: &str) -> bool {
    CONCEPTS.iter().any(|(system, parent, child)| {
        token_is(&concept(system, child), asked)
            && [parent, child].iter().any(|code| is_code(own, system, code))
    })
}

fn is_code(own: &Token, system: &str, code: &str) -> bool {
    own.system.as_deref() == Some(system) && own.code.as_deref() == Some(code)
}

fn concept(system: &str, code: &str) -> Token {
    Token { system: Some(system.into()), code: Some(code.into()), ..Token::default() }
}

/// `id`, `Type/id`, a URL here or elsewhere, a canonical with or without version.
pub(crate) fn refers(own: &Reference, of: Option<&str>, asked: &str) -> bool {
    let asked = unescape(asked);
    let is_type = |key: &str| of.is_none_or(|of| key.split('/').next() == Some(of));
    if !asked.contains(['/', ':']) {
        let is = |key: &String| key.split('/').nth(1) == Some(&*asked) && is_type(key);
        return own.local.as_ref().is_some_and(is);
    }
    let (bare, version) = match asked.split_once('|') {
        Some((url, version)) => (url, Some(version)),
        None => (&*asked, None),
    };
    let wanted = literal(bare);
    if let Some(key) = &wanted.local {
        // A canonical may be below our own base, too.
        let same_url = own.url.as_deref() == Some(bare);
        return same_url || own.local.as_ref() == Some(key) && is_type(key);
    }
    let same_version = version.is_none() || own.version.as_deref() == version;
    own.url.is_some() && own.url == wanted.url && same_version
}

/// `:identifier`: `value`, `system|value` or `|value`.
fn identified(own: &Reference, asked: &str) -> bool {
    let Some((system, value)) = &own.identifier else { return false };
    let own = Token { system: system.clone(), code: value.clone(), ..Token::default() };
    token_is(&own, asked)
}

fn starts_with(own: &str, asked: &str) -> bool {
    plain(own).starts_with(&plain(&unescape(asked)))
}

/// Equal, or under it in the path; a URN has no path.
fn is_below(own: &str, above: &str) -> bool {
    let stem = above.strip_suffix('/').unwrap_or(above);
    own == above || own.strip_prefix(stem).is_some_and(|rest| rest.starts_with('/'))
}

fn prefix(text: &str) -> (&str, &str) {
    let known = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
    match known.into_iter().find(|prefix| text.starts_with(prefix)) {
        Some(prefix) => (prefix, &text[2..]),
        None => ("eq", text),
    }
}

/// A stretch of time against a date with its prefix.
pub(crate) fn date_holds((lo, hi): (i64, i64), asked: &str) -> bool {
    let (prefix, text) = prefix(asked);
    let (asked_lo, asked_hi) = range(text).unwrap_or_else(|| panic!("date {text}"));
    let within = asked_lo <= lo && hi <= asked_hi;
    match prefix {
        "eq" => within,
        "ne" => !within,
        "gt" => hi > asked_hi,
        "lt" => lo < asked_lo,
        "ge" => within || hi > asked_hi,
        "le" => within || lo < asked_lo,
        "sa" => lo >= asked_hi,
        "eb" => hi <= asked_lo,
        _ => {
            // A tenth of the time between then and now at either side.
            let gap =
                if NOW_US < asked_lo { asked_lo - NOW_US } else { (NOW_US - asked_hi).max(0) };
            lo < asked_hi + gap / 10 && hi > asked_lo - gap / 10
        }
    }
}

/// A range against a number with its prefix; the number is of a unit so many times that of the range.
fn number_holds((lo, hi): (Decimal, Decimal), asked: &str, times: i128) -> bool {
    let (prefix, text) = prefix(asked);
    let wrong = || panic!("number {text}");
    let value = Decimal::parse(text).unwrap_or_else(wrong).times(times);
    let half = Decimal::half_of_last_place(text).unwrap_or_else(wrong).times(times);
    let (from, below) = (Decimal(value.0 - half.0), Decimal(value.0 + half.0));
    match prefix {
        "eq" => from <= lo && hi < below,
        "ne" => lo < from || below <= hi,
        "gt" => hi > value,
        "lt" => lo < value,
        "ge" => hi >= value,
        "le" => lo <= value,
        "sa" => lo > value,
        "eb" => hi < value,
        _ => {
            let margin = half.0.max(value.0.abs() / 10);
            hi.0 >= value.0 - margin && lo.0 <= value.0 + margin
        }
    }
}

/// `number`, `number|system|code`, `number||unit`; with the system UCUM in any unit of the same.
fn quantity_holds(own: &Quantity, asked: &str) -> bool {
    let parts = split(asked, '|');
    let part = |at: usize| parts.get(at).map(|part| unescape(part)).filter(|part| !part.is_empty());
    let (system, unit) = (part(1), part(2));
    if system.as_deref() == Some(UCUM)
        && own.system.as_deref() == Some(UCUM)
        && let Some((measure, times)) = unit.as_deref().and_then(ucum)
    {
        // What measures the same compares in any unit.
        let own_unit = own.code.as_deref().and_then(ucum).filter(|(own, _)| *own == measure);
        let range = own_unit.map(|(_, times)| (own.lo.times(times), own.hi.times(times)));
        return range.is_some_and(|range| number_holds(range, parts[0], times));
    }
    let unit_holds = match (&system, &unit) {
        (None, None) => true,
        (None, Some(_)) => own.code == unit || own.unit == unit,
        (Some(_), None) => own.system == system,
        (Some(_), Some(_)) => own.system == system && own.code == unit,
    };
    unit_holds && number_holds((own.lo, own.hi), parts[0], 1)
}

/// What the units of the corpus measure, and how many of the smallest of that kind they are.
pub(crate) fn ucum(code: &str) -> Option<(&'static str, i128)> {
    Some(match code {
        "mg" => ("mass", 1),
        "g" => ("mass", 1_000),
        "kg" => ("mass", 1_000_000),
        "mm" => ("length", 1),
        "cm" => ("length", 10),
        "m" => ("length", 1_000),
        "/min" => ("rate", 1),
        "/s" => ("rate", 60),
        _ => return None,
    })
}

/// `latitude|longitude|distance|units`: within the distance along the great circle, 50 km when none is said.
///
/// The angle is that between the two directions from the centre of a sphere of 6371.0088 km.
fn is_near(own: (f64, f64), asked: &str) -> bool {
    let parts = split(asked, '|');
    let number = |at: usize| parts.get(at).and_then(|text| text.parse::<f64>().ok());
    let units = [("km", 1.0), ("m", 0.001), ("[mi_i]", 1.609_344), ("[nmi_i]", 1.852)];
    let unit = parts.get(3).filter(|unit| !unit.is_empty()).unwrap_or(&"km");
    let unit = units.iter().find(|(code, _)| code == unit).map_or(f64::NAN, |(_, km)| *km);
    let most = number(2).map_or(50.0, |distance| distance * unit);
    // Numbers beyond the poles and the date line are no place.
    if own.0.abs() > 90.0 || own.1.abs() > 180.0 {
        return false;
    }
    let direction = |north: f64, east: f64| {
        let (up, right) = (north.to_radians(), east.to_radians());
        [up.cos() * right.cos(), up.cos() * right.sin(), up.sin()]
    };
    let (a, b) = (direction(own.0, own.1), direction(number(0).unwrap(), number(1).unwrap()));
    let cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let sine = cross.iter().map(|part| part * part).sum::<f64>().sqrt();
    let cosine: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    sine.atan2(cosine) * 6_371.008_8 <= most
}

/// Splits where the separator has no backslash before it.
pub(crate) fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if !escaped && c == separator {
            parts.push(&text[start..at]);
            start = at + 1;
        }
        escaped = !escaped && c == '\\';
    }
    parts.push(&text[start..]);
    parts
}

/// Takes the backslashes away that [`escape`] puts.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        match letters.peek() {
            Some(next) if c == '\\' && "\\,|$".contains(*next) => {
                out.push(*next);
                letters.next();
            }
            _ => out.push(c),
        }
    }
    out
}

/// A text as part of a search value.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "\\,|$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Lower case without the accents that the corpus has; white space once.
pub(crate) fn plain(text: &str) -> String {
    let bare = |c: char| match c {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' => Some('a'),
        'é' | 'è' | 'ê' | 'ë' => Some('e'),
        'í' | 'ì' | 'î' | 'ï' => Some('i'),
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => Some('o'),
        'ú' | 'ù' | 'û' | 'ü' => Some('u'),
        'ñ' => Some('n'),
        'ç' => Some('c'),
        '\u{300}'..='\u{36f}' => None,
        other => Some(other),
    };
    let lower = text.to_lowercase().chars().filter_map(bare).collect::<String>();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reference as it may stand in a query, below the base.
pub(crate) fn absolute(key: &str) -> String {
    format!("{BASE}/{key}")
}
