//! Validation of resources: profiles from a folder and from the store, codes from `terminology`.
//!
//! Profiles of the folder are read once at start. What a resource needs beyond them is searched by `url` among the
//! stored StructureDefinitions, compiled and kept while none of them changes, which one look at the registry tells for
//! every gateway process on the database: what was posted counts from the next validation on. Definitions belong to no
//! patient, so they are looked for in the gateway's own name, and only findings leave.
//! Not here: the rules (crate `profile`), the request (`http::operation::validate`).

mod codes;
mod folder;
mod package;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use fhir::{Issue, ResourceType, Severity, Tree, VersionId};
use policy::{AccessRequest, Operation, OperationTarget, Permit, Principal, Role};
use profile::{Checks, Finding, Profile, Profiles, Report, Validator};
use terminology::Refusal;

use self::codes::ShelfCodes;
use crate::app::App;
use crate::error::{Answered, Fault, FaultKind};
use crate::prepare::Contents;
use crate::submission::Submission;
use crate::terminology as definitions;

/// How much of a resource is checked before it is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The strict reader alone: shape, types, cardinality, required codes.
    Syntax,
    /// R4's own rules too: invariants, reference targets, known codes, known extensions.
    Base,
    /// The profiles that `meta.profile` claims too.
    Profile,
}

/// The profiles that are known.
#[derive(Default)]
pub struct Validation {
    folder: Arc<Profiles>,
    posted: Mutex<Posted>,
}

/// Profiles from the store, as of a change; `None` where there is none.
#[derive(Clone, Default)]
struct Posted {
    change: u64,
    found: HashMap<String, Option<Arc<Profile>>>,
}

impl Validation {
    /// Reads the folder of profiles and packages, if one is set.
    ///
    /// # Errors
    /// A folder that cannot be read, or a file in it that is no profile and no package; the text names it.
    pub fn open(folder: Option<&std::path::Path>) -> Result<Self, String> {
        let folder = folder.map(folder::read).transpose()?.unwrap_or_default();
        Ok(Self { folder: Arc::new(folder), posted: Mutex::default() })
    }

    fn at(&self, change: u64) -> Posted {
        let Ok(mut posted) = self.posted.lock() else { return Posted::default() };
        if posted.change != change {
            *posted = Posted { change, ..Posted::default() };
        }
        posted.clone()
    }

    fn keep(&self, fuller: &Posted) {
        if let Ok(mut posted) = self.posted.lock()
            && posted.change == fuller.change
            && fuller.found.len() <= POSTED_MAX
        {
            *posted = fuller.clone();
        }
    }
}

/// All findings on a document that is a resource; its shape is checked elsewhere.
///
/// # Errors
/// 503 when the registry is away, 500 when a stored definition cannot be read.
pub async fn validate(app: &App, document: &Arc<Tree>, checks: &Checks) -> Answered<Vec<Finding>> {
    let (definitions_permit, codes_permit) = permits()?;
    let change = app.store.newest_change(&[ResourceType::STRUCTURE_DEFINITION]).await?;
    let mut posted = app.validation.at(change);
    for _ in 0..ROUNDS_MAX {
        let profiles = Arc::new(all(&app.validation.folder, &posted));
        let (tree, checks) = (Arc::clone(document), checks.clone());
        let question = move |shelf: &terminology::Shelf| {
            let codes = ShelfCodes::new(shelf);
            let report = Validator::new(&profiles, &codes).validate(tree.root(), &checks);
            codes.wanted().map_or(Ok(report), |wanted| Err(Refusal::Load(wanted)))
        };
        let report: Report = definitions::ask(app, &codes_permit, question)
            .await?
            .map_err(|refusal| Fault::new(FaultKind::Unprocessable, refusal.to_string()))?;
        let unknown = |url: &&String| !posted.found.contains_key(*url);
        let wanted: Vec<String> = report.missing.iter().filter(unknown).cloned().collect();
        if wanted.is_empty() {
            return Ok(report.findings);
        }
        for url in wanted {
            let profile = stored(app, &definitions_permit, &url).await?;
            posted.found.insert(url, profile);
        }
        app.validation.keep(&posted);
    }
    Err(Fault::new(FaultKind::Unprocessable, "the profiles need more definitions than are loaded"))
}

/// Refuses the write of resources that break what the configuration enforces; they are what would be stored, patched
/// and with their references rewritten.
///
/// # Errors
/// 422 with every finding that is an error; as [`validate`].
pub(crate) async fn enforce(
    app: &App,
    submission: &Submission,
    contents: &Contents,
) -> Answered<()> {
    let claims = match app.config.validation.level {
        Level::Syntax => return Ok(()),
        Level::Base => false,
        Level::Profile => true,
    };
    let checks = Checks { claims, ..Checks::default() };
    let mut written: Vec<_> = contents.iter().collect();
    written.sort_unstable_by_key(|(operation, _)| **operation);
    for (operation, (_, template)) in written {
        let bytes = template.fill(VersionId::FIRST, crate::clock::now());
        let document = Tree::parse(bytes).map_err(Fault::invalid)?;
        let findings = validate(app, &Arc::new(document), &checks).await?;
        let issues: Vec<Issue> =
            findings.into_iter().filter(Finding::is_error).map(|finding| finding.issue).collect();
        if issues.is_empty() {
            continue;
        }
        let mut fault = Fault::new(FaultKind::Unprocessable, "the resource is not valid");
        fault.issues = issues;
        return Err(submission.placed(*operation, fault));
    }
    Ok(())
}

/// Whether findings leave a resource valid.
pub fn is_valid(issues: &[Issue]) -> bool {
    !issues.iter().any(|issue| matches!(issue.severity, Severity::Error | Severity::Fatal))
}

fn all(folder: &Profiles, posted: &Posted) -> Profiles {
    let mut profiles = folder.clone();
    for profile in posted.found.values().flatten() {
        profiles.add(Arc::clone(profile));
    }
    profiles
}

/// The stored StructureDefinition of a canonical URL; of several, the version that is named or the last.
async fn stored(app: &App, permit: &Permit, canonical: &str) -> Answered<Option<Arc<Profile>>> {
    let url = canonical.split('|').next().unwrap_or(canonical);
    if url.is_empty() {
        return Ok(None);
    }
    let of = ResourceType::STRUCTURE_DEFINITION;
    let found = definitions::search(app, permit, of, "url", url, VERSIONS_MAX).await?;
    let mut profiles = Profiles::default();
    for loaded in found {
        let tree = Tree::parse(loaded.bytes().to_vec()).map_err(Fault::invalid)?;
        if let Ok(profile) = profile::compile(tree.root()) {
            profiles.add(Arc::new(profile));
        }
    }
    Ok(profiles.find(canonical).cloned())
}

/// Leave to look for definitions and for codes, in the gateway's own name.
fn permits() -> Answered<(Permit, Permit)> {
    let own =
        Principal::builder("sealway:validation").role(Role::System).scopes("system/*.rs").build();
    let target = OperationTarget::Type(ResourceType::VALUE_SET);
    let requests = [
        AccessRequest::Search(ResourceType::STRUCTURE_DEFINITION),
        AccessRequest::Operation { operation: Operation::Terminology, target },
    ];
    let [definitions, codes] =
        requests.map(|request| policy::decide(&own, &request).map_err(|_| lost()));
    Ok((definitions?, codes?))
}

fn lost() -> Fault {
    Fault::new(FaultKind::Internal, "the gateway may not read its own definitions")
}

/// Rounds of looking for profiles that profiles name.
const ROUNDS_MAX: usize = 16;
/// URLs of stored profiles that are kept.
const POSTED_MAX: usize = 2_000;
/// Versions of one profile.
const VERSIONS_MAX: u32 = 50;
