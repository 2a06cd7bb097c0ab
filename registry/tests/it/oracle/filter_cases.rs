//! Filters made from the operators that the product advertises and from the values that the corpus has.

use registry::search::SupportedParam;

use super::cases::{Case, Cases, Way, reached, references_to, supported_by};
use super::compare::unescape;
use super::params::Kind;
use super::phrase::phrase;

impl Cases<'_> {
    /// A parameter with one of its operators, or with each.
    pub(crate) fn compared(
        &mut self,
        of: &'static str,
        param: &SupportedParam,
        all: bool,
    ) -> Vec<Case> {
        let operators = match all {
            true => param.operators.to_vec(),
            false => self.dice.pick_any(param.operators).into_iter().collect(),
        };
        let texts = operators.into_iter().filter_map(|operator| self.test(of, param, operator));
        texts.map(|text| Case::one(of, "_filter", text)).collect()
    }

    /// A filter of so many levels.
    pub(crate) fn filter(&mut self, of: &'static str, levels: usize) -> Option<Case> {
        Some(Case::one(of, "_filter", self.expression(of, levels)?))
    }

    fn expression(&mut self, of: &'static str, levels: usize) -> Option<String> {
        if levels == 0 {
            return match self.dice.roll(10) {
                0 => self.hop(of, false),
                1 => self.hop(of, true),
                2 => self.back(of),
                3 => self.pair(of),
                _ => self.any_test(of),
            };
        }
        let first = self.expression(of, levels - 1)?;
        let second = self.any_test(of)?;
        Some(match self.dice.roll(6) {
            0 => format!("{first} and {second}"),
            1 => format!("{first} or {second}"),
            2 => format!("not ({first})"),
            3 => format!("{second} or ({first})"),
            4 => format!("not ({second}) and ({first})"),
            _ => format!("({first} or {second}) and {}", self.any_test(of)?),
        })
    }

    fn any_test(&mut self, of: &'static str) -> Option<String> {
        let params = supported_by(of);
        (0..TRIES).find_map(|_| {
            let param = self.dice.pick_any(&params)?;
            let operator = self.dice.pick_any(param.operators)?;
            self.test(of, &param, operator)
        })
    }

    /// `parameter operator value`
    fn test(
        &mut self,
        of: &'static str,
        param: &SupportedParam,
        operator: &'static str,
    ) -> Option<String> {
        let code = param.param.code;
        let value = match (code, operator) {
            (_, "pr") => self.dice.pick(&["true", "false"]).to_owned(),
            ("_id", _) => self.dice.pick(&["r0", "r1", "nobody"]).to_owned(),
            ("_lastUpdated", _) => {
                self.dice.pick(&["2025", "2026-01", "2026-01-01T00:00:00Z"]).to_owned()
            }
            _ => {
                let modifier = match operator {
                    "in" | "ni" => "in",
                    "ss" => "below",
                    "sb" => "above",
                    _ => "",
                };
                let known = self.known(of, code);
                let way = Way { modifier, prefix: "" };
                let text = phrase(self.oracle, &mut self.dice, of, known, way, modifier)?;
                match known.kind {
                    Kind::String | Kind::Uri => unescape(&text),
                    _ => text,
                }
            }
        };
        let value = match self.dice.chance(40) {
            true => value.replace("http://loinc.org|", "loinc|"),
            false => value,
        };
        let is_plain = !value.contains([' ', ')', ']', '"', '\t', '\n']) && !value.is_empty();
        let shown = match is_plain && self.dice.chance(70) {
            true => value,
            false => serde_json::to_string(&value).expect("a text"),
        };
        Some(format!("{code} {operator} {shown}"))
    }

    /// `reference.name …`, with or without a type, or `reference[…].name …`.
    fn hop(&mut self, of: &'static str, brackets: bool) -> Option<String> {
        let params: Vec<_> = supported_by(of).into_iter().filter(|one| one.chainable).collect();
        let code = self.dice.pick_any(&params)?.param.code;
        let targets = reached(self.known(of, code));
        let target = self.dice.pick_any(&targets)?;
        let own_pair =
            [("Group", "characteristic"), ("DocumentReference", "relatesTo")].contains(&(of, code));
        let name = match targets.len() {
            1 => code.to_owned(),
            _ => format!("{code}:{target}"),
        };
        let behind = self.any_test(target)?;
        if !brackets || own_pair {
            return Some(format!("{name}.{behind}"));
        }
        let levels = self.dice.roll(2);
        Some(format!("{name}[{}].{behind}", self.expression(target, levels)?))
    }

    fn back(&mut self, of: &'static str) -> Option<String> {
        let (source, code) = self.dice.pick_any(&references_to(of))?;
        Some(format!("_has:{source}:{code}:{}", self.any_test(source)?))
    }

    /// The additional parameters, where the type has one.
    fn pair(&mut self, of: &'static str) -> Option<String> {
        let (name, [(code, a), (other, b)]) = match of {
            "Group" => ("characteristic", [("code", "characteristic"), ("value", "value")]),
            "DocumentReference" => ("relatesTo", [("code", "relation"), ("target", "relatesto")]),
            _ => return self.any_test(of),
        };
        let mut one = |child: &str, parameter: &str| {
            let params = supported_by(of);
            let param = params.into_iter().find(|one| one.param.code == parameter)?;
            let operator = if child == "target" { "re" } else { "eq" };
            let text = self.test(of, &param, operator)?;
            Some(format!("{child}{}", text.strip_prefix(parameter)?))
        };
        let (a, b) = (one(code, a)?, one(other, b)?);
        let texts = if self.dice.chance(50) { [a, b] } else { [b, a] };
        (!texts.concat().contains('\\')).then(|| format!("{name}[{}].{}", texts[0], texts[1]))
    }
}

const TRIES: usize = 6;
