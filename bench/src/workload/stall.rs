//! What others wait for while one transaction of 5,000 entries follows the other: small writes, reads, searches.
//!
//! First the small requests alone, then beside the transactions at about a hundred a second each, then there as fast as
//! they are answered: where these three alone take all cores, everything waits for a core, too. The longest wait is
//! printed: it is what a client notices, and a percentile hides it. Not here: many big transactions at once (`import`).

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use super::Bench;
use crate::{
    drive::{Limits, Run, Turn, Worker, workers},
    http::Client,
};

pub(super) async fn run(bench: &mut Bench) -> Result<(), String> {
    let mut client = Client::new(bench.target.clone());
    let patient = r#"{"resourceType":"Patient","id":"stall","name":[{"family":"Small"}]}"#;
    let made = client.send("PUT", "Patient/stall", "", patient.as_bytes()).await;
    if let Turn::Failed(failure) = Turn::of(&made, 1) {
        return Err(format!("the patient was refused: {failure}"));
    }
    let bundle = transaction();
    for (phase, busy, pause) in PHASES {
        let mut small = [Kind::Create, Kind::Read, Kind::Search]
            .map(|kind| workers(&bench.target, [(kind, Duration::ZERO)]));
        let mut large = workers(&bench.target, vec![(); usize::from(busy)]);
        let classes = SMALL.map(|name| format!("{name}, {phase}"));
        let [creates, reads, searches] = &mut small;
        let runs = [0, 1, 2].map(|at| {
            let run = bench.measuring("stall", &classes[at]);
            Run { limits: Limits { pause, ..run.limits }, ..run }
        });
        let transactions = format!("5,000, {phase}");
        let beside = bench.measuring("stall", &transactions);
        let rows = futures::join!(
            runs[0].measure(creates, ask),
            runs[1].measure(reads, ask),
            runs[2].measure(searches, ask),
            beside.measure(&mut large, async |worker| {
                let answer = worker.client.send("POST", "", "", bundle.as_bytes()).await;
                Turn::of(&answer, ENTRIES as u64)
            }),
        );
        for (row, worker) in [rows.0, rows.1, rows.2].into_iter().zip(&small) {
            bench.record(row);
            println!("{:<12} longest wait {} ms", "", worker[0].state.1.as_millis());
        }
        if busy {
            bench.record(rows.3);
        }
    }
    Ok(())
}

/// What a worker asks.
#[derive(Clone, Copy)]
enum Kind {
    Create,
    Read,
    Search,
}

/// A small request.
async fn ask(worker: &mut Worker<(Kind, Duration)>) -> Turn {
    let asked = Instant::now();
    let answer = match worker.state.0 {
        Kind::Create => {
            let body = observation("Patient/stall", worker.turn);
            worker.client.send("POST", "Observation", "", body.as_bytes()).await
        }
        Kind::Read => worker.client.get("Patient/stall").await,
        Kind::Search => worker.client.get("Observation?subject=Patient/stall&_count=5").await,
    };
    worker.state.1 = worker.state.1.max(asked.elapsed());
    Turn::of(&answer, 1)
}

/// One patient and observations of theirs.
fn transaction() -> String {
    let patient = "urn:uuid:5b3f6a1c-6f0e-4b0e-9a58-0d3f3f6d2a11";
    let mut body = format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[{{"fullUrl":"{patient}","resource":{{"resourceType":"Patient","name":[{{"family":"Large"}}]}},"request":{{"method":"POST","url":"Patient"}}}}"#
    );
    for number in 1..ENTRIES {
        let resource = observation(patient, number);
        let request = r#"{"method":"POST","url":"Observation"}"#;
        let _ = write!(body, r#",{{"resource":{resource},"request":{request}}}"#);
    }
    body + "]}"
}

fn observation(subject: &str, number: usize) -> String {
    let (code, month, day) = (8000 + number % 50, 1 + number % 12, 1 + number % 28);
    format!(
        r#"{{"resourceType":"Observation","status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}-6"}}]}},"subject":{{"reference":"{subject}"}},"effectiveDateTime":"2020-{month:02}-{day:02}T10:00:00+01:00","valueQuantity":{{"value":{number},"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}}"#
    )
}

/// Name, whether transactions go on beside, and the pause between small requests.
const PHASES: [(&str, bool, Duration); 3] = [
    ("alone", false, Duration::ZERO),
    ("beside", true, Duration::from_millis(10)),
    ("flooded", true, Duration::ZERO),
];
const SMALL: [&str; 3] = ["create", "read", "search"];
const ENTRIES: usize = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that is as strict as ours takes what is sent: else refusals would be measured, which nobody waits for.
    #[test]
    fn the_transaction_and_the_small_write_pass_the_strict_reader() {
        let limits = fhir::ReadLimits { bytes_max: usize::MAX, entries_max: ENTRIES };
        let tree = fhir::read(transaction().into_bytes(), &limits).unwrap();
        let bundle = fhir::Bundle::read(&tree).unwrap();

        assert_eq!(bundle.kind, fhir::BundleKind::Transaction);
        assert_eq!(bundle.entries.len(), ENTRIES);
        let patient = bundle.entries[0].full_url.as_deref().unwrap();
        for entry in &bundle.entries[1..] {
            let subject = entry.resource.unwrap().get("subject").unwrap().get("reference").unwrap();
            assert_eq!(subject.as_str().as_deref(), Some(patient), "each is the patient's own");
        }
        fhir::read(observation("Patient/stall", 0).into_bytes(), &limits).unwrap();
    }
}
