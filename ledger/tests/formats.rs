//! The worked examples of `docs/formats.md` are what the code makes.

use ledger::{
    Canon, ContentHash, EntryBody, Kind, Log, Receipt, ResourceReference, Salt, Sealed, Signer,
    TilePath, TileSource, Verdict, commit, memory::MemoryDisk, verify_receipt_bytes,
};

const ORIGIN: &str = "gateway.hospital.example/log";
const CONTENT: &str =
    r#"{"resourceType":"Patient","id":"p1","meta":{"versionId":"1"},"gender":"female"}"#;

/// Everything in the document is derived from these inputs: seeds and ids of repeated bytes.
#[test]
fn the_worked_examples_are_what_the_code_makes() {
    let (kind, canon) = (Kind::ResourceVersion, Canon::Stored);
    let salt = Salt::derive(&[0x11; 32], kind, &[0x22; 16]);
    let content = ContentHash::of(CONTENT.as_bytes());
    let commitment = commit(kind, canon, &salt, &content);
    let body = EntryBody { kind, canon, commitment };
    let access = EntryBody { kind: Kind::Access, ..body };
    let signer = Signer::from_seed(ORIGIN, &[0x33; 32]).unwrap();
    let disk = MemoryDisk::default();
    let mut log = Log::open(disk.clone(), disk.clone(), signer, ORIGIN).unwrap();
    log.append(&[access.to_bytes(), body.to_bytes()]).unwrap();
    let signed = log.publish(1_763_719_200_000).unwrap();
    let (proof, _) = log.prove(1).unwrap().unwrap();
    let entry = log.entry(1).unwrap().unwrap();
    let receipt = Receipt {
        origin: ORIGIN.to_owned(),
        resource: Some(ResourceReference::new("Patient", "p1", 1).unwrap()),
        content,
        salt,
        body,
        sealed: Some(Sealed { index: 1, path: proof.path, checkpoint: signed.note().to_owned() }),
    };
    let trust = log.trust();
    let read = |path: Option<TilePath>| hex::encode(disk.read(&path.unwrap()).unwrap().unwrap());

    let document = document();
    let expect = |name: &str, text: &str| {
        let found = document.contains(&format!("```\n{}\n```", text.trim_end()));
        assert!(found, "docs/formats.md must show, as {name}:\n```\n{}\n```", text.trim_end());
    };
    expect("content", CONTENT);
    expect("content hash", &hex::encode(content.as_bytes()));
    expect("salt", &hex::encode(salt.as_bytes()));
    expect("commitment", &hex::encode(commitment.as_bytes()));
    expect("entry", &hex::encode(entry.to_bytes()));
    expect("leaf hash", &hex::encode(entry.leaf_hash().as_bytes()));
    expect("tile", &read(TilePath::hashes(0, 0, 2)));
    expect("bundle", &read(TilePath::entries(0, 2)));
    expect("checkpoint", signed.note());
    expect("receipt", &receipt.to_json());
    expect("trust", &trust.to_json());
    let report = verify_receipt_bytes(CONTENT.as_bytes(), receipt.to_json().as_bytes(), &trust);
    assert_eq!(report.verdict, Verdict::Verified);
    expect("report", &report.to_string());
}

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats.md");
    std::fs::read_to_string(path).expect("docs/formats.md belongs to the repository")
}
