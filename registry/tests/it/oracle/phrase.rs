//! Values to ask for: those that the corpus has, cut, widened and misspelt a little, in every form of their kind.

use super::cases::{ORDERED, PREFIXES, Way};
use super::compare::{absolute, escape, ucum};
use super::dice::Dice;
use super::naive::Naive;
use super::params::{Kind, Param, is_boolean};
use super::time::{Decimal, moment};
use super::value::{Quantity, Reference, Token, Value, boolean};
use super::vocabulary::{CODES, CONCEPTS, SYSTEMS, TEXTS, UCUM, UCUM_CODES, URIS, VALUE_SETS};

/// One alternative for a parameter; `None` where the way needs a value that no resource has.
pub(crate) fn phrase(
    oracle: &Naive,
    dice: &mut Dice,
    of: &'static str,
    param: &'static Param,
    way: Way,
    modifier: &str,
) -> Option<String> {
    if way.modifier == "missing" {
        return Some(dice.pick(&["true", "false"]).into());
    }
    let resources: Vec<_> = oracle.visible(of).collect();
    let tries = (0..TRIES).filter_map(|_| Some(dice.pick_any(&resources)?.values(param)));
    let mut pool =
        tries.into_iter().find(|pool| !pool.is_empty()).map_or_else(Vec::new, |pool| pool.to_vec());
    // Other codes than these are refused.
    if pool.is_empty() && is_boolean(of, param) {
        pool.push(boolean(dice.chance(50)));
    }
    if param.kind == Kind::Composite {
        let own = pool.iter().filter_map(|value| match value {
            Value::Composite(parts) => Some(parts),
            _ => None,
        });
        let own: Vec<_> = own.collect();
        let parts = dice.pick_any(&own)?;
        let pieces = parts.iter().zip(&param.parts).map(|(pool, (kind, _))| {
            let prefix = if dice.chance(50) { dice.pick(PREFIXES) } else { "" };
            one(dice, *kind, pool, Way { modifier: "", prefix }, "", None)
        });
        return Some(pieces.collect::<Option<Vec<_>>>()?.join("$"));
    }
    one(dice, param.kind, &pool, way, modifier, Some(&param.targets))
}

fn one(
    dice: &mut Dice,
    kind: Kind,
    pool: &[Value],
    way: Way,
    modifier: &str,
    targets: Option<&[&str]>,
) -> Option<String> {
    let value = dice.pick_any(pool);
    let text = match (kind, value) {
        (Kind::Token, value) => {
            let token = match value {
                Some(Value::Token(token)) => token,
                _ => Token::default(),
            };
            token_phrase(dice, &token, modifier)?
        }
        (Kind::Reference, value) => {
            let targets = targets.map_or(usize::MAX, <[_]>::len);
            let reference = match value {
                Some(Value::Reference(reference)) => reference,
                _ => Reference::default(),
            };
            reference_phrase(dice, &reference, targets, way.modifier, modifier)?
        }
        (Kind::Date, value) => date_phrase(dice, value.as_ref()),
        (Kind::Number, value) => match value {
            Some(Value::Number(lo, _)) => number_phrase(dice, Some(lo)),
            _ => number_phrase(dice, None),
        },
        (Kind::Quantity, value) => quantity_phrase(dice, value.as_ref()),
        (Kind::String, value) => string_phrase(dice, value.as_ref(), modifier),
        (Kind::Uri, value) => uri_phrase(dice, value.as_ref(), modifier),
        (Kind::Special, Some(Value::Position(north, east))) => near_phrase(dice, north, east),
        (Kind::Composite | Kind::Special, _) => return None,
    };
    Some(if ORDERED.contains(&kind) { format!("{}{text}", way.prefix) } else { text })
}

fn token_phrase(dice: &mut Dice, own: &Token, modifier: &str) -> Option<String> {
    match modifier {
        "of-type" => {
            let types =
                own.types.iter().filter_map(|(system, code)| system.as_ref().zip(code.as_ref()));
            let (system, code) = dice.pick_any(&types.collect::<Vec<_>>())?;
            let value = own.code.as_ref()?;
            return Some([system, code, value].map(|part| escape(part)).join("|"));
        }
        "in" | "not-in" => return Some(escape(dice.pick(VALUE_SETS).0)),
        "above" | "below" => {
            let (system, parent, child) = dice.pick(CONCEPTS);
            let code = escape(if modifier == "above" { child } else { parent });
            return Some(if dice.chance(70) { format!("{system}|{code}") } else { code });
        }
        "text" | "code-text" => {
            let own = dice.pick_any(&own.texts).unwrap_or_else(|| dice.pick(TEXTS).to_owned());
            return Some(escape(&cut(dice, &own, "")));
        }
        _ => {}
    }
    let code = escape(&own.code.clone().unwrap_or_else(|| dice.pick(CODES).to_owned()));
    let system = escape(&own.system.clone().unwrap_or_else(|| dice.pick(SYSTEMS).to_owned()));
    Some(match dice.roll(5) {
        0 => code,
        1 if own.system.is_some() => format!("{system}|{code}"),
        1 | 2 => format!("{}|{code}", escape(dice.pick(SYSTEMS))),
        3 => format!("|{code}"),
        _ => format!("{system}|"),
    })
}

fn reference_phrase(
    dice: &mut Dice,
    own: &Reference,
    targets: usize,
    way: &str,
    modifier: &str,
) -> Option<String> {
    match way {
        "identifier" => {
            let (system, value) = own.identifier.clone()?;
            let (system, value) = (system.map(|text| escape(&text)), escape(&value?));
            return Some(match (system, dice.roll(4)) {
                (_, 0) => value,
                (_, 1) => format!("|{value}"),
                (Some(system), _) => format!("{system}|{value}"),
                (None, _) => value,
            });
        }
        "text" => {
            let own = own.display.clone().unwrap_or_else(|| dice.pick(TEXTS).to_owned());
            return Some(escape(&cut(dice, &own, "")));
        }
        "[type]" => {
            let key = own.local.as_deref().filter(|key| key.starts_with(modifier));
            let id = key.and_then(|key| key.split('/').nth(1)).unwrap_or("r1");
            return Some(if dice.chance(50) { id.to_owned() } else { format!("{modifier}/{id}") });
        }
        _ => {}
    }
    if let Some(key) = &own.local {
        let id = key.split('/').nth(1).unwrap_or("");
        return Some(match dice.roll(5) {
            2 if targets <= BARE_ID_TYPES => id.to_owned(),
            0 => absolute(key),
            1 => format!("{key}/_history/1"),
            _ => key.clone(),
        });
    }
    let url = own.url.clone().unwrap_or_else(|| "http://other.example/fhir/Patient/none".into());
    Some(match (&own.version, dice.roll(3)) {
        (Some(version), 0 | 1) => escape(&url) + "|" + version,
        (None, 0) if url.starts_with("http://example.org/a") => escape(&url) + "|1.0",
        _ => escape(&url),
    })
}

fn date_phrase(dice: &mut Dice, own: Option<&Value>) -> String {
    let far = ["2007", "2010", "2010-01", "2010-01-01T10:00", "2009-12-31T23:30:00-01:00", "2030"];
    let Some(Value::Date(lo, hi)) = own else { return dice.pick(&far).into() };
    let ends = [lo, hi].into_iter().filter(|end| ![i64::MIN, i64::MAX].contains(*end));
    let Some(end) = dice.pick_any(&ends.collect::<Vec<_>>()) else { return dice.pick(&far).into() };
    let text = moment(*end);
    match dice.roll(8) {
        0 => dice.pick(&far).into(),
        1 => text,
        2 => format!("{}Z", &text[..19]),
        3 => text[..16].to_owned(),
        4 => text[..4].to_owned(),
        5 => text[..7].to_owned(),
        _ => text[..10].to_owned(),
    }
}

fn number_phrase(dice: &mut Dice, own: Option<Decimal>) -> String {
    let texts = ["0", "5", "5.0", "5.4", "5.40", "1", "100", "1e2", "99.5", "7", "-3", "0.005"];
    match own.and_then(Decimal::text).filter(|_| dice.chance(60)) {
        Some(text) => text,
        None => dice.pick(&texts).into(),
    }
}

fn quantity_phrase(dice: &mut Dice, own: Option<&Value>) -> String {
    let Some(Value::Quantity(Quantity { lo, system, code, unit, .. })) = own else {
        return number_phrase(dice, None);
    };
    let lo = lo.rounded();
    let number = number_phrase(dice, Some(lo));
    if let Some((measure, times)) = code.as_deref().and_then(ucum)
        && system.as_deref() == Some(UCUM)
        && dice.chance(50)
    {
        // The same amount in another unit, where that has an end.
        let same = UCUM_CODES.iter().filter(|code| ucum(code).is_some_and(|(of, _)| of == measure));
        let unit = dice.pick(&same.collect::<Vec<_>>());
        let of_unit = ucum(unit).map_or(1, |(_, times)| times);
        let total = lo.times(times).0;
        let even = dice.chance(60) && total % of_unit == 0;
        let text = even.then(|| Decimal(total / of_unit).text()).flatten();
        return format!("{}|{UCUM}|{unit}", text.unwrap_or(number));
    }
    // UCUM makes units comparable that the oracle's table does not have: moles per litre are counts per litre.
    let is_known = system.as_deref() != Some(UCUM)
        || code.as_deref().is_some_and(|code| ucum(code).is_some() || code == "[pH]");
    let system = system.as_deref().map(escape);
    let shown = code.as_ref().or(unit.as_ref()).map(|text| escape(text));
    match (dice.roll(3), system, shown) {
        (0, Some(system), Some(unit)) if is_known => format!("{number}|{system}|{unit}"),
        (0 | 1, _, Some(unit)) => format!("{number}||{unit}"),
        _ => number,
    }
}

fn string_phrase(dice: &mut Dice, own: Option<&Value>, modifier: &str) -> String {
    let own = match own {
        Some(Value::Text(text)) if dice.chance(90) => text.clone(),
        _ => dice.pick(TEXTS).to_owned(),
    };
    escape(&cut(dice, &own, modifier))
}

/// The whole text, its start, a piece of it, or its letters in other case.
fn cut(dice: &mut Dice, text: &str, modifier: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let (skip, take) = match dice.roll(4) {
        0 => (0, letters.len()),
        1 if modifier == "contains" => (letters.len() / 3, 3),
        1 => (0, 3),
        2 => return text.to_uppercase(),
        _ if modifier == "exact" => (0, letters.len()),
        _ => (0, letters.len().div_ceil(2)),
    };
    let piece: String = letters.into_iter().skip(skip).take(take).collect();
    if piece.trim().is_empty() { text.to_owned() } else { piece }
}

fn uri_phrase(dice: &mut Dice, own: Option<&Value>, modifier: &str) -> String {
    let own = match own {
        Some(Value::Uri(uri)) => uri.clone(),
        _ => dice.pick(URIS).to_owned(),
    };
    let text = match (modifier, dice.roll(3)) {
        ("below", 0) => own.rsplit_once('/').map_or(own.clone(), |(stem, _)| stem.to_owned()),
        ("below", 1) => own.rsplit_once('/').map_or(own.clone(), |(stem, _)| format!("{stem}/")),
        ("above", 0) => format!("{own}/b"),
        ("above", 1) => format!("{own}/b/c"),
        _ => own,
    };
    escape(&text)
}

/// A place a little beside a position, or its antipode; never at the edge of the distance.
fn near_phrase(dice: &mut Dice, north: f64, east: f64) -> String {
    let north = (north + dice.pick(&[0.0, 0.013, -0.4, 3.7])).clamp(-90.0, 90.0);
    let east = (east + dice.pick(&[0.0, -0.017, 0.9, -7.3])).clamp(-180.0, 180.0);
    let east = if dice.chance(10) { -east } else { east };
    let rest = dice.pick(&[
        "",
        "|",
        "|3",
        "|45||",
        "|120|km",
        "|900|km",
        "|700000|m",
        "|100|[mi_i]",
        "|300|[nmi_i]",
        "|15000|km",
        "|21000|km",
    ]);
    format!("{north}|{east}{}", rest.trim_end_matches("||"))
}

/// A bare id may mean so many types; beyond, the product wants the type named.
const BARE_ID_TYPES: usize = 20;
/// Resources that are looked at for a value.
const TRIES: usize = 8;
