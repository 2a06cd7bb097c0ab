//! `ValueSet/$validate-code` agrees with the expansion, and says what an expansion cannot.

use serde_json::{Value, json};
use terminology::{
    Canonical, Coding, ExpandOptions, Refusal, ValidateOptions, ValueSet, builtin_value_sets,
    contains, expand, validate_in_value_set,
};

use crate::code_systems::animals;
use crate::desk::Desk;

#[test]
fn a_code_is_a_member_exactly_when_the_expansion_has_it() {
    let desk = Desk::default();
    let mut checked = 0;
    let mut urls: Vec<&str> = builtin_value_sets().collect();
    urls.sort_unstable();
    for url in urls.into_iter().step_by(7) {
        let asked = desk.ask(|shelf| {
            let value_set = shelf.value_set(&Canonical::parse(url))?;
            let expansion = expand(&value_set, &ExpandOptions::default(), shelf)?;
            for (system, code) in expansion.codes().take(200) {
                let coding = Coding::new(system.unwrap(), code);
                assert!(contains(&value_set, &coding, None, shelf)?.is_some(), "{url} {coding:?}");
                let bare = Coding { system: None, ..coding.clone() };
                assert!(contains(&value_set, &bare, None, shelf)?.is_some(), "{url} {bare:?}");
                let other = Coding::new(system.unwrap(), "no such code");
                assert!(contains(&value_set, &other, None, shelf)?.is_none(), "{url}");
            }
            Ok(expansion.total)
        });
        checked += usize::from(asked.is_ok());
    }
    assert!(checked > 100, "{checked}");
}

fn validate(compose: Value, coding: Coding) -> Result<bool, Refusal> {
    let value_set =
        ValueSet::of(&json!({"resourceType": "ValueSet", "status": "active", "compose": compose}))
            .unwrap();
    let desk = Desk(vec![animals()]);
    let codings = [coding];
    desk.ask(|shelf| {
        validate_in_value_set(&value_set, &codings, &ValidateOptions::default(), shelf)
    })
    .map(|answer| answer.result)
}

#[test]
fn excludes_versions_and_inactive_codes_count() {
    let animal = |code: &str| Coding::new("http://zoo.example/animals", code);
    let versioned =
        |code: &str, version: &str| Coding { version: Some(version.into()), ..animal(code) };
    let mammals = json!({"inactive": false,
        "include": [{"system": "http://zoo.example/animals", "version": "2", "filter": [{"property": "concept", "op": "is-a", "value": "mammal"}]}],
        "exclude": [{"system": "http://zoo.example/animals", "concept": [{"code": "wolf"}]}]});

    assert!(validate(mammals.clone(), animal("dog")).unwrap());
    assert!(!validate(mammals.clone(), animal("wolf")).unwrap());
    assert!(!validate(mammals.clone(), animal("thylacine")).unwrap());
    assert!(validate(mammals.clone(), versioned("dog", "2")).unwrap());
    assert!(!validate(mammals.clone(), versioned("dog", "1")).unwrap());
    assert!(!validate(mammals, Coding::new("http://other.example", "dog")).unwrap());
}

#[test]
fn what_an_unknown_code_system_decides_is_refused_not_denied() {
    let loinc = json!({"include": [
        {"system": "http://loinc.org", "filter": [{"property": "parent", "op": "=", "value": "LP43571-6"}]},
        {"system": "http://zoo.example/animals"}]});

    assert!(validate(loinc.clone(), Coding::new("http://zoo.example/animals", "dog")).unwrap());
    assert!(matches!(
        validate(loinc, Coding::new("http://loinc.org", "1-1")),
        Err(Refusal::Unknown { .. })
    ));
}
