//! The page of a search: from the index alone, or where `_sort` names codes or identifiers, from the opened contents of
//! all matches.
//!
//! Spec: FHIR R4 search.html § 3.1.1.5.1. The index holds codes as keyed hashes, so that it tells nobody an identifier;
//! their order is read in the contents, under the permit of the search. What is opened for that is shown to nobody, and
//! forgotten as soon as its key is read. Bounded in matches (`registry::search::SORT_OPENED_MAX`) and bytes.
//! Not here: which matches and what their keys are (`registry::search`), what is shown (`search`).

use std::sync::Arc;
use std::time::Duration;

use policy::Permit;
use registry::error::ReadError;
use registry::page::{Page, StoredVersion};
use registry::search::{ContentKey, ContentKeys, SearchQuery};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::call::Call;
use crate::error::{Answered, Fault, FaultKind};
use crate::limits::SORT_OPENED_BYTES_MAX;
use crate::work;

/// The page that a query asks for.
///
/// # Errors
/// 400, 403 and 503 as the registry has them; 400 `too-costly` for a sort that opens too much.
pub(super) async fn page(call: &Call, permit: &Permit, query: &SearchQuery) -> Answered<Page> {
    let store = &call.app.store;
    let Some(reader) = ContentKeys::of(query) else {
        return Ok(store.search(permit, query).await?);
    };
    let busy = || Fault::new(FaultKind::Busy, "too many sorts that open contents; retry later");
    let turn = timeout(SORT_WAIT_MAX, OPENING.acquire()).await.map_err(|_| busy())?;
    let _turn = turn.map_err(|_| busy())?;
    let unsorted = store.unsorted(permit, query).await?;
    let versions: Vec<StoredVersion> = unsorted.versions().cloned().collect();
    let keys = keys(call, reader, &versions).await?;
    let matches = unsorted.sorted(query, keys, store.index_key())?;
    Ok(store.page_of(permit, query, matches).await?)
}

/// The keys of all matches. A few contents are in memory at a time; they are read off the I/O threads.
async fn keys(
    call: &Call,
    reader: ContentKeys,
    versions: &[StoredVersion],
) -> Answered<Vec<ContentKey>> {
    let reader = Arc::new(reader);
    let mut keys = Vec::with_capacity(versions.len());
    let mut bytes = 0;
    call.app.payloads.fetch(versions).await?;
    for some in versions.chunks(OPENED_AT_ONCE) {
        let mut opened = Vec::with_capacity(some.len());
        for version in some {
            let content = call.app.payloads.open_listed(version).await?;
            bytes += content.len();
            if bytes > SORT_OPENED_BYTES_MAX {
                let mib = SORT_OPENED_BYTES_MAX / (1024 * 1024);
                let text = format!(
                    "this _sort opens all matches, which have more than {mib} MiB together: narrow the search"
                );
                return Err(ReadError::TooCostly(text).into());
            }
            opened.push((version.key.resource_type, content));
        }
        let reader = Arc::clone(&reader);
        let read = move || work::each(&opened, |(of, content)| reader.read(*of, content.to_vec()));
        for key in work::run(true, read).await? {
            keys.push(key?);
        }
    }
    Ok(keys)
}

/// Contents that are in memory together: about a millisecond of opening them.
const OPENED_AT_ONCE: usize = 64;
/// Turns at opening: what one search holds is bounded, and so what all do.
static OPENING: Semaphore = Semaphore::const_new(SORTS_AT_ONCE);
/// Searches of one process that open contents at the same time.
const SORTS_AT_ONCE: usize = 4;
/// Longest wait for a turn.
const SORT_WAIT_MAX: Duration = Duration::from_secs(5);
