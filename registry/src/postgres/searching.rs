//! Searches on the lanes of reads: on one snapshot, or in one statement where that makes the page.
//!
//! Not here: what is asked (`search`).

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use policy::Permit;

use super::readers::{Readers, snapshot};
use crate::cost::{Cost, READ_TIME_MAX};
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::page::Page;
use crate::search::{self, Matches, Memory, Remembering, SearchQuery, Unsorted};

/// One page.
pub(super) fn search(
    readers: &Readers,
    memory: &Arc<Memory>,
    asked: (IndexKey, Permit, SearchQuery),
) -> BoxFuture<'static, Result<Page, ReadError>> {
    let cost = Cost::of_search(&asked.2);
    let asked = Arc::new((asked, Arc::clone(memory)));
    readers.run_as(cost, READ_TIME_MAX, move |conn| {
        let asked = Arc::clone(&asked);
        async move {
            let ((key, permit, query), memory) = &*asked;
            let mut at_once = Remembering { connection: &mut *conn, memory };
            if let Some(page) = search::run_at_once(query, permit, key, &mut at_once).await? {
                return Ok(page);
            }
            snapshot(conn, async |connection| {
                let mut connection = Remembering { connection, memory };
                search::run(query, permit, key, &mut connection).await
            })
            .await
        }
        .boxed()
    })
}

/// All matches of a search that is sorted by contents.
pub(super) fn unsorted(
    readers: &Readers,
    asked: (IndexKey, Permit, SearchQuery),
) -> BoxFuture<'static, Result<Unsorted, ReadError>> {
    let cost = Cost::of_search(&asked.2);
    let asked = Arc::new(asked);
    readers.run_as(cost, READ_TIME_MAX, move |conn| {
        let asked = Arc::clone(&asked);
        async move {
            let (key, permit, query) = &*asked;
            snapshot(conn, async |mut conn| search::unsorted(query, permit, key, &mut conn).await)
                .await
        }
        .boxed()
    })
}

/// The page of those that are on it.
pub(super) fn page_of(
    readers: &Readers,
    asked: (IndexKey, Permit, SearchQuery),
    matches: Matches,
) -> BoxFuture<'static, Result<Page, ReadError>> {
    let asked = Arc::new((asked, matches));
    readers.run_as(Cost::Search, READ_TIME_MAX, move |conn| {
        let asked = Arc::clone(&asked);
        async move {
            let ((key, permit, query), matches) = &*asked;
            snapshot(conn, async |mut conn| {
                search::page_of(matches, query, permit, key, &mut conn).await
            })
            .await
        }
        .boxed()
    })
}
