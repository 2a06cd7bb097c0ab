//! Tests of the strict reader: one for each rule, with the place that is reported.

use super::*;

/// `code place` of each issue.
fn found(text: &str) -> Vec<String> {
    let Err(issues) = read(text.as_bytes().to_vec(), &ReadLimits::default()) else {
        return Vec::new();
    };
    let show = |issue: &Issue| {
        format!("{} {}", issue.code.code(), issue.expression.as_deref().unwrap_or("-"))
    };
    issues.iter().map(show).collect()
}

fn patient(members: &str) -> Vec<String> {
    found(&format!(r#"{{"resourceType":"Patient",{members}}}"#))
}

fn observation(members: &str) -> Vec<String> {
    found(&format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},{members}}}"#
    ))
}

const FINE: [&str; 0] = [];

#[test]
fn a_resource_with_all_its_parts_in_order_is_read() {
    let text = r#"{"resourceType":"Patient","id":"p1","meta":{"profile":["http://x.example/p"]},
        "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},
        "contained":[{"resourceType":"Organization","id":"o","name":"O"}],
        "extension":[{"url":"http://x.example/e","valueDecimal":1.10}],
        "active":true,"name":[{"family":"F","given":["A","B"],"period":{"start":"2000"}}],
        "gender":"female","birthDate":"1970-02-01","_birthDate":{"extension":[{"url":"u","valueCode":"x"}]},
        "deceasedBoolean":false,"multipleBirthInteger":2,
        "contact":[{"relationship":[{"coding":[{"system":"s","code":"c"}]}]}],
        "link":[{"other":{"reference":"Patient/2"},"type":"refer"}]}"#;
    assert_eq!(found(text), FINE);
    assert_eq!(found(r#"{"resourceType":"Patient"}"#), FINE);
}

#[test]
fn duplicate_keys_are_refused() {
    assert_eq!(patient(r#""id":"1","id":"2""#), ["structure Patient.id"]);
    assert_eq!(
        found(r#"{"resourceType":"Patient","resourceType":"Group"}"#),
        ["structure Patient.resourceType"]
    );
}

#[test]
fn empty_strings_lists_and_objects_are_refused() {
    assert_eq!(patient(r#""name":[{"family":""}]"#), ["value Patient.name[0].family"]);
    assert_eq!(patient(r#""name":[]"#), ["structure Patient.name"]);
    assert_eq!(patient(r#""name":[{}]"#), ["structure Patient.name[0]"]);
    assert_eq!(patient(r#""maritalStatus":{}"#), ["structure Patient.maritalStatus"]);
    assert_eq!(patient(r#""_birthDate":{}"#), ["structure Patient.birthDate"]);
    assert_eq!(found("{}"), ["required Resource.resourceType"]);
}

#[test]
fn nulls_are_refused_but_beside_the_extensions_of_a_list() {
    assert_eq!(patient(r#""active":null"#), ["structure Patient.active"]);
    assert_eq!(patient(r#""name":[null]"#), ["structure Patient.name[0]"]);
    assert_eq!(patient(r#""name":null"#), ["structure Patient.name"]);
    assert_eq!(patient(r#""name":[{"given":["A",null]}]"#), ["structure Patient.name[0].given[1]"]);
    assert_eq!(
        patient(r#""birthDate":null,"_birthDate":{"id":"a"}"#),
        ["structure Patient.birthDate"]
    );
    let paired = r#""name":[{"given":["A",null,"C"],"_given":[null,{"id":"x"},{"id":"y"}]}]"#;
    assert_eq!(patient(paired), FINE);
    let both = r#""name":[{"given":["A",null],"_given":[{"id":"x"},null]}]"#;
    assert_eq!(
        patient(both),
        ["structure Patient.name[0].given[1]", "structure Patient.name[0].given[1]"]
    );
    assert_eq!(patient(r#""name":[{"_given":[null]}]"#), ["structure Patient.name[0].given[0]"]);
    assert_eq!(patient(r#""name":[{"_given":[{"id":"only"}]}]"#), FINE);
}

#[test]
fn the_null_character_is_refused() {
    assert_eq!(patient(r#""name":[{"text":"a\u0000"}]"#), ["value Patient.name[0].text"]);
}

#[test]
fn other_control_characters_are_refused() {
    assert_eq!(patient(r#""name":[{"text":"a\u0007"}]"#), ["value Patient.name[0].text"]);
    assert_eq!(patient(r#""name":[{"text":"a\r\n\tb"}]"#), FINE);
}

#[test]
fn bytes_after_the_resource_are_refused() {
    assert_eq!(found(r#"{"resourceType":"Patient"} {}"#), ["structure Patient"]);
}

#[test]
fn nesting_deeper_than_64_is_refused_where_it_happens() {
    let deep = |n: usize| {
        let open = r#"{"url":"u","extension":["#.repeat(n);
        let close = "]}".repeat(n);
        patient(&format!(r#""extension":[{open}{{"url":"u","valueCode":"x"}}{close}]"#))
    };
    assert_eq!(deep(30), FINE);
    let issues = deep(31);
    assert_eq!(issues.len(), 1);
    assert!(issues[0].starts_with("structure Patient.extension[0].extension[0]"), "{issues:?}");
}

#[test]
fn unknown_elements_are_refused() {
    assert_eq!(patient(r#""foo":1"#), ["structure Patient.foo"]);
    assert_eq!(patient(r#""foo":["a"]"#), ["structure Patient.foo"]);
    assert_eq!(patient(r#""name":[{"surname":"x"}]"#), ["structure Patient.name[0].surname"]);
    assert_eq!(patient(r#""fhir_comments":["x"]"#), ["structure Patient.fhir_comments"]);
    assert_eq!(patient(r#""_name":[{"id":"x"}]"#), ["structure Patient.name"]);
    assert_eq!(patient(r#""_resourceType":{"id":"x"}"#), ["structure Patient.resourceType"]);
    assert_eq!(
        patient(r#""name":[{"resourceType":"Patient"}]"#),
        ["structure Patient.name[0].resourceType"]
    );
    assert_eq!(patient(r#""":1"#), ["structure Patient.?"]);
}

#[test]
fn wrong_json_types_are_refused() {
    assert_eq!(patient(r#""active":"true""#), ["structure Patient.active"]);
    assert_eq!(patient(r#""gender":1"#), ["structure Patient.gender"]);
    assert_eq!(patient(r#""maritalStatus":"M""#), ["structure Patient.maritalStatus"]);
    assert_eq!(patient(r#""multipleBirthInteger":"1""#), ["structure Patient.multipleBirth"]);
    assert_eq!(patient(r#""_birthDate":"x""#), ["structure Patient.birthDate"]);
    assert_eq!(
        observation(r#""valueQuantity":{"value":"1.0"}"#),
        ["structure Observation.value.value"]
    );
}

#[test]
fn a_list_is_not_a_scalar_and_a_scalar_is_not_a_list() {
    assert_eq!(patient(r#""name":{"family":"x"}"#), ["structure Patient.name"]);
    assert_eq!(patient(r#""gender":["male"]"#), ["structure Patient.gender"]);
    assert_eq!(patient(r#""maritalStatus":[{"text":"x"}]"#), ["structure Patient.maritalStatus"]);
    assert_eq!(patient(r#""name":[["x"]]"#), ["structure Patient.name[0]"]);
    assert_eq!(patient(r#""name":[{"given":"x"}]"#), ["structure Patient.name[0].given"]);
}

#[test]
fn missing_required_elements_are_all_reported() {
    assert_eq!(
        found(r#"{"resourceType":"Observation"}"#),
        ["required Observation.status", "required Observation.code"]
    );
    assert_eq!(
        patient(r#""communication":[{"preferred":true}]"#),
        ["required Patient.communication[0].language"]
    );
    assert_eq!(
        found(r#"{"resourceType":"Observation","_status":{"id":"x"},"code":{"text":"x"}}"#),
        FINE
    );
}

#[test]
fn elements_that_may_occur_a_limited_number_of_times_are_counted() {
    let table = element_table();
    let coverage = table.of_resource(ResourceType::CLAIM);
    assert!(table.type_def(coverage).find("insurance").is_some());
    let origin = r#"{"value":1}"#;
    let data = format!(r#""valueSampledData":{{"origin":{origin},"period":1,"dimensions":0}}"#);
    assert_eq!(observation(&data), ["value Observation.value.dimensions"]);
}

#[test]
fn one_type_of_a_choice_is_allowed_and_only_one() {
    assert_eq!(
        observation(r#""valueString":"x","valueInteger":1"#),
        ["structure Observation.value"]
    );
    assert_eq!(
        observation(r#""valueString":"x","_valueInteger":{"id":"a"}"#),
        ["structure Observation.value"]
    );
    assert_eq!(observation(r#""valueString":"x","_valueString":{"id":"a"}"#), FINE);
    assert_eq!(observation(r#""_valueString":{"id":"a"},"valueString":"x""#), FINE);
}

#[test]
fn a_type_that_a_choice_does_not_have_is_refused() {
    assert_eq!(
        observation(r#""valueAddress":{"text":"x"}"#),
        ["structure Observation.valueAddress"]
    );
    assert_eq!(observation(r#""value":"x""#), ["structure Observation.value"]);
}

#[test]
fn an_issue_tells_its_line_and_column_and_a_code_its_value_set() {
    let json =
        "{\"resourceType\":\"Observation\",\n\"status\":\"fine\",\"code\":\n\n {\"coding\":{}}}";

    let issues = read(json.into(), &ReadLimits::default()).map(|_| ()).unwrap_err();

    let texts: Vec<&str> = issues.iter().map(|issue| issue.text.as_str()).collect();
    assert_eq!(
        texts[0],
        "the code is not in the required value set http://hl7.org/fhir/ValueSet/observation-status \
         (amended, cancelled, corrected, entered-in-error, final, preliminary, registered, unknown) \
         (line 2, column 10)"
    );
    assert!(texts[1].ends_with("(line 4, column 12)"), "{texts:?}");
    let whole = check(Tree::parse(json.into()).unwrap().root(), &ReadLimits::default());
    assert!(whole.iter().all(|issue| !issue.text.contains("(line ")), "{whole:?}");
}

#[test]
fn codes_out_of_a_required_value_set_are_refused() {
    assert_eq!(patient(r#""gender":"f""#), ["code-invalid Patient.gender"]);
    assert_eq!(
        patient(r#""telecom":[{"system":"phone"},{"system":"pigeon"}]"#),
        ["code-invalid Patient.telecom[1].system"]
    );
    let condition = |coding: &str| {
        found(&format!(
            r#"{{"resourceType":"Condition","subject":{{"reference":"Patient/1"}},"clinicalStatus":{coding}}}"#
        ))
    };
    let system = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    let active = format!(r#"{{"system":"{system}","code":"active"}}"#);
    assert_eq!(condition(&format!(r#"{{"coding":[{{"code":"x"}},{active}]}}"#)), FINE);
    assert_eq!(
        condition(r#"{"coding":[{"system":"http://x.example","code":"active"}]}"#),
        ["code-invalid Condition.clinicalStatus"]
    );
    assert_eq!(condition(r#"{"text":"active"}"#), ["code-invalid Condition.clinicalStatus"]);
}

#[test]
fn malformed_values_are_refused_at_their_place() {
    for (member, place) in [
        (r#""id":"a b""#, "id"),
        (r#""id":"../x""#, "id"),
        (r#""implicitRules":"a b""#, "implicitRules"),
        (r#""birthDate":"2021-02-30""#, "birthDate"),
        (r#""birthDate":"1970-1-1""#, "birthDate"),
        (r#""deceasedDateTime":"2021-01-01T10:00""#, "deceased"),
        (r#""meta":{"lastUpdated":"2021-01-01"}"#, "meta.lastUpdated"),
        (r#""meta":{"versionId":"a b"}"#, "meta.versionId"),
        (r#""name":[{"use":" usual"}]"#, "name[0].use"),
        (r#""photo":[{"data":"A"}]"#, "photo[0].data"),
        (r#""photo":[{"size":-1}]"#, "photo[0].size"),
        (r#""multipleBirthInteger":1.0"#, "multipleBirth"),
        (r#""telecom":[{"rank":0}]"#, "telecom[0].rank"),
        (r#""extension":[{"url":"u","valueOid":"1.2"}]"#, "extension[0].value"),
        (r#""extension":[{"url":"u","valueUuid":"1"}]"#, "extension[0].value"),
        (r#""extension":[{"url":"u","valueTime":"1:00"}]"#, "extension[0].value"),
        (r#""extension":[{"url":"u","valueDecimal":1E400}]"#, "extension[0].value"),
        (r#""text":{"status":"generated","div":"x"}"#, "text.div"),
    ] {
        assert_eq!(patient(member), [format!("value Patient.{place}")], "{member}");
    }
    assert_eq!(observation(r#""valueQuantity":{"value":1E5}"#), FINE);
}

#[test]
fn extensions_of_primitives_are_checked() {
    assert_eq!(
        patient(r#""_birthDate":{"extension":[{"valueCode":"x"}]}"#),
        ["required Patient.birthDate.extension[0].url"]
    );
    assert_eq!(
        patient(r#""name":[{"_given":[{"id":"a"},{"extension":[{"url":"u","foo":1}]}]}]"#),
        ["structure Patient.name[0].given[1].extension[0].foo"]
    );
    assert_eq!(
        patient(r#""_birthDate":{"valueCode":"x"}"#),
        ["structure Patient.birthDate.valueCode"]
    );
    assert_eq!(patient(r#""_birthDate":[{"id":"x"}]"#), ["structure Patient.birthDate"]);
    assert_eq!(patient(r#""_id":{"id":"x"}"#), ["structure Patient.id"]);
}

#[test]
fn elements_defined_by_another_are_checked_like_it() {
    let questionnaire = |item: &str| {
        found(&format!(
            r#"{{"resourceType":"Questionnaire","status":"draft","item":[{{"linkId":"1","type":"group","item":[{item}]}}]}}"#
        ))
    };
    assert_eq!(questionnaire(r#"{"linkId":"2","type":"string"}"#), FINE);
    assert_eq!(
        questionnaire(r#"{"type":"string"}"#),
        ["required Questionnaire.item[0].item[0].linkId"]
    );
}

#[test]
fn resources_within_resources_are_checked() {
    assert_eq!(
        patient(r#""contained":[{"resourceType":"Organization","foo":1}]"#),
        ["structure Patient.contained[0].foo"]
    );
    assert_eq!(
        patient(r#""contained":[{"id":"x"}]"#),
        ["required Patient.contained[0].resourceType"]
    );
    assert_eq!(
        patient(r#""contained":[{"resourceType":"Foo"}]"#),
        ["value Patient.contained[0].resourceType"]
    );
    assert_eq!(
        found(
            r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient"}},{"resource":{"resourceType":"Patient","gender":"x"}}]}"#
        ),
        ["code-invalid Bundle.entry[1].resource.gender"]
    );
    assert_eq!(
        found(
            r#"{"resourceType":"Parameters","parameter":[{"name":"a","part":[{"name":"b","resource":{"resourceType":"Patient","active":1}}]}]}"#
        ),
        ["structure Parameters.parameter[0].part[0].resource.active"]
    );
}

#[test]
fn what_is_no_resource_is_refused() {
    assert_eq!(found(r#"{"resourceType":"Foo"}"#), ["value Resource.resourceType"]);
    assert_eq!(found(r#"{"resourceType":["Patient"]}"#), ["value Resource.resourceType"]);
    for bad in ["[]", "null", "1", "\"Patient\""] {
        assert_eq!(found(bad), ["structure Resource"], "{bad}");
    }
    for bad in ["", "  ", "{"] {
        assert_eq!(found(bad).len(), 1, "{bad}");
    }
}

#[test]
fn at_most_50_issues_are_reported() {
    let names = vec![r#"{"family":""}"#; 80].join(",");
    assert_eq!(patient(&format!(r#""name":[{names}]"#)).len(), 50);
}

#[test]
fn size_and_number_of_entries_are_limited() {
    let limits = ReadLimits { bytes_max: 70, entries_max: 1 };
    let codes = |text: &str| -> Vec<&str> {
        let issues = read(text.into(), &limits).expect_err("refused");
        issues.iter().map(|issue| issue.code.code()).collect()
    };
    assert_eq!(codes(&" ".repeat(71)), ["too-long"]);
    let bundle = r#"{"resourceType":"Bundle","type":"batch","entry":[{"id":"a"},{"id":"b"}]}"#;
    let limits = ReadLimits { bytes_max: 700, entries_max: 1 };
    let issues = read(bundle.into(), &limits).expect_err("refused");
    assert_eq!(issues[0].expression.as_deref(), Some("Bundle.entry"));
}

#[test]
fn a_bad_entry_of_a_batch_does_not_refuse_the_others() {
    let batch = |entry: &str| {
        let text = format!(
            r#"{{"resourceType":"Bundle","type":"batch","entry":[{{"resource":{{"resourceType":"Patient"}}}},{entry}]}}"#
        );
        read_batch(text.into(), &ReadLimits::default())
    };

    let read = batch(r#"{"resource":{"resourceType":"Patient","foo":1}}"#).ok().unwrap();

    assert_eq!(read.refused.len(), 1);
    let (index, issues) = &read.refused[0];
    assert_eq!(*index, 1);
    assert_eq!(issues[0].expression.as_deref(), Some("Bundle.entry[1].resource.foo"));
    assert!(batch(r#"{"foo":1}"#).is_err());
}

#[test]
fn every_prefix_of_a_resource_is_refused() {
    let text = r#"{"resourceType":"Patient","active":true,"name":[{"given":["Ä","\u00e9"]}]}"#;
    for end in 0..text.len() {
        let cut = text.as_bytes()[..end].to_vec();
        assert!(read(cut, &ReadLimits::default()).is_err(), "{end}");
    }
}
