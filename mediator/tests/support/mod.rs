//! Shared by the tests: messages written for them, and their conversion.

use std::{fs, path::Path};

use mediator::{Context, Conversion, ConvertError, RuleSet, Site, Source, convert};

/// Where the raw message would be stored.
const SOURCE: Source<'static> = Source {
    raw: "Binary/5f1c0d6e-0000-8000-8000-000000000001",
    recorded: "2026-03-01T12:00:00.000000Z",
    device: "Device/gateway",
};

/// A message written for these tests.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hl7v2");
    fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Converts for a site with default settings.
pub(crate) fn convert_here(bytes: &[u8], rules: &RuleSet) -> Result<Conversion, ConvertError> {
    let site = Site::default();
    convert(bytes, &Context { site: &site, source: Some(SOURCE) }, rules)
}
