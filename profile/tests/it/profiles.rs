//! Profiles: cardinality, types, values, bindings, invariants, slices, differentials without snapshot.

use crate::findings;

const CORE: &str = "http://hl7.org/fhir/StructureDefinition";

/// A profile as a differential; the part is the list of elements after the root.
fn differential(of: &str, elements: &str) -> String {
    format!(
        r#"{{"resourceType":"StructureDefinition","url":"http://x/p","name":"P","status":"active","kind":"resource",
        "abstract":false,"type":"{of}","baseDefinition":"{CORE}/{of}","derivation":"constraint",
        "differential":{{"element":[{{"id":"{of}","path":"{of}"}},{elements}]}}}}"#
    )
}

fn patient(elements: &str, document: &str) -> Vec<String> {
    let definition = differential("Patient", elements);
    findings(&format!(r#"{{"resourceType":"Patient"{document}}}"#), &[&definition], &["http://x/p"])
}

fn observation(elements: &str, document: &str) -> Vec<String> {
    let definition = differential("Observation", elements);
    let document = format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}}{document}}}"#
    );
    findings(&document, &[&definition], &["http://x/p"])
}

#[test]
fn cardinality_is_narrowed() {
    let rule = r#"{"id":"Patient.birthDate","path":"Patient.birthDate","min":1},
        {"id":"Patient.name","path":"Patient.name","max":"1"},{"id":"Patient.photo","path":"Patient.photo","max":"0"}"#;

    assert_eq!(patient(rule, ""), ["error required Patient.birthDate"]);
    assert_eq!(patient(rule, r#","birthDate":"2020","name":[{"family":"a"}]"#), [""; 0]);
    assert_eq!(
        patient(
            rule,
            r#","birthDate":"2020","name":[{"family":"a"},{"family":"b"}],"photo":[{"title":"x"}]"#
        ),
        ["error structure Patient.name", "error structure Patient.photo"]
    );
}

#[test]
fn a_choice_is_narrowed_by_type_or_by_its_short_name() {
    let rule = r#"{"id":"Observation.value[x]","path":"Observation.value[x]","type":[{"code":"Quantity"}]}"#;
    assert_eq!(observation(rule, r#","valueString":"x""#), ["error structure Observation.value"]);
    assert_eq!(observation(rule, r#","valueQuantity":{"value":1}"#), [""; 0]);

    let short = r#"{"id":"Observation.valueQuantity","path":"Observation.valueQuantity","min":1},
        {"id":"Observation.valueQuantity.unit","path":"Observation.valueQuantity.unit","min":1}"#;
    assert_eq!(observation(short, r#","valueString":"x""#), ["error required Observation.value"]);
    assert_eq!(
        observation(short, r#","valueQuantity":{"value":1}"#),
        ["error required Observation.value.unit"]
    );
}

#[test]
fn values_are_fixed_exactly_and_patterns_at_least() {
    let fixed = r#"{"id":"Patient.gender","path":"Patient.gender","fixedCode":"female"}"#;
    assert_eq!(patient(fixed, r#","gender":"male""#), ["error value Patient.gender"]);
    assert_eq!(patient(fixed, r#","gender":"female""#), [""; 0]);

    let pattern = r#"{"id":"Observation.category","path":"Observation.category",
        "patternCodeableConcept":{"coding":[{"system":"http://x/s","code":"a"}]}}"#;
    let category = |coding: &str| {
        observation(pattern, &format!(r#","category":[{{"coding":[{coding}],"text":"t"}}]"#))
    };
    assert_eq!(
        category(
            r#"{"system":"http://x/o","code":"b"},{"system":"http://x/s","code":"a","display":"A"}"#
        ),
        [""; 0]
    );
    assert_eq!(
        category(r#"{"system":"http://x/s","code":"b"}"#),
        ["error value Observation.category[0]"]
    );
}

#[test]
fn lengths_and_bounds_are_kept() {
    let rule = r#"{"id":"Patient.name.family","path":"Patient.name.family","maxLength":3},
        {"id":"Patient.birthDate","path":"Patient.birthDate","minValueDate":"2000-01-01","maxValueDate":"2009-12-31"}"#;
    assert_eq!(patient(rule, r#","name":[{"family":"äöü"}],"birthDate":"2005-05-05""#), [""; 0]);
    assert_eq!(
        patient(rule, r#","name":[{"family":"abcd"}],"birthDate":"2010-01-01""#),
        ["error too-long Patient.name[0].family", "error value Patient.birthDate"]
    );
}

#[test]
fn required_bindings_refuse_and_extensible_ones_warn() {
    let binding = |strength: &str| {
        format!(
            r#"{{"id":"Patient.maritalStatus","path":"Patient.maritalStatus","binding":{{"strength":"{strength}",
            "valueSet":"http://hl7.org/fhir/ValueSet/administrative-gender"}}}}"#
        )
    };
    let married = r#","maritalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"M"}]}"#;
    assert_eq!(
        patient(&binding("required"), married),
        ["error code-invalid Patient.maritalStatus"]
    );
    assert_eq!(
        patient(&binding("extensible"), married),
        ["warning code-invalid Patient.maritalStatus"]
    );
    assert_eq!(patient(&binding("preferred"), married), [""; 0]);
}

#[test]
fn invariants_of_profiles_are_evaluated_with_their_severity() {
    let rule = |severity: &str| {
        format!(
            r#"{{"id":"Patient.name","path":"Patient.name","constraint":[{{"key":"own-1","severity":"{severity}",
            "human":"a name has a family","expression":"family.exists()"}}]}}"#
        )
    };
    assert_eq!(
        patient(&rule("error"), r#","name":[{"text":"x"}]"#),
        ["error invariant Patient.name[0]"]
    );
    assert_eq!(
        patient(&rule("warning"), r#","name":[{"text":"x"}]"#),
        ["warning invariant Patient.name[0]"]
    );
}

#[test]
fn an_invariant_that_cannot_be_evaluated_is_said() {
    let rule = r#"{"id":"Patient.name","path":"Patient.name","constraint":[{"key":"own-1","severity":"error",
        "human":"x","expression":"frobnicate()"}]}"#;

    assert_eq!(patient(rule, ""), ["warning incomplete Patient"]);
}

const PRESSURE: &str = r#"{"id":"Observation.component","path":"Observation.component","min":2,
    "slicing":{"discriminator":[{"type":"value","path":"code.coding.code"},{"type":"value","path":"code.coding.system"}],"rules":"open"}},
    {"id":"Observation.component:sys","path":"Observation.component","sliceName":"sys","min":1,"max":"1"},
    {"id":"Observation.component:sys.code","path":"Observation.component.code","min":1},
    {"id":"Observation.component:sys.code.coding","path":"Observation.component.code.coding","min":1},
    {"id":"Observation.component:sys.code.coding.system","path":"Observation.component.code.coding.system","min":1,"fixedUri":"http://loinc.org"},
    {"id":"Observation.component:sys.code.coding.code","path":"Observation.component.code.coding.code","min":1,"fixedCode":"8480-6"},
    {"id":"Observation.component:sys.value[x]","path":"Observation.component.value[x]","min":1,"type":[{"code":"Quantity"}]},
    {"id":"Observation.component:dia","path":"Observation.component","sliceName":"dia","min":1,"max":"1"},
    {"id":"Observation.component:dia.code","path":"Observation.component.code","min":1,
     "patternCodeableConcept":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]}}"#;

#[test]
fn slices_are_told_apart_by_value_even_when_a_pattern_says_it_higher_up() {
    let component = |code: &str, value: &str| {
        format!(
            r#"{{"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},{value}}}"#
        )
    };
    let quantity = r#""valueQuantity":{"value":1}"#;
    let with = |components: &[String]| {
        observation(PRESSURE, &format!(r#","component":[{}]"#, components.join(",")))
    };
    let (sys, dia) = (component("8480-6", quantity), component("8462-4", quantity));

    assert_eq!(with(&[sys.clone(), dia.clone()]), [""; 0]);
    assert_eq!(
        with(&[sys.clone(), sys.clone(), dia.clone()]),
        ["error structure Observation.component"]
    );
    assert_eq!(
        with(&[component("1", quantity), dia.clone()]),
        ["error required Observation.component"]
    );
    assert_eq!(
        with(&[component("8480-6", r#""valueString":"x""#), dia]),
        ["error structure Observation.component[0].value"]
    );
}

#[test]
fn closed_and_ordered_slices_refuse_what_is_outside_and_out_of_order() {
    let rule = |rules: &str, ordered: bool| {
        format!(
            r#"{{"id":"Patient.identifier","path":"Patient.identifier","slicing":{{"discriminator":[{{"type":"value","path":"system"}}],
            "rules":"{rules}","ordered":{ordered}}}}},
            {{"id":"Patient.identifier:a","path":"Patient.identifier","sliceName":"a"}},
            {{"id":"Patient.identifier:a.system","path":"Patient.identifier.system","fixedUri":"http://a"}},
            {{"id":"Patient.identifier:b","path":"Patient.identifier","sliceName":"b"}},
            {{"id":"Patient.identifier:b.system","path":"Patient.identifier.system","fixedUri":"http://b"}}"#
        )
    };
    let with = |rules: &str, ordered, systems: &[&str]| {
        let list: Vec<String> =
            systems.iter().map(|s| format!(r#"{{"system":"http://{s}","value":"1"}}"#)).collect();
        patient(&rule(rules, ordered), &format!(r#","identifier":[{}]"#, list.join(",")))
    };
    assert_eq!(with("open", false, &["c", "b", "a"]), [""; 0]);
    assert_eq!(with("closed", false, &["a", "c"]), ["error structure Patient.identifier[1]"]);
    assert_eq!(with("open", true, &["b", "a"]), ["error structure Patient.identifier[1]"]);
    assert_eq!(with("openAtEnd", false, &["c", "a"]), ["error structure Patient.identifier[1]"]);
    assert_eq!(with("openAtEnd", false, &["a", "c"]), [""; 0]);
}

#[test]
fn slices_by_type_exists_and_profile() {
    let by_type = r#"{"id":"Observation.value[x]","path":"Observation.value[x]","slicing":{"discriminator":[{"type":"type","path":"$this"}],"rules":"closed"}},
        {"id":"Observation.value[x]:valueQuantity","path":"Observation.value[x]","sliceName":"valueQuantity","min":1,"type":[{"code":"Quantity"}]}"#;
    assert_eq!(observation(by_type, r#","valueQuantity":{"value":1}"#), [""; 0]);
    assert_eq!(observation(by_type, r#","valueString":"x""#).len(), 2);

    let by_presence = r#"{"id":"Patient.name","path":"Patient.name","slicing":{"discriminator":[{"type":"exists","path":"period"}],"rules":"open"}},
        {"id":"Patient.name:old","path":"Patient.name","sliceName":"old","max":"1"},
        {"id":"Patient.name:old.period","path":"Patient.name.period","min":1},
        {"id":"Patient.name:now","path":"Patient.name","sliceName":"now","min":1},
        {"id":"Patient.name:now.period","path":"Patient.name.period","max":"0"}"#;
    let old = r#"{"text":"x","period":{"start":"2020"}}"#;
    assert_eq!(patient(by_presence, &format!(r#","name":[{old},{{"text":"y"}}]"#)), [""; 0]);
    assert_eq!(
        patient(by_presence, &format!(r#","name":[{old}]"#)),
        ["error required Patient.name"]
    );
}

#[test]
fn slices_within_slices_are_counted_too() {
    let rule = r#"{"id":"Patient.identifier","path":"Patient.identifier","slicing":{"discriminator":[{"type":"value","path":"system"}],"rules":"open"}},
        {"id":"Patient.identifier:a","path":"Patient.identifier","sliceName":"a","slicing":{"discriminator":[{"type":"value","path":"use"}],"rules":"open"}},
        {"id":"Patient.identifier:a.system","path":"Patient.identifier.system","fixedUri":"http://a"},
        {"id":"Patient.identifier:a/official","path":"Patient.identifier","sliceName":"a/official","min":1},
        {"id":"Patient.identifier:a/official.use","path":"Patient.identifier.use","fixedCode":"official"}"#;

    assert_eq!(patient(rule, r#","identifier":[{"system":"http://a","use":"official"}]"#), [""; 0]);
    assert_eq!(
        patient(rule, r#","identifier":[{"system":"http://a","use":"usual"}]"#),
        ["error required Patient.identifier"]
    );
}

const RACE: &str = r#"{"resourceType":"StructureDefinition","url":"http://x/race","name":"R","status":"active","kind":"complex-type",
    "abstract":false,"type":"Extension","context":[{"type":"element","expression":"Patient"}],
    "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Extension","derivation":"constraint",
    "differential":{"element":[{"id":"Extension","path":"Extension"},
    {"id":"Extension.extension","path":"Extension.extension","max":"0"},
    {"id":"Extension.url","path":"Extension.url","fixedUri":"http://x/race"},
    {"id":"Extension.value[x]","path":"Extension.value[x]","min":1,"type":[{"code":"Coding"}]}]}}"#;

#[test]
fn extensions_are_demanded_and_checked_by_their_definition() {
    let rule = r#"{"id":"Patient.extension:race","path":"Patient.extension","sliceName":"race","min":1,"max":"1",
        "type":[{"code":"Extension","profile":["http://x/race"]}]}"#;
    let definition = differential("Patient", rule);
    let with = |document: &str| {
        let document = format!(r#"{{"resourceType":"Patient"{document}}}"#);
        findings(&document, &[&definition, RACE], &["http://x/p"])
    };
    assert_eq!(with(""), ["error required Patient.extension"]);
    let good = r#"{"url":"http://x/race","valueCoding":{"system":"http://x","code":"a"}}"#;
    assert_eq!(with(&format!(r#","extension":[{good}]"#)), [""; 0]);
    let bad = r#"{"url":"http://x/race","valueString":"a"}"#;
    assert_eq!(
        with(&format!(r#","extension":[{bad}]"#)),
        ["error structure Patient.extension[0].value"]
    );
    assert_eq!(
        with(&format!(r#","extension":[{good}],"name":[{{"extension":[{good}]}}]"#)),
        ["error extension Patient.name[0].extension[0]"]
    );
}

#[test]
fn a_claim_of_an_unknown_profile_is_said_and_one_of_another_type_is_wrong() {
    let claim = |url: &str| {
        findings(
            &format!(r#"{{"resourceType":"Patient","meta":{{"profile":["{url}"]}}}}"#),
            &[],
            &[],
        )
    };
    assert_eq!(claim("http://x/unknown"), ["error not-found Patient.meta.profile[0]"]);
    assert_eq!(claim(&format!("{CORE}/Patient")), [""; 0]);
    assert_eq!(claim(&format!("{CORE}/Observation")), ["error structure Patient.meta.profile[0]"]);
    assert_eq!(
        findings(r#"{"resourceType":"Patient"}"#, &[], &["http://x/unknown"]),
        ["error not-found Patient"]
    );
}

#[test]
fn target_profiles_are_checked_within_the_document() {
    let rule = r#"{"id":"Patient.generalPractitioner","path":"Patient.generalPractitioner",
        "type":[{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/Organization"]}]}"#;
    assert_eq!(
        patient(rule, r#","generalPractitioner":[{"reference":"Practitioner/1"}]"#),
        ["error structure Patient.generalPractitioner[0]"]
    );
    assert_eq!(
        patient(rule, r#","generalPractitioner":[{"reference":"Organization/1"}]"#),
        [""; 0]
    );
}
