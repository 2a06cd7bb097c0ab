//! The worked examples of `docs/formats.md` open; the test fails when page and code part ways.

use repository::{DataKey, WrappedKey};

use crate::{keyring, open, version};

const PAGE: &str = include_str!("../../../docs/formats.md");

#[test]
fn the_published_envelopes_open() {
    let examples = examples();
    let [ada, envelope, salt, bob, shared] = &examples[..] else { panic!("{}", examples.len()) };
    let ada = unwrap("Patient/ada", 0x52d7_efc5_b447_dc53, ada);
    let bob = unwrap("Patient/bob", 0x89b5_6633_43cc_413c, bob);
    let at = version("Observation/o1/_history/1");
    let content = br#"{"resourceType":"Observation","id":"o1","status":"final"}"#.to_vec();

    assert_eq!(open(envelope, &at, &[&ada]), Ok(content.clone()));
    assert_eq!(ada.salt_key().as_bytes().as_slice(), salt.as_slice());
    assert_eq!(open(shared, &at, &[&ada]), Ok(content.clone()));
    assert_eq!(open(shared, &at, &[&bob]), Ok(content));
}

fn unwrap(compartment: &str, key_id: u64, wrapped: &[u8]) -> std::sync::Arc<DataKey> {
    let compartment = compartment.to_owned();
    keyring()
        .unwrap(&WrappedKey { key_id, compartment, wrapped: wrapped.to_vec() })
        .expect("unwraps")
}

/// The hexadecimal lines after the heading, in their order.
fn examples() -> Vec<Vec<u8>> {
    let (_, section) = PAGE.split_once("\n## Payload envelope\n").expect("a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let hex = |line: &&str| line.len() >= 64 && line.bytes().all(|b| b.is_ascii_hexdigit());
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(text, 16).expect("hexadecimal")
    };
    section.lines().filter(hex).map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}
