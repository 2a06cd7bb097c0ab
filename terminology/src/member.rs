//! Whether a code is in a value set, without expanding it.
//!
//! Spec: FHIR R4 valueset.html#compositions. Within one include all criteria must hold: also several `valueSet`s are an
//! intersection (`include`: "the codes must be in all the value sets").

use std::sync::Arc;

use crate::canonical::Canonical;
use crate::code_system::CodeSystem;
use crate::coding::Coding;
use crate::designation::{Designation, in_language};
use crate::filter::Test;
use crate::refusal::Refusal;
use crate::shelf::Shelf;
use crate::value_set::{Include, ValueSet};

/// The member that a code turned out to be.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its code system.
    pub system: Option<Box<str>>,
    /// Version of the code system, where known.
    pub version: Option<Box<str>>,
    /// The code as the code system writes it.
    pub code: Box<str>,
    /// The text for it.
    pub display: Option<Box<str>>,
    /// Every accepted text.
    pub(crate) texts: Vec<Box<str>>,
    /// Not meant to be chosen.
    pub is_abstract: bool,
    /// Not to be used any more.
    pub is_inactive: bool,
}

/// The member of `value_set` that `coding` is; `None` when it is none. A coding without a system is looked for in all
/// systems of the composition.
///
/// # Errors
/// [`Refusal`], also when a code system that decides it is unknown.
pub fn contains(
    value_set: &ValueSet,
    coding: &Coding,
    language: Option<&str>,
    shelf: &Shelf,
) -> Result<Option<Found>, Refusal> {
    let mut walk = Walk { coding, language, shelf, open: Vec::new(), visits: 0 };
    walk.value_set(value_set)
}

struct Walk<'q> {
    coding: &'q Coding,
    language: Option<&'q str>,
    shelf: &'q Shelf,
    open: Vec<Canonical>,
    visits: usize,
}

impl Walk<'_> {
    fn value_set(&mut self, value_set: &ValueSet) -> Result<Option<Found>, Refusal> {
        if let Some(given) = &value_set.given {
            return Ok(self.given(given));
        }
        let mut found = None;
        let mut unknown = None;
        for include in &value_set.includes {
            match self.include(include) {
                Ok(None) => {}
                Ok(some) => {
                    found = some;
                    break;
                }
                // Another include may still have it; only a plain "no" needs all of them.
                Err(refusal @ Refusal::Unknown { .. }) => unknown = unknown.or(Some(refusal)),
                Err(refusal) => return Err(refusal),
            }
        }
        let Some(found) = found else { return unknown.map_or(Ok(None), Err) };
        if value_set.inactive == Some(false) && found.is_inactive {
            return Ok(None);
        }
        for exclude in &value_set.excludes {
            if self.include(exclude)?.is_some() {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    fn given(&self, given: &[crate::value_set::Given]) -> Option<Found> {
        let coding = self.coding;
        let same =
            |own: &Option<Box<str>>, asked: &Option<Box<str>>| asked.is_none() || own == asked;
        let one = given.iter().find(|one| {
            one.code == coding.code
                && same(&one.system, &coding.system)
                && (one.version.is_none() || same(&one.version, &coding.version))
        })?;
        Some(Found {
            system: one.system.clone(),
            version: one.version.clone(),
            code: one.code.clone(),
            display: one.display.clone(),
            texts: texts(one.display.as_deref(), &one.designations),
            is_abstract: one.is_abstract,
            is_inactive: one.is_inactive,
        })
    }

    fn include(&mut self, include: &Include) -> Result<Option<Found>, Refusal> {
        let mut found = None;
        if let Some(system) = &include.system {
            if self.coding.system.as_ref().is_some_and(|asked| *asked != system.url) {
                return Ok(None);
            }
            let versions = (&self.coding.version, &system.version);
            if let (Some(asked), Some(own)) = versions
                && asked != own
            {
                return Ok(None);
            }
            found = self.in_system(include, system)?;
            if found.is_none() {
                return Ok(None);
            }
        }
        for import in &include.value_sets {
            let Some(member) = self.import(import)? else { return Ok(None) };
            found = found.or(Some(member));
        }
        Ok(found)
    }

    fn import(&mut self, import: &Canonical) -> Result<Option<Found>, Refusal> {
        self.visits += 1;
        enter(&mut self.open, import, self.visits)?;
        let value_set = self.shelf.value_set(import)?;
        let found = self.value_set(&value_set);
        self.open.pop();
        found
    }

    fn in_system(&self, include: &Include, own: &Canonical) -> Result<Option<Found>, Refusal> {
        let wanted = own.clone().or_version(self.coding.version.as_deref());
        let system = match self.shelf.code_system(&wanted)? {
            Some(system) if system.content != crate::code_system::Content::NotPresent => system,
            // What is enumerated is in the value set whether or not the code system is here.
            _ if !include.concepts.is_empty() => return Ok(self.enumerated(include, &wanted)),
            _ => return self.shelf.needed_code_system(&wanted).map(|_| None),
        };
        let Some(place) = system.place(&self.coding.code) else {
            // A code that is not in a partial code system may exist all the same.
            let listed = system.is_partial() && !include.concepts.is_empty();
            return Ok(if listed { self.enumerated(include, &wanted) } else { None });
        };
        let concept = &system.concepts[place as usize];
        let listed = include.concepts.iter().find(|one| system.place(&one.code) == Some(place));
        if !include.concepts.is_empty() && listed.is_none() {
            return Ok(None);
        }
        for filter in &include.filters {
            if !Test::of(filter, &system)?.admits(&system, place) {
                return Ok(None);
            }
        }
        let mut found = self.known(&system, concept);
        if let Some(listed) = listed {
            let own =
                self.language.and_then(|language| in_language(&listed.designations, language));
            if let Some(display) = own.or(listed.display.as_deref()) {
                found.display = Some(display.into());
            }
            found.texts.extend(texts(listed.display.as_deref(), &listed.designations));
        }
        Ok(Some(found))
    }

    fn known(&self, system: &Arc<CodeSystem>, concept: &crate::code_system::Concept) -> Found {
        Found {
            system: Some(system.url.clone()),
            version: system.version.clone(),
            code: concept.code.clone(),
            display: system.display(concept, self.language).map(Into::into),
            texts: texts(concept.display.as_deref(), &concept.designations),
            is_abstract: concept.is_abstract,
            is_inactive: concept.is_inactive,
        }
    }

    fn enumerated(&self, include: &Include, system: &Canonical) -> Option<Found> {
        let one = include.concepts.iter().find(|one| one.code == self.coding.code)?;
        let own = self.language.and_then(|language| in_language(&one.designations, language));
        Some(Found {
            system: Some(system.url.clone()),
            version: system.version.clone(),
            code: one.code.clone(),
            display: own.or(one.display.as_deref()).map(Into::into),
            texts: texts(one.display.as_deref(), &one.designations),
            is_abstract: false,
            is_inactive: false,
        })
    }
}

pub(crate) fn texts(display: Option<&str>, designations: &[Designation]) -> Vec<Box<str>> {
    let others = designations.iter().map(|one| one.value.clone());
    display.map(Into::into).into_iter().chain(others).collect()
}

/// Steps into an imported value set, unless it is being evaluated already or there were too many.
pub(crate) fn enter(
    open: &mut Vec<Canonical>,
    import: &Canonical,
    visits: usize,
) -> Result<(), Refusal> {
    if open.contains(import) {
        return Err(Refusal::Invalid(format!("the value set {import} imports itself")));
    }
    if open.len() >= IMPORT_DEPTH_MAX || visits > IMPORTS_MAX {
        let text = "the value set imports too many others".to_owned();
        return Err(Refusal::TooCostly(text));
    }
    open.push(import.clone());
    Ok(())
}

/// Value sets imported by each other.
const IMPORT_DEPTH_MAX: usize = 32;
/// Imports that one question follows.
const IMPORTS_MAX: usize = 2_000;
