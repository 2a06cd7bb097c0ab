//! UCUM units: what a unit's code means in base units, so that amounts in different units compare.
//!
//! Spec: The Unified Code for Units of Measure 2.2, §§ 2 to 9 (grammar, case-sensitive codes). Source of
//! the units: `fhir-profiles/ucum/units.txt`. Annotations mean nothing; a mole is a number; an arbitrary
//! unit such as `[iU]` is a dimension of its own. Celsius, Fahrenheit and Réaumur are read where they
//! stand alone; logarithmic and other special units have no canonical form and compare by code only.
//! Canonical values have [`DIGITS`] significant digits, so that the same amount is the same number.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::OnceLock;

use crate::NumberRange;

/// A unit in terms of base units: `value × factor + offset` of the canonical unit.
#[derive(Clone, Debug, PartialEq)]
pub struct CanonicalUnit {
    unit: String,
    factor: f64,
    offset: f64,
}

/// System of UCUM codes in FHIR.
pub const UCUM_SYSTEM: &str = "http://unitsofmeasure.org";

impl CanonicalUnit {
    /// Reads a UCUM code; `None` for what is no such code, or has no canonical form.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        if code.is_empty() || code.len() > CODE_BYTES_MAX || !code.is_ascii() {
            return None;
        }
        let table = table();
        if let Some(special) = table.special(code) {
            return special;
        }
        let mut reader = Reader { rest: code, depth: 0, atom: &|code| table.meaning(code) };
        let found = reader.main()?;
        found.factor.is_normal().then(|| Self {
            unit: found.unit(),
            factor: found.factor,
            offset: 0.0,
        })
    }

    /// The canonical unit, the same for all units that measure the same: base units with exponents.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// A number in this unit as a number in the canonical unit.
    #[must_use]
    pub fn value(&self, number: f64) -> f64 {
        if !number.is_finite() {
            return number;
        }
        rounded(number * self.factor + self.offset)
    }

    /// A range in this unit as a range in the canonical unit; an end that leaves its number out goes on doing so.
    #[must_use]
    pub fn range(&self, range: &NumberRange) -> NumberRange {
        let (lo, hi, value) = (self.value(range.lo), self.value(range.hi), self.value(range.value));
        NumberRange {
            lo: if range.lo > range.value { value.next_up() } else { lo },
            hi: if range.hi < range.value { value.next_down() } else { hi },
            value,
        }
    }
}

fn rounded(number: f64) -> f64 {
    format!("{number:.*e}", DIGITS - 1).parse().unwrap_or(number)
}

/// A product of base units.
#[derive(Clone, Debug)]
struct Meaning {
    factor: f64,
    /// Base and arbitrary units with their exponents, sorted, none zero.
    bases: Vec<(&'static str, i32)>,
}

impl Meaning {
    fn number(factor: f64) -> Self {
        Self { factor, bases: Vec::new() }
    }

    fn times(mut self, other: &Self, exponent: i32) -> Self {
        self.factor *= other.factor.powi(exponent);
        for (base, of_other) in &other.bases {
            let more = of_other.saturating_mul(exponent);
            match self.bases.iter_mut().find(|(own, _)| own == base) {
                Some((_, own)) => *own = own.saturating_add(more),
                None => self.bases.push((base, more)),
            }
        }
        self.bases.retain(|(_, exponent)| *exponent != 0);
        self.bases.sort_unstable();
        self
    }

    fn unit(&self) -> String {
        let mut unit = String::new();
        for (base, exponent) in &self.bases {
            let _ = write!(unit, "{base}{exponent}.");
        }
        unit
    }
}

/// The grammar; `atom` tells what a symbol means.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
    atom: &'a dyn Fn(&str) -> Option<Meaning>,
}

impl<'a> Reader<'a> {
    /// A whole code: a term, perhaps after a leading slash.
    fn main(&mut self) -> Option<Meaning> {
        let found = self.term()?;
        self.rest.is_empty().then_some(found)
    }

    fn term(&mut self) -> Option<Meaning> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let mut found = Meaning::number(1.0);
        let mut sign = if self.takes('/') { -1 } else { 1 };
        loop {
            found = found.times(&self.component()?, sign);
            sign = match self.rest.as_bytes().first() {
                Some(b'.') => 1,
                Some(b'/') => -1,
                _ => break,
            };
            self.rest = &self.rest[1..];
        }
        self.depth -= 1;
        Some(found)
    }

    fn component(&mut self) -> Option<Meaning> {
        if self.takes('(') {
            let found = self.term()?;
            return self.takes(')').then_some(found).filter(|_| self.annotation().is_some());
        }
        if self.rest.starts_with('{') {
            self.annotation()?;
            return Some(Meaning::number(1.0));
        }
        let symbol = self.symbol();
        self.annotation()?;
        if !symbol.is_empty() && symbol.bytes().all(|b| b.is_ascii_digit()) {
            return symbol.parse().ok().filter(|n| *n > 0.0).map(Meaning::number);
        }
        let (name, exponent) = split_exponent(symbol)?;
        let found = (self.atom)(name)?;
        Some(Meaning::number(1.0).times(&found, exponent))
    }

    /// Up to the next operator that is not in square brackets.
    fn symbol(&mut self) -> &'a str {
        let mut inside = false;
        let end = self.rest.bytes().position(|byte| {
            match byte {
                b'[' => inside = true,
                b']' => inside = false,
                _ => {}
            }
            !inside && matches!(byte, b'.' | b'/' | b'(' | b')' | b'{' | b'}')
        });
        let (symbol, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        symbol
    }

    /// Skips `{…}` where there is one.
    fn annotation(&mut self) -> Option<()> {
        if self.rest.starts_with('{') {
            let end = self.rest.find('}')?;
            self.rest = &self.rest[end + 1..];
        }
        Some(())
    }

    fn takes(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

/// A symbol and its exponent, 1 where none is written.
fn split_exponent(symbol: &str) -> Option<(&str, i32)> {
    let digits = symbol.bytes().rev().take_while(u8::is_ascii_digit).count();
    let mut at = symbol.len() - digits;
    if digits == 0 {
        return Some((symbol, 1));
    }
    // The caret of `10^` belongs to the symbol, a sign to the exponent.
    if matches!(symbol.as_bytes().get(at.wrapping_sub(1)), Some(b'+' | b'-')) {
        at -= 1;
    }
    let exponent: i32 = symbol[at..].parse().ok()?;
    (exponent.abs() <= EXPONENT_MAX && at > 0).then(|| (&symbol[..at], exponent))
}

#[derive(Clone, Copy)]
enum Definition {
    Base,
    Times {
        value: f64,
        unit: &'static str,
    },
    /// `(value + shift) × factor` kelvin.
    Temperature {
        shift: f64,
        factor: f64,
    },
    /// On a scale that is no straight line.
    Special,
}

struct Unit {
    metric: bool,
    definition: Definition,
}

struct Table {
    prefixes: Vec<(&'static str, f64)>,
    units: HashMap<&'static str, Unit>,
    /// What units mean that are no products of others.
    known: HashMap<&'static str, Meaning>,
}

impl Table {
    /// A symbol with or without a prefix.
    fn find<'c>(&self, code: &'c str) -> Option<(f64, &'c str, &Unit)> {
        if let Some(unit) = self.units.get(code) {
            return Some((1.0, code, unit));
        }
        self.prefixes.iter().find_map(|(prefix, factor)| {
            let rest = code.strip_prefix(prefix)?;
            let unit = self.units.get(rest).filter(|unit| unit.metric)?;
            Some((*factor, rest, unit))
        })
    }

    fn meaning(&self, code: &str) -> Option<Meaning> {
        let (factor, atom, _) = self.find(code)?;
        let known = self.known.get(atom)?;
        Some(Meaning { factor: known.factor * factor, ..known.clone() })
    }

    /// A special unit that stands alone: its form, or that it has none.
    fn special(&self, code: &str) -> Option<Option<CanonicalUnit>> {
        let bare = code.split_once('{').map_or(code, |(bare, _)| bare);
        let (prefix, _, unit) = self.find(bare)?;
        match unit.definition {
            Definition::Special => Some(None),
            Definition::Temperature { shift, factor } => Some(Some(CanonicalUnit {
                unit: "K1.".to_owned(),
                factor: prefix * factor,
                offset: shift * factor,
            })),
            _ => None,
        }
    }

    /// Evaluates a definition and what it builds on; special units mean nothing in a product.
    fn learn(&mut self, code: &'static str, depth: usize) -> Option<Meaning> {
        if let Some(known) = self.known.get(code) {
            return Some(known.clone());
        }
        let found = match self.units.get(code)?.definition {
            Definition::Base => Meaning { factor: 1.0, bases: vec![(code, 1)] },
            Definition::Times { value, unit } if depth < DEPTH_MAX => {
                for symbol in symbols(unit) {
                    if let Some((_, atom, _)) = self.find(symbol) {
                        let atom = *self.units.get_key_value(atom)?.0;
                        self.learn(atom, depth + 1);
                    }
                }
                let mut reader = Reader { rest: unit, depth: 0, atom: &|code| self.meaning(code) };
                let unit = reader.main()?;
                Meaning { factor: unit.factor * value, ..unit }
            }
            _ => return None,
        };
        self.known.insert(code, found.clone());
        Some(found)
    }
}

/// The symbols of an expression, without exponents.
fn symbols(unit: &'static str) -> impl Iterator<Item = &'static str> {
    let mut reader = Reader { rest: unit, depth: 0, atom: &|_| None };
    std::iter::from_fn(move || {
        reader.rest = reader.rest.trim_start_matches(['.', '/', '(', ')']);
        let symbol = reader.symbol();
        (!symbol.is_empty()).then_some(symbol)
    })
    .filter_map(|symbol| split_exponent(symbol).map(|(name, _)| name))
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table =
            Table { prefixes: Vec::new(), units: HashMap::new(), known: HashMap::new() };
        for line in UNITS.lines().filter(|line| !line.starts_with('#')) {
            read_line(line, &mut table).expect("the committed table is well-formed");
        }
        // A longer prefix first: `da` before `d`.
        table.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let codes: Vec<&'static str> = table.units.keys().copied().collect();
        for code in codes {
            table.learn(code, 0);
        }
        table
    })
}

fn read_line(line: &'static str, table: &mut Table) -> Option<()> {
    let mut fields = line.split('\t');
    let (kind, code) = (fields.next()?, fields.next()?);
    if kind == "P" {
        table.prefixes.push((code, fields.next()?.parse().ok()?));
        return Some(());
    }
    let metric = kind == "B" || fields.next()? == "1";
    let definition = match kind {
        "B" | "A" => Definition::Base,
        "U" => Definition::Times { value: fields.next()?.parse().ok()?, unit: fields.next()? },
        _ => match fields.next()? {
            "Cel" => Definition::Temperature { shift: 273.15, factor: 1.0 },
            "degF" => Definition::Temperature { shift: 459.67, factor: 5.0 / 9.0 },
            "degRe" => Definition::Temperature { shift: 218.52, factor: 1.25 },
            _ => Definition::Special,
        },
    };
    table.units.insert(code, Unit { metric, definition });
    Some(())
}

pub(crate) const UNITS: &str = include_str!("../../fhir-profiles/ucum/units.txt");
/// Significant digits of a canonical value.
const DIGITS: usize = 12;
/// Longer codes are not read.
const CODE_BYTES_MAX: usize = 128;
/// Nesting of brackets, and of definitions.
const DEPTH_MAX: usize = 16;
/// Largest exponent; the largest that is in use is 23.
const EXPONENT_MAX: i32 = 64;

#[cfg(test)]
#[path = "ucum_tests.rs"]
mod tests;
