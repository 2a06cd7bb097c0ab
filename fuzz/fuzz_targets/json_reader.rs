//! Any bytes: the strict reader must not panic, must agree with `serde_json` on what JSON is (but for what FHIR forbids),
//! what it accepts must stay acceptable after the server's id and meta are spliced in, and must come back from XML.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| sealway_fuzz::json_reader(bytes));
