//! Searches that are sorted by contents, each step on one snapshot. Not here: the steps (`search::by_content`).

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use policy::Permit;

use super::readers::{Readers, snapshot};
use crate::cost::{Cost, READ_TIME_MAX};
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::page::Page;
use crate::search::{self, Matches, SearchQuery, Unsorted};

/// All matches.
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
