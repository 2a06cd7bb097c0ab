//! What is asked of terminology, answered from what is stored and from R4's own definitions.
//!
//! A question runs on a shelf of loaded definitions (crate `terminology`). What the shelf lacks is searched by `url`
//! under the caller's permit, put there, and the question runs again. The shelf is kept while no CodeSystem, ValueSet
//! or ConceptMap changes, which one cheap look at the registry tells for every gateway process on the database: what
//! was posted, changed or deleted counts from the next question on. Such definitions belong to no patient, so every
//! caller who is permitted to ask sees the same of them.
//! Not here: requests (`http::terminology`).

mod remote;

use std::sync::{Arc, Mutex};

use fhir::{IssueType, ResourceKey, ResourceType};
use policy::Permit;
use registry::search::{ParseOptions, parse_pairs};
use serde_json::Value;
use terminology::{CodeSystem, ConceptMap, Definition, Refusal, Shelf, ValueSet, Wanted};

use self::remote::Remote;
use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::error::{Answered, Fault, FaultKind};
use crate::work;

/// The shelf that questions share.
#[derive(Default)]
pub struct Terminology {
    kept: Mutex<Kept>,
    pub(crate) remote: Option<Remote>,
}

#[derive(Clone, Default)]
struct Kept {
    /// Newest change that the shelf knows of.
    change: u64,
    shelf: Arc<Shelf>,
    bytes: usize,
}

/// Asks, loading what the question turns out to need. The inner result is the answer to the question itself.
///
/// # Errors
/// 503 when the registry is away, 500 when a stored definition cannot be read.
pub(crate) async fn ask<T: Send + 'static>(
    app: &App,
    permit: &Permit,
    question: impl Fn(&Shelf) -> Result<T, Refusal> + Clone + Send + 'static,
) -> Answered<Result<T, Refusal>> {
    let change = app.store.newest_change(&types()).await?;
    let mut kept = app.terminology.at(change);
    for _ in 0..LOADS_MAX {
        let (shelf, job) = (Arc::clone(&kept.shelf), question.clone());
        match work::run(true, move || job(&shelf)).await? {
            Err(Refusal::Load(wanted)) => {
                put(app, permit, &wanted, &mut kept).await?;
                app.terminology.keep(&kept);
            }
            answer => return Ok(answer),
        }
    }
    Ok(Err(Refusal::TooCostly("the question needs too many definitions".to_owned())))
}

/// The refusal of a question as an answer to a request about a definition of kind `about`.
pub(crate) fn fault(refusal: &Refusal, about: Definition) -> Fault {
    let (kind, code) = match refusal {
        Refusal::Unknown { definition, .. } if *definition == about => {
            (FaultKind::NotFound, IssueType::NotFound)
        }
        Refusal::NoSuchCode(_) => (FaultKind::NotFound, IssueType::NotFound),
        Refusal::Unknown { .. } => (FaultKind::Unprocessable, IssueType::NotFound),
        Refusal::Unsupported(_) => (FaultKind::Unprocessable, IssueType::NotSupported),
        Refusal::TooCostly(_) => (FaultKind::Unprocessable, IssueType::TooCostly),
        _ => (FaultKind::Unprocessable, IssueType::Processing),
    };
    let mut fault = Fault::new(kind, refusal.to_string());
    for issue in &mut fault.issues {
        issue.code = code;
    }
    fault
}

impl Terminology {
    /// With the external server of the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] for a URL that is not allowed.
    pub(crate) fn of(config: &Config) -> Result<Self, ConfigError> {
        let remote = Remote::of(config.terminology.url.as_deref())?;
        Ok(Self { remote, ..Self::default() })
    }

    /// What is kept, if it is still current.
    fn at(&self, change: u64) -> Kept {
        let Ok(mut kept) = self.kept.lock() else { return Kept { change, ..Kept::default() } };
        if kept.change != change {
            *kept = Kept { change, ..Kept::default() };
        }
        kept.clone()
    }

    /// Keeps a fuller shelf of the same state. A concurrent question may have put something else there: the later
    /// one counts, and what is lost is loaded again.
    fn keep(&self, fuller: &Kept) {
        if let Ok(mut kept) = self.kept.lock()
            && kept.change == fuller.change
            && fuller.bytes <= SHELF_BYTES_MAX
        {
            *kept = fuller.clone();
        }
    }
}

async fn put(app: &App, permit: &Permit, wanted: &Wanted, kept: &mut Kept) -> Answered<()> {
    let found = stored(app, permit, wanted).await?;
    kept.bytes +=
        found.iter().map(|one| one.bytes.len()).sum::<usize>() + wanted.url.len() + ENTRY_BYTES;
    let (shelf, wanted) = (Arc::clone(&kept.shelf), wanted.clone());
    let made = work::run(true, move || fill((*shelf).clone(), &wanted, &found)).await?;
    kept.shelf = Arc::new(made.map_err(|refusal| fault(&refusal, Definition::CodeSystem))?);
    Ok(())
}

fn fill(mut shelf: Shelf, wanted: &Wanted, found: &[Loaded]) -> Result<Shelf, Refusal> {
    let url = &*wanted.url;
    match wanted.definition {
        Definition::CodeSystem => shelf.put_code_systems(url, all(found, CodeSystem::of)?),
        Definition::ValueSet => shelf.put_value_sets(url, all(found, ValueSet::of)?),
        Definition::ConceptMap => shelf.put_concept_maps(url, all(found, ConceptMap::of)?),
    }
    Ok(shelf)
}

fn all<T>(
    found: &[Loaded],
    read: impl Fn(&Value) -> Result<T, Refusal>,
) -> Result<Vec<Arc<T>>, Refusal> {
    found.iter().map(|one| Ok(Arc::new(read(&one.value()?)?))).collect()
}

/// A definition's bytes.
pub(crate) struct Loaded {
    bytes: bytes::Bytes,
}

impl Loaded {
    /// As stored.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As a value.
    pub(crate) fn value(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.bytes)
            .map_err(|_| Refusal::Invalid("a stored definition is not readable".to_owned()))
    }
}

async fn stored(app: &App, permit: &Permit, wanted: &Wanted) -> Answered<Vec<Loaded>> {
    let resource_type = type_of(wanted.definition);
    search(app, permit, resource_type, "url", &wanted.url, DEFINITIONS_MAX).await
}

/// Resources by one parameter of kind uri; refused where there are more than `most`.
pub(crate) async fn search(
    app: &App,
    permit: &Permit,
    resource_type: ResourceType,
    param: &str,
    value: &str,
    most: u32,
) -> Answered<Vec<Loaded>> {
    let pairs = vec![(param.to_owned(), escaped(value)), ("_count".to_owned(), most.to_string())];
    let options =
        ParseOptions { base_url: "", lenient: false, now_us: crate::clock::now_us(), codes: None };
    let query = parse_pairs(resource_type, pairs, &options)?;
    let page = app.store.search(permit, &query).await?;
    if page.next.is_some() {
        let text = format!("more than {most} resources {resource_type} have this {param}");
        return Err(Fault::new(FaultKind::Unprocessable, text));
    }
    let versions: Vec<_> = page.hits.into_iter().map(|hit| hit.version).collect();
    app.payloads.fetch(&versions).await?;
    let mut found = Vec::with_capacity(versions.len());
    for version in &versions {
        found.push(Loaded { bytes: app.payloads.open(version).await? });
    }
    Ok(found)
}

/// The resource of an instance-level operation.
///
/// # Errors
/// 404, 410.
pub(crate) async fn instance(app: &App, permit: &Permit, key: &ResourceKey) -> Answered<Loaded> {
    let stored = app.store.read(permit, key).await?.ok_or_else(Fault::not_found)?;
    if stored.is_tombstone() {
        return Err(crate::http::reply::gone());
    }
    Ok(Loaded { bytes: app.payloads.open(&stored).await? })
}

fn type_of(definition: Definition) -> ResourceType {
    ResourceType::parse(definition.name()).expect("the definitions are types of R4")
}

fn types() -> [ResourceType; 3] {
    [Definition::CodeSystem, Definition::ValueSet, Definition::ConceptMap].map(type_of)
}

/// A value that stands for itself in a search (FHIR R4 search.html#escaping).
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, ',' | '$' | '|' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Definitions that one question loads.
const LOADS_MAX: usize = 4_000;
/// Versions of one definition.
const DEFINITIONS_MAX: u32 = 200;
/// What is kept, measured by the resources' own bytes.
const SHELF_BYTES_MAX: usize = 256 << 20;
/// What a name without a definition counts for.
const ENTRY_BYTES: usize = 200;
