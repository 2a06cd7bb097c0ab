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

    assert_eq!(found, ["error too-costly Patient"]);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn profiles_that_lead_back_to_themselves_end() {
    let definition = r#"{"resourceType":"StructureDefinition","url":"http://x/p","name":"P","status":"active","kind":"resource",
        "abstract":false,"type":"Patient","baseDefinition":"http://x/p","derivation":"constraint",
        "differential":{"element":[{"id":"Patient","path":"Patient"}]}}"#;

    let found = findings(r#"{"resourceType":"Patient"}"#, &[definition], &["http://x/p"]);

    assert_eq!(found, ["error too-costly Patient"]);
}
