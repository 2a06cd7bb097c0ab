//! R4's own definitions against `vectors/make.py`, which computes from the published package.

use terminology::{Canonical, ExpandOptions, Refusal, Subsumption, expand, subsumes};

use crate::desk::{Desk, fnv};

#[test]
fn every_value_set_of_r4_expands_to_the_codes_that_a_naive_computation_finds() {
    let mut compared = 0;
    for line in include_str!("../vectors/expansions.txt").lines() {
        let [url, count, hash] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };

        let answer = Desk::default().ask(|shelf| {
            expand(&*shelf.value_set(&Canonical::parse(url))?, &ExpandOptions::default(), shelf)
        });

        match answer {
            Ok(expansion) => {
                let codes: Vec<String> = expansion
                    .codes()
                    .map(|(system, code)| format!("{}|{code}", system.unwrap()))
                    .collect();
                assert_eq!(codes.len().to_string(), count, "{url}");
                assert_eq!(fnv(codes), hash, "{url}");
                compared += 1;
            }
            Err(refusal) => {
                assert_eq!(count, "?", "{url}: {refusal}");
                assert!(
                    matches!(refusal, Refusal::Unknown { .. } | Refusal::Unsupported(_)),
                    "{url}: {refusal}"
                );
            }
        }
    }
    assert!(compared > 1_100, "{compared}");
}

#[test]
fn subsumption_in_every_hierarchy_of_r4_is_that_of_a_naive_computation() {
    let mut compared = 0;
    for line in include_str!("../vectors/subsumptions.txt").lines() {
        let [url, count, hash] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let desk = Desk::default();
        let system = desk.ask(|shelf| shelf.needed_code_system(&Canonical::parse(url))).unwrap();

        let codes: Vec<&str> = system.concepts().iter().map(|one| &*one.code).collect();
        let mut pairs = Vec::new();
        for a in &codes {
            for b in &codes {
                match subsumes(&system, a, b).unwrap() {
                    Subsumption::Subsumes => pairs.push(format!("{a}>{b}")),
                    Subsumption::Equivalent => assert_eq!(a, b),
                    Subsumption::SubsumedBy | Subsumption::NotSubsumed => {}
                }
            }
        }
        pairs.sort_unstable();
        pairs.dedup();

        assert_eq!(pairs.len().to_string(), count, "{url}");
        assert_eq!(fnv(pairs), hash, "{url}");
        compared += 1;
    }
    assert!(compared > 50, "{compared}");
}
