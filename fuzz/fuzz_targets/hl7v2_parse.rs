//! Any bytes as an HL7 v2 message: a state with a reason, or a bundle that the strict reader takes.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use mediator::{Context, RuleSet, Site, convert, hl7v2::batch};

fuzz_target!(|bytes: &[u8]| {
    static RULES: OnceLock<RuleSet> = OnceLock::new();
    let rules = RULES.get_or_init(RuleSet::base);
    let site = Site::default();
    for range in batch::split(bytes).messages {
        if let Ok(conversion) =
            convert(&bytes[range], &Context { site: &site, source: None }, rules)
        {
            fhir::read(conversion.bundle(), &fhir::ReadLimits::default()).expect("valid FHIR");
        }
    }
});
