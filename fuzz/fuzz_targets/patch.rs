//! A patch, a line feed, a resource: no panic, and what is made keeps type and id.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| sealway_fuzz::patch(bytes));
