//! Orders by what the index does not tell: codes and identifiers, which it holds as keyed hashes.
//!
//! Spec: FHIR R4 search § 3.1.1.5.1. Such a search is answered in three steps: all matches, at most [`SORT_OPENED_MAX`],
//! with those of their sort keys that are in the index ([`unsorted`]); the other keys, read in the contents by whoever
//! can open them ([`ContentKeys`]); the page of the sorted whole, with its includes ([`Unsorted::sorted`], [`page_of`]).
//! The first step sees one snapshot, so what is opened is what matched. Places and cursors are those of other orders.
//! A code is compared without its system, by code points; of several the first counts, backwards the last.
//! Not here: opening (`gateway`), the comparison itself (`order`).

use std::collections::HashMap;

use fhir::{ResourceType, SearchParam, Selection, Tree, Value, values_of};
use policy::Permit;

use super::ask::{Cell, Connection};
use super::at_once::Taken;
use super::clause::{Leg, SearchQuery, SortBy, SortKey};
use super::cursor;
use super::hits::{self, Loaded};
use super::include;
use super::order::{Order, Place};
use super::page::{self, Matches, Planned};
use super::resolve::{Limits, Resolver};
use super::scope::Scope;
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::index::indexed_text;
use crate::page::{Page, StoredVersion};

/// All matches of a search that is sorted by contents.
pub struct Unsorted {
    found: Vec<(Place, Loaded)>,
}

/// What one content says to the order of a search.
pub struct ContentKey(Vec<Cell>);

/// What an order reads in contents, ready to be read.
pub struct ContentKeys {
    /// One for each type that is searched.
    legs: Vec<(ResourceType, Selection, Vec<SortKey>)>,
}

impl SortKey {
    pub(super) fn is_content(&self) -> bool {
        matches!(self.by, SortBy::Content(_))
    }
}

impl SearchQuery {
    /// Whether the contents of all matches are needed to tell their order.
    pub fn opens(&self) -> bool {
        let is_content = |leg: &Leg| leg.sort.iter().any(SortKey::is_content);
        self.count > 0 && self.legs.iter().any(is_content)
    }
}

/// Refuses what only [`unsorted`] answers.
///
/// # Errors
/// [`ReadError::Unsupported`].
pub(super) fn expect_none(query: &SearchQuery) -> Result<(), ReadError> {
    if query.opens() {
        let names = names(query);
        let text = format!("_sort by {names} opens contents, which is not done here");
        return Err(ReadError::Unsupported(text));
    }
    Ok(())
}

/// All matches, with those of their sort keys that are in the index. The connection must stay on one snapshot from the
/// first statement to the last.
///
/// # Errors
/// As [`run`](super::run), and [`ReadError::TooCostly`] when there are too many to be opened.
pub async fn unsorted<C: Connection>(
    query: &SearchQuery,
    permit: &Permit,
    key: &IndexKey,
    connection: &mut C,
) -> Result<Unsorted, ReadError> {
    cursor::start(query, key)?;
    let scope = Scope::resolve(permit, key, connection).await?;
    let resolver = Resolver { scope: &scope, key, limits: Limits::default() };
    let legs = page::conditions(query, &resolver, connection).await?;
    let planned = page::plans(&legs, &scope, connection).await?;
    let found = all(&planned, &scope, connection).await?;
    found.map(|found| Unsorted { found }).ok_or_else(|| {
        ReadError::TooCostly(format!(
            "_sort by {} opens all matches, and may open {SORT_OPENED_MAX} of together {} MiB: narrow the search, or \
             sort by a date, number, quantity, text, uri or reference",
            names(query),
            SORT_STORED_BYTES_MAX / MIB
        ))
    })
}

/// All matches of planned legs; `None` if they are too many.
pub(super) async fn all<C: Connection>(
    planned: &[Planned<'_>],
    scope: &Scope,
    connection: &mut C,
) -> Result<Option<Vec<(Place, Loaded)>>, ReadError> {
    let mut places = Vec::with_capacity(planned.len());
    let mut left = SORT_OPENED_MAX;
    for leg in planned {
        let order = Order::of(&[]);
        let found = leg.matching.places(&leg.plan, &order, None, left + 1, connection).await?;
        let Some(rest) = left.checked_sub(found.len()) else { return Ok(None) };
        left = rest;
        places.push((leg, keyed(leg, found, connection).await?));
    }
    let mut all = Vec::with_capacity(SORT_OPENED_MAX - left);
    let mut bytes = 0;
    for (leg, places) in places {
        for some in places.chunks(LOADED_AT_ONCE) {
            let rids: Vec<_> = some.iter().map(|place| place.rid).collect();
            let loaded = hits::load(leg.matching.of, &rids, scope, connection).await?;
            bytes += loaded.iter().map(|one| one.version.payload.len()).sum::<usize>();
            if bytes > SORT_STORED_BYTES_MAX {
                return Ok(None);
            }
            let mut by_rid: HashMap<_, _> = loaded.into_iter().map(|one| (one.rid, one)).collect();
            let each =
                some.iter().filter_map(|place| Some((place.clone(), by_rid.remove(&place.rid)?)));
            all.extend(each);
        }
    }
    Ok(Some(all))
}

/// The places with their sort keys, as far as the index has them.
async fn keyed<C: Connection>(
    leg: &Planned<'_>,
    places: Vec<Place>,
    connection: &mut C,
) -> Result<Vec<Place>, ReadError> {
    if leg.order.keys.iter().all(SortKey::is_content) {
        let keys = vec![Cell::Null; leg.order.keys.len()];
        return Ok(places.into_iter().map(|place| Place { keys: keys.clone(), ..place }).collect());
    }
    let rids = places.iter().map(|place| place.rid).collect();
    leg.matching.sorted(rids, &leg.order, connection).await
}

impl ContentKeys {
    /// What the order of a search reads in contents; `None` when it reads nothing there.
    pub fn of(query: &SearchQuery) -> Option<Self> {
        if !query.opens() {
            return None;
        }
        let leg = |leg: &Leg| {
            let keys: Vec<_> = leg.sort.iter().filter(|key| key.is_content()).cloned().collect();
            let params: Vec<_> = keys.iter().filter_map(param).collect();
            Some((leg.resource_type, Selection::of(leg.resource_type, &params)?, keys))
        };
        query.legs.iter().map(leg).collect::<Option<_>>().map(|legs| Self { legs })
    }

    /// The keys of a resource of a type, from its content.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] for what is no JSON, or of no type that is searched.
    pub fn read(&self, of: ResourceType, content: Vec<u8>) -> Result<ContentKey, ReadError> {
        let damaged = || ReadError::Damaged(format!("a content of {of} cannot be read"));
        let tree = Tree::parse(content).map_err(|_| damaged())?;
        let leg = self.legs.iter().find(|(own, ..)| *own == of);
        let (_, selection, keys) = leg.ok_or_else(damaged)?;
        let mut found = Vec::new();
        selection.extract(tree.root(), "", &mut found);
        let cell = |key: &SortKey| {
            let codes = values_of(param(key)?, &found).filter_map(|value| match value {
                Value::Token(token) => token.code.as_deref(),
                _ => None,
            });
            let code = if key.descending { codes.max() } else { codes.min() };
            code.map(|code| Cell::Text(indexed_text(code).to_owned()))
        };
        Ok(ContentKey(keys.iter().map(|key| cell(key).unwrap_or(Cell::Null)).collect()))
    }
}

impl Unsorted {
    /// The matches, in no order.
    pub fn versions(&self) -> impl ExactSizeIterator<Item = &StoredVersion> {
        self.found.iter().map(|(_, loaded)| &loaded.version)
    }

    /// Those of the page that is asked for, in order; `keys` has one for each of the matches.
    ///
    /// # Errors
    /// [`ReadError::Invalid`] for a foreign cursor.
    pub fn sorted(
        self,
        query: &SearchQuery,
        keys: Vec<ContentKey>,
        key: &IndexKey,
    ) -> Result<Matches, ReadError> {
        let start = cursor::start(query, key)?;
        // All legs have the same keys, but for where their values are.
        let sort = query.legs.first().map(|leg| &leg.sort[..]).unwrap_or_default();
        let order = Order::of(sort);
        let order = if start.as_ref().is_some_and(|start| start.backwards) {
            order.turned()
        } else {
            order
        };
        let counted = u64::try_from(self.found.len()).ok();
        let filled = |((mut place, loaded), key): ((Place, Loaded), ContentKey)| {
            let cells = place.keys.iter_mut().zip(sort);
            let contents = cells.filter(|(_, key)| key.is_content()).map(|(cell, _)| cell);
            contents.zip(key.0).for_each(|(cell, value)| *cell = value);
            (place, loaded)
        };
        let mut found: Vec<_> = self.found.into_iter().zip(keys).map(filled).collect();
        if let Some(start) = &start {
            found.retain(|(place, _)| order.compare(place, &start.place).is_gt());
        }
        found.sort_by(|(a, _), (b, _)| order.compare(a, b));
        found.truncate(usize::try_from(query.count).unwrap_or(usize::MAX).saturating_add(1));
        Ok(Matches::taken(Taken { found, counted, included: None }, query, start.as_ref()))
    }
}

/// The page that sorted matches make, with what it includes.
///
/// # Errors
/// As [`run`](super::run).
pub async fn page_of<C: Connection>(
    matches: &Matches,
    query: &SearchQuery,
    permit: &Permit,
    key: &IndexKey,
    connection: &mut C,
) -> Result<Page, ReadError> {
    let scope = Scope::resolve(permit, key, connection).await?;
    let included = include::included(&matches.loaded, query, &scope, connection).await?;
    Ok(matches.clone().page(included, query, key))
}

fn param(key: &SortKey) -> Option<&'static SearchParam> {
    match key.by {
        SortBy::Content(param) => Some(param),
        _ => None,
    }
}

/// The parameters whose values are in the contents alone.
fn names(query: &SearchQuery) -> String {
    let keys = query.legs.first().map(|leg| &leg.sort[..]).unwrap_or_default();
    let codes: Vec<_> = keys.iter().filter_map(param).map(|param| param.code).collect();
    codes.join(", ")
}

/// Matches that are opened to be sorted by their contents.
pub const SORT_OPENED_MAX: usize = 2_000;
/// Bytes that they may have together as they are stored.
pub const SORT_STORED_BYTES_MAX: usize = 32 * MIB;
/// Versions that one statement brings: those of a statement are in memory together before their bytes are counted.
const LOADED_AT_ONCE: usize = 100;
const MIB: usize = 1024 * 1024;
