//! The content that `edge-authored/EXPECTED.csv` tells in words, where a row says more than a state.
//!
//! Lies outside the repository like the rest of the corpus; without it these tests say so and pass.

mod support;

use std::path::{Path, PathBuf};

use mediator::{
    Context, Conversion, RuleSet, Site, Source, convert,
    hl7v2::{ack, batch, header::Header},
};
use serde_json::Value;
use support::{convert_here, fixture};

fn read(name: &str) -> Option<Vec<u8>> {
    let shared = std::env::var_os("SEALWAY_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let file = shared.join("corpus/hl7v2/edge-authored").join(name);
    let bytes = std::fs::read(&file).ok();
    if bytes.is_none() {
        eprintln!("SKIPPED: no {} (set SEALWAY_SHARED)", file.display());
    }
    bytes
}

fn all(conversion: &Conversion, kind: &str) -> Vec<Value> {
    let of_kind = conversion.drafts.iter().filter(|d| d.resource_type == kind);
    of_kind.map(|d| serde_json::from_slice(&d.body).expect("valid")).collect()
}

#[test]
fn names_keep_every_character_of_every_set() {
    let rules = RuleSet::base();
    for (file, family, given) in [
        ("cs_utf8_msh18.hl7", "MÜLLER", "JÖRG-ß"),
        ("cs_latin1_msh18.hl7", "MÜLLER", "JÖRG"),
        ("cs_8859_15_euro.hl7", "EURO€", "TEST"),
        ("sep_custom_all.hl7", "OBRIEN", "MARY"),
        ("cs_8859_2_polish.hl7", "ŁĄCZ", "ŻÓŁĆ"),
        ("cs_8859_8_hebrew.hl7", "כהן", "דוד"),
        ("cs_gb18030.hl7", "王", "小明"),
        ("cs_big5_trailbyte.hl7", "許", "功蓋"),
        ("cs_iso2022jp.hl7", "YAMADA", "TARO"),
    ] {
        let Some(bytes) = read(file) else { return };
        let conversion = convert_here(&bytes, &rules).expect(file);
        let names = &all(&conversion, "Patient")[0]["name"];
        assert_eq!((&names[0]["family"], &names[0]["given"][0]), (&family.into(), &given.into()));
        if file.contains("2022") {
            assert_eq!(names[1]["family"], "山田");
        }
    }
}

#[test]
fn two_patients_of_one_message_stay_apart() {
    let rules = RuleSet::base();
    let Some(bytes) = read("oru_two_obr_two_patients.hl7") else { return };
    let conversion = convert_here(&bytes, &rules).expect("applied");

    let patients = all(&conversion, "Patient");
    let observations = all(&conversion, "Observation");

    assert_eq!((patients.len(), all(&conversion, "DiagnosticReport").len()), (2, 3));
    assert_eq!(observations.len(), 3);
    let second = format!("Patient/{}", patients[1]["id"].as_str().expect("text"));
    let of_second: Vec<_> =
        observations.iter().filter(|o| o["subject"]["reference"] == *second).collect();
    assert_eq!(of_second.len(), 1);
    assert_eq!(of_second[0]["valueQuantity"]["value"].to_string(), "9.1");
    let Some(corrected) = read("oru_corrected.hl7") else { return };
    let corrected = convert_here(&corrected, &rules).expect("applied");
    let corrected = all(&corrected, "Observation");
    assert_eq!(corrected[0]["status"], "corrected");
    assert_eq!(corrected[0]["id"], observations[0]["id"]);
}

#[test]
fn repeated_observations_never_overwrite_each_other() {
    let rules = RuleSet::base();
    let Some(bytes) = read("oru_obx_repeat_same_code.hl7") else { return };
    let conversion = convert_here(&bytes, &rules).expect("applied");

    assert_eq!(all(&conversion, "Observation").len(), 3);
    assert!(conversion.warnings.iter().any(|w| w.code == "key-collision"));
}

#[test]
fn structured_numbers_keep_their_meaning_and_digits() {
    let rules = RuleSet::base();
    let Some(bytes) = read("oru_sn_values.hl7") else { return };
    let conversion = convert_here(&bytes, &rules).expect("applied");
    let all = all(&conversion, "Observation");
    let by = |code: &str| {
        let found = all.iter().find(|o| o["code"]["coding"][0]["code"] == code);
        found.unwrap_or_else(|| panic!("no {code}"))
    };

    assert_eq!(by("1")["valueQuantity"]["comparator"], ">");
    assert_eq!(by("2")["valueRatio"]["denominator"]["value"].to_string(), "128");
    assert_eq!(by("3")["valueRange"]["high"]["unit"], "mm");
    assert_eq!(by("4")["valueQuantity"]["value"].to_string(), "1.50");
    assert_eq!(by("5")["valueQuantity"]["comparator"], "<");
    assert_eq!(by("6")["valueString"], "1,5");
    assert_eq!(by("7")["valueString"], "20260");
    assert_eq!(by("8")["valueString"], "202603011");
    assert_eq!(by("9")["component"].as_array().map(Vec::len), Some(3));
    let kept = conversion.warnings.iter().filter(|w| w.code == "value-kept-as-text").count();
    assert_eq!(kept, 3);
}

#[test]
fn an_embedded_document_is_stored_with_size_and_hash_of_its_bytes() {
    let rules = RuleSet::base();
    let Some(bytes) = read("oru_ed_pdf.hl7") else { return };
    let conversion = convert_here(&bytes, &rules).expect("applied");

    let binary = &all(&conversion, "Binary")[0];
    let document = &all(&conversion, "DocumentReference")[0];
    let attachment = &document["content"][0]["attachment"];

    assert_eq!(binary["contentType"], "application/pdf");
    assert_eq!(attachment["size"], 200_009);
    assert_eq!(attachment["hash"].as_str().map(str::len), Some(28));
    let url = format!("Binary/{}", binary["id"].as_str().expect("text"));
    assert_eq!(attachment["url"], *url);
    let form = &all(&conversion, "DiagnosticReport")[0]["presentedForm"][0];
    assert_eq!(form["url"], *url);
}

#[test]
fn a_batch_is_split_converted_and_answered_as_one() {
    let rules = RuleSet::base();
    let Some(bytes) = read("batch_bhs.hl7") else { return };
    let whole = convert_here(&bytes, &rules).expect_err("a batch is split first");
    assert_eq!(whole.reason.slug(), "batch-not-split");

    let batch = batch::split(&bytes);
    assert_eq!((batch.messages.len(), batch.count_differs()), (2, false));
    let answers: Vec<_> = batch
        .messages
        .iter()
        .map(|range| {
            let message = &bytes[range.clone()];
            convert_here(message, &rules).expect("applied");
            let header = Header::read(message).expect("an MSH");
            ack::acknowledge(Some(&header), ack::AckCode::ApplicationAccept, &[], "R", "2026")
        })
        .collect();
    let answer = batch::acknowledge(&batch, &answers, "B2", "2026");
    let text = String::from_utf8(answer).expect("ASCII");
    let names: Vec<_> = text.split_terminator('\r').map(|line| &line[..3]).collect();
    assert_eq!(names, ["BHS", "MSH", "MSA", "MSH", "MSA", "BTS"]);
    assert!(text.ends_with("BTS|2\r"));
}

#[test]
fn dates_keep_their_precision_and_a_site_zone_gives_the_offset() {
    let rules = RuleSet::base();
    let Some(bytes) = read("date_precisions.hl7") else { return };
    let text = String::from_utf8(bytes).expect("ASCII").replace("120000+0100", "120000");
    let zone = rules.zone("Europe/Berlin");
    for (zone, start) in [(None, "2026-03-01"), (zone, "2026-03-01T11:55:00+01:00")] {
        let site = Site { zone, ..Site::default() };
        let source =
            Source { raw: "Binary/1", recorded: "2026-03-01T12:00:00Z", device: "Device/1" };
        let context = Context { site: &site, source: Some(source) };
        let conversion = convert(text.as_bytes(), &context, &rules).expect("applied");

        assert_eq!(all(&conversion, "Patient")[0]["birthDate"], "1980");
        assert_eq!(all(&conversion, "Encounter")[0]["period"]["start"], start);
    }
}

#[test]
fn a_message_of_ours_needs_no_corpus() {
    let conversion = convert_here(&fixture("adt_a01.hl7"), &RuleSet::base()).expect("applied");
    assert_eq!(all(&conversion, "Patient").len(), 1);
}
