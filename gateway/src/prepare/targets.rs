//! What references of a submission will name: the resources of its own entries and the matches of criteria.
//!
//! Spec: FHIR R4 http.html, "Replacement of links" and "Conditional references".
//! Not here: which strings are references (`plan`), how bytes are replaced (`fhir::Template`).

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use fhir::{ResourceKey, VersionId, below_base, reference_location, write_json_string};

use crate::decide::Decided;
use crate::error::Answered;
use crate::plan::{Link, LinkPart, LinkTarget, Plan};
use crate::submission::Submission;

/// For each operation, the resource that references to its entry will name; then the conditional ones.
pub(super) struct Targets {
    steps: Vec<Option<(ResourceKey, VersionId)>>,
    asks: HashMap<usize, ResourceKey>,
    /// Operations whose version is named by another: they make the version that was foreseen.
    pub(super) versioned: HashSet<usize>,
}

impl Targets {
    pub(super) fn of(
        submission: &Submission,
        plan: &Plan,
        decided: &mut Decided<'_>,
    ) -> Answered<Self> {
        let steps = (0..plan.steps.len()).map(|at| decided.target(at)).collect();
        let mut targets = Self { steps, asks: HashMap::new(), versioned: HashSet::new() };
        for (at, step) in plan.steps.iter().enumerate() {
            let parts =
                step.links.iter().flat_map(|link| link.parts.iter().map(move |p| (link, p)));
            for (link, part) in parts {
                match part.target {
                    LinkTarget::Step(step) if part.versioned => {
                        targets.versioned.insert(step);
                    }
                    LinkTarget::Ask(ask) if !targets.asks.contains_key(&ask) => {
                        let key = decided.referred(ask);
                        let key = key.map_err(|fault| {
                            let node = submission.resources()[at];
                            let place = node.and_then(|one| reference_location(one, &link.span));
                            let fault =
                                place.into_iter().fold(fault, |fault, at| fault.placed(&at));
                            submission.placed(at, fault)
                        })?;
                        targets.asks.insert(ask, key);
                    }
                    _ => {}
                }
            }
        }
        Ok(targets)
    }

    /// The JSON string that takes a link's place; `None` when it stays as it is.
    pub(super) fn replacement(&self, link: &Link, bases: &str) -> Option<(Range<usize>, String)> {
        let (mut text, mut from) = (String::with_capacity(link.text.len()), 0);
        for part in &link.parts {
            let Some(named) = self.named(part) else { continue };
            let former = &link.text[part.range.clone()];
            if !link.is_reference && below_base(former, bases) == Some(&named) {
                continue;
            }
            text.push_str(&link.text[from..part.range.start]);
            text.push_str(&named);
            from = part.range.end;
        }
        if from == 0 {
            return None;
        }
        text.push_str(&link.text[from..]);
        let mut json = Vec::with_capacity(text.len() + 2);
        write_json_string(&text, &mut json);
        Some((link.span.clone(), String::from_utf8(json).expect("JSON of a text is text")))
    }

    /// The reference that takes the place of one part.
    fn named(&self, part: &LinkPart) -> Option<String> {
        match part.target {
            LinkTarget::Step(step) => {
                let (key, version) = self.steps[step].as_ref()?;
                Some(match part.versioned {
                    true => format!("{key}/_history/{version}"),
                    false => key.to_string(),
                })
            }
            LinkTarget::Ask(ask) => self.asks.get(&ask).map(ToString::to_string),
        }
    }
}
