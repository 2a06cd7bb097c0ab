//! Validation: behaviour in sentences, with expected findings from the standard.

mod base;
mod cost;
mod profiles;

use std::sync::Arc;

use fhir::{ReadLimits, Tree};
use profile::{Checks, Finding, Profiles, R4Codes, Validator, compile};

/// Findings as `severity code expression`, sorted, for a document that the strict reader accepts.
fn findings(document: &str, definitions: &[&str], asked: &[&str]) -> Vec<String> {
    let mut profiles = Profiles::default();
    for definition in definitions {
        let tree = Tree::parse((*definition).into()).expect("a StructureDefinition");
        profiles.add(Arc::new(compile(tree.root()).expect("a profile")));
    }
    let tree = Tree::parse(document.into()).expect("JSON");
    let shape = fhir::check(tree.root(), &ReadLimits::default());
    assert!(shape.is_empty(), "the strict reader refuses it: {shape:?}");
    let asked = asked.iter().map(|url| (*url).to_owned()).collect();
    let checks = Checks { profiles: asked, claims: true };
    let found = Validator::new(&profiles, &R4Codes).validate(tree.root(), &checks);
    let mut shown: Vec<String> = found.findings.iter().filter_map(show).collect();
    shown.sort();
    shown
}

fn show(finding: &Finding) -> Option<String> {
    let issue = &finding.issue;
    let place = issue.expression.as_deref().unwrap_or_default();
    // Every narrative-less resource has this one (dom-6, a recommendation).
    let shown = format!("{} {} {place}", issue.severity.code(), issue.code.code());
    (!issue.text.contains("dom-6")).then_some(shown)
}
