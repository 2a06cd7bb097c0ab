//! What is not advertised is refused by name: no modifier is skipped, no parameter ignored.

use fhir::ResourceType;
use registry::error::ReadError;
use registry::search::{ParseOptions, parse};

use super::cases::{reached, references_to, supported_by};
use super::compare::NOW_US;
use super::params::{Kind, is_boolean, param, params};
use super::schema::schema;
use super::vocabulary::BASE;

#[test]
fn modifiers_that_are_not_advertised_are_refused() {
    let mut wrong = Vec::new();
    for of in schema().stored() {
        for param in supported_by(of) {
            let code = param.param.code;
            let takes = |modifier: &str| {
                let is_type = modifier.starts_with(|c: char| c.is_uppercase());
                param.modifiers.contains(&if is_type { "[type]" } else { modifier })
            };
            for modifier in MODIFIERS.iter().filter(|modifier| !takes(modifier)) {
                wrong.extend(accepted(of, &format!("{code}:{modifier}=1")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are not refused: {wrong:#?}", wrong.len());
}

#[test]
fn parameters_that_are_not_advertised_are_refused() {
    let mut wrong = Vec::new();
    for of in schema().stored() {
        let advertised = supported_by(of);
        let is_advertised = |code: &str| advertised.iter().any(|one| one.param.code == code);
        for param in params(of).filter(|param| !is_advertised(param.code)) {
            wrong.extend(accepted(of, &format!("{}=1", param.code)));
        }
        for one in advertised.iter().filter(|one| !one.sortable) {
            wrong.extend(accepted(of, &format!("_sort={}", one.param.code)));
        }
        let is_reference = |code: &str| {
            params(of).any(|param| param.code == code && param.kind == Kind::Reference)
        };
        for one in advertised.iter().filter(|one| !is_reference(one.param.code)) {
            let code = one.param.code;
            wrong.extend(accepted(of, &format!("_include={of}:{code}")));
            wrong.extend(accepted(of, &format!("{code}.name=1")));
        }
        wrong.extend(accepted(of, "no-such-parameter=1"));
    }
    assert!(wrong.is_empty(), "{} are not refused: {wrong:#?}", wrong.len());
}

#[test]
fn codes_that_no_boolean_has_are_refused_and_all_other_elements_take_them() {
    let mut wrong = Vec::new();
    let mut booleans = 0;
    for of in schema().stored() {
        let tokens = params(of).filter(|param| param.kind == Kind::Token);
        for param in tokens.filter(|param| param.expression.is_some()) {
            let code = param.code;
            for query in [format!("{code}=maybe"), format!("{code}:not=true,True")] {
                let refusal = refusal(of, &query);
                let says_why = refusal.as_deref().is_some_and(|why| {
                    why.contains(&format!(" {code}")) && why.contains("true or false")
                });
                if says_why != is_boolean(of, param) || says_why != refusal.is_some() {
                    wrong.push(format!("{of}?{query}: {refusal:?}"));
                }
            }
            if is_boolean(of, param) {
                booleans += 1;
                wrong.extend(accepted(of, &format!("_filter={code}%20eq%20maybe")));
                for fine in ["true", "false", "true,false", "|maybe", "urn:s|true", "urn:s|"] {
                    let query = format!("{code}={fine}");
                    wrong.extend(refusal(of, &query).map(|why| format!("{of}?{query}: {why}")));
                }
            }
        }
    }
    assert!(booleans > 10, "{booleans}");
    assert!(wrong.is_empty(), "{} are wrong: {wrong:#?}", wrong.len());
}

#[test]
fn operators_that_are_not_advertised_are_refused() {
    let mut wrong = Vec::new();
    for of in schema().stored() {
        for param in supported_by(of) {
            let code = param.param.code;
            for operator in OPERATORS.iter().filter(|one| !param.operators.contains(one)) {
                let query = format!("_filter={code}%20{operator}%201");
                wrong.extend(accepted(of, &query));
                let refusal = refusal(of, &query).unwrap_or_default();
                let place = format!("character {}", code.len() + 2);
                let is_named = refusal.contains(&format!("operator {operator} "));
                if !is_named || !refusal.contains(&place) {
                    wrong.push(format!("{of}?{query} does not say why and where: {refusal}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are not refused: {wrong:#?}", wrong.len());
}

/// § 3.1.1.5.4: an include starts from the matches, with `:iterate` also from what was included.
#[test]
fn includes_that_can_never_bring_anything_are_refused_and_all_others_are_taken() {
    let mut answers = Answers::default();
    let types: Vec<_> = schema().stored().filter(|of| *of != "AuditEvent").collect();
    for (at, of) in types.iter().copied().enumerate() {
        for (source, code) in references_to(of).into_iter().skip(at % 3).step_by(3) {
            let rule = format!("{source}:{code}");
            answers.expect(of, &format!("_revinclude={rule}"), true);
            answers.expect(of, &format!("_include={rule}"), source == of);
            answers.expect(of, &format!("_include:iterate={rule}"), source == of);
            let known = param(source, code).expect("a parameter of R4");
            for target in few(&reached(known)) {
                for name in ["_revinclude", "_revinclude:iterate"] {
                    answers.expect(of, &format!("{name}={rule}:{target}"), target == of);
                }
            }
            for next in few(&types) {
                let Some(code) = reference_of(next) else { continue };
                let twice = format!("_revinclude={rule}&_include:iterate={next}:{code}");
                answers.expect(of, &twice, [of, source].contains(&next));
            }
        }
        for one in supported_by(of).iter().filter(|one| one.chainable) {
            let code = one.param.code;
            let known = reached(param(of, code).expect("a parameter of R4"));
            for next in few(&types).into_iter().chain(few(&known)) {
                let Some(then) = reference_of(next) else { continue };
                let start = format!("_include={of}:{code}");
                let goes_on = format!("_include:iterate={next}:{then}");
                // A reference that names no types may have any.
                let may = next == of || known.is_empty() || known.contains(&next);
                answers.expect(of, &format!("{start}&{goes_on}"), may);
                answers.expect(of, &format!("{goes_on}&{start}"), may);
                for target in few(&known).into_iter().filter(|_| next != of) {
                    let start = format!("{start}:{target}");
                    answers.expect(of, &format!("{start}&{goes_on}"), next == target);
                }
            }
        }
    }
    let (taken, refused) = (answers.taken, answers.refused);
    assert!(taken > 1_000 && refused > 1_000, "{taken} taken, {refused} refused");
    let wrong = answers.wrong;
    assert!(wrong.is_empty(), "{} are wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(40)]);
}

/// What was asked and how it was answered.
#[derive(Default)]
struct Answers {
    taken: usize,
    refused: usize,
    wrong: Vec<String>,
}

impl Answers {
    fn expect(&mut self, of: &str, query: &str, may: bool) {
        let refusal = refusal(of, query);
        let is_named = |why: &String| query.split('&').any(|pair| why.contains(pair));
        match &refusal {
            None => self.taken += 1,
            Some(_) => self.refused += 1,
        }
        if refusal.is_none() != may || refusal.as_ref().is_some_and(|why| !is_named(why)) {
            self.wrong.push(format!("{of}?{query}: {refusal:?}"));
        }
    }
}

/// Some of a list, those at its ends among them.
fn few(all: &[&'static str]) -> Vec<&'static str> {
    let step = (all.len() / FEW).max(1);
    all.iter().step_by(step).chain(all.last()).copied().collect()
}

/// The first reference parameter of a type.
fn reference_of(of: &str) -> Option<&'static str> {
    supported_by(of).into_iter().find(|one| one.chainable).map(|one| one.param.code)
}

const FEW: usize = 4;

#[test]
fn every_parameter_of_r4_is_known_to_the_product() {
    for of in schema().stored() {
        let of_type = ResourceType::parse(of).expect("a type of R4");
        for param in params(of) {
            assert!(fhir::search_param(of_type, param.code).is_some(), "{of} {}", param.code);
        }
    }
}

/// The query, unless it is refused as it should be.
fn accepted(of: &str, query: &str) -> Option<String> {
    let options = ParseOptions { base_url: BASE, lenient: false, now_us: NOW_US, codes: None };
    match parse(ResourceType::parse(of).expect("a type of R4"), query, &options) {
        Err(ReadError::Invalid(text) | ReadError::Unsupported(text)) => {
            let name = query.split('=').next().unwrap_or("");
            (!text.contains(name.split(':').next().unwrap_or(name)))
                .then(|| format!("{of}?{query} is refused without its name: {text}"))
        }
        Err(other) => Some(format!("{of}?{query}: {other}")),
        Ok(_) => Some(format!("{of}?{query}")),
    }
}

/// The words of the refusal.
fn refusal(of: &str, query: &str) -> Option<String> {
    let options = ParseOptions { base_url: BASE, lenient: false, now_us: NOW_US, codes: None };
    let read = parse(ResourceType::parse(of).expect("a type of R4"), query, &options);
    read.err().map(|error| error.to_string())
}

/// All of `_filter`, and one of no standard.
const OPERATORS: [&str; 20] = [
    "eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr", "po", "ss", "sb",
    "in", "ni", "re", "xx",
];

/// Those of R4, of R5, of other types and of no standard.
const MODIFIERS: [&str; 16] = [
    "missing",
    "exact",
    "contains",
    "not",
    "text",
    "in",
    "not-in",
    "below",
    "above",
    "of-type",
    "identifier",
    "code-text",
    "iterate",
    "Patient",
    "Nothing",
    "bogus",
];
