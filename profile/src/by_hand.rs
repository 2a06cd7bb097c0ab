//! Rules of R4 that are checked without their expression: in one pass where that would look at everything again for every
//! element, and with the place that is to be mended.
//!
//! Spec: FHIR R4 domainresource.html (dom-3), references.html (ref-1), narrative.html (txt-1, txt-2).
//! Not here: ele-1 and ext-1, which the walk does itself.

use std::borrow::Cow;
use std::collections::HashSet;

use fhir::IssueType;
use fhirpath::{Element, NarrativeFault, narrative_fault};

use crate::finding::Finding;
use crate::rules::Invariant;
use crate::walk::Walk;

impl Walk<'_> {
    /// Checks a rule that is done here; false for every other.
    pub(crate) fn by_hand(&self, at: Element<'_>, invariant: &Invariant) -> bool {
        match invariant.key {
            "dom-3" => self.unused(at, invariant),
            // `lost_reference` says it of the reference itself.
            "ref-1" => {}
            "txt-1" | "txt-2" => self.narrative(at, invariant),
            _ => return false,
        }
        true
    }

    /// dom-3: every contained resource is referred to from elsewhere in the resource, or refers to what contains it.
    fn unused(&self, at: Element<'_>, invariant: &Invariant) {
        let mut named = HashSet::new();
        let mut open = Vec::new();
        at.named_children(|name, child| {
            if name != "contained" {
                fragments(name, child, &mut named);
                return;
            }
            let mut own = HashSet::new();
            fragments(name, child, &mut own);
            let id = child.value().and_then(|node| node.get("id")?.as_str());
            if let Some(id) = id.filter(|_| !own.contains("#")) {
                open.push((child, format!("#{id}")));
            }
            named.extend(own);
        });
        for (contained, fragment) in open {
            if !named.contains(&*fragment) {
                self.broken(contained, invariant, "");
            }
        }
    }

    fn narrative(&self, at: Element<'_>, invariant: &Invariant) {
        let Some(fault) = at.text().and_then(|text| narrative_fault(&text)) else { return };
        if (fault == NarrativeFault::Empty) == (invariant.key == "txt-2") {
            self.broken(at, invariant, &format!(" ({fault})"));
        }
    }

    /// Reports a rule of the standard that is not met.
    pub(crate) fn broken(&self, at: Element<'_>, invariant: &Invariant, more: &str) {
        let Invariant { key, human, severity, .. } = invariant;
        let text = format!("rule {key} of the standard is not met: {human}{more}");
        self.report(Finding::at(at.node(), *severity, IssueType::Invariant, text));
    }
}

/// Gathers what an element and those below it name with `#`. Recursion is bounded by the depth of the document.
fn fragments<'t>(name: &str, at: Element<'t>, found: &mut HashSet<Cow<'t, str>>) {
    let may_name =
        name == "reference" || matches!(at.of().name(), Some("uri" | "url" | "canonical"));
    if may_name && let Some(text) = at.text().filter(|text| text.starts_with('#')) {
        found.insert(text);
    }
    at.named_children(|name, child| fragments(name, child, found));
}
