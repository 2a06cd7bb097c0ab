//! How long conversions take; run by hand: `cargo test --release -p mediator --test speed -- --ignored --nocapture`.

mod support;

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use mediator::RuleSet;
use support::{convert_here, fixture};

/// Best mean of many short batches, so that a busy machine disturbs little.
fn time(bytes: &[u8], rules: &RuleSet) -> Duration {
    let batch = || {
        let started = Instant::now();
        for _ in 0..10 {
            std::hint::black_box(convert_here(std::hint::black_box(bytes), rules))
                .expect("applied");
        }
        started.elapsed() / 10
    };
    (0..300).map(|_| batch()).min().unwrap_or_default()
}

fn long_report() -> Vec<u8> {
    let mut text = String::from_utf8(fixture("oru_r01_corrected.hl7")).expect("ASCII");
    for n in 0..75 {
        let _ = write!(
            text,
            "OBX|{n}|NM|{}-{}^Analyte number {n} in serum or plasma^LN||{n}.50|mmol/L^^UCUM|1-5|N|||F|||20260302071500+0100\r",
            1000 + n,
            n % 10
        );
    }
    text.into_bytes()
}

#[test]
#[ignore = "measures; meaningful in a release build only"]
fn conversions_are_quick() {
    let rules = RuleSet::base();
    for (name, bytes) in [
        ("ADT A01", fixture("adt_a01.hl7")),
        ("ADT A08", fixture("adt_a08_null.hl7")),
        ("ORU R01", fixture("oru_r01.hl7")),
        ("ORU R01, 76 OBX", long_report()),
    ] {
        let took = time(&bytes, &rules);
        println!("{name:16} {:6} bytes {took:?}", bytes.len());
    }
    let started = Instant::now();
    std::hint::black_box(RuleSet::base());
    println!("rules load in {:?}", started.elapsed());
}
