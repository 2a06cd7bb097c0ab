//! The language: what each operation answers, with expected values from FHIRPath N1 and FHIR R4.

use fhir::Tree;
use fhirpath::{CompileError, Context, Expression, Item, NoHost, resource};

const PATIENT: &str = r##"{"resourceType":"Patient","id":"p","active":true,
  "name":[{"use":"official","family":"Chalmers","given":["Peter","James"]},{"use":"usual","given":["Jim"]}],
  "birthDate":"1974-12-25","_birthDate":{"extension":[{"url":"http://x/time","valueDateTime":"1974-12-25T14:35:45-05:00"}]},
  "deceasedBoolean":false,
  "contained":[{"resourceType":"Organization","id":"o","name":"Org"}],
  "managingOrganization":{"reference":"#o"},
  "generalPractitioner":[{"reference":"Practitioner/1"},{"reference":"http://x/fhir/Organization/2/_history/1"}]}"##;

/// The answer as text, items joined by `;`.
fn answer(text: &str) -> String {
    let tree = Tree::parse(PATIENT.into()).unwrap();
    let on = resource(tree.root());
    let expression = Expression::compile(text).unwrap();
    let found = expression.evaluate(on, &Context::new(on, on, &NoHost)).unwrap();
    let shown: Vec<String> = found
        .iter()
        .map(|item| match item.simple() {
            Item::Boolean(value) => value.to_string(),
            Item::Integer(value) => value.to_string(),
            Item::Decimal(value) => value.to_string(),
            Item::String(value) => value.to_string(),
            Item::Moment(value) => value.to_string(),
            Item::Quantity(q) => format!("{} {}", q.value, q.unit),
            Item::Element(element) => element.of().name().unwrap_or("?").to_owned(),
            Item::Absent(name) => format!("absent {name}"),
            _ => "?".to_owned(),
        })
        .collect();
    shown.join(";")
}

#[test]
fn paths_lead_through_lists_choices_and_the_type_name() {
    assert_eq!(answer("Patient.name.given"), "Peter;James;Jim");
    assert_eq!(answer("name[0].given[1]"), "James");
    assert_eq!(answer("deceased"), "false");
    assert_eq!(answer("deceasedBoolean"), "");
    assert_eq!(answer("Observation.name"), "");
    assert_eq!(answer("name.where(use = 'usual').given.single()"), "Jim");
}

#[test]
fn extensions_of_primitives_are_reached_beside_their_value() {
    assert_eq!(answer("birthDate.extension('http://x/time').value"), "1974-12-25T14:35:45-05:00");
    assert_eq!(answer("birthDate.hasValue() and birthDate.extension.hasValue().not()"), "true");
}

#[test]
fn truth_has_three_values() {
    assert_eq!(answer("{} and false"), "false");
    assert_eq!(answer("{} and true"), "");
    assert_eq!(answer("{} or true"), "true");
    assert_eq!(answer("false implies {}"), "true");
    assert_eq!(answer("true xor {}"), "");
}

#[test]
fn dates_of_different_precision_may_have_no_order() {
    assert_eq!(answer("@2012-04 < @2012-05-01"), "true");
    assert_eq!(answer("@2012-04 < @2012-04-15"), "");
    assert_eq!(answer("@2012-04-15T15:00:00Z = @2012-04-15T17:00:00+02:00"), "true");
    assert_eq!(answer("@2012-02-29 + 1 year"), "2013-02-28");
    assert_eq!(answer("@T14:30 + 10 hours"), "00:30");
    assert_eq!(answer("birthDate < @1974-12-26"), "true");
}

#[test]
fn numbers_keep_their_digits_and_integers_stay_whole() {
    assert_eq!(answer("0.1 + 0.2 = 0.3"), "true");
    assert_eq!(answer("5 div 2"), "2");
    assert_eq!(answer("5 mod 3"), "2");
    assert_eq!(answer("1 / 0"), "");
    assert_eq!(answer("-(1 + 2)"), "-3");
    assert_eq!(answer("2 + 3 * 4"), "14");
    assert_eq!(answer("4 days = 4 'd'"), "true");
}

#[test]
fn types_know_their_kinds() {
    assert_eq!(answer("Patient is DomainResource"), "true");
    assert_eq!(answer("active is boolean and (active is System.Boolean).not()"), "true");
    assert_eq!(answer("name[0].use is string"), "true");
    assert_eq!(answer("true is Boolean"), "true");
    assert_eq!(answer("contained.ofType(Organization).name"), "Org");
    assert_eq!(answer("(name | contained).as(Organization).name"), "Org");
}

#[test]
fn references_lead_to_contained_resources_or_say_their_type() {
    assert_eq!(answer("managingOrganization.resolve().name"), "Org");
    assert_eq!(answer("generalPractitioner.resolve()"), "absent Practitioner;absent Organization");
    assert_eq!(
        answer("generalPractitioner.where(resolve() is Practitioner).reference"),
        "Practitioner/1"
    );
}

#[test]
fn the_tree_is_walked_with_and_without_a_condition() {
    assert_eq!(answer("descendants().where($this is code).count()"), "2");
    assert_eq!(answer("(1|2|3|4).aggregate($this + $total, 0)"), "10");
    assert_eq!(answer("name.given.select($this & $index.toString())"), "Peter0;James1;Jim2");
    assert_eq!(answer("(1 | 2 | 2).isDistinct()"), "true");
    assert_eq!(answer("name.given.combine(name.given).isDistinct()"), "false");
}

#[test]
fn texts_are_searched_and_cut() {
    assert_eq!(answer("'http://x'.startsWith('http:')"), "true");
    assert_eq!(answer("'abc'.substring(1,1)"), "b");
    assert_eq!(answer("'abc'.matches('^[a-c]+$')"), "true");
    assert_eq!(answer("'abcd'.replaceMatches('b(c)', '$1')"), "acd");
    assert_eq!(answer("'a,b'.split(',').join('-')"), "a-b");
    assert_eq!(answer("{}.startsWith('a')"), "");
}

#[test]
fn what_is_not_the_language_is_refused_with_its_place() {
    for (text, part) in [
        ("1 +", "character 4"),
        ("name.", "character 6"),
        ("'open", "without closing quote"),
        ("name where", "after the end"),
    ] {
        let error = Expression::compile(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert_eq!(
        Expression::compile("name.frobnicate()").unwrap_err(),
        CompileError::UnknownFunction("frobnicate".to_owned())
    );
    assert!(matches!(Expression::compile("name.where()"), Err(CompileError::Arguments(_))));
}
