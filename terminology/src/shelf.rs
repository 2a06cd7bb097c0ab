//! The definitions that a question may use: those put here by the caller, and R4's own.
//!
//! A definition is found by `url` and version. Without a version the active one with the highest version is taken;
//! what the caller put here comes before what R4 defines.

use std::collections::HashMap;
use std::sync::Arc;

use crate::builtin;
use crate::canonical::{Canonical, compare_versions};
use crate::code_system::{CodeSystem, Content};
use crate::concept_map::ConceptMap;
use crate::refusal::{Refusal, Wanted};
use crate::value_set::ValueSet;

/// Kinds of definitions.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Definition {
    /// CodeSystem.
    CodeSystem,
    /// ValueSet.
    ValueSet,
    /// ConceptMap.
    ConceptMap,
}

impl Definition {
    /// Name of the resource type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CodeSystem => "CodeSystem",
            Self::ValueSet => "ValueSet",
            Self::ConceptMap => "ConceptMap",
        }
    }
}

/// Definitions by url. Cheap to clone: definitions are shared.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    code_systems: HashMap<Box<str>, Vec<Arc<CodeSystem>>>,
    value_sets: HashMap<Box<str>, Vec<Arc<ValueSet>>>,
    concept_maps: HashMap<Box<str>, Vec<Arc<ConceptMap>>>,
}

impl Shelf {
    /// All there is of a code system; nothing is an answer too.
    pub fn put_code_systems(&mut self, url: &str, found: Vec<Arc<CodeSystem>>) {
        self.code_systems.insert(url.into(), found);
    }

    /// All there is of a value set.
    pub fn put_value_sets(&mut self, url: &str, found: Vec<Arc<ValueSet>>) {
        self.value_sets.insert(url.into(), found);
    }

    /// All there is of a concept map.
    pub fn put_concept_maps(&mut self, url: &str, found: Vec<Arc<ConceptMap>>) {
        self.concept_maps.insert(url.into(), found);
    }

    /// The code system of this name, supplements left out; `None` where there is none.
    ///
    /// # Errors
    /// [`Refusal::Load`]; [`Refusal::Unsupported`] for a supplement asked for by its own name.
    pub fn code_system(&self, wanted: &Canonical) -> Result<Option<Arc<CodeSystem>>, Refusal> {
        let stored = self.code_systems.get(&wanted.url);
        let stored = stored.ok_or_else(|| load(Definition::CodeSystem, wanted))?;
        let own = builtin::code_system(&wanted.url);
        let found = choose(stored.iter(), wanted).or_else(|| choose(own.into_iter(), wanted));
        if let Some(found) = found.as_ref().filter(|found| found.content == Content::Supplement) {
            let of = found.supplements.as_ref().map_or_else(String::new, |of| format!(" of {of}"));
            let text = format!("{wanted} is a supplement{of}; supplements are not applied");
            return Err(Refusal::Unsupported(text));
        }
        Ok(found)
    }

    /// The same, where it must exist with its concepts.
    ///
    /// # Errors
    /// As [`Shelf::code_system`]; [`Refusal::Unknown`].
    pub fn needed_code_system(&self, wanted: &Canonical) -> Result<Arc<CodeSystem>, Refusal> {
        let found = self.code_system(wanted)?.filter(|found| found.content != Content::NotPresent);
        found.ok_or_else(|| unknown(Definition::CodeSystem, wanted))
    }

    /// The value set of this name; a code system's `valueSet` of all its codes is one only where it is stored.
    ///
    /// # Errors
    /// [`Refusal::Load`]; [`Refusal::Unknown`].
    pub fn value_set(&self, wanted: &Canonical) -> Result<Arc<ValueSet>, Refusal> {
        let stored = self.value_sets.get(&wanted.url);
        let stored = stored.ok_or_else(|| load(Definition::ValueSet, wanted))?;
        let own = builtin::value_set(&wanted.url);
        choose(stored.iter(), wanted)
            .or_else(|| choose(own.into_iter(), wanted))
            .ok_or_else(|| unknown(Definition::ValueSet, wanted))
    }

    /// The concept map of this name.
    ///
    /// # Errors
    /// [`Refusal::Load`]; [`Refusal::Unknown`].
    pub fn concept_map(&self, wanted: &Canonical) -> Result<Arc<ConceptMap>, Refusal> {
        let stored = self.concept_maps.get(&wanted.url);
        let stored = stored.ok_or_else(|| load(Definition::ConceptMap, wanted))?;
        choose(stored.iter(), wanted).ok_or_else(|| unknown(Definition::ConceptMap, wanted))
    }
}

fn load(definition: Definition, wanted: &Canonical) -> Refusal {
    Refusal::Load(Wanted { definition, url: wanted.url.clone() })
}

fn unknown(definition: Definition, canonical: &Canonical) -> Refusal {
    Refusal::Unknown { definition, canonical: canonical.clone() }
}

/// One edition of a definition.
trait Edition {
    fn version(&self) -> Option<&str>;
    fn status(&self) -> &str;
}

macro_rules! editions {
    ($($name:ident),*) => {$(
        impl Edition for $name {
            fn version(&self) -> Option<&str> {
                self.version.as_deref()
            }

            fn status(&self) -> &str {
                &self.status
            }
        }
    )*};
}

editions!(CodeSystem, ValueSet, ConceptMap);

/// The edition asked for, else the active one with the highest version; the first of equals.
fn choose<'a, T: Edition + 'a>(
    found: impl Iterator<Item = &'a Arc<T>>,
    wanted: &Canonical,
) -> Option<Arc<T>> {
    if let Some(version) = &wanted.version {
        let mut found = found;
        return found.find(|one| one.version() == Some(version)).cloned();
    }
    let is_active = |one: &Arc<T>| one.status() == "active";
    let best = found.reduce(|best, one| {
        let by_status = is_active(one).cmp(&is_active(best));
        let order = by_status.then_with(|| compare_versions(one.version(), best.version()));
        if order.is_gt() { one } else { best }
    });
    best.cloned()
}
