//! `$translate`, with ConceptMap/101 of the standard and what it does not show.

use serde_json::{Value, json};
use terminology::{Coding, ConceptMap, Refusal, TranslateOptions, translate};

use crate::desk::Desk;

const USE: &str = "http://hl7.org/fhir/address-use";
const V3: &str = "http://terminology.hl7.org/CodeSystem/v3-AddressUse";

/// The mappings of ConceptMap/101 (address-use to v3).
fn address_use() -> Value {
    json!({
        "resourceType": "ConceptMap", "url": "http://hl7.org/fhir/ConceptMap/101", "version": "4.0.1", "status": "draft",
        "sourceUri": "http://hl7.org/fhir/ValueSet/address-use",
        "targetUri": "http://terminology.hl7.org/ValueSet/v3-AddressUse",
        "group": [{"source": USE, "target": V3, "element": [
            {"code": "home", "target": [{"code": "H", "display": "home", "equivalence": "equivalent"}]},
            {"code": "work", "target": [{"code": "WP", "display": "work place", "equivalence": "equivalent"}]},
            {"code": "temp", "target": [{"code": "TMP", "display": "temporary address", "equivalence": "equivalent"}]},
            {"code": "old", "target": [{"code": "BAD", "equivalence": "disjoint", "comment": "no such flag"}]}],
          "unmapped": {"mode": "fixed", "code": "temp", "display": "temp"}}]
    })
}

fn run(
    map: &Value,
    desk: &Desk,
    coding: Coding,
    options: &TranslateOptions,
) -> Result<Value, Refusal> {
    let map = ConceptMap::of(map).unwrap();
    let codings = [coding];
    desk.ask(|shelf| translate(&map, &codings, options, shelf)).map(|answer| answer.to_resource())
}

fn plain(map: &Value, coding: Coding) -> Value {
    run(map, &Desk::default(), coding, &TranslateOptions::default()).unwrap()
}

/// (equivalence, code) of each match.
fn matches(answer: &Value) -> Vec<(String, String)> {
    let all = answer["parameter"].as_array().unwrap().iter().filter(|one| one["name"] == "match");
    all.map(|one| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&one["part"][0]["valueCode"]), text(&one["part"][1]["valueCoding"]["code"]))
    })
    .collect()
}

#[test]
fn the_answer_to_the_example_of_the_standard_is_the_published_one() {
    let answer = plain(&address_use(), Coding::new(USE, "home"));

    assert_eq!(
        answer,
        json!({"resourceType": "Parameters", "parameter": [
        {"name": "result", "valueBoolean": true},
        {"name": "match", "part": [
            {"name": "equivalence", "valueCode": "equivalent"},
            {"name": "concept", "valueCoding": {"system": V3, "code": "H", "display": "home"}},
            {"name": "source", "valueUri": "http://hl7.org/fhir/ConceptMap/101|4.0.1"}]}]})
    );
}

#[test]
fn a_disjoint_target_is_no_translation() {
    let answer = plain(&address_use(), Coding::new(USE, "old"));

    assert_eq!(answer["parameter"][0]["valueBoolean"], false);
    assert_eq!(answer["parameter"][1]["valueString"], "no such flag");
    assert_eq!(matches(&answer), [("disjoint".into(), "BAD".into())]);
}

#[test]
fn an_unmapped_code_goes_the_way_its_mode_says() {
    let with = |unmapped: Value| {
        let mut map = address_use();
        map["group"][0]["unmapped"] = unmapped;
        map
    };
    let other = json!({"resourceType": "ConceptMap", "url": "http://other.example", "status": "active",
        "group": [{"source": USE, "target": V3, "element": [{"code": "billing", "target": [{"code": "PST", "equivalence": "wider"}]}]}]});
    let desk = Desk(vec![other]);
    let billing = || Coding::new(USE, "billing");
    let of =
        |map: &Value| matches(&run(map, &desk, billing(), &TranslateOptions::default()).unwrap());

    assert_eq!(of(&address_use()), [("relatedto".into(), "temp".into())]);
    assert_eq!(of(&with(json!({"mode": "provided"}))), [("equal".into(), "billing".into())]);
    assert_eq!(
        of(&with(json!({"mode": "other-map", "url": "http://other.example"}))),
        [("wider".into(), "PST".into())]
    );
    assert_eq!(of(&with(Value::Null).tap_remove()), []);
    let missing = with(json!({"mode": "other-map", "url": "http://none.example"}));
    assert!(matches!(
        run(&missing, &desk, billing(), &TranslateOptions::default()),
        Err(Refusal::Unknown { .. })
    ));
}

trait TapRemove {
    fn tap_remove(self) -> Value;
}

impl TapRemove for Value {
    fn tap_remove(mut self) -> Value {
        self["group"][0].as_object_mut().unwrap().remove("unmapped");
        self
    }
}

#[test]
fn maps_that_refer_to_each_other_end() {
    let map = json!({"resourceType": "ConceptMap", "url": "http://loop.example", "status": "active",
        "group": [{"source": USE, "target": V3, "element": [], "unmapped": {"mode": "other-map", "url": "http://loop.example"}}]});
    let desk = Desk(vec![map.clone()]);

    let answer = run(&map, &desk, Coding::new(USE, "home"), &TranslateOptions::default());

    assert!(matches!(answer, Err(Refusal::TooCostly(_))));
}

#[test]
fn reverse_turns_the_equivalence_round() {
    let mut map = address_use();
    map["group"][0]["element"][0]["target"][0]["equivalence"] = json!("wider");
    let options = TranslateOptions { reverse: true, ..TranslateOptions::default() };

    let answer = run(&map, &Desk::default(), Coding::new(V3, "H"), &options).unwrap();

    assert_eq!(matches(&answer), [("narrower".into(), "home".into())]);
    assert_eq!(answer["parameter"][1]["part"][1]["valueCoding"]["system"], USE);
}

#[test]
fn a_mapping_counts_when_its_dependencies_are_met() {
    // The shape of ConceptMap/example2: the target depends on, and produces, other elements.
    let map = json!({"resourceType": "ConceptMap", "status": "draft", "group": [{
        "source": "http://example.org/fhir/example1", "target": "http://example.org/fhir/example2",
        "element": [{"code": "code", "target": [{"code": "code2", "equivalence": "equivalent",
            "dependsOn": [{"property": "http://example.org/fhir/property-value/example", "system": "http://example.org/fhir/example3", "value": "some-code"}],
            "product": [{"property": "http://example.org/made", "value": "made-code"}]}]}]}]});
    let coding = || Coding::new("http://example.org/fhir/example1", "code");
    let with = |system: &str, code: &str| TranslateOptions {
        dependencies: vec![(
            "http://example.org/fhir/property-value/example".to_owned(),
            json!({"coding": [{"system": system, "code": code}]}),
        )],
        ..TranslateOptions::default()
    };
    let of = |options: &TranslateOptions| run(&map, &Desk::default(), coding(), options).unwrap();

    let met = of(&with("http://example.org/fhir/example3", "some-code"));
    assert_eq!(matches(&met), [("equivalent".into(), "code2".into())]);
    assert_eq!(
        met["parameter"][1]["part"][2]["part"][1]["valueCoding"],
        json!({"code": "made-code"})
    );
    assert_eq!(matches(&of(&TranslateOptions::default())), []);
    assert_eq!(matches(&of(&with("http://example.org/fhir/example3", "other"))), []);
    assert_eq!(matches(&of(&with("http://example.org/fhir/wrong", "some-code"))), []);
}

#[test]
fn target_system_source_and_target_narrow_the_choice() {
    let of = |options: TranslateOptions| {
        matches(&run(&address_use(), &Desk::default(), Coding::new(USE, "work"), &options).unwrap())
            .len()
    };
    let none = TranslateOptions::default;

    assert_eq!(of(TranslateOptions { target_system: Some(V3.into()), ..none() }), 1);
    assert_eq!(
        of(TranslateOptions { target_system: Some("http://other.example".into()), ..none() }),
        0
    );
    assert_eq!(
        of(TranslateOptions {
            source: Some("http://hl7.org/fhir/ValueSet/address-use".into()),
            ..none()
        }),
        1
    );
    assert_eq!(of(TranslateOptions { target: Some("http://other.example".into()), ..none() }), 0);
}
