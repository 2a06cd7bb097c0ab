//! Any bytes: the strict reader must not panic, must agree with `serde_json` on what JSON is (but for what FHIR forbids),
//! and what it accepts must stay acceptable after the server's id and meta are spliced in.
#![no_main]

use fhir::{Instant, ReadLimits, Resource, ResourceId, Template, Tree, VersionId, references};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if Tree::parse(bytes.to_vec()).is_ok() {
        assert!(serde_json_accepts(bytes), "we accept what is not JSON");
    }
    let limits = ReadLimits::default();
    let Ok(resource) = Resource::read(bytes.to_vec(), &limits) else { return };
    let replacements: Vec<_> = references(resource.node())
        .into_iter()
        .map(|at| (at.span, "\"Patient/9\"".to_owned()))
        .collect();
    let id = ResourceId::parse("new").expect("an id");
    let template = Template::prepare(resource.node(), &id, &replacements);
    let filled = template.fill(VersionId::FIRST, Instant::from_micros(0));
    let again = Resource::read(filled, &limits).expect("what was accepted stays acceptable");
    assert_eq!(again.id(), Some(id));
});

fn serde_json_accepts(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}
