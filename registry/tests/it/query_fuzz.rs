//! Random queries: the parser takes or refuses each, in bounded time, and takes again what it took.
//!
//! Damaged samples and pieces thrown together, repeatable by their seed. The long form is `SEALWAY_QUERIES=10000000`.

use std::env;
use std::time::{Duration, Instant};

use fhir::ResourceType;
use registry::search::{ParseOptions, parse, with_params};

use crate::oracle::with_words;

const TYPES: [ResourceType; 3] =
    [ResourceType::PATIENT, ResourceType::OBSERVATION, ResourceType::ENCOUNTER];

const SAMPLES: [&str; 13] = [
    "name:exact=J%C3%BCrgen&birthdate=ge1970-01&_sort=-birthdate,_id&_count=5",
    "identifier=http://e.org/mrn|123,|x,y|&gender:not=male",
    "identifier:of-type=http://e.org|MR|1&_total=accurate",
    "code=http://loinc.org|8302-2&value-quantity=lt5.4|http://unitsofmeasure.org|mg&date=sa2020",
    "code-value-quantity=http://loinc.org|8302-2$gt1E2&combo-code-value-quantity=a$b",
    "subject:Patient.general-practitioner:Practitioner.name=a&patient=Patient/1",
    "_has:Observation:patient:code=x&_has:Encounter:subject:_has:Observation:encounter:code=y",
    "_include=Observation:subject&_include:iterate=Patient:organization&_revinclude=Provenance:target",
    "_lastUpdated=ap2020-02-30T25:61:61.999Z&_id=a,b,c&_profile:below=http://x",
    "address:contains=a\\,b\\$c\\|d&name:missing=true&_tag=%20%00%zz&_text=a",
    "_content=(a OR \"b c\") and not (d-e,f)&_text=NOT NOT x or \"y\"",
    "_cursor=AAAA&_summary=count&_security:in=http://vs&value-string=&=&&",
    "date=2020-01-01T00:00:00%2B14:00&near=1|2|3|km&_filter=a eq b&_list=42",
];

const PIECES: [&str; 40] = [
    "&",
    "=",
    ",",
    "|",
    "$",
    ":",
    ".",
    "%",
    "\\",
    "+",
    "-",
    "_",
    "%2C",
    "%25",
    "%00",
    "%C3",
    "eq",
    "ne",
    "gt",
    "ap",
    "name",
    "code",
    "_id",
    "_sort",
    "_has",
    "_include",
    "_count",
    "date",
    "2020",
    "9999999999999999999",
    "1E400",
    "-0.0",
    ":missing",
    ":exact",
    ":not",
    ":iterate",
    "true",
    "Patient",
    "http://e.org",
    "ü😀",
];

#[test]
fn any_query_is_taken_or_refused_and_what_is_taken_is_taken_again() {
    let executions = env::var("SEALWAY_QUERIES").map_or(20_000, |n| n.parse().expect("a number"));
    let options =
        ParseOptions { base_url: "http://h/fhir", lenient: false, now_us: 0, codes: None };
    let words = with_words();
    let mut dice = Dice(7);
    let (mut taken, mut longest) = (0_u64, Duration::ZERO);
    let started = Instant::now();
    for _ in 0..executions {
        let query = query(&mut dice);
        let of = TYPES[dice.below(TYPES.len())];
        let read = || with_params(&words, || parse(of, &query, &options));
        let (parsed, took) = timed(read);
        // What the machine took the time for takes none when it is asked again.
        let again = (0..3).take_while(|_| took > TIME_MAX / 2).map(|_| timed(read).1).min();
        longest = longest.max(again.map_or(took, |again| again.min(took)));
        let Ok(parsed) = parsed else { continue };
        taken += 1;
        let echoed = parsed.self_query();
        let again = with_params(&words, || parse(of, &echoed, &options))
            .unwrap_or_else(|e| panic!("{query} → {echoed}: {e}"));
        assert_eq!(again.self_query(), echoed, "{query}");
    }
    eprintln!(
        "{executions} queries, {taken} taken, {:.1} s, longest {:.3} ms",
        started.elapsed().as_secs_f64(),
        longest.as_secs_f64() * 1000.0
    );
    assert!(taken > executions / 1000, "{taken} of {executions}");
    assert!(longest < TIME_MAX, "{longest:?}");
}

fn timed<T>(read: impl Fn() -> T) -> (T, Duration) {
    let began = Instant::now();
    (read(), began.elapsed())
}

fn query(dice: &mut Dice) -> String {
    let mut text = SAMPLES[dice.below(SAMPLES.len())].to_owned();
    if dice.below(3) == 0 {
        let start = text.match_indices('&').nth(dice.below(3)).map_or(0, |(at, _)| at + 1);
        text = text.split_off(start);
    }
    for _ in 0..dice.below(6) {
        let at = dice.below(text.len() + 1);
        let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        match dice.below(3) {
            0 => text.insert_str(at, PIECES[dice.below(PIECES.len())]),
            1 if at < text.len() => drop(text.remove(at)),
            _ => text.truncate(at),
        }
    }
    text
}

/// Longest time that a query may take to be read.
const TIME_MAX: Duration = Duration::from_secs(1);

/// xorshift64*: repeatable.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 8
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below the end")
    }
}
