//! Hostile profiles and documents cost no more than their budget.

use std::time::{Duration, Instant};

use crate::findings;

#[test]
fn an_invariant_without_end_is_refused_within_its_budget() {
    let definition = r#"{"resourceType":"StructureDefinition","url":"http://x/p","name":"P","status":"active","kind":"resource",
        "abstract":false,"type":"Patient","derivation":"constraint","differential":{"element":[{"id":"Patient","path":"Patient",
        "constraint":[{"key":"hang-1","severity":"error","human":"x",
        "expression":"name.given.select(%resource.name.given.select(%resource.name.given)).count() > 0"}]}]}}"#;
    let names = vec![r#"{"given":["a","b","c","d"]}"#; 300].join(",");
    let start = Instant::now();

    let found = findings(
        &format!(r#"{{"resourceType":"Patient","name":[{names}]}}"#),
        &[definition],
        &["http://x/p"],
    );

    assert_eq!(found, ["warning too-costly Patient"]);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn profiles_that_lead_back_to_themselves_end() {
    let definition = r#"{"resourceType":"StructureDefinition","url":"http://x/p","name":"P","status":"active","kind":"resource",
        "abstract":false,"type":"Patient","baseDefinition":"http://x/p","derivation":"constraint",
        "differential":{"element":[{"id":"Patient","path":"Patient"}]}}"#;

    let found = findings(r#"{"resourceType":"Patient"}"#, &[definition], &["http://x/p"]);

    assert_eq!(found, ["warning too-costly Patient"]);
}

#[test]
fn many_contained_resources_that_are_all_referred_to_are_valid_and_those_that_are_not_are_named() {
    let contained =
        |at: usize| format!(r#"{{"resourceType":"Organization","id":"o{at}","name":"x"}}"#);
    let reference = |at: usize| format!(r##"{{"reference":"#o{at}"}}"##);
    let patient = |contained_count: usize, referred: usize| {
        let all: Vec<String> = (0..contained_count).map(contained).collect();
        let links: Vec<String> = (0..referred).map(reference).collect();
        format!(
            r#"{{"resourceType":"Patient","text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}},
            "contained":[{}],"generalPractitioner":[{}]}}"#,
            all.join(","),
            links.join(",")
        )
    };
    let start = Instant::now();

    assert_eq!(findings(&patient(5_000, 5_000), &[], &[]), [""; 0]);
    assert_eq!(
        findings(&patient(3, 1), &[], &[]),
        ["error invariant Patient.contained[1]", "error invariant Patient.contained[2]"]
    );
    assert_eq!(
        findings(&patient(1, 2), &[], &[]),
        ["error invariant Patient.generalPractitioner[1]"]
    );
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn warnings_leave_room_for_the_error_that_comes_after_them() {
    let contained: Vec<String> = (0..2_000)
        .map(|at| format!(r#"{{"resourceType":"Organization","id":"o{at}","name":"x"}}"#))
        .collect();
    let links: Vec<String> =
        (0..2_000).map(|at| format!(r##"{{"reference":"#o{at}"}}"##)).collect();
    // Each of them lacks a narrative, which is a warning.
    let patient = format!(
        r#"{{"resourceType":"Patient","contained":[{}],"generalPractitioner":[{}],"contact":[{{"gender":"male"}}]}}"#,
        contained.join(","),
        links.join(",")
    );

    assert_eq!(findings(&patient, &[], &[]), ["error invariant Patient.contact[0]"]);
}
