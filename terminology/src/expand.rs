//! `$expand`: all codes of a value set, filtered and paged.
//!
//! Spec: FHIR R4 valueset-operation-expand.html, valueset.html#compositions. Order is that of the composition, within a
//! code system that of its resource. What cannot be known exactly is refused, never guessed.

mod options;

use std::collections::HashSet;
use std::sync::Arc;

pub use options::ExpandOptions;
use options::parameters;

use crate::canonical::Canonical;
use crate::code_system::{CodeSystem, Content};
use crate::designation::{Designation, in_language};
use crate::expansion::{Entry, Expansion};
use crate::filter::Test;
use crate::member::enter;
use crate::refusal::Refusal;
use crate::shelf::{Definition, Shelf};
use crate::value_set::{Enumerated, Given, Include, ValueSet};

/// Codes of one answer that is not paged.
pub const EXPANSION_CODES_MAX: usize = 20_000;

/// Expands.
///
/// # Errors
/// [`Refusal`]; [`Refusal::TooCostly`] when there are more than [`EXPANSION_CODES_MAX`] codes and no `count`.
pub fn expand(
    value_set: &ValueSet,
    options: &ExpandOptions,
    shelf: &Shelf,
) -> Result<Expansion, Refusal> {
    let mut walk = Walk { options, shelf, open: Vec::new(), visits: 0, work: 0, used: Vec::new() };
    if !value_set.url.is_empty() {
        walk.open.push(Canonical::new(&value_set.url, None));
    }
    let mut entries = walk.value_set(value_set)?;
    let words: Vec<String> = options
        .filter
        .iter()
        .flat_map(|text| text.split_whitespace())
        .map(|word| fhir::fold(word).into_owned())
        .collect();
    entries.retain(|entry| {
        let is_left_out = (options.active_only && entry.is_inactive)
            || (options.exclude_not_for_ui && entry.is_abstract);
        !is_left_out && words.iter().all(|word| speaks_of(entry, word))
    });
    let total = entries.len();
    let is_paged = options.offset.is_some() || options.count.is_some();
    if total > EXPANSION_CODES_MAX && options.count.is_none() {
        let text = format!(
            "the expansion has {total} codes, more than {EXPANSION_CODES_MAX}: use count and offset, or a filter"
        );
        return Err(Refusal::TooCostly(text));
    }
    let offset = options.offset.unwrap_or(0);
    let count = options.count.unwrap_or(EXPANSION_CODES_MAX).min(EXPANSION_CODES_MAX);
    let mut page: Vec<Entry> = entries.into_iter().skip(offset).take(count).collect();
    for entry in &mut page {
        choose_designations(entry, options);
    }
    Ok(Expansion {
        entries: page,
        total,
        offset: is_paged.then_some(offset),
        parameters: parameters(options, walk.used),
        nested: options.nested && !is_paged && words.is_empty(),
    })
}

struct Walk<'q> {
    options: &'q ExpandOptions,
    shelf: &'q Shelf,
    open: Vec<Canonical>,
    visits: usize,
    work: usize,
    used: Vec<(&'static str, Canonical)>,
}

type Key = (Option<Arc<str>>, Box<str>);

impl Walk<'_> {
    fn value_set(&mut self, value_set: &ValueSet) -> Result<Vec<Entry>, Refusal> {
        if let Some(given) = &value_set.given {
            return self.of_given(given);
        }
        let mut excluded: HashSet<Key> = HashSet::new();
        for exclude in &value_set.excludes {
            excluded.extend(self.include(exclude)?.into_iter().map(key));
        }
        let mut seen = excluded;
        let mut entries = Vec::new();
        for include in &value_set.includes {
            let found = self.include(include)?;
            entries.extend(found.into_iter().filter(|entry| seen.insert(key(entry.clone()))));
        }
        if value_set.inactive == Some(false) {
            entries.retain(|entry| !entry.is_inactive);
        }
        if !value_set.excludes.is_empty() && entries.iter().any(|entry| entry.code.is_empty()) {
            let text = "codes are excluded from a code system that is not known here".to_owned();
            return Err(Refusal::Unsupported(text));
        }
        Ok(entries)
    }

    fn include(&mut self, include: &Include) -> Result<Vec<Entry>, Refusal> {
        let mut entries = match &include.system {
            Some(system) if self.is_excluded(system) => return Ok(Vec::new()),
            Some(system) => Some(self.of_system(include, system)?),
            None => None,
        };
        for import in &include.value_sets {
            let members = self.import(import)?;
            entries = Some(match entries {
                None => members,
                Some(mut entries) => {
                    let members: HashSet<Key> = members.into_iter().map(key).collect();
                    entries.retain(|entry| members.contains(&key(entry.clone())));
                    entries
                }
            });
        }
        Ok(entries.unwrap_or_default())
    }

    fn import(&mut self, import: &Canonical) -> Result<Vec<Entry>, Refusal> {
        self.visits += 1;
        if self.open.iter().any(|open| open.url == import.url && open.version.is_none()) {
            return Err(Refusal::Invalid(format!("the value set {import} imports itself")));
        }
        enter(&mut self.open, import, self.visits)?;
        let value_set = self.shelf.value_set(import)?;
        self.note("used-valueset", value_set.canonical());
        let entries = self.value_set(&value_set);
        self.open.pop();
        entries
    }

    fn of_system(&mut self, include: &Include, own: &Canonical) -> Result<Vec<Entry>, Refusal> {
        let wanted = self.versioned(own)?;
        let system = self.shelf.code_system(&wanted)?;
        let system = system.filter(|system| system.content != Content::NotPresent);
        self.note("used-codesystem", system.as_ref().map_or(wanted.clone(), |it| it.canonical()));
        if !include.concepts.is_empty() {
            self.spend(include.concepts.len())?;
            return self.of_enumeration(include, &wanted, system.as_ref());
        }
        let Some(system) = system else {
            if self.options.whole_systems && include.filters.is_empty() {
                return Ok(vec![bare(&wanted, "")]);
            }
            let definition = Definition::CodeSystem;
            return Err(Refusal::Unknown { definition, canonical: wanted });
        };
        self.spend(system.concepts.len())?;
        let tests = tests(include, &system)?;
        let shared = Shared::of(&system);
        let places = 0..u32::try_from(system.concepts.len()).unwrap_or(u32::MAX);
        let admitted = places.filter(|at| tests.iter().all(|test| test.admits(&system, *at)));
        Ok(admitted.map(|at| self.entry(&system, at, &shared)).collect())
    }

    fn of_enumeration(
        &self,
        include: &Include,
        wanted: &Canonical,
        system: Option<&Arc<CodeSystem>>,
    ) -> Result<Vec<Entry>, Refusal> {
        let tests = match system {
            Some(system) => tests(include, system)?,
            None if include.filters.is_empty() => Vec::new(),
            None => {
                return Err(Refusal::Unknown {
                    definition: Definition::CodeSystem,
                    canonical: wanted.clone(),
                });
            }
        };
        let shared = system.map(Shared::of);
        let mut entries = Vec::with_capacity(include.concepts.len());
        for one in &include.concepts {
            let known = system.and_then(|system| Some((system, system.place(&one.code)?)));
            let entry = match (known, &shared) {
                (Some((system, place)), Some(shared)) => {
                    if !tests.iter().all(|test| test.admits(system, place)) {
                        continue;
                    }
                    self.listed(self.entry(system, place, shared), one)
                }
                // A code that a complete code system does not have is no member of it.
                _ if system.is_some_and(|system| !system.is_partial()) => continue,
                _ => self.listed(bare(wanted, &one.code), one),
            };
            entries.push(entry);
        }
        Ok(entries)
    }

    fn of_given(&mut self, given: &[Given]) -> Result<Vec<Entry>, Refusal> {
        self.spend(given.len())?;
        let shared = |text: &Option<Box<str>>| text.as_deref().map(Arc::from);
        let one = |one: &Given| Entry {
            system: shared(&one.system),
            version: shared(&one.version),
            code: one.code.clone(),
            display: one.display.clone(),
            designations: one.designations.clone(),
            is_abstract: one.is_abstract,
            is_inactive: one.is_inactive,
            origin: None,
        };
        Ok(given.iter().map(one).collect())
    }

    fn entry(&self, system: &Arc<CodeSystem>, place: u32, shared: &Shared) -> Entry {
        let concept = &system.concepts[place as usize];
        let language = self.options.display_language.as_deref();
        Entry {
            system: Some(Arc::clone(&shared.url)),
            version: shared.version.clone(),
            code: concept.code.clone(),
            display: system.display(concept, language).map(Into::into),
            designations: concept.designations.clone(),
            is_abstract: concept.is_abstract,
            is_inactive: concept.is_inactive,
            origin: Some((Arc::clone(system), place)),
        }
    }

    fn listed(&self, mut entry: Entry, one: &Enumerated) -> Entry {
        let language = self.options.display_language.as_deref();
        let translated = language.and_then(|language| in_language(&one.designations, language));
        if let Some(display) = translated.or(one.display.as_deref()) {
            entry.display = Some(display.into());
        }
        entry.designations.extend(one.designations.iter().cloned());
        entry
    }

    /// The version to use of a system, as the request and the composition say.
    fn versioned(&self, own: &Canonical) -> Result<Canonical, Refusal> {
        let of = |list: &[Canonical]| {
            let found = list.iter().find(|one| one.url == own.url);
            found.and_then(|one| one.version.clone())
        };
        if let Some(version) = of(&self.options.force_system_versions) {
            return Ok(Canonical { url: own.url.clone(), version: Some(version) });
        }
        let checked = of(&self.options.check_system_versions);
        if let (Some(version), Some(checked)) = (&own.version, &checked)
            && version != checked
        {
            let text =
                format!("the value set uses {own}, which check-system-version does not allow");
            return Err(Refusal::Invalid(text));
        }
        let default = checked.or_else(|| of(&self.options.system_versions));
        Ok(own.clone().or_version(default.as_deref()))
    }

    fn is_excluded(&self, system: &Canonical) -> bool {
        self.options.exclude_systems.iter().any(|excluded| {
            excluded.url == system.url
                && (excluded.version.is_none() || excluded.version == system.version)
        })
    }

    fn spend(&mut self, concepts: usize) -> Result<(), Refusal> {
        self.work += concepts;
        if self.work > WORK_CONCEPTS_MAX {
            return Err(Refusal::TooCostly("the value set draws from too many codes".to_owned()));
        }
        Ok(())
    }

    fn note(&mut self, name: &'static str, canonical: Canonical) {
        if !self.used.iter().any(|(own, used)| *own == name && *used == canonical) {
            self.used.push((name, canonical));
        }
    }
}

/// Names that all entries of a code system share.
struct Shared {
    url: Arc<str>,
    version: Option<Arc<str>>,
}

impl Shared {
    fn of(system: &Arc<CodeSystem>) -> Self {
        Self { url: Arc::from(&*system.url), version: system.version.as_deref().map(Arc::from) }
    }
}

fn tests(include: &Include, system: &CodeSystem) -> Result<Vec<Test>, Refusal> {
    include.filters.iter().map(|filter| Test::of(filter, system)).collect()
}

fn bare(system: &Canonical, code: &str) -> Entry {
    Entry {
        system: Some(Arc::from(&*system.url)),
        version: system.version.as_deref().map(Arc::from),
        code: code.into(),
        display: None,
        designations: Vec::new(),
        is_abstract: false,
        is_inactive: false,
        origin: None,
    }
}

fn key(entry: Entry) -> Key {
    (entry.system, entry.code)
}

fn speaks_of(entry: &Entry, word: &str) -> bool {
    let has = |text: &str| fhir::fold(text).contains(word);
    has(&entry.code)
        || entry.display.as_deref().is_some_and(has)
        || entry.designations.iter().any(|one| has(&one.value))
}

fn choose_designations(entry: &mut Entry, options: &ExpandOptions) {
    if !options.designations.is_empty() {
        let asked = |one: &Designation| options.designations.iter().any(|token| one.answers(token));
        entry.designations.retain(asked);
    } else if !options.include_designations {
        entry.designations.clear();
    }
}

/// Concepts that one question looks at, imports included.
const WORK_CONCEPTS_MAX: usize = 2_000_000;
