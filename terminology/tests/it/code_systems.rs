//! `$lookup`, `$validate-code` and `$subsumes` of a code system.

use serde_json::{Value, json};
use terminology::{
    CodeSystem, Coding, Refusal, Subsumption, ValidateOptions, lookup, subsumes,
    validate_in_code_system,
};

use crate::desk::Desk;

/// Animals: nesting, a second parent by property, a designation, an abstract and an inactive concept.
pub(crate) fn animals() -> Value {
    json!({
        "resourceType": "CodeSystem", "url": "http://zoo.example/animals", "version": "2", "status": "active",
        "name": "Animals", "caseSensitive": true, "hierarchyMeaning": "is-a", "content": "complete", "language": "en",
        "property": [{"code": "legs", "type": "integer", "description": "How many legs"},
                     {"code": "parent", "type": "code"}, {"code": "kin", "type": "code"}],
        "concept": [
            {"code": "animal", "display": "Animal", "property": [{"code": "notSelectable", "valueBoolean": true}],
             "concept": [
                {"code": "mammal", "display": "Mammal", "concept": [
                    {"code": "dog", "display": "Dog", "definition": "A domesticated canine",
                     "designation": [{"language": "de", "value": "Hund"},
                                     {"use": {"system": "http://zoo.example/use", "code": "pet"}, "value": "Doggy"}],
                     "property": [{"code": "legs", "valueInteger": 4}, {"code": "kin", "valueCode": "wolf"}]},
                    {"code": "wolf", "display": "Wolf", "property": [{"code": "legs", "valueInteger": 4}]},
                    {"code": "thylacine", "display": "Thylacine", "property": [{"code": "inactive", "valueBoolean": true}]}]},
                {"code": "swimmer", "display": "Swimming animal", "concept": [
                    {"code": "whale", "display": "Whale", "property": [{"code": "parent", "valueCode": "mammal"}, {"code": "legs", "valueInteger": 0}]}]}]}]
    })
}

fn part<'a>(parameters: &'a Value, name: &str, code: &str) -> Vec<&'a Value> {
    let all = parameters["parameter"].as_array().unwrap().iter();
    all.filter(|one| one["name"] == name)
        .filter(|one| one["part"][0]["valueCode"] == code)
        .map(|one| &one["part"][1])
        .collect()
}

fn look(code: &str, properties: &[&str], language: Option<&str>) -> Result<Value, Refusal> {
    let properties: Vec<String> = properties.iter().map(|name| (*name).to_owned()).collect();
    let coding = Coding::new("http://zoo.example/animals", code);
    let desk = Desk(vec![animals()]);
    desk.ask(|shelf| lookup(&coding, &properties, language, shelf)).map(|found| found.to_resource())
}

#[test]
fn a_lookup_tells_names_parents_children_and_properties() {
    let dog = look("dog", &[], None).unwrap();
    let whale = look("whale", &[], None).unwrap();

    assert_eq!(dog["parameter"][0], json!({"name": "name", "valueString": "Animals"}));
    assert_eq!(dog["parameter"][1], json!({"name": "version", "valueString": "2"}));
    assert_eq!(dog["parameter"][2], json!({"name": "display", "valueString": "Dog"}));
    assert_eq!(
        dog["parameter"][3]["part"],
        json!([{"name": "language", "valueCode": "de"}, {"name": "value", "valueString": "Hund"}])
    );
    assert_eq!(part(&dog, "property", "definition")[0]["valueString"], "A domesticated canine");
    assert_eq!(part(&dog, "property", "legs")[0]["valueInteger"], 4);
    assert_eq!(part(&dog, "property", "inactive")[0]["valueBoolean"], false);
    let parents: Vec<_> =
        part(&whale, "property", "parent").iter().map(|one| &one["valueCode"]).cloned().collect();
    assert_eq!(parents, ["swimmer", "mammal"]);
    assert_eq!(part(&look("mammal", &[], None).unwrap(), "property", "child").len(), 4);
}

#[test]
fn a_lookup_gives_the_properties_asked_for_and_the_language_asked_for() {
    let dog = look("dog", &["legs"], Some("de-AT")).unwrap();

    assert_eq!(dog["parameter"][2]["valueString"], "Hund");
    assert_eq!(dog["parameter"].as_array().unwrap().len(), 4);
    assert_eq!(part(&dog, "property", "legs")[0]["valueInteger"], 4);
}

#[test]
fn an_unknown_code_system_version_and_a_supplement_are_told_by_name() {
    let desk = Desk(vec![
        animals(),
        json!({"resourceType": "CodeSystem", "url": "http://zoo.example/de", "status": "active", "content": "supplement",
               "supplements": "http://zoo.example/animals"}),
    ]);
    let ask = |coding: Coding| desk.ask(|shelf| lookup(&coding, &[], None, shelf)).unwrap_err();

    assert!(matches!(
        ask(Coding::new("http://zoo.example/animals", "cat")),
        Refusal::NoSuchCode(_)
    ));
    assert!(matches!(
        ask(Coding::new("http://zoo.example/plants", "oak")),
        Refusal::Unknown { .. }
    ));
    let old =
        Coding { version: Some("1".into()), ..Coding::new("http://zoo.example/animals", "dog") };
    assert_eq!(ask(old).to_string(), "CodeSystem http://zoo.example/animals|1 is not known here");
    let supplement = ask(Coding::new("http://zoo.example/de", "dog"));
    assert_eq!(
        supplement.to_string(),
        "http://zoo.example/de is a supplement of http://zoo.example/animals; supplements are not applied"
    );
}

#[test]
fn codes_are_compared_as_the_code_system_says() {
    let system = |case: Option<bool>| {
        let mut animals = animals();
        animals["caseSensitive"] = json!(case);
        CodeSystem::of(&animals).unwrap()
    };

    assert!(system(Some(true)).find("DOG").is_none());
    assert_eq!(&*system(Some(false)).find("DOG").unwrap().code, "dog");
    // "accept codes in any case" where the element is missing.
    assert_eq!(&*system(None).find("DOG").unwrap().code, "dog");
}

#[test]
fn the_current_version_is_the_highest_active_one() {
    let edition = |version: &str, status: &str, display: &str| {
        json!({"resourceType": "CodeSystem", "url": "http://v.example", "version": version, "status": status,
               "content": "complete", "concept": [{"code": "a", "display": display}]})
    };
    let desk = Desk(vec![
        edition("1.9", "active", "nine"),
        edition("1.10", "active", "ten"),
        edition("2.0", "draft", "draft"),
    ]);
    let display = |version: Option<&str>| {
        let coding =
            Coding { version: version.map(Into::into), ..Coding::new("http://v.example", "a") };
        let found = desk.ask(|shelf| lookup(&coding, &[], None, shelf)).unwrap().to_resource();
        found["parameter"][2]["valueString"].as_str().unwrap().to_owned()
    };

    assert_eq!(display(None), "ten");
    assert_eq!(display(Some("2.0")), "draft");
}

#[test]
fn subsumption_follows_every_parent() {
    let system = CodeSystem::of(&animals()).unwrap();
    let outcome = |a: &str, b: &str| subsumes(&system, a, b).unwrap();

    assert_eq!(outcome("mammal", "whale"), Subsumption::Subsumes);
    assert_eq!(outcome("whale", "animal"), Subsumption::SubsumedBy);
    assert_eq!(outcome("dog", "dog"), Subsumption::Equivalent);
    assert_eq!(outcome("dog", "swimmer"), Subsumption::NotSubsumed);
    assert!(matches!(subsumes(&system, "dog", "cat"), Err(Refusal::NoSuchCode(_))));
}

#[test]
fn a_hierarchy_of_parts_says_nothing_of_subsumption() {
    let mut parts = animals();
    parts["hierarchyMeaning"] = json!("part-of");
    let system = CodeSystem::of(&parts).unwrap();

    assert!(matches!(subsumes(&system, "mammal", "dog"), Err(Refusal::Unsupported(_))));
}

#[test]
fn validation_checks_code_display_and_abstractness() {
    let system = CodeSystem::of(&animals()).unwrap();
    let validate = |code: &str, display: Option<&str>, allow_abstract: Option<bool>| {
        let coding = Coding {
            display: display.map(Into::into),
            ..Coding::new("http://zoo.example/animals", code)
        };
        let options = ValidateOptions { allow_abstract, display_language: None };
        validate_in_code_system(&system, &[coding], &options).unwrap()
    };

    assert!(validate("dog", None, None).result);
    assert!(validate("dog", Some("hund"), None).result, "a designation is a display, in any case");
    let wrong = validate("dog", Some("Cat"), None);
    assert_eq!(wrong.to_resource()["parameter"][0]["valueBoolean"], false);
    assert_eq!(
        wrong.to_resource()["parameter"][2],
        json!({"name": "display", "valueString": "Dog"})
    );
    assert!(!validate("cat", None, None).result);
    assert!(validate("animal", None, Some(true)).result);
    assert!(!validate("animal", None, Some(false)).result);
    assert_eq!(
        validate("thylacine", None, None).message.unwrap(),
        "http://zoo.example/animals#thylacine is inactive"
    );
}

#[test]
fn of_several_codings_one_has_to_hold() {
    let system = CodeSystem::of(&animals()).unwrap();
    let of = |codes: &[(&str, &str)]| {
        let codings: Vec<Coding> =
            codes.iter().map(|(system, code)| Coding::new(system, code)).collect();
        validate_in_code_system(&system, &codings, &ValidateOptions::default())
            .map(|answer| answer.result)
    };

    assert!(of(&[("http://other.example", "x"), ("http://zoo.example/animals", "dog")]).unwrap());
    assert!(!of(&[("http://other.example", "dog")]).unwrap());
    assert!(of(&[]).is_err());
}
