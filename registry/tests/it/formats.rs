//! The worked examples of docs/formats.md are what is written.

use registry::access::Journal;
use registry::index::IndexRows;
use registry::index::rows::{QuantityRow, ReferenceRow, TokenRow};
use registry::index::terms;

const FORMATS: &str = include_str!("../../../docs/formats.md");

/// Lower-case hexadecimal in lines of 32 bytes.
fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    bytes.chunks(32).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_journal_segment_is_as_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let record = journal.append([0x11; 16], [0x22; 36], b"sealed".to_vec());
    assert_eq!(runtime.block_on(record).unwrap(), 1);

    let bytes = std::fs::read(folder.path().join("00000000000000000001.journal")).unwrap();

    assert!(FORMATS.contains(&hex(&bytes)), "docs/formats.md lacks\n{}", hex(&bytes));
}

#[test]
fn a_list_of_terms_is_as_drawn() {
    let rows = IndexRows {
        tokens: vec![TokenRow { param: 258, code_hash: 3, sys_hash: -1 }],
        references: vec![ReferenceRow { param: 7, target_hash: 4, code_hash: 0 }],
        quantities: vec![QuantityRow {
            param: 9,
            code_hash: 0,
            lo: 1.5,
            hi: 2.5,
            unit_hash: 5,
            sys_hash: 6,
        }],
        present: vec![7, 258],
        ..IndexRows::default()
    };

    let bytes = terms::encode(&rows);

    assert!(FORMATS.contains(&hex(&bytes)), "docs/formats.md lacks\n{}", hex(&bytes));
}
