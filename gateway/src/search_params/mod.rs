//! The search parameters in force: R4's own and those of SearchParameter resources.
//!
//! [`Params`] keeps what was loaded last. Each write depends on it (`Match::SearchParams`): one that was prepared for
//! other parameters is stale and is prepared again. A search that names a custom or unknown parameter looks first
//! whether there is something newer. So a SearchParameter counts, on every gateway process over the database, from the
//! moment it is committed. Whoever finds that resources have changed activates them: parameters get their numbers, and
//! jobs begin that make the rows of existing resources (`reindex`). Until these are whole a search by them is refused.
//! Not here: what a definition means (`fhir`), tables (`registry::params`).

mod definition;
mod limits;
pub(crate) mod reindex;

use std::sync::Arc;

use arc_swap::ArcSwap;
use fhir::{
    CustomParam, FullText, Issue, IssueType, Node, ParamId, ParamKind, Progress, ResourceId,
    ResourceType, SearchParams, Tree, custom_params, is_in_force,
};
use policy::Permit;
use registry::error::CommitError;
use registry::params::{Activation, ParamState, ParamTable, WantedParam, search_parameter};
use registry::search::{ParseOptions, parse_pairs};
use tokio::sync::{Mutex, Notify};

use crate::app::App;
use crate::error::{Answered, Fault, FaultKind};

/// The parameters as loaded last.
#[derive(Default)]
pub struct Params {
    loaded: ArcSwap<Loaded>,
    turn: Mutex<()>,
    /// Wakes the jobs.
    pub(crate) wake: Notify,
}

/// One state of the parameters.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Change of the SearchParameter resources that it reflects.
    pub change: u64,
    /// The parameters.
    pub set: Arc<SearchParams>,
    /// What the registry says of them.
    pub table: ParamTable,
}

impl Params {
    /// R4's own, until something is loaded.
    pub(crate) fn new(full_text: FullText) -> Self {
        let loaded = Loaded::of(ParamTable::default(), full_text);
        Self { loaded: ArcSwap::from_pointee(loaded), ..Self::default() }
    }

    /// What was loaded last.
    pub fn current(&self) -> Arc<Loaded> {
        self.loaded.load_full()
    }

    /// Loads what is in force now, and puts it in force first where nobody has yet.
    ///
    /// # Errors
    /// 503 when the registry is away.
    pub(crate) async fn refresh(&self, app: &App) -> Answered<Arc<Loaded>> {
        let _turn = self.turn.lock().await;
        for _ in 0..ACTIVATIONS_MAX {
            let table = app.store.params().await?;
            if table.newest == table.applied {
                let known = self.current();
                if known.change == table.newest
                    && known.table.params == table.params
                    && table.jobs.is_empty()
                {
                    return Ok(known);
                }
                let loaded = Arc::new(Loaded::of(table, app.store.full_text()));
                self.loaded.store(Arc::clone(&loaded));
                return Ok(loaded);
            }
            let wanted = wanted(app).await?;
            match app.store.activate(Activation { change: table.newest, wanted }).await {
                Ok(()) => self.wake.notify_one(),
                Err(CommitError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Fault::new(FaultKind::Busy, "the search parameters change too often; retry later"))
    }

    /// What a search over these names needs: the newest state where one of them is not R4's own.
    ///
    /// # Errors
    /// As [`Params::refresh`].
    pub(crate) async fn for_query(
        &self,
        app: &App,
        of: Option<ResourceType>,
        pairs: &[(String, String)],
    ) -> Answered<Arc<Loaded>> {
        match self.is_enough(of, pairs) {
            true => Ok(self.current()),
            false => self.refresh(app).await,
        }
    }

    /// Whether what was loaded last will do for these names, as all of them are R4's own.
    pub(crate) fn is_enough(&self, of: Option<ResourceType>, pairs: &[(String, String)]) -> bool {
        let known = self.current();
        let is_own = |name: &str| {
            let is_known = |of| fhir::search_param(of, split_name(name).0).is_some();
            name.starts_with('_') || of.is_some_and(is_known)
        };
        let mentions = || {
            let words = pairs.iter().flat_map(|(name, value)| {
                let is_list =
                    matches!(split_name(name).0, "_sort" | "_include" | "_revinclude" | "_filter");
                let values = is_list.then_some(value.as_str());
                std::iter::once(name.as_str()).chain(values)
            });
            let words = words.flat_map(|text| text.split(|c: char| !is_code(c)));
            known.set.mentions(words.map(|word| word.trim_start_matches('-')))
        };
        pairs.iter().all(|(name, _)| is_own(name)) && !mentions()
    }
}

fn split_name(name: &str) -> (&str, &str) {
    let end = name.find([':', '.']).unwrap_or(name.len());
    (&name[..end], &name[end..])
}

fn is_code(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

impl Loaded {
    /// What a table says.
    pub(crate) fn of(table: ParamTable, full_text: FullText) -> Self {
        let mut custom = Vec::new();
        for row in table.params.iter().filter(|row| row.state != ParamState::Leaving) {
            let job = table.jobs.iter().find(|job| job.of == row.of);
            let progress = (row.state == ParamState::Indexing).then(|| Progress {
                done: job.map_or(0, |job| job.done),
                total: job.map_or(0, |job| job.total),
            });
            let id = ParamId::custom(row.number);
            let read = definition::read(&row.definition, row.of, &row.code);
            match (id, read) {
                (Some(id), Some(param)) => custom.push((id, param, progress)),
                _ => {
                    tracing::error!(param.number = row.number, "a search parameter is not readable")
                }
            }
        }
        let set = SearchParams::with(custom).with_full_text(full_text);
        Self { change: table.applied, set: Arc::new(set), table }
    }

    /// Checks a SearchParameter that is about to be written.
    ///
    /// # Errors
    /// 422 with the place.
    pub(crate) fn check(&self, id: &ResourceId, resource: Node<'_>) -> Answered<()> {
        if !is_in_force(resource) {
            return Ok(());
        }
        let refused = |issues| Fault { kind: FaultKind::Unprocessable, ..Fault::invalid(issues) };
        let params = custom_params(resource, &|of, url| self.other(of, url)).map_err(refused)?;
        for param in params {
            let other = self.table.params.iter().find(|row| {
                row.of == param.base && row.code == param.code && row.state != ParamState::Leaving
            });
            if let Some(other) = other.filter(|other| other.source != id.as_str()) {
                let text = format!(
                    "{} has a parameter {:?} already: SearchParameter/{}",
                    param.base, param.code, other.source
                );
                let issue = Issue::error(IssueType::Duplicate, text).at("SearchParameter.code");
                return Err(refused(vec![issue]));
            }
        }
        Ok(())
    }

    /// Code and kind of a custom parameter by its URL, for the parts of a composite.
    fn other(&self, of: ResourceType, url: &str) -> Option<(String, ParamKind)> {
        let found = self.set.custom_of(of).find(|param| param.url() == url)?;
        Some((found.code.to_owned(), found.kind))
    }
}

/// The parameters that the SearchParameter resources of the store define. What cannot be read, which a check before
/// the write excludes, is left out with a word in the log.
async fn wanted(app: &App) -> Answered<Vec<WantedParam>> {
    let permit = Permit::maintenance();
    let options =
        ParseOptions { base_url: "", lenient: false, now_us: crate::clock::now_us(), codes: None };
    let pairs = vec![
        ("status".to_owned(), "active".to_owned()),
        ("_sort".to_owned(), "_id".to_owned()),
        ("_count".to_owned(), RESOURCES_A_PAGE.to_string()),
    ];
    let mut query = parse_pairs(search_parameter(), pairs, &options)?;
    let mut trees = Vec::new();
    loop {
        let page = app.store.search(&permit, &query).await?;
        let versions: Vec<_> = page.hits.into_iter().map(|hit| hit.version).collect();
        app.payloads.fetch(&versions).await?;
        for version in &versions {
            let body = app.payloads.open(version).await?;
            if let Ok(tree) = Tree::parse(body.to_vec()) {
                trees.push((version.key.id.clone(), tree));
            }
        }
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    Ok(definitions(&trees))
}

/// Composites come last: their parts may be other custom parameters.
fn definitions(trees: &[(ResourceId, Tree)]) -> Vec<WantedParam> {
    let mut found: Vec<(String, CustomParam)> = Vec::new();
    for composites in [false, true] {
        for (id, tree) in trees {
            let root = tree.root();
            let is_composite = root.get("component").is_some();
            if !is_in_force(root) || is_composite != composites {
                continue;
            }
            let other = |of: ResourceType, url: &str| {
                let known = found.iter().map(|(_, param)| param);
                let known = known.into_iter().find(|param| param.base == of && param.url == url)?;
                Some((known.code.clone(), known.kind))
            };
            match custom_params(root, &other) {
                Ok(params) => {
                    let params: Vec<_> =
                        params.into_iter().map(|param| (id.as_str().to_owned(), param)).collect();
                    found.extend(params);
                }
                Err(issues) => tracing::warn!(
                    search_parameter = id.as_str(),
                    cause = issues.first().map_or("", |issue| &issue.text),
                    "a search parameter is not in force"
                ),
            }
        }
    }
    let wanted = found.into_iter().map(|(source, param)| WantedParam {
        of: param.base,
        code: param.code.clone(),
        definition: definition::write(&param),
        source,
    });
    wanted.collect()
}

/// Activations that one refresh tries while resources keep changing.
const ACTIVATIONS_MAX: usize = 16;
const RESOURCES_A_PAGE: u32 = 500;
