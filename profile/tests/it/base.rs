//! R4's own rules beyond shape: invariants, reference targets, codes, extensions, narrative, bundles.

use crate::findings;

fn of(document: &str) -> Vec<String> {
    findings(document, &[], &[])
}

#[test]
fn a_good_observation_has_no_findings() {
    let found = of(r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},
        "subject":{"reference":"Patient/1"},"valueQuantity":{"value":1.10,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}"#);

    assert_eq!(found, [""; 0]);
}

#[test]
fn invariants_are_named_at_their_element() {
    let observation = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},
        "dataAbsentReason":{"text":"x"},"valueString":"x"}"#;
    assert_eq!(of(observation), ["error invariant Observation"]);

    let period =
        r#"{"resourceType":"Patient","name":[{"period":{"start":"2020-02","end":"2020-01"}}]}"#;
    assert_eq!(of(period), ["error invariant Patient.name[0].period"]);

    let timing = r#"{"resourceType":"ServiceRequest","status":"active","intent":"order",
        "subject":{"reference":"Patient/1"},"occurrenceTiming":{"repeat":{"period":1}}}"#;
    assert_eq!(of(timing), ["error invariant ServiceRequest.occurrence.repeat"]);
}

#[test]
fn contained_resources_must_be_used_and_have_no_version() {
    let unused = r#"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"O"}]}"#;
    assert_eq!(of(unused), ["error invariant Patient.contained[0]"]);

    let used = r##"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"O"}],
        "managingOrganization":{"reference":"#o"}}"##;
    assert_eq!(of(used), [""; 0]);

    let lost = r##"{"resourceType":"Patient","managingOrganization":{"reference":"#o"}}"##;
    assert_eq!(of(lost), ["error invariant Patient.managingOrganization"]);

    let versioned = r##"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"O",
        "meta":{"versionId":"1"}}],"managingOrganization":{"reference":"#o"}}"##;
    assert_eq!(of(versioned), ["error invariant Patient"]);
}

#[test]
fn references_lead_only_to_the_types_that_are_allowed() {
    let wrong = |reference: &str| {
        of(&format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"subject":{reference}}}"#
        ))
    };
    assert_eq!(wrong(r#"{"reference":"Medication/1"}"#), ["error structure Observation.subject"]);
    assert_eq!(wrong(r#"{"reference":"http://x/fhir/Medication/1"}"#).len(), 1);
    assert_eq!(wrong(r#"{"reference":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}"#), [""; 0]);
    assert_eq!(wrong(r#"{"type":"Medication","display":"x"}"#).len(), 1);
    assert_eq!(wrong(r#"{"reference":"Group/1/_history/2"}"#), [""; 0]);
}

#[test]
fn codes_of_known_systems_must_exist() {
    let coded = |system: &str, code: &str| {
        of(&format!(
            r#"{{"resourceType":"Patient","maritalStatus":{{"coding":[{{"system":"{system}","code":"{code}"}}]}}}}"#
        ))
    };
    let marital = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus";
    assert_eq!(coded(marital, "M"), [""; 0]);
    assert_eq!(
        coded(marital, "no"),
        [
            "error code-invalid Patient.maritalStatus.coding[0]",
            "warning code-invalid Patient.maritalStatus"
        ]
    );
    assert_eq!(coded("http://x/own", "a"), ["warning code-invalid Patient.maritalStatus"]);
}

#[test]
fn extensions_are_checked_where_they_are_known() {
    let with = |extension: &str| of(&format!(r#"{{"resourceType":"Patient",{extension}}}"#));
    let core = "http://hl7.org/fhir/StructureDefinition";
    assert_eq!(
        with(&format!(r#""extension":[{{"url":"{core}/patient-birthPlace","valueString":"x"}}]"#)),
        ["error extension Patient.extension[0].value"]
    );
    assert_eq!(
        with(&format!(
            r#""name":[{{"extension":[{{"url":"{core}/patient-birthPlace","valueAddress":{{"city":"x"}}}}]}}]"#
        )),
        ["error extension Patient.name[0].extension[0]"]
    );
    assert_eq!(
        with(r#""extension":[{"url":"http://x/mine","valueString":"x"}]"#),
        ["information informational Patient.extension[0]"]
    );
    assert_eq!(
        with(r#""modifierExtension":[{"url":"http://x/mine","valueString":"x"}]"#),
        ["error extension Patient.modifierExtension[0]"]
    );
    assert_eq!(
        with(r#""extension":[{"url":"http://x/mine"}]"#).first().map(String::as_str),
        Some("error invariant Patient.extension[0]")
    );
    let prefix = format!("{core}/humanname-own-prefix");
    assert_eq!(
        with(&format!(
            r#""contact":[{{"name":{{"family":"x","_family":{{"extension":[{{"url":"{prefix}","valueString":"van"}}]}}}}}}]"#
        )),
        [""; 0]
    );
}

#[test]
fn narratives_hold_text_and_no_active_content() {
    let with = |inner: &str| {
        of(&format!(
            r#"{{"resourceType":"Patient","text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>"}}}}"#
        ))
    };
    assert_eq!(with("<p>x <b>y</b><br/></p>"), [""; 0]);
    for bad in ["<script>x</script>", "<p onclick='x'>x</p>", "  ", "<p>x", "<form>x</form>"] {
        assert!(
            with(bad).iter().all(|found| found == "error invariant Patient.text.div"),
            "{bad}: {:?}",
            with(bad)
        );
        assert!(!with(bad).is_empty(), "{bad}");
    }
}

#[test]
fn entries_of_a_bundle_are_who_they_say() {
    let bundle = |kind: &str, entry: &str| {
        of(&format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{entry}]}}"#))
    };
    let patient = r#""resource":{"resourceType":"Patient","id":"1"}"#;
    assert_eq!(
        bundle("collection", &format!(r#"{{"fullUrl":"http://x/Patient/1",{patient}}}"#)),
        [""; 0]
    );
    assert_eq!(
        bundle("collection", &format!(r#"{{"fullUrl":"http://x/Patient/2",{patient}}}"#)),
        ["error invalid Bundle.entry[0]"]
    );
    assert_eq!(
        bundle("document", &format!(r#"{{"fullUrl":"http://x/Patient/1",{patient}}}"#)).len(),
        3,
        "bdl-9, bdl-10, bdl-11"
    );
}
