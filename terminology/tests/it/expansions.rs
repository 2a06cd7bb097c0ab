//! `$expand`: composition, filters, paging, nesting, limits.

use serde_json::{Value, json};
use terminology::{Canonical, ExpandOptions, Refusal, Stamp, ValueSet, expand};

use crate::code_systems::animals;
use crate::desk::Desk;

fn set(url: &str, compose: Value) -> Value {
    json!({"resourceType": "ValueSet", "url": url, "status": "active", "compose": compose})
}

fn codes_in(desk: &Desk, compose: Value, options: &ExpandOptions) -> Result<Vec<String>, Refusal> {
    let value_set = ValueSet::of(&set("http://zoo.example/vs", compose)).unwrap();
    let expansion = desk.ask(|shelf| expand(&value_set, options, shelf))?;
    Ok(expansion.codes().map(|(_, code)| code.to_owned()).collect())
}

fn codes(compose: Value) -> Result<Vec<String>, Refusal> {
    codes_in(&Desk(vec![animals()]), compose, &ExpandOptions::default())
}

fn filtered(property: &str, op: &str, value: &str) -> Result<Vec<String>, Refusal> {
    let filter = json!([{"property": property, "op": op, "value": value}]);
    codes(json!({"include": [{"system": "http://zoo.example/animals", "filter": filter}]}))
}

#[test]
fn each_filter_operator_chooses_as_the_standard_says() {
    assert_eq!(
        filtered("concept", "is-a", "mammal").unwrap(),
        ["mammal", "dog", "wolf", "thylacine", "whale"]
    );
    assert_eq!(
        filtered("concept", "descendent-of", "mammal").unwrap(),
        ["dog", "wolf", "thylacine", "whale"]
    );
    assert_eq!(filtered("concept", "is-not-a", "mammal").unwrap(), ["animal", "swimmer"]);
    assert_eq!(
        filtered("concept", "generalizes", "whale").unwrap(),
        ["animal", "mammal", "swimmer", "whale"]
    );
    assert_eq!(filtered("legs", "=", "4").unwrap(), ["dog", "wolf"]);
    assert_eq!(filtered("legs", "in", "0,4").unwrap(), ["dog", "wolf", "whale"]);
    assert_eq!(
        filtered("code", "not-in", "dog, wolf").unwrap(),
        ["animal", "mammal", "thylacine", "swimmer", "whale"]
    );
    assert_eq!(filtered("kin", "exists", "true").unwrap(), ["dog"]);
    assert_eq!(
        filtered("legs", "exists", "false").unwrap(),
        ["animal", "mammal", "thylacine", "swimmer"]
    );
    assert_eq!(filtered("display", "regex", "W.*").unwrap(), ["wolf", "whale"]);
    assert_eq!(
        filtered("code", "regex", "w").unwrap(),
        Vec::<String>::new(),
        "the whole value has to match"
    );
    assert_eq!(filtered("parent", "=", "mammal").unwrap(), ["dog", "wolf", "thylacine", "whale"]);
    assert_eq!(filtered("child", "=", "whale").unwrap(), ["mammal", "swimmer"]);
    assert_eq!(filtered("inactive", "=", "true").unwrap(), ["thylacine"]);
}

#[test]
fn a_filter_that_cannot_be_decided_is_refused() {
    assert!(matches!(filtered("colour", "=", "red"), Err(Refusal::Unsupported(_))));
    assert!(matches!(filtered("concept", "is-a", "cat"), Err(Refusal::Invalid(_))));
    assert!(matches!(filtered("code", "regex", "("), Err(Refusal::Invalid(_))));
    assert!(matches!(filtered("code", "regex", "(a{1000}){1000}"), Err(Refusal::Invalid(_))));
    assert!(matches!(filtered("kin", "exists", "perhaps"), Err(Refusal::Invalid(_))));
}

#[test]
fn includes_are_joined_and_excludes_taken_away() {
    let found = codes(json!({
        "include": [
            {"system": "http://zoo.example/animals", "concept": [{"code": "wolf"}, {"code": "dog"}, {"code": "no-such"}]},
            {"system": "http://zoo.example/animals", "filter": [{"property": "concept", "op": "is-a", "value": "mammal"}]},
        ],
        "exclude": [{"system": "http://zoo.example/animals", "concept": [{"code": "mammal"}]}],
    }));

    assert_eq!(found.unwrap(), ["wolf", "dog", "thylacine", "whale"]);
}

#[test]
fn criteria_of_one_include_all_hold() {
    let desk = Desk(vec![
        animals(),
        set(
            "http://zoo.example/four",
            json!({"include": [{"system": "http://zoo.example/animals", "filter": [{"property": "legs", "op": "=", "value": "4"}]}]}),
        ),
        set(
            "http://zoo.example/pets",
            json!({"include": [{"system": "http://zoo.example/animals", "concept": [{"code": "dog"}, {"code": "whale"}]}]}),
        ),
    ]);
    let of = |include: Value| {
        codes_in(&desk, json!({"include": include}), &ExpandOptions::default()).unwrap()
    };

    assert_eq!(
        of(json!([{"valueSet": ["http://zoo.example/four", "http://zoo.example/pets"]}])),
        ["dog"]
    );
    assert_eq!(
        of(
            json!([{"valueSet": ["http://zoo.example/four"]}, {"valueSet": ["http://zoo.example/pets"]}])
        ),
        ["dog", "wolf", "whale"]
    );
    assert_eq!(
        of(
            json!([{"system": "http://zoo.example/animals", "concept": [{"code": "whale"}], "valueSet": ["http://zoo.example/pets"]}])
        ),
        ["whale"]
    );
}

#[test]
fn a_value_set_that_imports_itself_is_refused() {
    let desk = Desk(vec![
        set("http://a.example", json!({"include": [{"valueSet": ["http://b.example"]}]})),
        set("http://b.example", json!({"include": [{"valueSet": ["http://a.example"]}]})),
    ]);

    let answer = desk.ask(|shelf| {
        expand(
            &*shelf.value_set(&Canonical::parse("http://a.example"))?,
            &ExpandOptions::default(),
            shelf,
        )
    });

    assert_eq!(answer.unwrap_err().to_string(), "the value set http://a.example imports itself");
}

#[test]
fn enumerated_codes_of_an_unknown_system_are_listed_but_not_filtered_ones() {
    // ValueSet/example-extensional of the standard: four LOINC codes, LOINC is not here.
    let listed = codes(json!({"include": [{"system": "http://loinc.org", "version": "2.36",
        "concept": [{"code": "14647-2", "display": "Cholesterol [Moles/Volume]"}, {"code": "2093-3"}]}]}));
    // ValueSet/example-intensional: children of LP43571-6.
    let computed = codes(json!({"include": [{"system": "http://loinc.org",
        "filter": [{"property": "parent", "op": "=", "value": "LP43571-6"}]}]}));

    assert_eq!(listed.unwrap(), ["14647-2", "2093-3"]);
    assert!(matches!(computed, Err(Refusal::Unknown { .. })));
}

#[test]
fn a_page_is_a_part_of_the_whole() {
    let all = json!({"include": [{"system": "http://zoo.example/animals"}]});
    let desk = Desk(vec![animals()]);
    let page = |offset: Option<usize>, count: Option<usize>| {
        codes_in(&desk, all.clone(), &ExpandOptions { offset, count, ..ExpandOptions::default() })
            .unwrap()
    };
    let whole = page(None, None);

    assert_eq!(whole.len(), 7);
    assert_eq!(page(Some(0), Some(3)), whole[..3]);
    assert_eq!(page(Some(5), Some(3)), whole[5..]);
    assert_eq!(page(Some(9), Some(3)), Vec::<String>::new());
    assert_eq!(page(None, Some(0)), Vec::<String>::new());
}

#[test]
fn options_narrow_the_answer() {
    let all = json!({"include": [{"system": "http://zoo.example/animals"}]});
    let desk = Desk(vec![animals()]);
    let of = |options: ExpandOptions| codes_in(&desk, all.clone(), &options).unwrap();
    let none = ExpandOptions::default;

    assert_eq!(of(ExpandOptions { filter: Some("hun".into()), ..none() }), ["dog"]);
    assert_eq!(of(ExpandOptions { filter: Some("SWIMM ani".into()), ..none() }), ["swimmer"]);
    assert!(!of(ExpandOptions { active_only: true, ..none() }).contains(&"thylacine".to_owned()));
    assert!(
        !of(ExpandOptions { exclude_not_for_ui: true, ..none() }).contains(&"animal".to_owned())
    );
    assert_eq!(
        of(ExpandOptions {
            exclude_systems: vec![Canonical::parse("http://zoo.example/animals")],
            ..none()
        }),
        Vec::<String>::new()
    );
    let inactive =
        json!({"inactive": false, "include": [{"system": "http://zoo.example/animals"}]});
    assert_eq!(codes_in(&desk, inactive, &none()).unwrap().len(), 6);
}

#[test]
fn versions_come_from_the_composition_and_the_request() {
    let mut second = animals();
    second["version"] = json!("3");
    second["concept"] = json!([{"code": "cat"}]);
    let desk = Desk(vec![animals(), second]);
    let of = |version: Option<&str>, options: ExpandOptions| {
        let mut include = json!({"system": "http://zoo.example/animals"});
        if let Some(version) = version {
            include["version"] = json!(version);
        }
        codes_in(&desk, json!({"include": [include]}), &options).map(|codes| codes.len())
    };
    let pinned = |to: &str| vec![Canonical::parse(&format!("http://zoo.example/animals|{to}"))];
    let none = ExpandOptions::default;

    assert_eq!(of(None, none()).unwrap(), 1);
    assert_eq!(of(Some("2"), none()).unwrap(), 7);
    assert_eq!(of(None, ExpandOptions { system_versions: pinned("2"), ..none() }).unwrap(), 7);
    assert_eq!(of(Some("3"), ExpandOptions { system_versions: pinned("2"), ..none() }).unwrap(), 1);
    assert_eq!(
        of(Some("3"), ExpandOptions { force_system_versions: pinned("2"), ..none() }).unwrap(),
        7
    );
    assert!(of(Some("3"), ExpandOptions { check_system_versions: pinned("2"), ..none() }).is_err());
    assert!(of(Some("9"), none()).is_err());
}

#[test]
fn a_nested_answer_hangs_each_code_below_the_nearest_above_it() {
    let compose = json!({"include": [{"system": "http://zoo.example/animals", "concept": [
        {"code": "animal"}, {"code": "dog", "display": "Hound"}, {"code": "swimmer"}, {"code": "whale"}]}]});
    let value_set = ValueSet::of(&set("http://zoo.example/vs", compose)).unwrap();
    let options =
        ExpandOptions { nested: true, include_designations: true, ..ExpandOptions::default() };
    let stamp = Stamp { identifier: "urn:uuid:1".into(), timestamp: "2026-01-01T00:00:00Z".into() };
    let desk = Desk(vec![animals()]);

    let out = desk
        .ask(
            |shelf| Ok(expand(&value_set, &options, shelf)?.to_resource(&value_set, false, &stamp)),
        )
        .unwrap();

    assert_eq!(out["expansion"]["total"], 4);
    assert_eq!(
        out["expansion"]["contains"],
        json!([
            {"system": "http://zoo.example/animals", "abstract": true, "version": "2", "code": "animal", "display": "Animal", "contains": [
                {"system": "http://zoo.example/animals", "version": "2", "code": "dog", "display": "Hound",
                 "designation": [{"language": "de", "value": "Hund"}, {"use": {"system": "http://zoo.example/use", "code": "pet"}, "value": "Doggy"}]},
                {"system": "http://zoo.example/animals", "version": "2", "code": "swimmer", "display": "Swimming animal", "contains": [
                    {"system": "http://zoo.example/animals", "version": "2", "code": "whale", "display": "Whale"}]}]}
        ])
    );
    assert!(out.get("compose").is_none());
    assert!(
        out["expansion"]["parameter"].as_array().unwrap().contains(
            &json!({"name": "used-codesystem", "valueUri": "http://zoo.example/animals|2"})
        )
    );
}

#[test]
fn a_whole_that_is_too_large_is_refused_and_its_pages_are_not() {
    let concepts: Vec<Value> = (0..20_001).map(|at| json!({"code": format!("c{at}")})).collect();
    let large = json!({"resourceType": "CodeSystem", "url": "http://l.example", "status": "active",
        "content": "complete", "concept": concepts});
    let desk = Desk(vec![large]);
    let all = json!({"include": [{"system": "http://l.example"}]});

    let whole = codes_in(&desk, all.clone(), &ExpandOptions::default());
    let page = ExpandOptions { offset: Some(20_000), count: Some(10), ..ExpandOptions::default() };

    assert!(matches!(whole, Err(Refusal::TooCostly(_))));
    assert_eq!(codes_in(&desk, all, &page).unwrap(), ["c20000"]);
}

#[test]
fn a_given_expansion_stands_where_there_is_no_composition() {
    let value_set = ValueSet::of(&json!({"resourceType": "ValueSet", "status": "active", "expansion": {"contains": [
        {"abstract": true, "display": "Group", "contains": [{"system": "http://s.example", "code": "a"}]},
        {"system": "http://s.example", "code": "b"}]}})).unwrap();

    let expansion =
        Desk::default().ask(|shelf| expand(&value_set, &ExpandOptions::default(), shelf)).unwrap();

    assert_eq!(expansion.codes().map(|(_, code)| code).collect::<Vec<_>>(), ["a", "b"]);
}
