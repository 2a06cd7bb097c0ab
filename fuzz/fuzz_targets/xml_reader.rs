//! Any bytes: the XML codec must not panic, must make JSON or nothing, and what the strict reader takes of that must
//! go out as XML and come in again as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| sealway_fuzz::xml_reader(bytes));
