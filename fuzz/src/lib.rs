//! What must hold for any bytes; each function panics where it does not.
//!
//! Called by libFuzzer (`fuzz_targets`) and by a loop of our own that needs no nightly compiler (`bin/soak`).

use fhir::{
    Instant, ReadLimits, Resource, ResourceId, Subset, Template, Tree, VersionId, XmlForm,
    json_to_xml, read, references, xml_to_json,
};

/// The strict reader, splicing, cutting, and the way through XML and back.
pub fn json_reader(bytes: &[u8]) {
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
    let again =
        Resource::read(filled.clone(), &limits).expect("what was accepted stays acceptable");
    assert_eq!(again.id(), Some(id));
    for summary in ["true", "text", "data"] {
        let part = Subset::of(Some(summary), None, None).expect("a summary").expect("a part");
        read(part.apply(&filled, true), &limits).expect("a part of a resource is a resource");
    }
    let xml = json_to_xml(&filled, &FORM).expect("a resource has a form in XML");
    let back = xml_to_json(&xml, &limits).expect("our own XML is read");
    read(back, &limits).expect("what comes back from XML is a resource");
}

/// The XML codec.
pub fn xml_reader(bytes: &[u8]) {
    let limits = ReadLimits::default();
    let Ok(json) = xml_to_json(bytes, &limits) else { return };
    Tree::parse(json.clone()).map(drop).unwrap_or_else(|issues| {
        let is_limit = |code: &str| ["too-long", "structure"].contains(&code);
        assert!(issues.iter().all(|issue| is_limit(issue.code.code())), "no JSON was made");
    });
    if read(json.clone(), &limits).is_err() {
        return;
    }
    let xml = json_to_xml(&json, &FORM).expect("a resource has a form in XML");
    let back = xml_to_json(&xml, &limits).expect("our own XML is read");
    assert!(back == json, "XML does not come back the same");
}

/// Patches: what is before the first line feed is the patch, what follows the resource.
pub fn patch(bytes: &[u8]) {
    let cut = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (patch, current) = (&bytes[..cut], bytes.get(cut + 1..).unwrap_or_default());
    let limits = ReadLimits::default();
    let Ok(before) = Resource::read(current.to_vec(), &limits) else { return };
    let kind = fhir::patch::kind_of(patch);
    let Ok(made) = fhir::patch::apply(kind, patch, current) else { return };
    let Ok(after) = Resource::read(made, &limits) else { return };
    assert_eq!(after.resource_type(), before.resource_type(), "a patch changes no type");
    assert_eq!(after.id(), before.id(), "a patch changes no id");
}

fn serde_json_accepts(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

const FORM: XmlForm = XmlForm { pretty: false, bytes_max: 1 << 30 };
