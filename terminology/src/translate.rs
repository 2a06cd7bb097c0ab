//! `ConceptMap/$translate`.
//!
//! Spec: FHIR R4 conceptmap-operation-translate.html, conceptmap.html#unmapped. A mapping with `dependsOn` counts when
//! the request's `dependency` has each of its values. In reverse an equivalence is turned round: wider becomes
//! narrower, subsumes specializes. A code that is mapped explicitly, also as `unmatched`, is never "unmapped".

use serde_json::{Value, json};

use crate::canonical::Canonical;
use crate::coding::{Coding, codings_of};
use crate::concept_map::{ConceptMap, Element, Group, OtherElement, Target, Unmapped};
use crate::parameters::Parameters;
use crate::refusal::Refusal;
use crate::shelf::Shelf;

/// What was asked of a translation.
#[derive(Clone, Debug, Default)]
pub struct TranslateOptions {
    /// The value set that the code was chosen from.
    pub source: Option<String>,
    /// The value set that a translation is sought in.
    pub target: Option<String>,
    /// The code system that a translation is sought in.
    pub target_system: Option<String>,
    /// Values of other elements: element, and the CodeableConcept's JSON.
    pub dependencies: Vec<(String, Value)>,
    /// From target to source.
    pub reverse: bool,
}

/// The answer.
#[derive(Debug, Default)]
pub struct Translation {
    matches: Vec<Match>,
}

#[derive(Clone, Debug, PartialEq)]
struct Match {
    equivalence: Box<str>,
    concept: Option<Coding>,
    comment: Option<Box<str>>,
    products: Vec<OtherElement>,
    source: String,
}

impl Translation {
    /// True if a match says more than that there is none.
    #[must_use]
    pub fn result(&self) -> bool {
        self.matches.iter().any(|one| !matches!(&*one.equivalence, "unmatched" | "disjoint"))
    }

    /// Adds the matches of another map.
    pub fn merge(&mut self, other: Self) {
        for one in other.matches {
            self.add(one);
        }
    }

    fn add(&mut self, one: Match) {
        if !self.matches.contains(&one) {
            self.matches.push(one);
        }
    }

    /// As a Parameters resource.
    #[must_use]
    pub fn to_resource(&self) -> Value {
        let mut out = Parameters::default();
        out.put("result", "valueBoolean", self.result());
        let comments = self.matches.iter().filter_map(|one| one.comment.as_deref());
        let message = if self.matches.is_empty() {
            Some("no mapping was found for the code".to_owned())
        } else {
            Some(comments.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
        };
        if let Some(message) = message {
            out.put("message", "valueString", message);
        }
        for one in &self.matches {
            out.push(one.to_parameter());
        }
        out.to_resource()
    }
}

impl Match {
    fn to_parameter(&self) -> Value {
        let mut parts = vec![json!({"name": "equivalence", "valueCode": self.equivalence})];
        if let Some(concept) = &self.concept {
            parts.push(json!({"name": "concept", "valueCoding": concept.to_json()}));
        }
        for product in &self.products {
            let mut concept = json!({});
            if let Some(system) = &product.system {
                concept["system"] = system.as_ref().into();
            }
            concept["code"] = product.value.as_ref().into();
            if let Some(display) = &product.display {
                concept["display"] = display.as_ref().into();
            }
            let inner = json!([
                {"name": "element", "valueUri": product.property},
                {"name": "concept", "valueCoding": concept},
            ]);
            parts.push(json!({"name": "product", "part": inner}));
        }
        if !self.source.is_empty() {
            parts.push(json!({"name": "source", "valueUri": self.source}));
        }
        json!({"name": "match", "part": parts})
    }
}

/// Translates codings by one map.
///
/// # Errors
/// [`Refusal::Invalid`] without any coding; [`Refusal`] of another map that it refers to.
pub fn translate(
    map: &ConceptMap,
    codings: &[Coding],
    options: &TranslateOptions,
    shelf: &Shelf,
) -> Result<Translation, Refusal> {
    if codings.is_empty() {
        return Err(Refusal::Invalid("there is no code to translate".to_owned()));
    }
    let mut out = Translation::default();
    if !is_in_scope(map, options) {
        return Ok(out);
    }
    for coding in codings {
        if options.reverse {
            reversed(map, coding, options, &mut out);
        } else {
            forward(map, coding, options, shelf, 0, &mut out)?;
        }
    }
    Ok(out)
}

/// A map for other value sets than those asked for does not apply.
fn is_in_scope(map: &ConceptMap, options: &TranslateOptions) -> bool {
    let fits = |own: &Option<Canonical>, asked: &Option<String>| match (own, asked) {
        (Some(own), Some(asked)) => own.url == Canonical::parse(asked).url,
        _ => true,
    };
    let (source, target) = if options.reverse {
        (&options.target, &options.source)
    } else {
        (&options.source, &options.target)
    };
    fits(&map.source, source) && fits(&map.target, target)
}

fn forward(
    map: &ConceptMap,
    coding: &Coding,
    options: &TranslateOptions,
    shelf: &Shelf,
    depth: usize,
    out: &mut Translation,
) -> Result<(), Refusal> {
    for group in &map.groups {
        let is_target = options.target_system.as_ref().is_none_or(|asked| {
            group.target.as_ref().is_some_and(|own| own.url == Canonical::parse(asked).url)
        });
        if !is_target || !is_of(coding, group.source.as_ref()) {
            continue;
        }
        let mapped: Vec<&Element> =
            group.elements.iter().filter(|element| element.code == coding.code).collect();
        if mapped.is_empty() {
            unmapped(map, group, coding, options, shelf, depth, out)?;
        }
        for element in mapped {
            // No target says that there is none (conceptmap.html: "unmatched").
            if element.targets.is_empty() {
                out.add(plain("unmatched", None, map));
            }
            let holds = |target: &&Target| depends(&target.depends_on, &options.dependencies);
            for target in element.targets.iter().filter(holds) {
                out.add(Match {
                    equivalence: target.equivalence.clone(),
                    concept: in_system(
                        group.target.as_ref(),
                        target.code.as_deref(),
                        target.display.as_deref(),
                    ),
                    comment: target.comment.clone(),
                    products: target.products.clone(),
                    source: source_of(map),
                });
            }
        }
    }
    Ok(())
}

fn unmapped(
    map: &ConceptMap,
    group: &Group,
    coding: &Coding,
    options: &TranslateOptions,
    shelf: &Shelf,
    depth: usize,
    out: &mut Translation,
) -> Result<(), Refusal> {
    let target = group.target.as_ref();
    match &group.unmapped {
        None => {}
        Some(Unmapped::Provided) => {
            let same = in_system(target, Some(&coding.code), coding.display.as_deref());
            out.add(plain("equal", same, map));
        }
        Some(Unmapped::Fixed { code, display }) => {
            out.add(plain("relatedto", in_system(target, Some(code), display.as_deref()), map));
        }
        Some(Unmapped::Other(_)) if depth >= OTHER_MAPS_MAX => {
            return Err(Refusal::TooCostly(
                "concept maps refer to each other too often".to_owned(),
            ));
        }
        Some(Unmapped::Other(other)) => {
            let other = shelf.concept_map(other)?;
            forward(&other, coding, options, shelf, depth + 1, out)?;
        }
    }
    Ok(())
}

fn reversed(map: &ConceptMap, coding: &Coding, options: &TranslateOptions, out: &mut Translation) {
    for group in &map.groups {
        let is_target = options.target_system.as_ref().is_none_or(|asked| {
            group.source.as_ref().is_some_and(|own| own.url == Canonical::parse(asked).url)
        });
        if !is_target || !is_of(coding, group.target.as_ref()) {
            continue;
        }
        for element in &group.elements {
            let named = element.targets.iter().filter(|t| t.code.as_deref() == Some(&*coding.code));
            for target in named.filter(|t| depends(&t.depends_on, &options.dependencies)) {
                out.add(Match {
                    equivalence: turned(&target.equivalence).into(),
                    concept: in_system(
                        group.source.as_ref(),
                        Some(&element.code),
                        element.display.as_deref(),
                    ),
                    comment: target.comment.clone(),
                    products: Vec::new(),
                    source: source_of(map),
                });
            }
        }
    }
}

/// The same statement read from the other side.
fn turned(equivalence: &str) -> &str {
    match equivalence {
        "wider" => "narrower",
        "narrower" => "wider",
        "subsumes" => "specializes",
        "specializes" => "subsumes",
        same => same,
    }
}

/// A group without a system is about any; versions count where both sides name one.
fn is_of(coding: &Coding, system: Option<&Canonical>) -> bool {
    let (Some(own), Some(asked)) = (system, &coding.system) else { return true };
    let versions = (&own.version, &coding.version);
    own.url == *asked && (versions.0.is_none() || versions.1.is_none() || versions.0 == versions.1)
}

fn depends(needed: &[OtherElement], given: &[(String, Value)]) -> bool {
    needed.iter().all(|needed| {
        given.iter().filter(|(element, _)| **element == *needed.property).any(|(_, concept)| {
            let has = |coding: &Coding| {
                coding.code == needed.value
                    && (needed.system.is_none()
                        || coding.system.is_none()
                        || coding.system == needed.system)
            };
            codings_of(concept).iter().any(has) || concept["text"] == *needed.value
        })
    })
}

fn in_system(
    system: Option<&Canonical>,
    code: Option<&str>,
    display: Option<&str>,
) -> Option<Coding> {
    Some(Coding {
        system: system.map(|system| system.url.clone()),
        version: system.and_then(|system| system.version.clone()),
        code: code?.into(),
        display: display.map(Into::into),
    })
}

fn plain(equivalence: &str, concept: Option<Coding>, map: &ConceptMap) -> Match {
    Match {
        equivalence: equivalence.into(),
        concept,
        comment: None,
        products: Vec::new(),
        source: source_of(map),
    }
}

fn source_of(map: &ConceptMap) -> String {
    if map.url.is_empty() { String::new() } else { map.canonical().to_string() }
}

/// Maps that one translation is passed on through.
const OTHER_MAPS_MAX: usize = 8;
