//! Random damage: no bytes make the reader panic, and what is accepted can be spliced and read again.

use fhir::{Instant, ReadLimits, Resource, ResourceId, Template, VersionId, references};
use proptest::prelude::*;

const SAMPLE: &str = r#"{"resourceType":"Observation","id":"o1","meta":{"versionId":"2","profile":["http://x.example/p"]},
 "text":{"status":"generated","div":"<div>\u00e9 \ud83d\ude00</div>"},"contained":[{"resourceType":"Patient","id":"p","_birthDate":{"extension":[{"url":"u","valueCode":"unknown"}]}}],
 "status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}],"text":"Hb"},"subject":{"reference":"Patient/1"},
 "effectiveDateTime":"2021-03-04T05:06:07.890+01:00","valueQuantity":{"value":1.10,"unit":"g/dL"},"interpretation":[{"text":"ok"}],
 "referenceRange":[{"low":{"value":1E1}}],"component":[{"code":{"text":"c"},"valueInteger":-3}]}"#;

fn read_and_splice(bytes: Vec<u8>) {
    let limits = ReadLimits::default();
    let Ok(resource) = Resource::read(bytes, &limits) else { return };
    let id = ResourceId::parse("new").expect("an id");
    let replacements: Vec<_> = references(resource.node())
        .into_iter()
        .map(|at| (at.span, "\"Patient/9\"".to_owned()))
        .collect();
    let template = Template::prepare(resource.node(), &id, &replacements);
    let filled = template.fill(VersionId::new(7).expect("not zero"), Instant::from_micros(0));
    let again = Resource::read(filled, &limits).expect("what was accepted stays acceptable");
    assert_eq!(again.id(), Some(id));
    assert_eq!(again.resource_type(), resource.resource_type());
    let version = again.node().get("meta").and_then(|meta| meta.get("versionId")?.as_str());
    assert_eq!(version.as_deref(), Some("7"));
}

#[test]
fn the_sample_is_accepted() {
    assert!(Resource::read(SAMPLE.into(), &ReadLimits::default()).is_ok());
    read_and_splice(SAMPLE.into());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..6)) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                2 => bytes.insert(at, byte),
                _ => bytes[at] = b"{}[]\",:\\u0nt1-._ "[usize::from(byte) % 17],
            }
        }
        read_and_splice(bytes);
    }

    #[test]
    fn moved_pieces_never_panic(from in any::<prop::sample::Index>(), len in 1..80usize, to in any::<prop::sample::Index>()) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        let from = from.index(bytes.len());
        let piece = bytes[from..(from + len).min(SAMPLE.len())].to_vec();
        let to = to.index(bytes.len());
        bytes.splice(to..to, piece);
        read_and_splice(bytes);
    }
}
