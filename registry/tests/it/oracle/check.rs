//! One query put to the product, page by page, and compared with what the oracle says.

use std::collections::BTreeSet;
use std::sync::Arc;

use fhir::{FullText, ResourceKey, ResourceType, SearchParams};
use policy::Permit;
use registry::error::ReadError;
use registry::page::{HitMode, Page};
use registry::search::{
    CodeAnswer, CodeQuestion, CodeSets, ParseOptions, SearchQuery, SearchTarget, pairs, parse_at,
    with_params,
};
use registry::store::Store;

use super::cases::Case;
use super::compare::NOW_US;
use super::naive::{Naive, Stored, bare};
use super::order::is_sorted;
use super::params::param;
use super::value::root_of;
use super::vocabulary::{BASE, CONCEPTS, VALUE_SETS};
use crate::opened;

/// What was found to differ, and how much was compared.
#[derive(Default)]
pub(crate) struct Differences {
    pub(crate) found: Vec<String>,
    /// Refused for their time: no wrong answer, but said, and no more than a few.
    pub(crate) too_costly: Vec<String>,
    pub(crate) searches: usize,
    pub(crate) matches: usize,
}

impl Differences {
    /// Fails with the first of them.
    pub(crate) fn report(&self) {
        for refused in &self.too_costly {
            eprintln!("REFUSED AS TOO COSTLY: {refused}");
        }
        let few = 1 + self.searches / TOO_COSTLY_ONE_IN;
        assert!(self.too_costly.len() <= few, "{} are too costly", self.too_costly.len());
        let shown = self.found.iter().take(DIFFERENCES_SHOWN);
        let shown: Vec<String> = shown.map(|text| text.chars().take(2_000).collect()).collect();
        assert!(self.found.is_empty(), "{} differ:\n{}", self.found.len(), shown.join("\n"));
    }
}

/// One query at several page sizes, forwards and backwards.
pub(crate) async fn check(
    store: &dyn Store,
    oracle: &Naive,
    permit: &Permit,
    case: &Case,
    differences: &mut Differences,
) {
    let who = oracle.patient.as_deref().unwrap_or("all");
    let expected = match oracle.search(case) {
        Ok(expected) => expected,
        Err(why) => return differences.found.push(format!("{}: {why}", case.shown())),
    };
    let want: BTreeSet<&str> = expected.iter().map(|stored| &*stored.key).collect();
    let mut first: Option<Vec<String>> = None;
    let sizes = [1_000, 50, 7, 3].into_iter();
    for count in sizes.filter(|count| *count == 1_000 || want.len() > *count) {
        if want.len() > 12 * count {
            continue;
        }
        differences.searches += 1;
        differences.matches += want.len();
        let walk = Walk { store, oracle, permit, case, total: want.len() };
        let found = match walk.pages(count).await {
            Ok(found) => found,
            Err(why) if why == FORBIDDEN => return,
            Err(why) if why.contains(OPENS_ALL) && opens_much(oracle, &want) => continue,
            Err(why) if why.ends_with(TOO_DEEP) && goes_on(oracle, case, &want) => continue,
            Err(why) => {
                let text = format!("[{who}] {} by {count}: {why}", case.shown());
                let is_late = why.ends_with("ran out of time");
                let list =
                    if is_late { &mut differences.too_costly } else { &mut differences.found };
                return list.push(text);
            }
        };
        if let Some(why) = wrong(oracle, case, &want, &found) {
            return differences.found.push(format!("[{who}] {} by {count}: {why}", case.shown()));
        }
        if first.get_or_insert_with(|| found.clone()) != &found {
            let text = format!("[{who}] {} by {count}: another order than before", case.shown());
            return differences.found.push(text);
        }
    }
}

/// Whether the includes of one of the matches go on for more rounds than docs/search.md allows.
fn goes_on(oracle: &Naive, case: &Case, want: &BTreeSet<&str>) -> bool {
    let rules = case.includes();
    let mut matches = want.iter().filter_map(|key| oracle.named(key));
    matches.any(|one| oracle.rounds(&[one], &rules).len() > INCLUDE_ROUNDS)
}

/// Whether a sort that opens its matches may refuse these: docs/search.md has the limits.
fn opens_much(oracle: &Naive, want: &BTreeSet<&str>) -> bool {
    let stored = want.iter().filter_map(|key| oracle.named(key));
    let bytes: usize = stored.map(|one| one.json.to_string().len()).sum();
    want.len() > OPENED_MAX || bytes > OPENED_BYTES_MAX
}

/// What is wrong with the keys that were found.
fn wrong(oracle: &Naive, case: &Case, want: &BTreeSet<&str>, found: &[String]) -> Option<String> {
    let got: BTreeSet<&str> = found.iter().map(|key| &**key).collect();
    let missing: Vec<_> = want.difference(&got).collect();
    let extra: Vec<_> = got.difference(want).collect();
    let show = |key: &&&str| oracle.named(key).map(|one| evidence(one, case)).unwrap_or_default();
    let example: Vec<_> = missing.iter().chain(&extra).take(2).map(show).collect();
    if !missing.is_empty() || !extra.is_empty() || found.len() != want.len() {
        let (count, total) = (found.len(), want.len());
        let example = example.join("\n    ");
        return Some(format!(
            "{count} of {total}, missing {missing:?}, extra {extra:?}\n    {example}"
        ));
    }
    let sort = case.pairs.iter().find(|(name, _)| name == "_sort").map_or("", |(_, keys)| keys);
    let in_order: Vec<&Stored> = found.iter().filter_map(|key| oracle.named(key)).collect();
    (!is_sorted(oracle, sort, &in_order)).then(|| {
        let keys =
            |one: &&Stored| sort.split(',').map(|key| shown_values(one, key)).collect::<Vec<_>>();
        let rows: Vec<_> = in_order.iter().take(12).map(keys).collect();
        format!("wrong order {found:?} {rows:?}")
    })
}

/// The elements that the parameters of a case read in a resource.
fn evidence(stored: &Stored, case: &Case) -> String {
    let mut text = stored.key.clone();
    for (name, _) in &case.pairs {
        let code = bare(name.split('.').next().unwrap_or(name));
        if let Some(param) = param(stored.of(), code) {
            let elements = root_of(&stored.json, param);
            let values = shown_values(stored, code);
            text.push_str(&format!(" {} = {elements} read as {values}", param.text));
        }
    }
    text.chars().take(EVIDENCE_CHARS_MAX).collect()
}

fn shown_values(stored: &Stored, code: &str) -> String {
    format!("{:?}", stored.values_of(code.trim_start_matches('-')))
}

/// One query as it is walked through.
struct Walk<'a> {
    store: &'a dyn Store,
    oracle: &'a Naive,
    permit: &'a Permit,
    case: &'a Case,
    total: usize,
}

impl Walk<'_> {
    fn ask(&self, query: &str) -> Result<SearchQuery, String> {
        let of = ResourceType::parse(self.case.of);
        let target = match (&self.case.owner, of) {
            (Some(owner), member) => {
                let owner = ResourceKey::parse(owner).expect("a key");
                SearchTarget::Compartment { owner, member }
            }
            (None, Some(of)) => SearchTarget::Type(of),
            (None, None) => SearchTarget::System,
        };
        let pairs = pairs(query).map_err(|error| error.to_string())?;
        let codes = Some(&Terminology as &dyn CodeSets);
        let options = ParseOptions { base_url: BASE, lenient: false, now_us: NOW_US, codes };
        let parsed = with_params(&with_words(), || parse_at(&target, pairs, &options))
            .map_err(|error| format!("refused: {error}"))?;
        match &parsed.ignored[..] {
            [] => Ok(parsed),
            ignored => Err(format!("ignored: {ignored:?}")),
        }
    }

    async fn page(&self, query: &SearchQuery) -> Result<(Page, Vec<String>), String> {
        let content = |key: &str| {
            let one = self.oracle.named(key).expect("a resource of the corpus");
            one.json.to_string().into_bytes()
        };
        let page = match opened::search(self.store, self.permit, query, content).await {
            Err(ReadError::Forbidden(_)) if self.oracle.patient.is_some() => {
                return Err(FORBIDDEN.into());
            }
            answer => answer.map_err(|error| error.to_string())?,
        };
        let key = |mode| {
            let hits = page.hits.iter().filter(move |hit| hit.mode == mode);
            hits.map(|hit| hit.version.key.to_string())
        };
        let keys: Vec<String> = key(HitMode::Match).collect();
        let rules = self.case.includes();
        let matches: Vec<_> = keys.iter().filter_map(|key| self.oracle.named(key)).collect();
        let want = self.oracle.included(&matches, &rules);
        let got: BTreeSet<_> = key(HitMode::Include).collect();
        if got != want || got.len() + keys.len() != page.hits.len() {
            let missing: Vec<_> = want.difference(&got).take(3).collect();
            let extra: Vec<_> = got.difference(&want).take(3).collect();
            return Err(format!("includes: missing {missing:?}, extra {extra:?}"));
        }
        Ok((page, keys))
    }

    /// All keys, page after page; each page but the first leads back to the one before it.
    async fn pages(&self, count: usize) -> Result<Vec<String>, String> {
        let query = self.case.query();
        let mut parsed = self.ask(&format!("{query}&_count={count}&_total=accurate"))?;
        let mut found = Vec::new();
        let mut before: Option<Vec<String>> = None;
        loop {
            let (page, keys) = self.page(&parsed).await?;
            if page.total != u64::try_from(self.total).ok() {
                return Err(format!("total {:?} instead of {}: {keys:?}", page.total, self.total));
            }
            if let Some(before) = &before {
                let link = page.previous.as_ref().ok_or("no way back")?;
                let (_, back) = self.page(&self.ask(&parsed.page_query(link))?).await?;
                if back != *before {
                    return Err(format!("the way back shows {back:?} instead of {before:?}"));
                }
            } else if page.previous.is_some() {
                return Err("the first page leads back".into());
            }
            found.extend(keys.iter().cloned());
            if found.len() > self.total {
                return Err(format!("{} of {}", found.len(), self.total));
            }
            let Some(next) = page.next else { return Ok(found) };
            if keys.len() != count {
                return Err(format!("a short page of {} leads on", keys.len()));
            }
            before = Some(keys);
            parsed = self.ask(&parsed.page_query(&next))?;
        }
    }
}

/// R4's own parameters with those that search by words.
pub(crate) fn with_words() -> Arc<SearchParams> {
    Arc::new(SearchParams::default().with_full_text(FullText::All))
}

/// What the product is told of codes: the vocabulary's own sets and hierarchy.
#[derive(Debug)]
struct Terminology;

impl CodeSets for Terminology {
    fn codes(&self, question: &CodeQuestion) -> Result<Vec<CodeAnswer>, String> {
        let answer = |(system, code): (&str, &str)| CodeAnswer::Code {
            system: system.to_owned(),
            code: code.to_owned(),
        };
        let fits = |asked: &Option<String>, system: &str| {
            asked.as_deref().is_none_or(|asked| asked == system)
        };
        let mut found: Vec<_> = match question {
            CodeQuestion::In(url) => {
                let set = VALUE_SETS.iter().find(|(one, _)| one == url).ok_or("unknown")?;
                set.1.iter().copied().map(answer).collect()
            }
            CodeQuestion::Below { system, code } => CONCEPTS
                .iter()
                .filter(|(of, parent, _)| fits(system, of) && parent == code)
                .flat_map(|(of, parent, child)| [answer((of, parent)), answer((of, child))])
                .collect(),
            CodeQuestion::Above { system, code } => CONCEPTS
                .iter()
                .filter(|(of, _, child)| fits(system, of) && child == code)
                .flat_map(|(of, parent, child)| [answer((of, parent)), answer((of, child))])
                .collect(),
        };
        found.dedup();
        Ok(found)
    }
}

const DIFFERENCES_SHOWN: usize = 400;
const EVIDENCE_CHARS_MAX: usize = 900;
/// A patient may not look into every type.
const FORBIDDEN: &str = "forbidden";
/// What docs/search.md says of `:iterate`, and how the refusal beyond it ends.
const INCLUDE_ROUNDS: usize = 16;
const TOO_DEEP: &str = "goes on after 16 rounds";
/// What is said where too many matches would have to be opened to be sorted, and how many may be.
const OPENS_ALL: &str = "opens all matches";
const OPENED_MAX: usize = 2_000;
const OPENED_BYTES_MAX: usize = 32 << 20;
/// How many searches may have one that is refused for its time.
const TOO_COSTLY_ONE_IN: usize = 1_000;
