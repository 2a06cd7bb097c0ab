//! What each datatype yields, expected values taken by hand from search.html of R4.

use crate::{ResourceType, TimeRange, Tree};

use super::super::{
    Extracted, NumberRange, Quantity, Target, Token, TypeOfIdentifier, Value, extract, search_param,
};

const BASE: &str = "https://here.example/fhir";

/// Values of one parameter, as the caller reads them.
fn check(resource: &str, code: &str, expected: &[Value<'_>]) {
    let tree = Tree::parse(resource.as_bytes().to_vec()).unwrap();
    let name = tree.root().get("resourceType").and_then(|name| name.as_str()).unwrap();
    let of = ResourceType::parse(&name).unwrap();
    let param = search_param(of, code).unwrap().id;
    let mut out: Vec<Extracted<'_>> = Vec::new();

    extract(tree.root(), of, BASE, &mut out);

    let found: Vec<_> =
        out.into_iter().filter(|one| one.param == param).map(|one| one.value).collect();
    assert_eq!(found, expected, "{code} of {resource}");
}

fn token<'t>(system: &'t str, code: &'t str) -> Value<'t> {
    let some = |text: &'t str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
    Value::Token(Token { system: some(system), code: some(code), ..Token::default() })
}

fn labelled<'t>(system: &'t str, code: &'t str, text: &'t str) -> Value<'t> {
    let Value::Token(token) = token(system, code) else { unreachable!() };
    Value::Token(Token { text: Some(text.into()), ..token })
}

fn string(text: &str) -> Value<'_> {
    Value::String(text.into())
}

fn local(resource_type: ResourceType, id: &str) -> Value<'_> {
    Value::Reference(Target::Local { resource_type, id: id.into(), version: None })
}

fn absolute<'t>(url: &'t str, version: Option<&'t str>) -> Value<'t> {
    let (url, version) = (url.into(), version.map(Into::into));
    Value::Reference(Target::Absolute { url, version, canonical: false })
}

fn canonical<'t>(url: &'t str, version: Option<&'t str>) -> Value<'t> {
    let (url, version) = (url.into(), version.map(Into::into));
    Value::Reference(Target::Absolute { url, version, canonical: true })
}

fn date(text: &str) -> Value<'_> {
    Value::Date(TimeRange::parse(text).unwrap())
}

fn dates(start: &str, end: &str) -> Value<'static> {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Value::Date(TimeRange::period(some(start).as_deref(), some(end).as_deref()).unwrap())
}

fn amount<'t>(value: f64, system: &'t str, code: &'t str, unit: &'t str) -> Quantity<'t> {
    let some = |text: &'t str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
    let number = NumberRange::exactly(value);
    Quantity { number, system: some(system), code: some(code), unit: some(unit), sampled: false }
}

const UCUM: &str = "http://unitsofmeasure.org";
const LOINC: &str = "http://loinc.org";

#[test]
fn a_name_yields_each_of_its_parts_and_its_text() {
    let patient = r#"{"resourceType":"Patient","name":[{"use":"official","text":"Dr Peter van Dam",
        "family":"van Dam","given":["Peter","Jan"],"prefix":["Dr"],"suffix":["II"]},{"given":["Piet"]}]}"#;

    let all = ["Dr Peter van Dam", "van Dam", "Peter", "Jan", "Dr", "II", "Piet"];
    check(patient, "name", &all.map(string));
    check(patient, "family", &[string("van Dam")]);
    check(patient, "given", &["Peter", "Jan", "Piet"].map(string));
}

#[test]
fn an_address_yields_each_of_its_parts() {
    let patient = r#"{"resourceType":"Patient","address":[{"use":"home","line":["1 Main St","Apt 2"],
        "city":"Metropolis","district":"West","state":"NY","postalCode":"12345","country":"US",
        "text":"1 Main St, Metropolis","period":{"start":"2001"}}]}"#;

    let all =
        ["1 Main St", "Apt 2", "Metropolis", "West", "NY", "12345", "US", "1 Main St, Metropolis"];
    check(patient, "address", &all.map(string));
    check(patient, "address-city", &[string("Metropolis")]);
    check(patient, "address-use", &[token("http://hl7.org/fhir/address-use", "home")]);
}

#[test]
fn a_code_has_the_system_of_its_required_binding() {
    let patient = r#"{"resourceType":"Patient","gender":"female","active":true}"#;

    check(patient, "gender", &[token("http://hl7.org/fhir/administrative-gender", "female")]);
    check(patient, "active", &[token("http://hl7.org/fhir/special-values", "true")]);
}

#[test]
fn contact_points_are_told_apart_by_their_system() {
    let patient = r#"{"resourceType":"Patient","telecom":[{"system":"phone","value":"555","use":"home"},
        {"system":"email","value":"p@x.org"},{"system":"phone"}]}"#;

    check(patient, "telecom", &[token("home", "555"), token("", "p@x.org"), Value::Present]);
    check(patient, "phone", &[token("home", "555"), Value::Present]);
    check(patient, "email", &[token("", "p@x.org")]);
}

#[test]
fn an_identifier_yields_its_value_with_each_coding_of_its_type() {
    let patient = r#"{"resourceType":"Patient","identifier":[{"system":"urn:mrn","value":"1",
        "type":{"coding":[{"system":"urn:v2","code":"MR"},{"code":"X"}],"text":"Record number"}},
        {"value":"2"},{"system":"urn:only"}]}"#;

    let typed = |system: Option<&'static str>, code: &'static str| {
        Value::Token(Token {
            system: Some("urn:mrn".into()),
            code: Some("1".into()),
            text: Some("Record number".into()),
            of_type: Some(TypeOfIdentifier { system: system.map(Into::into), code: code.into() }),
        })
    };
    let only = Value::Token(Token { system: Some("urn:only".into()), ..Token::default() });
    let expected = [typed(Some("urn:v2"), "MR"), typed(None, "X"), token("", "2"), only];
    check(patient, "identifier", &expected);
}

#[test]
fn a_concept_yields_its_codings_and_its_text() {
    let observation = r#"{"resourceType":"Observation","code":{"coding":[
        {"system":"http://loinc.org","code":"8480-6","display":"Systolic"},{"code":"sys"}],"text":"BP"}}"#;

    let expected =
        [labelled(LOINC, "8480-6", "Systolic"), token("", "sys"), labelled("", "", "BP")];
    check(observation, "code", &expected);
}

#[test]
fn references_are_local_elsewhere_or_logical() {
    let observation = r#"{"resourceType":"Observation",
        "subject":{"reference":"https://here.example/fhir/Patient/1"},
        "encounter":{"reference":"Encounter/e1/_history/3"},
        "device":{"reference":"http://there.example/fhir/Device/d1/_history/2"},
        "specimen":{"identifier":{"system":"urn:s","value":"77"},"display":"blood"},
        "performer":[{"reference":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},
            {"reference":"Practitioner?identifier=1"},{"reference":"nonsense"}],
        "hasMember":[{"reference":"https://here.example/fhirPatient/1"},
            {"reference":"Observation\/o\u0031"}]}"#;

    check(observation, "subject", &[local(ResourceType::PATIENT, "1")]);
    let version = Some("3".into());
    let encounter =
        Target::Local { resource_type: ResourceType::ENCOUNTER, id: "e1".into(), version };
    check(observation, "encounter", &[Value::Reference(encounter)]);
    let there = "http://there.example/fhir/Device/d1";
    check(observation, "device", &[absolute(there, Some("2"))]);
    let logical = Target::Logical { system: Some("urn:s".into()), value: "77".into() };
    check(observation, "specimen", &[Value::Reference(logical)]);
    let urn = absolute("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", None);
    // Neither a conditional reference nor nonsense points to anything, but both are there.
    check(observation, "performer", &[urn, Value::Present, Value::Present]);
    let members = [
        absolute("https://here.example/fhirPatient/1", None),
        local(ResourceType::OBSERVATION, "o1"),
    ];
    check(observation, "has-member", &members);
}

#[test]
fn a_patient_parameter_yields_nothing_itself() {
    let observation = r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"},
        "code":{"coding":[{"code":"a"}]},"component":[{"code":{"coding":[{"code":"b"}]}}]}"#;

    check(observation, "patient", &[]);
    check(observation, "combo-code", &[]);
    check(observation, "component-code", &[token("", "b")]);
}

#[test]
fn resolve_is_decided_by_the_type_in_the_reference() {
    // Not an alias: Composition has no parameter for all of `relatesTo`, CareTeam's participants
    // are not restricted, but EpisodeOfCare.care-manager wants practitioners only.
    let episode = |reference: &str| {
        format!(r#"{{"resourceType":"EpisodeOfCare","careManager":{{"reference":"{reference}"}}}}"#)
    };
    let practitioner = ResourceType::parse("Practitioner").unwrap();

    check(&episode("Practitioner/1"), "care-manager", &[local(practitioner, "1")]);
    check(&episode("PractitionerRole/1"), "care-manager", &[]);
    check(&episode("urn:uuid:1"), "care-manager", &[]);
    let there = "http://there.example/Practitioner/1";
    check(&episode(there), "care-manager", &[absolute(there, None)]);
}

#[test]
fn a_canonical_is_split_from_its_version() {
    let plan = r#"{"resourceType":"ActivityDefinition","url":"http://x/a","relatedArtifact":[
        {"type":"depends-on","resource":"http://x/lib|1.2"},{"type":"successor","resource":"http://x/b"}],
        "library":["http://x/own"]}"#;

    check(
        plan,
        "depends-on",
        &[canonical("http://x/lib", Some("1.2")), canonical("http://x/own", None)],
    );
    check(plan, "successor", &[canonical("http://x/b", None)]);
    check(plan, "url", &[Value::Uri("http://x/a".into())]);
}

#[test]
fn dates_cover_what_their_precision_leaves_open() {
    check(r#"{"resourceType":"Patient","birthDate":"1950-02"}"#, "birthdate", &[date("1950-02")]);
    let observation = |effective: &str| format!(r#"{{"resourceType":"Observation",{effective}}}"#);
    let at = observation(r#""effectiveDateTime":"2020-01-02T03:04:05+01:00""#);
    check(&at, "date", &[date("2020-01-02T02:04:05Z")]);
    let within = observation(r#""effectivePeriod":{"start":"2020","end":"2021-03"}"#);
    check(&within, "date", &[dates("2020", "2021-03")]);
    let open = observation(r#""effectivePeriod":{"start":"2020"}"#);
    check(&open, "date", &[dates("2020", "")]);
    check(&observation(r#""effectivePeriod":{"id":"x"}"#), "date", &[Value::Present]);
    let instant = observation(r#""effectiveInstant":"2020-01-02T03:04:05.678Z""#);
    check(&instant, "date", &[date("2020-01-02T03:04:05.678Z")]);
}

#[test]
fn only_the_outer_limits_of_a_timing_count() {
    let observation =
        |timing: &str| format!(r#"{{"resourceType":"Observation","effectiveTiming":{timing}}}"#);
    let events = observation(r#"{"event":["2013-02-01","2013-01-31","2013-03-24"]}"#);
    check(&events, "date", &[dates("2013-01-31", "2013-03-24")]);
    let bounds = observation(
        r#"{"repeat":{"boundsPeriod":{"start":"2013-01-31","end":"2013-03-24"},"frequency":1}}"#,
    );
    check(&bounds, "date", &[dates("2013-01-31", "2013-03-24")]);
    check(&observation(r#"{"repeat":{"frequency":1}}"#), "date", &[Value::Present]);
}

#[test]
fn quantities_keep_their_unit_and_open_at_their_comparator() {
    let observation = |value: &str| format!(r#"{{"resourceType":"Observation",{value}}}"#);
    let plain = observation(
        r#""valueQuantity":{"value":5.40,"unit":"mmol","system":"http://unitsofmeasure.org","code":"mmol/L"}"#,
    );
    let expected = amount(5.4, UCUM, "mmol/L", "mmol");
    check(&plain, "value-quantity", &[Value::Quantity(expected)]);

    let below = observation(r#""valueQuantity":{"value":5,"comparator":"<"}"#);
    // 5 itself is not below 5, but 5 at most.
    let number = NumberRange { lo: f64::NEG_INFINITY, hi: 5.0_f64.next_down(), value: 5.0 };
    let expected = Quantity { number, ..amount(5.0, "", "", "") };
    check(&below, "value-quantity", &[Value::Quantity(expected)]);
    let at_most = observation(r#""valueQuantity":{"value":5,"comparator":"<="}"#);
    let number = NumberRange { lo: f64::NEG_INFINITY, hi: 5.0, value: 5.0 };
    let expected = Quantity { number, ..amount(5.0, "", "", "") };
    check(&at_most, "value-quantity", &[Value::Quantity(expected)]);
    check(&observation(r#""valueQuantity":{"unit":"kg"}"#), "value-quantity", &[Value::Present]);
    check(&observation(r#""valueString":"5""#), "value-quantity", &[]);
}

#[test]
fn ranges_ages_money_and_samples_are_quantities() {
    let condition = r#"{"resourceType":"Condition","onsetRange":{"low":{"value":30,"unit":"y"},
        "high":{"value":40,"unit":"y"}}}"#;
    let number = NumberRange { lo: 30.0, hi: 40.0, value: 35.0 };
    let range = Quantity { number, ..amount(0.0, "", "", "y") };
    check(condition, "onset-age", &[Value::Quantity(range)]);

    let condition = r#"{"resourceType":"Condition","onsetAge":{"value":52,"code":"a",
        "system":"http://unitsofmeasure.org"}}"#;
    check(condition, "onset-age", &[Value::Quantity(amount(52.0, UCUM, "a", ""))]);

    let invoice = r#"{"resourceType":"Invoice","totalGross":{"value":48.5,"currency":"EUR"}}"#;
    let euros = amount(48.5, "urn:iso:std:iso:4217", "EUR", "EUR");
    check(invoice, "totalgross", &[Value::Quantity(euros)]);

    let observation = r#"{"resourceType":"Observation","valueSampledData":{"origin":{"value":2,"unit":"mV"},
        "period":10,"factor":0.5,"dimensions":1,"data":"4 -8 E 10"}}"#;
    let number = NumberRange { lo: -2.0, hi: 7.0, value: 2.5 };
    let samples = Quantity { number, sampled: true, ..amount(0.0, "", "", "mV") };
    check(observation, "value-quantity", &[Value::Quantity(samples)]);
}

#[test]
fn numbers_are_points_or_ranges() {
    let risk = |probability: &str| {
        format!(r#"{{"resourceType":"RiskAssessment","prediction":[{{{probability}}}]}}"#)
    };
    let point = Value::Number(NumberRange::exactly(0.25));
    check(&risk(r#""probabilityDecimal":0.25"#), "probability", &[point]);
    let range = Value::Number(NumberRange { lo: 0.5, hi: 1.0, value: 0.75 });
    let text = r#""probabilityRange":{"low":{"value":0.5},"high":{"value":1.0}}"#;
    check(&risk(text), "probability", &[range]);
}

#[test]
fn pairs_of_a_composite_stay_together() {
    let observation = r#"{"resourceType":"Observation","code":{"coding":[{"code":"bp"}]},"component":[
        {"code":{"coding":[{"code":"s"},{"code":"t"}]},"valueQuantity":{"value":120}},
        {"code":{"coding":[{"code":"d"}]},"valueQuantity":{"value":80}},
        {"code":{"coding":[{"code":"n"}]}}]}"#;

    let value = |number| vec![Value::Quantity(amount(number, "", "", ""))];
    let expected = [
        Value::Composite(vec![vec![token("", "s"), token("", "t")], value(120.0)]),
        Value::Composite(vec![vec![token("", "d")], value(80.0)]),
    ];
    check(observation, "component-code-value-quantity", &expected);
    check(observation, "code-value-quantity", &[]);
    check(observation, "combo-code-value-quantity", &[]);
}

#[test]
fn a_composite_may_take_a_part_from_the_resource() {
    let sequence = r#"{"resourceType":"MolecularSequence","referenceSeq":{"referenceSeqId":
        {"coding":[{"code":"NC_1"}]}},"variant":[{"start":10,"end":11},{"start":20}]}"#;

    let number = |value| vec![Value::Number(NumberRange::exactly(value))];
    let expected = [Value::Composite(vec![vec![token("", "NC_1")], number(10.0), number(11.0)])];
    check(sequence, "referenceseqid-variant-coordinate", &expected);
}

#[test]
fn deceased_is_true_for_a_date_and_false_without_any() {
    let system = "http://hl7.org/fhir/special-values";
    for (member, expected) in [
        ("", "false"),
        (r#","deceasedBoolean":false"#, "false"),
        (r#","deceasedBoolean":true"#, "true"),
        (r#","deceasedDateTime":"2020""#, "true"),
    ] {
        let patient = format!(r#"{{"resourceType":"Patient"{member}}}"#);
        check(&patient, "deceased", &[token(system, expected)]);
    }
}

#[test]
fn the_first_entry_of_a_document_is_its_composition() {
    let bundle = r#"{"resourceType":"Bundle","type":"document","entry":[
        {"resource":{"resourceType":"Composition","id":"c1"}},
        {"resource":{"resourceType":"Composition","id":"c2"}}]}"#;

    check(bundle, "composition", &[local(ResourceType::COMPOSITION, "c1")]);
    check(bundle, "message", &[]);
}

#[test]
fn extensions_are_read_by_the_type_of_their_value() {
    let url = "http://hl7.org/fhir/StructureDefinition/DiagnosticReport-geneticsAssessedCondition";
    let report = format!(
        r#"{{"resourceType":"DiagnosticReport","extension":[{{"url":"urn:other","valueReference":
        {{"reference":"Condition/x"}}}},{{"url":"{url}","valueReference":{{"reference":"Condition/1"}}}}]}}"#
    );

    check(&report, "assessed-condition", &[local(ResourceType::CONDITION, "1")]);
}

#[test]
fn an_extension_with_a_value_that_leads_nowhere_is_there_all_the_same() {
    let url = "http://hl7.org/fhir/StructureDefinition/DiagnosticReport-geneticsAssessedCondition";
    let report = format!(
        r##"{{"resourceType":"DiagnosticReport","extension":[{{"url":"{url}","valueReference":{{"reference":"#c"}}}}]}}"##
    );

    check(&report, "assessed-condition", &[Value::Present]);
}

#[test]
fn parameters_of_every_type_and_the_special_one_are_read() {
    let location = r#"{"resourceType":"Location","id":"1","meta":{"lastUpdated":"2020-01-01T00:00:00Z",
        "tag":[{"system":"urn:t","code":"x"}],"profile":["http://x/p"],"source":"urn:s"},
        "position":{"longitude":-83.69471,"latitude":42.2565,"altitude":0}}"#;

    check(location, "_tag", &[token("urn:t", "x")]);
    check(location, "_profile", &[Value::Uri("http://x/p".into())]);
    check(location, "_source", &[Value::Uri("urn:s".into())]);
    check(location, "_id", &[]);
    check(location, "_lastUpdated", &[]);
    check(location, "near", &[Value::Position { latitude: 42.2565, longitude: -83.69471 }]);
}

#[test]
fn text_types_are_strings_and_absent_data_yields_nothing() {
    let observation = r#"{"resourceType":"Observation","valueCodeableConcept":{"coding":[{"code":"x"}],
        "text":"as told"},"_status":{"extension":[{"url":"u"}]},"status":null,"note":[null]}"#;

    check(observation, "value-string", &[string("as told")]);
    check(observation, "value-concept", &[token("", "x"), labelled("", "", "as told")]);
    check(observation, "status", &[]);
}

#[test]
fn an_element_that_says_nothing_comparable_is_there_but_no_primitive_without_a_value() {
    let absent = r#"{"extension":[{"url":"http://a","valueCode":"unknown"}]}"#;
    let observation = format!(r#"{{"resourceType":"Observation","code":{absent}}}"#);
    check(&observation, "code", &[Value::Present]);
    let patient = r#"{"resourceType":"Patient","identifier":[{"period":{"start":"2020"}}],
                      "name":[{"use":"official"}],"telecom":[{"use":"home"}],"_birthDate":ABSENT}"#;
    let patient = patient.replace("ABSENT", absent);
    for code in ["identifier", "name", "telecom"] {
        check(&patient, code, &[Value::Present]);
    }
    check(&patient, "birthdate", &[]);
}
