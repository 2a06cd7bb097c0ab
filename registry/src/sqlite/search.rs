//! Runs searches on a connection; all statements of one see one snapshot.

use std::sync::Arc;

use fhir::ResourceId;
use futures::FutureExt;
use policy::Permit;
use rusqlite::Connection;

use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::page::Page;
use crate::search::{self, Criteria, Explanation, Matches, Memory, SearchQuery, Sizing, Unsorted};

/// One page of a search, on the snapshot of the connection.
pub(super) fn search(
    mut conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    query: &SearchQuery,
) -> Result<Page, ReadError> {
    search::run(query, permit, index_key, &mut conn).now_or_never().expect(AT_ONCE)
}

/// As [`search`], with what the process remembers of the sizes of ranges.
pub(super) fn search_with(
    memory: &Arc<Memory>,
    connection: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    query: &SearchQuery,
) -> Result<Page, ReadError> {
    let mut conn = Sizing { connection, memory };
    search::run(query, permit, index_key, &mut conn).now_or_never().expect(AT_ONCE)
}

/// All matches of a search that is sorted by contents, on the snapshot of the connection.
pub(super) fn unsorted(
    mut conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    query: &SearchQuery,
) -> Result<Unsorted, ReadError> {
    search::unsorted(query, permit, index_key, &mut conn).now_or_never().expect(AT_ONCE)
}

/// Its page, on the snapshot of the connection.
pub(super) fn page_of(
    mut conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    query: &SearchQuery,
    matches: &Matches,
) -> Result<Page, ReadError> {
    let page = search::page_of(matches, query, permit, index_key, &mut conn);
    page.now_or_never().expect(AT_ONCE)
}

/// How a search is answered, on the snapshot of the connection.
pub(super) fn explain(
    mut conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    query: &SearchQuery,
) -> Result<Explanation, ReadError> {
    search::explain(query, permit, index_key, &mut conn).now_or_never().expect(AT_ONCE)
}

/// Ids of resources that match a conditional query, ascending, at most [`Criteria::matches_max`].
pub(super) fn matches(
    mut conn: &Connection,
    index_key: &IndexKey,
    permit: &Permit,
    criteria: &Criteria,
) -> Result<Vec<ResourceId>, ReadError> {
    search::matching_ids(criteria, permit, index_key, &mut conn).now_or_never().expect(AT_ONCE)
}

const AT_ONCE: &str = "statements on SQLite are answered at once";
