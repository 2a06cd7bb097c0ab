//! Hostile input: truncation at every byte and random changes never panic, hang or give invalid FHIR.

mod support;

use fhir::ReadLimits;
use mediator::{
    RuleSet, Site,
    hl7v2::{batch, header::Header},
};
use proptest::prelude::*;
use support::{convert_here, fixture};

const ALL: &[&str] = &[
    "adt_a01.hl7",
    "adt_a02.hl7",
    "adt_a03.hl7",
    "adt_a08_null.hl7",
    "adt_a11.hl7",
    "adt_a13.hl7",
    "adt_a40.hl7",
    "adt_z.hl7",
    "oru_r01.hl7",
    "oru_r01_corrected.hl7",
];

fn check(bytes: &[u8], rules: &RuleSet) {
    let _ = batch::split(bytes);
    let _ = Header::read(bytes);
    if let Ok(conversion) = convert_here(bytes, rules) {
        let bundle = conversion.bundle();
        if let Err(issues) = fhir::read(bundle.clone(), &ReadLimits::default()) {
            panic!(
                "{issues:?}\n{}\n{}",
                String::from_utf8_lossy(bytes),
                String::from_utf8_lossy(&bundle)
            );
        }
    }
}

#[test]
fn truncation_at_every_byte_ends_in_a_state() {
    let rules = RuleSet::base();
    for name in ALL {
        let bytes = fixture(name);
        for end in 0..bytes.len() {
            check(&bytes[..end], &rules);
        }
    }
}

#[test]
fn large_and_repetitive_messages_take_linear_time() {
    let rules = RuleSet::base();
    let head = "MSH|^~\\&|A|B|C|D|20260301120000Z||ORU^R01|1|P|2.5\r";
    let name = |n: usize| {
        let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).expect("a letter"));
        format!("Z{}{}|x\r", letter(n), letter(n / 26))
    };
    let identifiers: Vec<_> = (0..60_000).map(|n| format!("{n}^^^H")).collect();
    let messages = [
        format!("{head}PID|||1^^^H\rOBR|1||F\r{}", "OBX|1|NM|1^n^L||1\r".repeat(20_000)),
        format!("{head}PID|||{}\rOBR|1||F\r", identifiers.join("~")),
        format!("{head}PID|||1^^^H\rOBR|1||F\r{}", (0..40_000).map(name).collect::<String>()),
        format!("{head}PID|||1^^^H|{}", "|".repeat(1_000_000)),
        format!("{head}PID|||1^^^H||{}", "^".repeat(60_000)),
        format!("{head}PID|||1^^^H||{}\r", "\\".repeat(100_000)),
        format!("{head}{}", "PID|||1^^^H\rMRG|2^^^H\r".repeat(20_000))
            .replace("ORU^R01", "ADT^A40"),
        format!("{head}PID|||1^^^H\rOBR|1||F\r{}", "OBX|1|TX|1^n^L||line\r".repeat(20_000)),
    ];
    for (n, message) in messages.iter().enumerate() {
        let started = std::time::Instant::now();
        let _ = convert_here(message.as_bytes(), &rules);
        let took = started.elapsed();
        println!("{n} {took:?}");
        assert!(took < std::time::Duration::from_secs(20), "message {n} took {took:?}");
        println!("message {n}: {took:?}");
    }
}

#[test]
fn a_site_without_settings_takes_production_messages_only() {
    assert_eq!(Site::default().processing_ids, ["P"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_changes_end_in_a_state(
        which in 0..ALL.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..6u8, any::<u8>()), 1..12),
    ) {
        thread_local!(static RULES: RuleSet = RuleSet::base());
        let mut bytes = fixture(ALL[which]);
        for (at, kind, byte) in changes {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                3 => bytes[at] = b"|^~\\&\r\n\"-+.0"[usize::from(byte) % 12],
                4 => bytes.insert(at, b"|^~\\&\r\n\"-+.0"[usize::from(byte) % 12]),
                _ => {
                    let end = (at + usize::from(byte)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
        RULES.with(|rules| check(&bytes, rules));
    }

    #[test]
    fn random_bytes_end_in_a_state(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        thread_local!(static RULES: RuleSet = RuleSet::base());
        RULES.with(|rules| check(&[b"MSH|^~\\&|".as_slice(), &bytes].concat(), rules));
    }
}
