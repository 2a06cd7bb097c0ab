//! A receipt that is read is written back as the same bytes, and no bytes make verification panic.
#![no_main]

use ledger::{Receipt, Trust, verify_receipt_bytes};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(receipt) = Receipt::parse(bytes) {
        assert_eq!(receipt.to_json().as_bytes(), bytes);
    }
    let _ = verify_receipt_bytes(b"{}", bytes, &Trust::default());
    let _ = Trust::parse(bytes);
});
