//! Coded elements against value sets and their own code systems.
//!
//! Spec: FHIR R4 terminologies.html#strength. Not here: who knows the codes (`codes`).

use fhir::{IssueType, Node, Severity};
use fhirpath::Element;

use crate::codes::Membership;
use crate::finding::Finding;
use crate::walk::Walk;

impl Walk<'_> {
    /// A coded element against a value set.
    pub(crate) fn binding(&self, at: Element<'_>, value_set: &str, severity: Severity) {
        if self.membership(at, value_set) != Membership::NotIn {
            return;
        }
        let required = severity == Severity::Error;
        let text = if required {
            format!("no code is from the required value set {value_set}")
        } else {
            format!(
                "no code is from the extensible value set {value_set}; one of it must be used if it has a fitting one"
            )
        };
        self.report(Finding::at(at.node(), severity, IssueType::CodeInvalid, text));
    }

    /// Whether an element has a code of a value set; also `In` when it has no code at all.
    pub(crate) fn membership(&self, at: Element<'_>, value_set: &str) -> Membership {
        let Some(node) = at.value() else { return Membership::In };
        let coding = |node: Node<'_>| {
            let text = |key| node.get(key).and_then(Node::as_str);
            let Some(code) = text("code") else { return Membership::Unknown };
            self.codes.in_value_set(value_set, Some(&text("system").unwrap_or_default()), &code)
        };
        match at.of().name() {
            Some("CodeableConcept") => {
                let Some(codings) = node.get("coding") else { return Membership::Unknown };
                let mut all = Membership::NotIn;
                for each in codings.children().map(coding) {
                    match each {
                        Membership::In => return Membership::In,
                        Membership::Unknown => all = Membership::Unknown,
                        Membership::NotIn => {}
                    }
                }
                all
            }
            Some("Coding" | "Quantity" | "Age" | "Count" | "Distance" | "Duration") => coding(node),
            Some("code" | "string" | "uri" | "url" | "canonical") => match node.as_str() {
                Some(code) => self.codes.in_value_set(value_set, None, &code),
                None => Membership::Unknown,
            },
            _ => Membership::Unknown,
        }
    }

    /// A code that its own system does not have.
    pub(crate) fn known_code(&self, at: Element<'_>) {
        let Some(node) = at.value() else { return };
        let text = |key| node.get(key).and_then(Node::as_str);
        let (Some(system), Some(code)) = (text("system"), text("code")) else { return };
        if self.codes.in_system(&system, &code) == Membership::NotIn {
            let text = "the code is not one of its code system";
            self.error(node, IssueType::CodeInvalid, text);
        }
    }
}
