//! FHIRPath Patch against the standard's own cases (FHIR/fhir-test-cases, r4/patch) in JSON, and the paths of clients.

use super::{PatchError, PatchKind, apply};

/// One operation; each part is its name and its `value[x]` member.
fn operation(parts: &[(&str, &str)]) -> String {
    let parts = parts.iter().map(|(name, value)| format!(r#"{{"name":"{name}",{value}}}"#));
    format!(r#"{{"name":"operation","part":[{}]}}"#, parts.collect::<Vec<_>>().join(","))
}

fn text(value: &str) -> String {
    format!(r#""valueString":"{value}""#)
}

fn add(path: &str, name: &str, value: &str) -> String {
    operation(&[
        ("type", r#""valueCode":"add""#),
        ("path", &text(path)),
        ("name", &text(name)),
        ("value", value),
    ])
}

fn insert(path: &str, index: u32, value: &str) -> String {
    operation(&[
        ("type", r#""valueCode":"insert""#),
        ("path", &text(path)),
        ("index", &format!(r#""valueInteger":{index}"#)),
        ("value", value),
    ])
}

fn delete(path: &str) -> String {
    operation(&[("type", r#""valueCode":"delete""#), ("path", &text(path))])
}

fn replace(path: &str, value: &str) -> String {
    operation(&[("type", r#""valueCode":"replace""#), ("path", &text(path)), ("value", value)])
}

fn shift(path: &str, source: u32, destination: u32) -> String {
    operation(&[
        ("type", r#""valueCode":"move""#),
        ("path", &text(path)),
        ("source", &format!(r#""valueInteger":{source}"#)),
        ("destination", &format!(r#""valueInteger":{destination}"#)),
    ])
}

fn patch(current: &str, operations: &[String]) -> Result<String, PatchError> {
    let list = match operations {
        [] => String::new(),
        _ => format!(r#","parameter":[{}]"#, operations.join(",")),
    };
    let patch = format!(r#"{{"resourceType":"Parameters"{list}}}"#);
    apply(PatchKind::FhirPath, patch.as_bytes(), current.as_bytes())
        .map(|bytes| String::from_utf8(bytes).unwrap())
}

/// A Patient with these members.
fn patient(members: &str) -> String {
    match members {
        "" => r#"{"resourceType":"Patient"}"#.to_owned(),
        _ => format!(r#"{{"resourceType":"Patient",{members}}}"#),
    }
}

#[track_caller]
fn becomes(before: &str, operations: &[String], after: &str) {
    assert_eq!(patch(&patient(before), operations).unwrap(), patient(after));
}

#[test]
fn primitives_are_added_replaced_and_deleted() {
    let born = r#""birthDate":"1920-01-01""#;
    let reborn = r#""birthDate":"1930-01-01""#;
    let date = r#""valueDate":"1930-01-01""#;
    becomes(born, &[], born);
    becomes(born, &[replace("Patient.birthDate", date)], reborn);
    becomes(born, &[delete("Patient.birthDate")], "");
    becomes("", &[delete("Patient.birthDate")], "");
    becomes("", &[add("Patient", "birthDate", date)], reborn);
}

#[test]
fn nested_primitives_are_added_replaced_and_deleted() {
    let named = r#""contact":[{"name":{"text":"a name"}}]"#;
    let male = r#""contact":[{"name":{"text":"a name"},"gender":"male"}]"#;
    let code = |code: &str| format!(r#""valueCode":"{code}""#);
    becomes(
        male,
        &[replace("Patient.contact[0].gender", &code("female"))],
        &male.replace(r#""male"#, r#""female"#),
    );
    becomes(
        male,
        &[replace("Patient.contact[0].name.text", &text("the name"))],
        &male.replace("a name", "the name"),
    );
    becomes(male, &[delete("Patient.contact[0].gender")], named);
    becomes(male, &[delete("Patient.contact[0].name.text")], r#""contact":[{"gender":"male"}]"#);
    becomes(named, &[add("Patient.contact[0]", "gender", &code("male"))], male);
}

#[test]
fn complex_and_anonymous_types_are_added_replaced_and_deleted() {
    let concept = |id: &str, text: &str| format!(r#"{{"id":"{id}","text":"{text}"}}"#);
    let status = |id: &str, text: &str| format!(r#""maritalStatus":{}"#, concept(id, text));
    let value = |id: &str, text: &str| format!(r#""valueCodeableConcept":{}"#, concept(id, text));
    becomes(
        "",
        &[add("Patient", "maritalStatus", &value("1", "married"))],
        &status("1", "married"),
    );
    becomes(
        &status("1", "married"),
        &[replace("Patient.maritalStatus", &value("2", "not married"))],
        &status("2", "not married"),
    );
    becomes(&status("1", "married"), &[delete("Patient.maritalStatus")], "");
    let contact = r#""contact":[{"name":{"text":"a name"}}]"#;
    let parts = r#""part":[{"name":"name","valueHumanName":{"text":"a name"}}]"#;
    becomes("", &[add("Patient", "contact", parts)], contact);
    becomes(contact, &[delete("Patient.contact[0]")], "");
}

/// `Patient.identifier` with these values.
fn identifiers(values: &[u32]) -> String {
    let one = |value: &u32| format!(r#"{{"system":"http://example.org","value":"value {value}"}}"#);
    format!(r#""identifier":[{}]"#, values.iter().map(one).collect::<Vec<_>>().join(","))
}

#[test]
fn lists_are_added_to_inserted_into_shortened_and_reordered() {
    let three = r#""valueIdentifier":{"system":"http://example.org","value":"value 3"}"#;
    let list = "Patient.identifier";
    let case = |before: &[u32], operations: &[String], after: &[u32]| {
        becomes(&identifiers(before), operations, &identifiers(after));
    };
    case(&[1, 2], &[], &[1, 2]);
    case(&[1, 2], &[insert(list, 2, three)], &[1, 2, 3]);
    case(&[1, 2], &[insert(list, 1, three)], &[1, 3, 2]);
    case(&[1, 2], &[insert(list, 0, three)], &[3, 1, 2]);
    case(&[1, 2, 3], &[delete("Patient.identifier[0]")], &[2, 3]);
    case(&[1, 2, 3], &[delete("Patient.identifier[1]")], &[1, 3]);
    case(&[1, 2, 3], &[delete("Patient.identifier[2]")], &[1, 2]);
    case(&[1, 2, 3, 4], &[shift(list, 3, 1)], &[1, 4, 2, 3]);
    case(&[1, 2, 3, 4], &[shift(list, 3, 0)], &[4, 1, 2, 3]);
    case(&[1, 2, 3, 4], &[shift(list, 3, 2)], &[1, 2, 4, 3]);
    case(&[1, 2, 3, 4], &[shift(list, 0, 3)], &[2, 3, 4, 1]);
    case(&[1, 2, 3, 4], &[shift(list, 1, 0), shift(list, 2, 1)], &[2, 3, 1, 4]);
    case(&[1, 2, 3, 4], &[shift(list, 3, 0), shift(list, 3, 1), shift(list, 3, 2)], &[4, 3, 2, 1]);
    becomes("", &[add("Patient", "identifier", three)], &identifiers(&[3]));
    becomes("", &[insert(list, 0, three)], &identifiers(&[3]));
    let swap = [
        replace("Patient.identifier[0].value", &text("value 2")),
        replace("Patient.identifier[1].value", &text("value 1")),
    ];
    case(&[1, 2], &swap, &[2, 1]);
}

#[test]
fn what_is_not_there_or_not_alone_is_refused_with_its_place() {
    let current = patient(
        r#""identifier":[{"use":"official","value":"123"},{"use":"usual"}],"birthDate":"1920-01-01""#,
    );
    let date = r#""valueDate":"2021-12-01""#;
    for operation in [
        add("Patient.identifier.where(use = 'official').period", "end", date),
        replace("Patient.deceased", r#""valueBoolean":true"#),
        delete("Patient.identifier"),
        delete("Patient"),
        replace("Patient.identifier", r#""valueIdentifier":{"value":"1"}"#),
        add("Patient", "birthDate", date),
        add("Patient", "born", date),
        insert("Patient.identifier", 3, r#""valueIdentifier":{"value":"1"}"#),
        insert("Patient.birthDate", 0, date),
        shift("Patient.identifier", 0, 2),
        shift("Patient.name", 0, 0),
        add("Patient", "deceased", r#""valueQuantity":{"value":1}"#),
    ] {
        let error = patch(&current, std::slice::from_ref(&operation)).unwrap_err();
        assert!(matches!(error, PatchError::Inapplicable(_)), "{operation}: {error:?}");
        assert_eq!(error.issues()[0].expression.as_deref(), Some("Parameters.parameter[0]"));
    }
}

#[test]
fn a_patch_that_is_none_is_malformed() {
    for operation in [
        r#"{"name":"op"}"#.to_owned(),
        operation(&[("type", r#""valueCode":"test""#), ("path", &text("Patient"))]),
        operation(&[("type", r#""valueCode":"delete""#)]),
        operation(&[("type", r#""valueCode":"delete""#), ("path", &text("Patient.name["))]),
        delete("Patient.generalPractitioner.resolve()"),
        delete("Patient.name.where(given + 'x' = 'y')"),
        add("Patient", "active", r#""part":[]"#),
        operation(&[("type", r#""valueCode":"add""#), ("pfad", &text("Patient"))]),
    ] {
        let error = patch(&patient(""), std::slice::from_ref(&operation)).unwrap_err();
        assert!(matches!(error, PatchError::Malformed(_)), "{operation}: {error:?}");
    }
    let other = apply(PatchKind::FhirPath, br#"{"resourceType":"Patient"}"#, b"{}");
    assert!(matches!(other, Err(PatchError::Malformed(_))));
}

#[test]
fn criteria_functions_and_choices_lead_to_one_place() {
    let current = r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"a","code":"1"},{"system":"b","code":"2"}]},"valueQuantity":{"value":1.10,"unit":"kg"},"component":[{"code":{"text":"x"},"valueString":"1"},{"code":{"text":"y"},"valueInteger":5}]}"#;
    let changed = |path: &str| {
        let to = patch(current, &[replace(path, r#""valueString":"NEW""#)]);
        to.unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    for path in [
        "Observation.code.coding.where(system = 'b').code",
        "Observation.code.coding.where(system='b' and code='2').code",
        "code.coding.where($this.system != 'a' or false).code",
        "Observation.code.coding[1].code",
        "Observation.code.coding.last().code",
        "Observation.code.coding.tail().first().code",
        "Observation.code.coding.where(code.exists() and (system in ('b' | 'c'))).code",
        "Observation.code.coding.where(system.startsWith('b')).single().code",
        "%resource.code.coding.where(code ~ '2').code",
        "Observation.code.coding.where(code > '1').code",
        "Observation.code.coding.where((system = 'a').not()).code",
    ] {
        assert!(changed(path).contains(r#"{"system":"b","code":"NEW"}"#), "{path}");
    }
    for path in [
        "Observation.value.unit",
        "Observation.value.ofType(Quantity).unit",
        "(Observation.value as Quantity).unit",
        "Observation.valueQuantity.unit",
    ] {
        assert!(changed(path).contains(r#"{"value":1.10,"unit":"NEW"}"#), "{path}");
    }
    assert!(
        changed("Observation.component.where(value.ofType(integer) = 5).value")
            .contains(r#"{"code":{"text":"y"},"valueString":"NEW"}"#)
    );
    assert!(
        changed("Observation.component.where(value is string).code.text")
            .contains(r#"{"text":"NEW"},"valueString":"1""#)
    );
    // The value takes the name of its new type.
    assert!(changed("Observation.value").contains(r#","valueString":"NEW","component""#));
}

#[test]
fn what_stands_beside_a_primitive_follows_it() {
    let extension = r#"{"extension":[{"url":"http://e","valueString":"v"}]}"#;
    let before = format!(
        r#""birthDate":"1920-01-01","_birthDate":{extension},"name":[{{"given":["A","B","C"],"_given":[null,{extension},null]}}]"#
    );

    becomes(
        &before,
        &[
            delete("Patient.birthDate"),
            shift("Patient.name[0].given", 1, 0),
            delete("Patient.name[0].given[2]"),
        ],
        &format!(r#""name":[{{"given":["B","A"],"_given":[{extension},null]}}]"#),
    );
    becomes(
        &before,
        &[delete("Patient.birthDate.extension('http://e')"), delete("Patient.name[0].given[1]")],
        r#""birthDate":"1920-01-01","name":[{"given":["A","C"]}]"#,
    );
    let more = r#""valueExtension":{"url":"http://f","valueCode":"w"}"#;
    let parts = r#""part":[{"name":"url","valueUri":"http://f"},{"name":"value","valueCode":"w"}]"#;
    let after = r#""birthDate":"1920-01-01","_birthDate":{"extension":[{"url":"http://f","valueCode":"w"}]}"#;
    for value in [more, parts] {
        becomes(
            r#""birthDate":"1920-01-01""#,
            &[add("Patient.birthDate", "extension", value)],
            after,
        );
    }
}

#[test]
fn contained_resources_and_numbers_keep_their_form() {
    let before = r#""contained":[{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueDecimal":1.10}]"#.replace("valueDecimal\":1.10", "valueQuantity\":{\"value\":1.10}");

    becomes(
        &before,
        &[replace("Patient.contained.where(id = 'o').value.value", r#""valueDecimal":2.50"#)],
        &before.replace("1.10", "2.50"),
    );
    becomes(
        &before,
        &[delete("Patient.contained.ofType(Observation).code.text")],
        &before.replace(r#""code":{"text":"x"},"#, ""),
    );
    becomes(
        "",
        &[add("Patient", "contained", r#""resource":{"resourceType":"Basic","id":"b"}"#)],
        r#""contained":[{"resourceType":"Basic","id":"b"}]"#,
    );
}

#[test]
fn a_path_that_would_run_for_long_is_cut_off() {
    let names = vec![r#"{"family":"x"}"#; 400].join(",");
    let current = patient(&format!(r#""name":[{names}]"#));
    let nested = "Patient.name.where(%resource.name.where(%resource.name.where(family = 'y').exists()).exists())";
    let deep = format!("{}Patient{}", "(".repeat(40), ")".repeat(40));

    assert!(matches!(patch(&current, &[delete(nested)]), Err(PatchError::Inapplicable(_))));
    assert!(matches!(patch(&current, &[delete(&deep)]), Err(PatchError::Malformed(_))));
    let long = format!("Patient{}", ".name".repeat(500));
    assert!(matches!(patch(&current, &[delete(&long)]), Err(PatchError::Malformed(_))));
}

#[test]
fn all_paths_of_a_patch_share_one_budget() {
    let names = |count: usize| {
        let names: Vec<String> =
            (0..count).map(|at| format!(r#"{{"family":"x{at}","given":["a"]}}"#)).collect();
        patient(&format!(r#""name":[{}]"#, names.join(",")))
    };
    let path = |at: usize| format!("Patient.name.where(family='x{at}').given[0]");
    let operations: Vec<String> =
        (0..1_000).map(|at| replace(&path(at % 10), r#""valueString":"b""#)).collect();

    let refused = patch(&names(3_000), &operations).unwrap_err();
    let done = patch(&names(100), &operations).unwrap();

    let PatchError::Inapplicable(issues) = refused else { panic!("{refused:?}") };
    assert!(issues[0].text.contains("the paths take too long"), "{issues:?}");
    assert!(issues[0].expression.as_deref().unwrap().starts_with("Parameters.parameter["));
    assert_eq!(done.matches(r#""given":["b"]"#).count(), 10);
}

#[test]
fn long_texts_that_are_compared_again_and_again_use_the_budget_up() {
    let text_of = "x".repeat(1_000_000);
    let before = patient(&format!(r#""text":{{"status":"generated","div":"{text_of}"}}"#));
    let path = "Patient.text.where(div='a' or div='b' or div='c' or div='d').status";
    let operations = vec![delete(path); 1_000];

    assert!(matches!(patch(&before, &operations), Err(PatchError::Inapplicable(_))));
    assert!(patch(&before, &operations[..10]).is_ok());
}

#[test]
fn a_patch_with_too_many_operations_is_refused_before_the_first_is_tried() {
    let impossible = vec![replace("Patient.nothing", r#""valueString":"b""#); 1_001];

    let few = patch(&patient(""), &impossible[..1_000]).unwrap_err();
    let many = patch(&patient(""), &impossible).unwrap_err();

    assert!(matches!(few, PatchError::Inapplicable(_)), "{few:?}");
    assert!(matches!(many, PatchError::Malformed(_)), "{many:?}");
}
