//! Tests of parts of resources, by rule.

use super::*;

const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"o1","meta":{"versionId":"1"},
 "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},
 "extension":[{"url":"http://e.org/x","valueString":"y"}],
 "status":"final","code":{"text":"c"},"valueQuantity":{"value":1.10,"unit":"mg"},
 "note":[{"text":"n"}],"interpretation":[{"text":"i"}]}"#;

fn part(summary: Option<&str>, elements: Option<&str>, json: &str) -> serde_json::Value {
    let of = serde_json::from_str::<serde_json::Value>(json).unwrap();
    let of = ResourceType::parse(of["resourceType"].as_str().unwrap());
    let subset = Subset::of(summary, elements, of).unwrap().unwrap();
    let made = subset.apply(json.as_bytes(), true);
    let limits = crate::ReadLimits::default();
    crate::read(made.clone(), &limits).expect("a part of a resource is a resource");
    serde_json::from_slice(&made).unwrap()
}

fn keys(value: &serde_json::Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_summary_has_what_the_definitions_mark_and_says_that_it_is_one() {
    let made = part(Some("true"), None, OBSERVATION);

    assert_eq!(keys(&made), ["resourceType", "id", "meta", "status", "code", "valueQuantity"]);
    assert_eq!(made["meta"]["versionId"], "1");
    assert_eq!(made["meta"]["tag"][0]["code"], "SUBSETTED");
    assert_eq!(made["valueQuantity"]["value"].to_string(), "1.10");
}

#[test]
fn text_and_data_are_the_narrative_and_all_but_it() {
    let text = part(Some("text"), None, OBSERVATION);
    let data = part(Some("data"), None, OBSERVATION);

    assert_eq!(keys(&text), ["resourceType", "id", "meta", "text", "status", "code"]);
    assert!(data.get("text").is_none() && data.get("note").is_some());
    assert_eq!(data["meta"]["tag"][0]["code"], "SUBSETTED");
}

#[test]
fn elements_are_those_named_and_those_that_must_be_there() {
    let made = part(None, Some("resourceType,note,value[x]"), OBSERVATION);

    let expected = ["resourceType", "id", "meta", "status", "code", "valueQuantity", "note"];
    assert_eq!(keys(&made), expected);
}

#[test]
fn no_part_leaves_out_what_may_reverse_the_meaning_of_the_rest() {
    let json = r#"{"resourceType":"Observation","id":"m","implicitRules":"http://rules.org","language":"en",
      "modifierExtension":[{"url":"http://e.org/not","valueBoolean":true}],"status":"final","code":{"text":"c"},
      "note":[{"text":"n"}],"component":[{"modifierExtension":[{"url":"http://e.org/not","valueBoolean":true}],
      "code":{"text":"c"},"valueQuantity":{"value":1}}]}"#;

    for (summary, elements) in
        [(Some("text"), None), (Some("data"), None), (Some("true"), None), (None, Some("note"))]
    {
        let made = part(summary, elements, json);
        assert_eq!(made["implicitRules"], "http://rules.org", "{summary:?} {elements:?}");
        assert_eq!(made["modifierExtension"][0]["valueBoolean"], true, "{summary:?} {elements:?}");
    }
    let summary = part(Some("true"), None, json);
    assert_eq!(summary["component"][0]["modifierExtension"][0]["valueBoolean"], true);
}

#[test]
fn what_came_along_is_cut_only_where_its_type_is_named() {
    let patient = br#"{"resourceType":"Patient","id":"p","birthDate":"1970","gender":"male"}"#;
    let of = Some(ResourceType::OBSERVATION);
    let for_all = Subset::of(None, Some("status"), of).unwrap().unwrap();
    let for_both = Subset::of(None, Some("status,Patient.gender"), of).unwrap().unwrap();

    assert_eq!(for_all.apply(patient, false), patient);
    let made: serde_json::Value = serde_json::from_slice(&for_both.apply(patient, false)).unwrap();
    assert_eq!(keys(&made), ["resourceType", "id", "gender", "meta"]);
}

#[test]
fn the_inside_of_an_element_is_cut_too_and_its_extensions_stay() {
    let json = r#"{"resourceType":"DocumentReference","status":"current","content":[
      {"attachment":{"contentType":"text/plain","data":"aGVsbG8=","_title":{"extension":[
        {"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}}},
      {"attachment":{"data":"aGVsbG8="}}]}"#;

    let made = part(Some("true"), None, json);

    let first = &made["content"][0]["attachment"];
    assert_eq!(first["contentType"], "text/plain");
    assert!(first.get("data").is_none());
    assert!(first["_title"]["extension"].is_array());
}

#[test]
fn a_tag_is_added_to_those_that_are_there_and_never_twice() {
    let one = r#"{"resourceType":"Patient","meta":{"tag":[{"code":"a"}]},"active":true}"#;

    let made = part(Some("data"), None, one);
    let again = part(Some("data"), None, &made.to_string());

    assert_eq!(made["meta"]["tag"].as_array().unwrap().len(), 2);
    assert_eq!(again, made);
}

#[test]
fn what_names_no_element_is_refused() {
    let of = Some(ResourceType::PATIENT);
    for bad in ["nme", "", "name,,", "name.family", "Observation.name", "valueString"] {
        assert!(Subset::of(None, Some(bad), of).is_err(), "{bad}");
    }
    assert!(Subset::of(Some("all"), None, of).is_err());
    assert!(Subset::of(Some("true"), Some("name"), of).is_err());
    assert_eq!(Subset::of(Some("false"), None, of), Ok(None));
    assert!(Subset::of(None, Some("note,name"), None).is_ok(), "elements of some type");
}
