//! Receipts: what they prove, and that no byte of one can be changed unnoticed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use ledger::{
    Canon, ContentHash, EntryBody, Kind, Log, NodeHash, Outcome, Receipt, ResourceReference, Salt,
    Sealed, Signer, Trust, Verdict, commit,
    memory::MemoryDisk,
    note::{Algorithm, Note},
    verify_receipt, verify_receipt_bytes,
};

const ORIGIN: &str = "gateway.hospital.example/log";
const CONTENT: &[u8] = br#"{"resourceType":"Patient","id":"p1","meta":{"versionId":"3","lastUpdated":"2026-11-21T10:00:00.000000Z"},"gender":"female"}"#;

#[test]
fn a_receipt_verifies_offline_and_names_every_step() {
    let (receipt, trust) = sealed(300, 77);

    let report = verify_receipt_bytes(CONTENT, receipt.to_json().as_bytes(), &trust);

    assert_eq!((report.verdict, report.verdict.exit_code()), (Verdict::Verified, 0));
    let names: Vec<_> = report.steps.iter().map(|step| step.name).collect();
    let all = ["content", "resource", "commitment", "inclusion", "checkpoint", "key", "policy"];
    assert_eq!(names, all);
    assert!(report.steps.iter().all(|step| step.outcome == Outcome::Passed));
    assert_eq!((report.index, report.time), (Some(77), Some(1_763_719_200)));
    assert!(report.to_string().ends_with("VERIFIED  Patient/p1/_history/3\n"));
    assert!(report.to_json().contains(r#""verdict":"VERIFIED""#));
}

#[test]
fn every_flipped_byte_of_a_receipt_is_found() {
    let (receipt, trust) = sealed(300, 77);
    let json = receipt.to_json();
    assert_eq!(Receipt::parse(json.as_bytes()), Ok(receipt));

    for at in 0..json.len() {
        for mask in [0x01, 0x20, 0xff] {
            let mut damaged = json.clone().into_bytes();
            damaged[at] ^= mask;

            let report = verify_receipt_bytes(CONTENT, &damaged, &trust);

            assert_ne!(report.verdict, Verdict::Verified, "byte {at} mask {mask:#x}");
            assert_ne!(report.verdict, Verdict::Pending, "byte {at} mask {mask:#x}");
        }
    }
    for at in 0..json.len() {
        assert!(Receipt::parse(&json.as_bytes()[..at]).is_err());
    }
    assert!(Receipt::parse(format!("{json}\n").as_bytes()).is_err());
    assert!(Receipt::parse(format!(" {json}").as_bytes()).is_err());
}

#[test]
fn every_flipped_byte_of_the_content_is_a_mismatch() {
    let (receipt, trust) = sealed(3, 1);

    for at in 0..CONTENT.len() {
        let mut damaged = CONTENT.to_vec();
        damaged[at] ^= 1;

        let report = verify_receipt(&damaged, &receipt, &trust);

        assert_eq!((report.verdict, report.verdict.exit_code()), (Verdict::Mismatch, 10));
    }
}

#[test]
fn a_receipt_cannot_be_passed_off_as_another_version() {
    let (mut receipt, trust) = sealed(3, 1);
    for reference in ["Patient/p1/_history/4", "Patient/p2/_history/3", "Person/p1/_history/3"] {
        receipt.resource = Some(ResourceReference::parse(reference).unwrap());
        assert_eq!(verify_receipt(CONTENT, &receipt, &trust).verdict, Verdict::Mismatch);
    }
    receipt.resource = None;
    assert_eq!(verify_receipt(CONTENT, &receipt, &trust).verdict, Verdict::InvalidProof);
}

#[test]
fn a_forged_proof_is_invalid() {
    let (good, trust) = sealed(300, 77);
    let verdict = |receipt: &Receipt| verify_receipt(CONTENT, receipt, &trust).verdict;
    let forged = |change: &dyn Fn(&mut Sealed)| {
        let mut receipt = good.clone();
        change(receipt.sealed.as_mut().unwrap());
        verdict(&receipt)
    };

    assert_eq!(forged(&|s| s.index = 78), Verdict::InvalidProof);
    assert_eq!(forged(&|s| s.path[0] = NodeHash::from_bytes([0; 32])), Verdict::InvalidProof);
    assert_eq!(forged(&|s| s.path.truncate(1)), Verdict::InvalidProof);
    assert_eq!(
        forged(&|s| s.checkpoint = s.checkpoint.replacen("300", "301", 1)),
        Verdict::InvalidProof
    );
    let mut salted = good.clone();
    salted.salt = Salt::from_bytes([9; 32]);
    assert_eq!(verdict(&salted), Verdict::InvalidProof);
}

#[test]
fn an_entry_that_is_not_published_yet_is_pending() {
    let (mut receipt, trust) = sealed(3, 1);
    receipt.sealed = None;

    let report = verify_receipt_bytes(CONTENT, receipt.to_json().as_bytes(), &trust);

    assert_eq!((report.verdict, report.verdict.exit_code()), (Verdict::Pending, 11));
}

#[test]
fn a_log_that_is_not_trusted_is_told_apart_from_a_wrong_signature() {
    let (receipt, _) = sealed(3, 1);
    let stranger = Signer::from_seed(ORIGIN, &[9; 32]).unwrap();
    let elsewhere = Signer::from_seed("elsewhere.example", &[7; 32]).unwrap();
    for signer in [stranger, elsewhere] {
        let trust = Trust::single(signer.name(), signer.verifiers()).unwrap();
        let report = verify_receipt(CONTENT, &receipt, &trust);
        assert_eq!((report.verdict, report.verdict.exit_code()), (Verdict::UntrustedKey, 13));
        assert_eq!(report.time, None);
    }
}

#[test]
fn the_policy_wants_the_time_and_the_witnesses() {
    let (receipt, trust) = sealed(3, 1);
    let without_time = resign(&receipt, &|text| vec![signer().sign(text)]);
    let report = verify_receipt(CONTENT, &without_time, &trust);
    assert_eq!((report.verdict, report.verdict.exit_code()), (Verdict::PolicyNotMet, 12));
    let plain = Trust::single(ORIGIN, vec![signer().verifier(Algorithm::Ed25519)]).unwrap();
    assert_eq!(verify_receipt(CONTENT, &without_time, &plain).verdict, Verdict::Verified);
    let only_time = resign(&receipt, &|text| vec![signer().cosign(text, 5)]);
    assert_eq!(verify_receipt(CONTENT, &only_time, &trust).verdict, Verdict::PolicyNotMet);

    let witness = Signer::from_seed("witness.example", &[4; 32]).unwrap();
    let key = witness.verifier(Algorithm::Cosignature).to_string();
    let wanting = trust.to_json().replace("\"required\": 0", "\"required\": 1");
    let wanting = wanting.replace("\"keys\": []", &format!("\"keys\": [\"{key}\"]"));
    let wanting = Trust::parse(wanting.as_bytes()).unwrap();
    assert_eq!(verify_receipt(CONTENT, &receipt, &wanting).verdict, Verdict::PolicyNotMet);
    let lines =
        |text: &str| vec![signer().sign(text), signer().cosign(text, 5), witness.cosign(text, 6)];
    let witnessed = resign(&receipt, &lines);
    assert_eq!(verify_receipt(CONTENT, &witnessed, &wanting).verdict, Verdict::Verified);
}

#[test]
fn the_largest_receipt_fits() {
    let (mut receipt, _) = sealed(3, 1);
    let sealed = receipt.sealed.as_mut().unwrap();
    sealed.index = u64::MAX - 1;
    sealed.path = vec![NodeHash::from_bytes([255; 32]); 64];
    receipt.resource =
        Some(ResourceReference::new(&"A".repeat(64), &"b".repeat(64), u64::MAX).unwrap());

    let json = receipt.to_json();

    assert!(json.len() <= ledger::receipt::RECEIPT_BYTES_MAX, "{} bytes", json.len());
    assert_eq!(Receipt::parse(json.as_bytes()), Ok(receipt));
}

/// A receipt for `CONTENT` at `index` of a log of `size` entries, and the trust file for it.
fn sealed(size: u64, index: u64) -> (Receipt, Trust) {
    let (kind, canon) = (Kind::ResourceVersion, Canon::Stored);
    let salt = Salt::derive(&[1; 32], kind, &[2; 16]);
    let content = ContentHash::of(CONTENT);
    let entry = EntryBody { kind, canon, commitment: commit(kind, canon, &salt, &content) };
    let other = |at: u64| {
        let commitment = commit(kind, canon, &salt, &ContentHash::of(&at.to_be_bytes()));
        EntryBody { commitment, ..entry }.to_bytes()
    };
    let bodies: Vec<_> =
        (0..size).map(|at| if at == index { entry.to_bytes() } else { other(at) }).collect();
    let disk = MemoryDisk::default();
    let mut log = Log::open(disk.clone(), disk, signer(), ORIGIN).unwrap();
    log.append(&bodies).unwrap();
    log.publish(1_763_719_200_000).unwrap();
    let (proof, checkpoint) = log.prove(index).unwrap().unwrap();
    let sealed = Sealed { index, path: proof.path, checkpoint: checkpoint.note().to_owned() };
    let resource = Some(ResourceReference::new("Patient", "p1", 3).unwrap());
    let origin = ORIGIN.to_owned();
    let receipt = Receipt { origin, resource, content, salt, body: entry, sealed: Some(sealed) };
    (receipt, log.trust())
}

/// The same receipt with its checkpoint signed by other lines.
fn resign(receipt: &Receipt, lines: &dyn Fn(&str) -> Vec<ledger::note::SignatureLine>) -> Receipt {
    let mut receipt = receipt.clone();
    let sealed = receipt.sealed.as_mut().unwrap();
    let text = Note::parse(sealed.checkpoint.as_bytes()).unwrap().text().to_owned();
    let lines = lines(&text);
    sealed.checkpoint = Note::new(text, lines).to_string();
    receipt
}

fn signer() -> Signer {
    Signer::from_seed(ORIGIN, &[7; 32]).unwrap()
}
